//! HTTP to key services: what goes wrong is said as of a key.

use std::fmt;
use std::time::Duration;

use reqwest::StatusCode;
use url::Url;

use crate::keys::{KeyError, KeyErrorKind, OpenOptions};
use crate::wire::http;
use crate::wire::http::{HttpFailure, HttpFailureKind};
use crate::wire::one_line;
use crate::wire::tls::Tls;

pub(super) use crate::wire::http::{Answer, Call};

/// A client for one key service.
#[derive(Debug)]
pub(super) struct Http(http::Http);

/// What went wrong, before it is said with which key.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) kind: KeyErrorKind,
    /// The status, where there was an answer.
    pub(super) status: Option<StatusCode>,
    /// What the service said, fit to print.
    pub(super) said: String,
}

impl Http {
    /// A client for the origin of `url`, with the proxies of the environment; what is on this machine or its link,
    /// as the servers of clouds for credentials are, is never asked for through one.
    ///
    /// # Errors
    ///
    /// [`KeyErrorKind::Tls`] for a certificate that cannot be used, [`KeyErrorKind::Malformed`] for a proxy.
    pub(super) fn new(
        url: &Url,
        tls: Tls,
        timeout: Duration,
        options: &OpenOptions,
    ) -> Result<Self, Failure> {
        let http = http::Http::new(url, tls, timeout, options.patience, &*options.environment);
        Ok(Self(http?))
    }

    /// Sends a request, and again where that may help.
    ///
    /// # Errors
    ///
    /// Every status but 2xx; no answer.
    pub(super) async fn send(&self, call: &Call) -> Result<Answer, Failure> {
        Ok(self.0.send(call).await?)
    }
}

impl Failure {
    pub(super) fn new(kind: KeyErrorKind, said: impl AsRef<str>) -> Self {
        let said = one_line(said.as_ref()).unwrap_or_else(|| "it said nothing".into());
        Self { kind, status: None, said }
    }

    /// Says what was being done, with which key.
    pub(super) fn at(self, operation: &'static str, key: impl fmt::Display) -> KeyError {
        KeyError::new(operation, key, self.kind).because(self.said)
    }
}

impl From<HttpFailure> for Failure {
    fn from(failure: HttpFailure) -> Self {
        let kind = match failure.kind {
            HttpFailureKind::Conflict => KeyErrorKind::Exists,
            HttpFailureKind::Malformed => KeyErrorKind::Malformed,
            HttpFailureKind::NotFound => KeyErrorKind::NotFound,
            HttpFailureKind::Permission => KeyErrorKind::Permission,
            HttpFailureKind::Throttled => KeyErrorKind::Throttled,
            HttpFailureKind::Tls => KeyErrorKind::Tls,
            HttpFailureKind::Unavailable => KeyErrorKind::Unavailable,
            HttpFailureKind::Unsupported => KeyErrorKind::Unsupported,
        };
        Self { kind, status: failure.status, said: failure.said }
    }
}
