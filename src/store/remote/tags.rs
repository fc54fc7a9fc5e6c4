//! Listing tags, page by page.

use std::collections::BTreeSet;

use reqwest::Method;
use reqwest::header::{HeaderMap, LINK};
use serde::Deserialize;
use url::Url;

use crate::model::{RemoteRepository, Tag};
use crate::store::StoreErrorKind;
use crate::store::remote::auth::Access;
use crate::store::remote::failure::{self, Failure, Purpose};
use crate::store::remote::host::Request;
use crate::store::remote::session::{Call, Redirects, call, target};
use crate::store::remote::{Shared, authority};

/// Tags to a page: ECR takes no more than 1000.
const PAGE: usize = 1000;

/// A page in bytes: registries that know no pages send everything.
const LARGEST_PAGE: u64 = 64 << 20;

/// As many tags as are kept; more is no repository but an attack.
const MOST_TAGS: usize = 2_000_000;

#[derive(Deserialize)]
struct Page {
    /// `null` where there are none, in Go's way.
    tags: Option<Vec<String>>,
}

/// Every tag of the repository, whatever the size of a page.
///
/// Source: OCI distribution-spec 1.1, "Content Discovery": pages are linked by `Link: <…>; rel="next"`.
pub(super) async fn list(
    shared: &Shared,
    repository: &RemoteRepository,
) -> Result<BTreeSet<Tag>, Failure> {
    let mut url = first_page(shared, repository, None)?;
    let mut tags = BTreeSet::new();
    loop {
        let request = Request::new(Method::GET, url.clone(), LARGEST_PAGE);
        let redirects = Redirects::SameOrigin;
        let call_ = Call { repository, access: Access::Pull, request, redirects };
        let answer = call(shared, call_).await?;
        if !answer.status.is_success() {
            return Err(failure::of_answer(&answer, Purpose::Read));
        }
        let page: Page = serde_json::from_slice(&answer.body).map_err(|_| {
            let what = if failure::is_html(&answer.headers) { "a web page" } else { "something" };
            let detail = format!("it answers with {what} that is no list of tags");
            Failure::new(StoreErrorKind::InvalidAnswer, detail)
        })?;
        let page = page.tags.unwrap_or_default();
        let (before, on_page) = (tags.len(), page.len());
        let last = page.last().cloned();
        // What is no tag cannot be asked for either.
        tags.extend(page.iter().filter_map(|it| it.parse::<Tag>().ok()));
        if tags.len() > MOST_TAGS {
            let detail = format!("it has more than {MOST_TAGS} tags");
            return Err(Failure::new(StoreErrorKind::TooLarge, detail));
        }
        let has_new = tags.len() > before;
        let next = match (next_page(&answer.headers), last) {
            (Some(link), _) => {
                let next = target(&url, &link)?;
                if !authority::same_origin(&next, &url) {
                    let detail = "the next page of tags is on another host";
                    return Err(Failure::new(StoreErrorKind::Redirect, detail));
                }
                // A page without anything new that names itself would go on for ever.
                if !has_new && (on_page > 0 || next == url) {
                    let detail = "the pages of its tag list do not end";
                    return Err(Failure::new(StoreErrorKind::InvalidAnswer, detail));
                }
                Some(next)
            }
            // A full page without a link may be all, or of a registry that forgot the link.
            (None, Some(last)) if on_page >= PAGE && on_page.is_multiple_of(PAGE) && has_new => {
                Some(first_page(shared, repository, Some(&last))?)
            }
            _ => None,
        };
        match next {
            Some(next) => url = next,
            None => return Ok(tags),
        }
    }
}

fn first_page(
    shared: &Shared,
    repository: &RemoteRepository,
    after: Option<&str>,
) -> Result<Url, Failure> {
    let mut url = shared.url(repository, "tags/list")?;
    url.query_pairs_mut().append_pair("n", &PAGE.to_string());
    if let Some(last) = after {
        url.query_pairs_mut().append_pair("last", last);
    }
    Ok(url)
}

/// The target of `Link` with `rel="next"`.
///
/// Source: RFC 8288 §3.
pub(super) fn next_page(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(LINK).iter().filter_map(|it| it.to_str().ok());
    values.flat_map(links).find(|(_, is_next)| *is_next).map(|(target, _)| target)
}

fn links(value: &str) -> Vec<(String, bool)> {
    let mut links = Vec::new();
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('<') {
        let Some((target, after)) = after.split_once('>') else { break };
        // Up to the next link; targets stand in angle brackets, so commas before one end this one.
        let end = after.find('<').unwrap_or(after.len());
        let (parameters, next) = after.split_at(end);
        let is_next = parameters.split([';', ',']).any(|it| {
            let (name, value) = it.split_once('=').unwrap_or((it, ""));
            let value = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel")
                && value.split(' ').any(|it| it.eq_ignore_ascii_case("next"))
        });
        links.push((target.trim().to_owned(), is_next));
        rest = next;
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn whatever_is_sent_is_read_without_panic(text in "[<>;,=\"a-z é]{0,60}|.*") {
            links(&text);
        }
    }

    #[test]
    fn links_are_read_as_registries_write_them() {
        let next = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.append(LINK, value.parse().unwrap());
            next_page(&headers)
        };
        for (value, expected) in [
            (r#"</v2/a/tags/list?last=b&n=1>; rel="next""#, Some("/v2/a/tags/list?last=b&n=1")),
            (r#"<https://r.example/x?a=1,2>;rel=next"#, Some("https://r.example/x?a=1,2")),
            (r#"</first>; rel="first", </second>; rel="prev next""#, Some("/second")),
            (r#"</x>; title="a"; REL="NEXT""#, Some("/x")),
            (r#"</x>; rel="last""#, None),
            ("</x>", None),
            ("</x", None),
            ("", None),
        ] {
            assert_eq!(next(value).as_deref(), expected, "{value}");
        }
    }
}
