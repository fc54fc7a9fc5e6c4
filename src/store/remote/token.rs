//! What is sent to prove who asks: Basic as it is, Bearer from the token server that the registry names.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use crate::model::{RemoteRepository, Secret};
use crate::store::StoreErrorKind;
use crate::store::remote::answer::Answer;
use crate::store::remote::auth::{Access, Granted};
use crate::store::remote::challenge::Challenge;
use crate::store::remote::count::Counted;
use crate::store::remote::docker_config::Credentials;
use crate::store::remote::failure::{self, Failure, Purpose};
use crate::store::remote::file::Body;
use crate::store::remote::host::Request;
use crate::store::remote::{Shared, authority};

/// Token answers are read up to here, in bytes.
const LARGEST_TOKEN: u64 = 1 << 20;

/// How long a token lasts that does not say.
///
/// Source: distribution "Token Authentication Specification": "defaults to 60 seconds".
const DEFAULT_SECONDS: f64 = 60.0;

/// What a token is wanted for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) registry: &'a Url,
    pub(super) repository: &'a RemoteRepository,
    pub(super) access: Access,
    /// The scope in the answer that refused, which may name the repository otherwise.
    pub(super) hint: Option<&'a str>,
}

/// Gets what `challenge` asks for. At most one request, tried again as needed.
pub(super) async fn grant(
    shared: &Shared,
    wanted: Wanted<'_>,
    challenge: &Challenge,
) -> Result<Granted, Failure> {
    let credentials = credentials(shared, wanted.repository).await?;
    match (challenge, credentials) {
        (Challenge::Bearer { .. }, Credentials::Token(token)) => {
            Ok(Granted { header: bearer(token.expose())?, lasts: None })
        }
        (Challenge::Basic, Credentials::Password { username, password }) => {
            Ok(Granted { header: basic(&username, &password)?, lasts: None })
        }
        (Challenge::Basic, Credentials::Anonymous) => Err(Failure::new(
            StoreErrorKind::Unauthorized,
            format!("it asks for a user and a password, and {}", none_known(wanted.repository)),
        )),
        (Challenge::Basic, Credentials::Identity(_) | Credentials::Token(_)) => Err(Failure::new(
            StoreErrorKind::Credentials,
            "it asks for a user and a password, and only a token is known for it",
        )),
        (Challenge::Bearer { realm, service, scope: _ }, credentials) => {
            let realm = check_realm(shared, wanted.registry, realm)?;
            let request = token_request(realm, service.as_deref(), &scope(wanted), &credentials)?;
            exchange(shared, &request, wanted.repository, &credentials).await
        }
    }
}

async fn credentials(
    shared: &Shared,
    repository: &RemoteRepository,
) -> Result<Credentials, Failure> {
    let declared = shared.options.rule(repository.host()).and_then(|it| it.credentials.clone());
    match declared {
        Some((username, password)) => Ok(Credentials::Password { username, password }),
        None => shared.credentials.find(repository.host(), repository.path()).await,
    }
}

fn none_known(repository: &RemoteRepository) -> String {
    let host = repository.host();
    format!("none are known for {host}: run `docker login {host}`, or name them in [registries]")
}

/// The realm may be another host, but the registry must have named it over a connection that nobody
/// could change, and the credentials must go there over such a one.
fn check_realm(shared: &Shared, registry: &Url, realm: &str) -> Result<Url, Failure> {
    let wrong = |what: &str| {
        Failure::new(StoreErrorKind::Redirect, format!("its token server `{realm}` {what}"))
    };
    let mut realm_url = registry.join(realm).map_err(|_| wrong("is no URL"))?;
    // Whatever stands here is not ours to send.
    let _ = realm_url.set_username("");
    let _ = realm_url.set_password(None);
    realm_url.set_fragment(None);
    let good = match realm_url.scheme() {
        "https" => true,
        "http" if registry.scheme() == "http" => {
            let (here, there) = (authority::of(registry), authority::of(&realm_url));
            registry.host_str() == realm_url.host_str()
                || authority::is_loopback(&here) && authority::is_loopback(&there)
                || shared.options.rule(&there).is_some_and(|it| it.plain_http)
        }
        _ => false,
    };
    if good { Ok(realm_url) } else { Err(wrong("is not spoken to over HTTPS")) }
}

/// `repository:acme/api:pull,push`, with the name and the further actions of the answer that refused.
fn scope(wanted: Wanted<'_>) -> String {
    let path = wanted.repository.path();
    let mut hints = wanted.hint.unwrap_or_default().split(' ');
    let hint = hints.find_map(|it| it.strip_prefix("repository:")?.rsplit_once(':'));
    let (name, more) = hint.filter(|(name, _)| !name.is_empty()).unwrap_or((path, ""));
    let mut actions = wanted.access.actions().to_owned();
    for action in more.split(',').filter(|it| !it.is_empty()) {
        if !actions.split(',').any(|it| it == action) {
            actions = format!("{actions},{action}");
        }
    }
    format!("repository:{name}:{actions}")
}

