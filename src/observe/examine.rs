//! What is on one subject: reads its carrier, and judges every signature in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::crypto::{Certificate, Chain, PublicKey, SignatureBytes};
use crate::model::{Digest, Locator, Repository, SignerName, Tag};
use crate::observe::failure_of;
use crate::payload::{Carrier, CarrierLayer, Claim, Format, annotation};
use crate::plan::{
    Evidence, Failure, Found, Observed, Prune, SignerKey, SignerState, Signers, Target, Verdict,
    WantOrigin,
};
use crate::store::{ReadStore, StoreError, StoreErrorKind};

/// A payload is a claim of a few hundred bytes; no carrier makes this crate read more than this.
const MAX_PAYLOAD: u64 = 1 << 20;

/// Reads the signatures of `target`.
///
/// One request where all that is wanted is there and nothing may be removed. A payload whose digest is
/// that of a wanted one is not downloaded; the others are, where something depends on them. Where
/// something is missing, one more request makes sure that the subject exists.
pub async fn examine(target: &Target, store: &dyn ReadStore, signers: &Signers) -> Observed {
    match read_carrier(target, store).await {
        Ok(Some(read)) => {
            examine_carrier(target, store, signers, Some(read.digest), &read.carrier).await
        }
        Ok(None) => examine_carrier(target, store, signers, None, &Carrier::empty()).await,
        Err(reason) => Observed::Unreadable(reason),
    }
}

/// Judges the signatures of a carrier that has been read.
pub(crate) async fn examine_carrier(
    target: &Target,
    store: &dyn ReadStore,
    signers: &Signers,
    carrier: Option<Digest>,
    layers: &Carrier,
) -> Observed {
    let judge = Judge::new(target, signers);
    let mut found: Vec<Found> = layers.layers().map(|layer| judge.at_sight(&layer)).collect();
    if judge.must_read(&found) {
        for (found, layer) in found.iter_mut().zip(layers.layers()) {
            if found.verdict == Verdict::Unexamined {
                let read = read_payload(target, store, &layer).await;
                judge.with_payload(found, &layer, read);
            }
        }
    }
    if !target.exists && !judge.all_there(&found) {
        let locator = Locator::Digest(target.subject.digest.clone());
        match store.resolve(&target.subject.repository, &locator).await {
            Ok(_) => {}
            Err(error) if error.kind.is_absent() => return Observed::Missing,
            Err(error) => return Observed::Unreadable(failure_of(&error)),
        }
    }
    Observed::Read { carrier, found }
}

/// Reads every payload too: what `explain` shows.
pub async fn examine_closely(
    target: &Target,
    store: &dyn ReadStore,
    signers: &Signers,
) -> Observed {
    let closely = Target { prune: Prune::Undeclared, ..target.clone() };
    examine(&closely, store, signers).await
}

/// A carrier as a store gave it.
#[derive(Debug)]
pub(crate) struct ReadCarrier {
    /// The digest of its manifest.
    pub(crate) digest: Digest,
    /// What the store calls this version.
    pub(crate) version: Option<String>,
    /// What it carries.
    pub(crate) carrier: Carrier,
}

/// Reads the carrier of `target`; none where there is none for sure.
pub(crate) async fn read_carrier(
    target: &Target,
    store: &dyn ReadStore,
) -> Result<Option<ReadCarrier>, Failure> {
    let tag = Tag::of_signatures(&target.subject.digest);
    match store.manifest(&target.signatures, &Locator::Tag(tag.clone())).await {
        Ok(fetched) => match Carrier::parse(&fetched.bytes) {
            Ok(carrier) => Ok(Some(ReadCarrier {
                digest: fetched.descriptor.digest,
                version: fetched.version,
                carrier,
            })),
            Err(error) => Err(Failure::error(
                "carrier::not_signatures",
                format!("{}:{tag} carries no signatures: {error}", target.signatures),
            )
            .help("another tool uses this tag: remove it, or set `signature_repository`")),
        },
        Err(error) if error.kind.is_absent() => Ok(None),
        Err(error) if is_refusal(&error) => {
            absent_by_tag_list(target, store, &tag, error).await.map(|()| None)
        }
        Err(error) => Err(failure_of(&error)),
    }
}

fn is_refusal(error: &StoreError) -> bool {
    matches!(error.kind, StoreErrorKind::Forbidden | StoreErrorKind::Unauthorized)
}

