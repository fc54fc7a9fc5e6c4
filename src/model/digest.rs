//! Content addresses: `sha256:<64 hex>` and `sha512:<128 hex>`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A hash algorithm that OCI registers for content addresses.
///
/// Source: OCI image-spec 1.1, descriptor.md, "Registered Algorithms".
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Algorithm {
    /// SHA-256, which every registry takes.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// Names the algorithm as it stands in a digest.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }
}

/// A content address: the algorithm and the hash of some bytes.
///
/// The shape is `sha256:<64 lower-case hex>` or `sha512:<128 lower-case hex>`. A value is 40 bytes or
/// less, and orders by algorithm, then by hash.
///
/// # Example
///
/// ```
/// use countersign::model::Digest;
///
/// let digest = Digest::of(b"{}");
/// assert_eq!(
///     digest.to_string(),
///     "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
/// );
/// assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
/// assert!("sha256:44136F".parse::<Digest>().is_err());
/// ```
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Digest(Bytes);

#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Bytes {
    Sha256([u8; 32]),
    Sha512(Box<[u8; 64]>),
}

impl Digest {
    /// Hashes `content` with SHA-256.
    pub fn of(content: &[u8]) -> Self {
        Self::with(Algorithm::Sha256, content)
    }

    /// Hashes `content` with `algorithm`.
    pub fn with(algorithm: Algorithm, content: &[u8]) -> Self {
        use aws_lc_rs::digest::{SHA256, SHA512, digest};
        Self(match algorithm {
            Algorithm::Sha256 => {
                let mut hash = [0; 32];
                hash.copy_from_slice(digest(&SHA256, content).as_ref());
                Bytes::Sha256(hash)
            }
            Algorithm::Sha512 => {
                let mut hash = Box::new([0; 64]);
                hash.copy_from_slice(digest(&SHA512, content).as_ref());
                Bytes::Sha512(hash)
            }
        })
    }

    /// Hashes content that comes in pieces.
    pub fn hasher(algorithm: Algorithm) -> DigestHasher {
        use aws_lc_rs::digest::{Context, SHA256, SHA512};
        DigestHasher(match algorithm {
            Algorithm::Sha256 => Context::new(&SHA256),
            Algorithm::Sha512 => Context::new(&SHA512),
        })
    }

    /// Says whether `content` has this digest.
    pub fn matches(&self, content: &[u8]) -> bool {
        Self::with(self.algorithm(), content) == *self
    }

    /// The algorithm before the colon.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Bytes::Sha256(_) => Algorithm::Sha256,
            Bytes::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The hash itself, 32 or 64 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Sha256(hash) => hash,
            Bytes::Sha512(hash) => hash.as_slice(),
        }
    }

    /// The hash in lower-case hexadecimal, without the algorithm.
    pub fn hex(&self) -> String {
        hex::encode(self.as_bytes())
    }

    /// The first twelve hexadecimal digits with the algorithm, for people.
    pub fn short(&self) -> String {
        let hex = self.hex();
        format!("{}:{}", self.algorithm().name(), hex.get(..12).unwrap_or(&hex))
    }
}

/// A digest in the making: see [`Digest::hasher`].
#[derive(Clone)]
pub struct DigestHasher(aws_lc_rs::digest::Context);

impl DigestHasher {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// Says whether everything that was taken has the digest `expected`.
    pub fn matches(self, expected: &Digest) -> bool {
        self.0.finish().as_ref() == expected.as_bytes()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm().name(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no digest.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is not a digest: expected `sha256:` and 64 lower-case hexadecimal digits")]
pub struct DigestError {
    /// What was written.
    pub text: String,
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let wrong = || DigestError { text: text.to_owned() };
        let (algorithm, hash) = text.split_once(':').ok_or_else(wrong)?;
        if hash.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(wrong());
        }
        match algorithm {
            "sha256" => {
                let mut bytes = [0; 32];
                hex::decode_to_slice(hash, &mut bytes).map_err(|_| wrong())?;
                Ok(Self(Bytes::Sha256(bytes)))
            }
            "sha512" => {
                let mut bytes = Box::new([0; 64]);
                hex::decode_to_slice(hash, bytes.as_mut_slice()).map_err(|_| wrong())?;
                Ok(Self(Bytes::Sha512(bytes)))
            }
            _ => Err(wrong()),
        }
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_algorithms_survive_a_round_trip() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = Digest::with(algorithm, b"content");
            assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
            assert!(digest.matches(b"content"));
            assert!(!digest.matches(b"Content"));
        }
    }

    #[test]
    fn wrong_texts_are_refused() {
        let hex = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        for text in [
            String::new(),
            hex.to_owned(),
            format!("sha256:{}", hex.to_uppercase()),
            format!("sha256:{hex}00"),
            format!("sha256-{hex}"),
            format!("sha512:{hex}"),
            format!("md5:{hex}"),
        ] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
