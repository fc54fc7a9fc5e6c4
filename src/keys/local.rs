//! Signing with a private key in memory: what a file and a variable have in common.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::crypto::{
    EncryptedKey, EncryptedKeyError, Hash, KeyAlgorithm, PrivateKey, PublicKey, SignatureBytes,
};
use crate::keys::password::password;
use crate::keys::{KeyError, KeyErrorKind, OpenOptions, Signed, Signer};
use crate::model::Secret;

/// A private key in memory.
#[derive(Clone, Debug)]
pub(super) struct LocalSigner {
    key: Arc<str>,
    private: Arc<PrivateKey>,
}

/// What to do about a public key beside a private one that is not taken.
#[cfg(any(feature = "gitlab", feature = "kubernetes"))]
pub(super) const KIND_OF_KEYS: &str = "keep a PEM `PUBLIC KEY` there, of ECDSA P-256, P-384 or P-521, RSA with 2048 to 4096 bits, or Ed25519";

// Each takes up to 128 MiB and a whole core.
static DECRYPTIONS: Semaphore = Semaphore::const_new(2);

impl LocalSigner {
    /// Takes a key that is open; `key` is what to call it in an error.
    pub(super) fn new(key: &str, private: PrivateKey) -> Self {
        Self { key: key.into(), private: Arc::new(private) }
    }

    /// Opens the text of an encrypted key. The password is asked for only when the text is one.
    ///
    /// # Errors
    ///
    /// [`KeyErrorKind::Malformed`], [`KeyErrorKind::Unsupported`], [`KeyErrorKind::NoPassword`],
    /// [`KeyErrorKind::WrongPassword`].
    pub(super) async fn open(
        key: &str,
        text: &Secret<String>,
        options: &OpenOptions,
    ) -> Result<Self, KeyError> {
        let encrypted = EncryptedKey::from_pem(text.expose()).map_err(|it| refused(key, it))?;
        let password = password(key, options).await?;
        Self::decrypt(key, encrypted, password).await
    }

    /// The same with the password at hand.
    #[cfg(any(feature = "gitlab", feature = "kubernetes"))]
    pub(super) async fn open_with(
        key: &str,
        text: &Secret<String>,
        password: Secret<String>,
    ) -> Result<Self, KeyError> {
        let encrypted = EncryptedKey::from_pem(text.expose()).map_err(|it| refused(key, it))?;
        Self::decrypt(key, encrypted, password).await
    }

    async fn decrypt(
        key: &str,
        encrypted: EncryptedKey,
        password: Secret<String>,
    ) -> Result<Self, KeyError> {
        // The semaphore is never closed; were it, one more decryption would do no harm.
        let _permit = DECRYPTIONS.acquire().await.ok();
        let opened = tokio::task::spawn_blocking(move || encrypted.decrypt(&password)).await;
        let opened = opened.map_err(|error| {
            KeyError::new("open", key, KeyErrorKind::Unavailable).because(error)
        })?;
        opened.map(|private| Self::new(key, private)).map_err(|it| refused(key, it))
    }

    pub(super) fn private(&self) -> &PrivateKey {
        &self.private
    }
}

fn refused(key: &str, error: EncryptedKeyError) -> KeyError {
    let kind = match &error {
        EncryptedKeyError::WrongPassword => KeyErrorKind::WrongPassword,
        EncryptedKeyError::Key(_)
        | EncryptedKeyError::NotEncrypted(_)
        | EncryptedKeyError::UnknownCipher(_)
        | EncryptedKeyError::UnknownCost { .. }
        | EncryptedKeyError::UnknownKdf(_) => KeyErrorKind::Unsupported,
        _ => KeyErrorKind::Malformed,
    };
    let advice = match &error {
        EncryptedKeyError::NotEncrypted(label) if label == "ENCRYPTED PRIVATE KEY" => Some(
            "decrypt it with `openssl pkey`, then convert it with `countersign import-key-pair --key FILE`",
        ),
        EncryptedKeyError::NotEncrypted(_) => Some(
            "convert it with `countersign import-key-pair --key FILE`, which asks for a password",
        ),
        EncryptedKeyError::NoPrivateKey(label) if label.contains("PUBLIC") => {
            Some("give a public key as `public_key`, and the private one as `key`")
        }
        EncryptedKeyError::UnknownCipher(_)
        | EncryptedKeyError::UnknownCost { .. }
        | EncryptedKeyError::UnknownKdf(_) => {
            Some("write the key anew with `countersign import-key-pair --key FILE`")
        }
        EncryptedKeyError::Malformed(_) | EncryptedKeyError::NoPem => Some(
            "give the private key that `cosign generate-key-pair` wrote, with all of its lines",
        ),
        _ => None,
    };
    let described = KeyError::new("open", key, kind).because(error);
    match advice {
        Some(advice) => described.advise(advice),
        None => described,
    }
}

#[async_trait]
impl Signer for LocalSigner {
    fn public_key(&self) -> Option<&PublicKey> {
        Some(self.private.public_key())
    }

    async fn sign(&self, message: &[u8], hash: Hash) -> Result<Signed, KeyError> {
        let signature = match self.private.public_key().algorithm() {
            // Some milliseconds: too long for a thread that drives requests.
            KeyAlgorithm::Rsa(_) => {
                let (private, message) = (Arc::clone(&self.private), message.to_vec());
                tokio::task::spawn_blocking(move || private.sign(&message, hash))
                    .await
                    .map_err(|error| self.failed(KeyErrorKind::Unavailable, error))?
            }
            _ => self.private.sign(message, hash),
        };
        let signature: SignatureBytes =
            signature.map_err(|error| self.failed(KeyErrorKind::Unsupported, error))?;
        let public_key = self.private.public_key().clone();
        Ok(Signed { signature, public_key, certificate: None })
    }
}

impl LocalSigner {
    fn failed(
        &self,
        kind: KeyErrorKind,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> KeyError {
        KeyError::new("sign with", &self.key, kind).because(source)
    }
}
