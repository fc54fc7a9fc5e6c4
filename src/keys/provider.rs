//! Key references and the providers that open them: one row each.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use crate::keys::{KeyError, KeyErrorKind, PasswordSource, Signer, env, file};
use crate::model::Secret;

/// Every provider of this build. No scheme occurs twice.
pub static PROVIDERS: &[&dyn Provider] = &[&env::Env, &file::File];

/// Where a key is, as cosign writes it: a path, `env://NAME`, `awskms:///alias/release`, …
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
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

impl KeyReference {
    /// Reads a reference as cosign does; a path is joined to `folder`.
    ///
    /// The order is cosign's: `pkcs11:`, then anything with `://`, else a path. Nothing is opened.
    ///
    /// # Errors
    ///
    /// [`KeyErrorKind::Unsupported`] for a scheme without a provider, with a help that says what to use instead;
    /// [`KeyErrorKind::Malformed`] for an empty text or `env://` without a name.
    ///
    /// # Example
    ///
    /// ```
    /// use std::path::Path;
    /// use countersign::keys::KeyReference;
    ///
    /// let key = KeyReference::parse("keys/release.key", Path::new("deploy"))?;
    /// assert_eq!(key, KeyReference::File("deploy/keys/release.key".into()));
    /// assert_eq!(KeyReference::parse("env://RELEASE_KEY", Path::new("deploy"))?.scheme(), "env");
    /// let error = KeyReference::parse("https://example.com/a.key", Path::new("")).unwrap_err();
    /// assert_eq!(error.code(), "key::unsupported");
    /// # Ok::<(), countersign::keys::KeyError>(())
    /// ```
    pub fn parse(text: &str, folder: &Path) -> Result<Self, KeyError> {
        if text.is_empty() {
            return Err(KeyError::new("take", "the key", KeyErrorKind::Malformed)
                .because("the reference is empty"));
        }
        let scheme = match text.split_once("://") {
            _ if text.starts_with("pkcs11:") => "pkcs11",
            Some((scheme, _)) => scheme,
            None => return Ok(Self::File(folder.join(text))),
        };
        if scheme == "file" || provider(scheme).is_none() {
            return Err(unsupported(shown(text), scheme));
        }
        if text.strip_prefix("env://") == Some("") {
            return Err(KeyError::new("take", text, KeyErrorKind::Malformed)
                .because("the variable has no name")
                .advise("write `env://NAME`"));
        }
        Ok(Self::Uri { scheme: scheme.to_owned(), text: text.to_owned() })
    }

    /// The environment variable that the reference itself names: `NAME` of `env://NAME`.
    ///
    /// A spec must be allowed to name it.
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::File(_) => None,
            Self::Uri { text, .. } => text.strip_prefix("env://"),
        }
    }

    /// The scheme of the provider that opens it; `file` for a path.
    pub fn scheme(&self) -> &str {
        match self {
            Self::File(_) => "file",
            Self::Uri { scheme, .. } => scheme,
        }
    }
}

/// As written, without what may be a secret: see `shown`.
impl fmt::Display for KeyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Uri { text, .. } => f.write_str(&shown(text)),
        }
    }
}

impl fmt::Debug for KeyReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyReference({self})")
    }
}

/// A reference without user information and query, where passwords and PINs stand (`?pin-value=`).
fn shown(text: &str) -> String {
    let (path, query) = text.split_once('?').map_or((text, ""), |(path, _)| (path, "?…"));
    match path.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) {
        Some((scheme, (_, rest))) => format!("{scheme}://…@{rest}{query}"),
        None => format!("{path}{query}"),
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
    match provider(reference.scheme()) {
        Some(provider) => provider.open(reference, options).await,
        None => Err(unsupported(reference, reference.scheme())),
    }
}

fn provider(scheme: &str) -> Option<&'static dyn Provider> {
    PROVIDERS.iter().find(|it| it.scheme() == scheme).copied()
}

const INSTEAD: &str = "use a key file or `env://NAME`; or declare only its `public_key`, sign with cosign, and attach the signatures with [[images.attachments]]";

