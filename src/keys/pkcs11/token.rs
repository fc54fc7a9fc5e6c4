//! A token and one session on it, in a thread of its own: PKCS#11 blocks, and a session serves one call at a time.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use tokio::sync::oneshot;

use crate::crypto::{KeyAlgorithm, PublicKey};
use crate::keys::pkcs11::public_key;
use crate::keys::pkcs11::reference::Reference;
use crate::keys::{Environment, KeyError, KeyErrorKind};
use crate::model::Secret;

/// What is needed to open a key, once and again if the session is lost.
pub(super) struct Request {
    /// What to call it in an error.
    pub(super) key: Arc<str>,
    pub(super) reference: Reference,
    pub(super) module: PathBuf,
    /// Where none is given, somebody is asked when the token wants one.
    pub(super) pin: Option<Secret<String>>,
    pub(super) environment: Arc<dyn Environment>,
}

/// Bytes to sign as they are: a digest, or a `DigestInfo`.
pub(super) struct Job {
    pub(super) input: Vec<u8>,
    pub(super) answer: oneshot::Sender<Result<Vec<u8>, KeyError>>,
}

/// Opens the key in a new thread, which then signs what comes until the last sender is dropped.
///
/// # Errors
///
/// Those of opening it; [`KeyErrorKind::Unavailable`] where no thread can be had.
pub(super) async fn start(request: Request) -> Result<(PublicKey, mpsc::Sender<Job>), KeyError> {
    let key = Arc::clone(&request.key);
    let gone = || KeyError::new("open", &key, KeyErrorKind::Unavailable);
    let (ready, is_ready) = oneshot::channel();
    let (jobs, queue) = mpsc::channel();
    std::thread::Builder::new()
        .name("pkcs11".into())
        .spawn(move || work(request, ready, &queue))
        .map_err(|error| gone().because(error))?;
    let public_key = is_ready.await.map_err(|error| gone().because(error))??;
    Ok((public_key, jobs))
}

fn work(
    mut request: Request,
    ready: oneshot::Sender<Result<PublicKey, KeyError>>,
    queue: &mpsc::Receiver<Job>,
) {
    let mut open = match Open::new(&mut request) {
        Ok((open, public_key)) => {
            if ready.send(Ok(public_key)).is_err() {
                return;
            }
            open
        }
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    for job in queue {
        let mut signed = open.sign(&job.input);
        if signed.as_ref().is_err_and(is_lost) {
            tracing::debug!(key = %request.key, "the session is lost: opening another");
            match Open::new(&mut request) {
                Ok((again, _)) => open = again,
                Err(error) => {
                    let _ = job.answer.send(Err(error));
                    continue;
                }
            }
            signed = open.sign(&job.input);
        }
        let _ = job.answer.send(signed.map_err(|it| failure("sign with", &request.key, it)));
    }
}

const TAKEN: &str = "use a key of an elliptic curve P-256, P-384 or P-521, Ed25519, or of RSA 2048 to 4096, with its public half or its certificate beside it";

/// A session that is logged in, and the key in it.
struct Open {
    session: Session,
    handle: ObjectHandle,
    mechanism: Mechanism<'static>,
}

impl Open {
    fn new(request: &mut Request) -> Result<(Self, PublicKey), KeyError> {
        let key = Arc::clone(&request.key);
        let failed = |error: Error| failure("open", &key, error);
        let module = load(&request.module).map_err(|it| unloaded(&key, &request.module, it))?;
        let slot = slot(&module, request)?;
        let session = module.open_ro_session(slot).map_err(failed)?;
        let token = module.get_token_info(slot).map_err(failed)?;
        if token.login_required() {
            let pin = if token.protected_authentication_path() && request.pin.is_none() {
                None // The token asks by itself.
            } else {
                Some(AuthPin::from(pin(request, token.label())?.expose().clone()))
            };
            match session.login(UserType::User, pin.as_ref()) {
                Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        let handle = private_key(&session, request)?;
        let public_key = public_key::of(&session, handle, &request.reference)
            .map_err(failed)?
            .map_err(|why| {
                KeyError::new("open", &key, KeyErrorKind::Unsupported).because(why).advise(TAKEN)
            })?;
        let mechanism = match public_key.algorithm() {
            KeyAlgorithm::Rsa(_) => Mechanism::RsaPkcs,
            KeyAlgorithm::Ed25519 => {
                Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519))
            }
            _ => Mechanism::Ecdsa,
        };
        Ok((Self { session, handle, mechanism }, public_key))
    }

    fn sign(&self, input: &[u8]) -> Result<Vec<u8>, Error> {
        self.session.sign(&self.mechanism, self.handle, input)
    }
}

/// The module, loaded and initialised once in this process, as PKCS#11 wants it.
fn load(path: &Path) -> Result<Pkcs11, Error> {
    static MODULES: Mutex<BTreeMap<PathBuf, Pkcs11>> = Mutex::new(BTreeMap::new());
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(module) = modules.get(path) {
        return Ok(module.clone());
    }
    let module = Pkcs11::new(path)?;
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
        Err(error) => return Err(error),
    }
    modules.insert(path.to_owned(), module.clone());
    Ok(module)
}

