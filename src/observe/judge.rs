//! Whose a signature is, and what it says: the judgement on everything that was read. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::crypto::{Certificate, Chain, PublicKey, SignatureBytes};
use crate::model::{Digest, SignerName, Timestamp};
use crate::observe::evidence::{Carried, SignedBytes};
use crate::payload::{CarrierLayer, Claim, Format, annotation};
use crate::plan::{
    Evidence, Failure, Found, Prune, SignerKey, SignerState, Signers, Target, Verdict, WantOrigin,
};
use crate::trust::Content;

/// Judges the signatures of one target.
pub(super) struct Judge<'a> {
    pub(super) target: &'a Target,
    signers: &'a Signers,
    now: Timestamp,
    /// The payloads that are wanted: they need no download.
    wanted: BTreeMap<&'a Digest, Vec<u8>>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(target: &'a Target, signers: &'a Signers, now: Timestamp) -> Self {
        let wanted = target
            .wants
            .iter()
            .filter(|want| want.format == Format::SimpleSigning)
            .map(|want| (&want.payload, want.payload_bytes(&target.subject.digest)));
        Self { target, signers, now, wanted: wanted.collect() }
    }

    /// What the manifest alone tells of a layer.
    pub(super) fn at_sight(&self, layer: &CarrierLayer<'_>) -> Found {
        let descriptor = layer.descriptor;
        let is_there = |key: &str| usize::from(descriptor.annotation(key).is_some());
        let carried =
            Evidence::counted(is_there(annotation::BUNDLE), is_there(annotation::TIMESTAMP));
        let mut found = Found {
            format: Format::SimpleSigning,
            position: layer.position,
            id: layer.id(),
            verdict: Verdict::Unexamined,
            claim: None,
            certificate: descriptor
                .annotation(annotation::CERTIFICATE)
                .and_then(|pem| Certificate::from_pem(pem).ok()),
            chain: descriptor
                .annotation(annotation::CHAIN)
                .and_then(|pem| Chain::from_pem(pem).ok()),
            carried,
            evidence: Evidence::default(),
            problems: Box::default(),
            proven: None,
            passed_over: None,
        };
        if let Some(payload) = self.wanted.get(&descriptor.digest) {
            self.judge(&mut found, layer, payload);
        }
        found
    }

    pub(super) fn with_payload(
        &self,
        found: &mut Found,
        layer: &CarrierLayer<'_>,
        payload: Result<Vec<u8>, Failure>,
    ) {
        match payload {
            Ok(payload) => self.judge(found, layer, &payload),
            Err(reason) => found.verdict = Verdict::Unreadable(reason),
        }
    }

    fn judge(&self, found: &mut Found, layer: &CarrierLayer<'_>, payload: &[u8]) {
        found.claim = Claim::parse(payload).ok().map(Arc::new);
        found.verdict = Verdict::Stranger;
        if let Some(signature) = &layer.signature() {
            let content = Content::Message(payload);
            let signed = SignedBytes { bytes: payload, content, signature };
            self.decide(&signed, || Carried::of_layer(layer), found);
        }
    }

    /// Says whose signature it is, and what of its evidence holds. A key decides before a certificate.
    pub(super) fn decide(
        &self,
        signed: &SignedBytes<'_>,
        carried: impl Fn() -> Carried,
        found: &mut Found,
    ) {
        if let Some(verdict) = self.signer_of(signed.bytes, signed.signature) {
            let signer = match &verdict {
                Verdict::Signed { signer, .. } => self.signers.get(signer),
                _ => None,
            };
            let known = signer.and_then(|state| Some((state, state.public_key()?)));
            if let Some((state, key)) = known.filter(|(state, _)| state.root().is_some()) {
                carried().prove(signed, state, key, self.now, found);
            }
            found.verdict = verdict;
        } else if found.certificate.is_some() && self.has_identities() {
            let verdict = carried().signed_by(signed, self.in_order(), self.now, found);
            found.verdict = verdict.unwrap_or(Verdict::Stranger);
        }
    }

    fn has_identities(&self) -> bool {
        self.signers.values().any(|it| it.profile.identity.is_some())
    }

    /// The signers, the image's own first.
    fn in_order(&self) -> impl Iterator<Item = (&'a SignerName, &'a SignerState)> {
        let (target, signers) = (self.target, self.signers);
        let own = target.signers.iter().filter_map(|name| signers.get_key_value(name));
        own.chain(signers.iter().filter(|(name, _)| !target.signers.contains(name)))
    }

    /// Whose signature over the bytes `signed` it is: the image's own signers are tried first.
    pub(super) fn signer_of(&self, signed: &[u8], signature: &SignatureBytes) -> Option<Verdict> {
        if let Some(verdict) = self.given(signed, signature) {
            return Some(verdict);
        }
        self.in_order().find_map(|(name, state)| verdict(name, state, signed, signature))
    }

    /// A signature without a key to check it with: the very one that is to be attached is there.
    fn given(&self, signed: &[u8], signature: &SignatureBytes) -> Option<Verdict> {
        self.target.wants.iter().find_map(|want| {
            let state = self.signers.get(&want.signer)?;
            let WantOrigin::Attach(attachment) = &want.origin else { return None };
            let same = *attachment.signed_bytes() == *signed && attachment.signature == *signature;
            let unchecked = matches!(state.key, SignerKey::Unchecked);
            let (signer, hash) = (want.signer.clone(), state.profile.hash);
            (same && unchecked).then_some(Verdict::Signed { signer, hash })
        })
    }

    /// Says whether every want already has a signature that verifies over the wanted payload.
    ///
    /// A cheap and careful "yes": the diff looks at certificates and hashes too.
    pub(super) fn all_there(&self, found: &[Found]) -> bool {
        let digest = &self.target.subject.digest;
        self.target.wants.iter().all(|want| {
            found.iter().any(|found| {
                found.signer() == Some(&want.signer)
                    && found.format == want.format
                    && found.claim.as_ref().is_some_and(|claim| want.is_said_by(claim, digest))
            })
        })
    }

    /// Says whether something depends on the payloads that are not known yet.
    pub(super) fn must_read(&self, found: &[Found]) -> bool {
        let unknown = found.iter().any(|it| it.verdict == Verdict::Unexamined);
        let requirement_met = self
            .target
            .requires
            .iter()
            .all(|name| found.iter().any(|found| found.signer() == Some(name)));
        unknown && (self.target.prune > Prune::Keep || !self.all_there(found) || !requirement_met)
    }
}

fn verdict(
    name: &SignerName,
    state: &SignerState,
    payload: &[u8],
    signature: &SignatureBytes,
) -> Option<Verdict> {
    let key: &PublicKey = state.public_key()?;
    let hash = key.verifying_hash(payload, signature, state.profile.hash)?;
    Some(Verdict::Signed { signer: name.clone(), hash })
}
