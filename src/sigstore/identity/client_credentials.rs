//! A token for the program itself, for its own secret. Source: RFC 6749 §4.4.

use crate::sigstore::identity::IdentityToken;
use crate::sigstore::identity::failure::of_http;
use crate::sigstore::identity::issuer::{Issuer, SCOPE};
use crate::sigstore::{ServiceError, ServiceErrorKind};

/// Asks the issuer; nobody has to be there.
///
/// # Errors
///
/// No secret, a wrong one, an issuer that gives no identity token for it.
pub(super) async fn token(issuer: &Issuer<'_>) -> Result<IdentityToken, ServiceError> {
    let secret = issuer.client_secret().await?.ok_or_else(|| {
        let said = "the flow `client_credentials` needs the secret of the client";
        issuer
            .failed(ServiceErrorKind::Permission, said)
            .advise("pass `--oidc-client-secret-file FILE`")
    })?;
    let url = issuer.endpoint("token_endpoint")?;
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", &issuer.login().client_id),
        ("client_secret", secret.expose()),
        ("scope", SCOPE),
    ];
    let answer = issuer.post(&url, &fields).await;
    issuer.token_in(&answer.map_err(|failure| of_http("the issuer", &url, failure))?)
}
