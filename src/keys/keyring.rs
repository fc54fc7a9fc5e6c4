//! The signers of a run: each key is opened at most once.

use std::path::PathBuf;

use crate::crypto::PublicKey;
use crate::keys::KeyReference;
use crate::model::SignerName;

/// Where the password of an encrypted key comes from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum PasswordSource {
    /// `COSIGN_PASSWORD`, else the terminal.
    #[default]
    Default,
    /// The environment variable of this name.
    Environment(String),
    /// This file; one newline at its end is not part of the password.
    File(PathBuf),
}

/// What a signer of the spec signs and verifies with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeySource {
    /// A key, and its public half where the spec declares it.
    Key {
        /// Where the key is.
        reference: KeyReference,
        /// Its password.
        password: PasswordSource,
        /// The declared public half: then planning and verifying never touch the key.
        public_key: Option<PublicKey>,
    },
    /// Only a public key: signed elsewhere, attached here.
    PublicKey(PublicKey),
}

/// One signer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyringEntry {
    /// Its name in the spec.
    pub name: SignerName,
    /// What it signs and verifies with.
    pub source: KeySource,
}

/// The signers of a run. Keys are opened when first needed, once each, however many tasks ask.
#[derive(Debug)]
pub struct Keyring {}

impl Keyring {
    /// stub
    pub async fn public_key(
        &self,
        _n: &SignerName,
    ) -> Result<PublicKey, std::sync::Arc<crate::keys::KeyError>> {
        todo!()
    }
    /// stub
    pub async fn signer(
        &self,
        _n: &SignerName,
    ) -> Result<std::sync::Arc<dyn crate::keys::Signer>, std::sync::Arc<crate::keys::KeyError>>
    {
        todo!()
    }
}
