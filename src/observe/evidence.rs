//! What a signature carries as proof, and what of it holds. Pure.

use crate::crypto::{Certificate, Chain, Hash, PublicKey, SignatureBytes};
use crate::model::{SignerName, Timestamp};
use crate::payload::{
    Bundle, CarrierLayer, LogEntry, Material, annotation, timestamp_from_annotation,
};
use crate::plan::{Evidence, EvidenceFault, Found, SignerState, Verdict};
use crate::trust::{
    CertificateIdentity, Content, IdentityPolicy, Proof, Signed, TrustedRoot, Verifier,
};

/// Certificates, log entries and timestamps as they were found: nothing of them is believed yet.
#[derive(Default)]
pub(super) struct Carried {
    pub(super) certificate: Option<Certificate>,
    pub(super) chain: Option<Chain>,
    entries: Vec<LogEntry>,
    tokens: Vec<Vec<u8>>,
    /// What could not be read.
    faults: Vec<EvidenceFault>,
}

/// A signature with the bytes that it is over.
#[derive(Clone, Copy)]
pub(super) struct SignedBytes<'a> {
    /// What was signed.
    pub(super) bytes: &'a [u8],
    /// The same as the evidence names it.
    pub(super) content: Content<'a>,
    /// The signature.
    pub(super) signature: &'a SignatureBytes,
}

impl Carried {
    /// What stands beside a signature at the tag.
    pub(super) fn of_layer(layer: &CarrierLayer<'_>) -> Self {
        let descriptor = layer.descriptor;
        let mut carried = Self {
            certificate: descriptor
                .annotation(annotation::CERTIFICATE)
                .and_then(|pem| Certificate::from_pem(pem).ok()),
            chain: descriptor
                .annotation(annotation::CHAIN)
                .and_then(|pem| Chain::from_pem(pem).ok()),
            ..Self::default()
        };
        match descriptor.annotation(annotation::BUNDLE).map(LogEntry::from_annotation) {
            Some(Ok(entry)) => carried.entries.push(entry),
            Some(Err(error)) => carried.faults.push(unread(error.to_string())),
            None => {}
        }
        match descriptor.annotation(annotation::TIMESTAMP).map(timestamp_from_annotation) {
            Some(Some(token)) => carried.tokens.push(token),
            Some(None) => carried.faults.push(unread("the timestamp cannot be read".to_owned())),
            None => {}
        }
        carried
    }

    /// What is in a bundle.
    pub(super) fn of_bundle(bundle: &Bundle) -> Self {
        Self {
            certificate: match &bundle.material {
                Material::Certificate(certificate) => Some(certificate.clone()),
                Material::Key(_) | Material::None => None,
            },
            chain: None,
            entries: bundle.log_entries.clone(),
            tokens: bundle.timestamps.clone(),
            faults: bundle.unread.iter().cloned().map(unread).collect(),
        }
    }

    /// How much there is, read or not.
    pub(super) fn count(&self) -> Evidence {
        let unread = self.faults.len();
        Evidence::counted(self.entries.len() + unread, self.tokens.len())
    }

    /// Says what of it holds for a signature of `state` that verifies under `key`.
    pub(super) fn prove(
        &self,
        signed: &SignedBytes<'_>,
        state: &SignerState,
        key: &PublicKey,
        now: Timestamp,
        found: &mut Found,
    ) {
        found.problems = self.faults.clone().into();
        let Some(root) = state.root() else { return };
        let certificate = self.certificate.as_ref().filter(|it| it.public_key() == key);
        let verifier = certificate.map_or(Verifier::Key(key), Verifier::Certificate);
        self.hold(self.proof(signed, verifier, root, now), found);
    }

    fn proof(
        &self,
        signed: &SignedBytes<'_>,
        verifier: Verifier<'_>,
        root: &TrustedRoot,
        now: Timestamp,
    ) -> Proof {
        let signed = Signed { content: signed.content, signature: signed.signature, verifier };
        root.prove(&signed, &self.entries, &self.tokens, now)
    }

    fn hold(&self, proof: Proof, found: &mut Found) {
        found.evidence = Evidence::counted(proof.log_entries, proof.timestamps);
        found.proven = proof.earliest;
        let problems = proof.problems.into_iter().map(|it| fault(it.code, it.message));
        found.problems = self.faults.iter().cloned().chain(problems).collect();
    }

    /// Finds the identity among `signers` that signed, where the certificate that is carried says so and
    /// holds; else says in `found` what does not hold.
    pub(super) fn signed_by<'a>(
        &self,
        signed: &SignedBytes<'_>,
        signers: impl Iterator<Item = (&'a SignerName, &'a SignerState)>,
        now: Timestamp,
        found: &mut Found,
    ) -> Option<Verdict> {
        let certificate = self.certificate.as_ref()?;
        let key = certificate.public_key();
        let hash = key.verifying_hash(signed.bytes, signed.signature, Hash::default())?;
        let identity = CertificateIdentity::read(certificate);
        let mut faults = Vec::new();
        for (name, state) in signers {
            let Some(policy) = &state.profile.identity else { continue };
            let identity = match &identity {
                Ok(identity) => identity,
                Err(error) => {
                    faults.push(fault(error.code, error.message.clone()));
                    break;
                }
            };
            if let Err(problem) = names(policy, identity, name) {
                faults.push(problem);
                continue;
            }
            // Of a root that is not known the diff says so.
            let Some(root) = state.root() else { continue };
            let proof = self.proof(signed, Verifier::Certificate(certificate), root, now);
            let at = time_of_signing(&proof, certificate, now);
            match root.identity_of(certificate, self.chain.as_ref(), at) {
                Ok(_) => {
                    self.hold(proof, found);
                    return Some(Verdict::Signed { signer: name.clone(), hash });
                }
                Err(error) => faults.push(fault(error.code, error.message)),
            }
        }
        faults.sort();
        faults.dedup();
        found.problems = faults.into();
        None
    }
}

/// When the signature was made, as far as is known: the proven time, else now, both within the certificate.
///
/// A certificate that has ended without proof of time is looked at as it was in its time: whose the
/// signature is does not change, and the diff says that it must be renewed.
fn time_of_signing(proof: &Proof, certificate: &Certificate, now: Timestamp) -> Timestamp {
    let (first, last) = (certificate.not_before(), certificate.not_after());
    let time = proof.earliest.unwrap_or(now);
    if first <= time && time <= last { time } else { first }
}

fn names(
    policy: &IdentityPolicy,
    identity: &CertificateIdentity,
    signer: &SignerName,
) -> Result<(), EvidenceFault> {
    policy.accepts(identity).map_err(|mismatch| {
        fault("signature::other_identity", format!("it is not {signer}'s: {mismatch}"))
    })
}

fn fault(code: &str, message: String) -> EvidenceFault {
    EvidenceFault { code: code.to_owned(), message }
}

fn unread(message: String) -> EvidenceFault {
    fault("trust::entry_malformed", message)
}
