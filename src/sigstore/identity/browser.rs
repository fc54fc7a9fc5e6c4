//! Logging in with a browser on this machine: authorization code with PKCE.
//!
//! The browser comes back to a port of this machine, which is open until it does. Source: RFC 8252, RFC 7636,
//! OpenID Connect Core 1.0 §3.1.

mod redirect;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use crate::model::Secret;
use crate::sigstore::identity::browser::redirect::Redirect;
use crate::sigstore::identity::failure::{failed, of_http};
use crate::sigstore::identity::issuer::{Issuer, SCOPE};
use crate::sigstore::identity::{IdentityToken, Invitation, Person};
use crate::sigstore::{ServiceError, ServiceErrorKind};

/// Sends somebody to the issuer, and takes what the browser brings back.
///
/// # Errors
///
/// An issuer without PKCE, a refused login, nobody within five minutes; a token that is not of this login.
pub(super) async fn token(
    issuer: &Issuer<'_>,
    person: &dyn Person,
) -> Result<IdentityToken, ServiceError> {
    if !issuer.takes_s256() {
        let said = "it does not take PKCE with S256, without which a code could be stolen";
        return Err(issuer.failed(ServiceErrorKind::Refused, said));
    }
    let (pkce, state, nonce) = (Pkce::new(random()?), random()?, random()?);
    let redirect = Redirect::listen(issuer.login().redirect.as_ref()).await;
    let redirect = redirect.map_err(|why| {
        issuer.failed(ServiceErrorKind::Refused, why).advise(
            "pass `--oidc-redirect-url http://localhost:PORT/auth/callback` with a free port, or use `--fulcio-auth-flow device`",
        )
    })?;
    let url = address(issuer, &pkce, &state, &nonce, redirect.url())?;
    person.invite(&Invitation::Browser { url });
    let code = redirect.code(&state).await.map_err(|why| {
        issuer
            .failed(ServiceErrorKind::Permission, why)
            .advise("run again, and log in in time; without a browser on this machine, use `--fulcio-auth-flow device`")
    })?;
    let token = exchange(issuer, &pkce, &code, redirect.url()).await?;
    if token.nonce() != Some(nonce.expose()) {
        return Err(issuer.failed(ServiceErrorKind::Untrusted, "its token is of another login"));
    }
    Ok(token)
}

/// The page of the issuer, with all that it must give back.
fn address(
    issuer: &Issuer<'_>,
    pkce: &Pkce,
    state: &Secret<String>,
    nonce: &Secret<String>,
    redirect: &Url,
) -> Result<Url, ServiceError> {
    let mut url = issuer.endpoint("authorization_endpoint")?;
    let login = issuer.login();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &login.client_id)
        .append_pair("redirect_uri", redirect.as_str())
        .append_pair("scope", SCOPE)
        .append_pair("access_type", "online")
        .append_pair("state", state.expose())
        .append_pair("nonce", nonce.expose())
        .append_pair("code_challenge", &pkce.challenge)
        .append_pair("code_challenge_method", "S256")
        .extend_pairs(login.connector.iter().map(|it| ("connector_id", it)));
    Ok(url)
}

async fn exchange(
    issuer: &Issuer<'_>,
    pkce: &Pkce,
    code: &Secret<String>,
    redirect: &Url,
) -> Result<IdentityToken, ServiceError> {
    let url = issuer.endpoint("token_endpoint")?;
    let secret = issuer.client_secret().await?;
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("client_id", issuer.login().client_id.as_str()),
        ("code", code.expose().as_str()),
        ("redirect_uri", redirect.as_str()),
        ("code_verifier", pkce.verifier.expose().as_str()),
    ];
    fields.extend(secret.as_ref().map(|it| ("client_secret", it.expose().as_str())));
    let answer = issuer.post(&url, &fields).await;
    issuer.token_in(&answer.map_err(|failure| of_http("the issuer", &url, failure))?)
}

/// A secret of this login, and what may be known of it before.
pub(super) struct Pkce {
    pub(super) verifier: Secret<String>,
    pub(super) challenge: String,
}

impl Pkce {
    /// Takes a random text. Source: RFC 7636 §4.
    pub(super) fn new(verifier: Secret<String>) -> Self {
        let hashed = digest(&SHA256, verifier.expose().as_bytes());
        Self { challenge: URL_SAFE_NO_PAD.encode(hashed), verifier }
    }
}

/// 43 random characters: 256 bits.
pub(super) fn random() -> Result<Secret<String>, ServiceError> {
    let mut bytes = [0_u8; 32];
    rand::fill(&mut bytes).map_err(|_| {
        let said = "the machine gives no random numbers";
        failed(ServiceErrorKind::Refused, "this machine", said)
    })?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}

#[cfg(test)]
mod tests;
