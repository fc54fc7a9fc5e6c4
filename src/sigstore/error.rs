//! What can go wrong with a service of sigstore.

use std::fmt;

use reqwest::StatusCode;

use crate::model::SafeUrl;
use crate::plan::{Failure, FailureClass};
use crate::wire::http::{HttpFailure, HttpFailureKind};
use crate::wire::one_line;

/// A service that could not be used, or that gave what does not hold.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {operation} {at}: {said}")]
pub struct ServiceError {
    /// Which kind of service.
    pub service: Service,
    /// What was being done: "get a certificate from".
    pub operation: &'static str,
    /// Where: its URL without credentials, or what names it.
    pub at: String,
    /// What callers branch on.
    pub kind: ServiceErrorKind,
    /// What it said, or what is wrong with what it gave. Never a token.
    pub said: String,
    /// How to mend it, where there is more to say than the kind says.
    pub advice: Option<String>,
}

/// The kinds of service.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Service {
    /// The certification authority for identities.
    Fulcio,
    /// An issuer of identity tokens.
    Identity,
    /// A transparency log.
    Rekor,
    /// A timestamp authority.
    Timestamp,
    /// The repository of trusted roots.
    Tuf,
}

/// The kinds of failure, one for each way out.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum ServiceErrorKind {
    /// The credentials or the identity are missing, wrong or not enough.
    Permission,
    /// It does not take what was asked.
    Refused,
    /// It limits requests: try again.
    Throttled,
    /// TLS cannot be set up, or its certificate is not trusted.
    Tls,
    /// It could not be reached, or failed on its side: try again.
    Unavailable,
    /// What it gave is malformed, or does not hold: nothing of it was used.
    Untrusted,
}

impl ServiceError {
    /// Says that `operation` failed at `at`, and why.
    pub fn new(
        service: Service,
        operation: &'static str,
        at: impl fmt::Display,
        kind: ServiceErrorKind,
        said: impl AsRef<str>,
    ) -> Self {
        let said = one_line(said.as_ref()).unwrap_or_else(|| "it said nothing".to_owned());
        Self { service, operation, at: at.to_string(), kind, said, advice: None }
    }

    /// The same with what to do, in the imperative.
    pub fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    /// Says whether trying again later can help.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, ServiceErrorKind::Throttled | ServiceErrorKind::Unavailable)
    }

    /// The stable code: `rekor::unavailable`.
    pub fn code(&self) -> &'static str {
        let [permission, refused, throttled, tls, unavailable, untrusted] = match self.service {
            Service::Fulcio => [
                "fulcio::permission",
                "fulcio::refused",
                "fulcio::throttled",
                "fulcio::tls",
                "fulcio::unavailable",
                "fulcio::untrusted",
            ],
            Service::Identity => [
                "oidc::permission",
                "oidc::refused",
                "oidc::throttled",
                "oidc::tls",
                "oidc::unavailable",
                "oidc::untrusted",
            ],
            Service::Rekor => [
                "rekor::permission",
                "rekor::refused",
                "rekor::throttled",
                "rekor::tls",
                "rekor::unavailable",
                "rekor::untrusted",
            ],
            Service::Timestamp => [
                "tsa::permission",
                "tsa::refused",
                "tsa::throttled",
                "tsa::tls",
                "tsa::unavailable",
                "tsa::untrusted",
            ],
            Service::Tuf => [
                "tuf::permission",
                "tuf::refused",
                "tuf::throttled",
                "tuf::tls",
                "tuf::unavailable",
                "tuf::untrusted",
            ],
        };
        match self.kind {
            ServiceErrorKind::Permission => permission,
            ServiceErrorKind::Refused => refused,
            ServiceErrorKind::Throttled => throttled,
            ServiceErrorKind::Tls => tls,
            ServiceErrorKind::Unavailable => unavailable,
            ServiceErrorKind::Untrusted => untrusted,
        }
    }

    /// What to do about it, in the imperative.
    pub fn help(&self) -> Option<&str> {
        self.advice.as_deref().or(match self.kind {
            ServiceErrorKind::Throttled | ServiceErrorKind::Unavailable => {
                Some("run again later: what is done is kept")
            }
            ServiceErrorKind::Untrusted => Some(
                "do not use what it gave; check that `trusted_root` and `signing_config` belong to the same services",
            ),
            _ => None,
        })
    }

    pub(crate) fn of_http(
        service: Service,
        operation: &'static str,
        at: &SafeUrl,
        failure: &HttpFailure,
    ) -> Self {
        let kind = match failure.kind {
            // It will never be able to do it.
            _ if failure.status == Some(StatusCode::NOT_IMPLEMENTED) => ServiceErrorKind::Refused,
            HttpFailureKind::Permission => ServiceErrorKind::Permission,
            HttpFailureKind::Throttled => ServiceErrorKind::Throttled,
            HttpFailureKind::Tls => ServiceErrorKind::Tls,
            HttpFailureKind::Unavailable => ServiceErrorKind::Unavailable,
            HttpFailureKind::Malformed => ServiceErrorKind::Untrusted,
            HttpFailureKind::Conflict
            | HttpFailureKind::NotFound
            | HttpFailureKind::Unsupported => ServiceErrorKind::Refused,
        };
        Self::new(service, operation, at, kind, &failure.said)
    }
}

/// As the reason of a change that failed.
impl From<&ServiceError> for Failure {
    fn from(error: &ServiceError) -> Self {
        let class = match error.kind {
            ServiceErrorKind::Throttled | ServiceErrorKind::Unavailable => FailureClass::Temporary,
            ServiceErrorKind::Permission => FailureClass::Permission,
            _ => FailureClass::Error,
        };
        let failure = Self::new(error.code(), error.to_string(), class);
        match error.help() {
            Some(help) => failure.help(help),
            None => failure,
        }
    }
}