fn token_request(
    mut realm: Url,
    service: Option<&str>,
    scope: &str,
    credentials: &Credentials,
) -> Result<Request, Failure> {
    let request = if let Credentials::Identity(token) = credentials {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token");
        form.append_pair("client_id", "countersign");
        form.append_pair("refresh_token", token.expose());
        form.append_pair("scope", scope);
        if let Some(service) = service {
            form.append_pair("service", service);
        }
        let mut request = Request::new(Method::POST, realm, LARGEST_TOKEN);
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers.insert(CONTENT_TYPE, form_type);
        request.body = Some(Body::Bytes(form.finish().into()));
        request
    } else {
        if let Some(service) = service {
            realm.query_pairs_mut().append_pair("service", service);
        }
        realm.query_pairs_mut().append_pair("scope", scope);
        let mut request = Request::new(Method::GET, realm, LARGEST_TOKEN);
        if let Credentials::Password { username, password } = credentials {
            request.headers.insert(AUTHORIZATION, basic(username, password)?);
        }
        request
    };
    Ok(Request { counted: Counted::Token, ..request })
}

async fn exchange(
    shared: &Shared,
    request: &Request,
    repository: &RemoteRepository,
    credentials: &Credentials,
) -> Result<Granted, Failure> {
    let named = |failure: Failure| {
        let detail = failure.detail.as_deref().unwrap_or("it failed");
        let mut detail = format!("token server {}: {detail}", authority::of(&request.url));
        if matches!(failure.kind, StoreErrorKind::Unauthorized | StoreErrorKind::Forbidden)
            && matches!(credentials, Credentials::Anonymous)
        {
            detail = format!("{detail}; no credentials: {}", none_known(repository));
        }
        Failure { retry_after: failure.retry_after, ..Failure::new(failure.kind, detail) }
    };
    let host = shared.host(&request.url).map_err(named)?;
    let answer = host.exchange(request, None).await.map_err(named)?;
    if answer.status.is_redirection() {
        return Err(named(Failure::new(StoreErrorKind::Redirect, "it leads elsewhere")));
    }
    if !answer.status.is_success() {
        let failure = failure::of_answer(&answer, Purpose::Read);
        // That there is no token says nothing about the image.
        let kind = if failure.kind.is_absent() || failure.kind == StoreErrorKind::Refused {
            StoreErrorKind::Unauthorized
        } else {
            failure.kind
        };
        return Err(named(Failure { kind, ..failure }));
    }
    granted(&answer).map_err(named)
}

fn granted(answer: &Answer) -> Result<Granted, Failure> {
    let wrong = || Failure::new(StoreErrorKind::InvalidAnswer, "its answer holds no token");
    let body: Value = serde_json::from_slice(&answer.body).map_err(|_| wrong())?;
    let token = ["token", "access_token"].iter().find_map(|it| body.get(it)?.as_str());
    let header = bearer(token.filter(|it| !it.is_empty()).ok_or_else(wrong)?)?;
    let seconds = body.get("expires_in").and_then(Value::as_f64).filter(|it| *it >= 1.0);
    // A tenth early: it must still be good when it arrives.
    let lasts = Duration::try_from_secs_f64(seconds.unwrap_or(DEFAULT_SECONDS).min(1e8) * 0.9);
    Ok(Granted { header, lasts: lasts.ok() })
}

fn basic(username: &str, password: &Secret<String>) -> Result<HeaderValue, Failure> {
    let pair = Zeroizing::new(format!("{username}:{}", password.expose()));
    sensitive(&format!("Basic {}", STANDARD.encode(pair.as_bytes())))
}

fn bearer(token: &str) -> Result<HeaderValue, Failure> {
    sensitive(&format!("Bearer {token}"))
}

fn sensitive(text: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(text).map_err(|_| {
        Failure::new(
            StoreErrorKind::Credentials,
            "the credentials have characters that cannot be sent",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_name_what_is_needed_and_what_the_registry_named() {
        let repository: RemoteRepository = "r.example/acme/api".parse().unwrap();
        let registry = Url::parse("https://r.example").unwrap();
        let scope = |access, hint| {
            scope(Wanted { registry: &registry, repository: &repository, access, hint })
        };
        assert_eq!(scope(Access::Pull, None), "repository:acme/api:pull");
        assert_eq!(scope(Access::Delete, None), "repository:acme/api:pull,push,delete");
        let hint = Some("registry:catalog:* repository:local/acme/api:pull,metadata_read");
        assert_eq!(scope(Access::Push, hint), "repository:local/acme/api:pull,push,metadata_read");
        assert_eq!(scope(Access::Pull, Some("nonsense")), "repository:acme/api:pull");
    }

    #[test]
    fn realms_are_https_or_as_near_as_the_registry() {
        let shared = Shared::new(crate::store::RemoteOptions::default());
        let check = |registry: &str, realm: &str| {
            check_realm(&shared, &Url::parse(registry).unwrap(), realm).map(|it| it.to_string())
        };
        assert!(check("https://r.example", "https://auth.example/token").is_ok());
        assert!(check("https://r.example", "http://auth.example/token").is_err());
        assert!(check("https://r.example", "http://r.example/token").is_err());
        assert!(check("https://r.example", "file:///etc/passwd").is_err());
        assert!(check("http://127.0.0.1:5000", "http://localhost:5001/token").is_ok());
        assert!(check("http://127.0.0.1:5000", "http://evil.example/token").is_err());
        assert!(check("http://lan.example:5000", "http://lan.example:5001/token").is_ok());
        assert_eq!(check("https://r.example", "/token").unwrap(), "https://r.example/token");
        assert_eq!(
            check("https://r.example", "https://u:p@a.example/").unwrap(),
            "https://a.example/"
        );
    }
}
