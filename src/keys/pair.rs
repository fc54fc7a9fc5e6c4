//! New key pairs in cosign's format: generated, or imported from what other tools wrote.

use crate::crypto::{EncryptedKeyError, PrivateKey, PublicKey};
use crate::keys::{KeyError, KeyErrorKind};
use crate::model::Secret;

/// A key pair as it is kept: the private half encrypted, as in cosign's `cosign.key`.
#[derive(Debug)]
pub struct KeyPair {
    /// PEM `ENCRYPTED SIGSTORE PRIVATE KEY`.
    pub private_pem: Secret<String>,
    /// The public half: `cosign.pub` is its PEM.
    pub public_key: PublicKey,
}

impl KeyPair {
    /// Makes a P-256 key under a password, as `cosign generate-key-pair` does. Costs some 200 ms.
    ///
    /// # Errors
    ///
    /// When the machine gives no random numbers.
    pub async fn generate(password: &Secret<String>) -> Result<Self, KeyError> {
        let failed = |kind| KeyError::new("generate", "a key pair", kind);
        let key = PrivateKey::generate_p256()
            .map_err(|error| failed(KeyErrorKind::Unavailable).because(error))?;
        Self::seal("generate", key, password).await
    }

    /// Takes a private key of another tool under a password, as `cosign import-key-pair` does.
    ///
    /// `pem` is PKCS#8 (`PRIVATE KEY`), PKCS#1 (`RSA PRIVATE KEY`) or SEC 1 (`EC PRIVATE KEY`), unencrypted.
    ///
    /// # Errors
    ///
    /// [`KeyErrorKind::Malformed`] where it is none of them; [`KeyErrorKind::Unsupported`] for a key of another
    /// kind than [`KeyAlgorithm`](crate::crypto::KeyAlgorithm) names.
    pub async fn import(pem: &Secret<String>, password: &Secret<String>) -> Result<Self, KeyError> {
        let key = PrivateKey::from_pem(pem).map_err(|error| {
            KeyError::new("import", "the key", KeyErrorKind::Malformed).because(error).advise(
                "give an unencrypted PEM `PRIVATE KEY`, `EC PRIVATE KEY` or `RSA PRIVATE KEY`; `openssl pkey -in FILE` writes one",
            )
        })?;
        Self::seal("import", key, password).await
    }

    async fn seal(
        operation: &'static str,
        key: PrivateKey,
        password: &Secret<String>,
    ) -> Result<Self, KeyError> {
        let public_key = key.public_key().clone();
        let password = password.clone();
        let sealed = tokio::task::spawn_blocking(move || key.to_encrypted_pem(&password)).await;
        let sealed = sealed
            .unwrap_or_else(|error| Err(EncryptedKeyError::Malformed(error.to_string())))
            .map_err(|error| {
                KeyError::new(operation, "the key pair", KeyErrorKind::Unavailable).because(error)
            })?;
        Ok(Self { private_pem: Secret::new(sealed), public_key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::EncryptedKey;

    #[tokio::test]
    async fn a_new_pair_opens_with_its_password_and_belongs_together() {
        let password = Secret::new("test".to_owned());
        let pair = KeyPair::generate(&password).await.unwrap();
        let opened = EncryptedKey::from_pem(pair.private_pem.expose()).unwrap();
        assert_eq!(opened.decrypt(&password).unwrap().public_key(), &pair.public_key);
        let error = KeyPair::import(&pair.private_pem, &password).await.unwrap_err();
        assert_eq!(error.kind, KeyErrorKind::Malformed);
    }
}
