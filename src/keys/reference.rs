//! Key references: cosign's grammar, read without opening anything. Pure.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::keys::{KeyError, KeyErrorKind, provider};

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
    /// [`KeyErrorKind::Malformed`] for an empty text, and for one that is not in the grammar of its provider.
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
        let found = provider::find(scheme).filter(|_| scheme != "file");
        let Some(provider) = found else {
            return Err(provider::unsupported(shown(text), scheme));
        };
        match provider.refuses(text) {
            None => Ok(Self::Uri { scheme: scheme.to_owned(), text: text.to_owned() }),
            Some((why, help)) => {
                let error = KeyError::new("take", shown(text), KeyErrorKind::Malformed);
                Err(error.because(why).advise(help))
            }
        }
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

    /// The whole reference, for the provider that takes it apart. It may hold a PIN: it is not for messages.
    #[cfg_attr(
        not(feature = "all-providers"),
        allow(dead_code, reason = "files and variables do not need it")
    )]
    pub(super) fn text(&self) -> &str {
        match self {
            Self::File(path) => path.to_str().unwrap_or_default(),
            Self::Uri { text, .. } => text,
        }
    }

    /// What `parse` finds in it; `form` says how it is written.
    ///
    /// # Errors
    ///
    /// [`KeyErrorKind::Malformed`], which only references that were made by hand are here: [`Self::parse`] has asked.
    #[cfg_attr(
        not(feature = "all-providers"),
        allow(dead_code, reason = "files and variables do not need it")
    )]
    pub(super) fn read<T>(
        &self,
        operation: &'static str,
        parse: impl FnOnce(&str) -> Result<T, &'static str>,
        form: &str,
    ) -> Result<T, KeyError> {
        parse(self.text()).map_err(|why| {
            KeyError::new(operation, self, KeyErrorKind::Malformed).because(why).advise(form)
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::PROVIDERS;

    fn parse(text: &str) -> Result<KeyReference, KeyError> {
        KeyReference::parse(text, Path::new("/spec"))
    }

    #[test]
    fn no_scheme_occurs_twice() {
        let mut schemes: Vec<_> = PROVIDERS.iter().map(|it| it.scheme()).collect();
        let all = schemes.len();
        schemes.sort_unstable();
        schemes.dedup();
        assert_eq!(schemes.len(), all);
        assert!(schemes.contains(&"env") && schemes.contains(&"file"));
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
            ("https://u:1234@example.com/k", "cannot take https://…@example.com/k"),
            ("https://example.com/k?token=1234", "cannot take https://example.com/k?…"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert!(!format!("{error:?} {:?}", error.help()).contains("1234"), "{error:?}");
        }
        let text = "pkcs11:token=a;object=b?pin-value=1234".to_owned();
        let with_pin = KeyReference::Uri { scheme: "pkcs11".into(), text };
        assert_eq!(with_pin.to_string(), "pkcs11:token=a;object=b?…");
        assert_eq!(format!("{:?}", parse("env://A").unwrap()), "KeyReference(env://A)");
        assert_eq!(parse("env://A").unwrap().variable(), Some("A"));
        assert_eq!(parse("a.key").unwrap().variable(), None);
    }

    #[test]
    fn what_is_not_taken_says_what_to_use() {
        for (text, cause, help) in [
            ("AWSKMS:///alias/a", "`AWSKMS` is no scheme", "lower case"),
            ("http://example.com/k", "whose key it is", "download it"),
            ("https://example.com/k", "whose key it is", "download it"),
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

    #[test]
    fn a_scheme_without_its_feature_says_which_it_is() {
        for (text, feature) in [
            ("awskms:///alias/a", "aws-kms"),
            ("azurekms://v.vault.azure.net/k", "azure-key-vault"),
            ("gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k", "gcp-kms"),
            ("github://acme/app", "github"),
            ("gitlab://group/project", "gitlab"),
            ("hashivault://k", "vault"),
            ("k8s://ns/secret", "kubernetes"),
            ("openbao://k", "vault"),
            ("pkcs11:token=a;object=b", "pkcs11"),
            ("acme://k", "plugin"),
        ] {
            let is_built = PROVIDERS.iter().any(|it| it.name() == feature);
            match parse(text) {
                Ok(reference) => assert!(is_built && text.starts_with(reference.scheme())),
                Err(error) => {
                    assert!(!is_built, "{text}: {error:?}");
                    assert_eq!(error.kind, KeyErrorKind::Unsupported);
                    let source = error.source.as_ref().unwrap().to_string();
                    assert!(source.contains(&format!("`{feature}`")), "{source}");
                    assert!(error.help().unwrap().contains("attachments"));
                }
            }
        }
    }
}