/// Decides what a refusal on a signature tag means.
///
/// Artifactory answers 403 for a tag that does not exist. Where the same credentials read the subject,
/// the complete tag list decides: not listed is absent. Anything else stays unknown.
async fn absent_by_tag_list(
    target: &Target,
    store: &dyn ReadStore,
    tag: &Tag,
    refusal: StoreError,
) -> Result<(), Failure> {
    let locator = Locator::Digest(target.subject.digest.clone());
    let readable =
        target.exists || store.resolve(&target.subject.repository, &locator).await.is_ok();
    if !readable {
        return Err(failure_of(&refusal));
    }
    match store.tags(&target.signatures).await {
        Ok(tags) if !tags.contains(tag) => Ok(()),
        _ => Err(failure_of(&refusal)),
    }
}

pub(super) async fn read_payload(
    target: &Target,
    store: &dyn ReadStore,
    layer: &CarrierLayer<'_>,
) -> Result<Vec<u8>, Failure> {
    let descriptor = layer.descriptor;
    if descriptor.size > MAX_PAYLOAD {
        let message = format!("a payload of {} bytes is no claim", descriptor.size);
        return Err(Failure::error("carrier::payload_too_large", message));
    }
    let read = store.blob(&target.signatures, descriptor).await;
    read.map(|bytes| bytes.to_vec()).map_err(|error| failure_of(&error))
}

/// Judges the signatures of one target.
struct Judge<'a> {
    target: &'a Target,
    signers: &'a Signers,
    /// The payloads that are wanted: they need no download.
    wanted: BTreeMap<&'a Digest, Vec<u8>>,
}

impl<'a> Judge<'a> {
    fn new(target: &'a Target, signers: &'a Signers) -> Self {
        let wanted = target
            .wants
            .iter()
            .map(|want| (&want.payload, want.payload_bytes(&target.subject.digest)));
        Self { target, signers, wanted: wanted.collect() }
    }

    /// What the manifest alone tells of a layer.
    fn at_sight(&self, layer: &CarrierLayer<'_>) -> Found {
        let descriptor = layer.descriptor;
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
            evidence: Evidence {
                log_entry: descriptor.annotation(annotation::BUNDLE).is_some(),
                timestamp: descriptor.annotation(annotation::TIMESTAMP).is_some(),
            },
            proven: None,
        };
        if let Some(payload) = self.wanted.get(&descriptor.digest) {
            self.judge(&mut found, layer, payload);
        }
        found
    }

    fn with_payload(
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
        found.verdict = layer
            .signature()
            .and_then(|signature| self.signer_of(payload, &signature))
            .unwrap_or(Verdict::Stranger);
    }

    /// Whose signature it is: the image's own signers are tried first.
    fn signer_of(&self, payload: &[u8], signature: &SignatureBytes) -> Option<Verdict> {
        if let Some(verdict) = self.given(payload, signature) {
            return Some(verdict);
        }
        let own =
            self.target.signers.iter().filter_map(|name| Some((name, self.signers.get(name)?)));
        let others = self.signers.iter().filter(|(name, _)| !self.target.signers.contains(name));
        own.chain(others).find_map(|(name, state)| verdict(name, state, payload, signature))
    }

    /// A signature without a key to check it with: the very one that is to be attached is there.
    fn given(&self, payload: &[u8], signature: &SignatureBytes) -> Option<Verdict> {
        self.target.wants.iter().find_map(|want| {
            let state = self.signers.get(&want.signer)?;
            let WantOrigin::Attach(attachment) = &want.origin else { return None };
            let same = attachment.payload == payload && attachment.signature == *signature;
            let unchecked = matches!(state.key, SignerKey::Unchecked);
            let (signer, hash) = (want.signer.clone(), state.profile.hash);
            (same && unchecked).then_some(Verdict::Signed { signer, hash })
        })
    }

    /// Says whether every want already has a signature that verifies over the wanted payload.
    ///
    /// A cheap and careful "yes": the diff looks at certificates and hashes too.
    fn all_there(&self, found: &[Found]) -> bool {
        let digest = &self.target.subject.digest;
        self.target.wants.iter().all(|want| {
            found.iter().any(|found| {
                found.signer() == Some(&want.signer)
                    && found.claim.as_ref().is_some_and(|claim| want.is_said_by(claim, digest))
            })
        })
    }

    /// Says whether something depends on the payloads that are not known yet.
    fn must_read(&self, found: &[Found]) -> bool {
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

/// The place of the signatures of `digest`, for people: `ghcr.io/acme/api:sha256-….sig`.
pub fn place(repository: &Repository, digest: &Digest) -> String {
    format!("{repository}:{}", Tag::of_signatures(digest))
}
