//! The signers of a run: each key is opened at most once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;

use crate::crypto::PublicKey;
use crate::keys::{
    Environment, KeyError, KeyErrorKind, KeyReference, Keyless, OpenOptions, PasswordSource,
    Signer, provider,
};
use crate::model::{Secret, SignerName};
use crate::trust::IdentityPolicy;

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
        public_key: Option<PublicKeySource>,
    },
    /// An identity that signs with a new key and a short-lived certificate now and then ("keyless").
    Keyless(Arc<IdentityPolicy>),
    /// Only a public key: signed elsewhere, attached here.
    PublicKey(PublicKeySource),
}

/// Where a declared public key is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PublicKeySource {
    /// Here: it was in a file.
    Known(PublicKey),
    /// Where a key of this reference is. It is asked for once a run.
    Of(KeyReference),
}

impl From<PublicKey> for PublicKeySource {
    fn from(key: PublicKey) -> Self {
        Self::Known(key)
    }
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
///
/// A key that could not be opened is not tried again: every image hears the same error.
#[derive(Debug)]
pub struct Keyring {
    slots: BTreeMap<SignerName, Slot>,
    environment: Arc<dyn Environment>,
    opens: AtomicUsize,
    patience: Option<Duration>,
    keyless: Option<Keyless>,
}

#[derive(Debug)]
struct Slot {
    source: Source,
    opened: OnceCell<Result<Arc<dyn Signer>, Arc<KeyError>>>,
    /// The public half, where it was asked for apart from the key.
    published: OnceCell<Result<Option<PublicKey>, Arc<KeyError>>>,
}

impl Slot {
    fn new(source: Source) -> Self {
        Self { source, opened: OnceCell::new(), published: OnceCell::new() }
    }
}

#[derive(Debug)]
enum Source {
    Declared(KeySource),
    Given(Arc<dyn Signer>),
}

impl Keyring {
    /// Takes the signers of a spec. Opens nothing. Of two entries with one name the last counts.
    pub fn new(
        entries: impl IntoIterator<Item = KeyringEntry>,
        environment: Arc<dyn Environment>,
    ) -> Self {
        let slots = entries
            .into_iter()
            .map(|entry| (entry.name, Slot::new(Source::Declared(entry.source))));
        Self {
            slots: slots.collect(),
            environment: Arc::new(OneQuestionAtATime::of(environment)),
            opens: AtomicUsize::new(0),
            patience: None,
            keyless: None,
        }
    }

    /// The same with another patience than that of [`OpenOptions`] towards services that fail or limit.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience: Some(patience), ..self }
    }

    /// The same with what makes the signers that have no key.
    pub fn with_keyless(self, keyless: Keyless) -> Self {
        Self { keyless: Some(keyless), ..self }
    }

    /// The same with one more signer, which is open already.
    pub fn with_signer(mut self, name: SignerName, signer: Arc<dyn Signer>) -> Self {
        self.slots.insert(name, Slot::new(Source::Given(signer)));
        self
    }

    /// The signers that this keyring has, in the order of their names.
    pub fn names(&self) -> impl Iterator<Item = &SignerName> {
        self.slots.keys()
    }

    /// The public key of a signer: the declared one, else the one that lies beside the key, else that of the key, which
    /// is then opened.
    ///
    /// # Errors
    ///
    /// Those of asking for it, or of opening the key, if it has to be; [`KeyErrorKind::NotFound`] for a name that the keyring does not
    /// have; [`KeyErrorKind::Unsupported`] for a signer without a fixed key (keyless).
    pub async fn public_key(&self, name: &SignerName) -> Result<PublicKey, Arc<KeyError>> {
        let slot = self.slot(name)?;
        if let Some(key) = self.expected(slot).await? {
            return Ok(key);
        }
        let signer = self.signer(name).await?;
        signer.public_key().cloned().ok_or_else(|| {
            let error = KeyError::new("name the key of", name, KeyErrorKind::Unsupported);
            Arc::new(error.because("it signs with a new key each time"))
        })
    }

    /// The signer of that name, open.
    ///
    /// The first who asks opens the key; the others wait for it. A task that is dropped while it opens a key
    /// leaves that to the next.
    ///
    /// # Errors
    ///
    /// Those of the provider; [`KeyErrorKind::Mismatch`] where the declared public key belongs to another key;
    /// [`KeyErrorKind::Unsupported`] for a signer with only a public key; [`KeyErrorKind::NotFound`] for a name that
    /// the keyring does not have.
    pub async fn signer(&self, name: &SignerName) -> Result<Arc<dyn Signer>, Arc<KeyError>> {
        let slot = self.slot(name)?;
        match &slot.source {
            Source::Given(signer) => Ok(Arc::clone(signer)),
            Source::Declared(KeySource::PublicKey(_)) => Err(Arc::new(
                KeyError::new("sign with", name, KeyErrorKind::Unsupported)
                    .because("the signer has only a public key")
                    .advise("sign elsewhere and attach the signature with [[images.attachments]], or give the signer a `key`"),
            )),
            Source::Declared(KeySource::Keyless(policy)) => {
                let open = || self.open_keyless(name, policy);
                slot.opened.get_or_init(open).await.clone()
            }
            Source::Declared(KeySource::Key { reference, password, public_key }) => {
                // What is declared is known before the key is opened; what lies beside it is compared if it was read.
                let expected = match (public_key, slot.published.get()) {
                    (None, Some(Ok(read))) => read.clone(),
                    (None, _) => None,
                    (Some(_), _) => self.expected(slot).await?,
                };
                let open = || self.open(reference, password, expected);
                slot.opened.get_or_init(open).await.clone()
            }
        }
    }

