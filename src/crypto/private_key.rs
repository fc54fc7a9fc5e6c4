//! Private keys in memory.

use crate::crypto::{Hash, PublicKey, SignatureBytes};
use crate::model::Secret;

/// A private key that is open. It cannot be exported or printed.
#[derive(Debug)]
pub struct PrivateKey {
    public: PublicKey,
}

impl PrivateKey {
    /// Reads PKCS#8 DER.
    pub fn from_pkcs8(_der: &Secret<Vec<u8>>) -> Result<Self, PrivateKeyError> {
        todo!()
    }
    /// Its public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }
    /// Signs `message`, which is hashed here.
    pub fn sign(&self, _message: &[u8], _hash: Hash) -> Result<SignatureBytes, PrivateKeyError> {
        todo!()
    }
}

/// A private key that cannot be read or used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct PrivateKeyError(pub String);
