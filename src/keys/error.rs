//! What can go wrong with a key.

use std::error::Error;

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
    /// What the other side said.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

/// The kinds of failure, one for each way out.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum KeyErrorKind {
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
    /// The reference, algorithm or provider is not taken.
    Unsupported,
    /// The password is wrong.
    WrongPassword,
    /// The key is not the one whose public half was declared.
    Mismatch,
}

impl KeyError {
    /// Says whether trying again later can help.
    pub fn is_transient(&self) -> bool {
        matches!(self.kind, KeyErrorKind::Unavailable | KeyErrorKind::Throttled)
    }

    /// stub
    pub fn code(&self) -> &'static str {
        todo!()
    }
    /// stub
    pub fn help(&self) -> Option<&str> {
        todo!()
    }
}
