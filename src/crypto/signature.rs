//! The bytes of a signature.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A raw signature: ASN.1 DER for ECDSA, PKCS#1 v1.5 for RSA, 64 bytes for Ed25519.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SignatureBytes(Vec<u8>);

impl SignatureBytes {
    /// Takes `bytes` as they came from a signer.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Reads standard base64; white space anywhere is skipped, as Go's decoder skips it.
    ///
    /// # Errors
    ///
    /// When the text is no base64, or empty.
    pub fn from_base64(text: &str) -> Result<Self, SignatureError> {
        let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        if compact.is_empty() {
            return Err(SignatureError::Empty);
        }
        STANDARD.decode(compact).map(Self).map_err(|_| SignatureError::NotBase64)
    }

    /// Standard base64 with padding, as it stands in an annotation.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(&self.0)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SignatureBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

/// A text that is no signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SignatureError {
    /// There is nothing.
    #[error("the signature is empty")]
    Empty,
    /// It is no base64: perhaps the raw bytes of `openssl dgst`.
    #[error("the signature is not base64")]
    NotBase64,
}
