//! Keys in files: cosign's encrypted format, with the password from [`PasswordSource`].
//!
//! The reference is a path. No other format is taken: `cosign import-key-pair` converts PKCS#8, PKCS#1 and SEC 1.
//! Source: cosign's `pkg/signature/keys.go` and `pkg/cosign/keys.go`.
//!
//! [`PasswordSource`]: crate::keys::PasswordSource

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::keys::local::LocalSigner;
use crate::keys::{KeyError, KeyErrorKind, KeyReference, OpenOptions, Provider, Signer};
use crate::model::Secret;

/// The provider of paths.
#[derive(Clone, Copy, Debug)]
pub(super) struct File;

#[async_trait]
impl Provider for File {
    fn name(&self) -> &'static str {
        "file"
    }

    fn scheme(&self) -> &'static str {
        "file"
    }

    async fn open(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<Arc<dyn Signer>, KeyError> {
        let key = reference.to_string();
        let KeyReference::File(path) = reference else {
            return Err(
                KeyError::new("open", key, KeyErrorKind::Unsupported).because("this is no path")
            );
        };
        let text = read("open", &key, path).await?;
        Ok(Arc::new(LocalSigner::open(&key, &text, options).await?))
    }
}

// A key of RSA 4096 has some 4 KiB; whatever is longer is no key.
const MAX_BYTES: u64 = 1 << 20;

/// The text of a small file, for `key`.
///
/// # Errors
///
/// [`KeyErrorKind::NotFound`], [`KeyErrorKind::Permission`], [`KeyErrorKind::Malformed`].
pub(super) async fn read(
    operation: &'static str,
    key: &str,
    path: &Path,
) -> Result<Secret<String>, KeyError> {
    let at = path.to_owned();
    let content = tokio::task::spawn_blocking(move || read_bytes(&at)).await;
    let content = content.unwrap_or_else(|error| Err(io::Error::other(error)));
    let bytes = content.map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => KeyErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => KeyErrorKind::Permission,
            _ => KeyErrorKind::Malformed,
        };
        let described = KeyError::new(operation, key, kind).because(error);
        match kind {
            KeyErrorKind::NotFound => {
                described.advise(format!("check the path: there is no file {}", path.display()))
            }
            KeyErrorKind::Permission => {
                described.advise(format!("let this user read {}", path.display()))
            }
            _ => described,
        }
    })?;
    let malformed =
        |why: &'static str| KeyError::new(operation, key, KeyErrorKind::Malformed).because(why);
    if bytes.expose().len() as u64 > MAX_BYTES {
        return Err(malformed("the file is longer than 1 MiB"));
    }
    let text = std::str::from_utf8(bytes.expose())
        .map_err(|_| malformed("the file is not text"))?
        .to_owned();
    Ok(Secret::new(text))
}

fn read_bytes(path: &Path) -> io::Result<Secret<Vec<u8>>> {
    let mut content = Vec::new();
    std::fs::File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    Ok(Secret::new(content))
}

#[cfg(test)]
mod tests;
