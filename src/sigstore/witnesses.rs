//! Who bears witness to signatures: the logs that record them and the authorities that prove their time.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::{join, try_join_all};

use crate::crypto::{Certificate, Hash, PublicKey, SignatureBytes};
use crate::model::{Clock, SafeUrl, SignerName};
use crate::payload::{Format, LogEntry};
use crate::plan::{Ability, Failure, SignerTrust, Signers};
use crate::sigstore::choice::{Choice, needs_config, needs_witness};
use crate::sigstore::rekor::{self, Log};
use crate::sigstore::{
    Deployment, Endpoint, Network, Service, ServiceError, ServiceErrorKind, TimestampAuthority,
};
use crate::trust::{Content, IdentityPolicy, Proof, Signed, TrustedRoot, Verifier};

/// What bears witness to one signature; all of it has been verified.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Evidence {
    /// The log entries.
    pub log_entries: Vec<LogEntry>,
    /// The timestamps: the DER of responses.
    pub timestamps: Vec<Vec<u8>>,
}

/// A signature that a log has kept for us: of a run that ended before it could write it to the registry.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// The signature; it verifies.
    pub signature: SignatureBytes,
    /// Its key.
    pub public_key: PublicKey,
    /// The certificate that the entry names.
    pub certificate: Option<Certificate>,
    /// The entry; it holds.
    pub entry: LogEntry,
}

/// Who bears witness to the signatures of one signer.
#[derive(Debug)]
pub struct Witness {
    simple: Result<Called, Failure>,
    bundle: Result<Called, Failure>,
    trust: Arc<TrustedRoot>,
    clock: Arc<dyn Clock>,
}

/// Those who are called for each signature.
#[derive(Clone, Debug, Default)]
pub struct Called {
    /// The logs, of each of which it gets an entry.
    pub logs: Vec<Arc<dyn Log>>,
    /// The authorities, of each of which it gets a timestamp.
    pub authorities: Vec<Arc<TimestampAuthority>>,
}

/// Who bears witness to the signatures of a run, by signer. A signer that is not there asks for nothing.
#[derive(Clone, Debug, Default)]
pub struct Witnesses(BTreeMap<SignerName, Arc<Witness>>);

impl Witnesses {
    /// The same with the witness of one more signer.
    pub fn with(mut self, signer: SignerName, witness: Witness) -> Self {
        self.0.insert(signer, Arc::new(witness));
        self
    }

    /// The witnesses of those of `signers` whose new signatures need one.
    ///
    /// Opens the deployment only where that is so. Sends nothing else.
    pub async fn of_signers(
        signers: &Signers,
        deployment: &Deployment,
        network: Network,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let mut witnesses = Self::default();
        let signing = signers.iter().filter(|(_, it)| it.profile.ability == Ability::Sign);
        let mut needing = signing.filter(|(_, it)| needs_witness(&it.profile)).peekable();
        if needing.peek().is_none() {
            return witnesses;
        }
        let needing: Vec<_> = needing.collect();
        // Where it cannot be opened the plan has blocked everything that needs it.
        let opened = match needing.iter().any(|(_, it)| needs_config(&it.profile)) {
            true => deployment.opened().await.ok(),
            false => None,
        };
        let config = opened.as_ref().and_then(|it| it.config.as_deref());
        let root = opened.as_ref().map(|it| Arc::clone(&it.root)).unwrap_or_default();
        let mut pool = WitnessPool::new(network, root);
        for (name, state) in needing {
            let SignerTrust::Known(trust) = &state.trust else { continue };
            let choice = Choice { profile: &state.profile, config, now: clock.now() };
            let witness = Witness::chosen(&choice, &mut pool, Arc::clone(trust), clock);
            witnesses = witnesses.with(name.clone(), witness);
        }
        witnesses
    }

    /// Says whether no signature needs a witness.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The witness of a signer, where its signatures need one.
    pub fn of(&self, signer: &SignerName) -> Option<&Arc<Witness>> {
        self.0.get(signer)
    }
}

/// The connections to logs and authorities that the signers of a run share: one for each address.
#[derive(Debug)]
pub struct WitnessPool {
    network: Network,
    trust: Arc<TrustedRoot>,
    logs: BTreeMap<(String, u32), Arc<dyn Log>>,
    authorities: BTreeMap<String, Arc<TimestampAuthority>>,
}

