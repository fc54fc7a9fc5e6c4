//! What is said where there is no token.

use std::fmt;

use url::Url;

use crate::model::SafeUrl;
use crate::sigstore::identity::{IdentityOptions, TokenError};
use crate::sigstore::{Service, ServiceError, ServiceErrorKind};
use crate::wire::http::{HttpFailure, HttpFailureKind};

const OPERATION: &str = "get an identity token from";

/// A failure of `kind` at `place`.
pub(super) fn failed(
    kind: ServiceErrorKind,
    place: impl fmt::Display,
    said: impl AsRef<str>,
) -> ServiceError {
    ServiceError::new(Service::Identity, OPERATION, place, kind, said)
}

/// What HTTP with `url` came to, as of `place`.
pub(super) fn of_http(place: &str, url: &Url, failure: HttpFailure) -> ServiceError {
    let at = SafeUrl::new(url.clone());
    let error = ServiceError::of_http(Service::Identity, OPERATION, &at, &failure);
    // OAuth 2.0 answers 400 to credentials that are wrong or over.
    let kind = match (failure.kind, failure.oauth_error.as_deref()) {
        (
            HttpFailureKind::Unsupported,
            Some("invalid_client" | "invalid_grant" | "unauthorized_client"),
        ) => ServiceErrorKind::Permission,
        _ => error.kind,
    };
    ServiceError { at: format!("{place} ({at})"), kind, ..error }
}

/// A text of `place` that is no token.
pub(super) fn no_token(place: impl fmt::Display, error: TokenError) -> ServiceError {
    failed(ServiceErrorKind::Untrusted, place, format!("what it gave is no token: {error}"))
}

/// Nobody says who signs, and nobody can be asked.
pub(super) fn no_identity(options: &IdentityOptions) -> ServiceError {
    let said = "no token is given, no provider of tokens is there, and there is nobody to ask: no terminal, or an untrusted spec";
    let error = failed(ServiceErrorKind::Permission, "anywhere", said);
    let is_set = |name| options.variable(name).is_some();
    if is_set("GITHUB_ACTIONS") {
        return error.advise("give the job `permissions: { id-token: write }`");
    }
    if is_set("GITLAB_CI") {
        return error.advise("give the job `id_tokens: { SIGSTORE_ID_TOKEN: { aud: sigstore } }`");
    }
    error.advise(
        "set SIGSTORE_ID_TOKEN, or pass `--identity-token FILE`, or use `--fulcio-auth-flow client_credentials` with `--oidc-client-secret-file`, or run at a terminal to log in",
    )
}
