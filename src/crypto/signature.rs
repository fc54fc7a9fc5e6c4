//! The bytes of a signature.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::Encode as _;
use der::asn1::UintRef;

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

    /// Takes an ECDSA signature as two numbers of the same width, `r` then `s`: how JWS and PKCS#11 write it.
    ///
    /// # Errors
    ///
    /// When the bytes have no two halves.
    pub fn from_halves(bytes: &[u8]) -> Result<Self, SignatureError> {
        let (r, s) = bytes.split_at(bytes.len() / 2);
        if r.is_empty() || r.len() != s.len() {
            return Err(SignatureError::NoHalves(bytes.len()));
        }
        // DER wants no zeros before a number, but one before a number whose first bit is set.
        let encoded = UintRef::new(r)
            .and_then(|r| UintRef::new(s).map(|s| [r, s]))
            .and_then(|numbers| numbers.to_der());
        encoded.map(Self).map_err(|_| SignatureError::NoHalves(bytes.len()))
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
    /// Of this many bytes there are no two numbers of the same width.
    #[error("a signature of {0} bytes has no two halves")]
    NoHalves(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_halves_become_der() {
        for (halves, der) in [
            (vec![1, 2], vec![0x30, 6, 2, 1, 1, 2, 1, 2]),
            // A zero before a first bit that is set; none before another number.
            (vec![0, 0x80, 0, 0x7f], vec![0x30, 7, 2, 2, 0, 0x80, 2, 1, 0x7f]),
            (vec![0, 0, 0, 1], vec![0x30, 6, 2, 1, 0, 2, 1, 1]),
        ] {
            assert_eq!(SignatureBytes::from_halves(&halves).unwrap().as_bytes(), der);
        }
        // P-521: the length of the sequence takes two bytes.
        let long = SignatureBytes::from_halves(&[0xff; 132]).unwrap();
        assert_eq!(long.as_bytes()[..6], [0x30, 0x81, 138, 2, 67, 0]);
        for wrong in [vec![], vec![1, 2, 3]] {
            assert!(SignatureBytes::from_halves(&wrong).is_err());
        }
    }
}