    /// The public key that a slot has without its key being opened.
    async fn expected(&self, slot: &Slot) -> Result<Option<PublicKey>, Arc<KeyError>> {
        let Source::Declared(source) = &slot.source else { return Ok(None) };
        let (reference, password, is_declared) = match source {
            KeySource::Keyless(_) => return Ok(None),
            KeySource::PublicKey(PublicKeySource::Known(key))
            | KeySource::Key { public_key: Some(PublicKeySource::Known(key)), .. } => {
                return Ok(Some(key.clone()));
            }
            KeySource::PublicKey(PublicKeySource::Of(it)) => (it, &PasswordSource::Default, true),
            KeySource::Key { reference, password, public_key } => match public_key {
                Some(PublicKeySource::Of(it)) if it != reference => (it, password, true),
                _ if slot.opened.initialized() && !slot.published.initialized() => {
                    return Ok(None);
                }
                _ => (reference, password, false),
            },
        };
        let ask = async || {
            let options = self.options(password);
            if is_declared {
                provider::public_key(reference, &options).await.map(Some)
            } else {
                provider::published(reference, &options).await
            }
        };
        slot.published.get_or_init(async || ask().await.map_err(Arc::new)).await.clone()
    }

    /// How often a provider was asked to open a key in this run.
    pub fn opened(&self) -> usize {
        self.opens.load(Ordering::Relaxed)
    }

    #[tracing::instrument(name = "key.open", skip_all, fields(key = %reference), err(level = "debug"))]
    async fn open(
        &self,
        reference: &KeyReference,
        password: &PasswordSource,
        expected: Option<PublicKey>,
    ) -> Result<Arc<dyn Signer>, Arc<KeyError>> {
        self.opens.fetch_add(1, Ordering::Relaxed);
        let signer = provider::open(reference, &self.options(password)).await.map_err(Arc::new)?;
        match (expected, signer.public_key()) {
            (Some(expected), Some(found)) if expected != *found => {
                Err(Arc::new(mismatch(reference, &expected, found)))
            }
            _ => Ok(signer),
        }
    }

    async fn open_keyless(
        &self,
        name: &SignerName,
        policy: &Arc<IdentityPolicy>,
    ) -> Result<Arc<dyn Signer>, Arc<KeyError>> {
        let Some(keyless) = &self.keyless else {
            let error = KeyError::new("sign with", name, KeyErrorKind::Unsupported);
            let why = "nothing in this run gives certificates for identities";
            return Err(Arc::new(error.because(why)));
        };
        let signer = keyless.signer(name, policy).await;
        signer.map(|it| Arc::new(it) as Arc<dyn Signer>).map_err(Arc::new)
    }

    fn options(&self, password: &PasswordSource) -> OpenOptions {
        let options =
            OpenOptions::new(Arc::clone(&self.environment)).with_password(password.clone());
        match self.patience {
            Some(patience) => options.with_patience(patience),
            None => options,
        }
    }

    fn slot(&self, name: &SignerName) -> Result<&Slot, Arc<KeyError>> {
        self.slots.get(name).ok_or_else(|| {
            let error = KeyError::new("find the signer", name, KeyErrorKind::NotFound);
            Arc::new(error.because("no signer has that name"))
        })
    }
}

fn mismatch(reference: &KeyReference, expected: &PublicKey, found: &PublicKey) -> KeyError {
    KeyError::new("use", reference, KeyErrorKind::Mismatch).because(format!(
        "its public half is {} ({}), and the declared public key, or the one beside it, is {} ({})",
        found.fingerprint(),
        found.algorithm(),
        expected.fingerprint(),
        expected.algorithm(),
    ))
}

/// Keeps two keys that are opened at the same time from asking at the terminal together.
struct OneQuestionAtATime {
    inner: Arc<dyn Environment>,
    terminal: Mutex<()>,
}

impl OneQuestionAtATime {
    fn of(inner: Arc<dyn Environment>) -> Self {
        Self { inner, terminal: Mutex::new(()) }
    }
}

impl fmt::Debug for OneQuestionAtATime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl Environment for OneQuestionAtATime {
    fn variable(&self, name: &str) -> Option<Secret<String>> {
        self.inner.variable(name)
    }

    fn prompt_password(&self, prompt: &str) -> Option<Secret<String>> {
        let _turn = self.terminal.lock().unwrap_or_else(PoisonError::into_inner);
        self.inner.prompt_password(prompt)
    }

    fn home_folder(&self) -> Option<PathBuf> {
        self.inner.home_folder()
    }

    fn service_account_folder(&self) -> PathBuf {
        self.inner.service_account_folder()
    }

    fn child_variables(&self) -> Option<Vec<(OsString, OsString)>> {
        self.inner.child_variables()
    }
}

#[cfg(test)]
mod tests;
