//! Signers: whatever holds a private key, behind one trait.

#[cfg(feature = "aws-kms")]
mod aws_kms;
#[cfg(feature = "azure-key-vault")]
mod azure_key_vault;
#[cfg(any(feature = "azure-key-vault", feature = "gcp-kms"))]
mod bearer;
pub mod conformance;
mod env;
mod error;
mod file;
#[cfg(feature = "gcp-kms")]
mod gcp_kms;
#[cfg(feature = "github")]
mod github;
#[cfg(feature = "gitlab")]
mod gitlab;
#[cfg(any(
    feature = "azure-key-vault",
    feature = "gcp-kms",
    feature = "github",
    feature = "gitlab",
    feature = "kubernetes",
    feature = "vault"
))]
#[cfg_attr(
    not(feature = "all-providers"),
    allow(dead_code, reason = "some parts serve some providers only")
)]
mod http;
mod keyless;
mod keyring;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod local;
pub mod memory;
mod pair;
mod password;
#[cfg(feature = "pkcs11")]
mod pkcs11;
#[cfg(feature = "plugin")]
mod plugin;
mod provider;
mod reference;
#[cfg(any(
    feature = "aws-kms",
    feature = "azure-key-vault",
    feature = "gcp-kms",
    feature = "pkcs11",
    feature = "plugin",
    feature = "vault"
))]
mod remote;
#[cfg(any(feature = "azure-key-vault", feature = "pkcs11", feature = "vault"))]
#[cfg_attr(
    not(feature = "all-providers"),
    allow(dead_code, unused_imports, reason = "some parts serve some providers only")
)]
mod spki;
#[cfg(feature = "vault")]
mod vault;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use error::{KeyError, KeyErrorKind};
pub use keyless::{Keyless, KeylessSigner};
pub use keyring::{KeySource, Keyring, KeyringEntry, PublicKeySource};
pub use pair::KeyPair;
pub use password::{PasswordSource, new_password};
pub use provider::{OpenOptions, PROVIDERS, Provider, create, is_plugin, open, public_key};
pub use reference::KeyReference;

use crate::crypto::{Certificate, Chain, Hash, PublicKey, SignatureBytes};
pub use crate::model::Environment;
use crate::sigstore::identity::GoogleAccess;

/// Access tokens of Google by Application Default Credentials; `None` in a build without the feature `gcp-kms`.
pub fn google_access(options: OpenOptions) -> Option<Arc<dyn GoogleAccess>> {
    #[cfg(feature = "gcp-kms")]
    return Some(gcp_kms::google_access(options));
    #[cfg(not(feature = "gcp-kms"))]
    {
        drop(options);
        None
    }
}

/// What a signer gave for one message.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The signature.
    pub signature: SignatureBytes,
    /// The key that verifies it: for keyless signers a new one now and then.
    pub public_key: PublicKey,
    /// The certificate for that key, where the signer itself brings one (keyless).
    pub certificate: Option<(Certificate, Option<Chain>)>,
}

/// A key that is open and ready to sign, or a service that signs.
#[async_trait]
pub trait Signer: fmt::Debug + Send + Sync {
    /// The public key, where it is the same for every signature. Costs no request. `None` for keyless.
    fn public_key(&self) -> Option<&PublicKey>;

    /// Signs `message` with `hash`.
    ///
    /// `message` is not hashed: the implementation hashes it. The bytes come back as ASN.1 DER for
    /// ECDSA, PKCS#1 v1.5 for RSA, raw for Ed25519.
    async fn sign(&self, message: &[u8], hash: Hash) -> Result<Signed, KeyError>;
}
