//! Listing referrers: the API where a registry has it, else the tag; which of the two is asked once.

use std::collections::BTreeSet;

use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Method, StatusCode};

use crate::model::{Descriptor, Digest, Index, RemoteRepository, media_type};
use crate::store::StoreErrorKind;
use crate::store::referrers::MOST_REFERRERS;
use crate::store::remote::answer::Answer;
use crate::store::remote::auth::Access;
use crate::store::remote::failure::{self, Envelope, Failure, Purpose};
use crate::store::remote::host::Request;
use crate::store::remote::session::{Call, Redirects, call, target};
use crate::store::remote::tags::next_page;
use crate::store::remote::{Shared, authority};

/// A page in bytes: as much as a manifest may have.
const LARGEST_PAGE: u64 = 4 << 20;

/// Whether a registry has the referrers API; nothing is known of it before it was asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Support {
    Api,
    Tag,
}

/// What the API said.
enum Said {
    List(Vec<Descriptor>),
    /// There is no such API.
    NoApi,
    /// There is no such repository or image: that tells nothing about the API.
    NoSubject,
}

/// What the registry's own list says; `None` where the tag must be read instead.
///
/// The first call for a host finds out whether it has the API, and the others wait for that; a failure
/// decides nothing, and the next call asks again.
pub(super) async fn list(
    shared: &Shared,
    repository: &RemoteRepository,
    subject: &Digest,
) -> Result<Option<Vec<Descriptor>>, Failure> {
    let host = shared.registry(repository)?;
    let mut first = None;
    let finding_out = async || match ask(shared, repository, subject).await {
        Ok(Said::List(entries)) => {
            first = Some(entries);
            Ok(Support::Api)
        }
        Ok(Said::NoApi) => Ok(Support::Tag),
        Ok(Said::NoSubject) => Err(None),
        Err(failure) => Err(Some(failure)),
    };
    let support = host.referrers.get_or_try_init(finding_out).await.copied();
    match (support, first) {
        (Ok(_), Some(entries)) => Ok(Some(entries)),
        (Ok(Support::Tag), None) | (Err(None), _) => Ok(None),
        (Ok(Support::Api), None) => match ask(shared, repository, subject).await? {
            Said::List(entries) => Ok(Some(entries)),
            Said::NoApi | Said::NoSubject => Ok(None),
        },
        (Err(Some(failure)), _) => Err(failure),
    }
}

/// Asks for every page, without a filter.
///
/// Source: OCI distribution-spec 1.1, "Listing Referrers".
async fn ask(
    shared: &Shared,
    repository: &RemoteRepository,
    subject: &Digest,
) -> Result<Said, Failure> {
    let mut url = shared.url(repository, &format!("referrers/{subject}"))?;
    let (mut entries, mut seen) = (Vec::new(), BTreeSet::new());
    loop {
        if !seen.insert(url.clone()) {
            let detail = "the pages of its list of referrers do not end";
            return Err(Failure::new(StoreErrorKind::InvalidAnswer, detail));
        }
        let mut request = Request::new(Method::GET, url.clone(), LARGEST_PAGE);
        request.headers.insert(ACCEPT, HeaderValue::from_static(media_type::OCI_INDEX));
        let redirects = Redirects::SameOrigin;
        let call_ = Call { repository, access: Access::Pull, request, redirects };
        let answer = call(shared, call_).await?;
        let is_first = seen.len() == 1;
        let page = match page_of(&answer)? {
            Said::List(page) => page,
            other if is_first => return Ok(other),
            _ => return Err(failure::of_answer(&answer, Purpose::Read)),
        };
        entries.extend(page);
        if entries.len() > MOST_REFERRERS {
            let detail = format!("it lists more than {MOST_REFERRERS} referrers");
            return Err(Failure::new(StoreErrorKind::TooLarge, detail));
        }
        match next_page(&answer.headers) {
            None => return Ok(Said::List(entries)),
            Some(link) => {
                let next = target(&url, &link)?;
                if !authority::same_origin(&next, &url) {
                    let detail = "the next page of referrers is on another host";
                    return Err(Failure::new(StoreErrorKind::Redirect, detail));
                }
                url = next;
            }
        }
    }
}

fn page_of(answer: &Answer) -> Result<Said, Failure> {
    match answer.status {
        StatusCode::OK if answer.media_type() != Some(media_type::OCI_INDEX) => Ok(Said::NoApi),
        // We asked for no filter: what is filtered is not the whole list.
        StatusCode::OK if answer.header("oci-filters-applied").is_some_and(|it| !it.is_empty()) => {
            let detail = "it filters its list of referrers, and was not asked to";
            Err(Failure::new(StoreErrorKind::InvalidAnswer, detail))
        }
        StatusCode::OK => match Index::parse(&answer.body) {
            Ok(index) => Ok(Said::List(index.manifests)),
            Err(error) => Err(Failure::new(StoreErrorKind::InvalidAnswer, error.to_string())),
        },
        StatusCode::NOT_FOUND if Envelope::read(&answer.body).says_absent() => Ok(Said::NoSubject),
        StatusCode::BAD_REQUEST
        | StatusCode::METHOD_NOT_ALLOWED
        | StatusCode::NOT_ACCEPTABLE
        | StatusCode::NOT_FOUND
        | StatusCode::NOT_IMPLEMENTED => Ok(Said::NoApi),
        _ => Err(failure::of_answer(answer, Purpose::Read)),
    }
}
