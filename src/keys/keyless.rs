//! Signing as somebody instead of with a kept key: a new key, and a certificate that says whose it is.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use crate::crypto::{Certificate, Chain, Hash, PrivateKey, PublicKey};
use crate::keys::{KeyError, KeyErrorKind, Signed, Signer};
use crate::model::{Clock, SignerName, Timestamp};
use crate::plan::Failure;
use crate::sigstore::identity::{AUDIENCE, IdentitySource};
use crate::sigstore::{
    Deployment, Fulcio, Network, Service, ServiceError, ServiceErrorKind, no_config,
};
use crate::trust::{IdentityPolicy, TrustedRoot};

/// A signer whose certificates come from Fulcio.
///
/// One key and one certificate serve many signatures, until shortly before the certificate's end; however many tasks
/// ask, one of them gets the next. What is refused once is not asked for again. A certificate is used only where the trusted root vouches for it and it is that of
/// the declared identity.
pub struct KeylessSigner {
    name: SignerName,
    fulcio: Arc<Fulcio>,
    identity: Arc<dyn IdentitySource>,
    policy: Arc<IdentityPolicy>,
    trust: Arc<TrustedRoot>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// What came of asking for a certificate.
#[derive(Default)]
enum State {
    /// Nobody has asked, or what went wrong may pass.
    #[default]
    Unasked,
    /// There is one.
    Certified(Arc<Session>),
    /// There will be none in this run: asked again, it would be refused again.
    Refused(ServiceError),
}

/// A key, and the certificate for it.
struct Session {
    /// When it was asked for, by the clock of this machine.
    since: Timestamp,
    key: PrivateKey,
    certificate: Certificate,
    chain: Option<Chain>,
}

/// The part of its life, a fifth, at the end of which a certificate signs nothing new: two minutes of Fulcio's ten.
///
/// That is longer than a log or an authority is waited for, whose time must lie within the certificate.
const RESERVE: i64 = 5;

impl Session {
    /// Counted from when it was asked for: a clock that goes before Fulcio's still makes no certificate for each
    /// signature.
    fn serves_at(&self, now: Timestamp) -> bool {
        let (first, last) = (self.certificate.not_before(), self.certificate.not_after());
        let life = last.as_seconds().saturating_sub(first.as_seconds());
        let age = now.as_seconds().saturating_sub(self.since.as_seconds());
        age < life.saturating_sub(life / RESERVE)
    }
}

/// What signers without a key are made with: services, and somebody who says who signs.
#[derive(Clone, Debug)]
pub struct Keyless {
    /// Where the certification authority and whom to trust come from.
    pub deployment: Arc<Deployment>,
    /// Where identity tokens come from.
    pub identity: Arc<dyn IdentitySource>,
    /// How services are reached.
    pub network: Network,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Keyless {
    /// A signer that signs as `policy` says. Opens the deployment, and sends nothing else.
    pub(super) async fn signer(
        &self,
        name: &SignerName,
        policy: &Arc<IdentityPolicy>,
    ) -> Result<KeylessSigner, KeyError> {
        let unable = |why: Failure| {
            let error = KeyError::new("sign as", name, KeyErrorKind::Unsupported);
            let error = error.because(why.message);
            match why.help {
                Some(help) => error.advise(help),
                None => error,
            }
        };
        let opened = self.deployment.opened().await.map_err(unable)?;
        let config = opened.config.ok_or_else(|| unable(no_config(name)))?;
        let authority = config.certificate_authority(self.clock.now());
        let authority = authority.map_err(|error| unable(Failure::from(&error)))?;
        let fulcio = Fulcio::new(&authority.url, &self.network);
        let fulcio = fulcio.map_err(|error| KeyError::of_service(name, error))?;
        Ok(KeylessSigner::new(
            name.clone(),
            Arc::clone(policy),
            Arc::clone(&self.identity),
            Arc::new(fulcio),
            opened.root,
            Arc::clone(&self.clock),
        ))
    }
}

impl fmt::Debug for KeylessSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeylessSigner({})", self.name)
    }
}