impl WitnessPool {
    /// No connection yet; `trust` is the trusted root of the run.
    pub fn new(network: Network, trust: Arc<TrustedRoot>) -> Self {
        Self { network, trust, logs: BTreeMap::new(), authorities: BTreeMap::new() }
    }

    /// The logs at these addresses. Sends nothing.
    ///
    /// # Errors
    ///
    /// `rekor::refused` for what is no URL; `rekor::tls`.
    pub fn logs(&mut self, endpoints: &[Endpoint]) -> Result<Vec<Arc<dyn Log>>, ServiceError> {
        endpoints.iter().map(|it| self.log(it)).collect()
    }

    fn log(&mut self, endpoint: &Endpoint) -> Result<Arc<dyn Log>, ServiceError> {
        let place = (endpoint.url.clone(), endpoint.version);
        if let Some(log) = self.logs.get(&place) {
            return Ok(Arc::clone(log));
        }
        let log = rekor::open(endpoint, &self.trust, &self.network)?;
        Ok(Arc::clone(self.logs.entry(place).or_insert(log)))
    }

    /// The timestamp authorities at these addresses. Sends nothing.
    ///
    /// # Errors
    ///
    /// `tsa::refused` for what is no URL; `tsa::tls`.
    pub fn authorities<'a>(
        &mut self,
        urls: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Arc<TimestampAuthority>>, ServiceError> {
        urls.into_iter().map(|url| self.authority(url)).collect()
    }

    fn authority(&mut self, url: &str) -> Result<Arc<TimestampAuthority>, ServiceError> {
        if let Some(authority) = self.authorities.get(url) {
            return Ok(Arc::clone(authority));
        }
        let authority = Arc::new(TimestampAuthority::new(url, &self.network)?);
        Ok(Arc::clone(self.authorities.entry(url.to_owned()).or_insert(authority)))
    }
}

impl Witness {
    /// `simple` and `bundle` are called for the two formats, or say why nobody can be; `trust` must vouch for them.
    pub fn new(
        simple: Result<Called, Failure>,
        bundle: Result<Called, Failure>,
        trust: Arc<TrustedRoot>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { simple, bundle, trust, clock }
    }

    fn chosen(
        choice: &Choice<'_>,
        pool: &mut WitnessPool,
        trust: Arc<TrustedRoot>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let failed = |error: ServiceError| Failure::from(&error);
        let mut called = |format| {
            let logs = pool.logs(&choice.logs(format)?).map_err(failed)?;
            let urls = choice.authorities(format)?;
            let authorities = pool.authorities(urls.iter().map(String::as_str)).map_err(failed)?;
            Ok(Called { logs, authorities })
        };
        let (simple, bundle) = (called(Format::SimpleSigning), called(Format::Bundle));
        Self::new(simple, bundle, trust, Arc::clone(clock))
    }

    /// Says that there are the services that a signature of `format` needs. Sends nothing.
    ///
    /// # Errors
    ///
    /// Why there are none, though there must be: nothing should be signed then.
    pub fn is_ready(&self, format: Format) -> Result<(), Failure> {
        self.called(format).map(|_| ())
    }

    fn called(&self, format: Format) -> Result<&Called, Failure> {
        let called = match format {
            Format::SimpleSigning => &self.simple,
            Format::Bundle => &self.bundle,
        };
        called.as_ref().map_err(Clone::clone)
    }

    /// Has a signature recorded and stamped, side by side, and verifies what comes back.
    ///
    /// One request for each log and authority.
    ///
    /// # Errors
    ///
    /// Codes of the areas `rekor` and `tsa`; `…::untrusted` for evidence that does not hold.
    pub async fn witness(
        &self,
        signed: &Signed<'_>,
        hash: Hash,
        format: Format,
    ) -> Result<Evidence, Failure> {
        let Called { logs, authorities } = self.called(format)?;
        self.gather(signed, hash, logs, authorities).await.map_err(|error| Failure::from(&error))
    }

    /// Says whether `certificate` is one of an identity that `policy` accepts, and can still have its time proven
    /// where that is needed.
    pub fn vouches_for(
        &self,
        certificate: &Certificate,
        policy: &IdentityPolicy,
        format: Format,
    ) -> bool {
        let (now, first) = (self.clock.now(), certificate.not_before());
        let is_timed = self.called(format).is_ok_and(|it| !it.authorities.is_empty());
        let lasts = !is_timed || now <= certificate.not_after();
        let identity = self.trust.identity_of(certificate, None, first);
        lasts && identity.is_ok_and(|it| policy.accepts(&it).is_ok())
    }

