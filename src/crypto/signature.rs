//! The bytes of a signature.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::Encode as _;
use der::asn1::{SequenceOf, UintRef};

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

    /// Reads an ECDSA signature as tokens and Azure give it: r and s side by side, of the same width.
    ///
    /// Source: IEEE P1363, RFC 7518 §3.4. Becomes ASN.1 DER, with as few bytes as it takes.
    ///
    /// # Errors
    ///
    /// When there are no two halves, or one of them is zero.
    pub fn from_fixed_width(bytes: &[u8]) -> Result<Self, SignatureError> {
        let (r, s) = bytes.split_at(bytes.len() / 2);
        let is_zero = |half: &[u8]| half.iter().all(|byte| *byte == 0);
        if r.len() != s.len() || is_zero(r) || is_zero(s) {
            return Err(SignatureError::NotFixedWidth);
        }
        let number = |half| UintRef::new(half).map_err(|_| SignatureError::NotFixedWidth);
        let mut pair = SequenceOf::<UintRef<'_>, 2>::new();
        for half in [r, s] {
            pair.add(number(half)?).map_err(|_| SignatureError::NotFixedWidth)?;
        }
        pair.to_der().map(Self).map_err(|_| SignatureError::NotFixedWidth)
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
    /// It is not r and s side by side.
    #[error("the signature is not two numbers of the same width")]
    NotFixedWidth,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_become_numbers_without_leading_zeros() {
        let fixed = |bytes: &[u8]| SignatureBytes::from_fixed_width(bytes).map(|it| it.0);
        assert_eq!(fixed(&[0, 1, 0, 2]), Ok(vec![0x30, 6, 2, 1, 1, 2, 1, 2]));
        // A first bit that is set would make it negative.
        assert_eq!(fixed(&[0x80, 0x7f]), Ok(vec![0x30, 7, 2, 2, 0, 0x80, 2, 1, 0x7f]));
        let p521 = fixed(&[0xff; 132]).unwrap();
        assert_eq!(p521[..3], [0x30, 0x81, 138]);
        for wrong in [&[][..], &[1], &[1, 2, 3], &[0, 0, 1, 1], &[1, 0]] {
            assert_eq!(fixed(wrong), Err(SignatureError::NotFixedWidth), "{wrong:?}");
        }
    }
}
