//! The providers that open keys: one row each.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::crypto::PublicKey;
#[cfg(feature = "github")]
use crate::keys::github;
#[cfg(feature = "gitlab")]
use crate::keys::gitlab;
#[cfg(feature = "kubernetes")]
use crate::keys::kubernetes;
#[cfg(feature = "plugin")]
use crate::keys::plugin;
#[cfg(feature = "vault")]
use crate::keys::vault;
use crate::keys::{KeyError, KeyErrorKind, KeyReference, PasswordSource, Signer, env, file};
use crate::model::{Environment, Secret};

/// Every provider of this build, plugins last. No scheme occurs twice.
pub static PROVIDERS: &[&dyn Provider] = &[
    &env::Env,
    &file::File,
    #[cfg(feature = "aws-kms")]
    &crate::keys::aws_kms::AwsKms,
    #[cfg(feature = "azure-key-vault")]
    &crate::keys::azure_key_vault::AzureKeyVault,
    #[cfg(feature = "gcp-kms")]
    &crate::keys::gcp_kms::GcpKms,
    #[cfg(feature = "pkcs11")]
    &crate::keys::pkcs11::Pkcs11,
    #[cfg(feature = "github")]
    &github::Github,
    #[cfg(feature = "gitlab")]
    &gitlab::Gitlab,
    #[cfg(feature = "kubernetes")]
    &kubernetes::Kubernetes,
    #[cfg(feature = "vault")]
    &vault::Vault::HASHICORP,
    #[cfg(feature = "vault")]
    &vault::Vault::OPENBAO,
    #[cfg(feature = "plugin")]
    &plugin::Plugins,
];

/// The schemes of all providers that there are, and the features that bring them.
const KNOWN: &[(&str, &str)] = &[
    ("awskms", "aws-kms"),
    ("azurekms", "azure-key-vault"),
    ("gcpkms", "gcp-kms"),
    ("github", "github"),
    ("gitlab", "gitlab"),
    ("hashivault", "vault"),
    ("k8s", "kubernetes"),
    ("openbao", "vault"),
    ("pkcs11", "pkcs11"),
];

/// Schemes that name no key anywhere: they never become plugins.
const NEVER: &[&str] = &["env", "file", "http", "https"];

/// Opens keys of one scheme. To add one: a file, a feature, a row in [`PROVIDERS`], a page in `docs/providers`.
#[async_trait]
pub trait Provider: fmt::Debug + Sync {
    /// What its feature is called, and its page `docs/providers/NAME.md`.
    fn name(&self) -> &'static str;

    /// What comes before the colon; `file` for paths.
    fn scheme(&self) -> &'static str;

    /// Says whether it opens keys of `scheme`: its own. Plugins open each that nobody knows.
    fn opens(&self, scheme: &str) -> bool {
        scheme == self.scheme()
    }

    /// Why a reference is not in its grammar, and what to write instead. Opens nothing, and quotes nothing.
    fn refuses(&self, _reference: &str) -> Option<(&'static str, &'static str)> {
        None
    }