fn unsupported(reference: impl fmt::Display, scheme: &str) -> KeyError {
    let error = |why: String, help: &str| {
        KeyError::new("take", &reference, KeyErrorKind::Unsupported).because(why).advise(help)
    };
    match scheme {
        "file" => error("cosign knows no `file://` keys".into(), "write the path alone"),
        "github" => error(
            "GitHub never shows a secret again, so `github://` can only create keys".into(),
            "in the workflow, put the secret into a variable and write `env://COSIGN_PRIVATE_KEY`",
        ),
        "http" | "https" => error(
            "the network would decide whose key it is".into(),
            "download it, check it, and name the file",
        ),
        "awskms" | "azurekms" | "gcpkms" | "gitlab" | "hashivault" | "k8s" | "openbao"
        | "pkcs11" => error(format!("this build has no provider for `{scheme}` keys"), INSTEAD),
        _ if scheme.chars().any(char::is_uppercase) => {
            error(format!("`{scheme}` is no scheme"), "write the scheme in lower case")
        }
        _ => error(format!("this build does not run plugins (`sigstore-kms-{scheme}`)"), INSTEAD),
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
///
/// Both may block; `prompt_password` is called from a thread that may.
pub trait Environment: fmt::Debug + Send + Sync {
    /// The variable called `name`, where it is set, even if it is empty.
    fn variable(&self, name: &str) -> Option<Secret<String>>;
    /// Asks the person at the terminal; `None` where there is none. A keyring asks one question at a time.
    fn prompt_password(&self, prompt: &str) -> Option<Secret<String>>;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<KeyReference, KeyError> {
        KeyReference::parse(text, Path::new("/spec"))
    }

    #[test]
    fn no_scheme_occurs_twice() {
        let mut schemes: Vec<_> = PROVIDERS.iter().map(|it| it.scheme()).collect();
        schemes.dedup();
        assert_eq!(schemes, ["env", "file"]);
    }

    #[test]
    fn what_has_no_scheme_is_a_path_beside_the_spec() {
        for (text, path) in [
            ("release.key", "/spec/release.key"),
            ("../keys/a b.key", "/spec/../keys/a b.key"),
            ("/etc/release.key", "/etc/release.key"),
            ("gitlab.key", "/spec/gitlab.key"),
            ("C:release.key", "/spec/C:release.key"),
        ] {
            let reference = parse(text).unwrap();
            assert_eq!(reference, KeyReference::File(path.into()));
            assert_eq!((reference.scheme(), reference.to_string().as_str()), ("file", path));
        }
    }

    #[test]
    fn a_variable_is_a_reference_with_its_scheme() {
        let reference = parse("env://RELEASE_KEY").unwrap();
        assert_eq!(
            (reference.scheme(), reference.to_string()),
            ("env", "env://RELEASE_KEY".into())
        );
        assert_eq!(parse("env://").unwrap_err().kind, KeyErrorKind::Malformed);
        assert_eq!(parse("").unwrap_err().kind, KeyErrorKind::Malformed);
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        for (text, expected) in [
            ("pkcs11:token=a;object=b?pin-value=1234", "cannot take pkcs11:token=a;object=b?…"),
            ("https://u:1234@example.com/k", "cannot take https://…@example.com/k"),
            ("https://example.com/k?token=1234", "cannot take https://example.com/k?…"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert!(!format!("{error:?} {:?}", error.help()).contains("1234"), "{error:?}");
        }
        assert_eq!(format!("{:?}", parse("env://A").unwrap()), "KeyReference(env://A)");
        assert_eq!(parse("env://A").unwrap().variable(), Some("A"));
        assert_eq!(parse("a.key").unwrap().variable(), None);
    }

    #[test]
    fn what_is_not_taken_says_what_to_use() {
        for (text, cause, help) in [
            ("awskms:///alias/a", "no provider for `awskms`", "`env://NAME`"),
            ("gcpkms://projects/p", "no provider for `gcpkms`", "attachments"),
            ("azurekms://v.example/k", "no provider for `azurekms`", "public_key"),
            ("hashivault://k", "no provider for `hashivault`", "public_key"),
            ("openbao://k", "no provider for `openbao`", "public_key"),
            ("k8s://ns/secret", "no provider for `k8s`", "public_key"),
            ("gitlab://group/project", "no provider for `gitlab`", "public_key"),
            ("pkcs11:token=a;object=b", "no provider for `pkcs11`", "public_key"),
            ("acme://k", "`sigstore-kms-acme`", "public_key"),
            ("AWSKMS:///alias/a", "`AWSKMS` is no scheme", "lower case"),
            ("http://example.com/k", "whose key it is", "download it"),
            ("https://example.com/k", "whose key it is", "download it"),
            ("github://acme/app", "only create", "`env://COSIGN_PRIVATE_KEY`"),
            ("file:///etc/a.key", "no `file://`", "the path alone"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(
                (error.kind, error.to_string()),
                (KeyErrorKind::Unsupported, format!("cannot take {text}"))
            );
            let source = error.source.as_ref().unwrap().to_string();
            assert!(source.contains(cause), "{source}");
            assert!(error.help().unwrap().contains(help), "{text}: {:?}", error.help());
        }
    }
}
