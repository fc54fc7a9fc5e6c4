//! A signer and an environment for tests, benches and examples. NO SECURITY: anybody can make the same keys.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use crate::crypto::{Hash, PrivateKey, PrivateKeyError, PublicKey};
use crate::keys::local::LocalSigner;
use crate::keys::{Environment, KeyError, Signed, Signer};
use crate::model::{Digest, Secret};

/// A signer whose key follows from a word. NO SECURITY.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use countersign::keys::{Keyring, memory::{MemoryEnvironment, MemorySigner}};
///
/// let signer = MemorySigner::p256("release")?;
/// let same = MemorySigner::p256("release")?;
/// assert_eq!(signer.private_key().public_key(), same.private_key().public_key());
/// let keyring = Keyring::new([], Arc::new(MemoryEnvironment::default()))
///     .with_signer("release".parse()?, Arc::new(signer));
/// assert_eq!(keyring.names().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MemorySigner {
    local: LocalSigner,
    signatures: AtomicUsize,
}

impl MemorySigner {
    /// The P-256 key of `seed`. The same seed gives the same key; signatures differ each time, as ECDSA's do.
    ///
    /// # Errors
    ///
    /// For one seed in 2³², whose number is no key.
    pub fn p256(seed: &str) -> Result<Self, PrivateKeyError> {
        let hashed = Digest::of(seed.as_bytes());
        let scalar = <[u8; 32]>::try_from(hashed.as_bytes())
            .map_err(|_| PrivateKeyError("the seed has no SHA-256".into()))?;
        Ok(Self::new(seed, PrivateKey::p256_from_scalar(&Secret::new(scalar))?))
    }

    /// Takes a key that is open; `name` is what errors call it.
    pub fn new(name: &str, key: PrivateKey) -> Self {
        Self { local: LocalSigner::new(name, key), signatures: AtomicUsize::new(0) }
    }

    /// The key, for what takes one: its public half, its encrypted file.
    pub fn private_key(&self) -> &PrivateKey {
        self.local.private()
    }

    /// How many signatures it has made.
    pub fn signatures(&self) -> usize {
        self.signatures.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Signer for MemorySigner {
    fn public_key(&self) -> Option<&PublicKey> {
        self.local.public_key()
    }

    async fn sign(&self, message: &[u8], hash: Hash) -> Result<Signed, KeyError> {
        self.signatures.fetch_add(1, Ordering::Relaxed);
        self.local.sign(message, hash).await
    }
}

/// Variables and answers that were given beforehand.
#[derive(Debug, Default)]
pub struct MemoryEnvironment {
    variables: BTreeMap<String, Secret<String>>,
    answer: Option<Secret<String>>,
    prompts: Mutex<Vec<String>>,
    service_account: Option<PathBuf>,
}

impl MemoryEnvironment {
    /// The same with a variable.
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), Secret::new(value.to_owned()));
        self
    }

    /// The same with a person at the terminal, who always answers this.
    pub fn with_answer(mut self, password: &str) -> Self {
        self.answer = Some(Secret::new(password.to_owned()));
        self
    }

    /// The same in a pod whose account is in this folder.
    pub fn with_service_account(self, folder: impl Into<PathBuf>) -> Self {
        Self { service_account: Some(folder.into()), ..self }
    }

    /// What was asked at the terminal, in order.
    pub fn prompts(&self) -> Vec<String> {
        self.prompts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Environment for MemoryEnvironment {
    fn variable(&self, name: &str) -> Option<Secret<String>> {
        self.variables.get(name).cloned()
    }

    fn prompt_password(&self, prompt: &str) -> Option<Secret<String>> {
        self.prompts.lock().unwrap_or_else(PoisonError::into_inner).push(prompt.to_owned());
        self.answer.clone()
    }

    fn service_account_folder(&self) -> PathBuf {
        // Not that of the machine: nothing here comes from elsewhere.
        self.service_account.clone().unwrap_or_else(|| PathBuf::from("/nonexistent"))
    }

    fn child_variables(&self) -> Option<Vec<(OsString, OsString)>> {
        let pairs = self.variables.iter();
        Some(pairs.map(|(name, value)| (name.into(), value.expose().into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::conformance;

    #[tokio::test]
    async fn a_seeded_signer_conforms_and_counts() {
        let signer = MemorySigner::p256("release").unwrap();
        let public = signer.private_key().public_key().clone();
        conformance::signer(&signer, &public).await.unwrap();
        assert!(signer.signatures() > 0);
        let other = MemorySigner::p256("other").unwrap();
        assert_ne!(other.private_key().public_key(), &public);
    }
}
