//! What can go wrong with a key.

use std::error::Error;
use std::fmt;

use crate::sigstore::{ServiceError, ServiceErrorKind};

/// A key that could not be opened or used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {key}")]
pub struct KeyError {
    /// What was being done: "open", "sign with".
    pub operation: &'static str,
    /// Which key, as the spec refers to it. Never its content.
    pub key: String,
    /// What callers branch on.
    pub kind: KeyErrorKind,
    /// How to mend it, where there is more to say than the kind says.
    pub advice: Option<String>,
    /// What the other side said.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kinds of failure, one for each way out.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum KeyErrorKind {
    /// The key is there, and is disabled or to be destroyed.
    Disabled,
    /// A key is to be created, and there is one already. None is ever overwritten.
    Exists,
    /// The bytes are no key of a form that is taken.
    Malformed,
    /// The password is missing.
    NoPassword,
    /// The key, file or variable does not exist.
    NotFound,
    /// The provider refused the credentials or the permission.
    Permission,
    /// The provider could not be reached, or failed on its side: try again.
    Unavailable,
    /// The provider is limiting requests: try again.
    Throttled,
    /// TLS with the provider cannot be set up, or its certificate is not trusted.
    Tls,
    /// The reference, algorithm or provider is not taken.
    Unsupported,
    /// The password is wrong.
    WrongPassword,
    /// The key is not the one whose public half was declared.
    Mismatch,
}

impl KeyError {
    /// Says that `operation` on `key` failed.
    pub fn new(operation: &'static str, key: impl fmt::Display, kind: KeyErrorKind) -> Self {
        Self { operation, key: key.to_string(), kind, advice: None, source: None }
    }

    /// The same with its cause: an error, or a text.
    pub fn because(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// The same with what to do, in the imperative.
    pub fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    /// The same for a service that certifies keys or identities: with its code and its help.
    pub(super) fn of_service(name: impl fmt::Display, error: ServiceError) -> Self {
        let kind = match error.kind {
            ServiceErrorKind::Permission => KeyErrorKind::Permission,
            ServiceErrorKind::Throttled => KeyErrorKind::Throttled,
            ServiceErrorKind::Tls => KeyErrorKind::Tls,
            ServiceErrorKind::Unavailable => KeyErrorKind::Unavailable,
            _ => KeyErrorKind::Unsupported,
        };
        Self::new("sign as", name, kind).because(error)
    }

    fn service(&self) -> Option<&ServiceError> {
        self.source.as_ref()?.downcast_ref()
    }

    /// Says whether trying again later can help.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, KeyErrorKind::Unavailable | KeyErrorKind::Throttled)
    }

    /// The stable code: `key::wrong_password`.
    pub fn code(&self) -> &'static str {
        self.service().map_or_else(|| self.kind.code(), ServiceError::code)
    }

    /// What to do about it, in the imperative.
    pub fn help(&self) -> Option<&str> {
        let service = || self.service().and_then(ServiceError::help);
        self.advice.as_deref().or_else(service).or_else(|| self.kind.help())
    }
}

impl KeyErrorKind {
    /// The stable code: `key::wrong_password`.
    pub fn code(self) -> &'static str {
        match self {
            Self::Disabled => "key::disabled",
            Self::Exists => "key::exists",
            Self::Malformed => "key::malformed",
            Self::Mismatch => "key::mismatch",
            Self::NoPassword => "key::no_password",
            Self::NotFound => "key::not_found",
            Self::Permission => "key::permission",
            Self::Throttled => "key::throttled",
            Self::Tls => "key::tls",
            Self::Unavailable => "key::unavailable",
            Self::Unsupported => "key::unsupported",
            Self::WrongPassword => "key::wrong_password",
        }
    }

    fn help(self) -> Option<&'static str> {
        match self {
            Self::Disabled => Some("enable the key where it lives, or declare another"),
            Self::Exists => Some("choose another name, or delete the old key first"),
            Self::Mismatch => {
                Some("declare the `public_key` that belongs to `key`, or the other key")
            }
            Self::NoPassword => Some(
                "set COSIGN_PASSWORD (empty for an empty password), or give the signer `password_env` or `password_file`, or run at a terminal to be asked",
            ),
            Self::Throttled | Self::Unavailable => Some("try again later"),
            Self::WrongPassword => Some(
                "check COSIGN_PASSWORD, or the signer's `password_env` or `password_file`; if it is right, the file was changed",
            ),
            _ => None,
        }
    }
}

impl miette::Diagnostic for KeyError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(Self::code(self)))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Self::help(self).map(|text| Box::new(text) as Box<dyn fmt::Display>)
    }
}