fn slot(module: &Pkcs11, request: &Request) -> Result<Slot, KeyError> {
    let Request { key, reference, .. } = request;
    let failed = |error: Error| failure("open", key, error);
    let (mut matching, mut labels) = (Vec::new(), Vec::new());
    for slot in module.get_slots_with_token().map_err(failed)? {
        let Ok(token) = module.get_token_info(slot) else { continue };
        if reference.slot.is_none_or(|id| id == slot.id())
            && reference.token.as_deref().is_none_or(|label| label == token.label())
        {
            matching.push(slot);
        }
        if token.token_initialized() {
            labels.push(format!("`{}` in slot {}", token.label(), slot.id()));
        }
    }
    match matching.as_slice() {
        [slot] => Ok(*slot),
        [] => Err(KeyError::new("open", key, KeyErrorKind::NotFound)
            .because("no token matches `token` and `slot-id`")
            .advise(format!("the module has {}", list(&labels, "no token")))),
        _ => Err(KeyError::new("open", key, KeyErrorKind::Malformed)
            .because("several tokens have that label")
            .advise(format!("add `slot-id=N`; the module has {}", list(&labels, "none")))),
    }
}

fn pin(request: &mut Request, token: &str) -> Result<Secret<String>, KeyError> {
    if let Some(pin) = &request.pin {
        return Ok(pin.clone());
    }
    let pin = request.environment.prompt_password(&format!("PIN of the token {token}: "));
    let pin = pin.ok_or_else(|| {
        KeyError::new("open", &request.key, KeyErrorKind::NoPassword)
            .because("the token wants a PIN, and there is no terminal to ask at")
            .advise("set COSIGN_PKCS11_PIN, or name a file: `pin-source=/run/secrets/pin`")
    })?;
    Ok(request.pin.insert(pin).clone())
}

