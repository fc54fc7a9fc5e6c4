//! Key references and the providers that open them: one row each.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use crate::keys::{KeyError, PasswordSource, Signer};

/// Where a key is, as cosign writes it: a path, `env://NAME`, `awskms:///alias/release`, …
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum KeyReference {
    /// A file in cosign's encrypted format, already joined to the folder of the spec.
    File(PathBuf),
    /// `SCHEME:REST` or `SCHEME://REST`.
    Uri {
        /// What comes before the colon, lower-case: `env`, `awskms`, `pkcs11`.
        scheme: String,
        /// The whole reference.
        text: String,
    },
}

impl fmt::Display for KeyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Uri { text, .. } => f.write_str(text),
        }
    }
}

/// What a provider may need besides the reference.
#[derive(Debug)]
pub struct OpenOptions {
    /// Where the password of an encrypted key comes from.
    pub password: PasswordSource,
    /// Looks up an environment variable; the library itself never reads the environment.
    pub environment: Arc<dyn Environment>,
}

/// Environment variables and the terminal, lent by the program around the library.
pub trait Environment: fmt::Debug + Send + Sync {
    /// The variable called `name`, where it is set.
    fn variable(&self, name: &str) -> Option<String>;
    /// Asks the person at the terminal; `None` where there is none.
    fn prompt_password(&self, prompt: &str) -> Option<crate::model::Secret<String>>;
}

/// Opens keys of one scheme. To add one: a file, a feature, a row in [`PROVIDERS`].
#[async_trait]
pub trait Provider: fmt::Debug + Sync {
    /// What comes before the colon; `file` for paths.
    fn scheme(&self) -> &'static str;

    /// Opens the key: decrypts it, or fetches its public half. Called once a run for each signer.
    async fn open(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<Arc<dyn Signer>, KeyError>;
}

/// Every provider of this build. No scheme occurs twice.
pub static PROVIDERS: &[&dyn Provider] = &[];
