//! Names that a spec gives to its signers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The name of a signer in a spec: `release` in `[signers.release]`.
///
/// Letters, digits, `-`, `_` and `.`, at most 64 of them, beginning with a letter or a digit: it can
/// stand in a report, a file name and a metric label without quoting. Cloning costs no allocation.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SignerName(Arc<str>);

impl SignerName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SignerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SignerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// A text that cannot name a signer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{text}` cannot name a signer: use letters, digits, `-`, `_` and `.`, at most 64, beginning with a letter or a digit"
)]
pub struct NameError {
    /// What was written.
    pub text: String,
}

impl FromStr for SignerName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let rest = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        if first && rest && text.len() <= 64 {
            Ok(Self(text.into()))
        } else {
            Err(NameError { text: text.to_owned() })
        }
    }
}

impl Serialize for SignerName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SignerName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