fn private_key(session: &Session, request: &Request) -> Result<ObjectHandle, KeyError> {
    let Request { key, reference, .. } = request;
    let failed = |error: Error| failure("open", key, error);
    let class = Attribute::Class(ObjectClass::PRIVATE_KEY);
    let mut template = vec![class.clone()];
    template.extend(reference.id.clone().map(Attribute::Id));
    template.extend(reference.object.clone().map(|it| Attribute::Label(it.into_bytes())));
    let found = session.find_objects(&template).map_err(failed)?;
    match found.as_slice() {
        [handle] => {
            let wanted = [AttributeType::KeyType, AttributeType::Sign];
            for attribute in session.get_attributes(*handle, &wanted).map_err(failed)? {
                match attribute {
                    Attribute::KeyType(KeyType::EC | KeyType::EC_EDWARDS | KeyType::RSA)
                    | Attribute::Sign(true) => {}
                    Attribute::Sign(_) => {
                        return Err(KeyError::new("open", key, KeyErrorKind::Permission)
                            .because("the token does not let this key sign (CKA_SIGN is false)")
                            .advise("make the key with the usage `sign`, or name another"));
                    }
                    other => {
                        return Err(KeyError::new("open", key, KeyErrorKind::Unsupported)
                            .because(format!("{other:?} is not taken"))
                            .advise(TAKEN));
                    }
                }
            }
            Ok(*handle)
        }
        [] => {
            let mut labels = Vec::new();
            for handle in session.find_objects(&[class]).map_err(failed)? {
                let found = session.get_attributes(handle, &[AttributeType::Label]);
                for attribute in found.unwrap_or_default() {
                    if let Attribute::Label(label) = attribute {
                        labels.push(format!("`{}`", String::from_utf8_lossy(&label)));
                    }
                }
            }
            Err(KeyError::new("open", key, KeyErrorKind::NotFound)
                .because(format!("the token has no private key with {reference}"))
                .advise(format!("it has {}", list(&labels, "no private key"))))
        }
        several => Err(KeyError::new("open", key, KeyErrorKind::Malformed)
            .because(format!("{} private keys have {reference}", several.len()))
            .advise("name it with both `object=LABEL` and `id=%XX`")),
    }
}

fn list(items: &[String], none: &str) -> String {
    if items.is_empty() { none.to_owned() } else { items.join(", ") }
}

fn is_lost(error: &Error) -> bool {
    matches!(
        error,
        Error::Pkcs11(
            RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::UserNotLoggedIn
                | RvError::ObjectHandleInvalid
                | RvError::KeyHandleInvalid
                | RvError::DeviceRemoved
                | RvError::TokenNotPresent,
            _
        )
    )
}

fn unloaded(key: &str, module: &Path, error: Error) -> KeyError {
    match error {
        Error::LibraryLoading(_) | Error::MissingSymbol(_) | Error::NullFunctionPointer => {
            KeyError::new("open", key, KeyErrorKind::NotFound).because(error).advise(format!(
                "name the PKCS#11 library of the token with `module-path` or COSIGN_PKCS11_MODULE_PATH; {} is none",
                module.display()
            ))
        }
        error => failure("open", key, error),
    }
}

fn failure(operation: &'static str, key: impl Display, error: Error) -> KeyError {
    let (kind, advice) = match &error {
        Error::Pkcs11(code, _) => match code {
            RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange => (
                KeyErrorKind::WrongPassword,
                Some("check the PIN: after some wrong ones the token locks itself"),
            ),
            RvError::PinLocked => {
                (KeyErrorKind::Permission, Some("unlock the token with its SO PIN or PUK"))
            }
            RvError::PinExpired | RvError::UserPinNotInitialized => {
                (KeyErrorKind::Permission, Some("set a new PIN with the tool of the token"))
            }
            RvError::KeyFunctionNotPermitted | RvError::UserNotLoggedIn => {
                (KeyErrorKind::Permission, Some("let this key sign without asking each time"))
            }
            RvError::SlotIdInvalid => (KeyErrorKind::NotFound, Some("check `slot-id`")),
            RvError::MechanismInvalid
            | RvError::KeySizeRange
            | RvError::KeyTypeInconsistent
            | RvError::CurveNotSupported
            | RvError::FunctionNotSupported => (
                KeyErrorKind::Unsupported,
                Some("the token must have CKM_ECDSA, CKM_EDDSA or CKM_RSA_PKCS for this key"),
            ),
            _ => (KeyErrorKind::Unavailable, None),
        },
        _ => (KeyErrorKind::Unavailable, None),
    };
    let described = KeyError::new(operation, key, kind).because(error);
    match advice {
        Some(advice) => described.advise(advice),
        None => described,
    }
}
