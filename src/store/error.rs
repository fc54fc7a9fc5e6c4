//! What can go wrong with a store.

use std::error::Error;
use std::io;
use std::path::Path;
use std::time::Duration;

/// A read or write that did not happen.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {target}{}", .detail.as_ref().map(|it| format!(": {it}")).unwrap_or_default())]
pub struct StoreError {
    /// What was being done: "read", "resolve", "list the tags of", "write", "delete".
    pub operation: &'static str,
    /// To what: `ghcr.io/acme/api:1.4.2`. Never with credentials or a query.
    pub target: String,
    /// What callers branch on.
    pub kind: StoreErrorKind,
    /// What the other side said, in one line of at most 300 characters, without credentials.
    pub detail: Option<String>,
    /// How long the other side asked to wait.
    pub retry_after: Option<Duration>,
    /// The cause below.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kinds of failure, one for each way out.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Credentials could not be had: a helper failed, a variable is not set.
    Credentials,
    /// 403: these credentials may not.
    Forbidden,
    /// The answer cannot be right: HTML, half a body, a broken manifest.
    InvalidAnswer,
    /// The tag exists and may not be overwritten.
    ImmutableTag,
    /// The manifest or blob does not exist.
    NotFound,
    /// What is there is not what was expected (`If-Match`): read again.
    Precondition,
    /// The answer leads to another host, or from HTTPS to HTTP, where that is not allowed.
    Redirect,
    /// The operation is refused: deletes are switched off, the media type is not taken.
    Refused,
    /// The repository does not exist (`NAME_UNKNOWN`).
    RepositoryUnknown,
    /// 429: too many requests; try again.
    Throttled,
    /// The body is larger than it may be.
    TooLarge,
    /// TLS failed: an unknown authority, a wrong name.
    Tls,
    /// 401, again after a fresh token.
    Unauthorized,
    /// The registry could not be reached, failed on its side or did not answer in time; try again.
    Unavailable,
    /// The content does not have the digest that it was asked for by.
    WrongDigest,
}

impl StoreErrorKind {
    /// The stable code of this kind in reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::Credentials => "registry::credentials",
            Self::Forbidden => "registry::forbidden",
            Self::InvalidAnswer => "registry::invalid_answer",
            Self::ImmutableTag => "registry::immutable_tag",
            Self::NotFound => "registry::not_found",
            Self::Precondition => "registry::changed",
            Self::Redirect => "registry::redirect",
            Self::Refused => "registry::refused",
            Self::RepositoryUnknown => "registry::repository_unknown",
            Self::Throttled => "registry::throttled",
            Self::TooLarge => "registry::too_large",
            Self::Tls => "registry::tls",
            Self::Unauthorized => "registry::unauthorized",
            Self::Unavailable => "registry::unavailable",
            Self::WrongDigest => "registry::wrong_digest",
        }
    }

    /// How to mend it, in the imperative.
    pub fn help(self) -> Option<&'static str> {
        match self {
            Self::Credentials => {
                Some("log in with `docker login`, or mend the credential helper it names")
            }
            Self::Forbidden => {
                Some("give these credentials the permission to read and write this repository")
            }
            Self::ImmutableTag => Some(
                "exclude tags that begin with `sha256-` from the registry's immutability rule, or set `signature_repository`",
            ),
            Self::InvalidAnswer => {
                Some("check that the host is a registry, and no proxy or login page answers for it")
            }
            Self::Redirect => Some("check the registry's address, and any proxy in between"),
            Self::Refused => {
                Some("switch the operation on in the registry, or do it there by hand")
            }
            Self::Throttled => {
                Some("run again later, or set `requests_per_second` under [registries]")
            }
            Self::Tls => Some("set `ca_file` under [registries] to the registry's authority"),
            Self::TooLarge => Some("look at what is stored there: no signature is that large"),
            Self::Unauthorized => Some(
                "log in with `docker login`, or set `username_env` and `password_env` under [registries]",
            ),
            Self::Unavailable | Self::Precondition => Some("run again: what is done is kept"),
            Self::WrongDigest => {
                Some("the registry or something in between changes content: ask its operator")
            }
            Self::NotFound | Self::RepositoryUnknown => None,
        }
    }

    /// Says whether trying again later can help: limits, outages, lost races.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Precondition | Self::Throttled | Self::Unavailable)
    }

    /// Says whether the thing is not there, for sure.
    pub fn is_absent(self) -> bool {
        matches!(self, Self::NotFound | Self::RepositoryUnknown)
    }
}

impl StoreError {
    /// An error without detail, cause or delay.
    pub fn new(operation: &'static str, target: impl ToString, kind: StoreErrorKind) -> Self {
        let target = target.to_string();
        Self { operation, target, kind, detail: None, retry_after: None, source: None }
    }

    /// A file of this machine that could not be read or written.
    pub(crate) fn of_file(operation: &'static str, path: &Path, error: io::Error) -> Self {
        Self::new(operation, path.display(), StoreErrorKind::Unavailable).caused_by(error)
    }

    /// The same with what the other side said.
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same with its cause.
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}
