//! Public keys.

use std::fmt;
use std::sync::Arc;

use crate::crypto::{Hash, KeyAlgorithm, SignatureBytes};
use crate::model::Digest;

/// A public key that has been read and whose algorithm is known.
#[derive(Clone)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    spki: Arc<[u8]>,
}

impl PublicKey {
    /// Reads a PEM `PUBLIC KEY`.
    pub fn from_pem(_pem: &str) -> Result<Self, PublicKeyError> {
        todo!()
    }
    /// Reads PKIX DER.
    pub fn from_der(_der: &[u8]) -> Result<Self, PublicKeyError> {
        todo!()
    }
    /// PEM `PUBLIC KEY`.
    pub fn to_pem(&self) -> String {
        todo!()
    }
    /// PKIX DER.
    pub fn as_der(&self) -> &[u8] {
        &self.spki
    }
    /// The algorithm.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }
    /// SHA-256 of the PKIX DER: who signed.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.spki)
    }
    /// Says whether `signature` is good over `message` with `hash`.
    pub fn verifies(&self, _message: &[u8], _signature: &SignatureBytes, _hash: Hash) -> bool {
        todo!()
    }
    /// The hash with which the signature is good, `preferred` first.
    pub fn verifying_hash(
        &self,
        _message: &[u8],
        _signature: &SignatureBytes,
        _preferred: Hash,
    ) -> Option<Hash> {
        todo!()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm, self.fingerprint().short())
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}
impl Eq for PublicKey {}

/// Bytes that are no public key that cosign takes.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct PublicKeyError(pub String);