    /// The timestamps alone, for a signature whose log entry is there.
    ///
    /// # Errors
    ///
    /// Codes of the area `tsa`.
    pub async fn stamp(
        &self,
        signed: &Signed<'_>,
        format: Format,
    ) -> Result<Vec<Vec<u8>>, Failure> {
        let authorities = &self.called(format)?.authorities;
        let evidence = self.gather(signed, Hash::default(), &[], authorities).await;
        evidence.map(|it| it.timestamps).map_err(|error| Failure::from(&error))
    }

    async fn gather(
        &self,
        signed: &Signed<'_>,
        hash: Hash,
        logs: &[Arc<dyn Log>],
        authorities: &[Arc<TimestampAuthority>],
    ) -> Result<Evidence, ServiceError> {
        // Asked first: a log that takes no such key is no reason to have the signature stamped.
        if let Some(error) = logs.iter().find_map(|log| log.refuses(signed, hash)) {
            return Err(error);
        }
        let entries = try_join_all(logs.iter().map(|log| self.entry(&**log, signed, hash)));
        let stamps = try_join_all(authorities.iter().map(|it| self.timestamp(it, signed)));
        let (log_entries, timestamps) = join(entries, stamps).await;
        Ok(Evidence { log_entries: log_entries?, timestamps: timestamps? })
    }

    async fn entry(
        &self,
        log: &dyn Log,
        signed: &Signed<'_>,
        hash: Hash,
    ) -> Result<LogEntry, ServiceError> {
        let entry = log.record(signed, hash).await?;
        let entries = [entry];
        let proof = self.trust.prove(signed, &entries, &[], self.clock.now());
        let [entry] = entries;
        match proof.log_entries {
            1 => Ok(entry),
            _ => Err(lie(Service::Rekor, &log.at(), &proof)),
        }
    }

    async fn timestamp(
        &self,
        authority: &TimestampAuthority,
        signed: &Signed<'_>,
    ) -> Result<Vec<u8>, ServiceError> {
        let tokens = [authority.stamp(signed.signature).await?];
        let proof = self.trust.prove(signed, &[], &tokens, self.clock.now());
        let [token] = tokens;
        match proof.timestamps {
            1 => Ok(token),
            _ => Err(lie(Service::Timestamp, &authority.at(), &proof)),
        }
    }

    /// A signature over `content` that the log has from an earlier run, with an entry that holds.
    ///
    /// Only where there is one log, and it can be searched: Rekor v1. `accepts` says whether the key, and the
    /// certificate where the entry names one, is the signer's. One or two requests.
    pub async fn remembered(
        &self,
        content: Content<'_>,
        hash: Hash,
        format: Format,
        accepts: impl Fn(&PublicKey, Option<&Certificate>) -> bool,
    ) -> Option<Remembered> {
        let [log] = self.called(format).ok()?.logs.as_slice() else { return None };
        let (digest, message) = match content {
            Content::Message(message) => (hash.digest(message), message.to_vec()),
            Content::Statement(statement) => {
                let signed = crate::payload::statement_signed_bytes(statement);
                (Hash::Sha256.digest(statement), signed)
            }
            Content::Digest(_) => return None,
        };
        let digest = <[u8; 32]>::try_from(digest).ok()?;
        log.find(&digest).await.into_iter().find_map(|found| {
            let certificate = found.certificate.as_ref();
            if !accepts(&found.public_key, certificate)
                || !found.public_key.verifies(&message, &found.signature, hash)
            {
                return None;
            }
            let verifier = match certificate {
                Some(certificate) => Verifier::Certificate(certificate),
                None => Verifier::Key(&found.public_key),
            };
            let signed = Signed { content, signature: &found.signature, verifier };
            let entries = std::slice::from_ref(&found.entry);
            let proof = self.trust.prove(&signed, entries, &[], self.clock.now());
            (proof.log_entries == 1).then(|| Remembered {
                signature: found.signature.clone(),
                public_key: found.public_key.clone(),
                certificate: found.certificate.clone(),
                entry: found.entry.clone(),
            })
        })
    }
}

/// What came does not hold: nothing of it is used.
fn lie(service: Service, at: &SafeUrl, proof: &Proof) -> ServiceError {
    let said: Vec<&str> = proof.problems.iter().map(|it| it.message.as_str()).collect();
    ServiceError::new(
        service,
        "use what came from",
        at,
        ServiceErrorKind::Untrusted,
        said.join("; "),
    )
}
