//! Signing with a key in a service: what all services have in common.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::crypto::{Hash, KeyAlgorithm, PublicKey, SignatureBytes};
use crate::keys::{KeyError, KeyErrorKind, Signed, Signer};

/// A private key in a service, which makes raw signatures.
#[async_trait]
pub(super) trait RemoteKey: fmt::Debug + Send + Sync {
    /// Asks the service. `hash` is one that the signer was said to have.
    async fn sign(&self, message: &[u8], hash: Hash) -> Result<SignatureBytes, KeyError>;
}

/// The signer for a key in a service.
///
/// Each signature is verified with the public key before it is given out: a service may have rotated the key,
/// hashed twice, or been somebody else.
#[derive(Debug)]
pub(super) struct RemoteSigner<K> {
    name: Arc<str>,
    public_key: PublicKey,
    hashes: Vec<Hash>,
    permits: Semaphore,
    key: K,
}

/// Requests at once for one key. Services count signatures for each key: AWS some hundreds a second, others less.
pub(super) const CONCURRENCY: usize = 16;

impl<K: RemoteKey> RemoteSigner<K> {
    /// Takes a key whose public half is `public_key` and that signs with `hashes`; Ed25519 takes every one.
    pub(super) fn new(
        name: impl fmt::Display,
        public_key: PublicKey,
        hashes: impl Into<Vec<Hash>>,
        key: K,
    ) -> Self {
        Self {
            name: name.to_string().into(),
            public_key,
            hashes: hashes.into(),
            permits: Semaphore::new(CONCURRENCY),
            key,
        }
    }

    fn failed(&self, kind: KeyErrorKind) -> KeyError {
        KeyError::new("sign with", &self.name, kind)
    }
}

#[async_trait]
impl<K: RemoteKey> Signer for RemoteSigner<K> {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(&self.public_key)
    }

    #[tracing::instrument(name = "key.sign", skip_all, fields(key = %self.name), err(level = "debug"))]
    async fn sign(&self, message: &[u8], hash: Hash) -> Result<Signed, KeyError> {
        let algorithm = self.public_key.algorithm();
        if algorithm != KeyAlgorithm::Ed25519 && !self.hashes.contains(&hash) {
            let names: Vec<_> = self.hashes.iter().map(|it| format!("`hash = \"{it}\"`")).collect();
            return Err(self
                .failed(KeyErrorKind::Unsupported)
                .because(format!("this {algorithm} key does not sign with {hash}"))
                .advise(format!("give the signer {}", names.join(" or "))));
        }
        // The semaphore is never closed; were it, one more request would do no harm.
        let _permit = self.permits.acquire().await.ok();
        let signature = self.key.sign(message, hash).await?;
        if !self.public_key.verifies(message, &signature, hash) {
            return Err(self
                .failed(KeyErrorKind::Mismatch)
                .because(format!(
                    "the signature that came back is not good under the public key {} ({algorithm})",
                    self.public_key.fingerprint()
                ))
                .advise("if the key was rotated a moment ago, run again; else the service, or a proxy before it, is at fault"));
        }
        let public_key = self.public_key.clone();
        Ok(Signed { signature, public_key, certificate: None })
    }
}

#[cfg(test)]
mod tests;