    /// Opens the key: decrypts it, or fetches its public half. Called once a run for each signer.
    async fn open(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<Arc<dyn Signer>, KeyError>;

    /// The public half, where it lies beside the key: getting it opens nothing, and needs no password.
    ///
    /// `None` where it does not: then the key has to be opened.
    async fn published(
        &self,
        _reference: &KeyReference,
        _options: &OpenOptions,
    ) -> Result<Option<PublicKey>, KeyError> {
        Ok(None)
    }

    /// Makes a new key where the reference says, P-256 where there is a choice, and gives its public half.
    ///
    /// Never overwrites one: [`KeyErrorKind::Exists`].
    async fn create(
        &self,
        reference: &KeyReference,
        _options: &OpenOptions,
    ) -> Result<PublicKey, KeyError> {
        Err(KeyError::new("create", reference, KeyErrorKind::Unsupported)
            .because(format!("`{}` keys are not made from here", self.scheme()))
            .advise("create the key with the tools of the service"))
    }
}

/// Opens the key with the provider of its scheme.
///
/// # Errors
///
/// Those of the provider; [`KeyErrorKind::Unsupported`] where there is none.
pub async fn open(
    reference: &KeyReference,
    options: &OpenOptions,
) -> Result<Arc<dyn Signer>, KeyError> {
    of(reference)?.open(reference, options).await
}

/// The public half of the key. The key itself is opened only where its provider cannot tell otherwise.
///
/// # Errors
///
/// As [`open`].
pub async fn public_key(
    reference: &KeyReference,
    options: &OpenOptions,
) -> Result<PublicKey, KeyError> {
    if let Some(key) = published(reference, options).await? {
        return Ok(key);
    }
    let signer = open(reference, options).await?;
    signer.public_key().cloned().ok_or_else(|| {
        KeyError::new("name the public key of", reference, KeyErrorKind::Unsupported)
    })
}

/// The public half that lies beside the key, if one does.
pub(super) async fn published(
    reference: &KeyReference,
    options: &OpenOptions,
) -> Result<Option<PublicKey>, KeyError> {
    of(reference)?.published(reference, options).await
}

/// Makes a new key where the reference says, and gives its public half.
///
/// # Errors
///
/// As [`open`]; [`KeyErrorKind::Exists`] where there is one already, [`KeyErrorKind::Unsupported`] where the
/// provider cannot create keys.
pub async fn create(
    reference: &KeyReference,
    options: &OpenOptions,
) -> Result<PublicKey, KeyError> {
    of(reference)?.create(reference, options).await
}

/// Says whether keys of `scheme` are a plugin's: a program would be run that the reference names.
pub fn is_plugin(scheme: &str) -> bool {
    !NEVER.contains(&scheme) && KNOWN.iter().all(|(known, _)| *known != scheme)
}

fn of(reference: &KeyReference) -> Result<&'static dyn Provider, KeyError> {
    find(reference.scheme()).ok_or_else(|| unsupported(reference, reference.scheme()))
}

pub(super) fn find(scheme: &str) -> Option<&'static dyn Provider> {
    PROVIDERS.iter().find(|it| it.opens(scheme)).copied()
}

const INSTEAD: &str = "use a build with that feature, as the default one is, or a key file, or `env://NAME`; or declare only its `public_key`, sign with cosign, and attach the signatures with [[images.attachments]]";

pub(super) fn unsupported(reference: impl fmt::Display, scheme: &str) -> KeyError {
    let error = |why: String, help: &str| {
        KeyError::new("take", &reference, KeyErrorKind::Unsupported).because(why).advise(help)
    };
    let feature = KNOWN.iter().find(|(known, _)| *known == scheme).map(|(_, feature)| feature);
    match scheme {
        "file" => error("cosign knows no `file://` keys".into(), "write the path alone"),
        "http" | "https" => error(
            "the network would decide whose key it is".into(),
            "download it, check it, and name the file",
        ),
        _ if scheme.chars().any(char::is_uppercase) => {
            error(format!("`{scheme}` is no scheme"), "write the scheme in lower case")
        }
        _ => match feature {
            Some(feature) => error(
                format!(
                    "this build has no provider for `{scheme}` keys: it lacks the feature `{feature}`"
                ),
                INSTEAD,
            ),
            None => error(
                format!(
                    "this build does not run `sigstore-kms-{scheme}`: it lacks the feature `plugin`"
                ),
                INSTEAD,
            ),
        },
    }
}

/// What a provider may need besides the reference.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenOptions {
    /// Where the password of an encrypted key comes from.
    pub password: PasswordSource,
    /// Looks up an environment variable; the library itself never reads the environment.
    ///
    /// Only a vendor's own library may, inside its provider, whose page says so.
    pub environment: Arc<dyn Environment>,
    /// How long a service that limits requests or fails on its side is asked again.
    pub patience: Duration,
}

// Longer than the quota window of the large services, one minute.
const PATIENCE: Duration = Duration::from_secs(90);

impl OpenOptions {
    /// The password from `COSIGN_PASSWORD` or the terminal, and 90 seconds of patience.
    pub fn new(environment: Arc<dyn Environment>) -> Self {
        Self { password: PasswordSource::Default, environment, patience: PATIENCE }
    }

    /// The same with the password from elsewhere.
    pub fn with_password(self, password: PasswordSource) -> Self {
        Self { password, ..self }
    }

    /// The same with another patience.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// A variable that is set, and not empty, as most programs take it.
    #[cfg_attr(not(feature = "all-providers"), allow(dead_code, reason = "some providers use it"))]
    pub(super) fn variable(&self, name: &str) -> Option<Secret<String>> {
        self.environment.variable(name).filter(|value| !value.expose().is_empty())
    }
}