impl KeylessSigner {
    /// Signs as `policy` says, with tokens of `identity` and certificates of `fulcio`, for which `trust` must vouch.
    ///
    /// Sends nothing.
    pub fn new(
        name: SignerName,
        policy: Arc<IdentityPolicy>,
        identity: Arc<dyn IdentitySource>,
        fulcio: Arc<Fulcio>,
        trust: Arc<TrustedRoot>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { name, fulcio, identity, policy, trust, clock, state: Mutex::default() }
    }

    /// The lock is held while a certificate is fetched: the other tasks wait for that one. It guards nothing else.
    async fn session(&self) -> Result<Arc<Session>, ServiceError> {
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        match &*state {
            State::Certified(session) if session.serves_at(now) => return Ok(Arc::clone(session)),
            State::Refused(error) => return Err(error.clone()),
            _ => {}
        }
        let begun = self.begin().await.map(Arc::new);
        *state = match &begun {
            Ok(session) => State::Certified(Arc::clone(session)),
            Err(error) if error.is_transient() => State::Unasked,
            Err(error) => State::Refused(error.clone()),
        };
        begun
    }

    async fn begin(&self) -> Result<Session, ServiceError> {
        let token = self.identity.token(AUDIENCE).await?;
        let since = self.clock.now();
        let subject = token.subject_for_proof().ok_or_else(|| {
            let said = "the issuer has not verified the e-mail address in it";
            self.refused(
                Service::Identity,
                "use the identity token of",
                ServiceErrorKind::Permission,
                said,
            )
        })?;
        let defect = |error: crate::crypto::PrivateKeyError| {
            let said = error.to_string();
            self.refused(Service::Fulcio, "make a key for", ServiceErrorKind::Refused, &said)
        };
        let key = PrivateKey::generate_p256().map_err(defect)?;
        let proof = key.sign(subject.as_bytes(), Hash::Sha256).map_err(defect)?;
        let issued = self.fulcio.certificate(token.raw(), key.public_key(), &proof).await?;
        let (certificate, chain) = issued;
        self.check(key.public_key(), &certificate, chain.as_ref())?;
        tracing::info!(
            signer = %self.name,
            until = %certificate.not_after(),
            "key.certificate"
        );
        Ok(Session { since, key, certificate, chain })
    }

    /// Everything that verifiers will ask of the certificate, before anything is signed or logged.
    fn check(
        &self,
        key: &PublicKey,
        certificate: &Certificate,
        chain: Option<&Chain>,
    ) -> Result<(), ServiceError> {
        let untrusted = |said: &str| {
            let kind = ServiceErrorKind::Untrusted;
            self.refused(Service::Fulcio, "use the certificate for", kind, said)
        };
        if certificate.public_key() != key {
            return Err(untrusted("it is for another key"));
        }
        let identity = self.trust.identity_of(certificate, chain, self.clock.now());
        let identity = identity.map_err(|error| untrusted(&error.message))?;
        self.policy.accepts(&identity).map_err(|mismatch| {
            let kind = ServiceErrorKind::Permission;
            let said = mismatch.to_string();
            self.refused(Service::Identity, "sign as", kind, &said)
                .advise("nothing was signed or logged: log in as the declared identity, or declare this one")
        })
    }

    fn refused(
        &self,
        service: Service,
        operation: &'static str,
        kind: ServiceErrorKind,
        said: &str,
    ) -> ServiceError {
        ServiceError::new(service, operation, format!("`{}`", self.name), kind, said)
    }
}

#[async_trait]
impl Signer for KeylessSigner {
    fn public_key(&self) -> Option<&PublicKey> {
        None
    }

    /// Always with SHA-256, the hash of P-256.
    async fn sign(&self, message: &[u8], _: Hash) -> Result<Signed, KeyError> {
        let failed = |kind| KeyError::new("sign as", &self.name, kind);
        let session =
            self.session().await.map_err(|error| KeyError::of_service(&self.name, error))?;
        let signature = session.key.sign(message, Hash::Sha256);
        let signature =
            signature.map_err(|error| failed(KeyErrorKind::Unsupported).because(error))?;
        Ok(Signed {
            signature,
            public_key: session.key.public_key().clone(),
            certificate: Some((session.certificate.clone(), session.chain.clone())),
        })
    }
}
