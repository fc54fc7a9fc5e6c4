//! Keys in hardware tokens and HSMs, behind a PKCS#11 library: `pkcs11:token=LABEL;object=LABEL?module-path=FILE`.
//!
//! The library is loaded into this process. Each key has one session, and a thread for it, so one signature is made
//! at a time. Source: PKCS#11 2.40, RFC 7512, cosign's `pkg/cosign/pkcs11key`.

mod public_key;
mod reference;
mod token;

use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::crypto::{Hash, KeyAlgorithm, SignatureBytes};
use crate::keys::file::read;
use crate::keys::password::password;
use crate::keys::pkcs11::reference::Reference;
use crate::keys::pkcs11::token::{Job, Request};
use crate::keys::remote::{RemoteKey, RemoteSigner};
use crate::keys::{
    KeyError, KeyErrorKind, KeyReference, OpenOptions, PasswordSource, Provider, Signer,
};
use crate::model::Secret;

/// The provider of `pkcs11:…`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pkcs11;

const FORM: &str = "write `pkcs11:token=LABEL;object=LABEL?module-path=/usr/lib/module.so`";
const MODULE: &str = "COSIGN_PKCS11_MODULE_PATH";
const PIN: &str = "COSIGN_PKCS11_PIN";

#[async_trait]
impl Provider for Pkcs11 {
    fn name(&self) -> &'static str {
        "pkcs11"
    }

    fn scheme(&self) -> &'static str {
        "pkcs11"
    }

    fn refuses(&self, reference: &str) -> Option<(&'static str, &'static str)> {
        Reference::parse(reference).err().map(|why| (why, FORM))
    }

    async fn open(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<Arc<dyn Signer>, KeyError> {
        let key: Arc<str> = reference.to_string().into();
        let wrong = |kind, why: String| KeyError::new("open", &key, kind).because(why);
        let reference = reference.read("open", Reference::parse, FORM)?;
        let module = reference
            .module
            .clone()
            .or_else(|| options.variable(MODULE).map(|path| PathBuf::from(path.expose())));
        let module = module.ok_or_else(|| {
            wrong(KeyErrorKind::NotFound, "no PKCS#11 library is named".into())
                .advise(format!("add `?module-path=/usr/lib/…/module.so`, or set {MODULE}"))
        })?;
        let pin = pin(&key, &reference, options).await?;
        let environment = Arc::clone(&options.environment);
        let request = Request { key: Arc::clone(&key), reference, module, pin, environment };
        let (public_key, jobs) = token::start(request).await?;
        let algorithm = public_key.algorithm();
        let token_key = TokenKey { key: Arc::clone(&key), jobs, algorithm };
        Ok(Arc::new(RemoteSigner::new(key, public_key, Hash::ALL, token_key)))
    }
}

/// The PIN, where something other than a terminal has it.
async fn pin(
    key: &str,
    reference: &Reference,
    options: &OpenOptions,
) -> Result<Option<Secret<String>>, KeyError> {
    if reference.pin.is_some() {
        return Ok(reference.pin.clone());
    }
    if let Some(path) = &reference.pin_file {
        let text = read("read the PIN file of", key, path).await?;
        let line = text.expose().trim_end_matches(['\n', '\r']).to_owned();
        return Ok(Some(Secret::new(line)));
    }
    if options.password != PasswordSource::Default {
        return password(key, options).await.map(Some);
    }
    Ok(options.variable(PIN))
}

/// A private key on a token.
#[derive(Debug)]
struct TokenKey {
    key: Arc<str>,
    jobs: mpsc::Sender<Job>,
    algorithm: KeyAlgorithm,
}

#[async_trait]
impl RemoteKey for TokenKey {
    async fn sign(&self, message: &[u8], hash: Hash) -> Result<SignatureBytes, KeyError> {
        let input = match self.algorithm {
            KeyAlgorithm::Rsa(_) => [digest_info(hash), &hash.digest(message)].concat(),
            KeyAlgorithm::Ed25519 => message.to_vec(),
            _ => hash.digest(message),
        };
        let (answer, answered) = oneshot::channel();
        let gone = || {
            KeyError::new("sign with", &self.key, KeyErrorKind::Unavailable)
                .because("the session on the token has ended")
        };
        self.jobs.send(Job { input, answer }).map_err(|_| gone())?;
        let bytes = answered.await.map_err(|_| gone())??;
        match self.algorithm {
            KeyAlgorithm::Rsa(_) | KeyAlgorithm::Ed25519 => Ok(SignatureBytes::new(bytes)),
            _ => SignatureBytes::from_fixed_width(&bytes).map_err(|error| {
                KeyError::new("sign with", &self.key, KeyErrorKind::Malformed).because(error)
            }),
        }
    }
}

/// What stands before a digest in PKCS#1 v1.5: `CKM_RSA_PKCS` pads, but names no hash.
///
/// Source: RFC 8017 §9.2, note 1.
fn digest_info(hash: Hash) -> &'static [u8] {
    match hash {
        Hash::Sha256 => {
            b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"
        }
        Hash::Sha384 => {
            b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30"
        }
        Hash::Sha512 => {
            b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40"
        }
    }
}
