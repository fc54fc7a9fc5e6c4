//! Logging in with a browser anywhere: a code that somebody types. Source: RFC 8628.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::sigstore::identity::browser::{Pkce, random};
use crate::sigstore::identity::failure::of_http;
use crate::sigstore::identity::issuer::{Issuer, SCOPE};
use crate::sigstore::identity::{IdentityToken, Invitation, Person};
use crate::sigstore::{ServiceError, ServiceErrorKind};
use crate::wire::one_line;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Where the issuer does not say how often it may be asked (RFC 8628 §3.2), and what `slow_down` adds (§3.5).
const INTERVAL: Duration = Duration::from_secs(5);
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// Shows a code, and asks the issuer until somebody has typed it.
///
/// # Errors
///
/// The login was refused, or the code has ended.
pub(super) async fn token(
    issuer: &Issuer<'_>,
    person: &dyn Person,
) -> Result<IdentityToken, ServiceError> {
    let pkce = Pkce::new(random()?);
    let started = start(issuer, &pkce).await?;
    person.invite(&Invitation::Code {
        code: started.user_code.clone(),
        url: started.url.clone(),
        valid_for: started.valid_for,
    });
    poll(issuer, &pkce, &started).await
}

struct Started {
    device_code: String,
    user_code: String,
    url: Url,
    interval: Duration,
    valid_for: Duration,
}

async fn start(issuer: &Issuer<'_>, pkce: &Pkce) -> Result<Started, ServiceError> {
    let login = issuer.login();
    let url = issuer.endpoint("device_authorization_endpoint")?;
    let secret = issuer.client_secret().await?;
    let mut fields = vec![
        ("client_id", login.client_id.as_str()),
        ("scope", SCOPE),
        ("code_challenge", pkce.challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    fields.extend(login.connector.as_deref().map(|it| ("connector_id", it)));
    fields.extend(secret.as_ref().map(|it| ("client_secret", it.expose().as_str())));
    let answer = issuer.post(&url, &fields).await;
    let answer = answer.map_err(|failure| of_http("the issuer", &url, failure))?;
    started(&answer)
        .ok_or_else(|| issuer.failed(ServiceErrorKind::Untrusted, "it gave no code to type"))
}

fn started(answer: &Value) -> Option<Started> {
    let text = |name| answer.get(name).and_then(Value::as_str).filter(|it| !it.is_empty());
    let seconds = |name| answer.get(name).and_then(Value::as_u64).map(Duration::from_secs);
    let url = Url::parse(text("verification_uri_complete").or_else(|| text("verification_uri"))?);
    Some(Started {
        device_code: text("device_code")?.to_owned(),
        user_code: one_line(text("user_code")?)?,
        url: url.ok().filter(|it| matches!(it.scheme(), "http" | "https"))?,
        interval: seconds("interval").unwrap_or(INTERVAL).min(LONGEST_INTERVAL),
        valid_for: seconds("expires_in").unwrap_or(LONGEST).min(LONGEST),
    })
}

async fn poll(
    issuer: &Issuer<'_>,
    pkce: &Pkce,
    started: &Started,
) -> Result<IdentityToken, ServiceError> {
    let url = issuer.endpoint("token_endpoint")?;
    let secret = issuer.client_secret().await?;
    let mut fields = vec![
        ("grant_type", GRANT),
        ("client_id", issuer.login().client_id.as_str()),
        ("device_code", started.device_code.as_str()),
        ("code_verifier", pkce.verifier.expose().as_str()),
    ];
    fields.extend(secret.as_ref().map(|it| ("client_secret", it.expose().as_str())));
    let (mut waited, mut interval) = (Duration::ZERO, started.interval);
    while waited < started.valid_for {
        // A server that allows to be asked without pause is still not asked without end.
        let time = interval.max(Duration::from_secs(1));
        issuer.options.pause.wait(time).await;
        waited += time;
        let failure = match issuer.post(&url, &fields).await {
            Ok(answer) => return issuer.token_in(&answer),
            Err(failure) => failure,
        };
        match failure.oauth_error.as_deref() {
            Some("authorization_pending") => {}
            Some("slow_down") => interval = (interval + INTERVAL).min(LONGEST_INTERVAL),
            Some("expired_token") => break,
            Some("access_denied") => {
                return Err(issuer.failed(ServiceErrorKind::Permission, "the login was refused"));
            }
            _ => return Err(of_http("the issuer", &url, failure)),
        }
    }
    let said = format!("nobody typed the code within {} s", started.valid_for.as_secs());
    Err(issuer.failed(ServiceErrorKind::Permission, said).advise("run again, and log in in time"))
}
