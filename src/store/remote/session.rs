//! One request for a repository from beginning to end: tokens, refusals, redirects.

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, LOCATION};
use reqwest::{Method, StatusCode};
use url::Url;

use crate::model::{RemoteRepository, SafeUrl};
use crate::store::StoreErrorKind;
use crate::store::remote::answer::Answer;
use crate::store::remote::auth::{Access, Held};
use crate::store::remote::challenge::{self, Challenge};
use crate::store::remote::failure::Failure;
use crate::store::remote::host::{Host, Request};
use crate::store::remote::token::{Wanted, grant};
use crate::store::remote::{Shared, authority};

/// More than any registry needs.
const MOST_HOPS: usize = 5;

/// A request for a repository.
#[derive(Clone, Debug)]
pub(super) struct Call<'a> {
    pub(super) repository: &'a RemoteRepository,
    pub(super) access: Access,
    pub(super) request: Request,
    pub(super) redirects: Redirects,
}

/// Where an answer may lead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Redirects {
    /// To other hosts too, without credentials: what comes is checked against its digest.
    Anywhere,
    /// Within the registry.
    SameOrigin,
}

/// Sends the call and follows where it leads. Any status but a redirect is an answer.
pub(super) async fn call(shared: &Shared, call: Call<'_>) -> Result<Answer, Failure> {
    let registry = shared.registry(call.repository)?;
    let mut request = call.request.clone();
    let mut at_home = authority::same_origin(&request.url, &registry.origin);
    for _ in 0..=MOST_HOPS {
        let answer = if at_home {
            authorized(shared, &registry, &call, &request).await?
        } else {
            shared.host(&request.url)?.exchange(&request, None).await?
        };
        if !is_redirect(&answer) {
            return Ok(answer);
        }
        let location = answer.headers.get(LOCATION).and_then(|it| it.to_str().ok());
        let Some(location) = location.filter(|_| may_follow(&request.method, answer.status)) else {
            let detail = format!("{} leads nowhere that can be followed", answer.status.as_u16());
            return Err(Failure::new(StoreErrorKind::Redirect, detail));
        };
        let next = target(&request.url, location)?;
        if !authority::same_origin(&next, &registry.origin) {
            if call.redirects == Redirects::SameOrigin {
                return Err(leads("to another host", &next));
            }
            // From here on without credentials, even if it leads back.
            at_home = false;
            request.headers.remove(AUTHORIZATION);
        }
        request.url = next;
    }
    Err(Failure::new(StoreErrorKind::Redirect, format!("it leads on after {MOST_HOPS} redirects")))
}

/// Where `location` leads from `url`; never from HTTPS to HTTP.
pub(super) fn target(url: &Url, location: &str) -> Result<Url, Failure> {
    let mut next = url
        .join(location)
        .map_err(|_| Failure::new(StoreErrorKind::Redirect, "its `Location` is no URL"))?;
    // Credentials that an answer brings are not ours to send.
    let _ = next.set_username("");
    let _ = next.set_password(None);
    match (url.scheme(), next.scheme()) {
        (_, "https") | ("http", "http") => Ok(next),
        ("https", "http") => Err(leads("from HTTPS to HTTP", &next)),
        _ => Err(leads("away from HTTP", &next)),
    }
}

fn leads(whither: &str, next: &Url) -> Failure {
    let detail = format!("it leads {whither}: {}", SafeUrl::new(next.clone()));
    Failure::new(StoreErrorKind::Redirect, detail)
}

fn is_redirect(answer: &Answer) -> bool {
    matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// A write is repeated elsewhere only where the answer says that its method stays.
fn may_follow(method: &Method, status: StatusCode) -> bool {
    matches!(*method, Method::GET | Method::HEAD) || matches!(status.as_u16(), 307 | 308)
}

/// Sends a request to the registry with what it wants to see; once more after a new token.
async fn authorized(
    shared: &Shared,
    registry: &Host,
    call: &Call<'_>,
    request: &Request,
) -> Result<Answer, Failure> {
    let (auth, path) = (&registry.auth, call.repository.path());
    let obtain = Obtain { shared, registry, call };
    let mut is_new = false;
    let mut held = auth.held(path, call.access).await;
    if held.is_none()
        && let Some(challenge) = auth.challenge(path)
    {
        match obtain.token(&challenge, None, None).await {
            Ok(token) => {
                held = Some(token);
                is_new = true;
            }
            // No password is known, and another repository asked for it: this one may be open to everybody.
            Err(failure) if *challenge == Challenge::Basic && is_denial(&failure) => {}
            Err(failure) => return Err(failure),
        }
    }
    let answer = registry.exchange(request, held.as_ref().map(|it| &it.header)).await?;
    let asked = challenge::of_headers(&answer.headers).map(Arc::new);
    let (challenge, hint) = match (answer.status, asked, &held) {
        (StatusCode::UNAUTHORIZED, Some(asked), _) => {
            auth.learn(path, &asked);
            let hint = match &*asked {
                Challenge::Bearer { scope, .. } => scope.clone(),
                Challenge::Basic => None,
            };
            (asked, hint)
        }
        // ECR answers 403 to tokens that have ended; some answer 401 and ask for nothing.
        (StatusCode::FORBIDDEN, _, Some(_)) | (StatusCode::UNAUTHORIZED, None, Some(_))
            if !is_new =>
        {
            match auth.challenge(path) {
                Some(challenge) => (challenge, None),
                None => return Ok(answer),
            }
        }
        _ => return Ok(answer),
    };
    if let Some(held) = &held {
        if !auth.can_renew(path, held).await {
            return Ok(answer);
        }
        shared.credentials.forget();
    }
    let new = obtain.token(&challenge, held.as_ref(), hint.as_deref()).await?;
    let answer = registry.exchange(request, Some(&new.header)).await?;
    if matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        auth.renewed_in_vain(path, &new).await;
    }
    Ok(answer)
}

struct Obtain<'a> {
    shared: &'a Shared,
    registry: &'a Host,
    call: &'a Call<'a>,
}

impl Obtain<'_> {
    async fn token(
        &self,
        challenge: &Challenge,
        refused: Option<&Held>,
        hint: Option<&str>,
    ) -> Result<Held, Failure> {
        let (auth, repository, access) =
            (&self.registry.auth, self.call.repository, self.call.access);
        let fetch = async |access| {
            let grant = || {
                let wanted = Wanted { registry: &self.registry.origin, repository, access, hint };
                grant(self.shared, wanted, challenge)
            };
            auth.token(repository.path(), access, refused, grant).await
        };
        let asked = match (challenge, refused) {
            // A password allows what it allows.
            (Challenge::Basic, _) => Access::Delete,
            (Challenge::Bearer { .. }, Some(_)) => access,
            (Challenge::Bearer { .. }, None) => {
                auth.to_ask(repository.path(), access, self.shared.options.intent).await
            }
        };
        match fetch(asked).await {
            Err(failure) if asked > access && is_denial(&failure) => fetch(access).await,
            result => result,
        }
    }
}

fn is_denial(failure: &Failure) -> bool {
    matches!(failure.kind, StoreErrorKind::Forbidden | StoreErrorKind::Unauthorized)
}
