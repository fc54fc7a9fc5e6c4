//! The referrers of a subject: which of them are signatures, whose, and what is wrong with their list.

use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream;

use crate::model::{Descriptor, Digest, Locator, Manifest, Repository};
use crate::observe::evidence::{Carried, SignedBytes};
use crate::observe::examine::{read_payload, reads};
use crate::observe::failure_of;
use crate::observe::judge::Judge;
use crate::payload::{
    Bundle, Claim, Format, LayerId, ReferrerKind, SIGN_PREDICATE, Statement, annotation,
    bundle_layer, listing_of, referrer_kind,
};
use crate::plan::{Evidence, Failure, Found, IndexFault, Observed, SeenReferrers, Target, Verdict};
use crate::store::{Listing, ReadStore, Referrers};
use crate::trust::Content;

/// A bundle of a signature has a few kilobytes; what is larger is an attestation.
pub(super) const MAX_BUNDLE: u64 = 1 << 20;

/// How many referrers of one subject are read side by side.
pub(super) const SIDE_BY_SIDE: usize = 8;

/// Lists the referrers of `target`; a repository that does not exist has none.
pub(crate) async fn read_referrers(
    target: &Target,
    store: &dyn ReadStore,
) -> Result<Referrers, Failure> {
    match store.referrers(&target.signatures, &target.subject.digest).await {
        Ok(referrers) => Ok(referrers),
        Err(error) if error.kind.is_absent() => Ok(Referrers::default()),
        Err(error) => Err(failure_of(&error)),
    }
}

/// Reads the bundle in a referrer that was found before.
pub(crate) async fn read_bundle(
    store: &dyn ReadStore,
    repository: &Repository,
    referrer: &Digest,
) -> Result<Bundle, Failure> {
    let locator = Locator::Digest(referrer.clone());
    let fetched = store.manifest(repository, &locator).await.map_err(|it| failure_of(&it))?;
    let wrong = |message: String| Failure::error("carrier::not_a_bundle", message);
    let manifest = Manifest::parse(&fetched.bytes)
        .map_err(|error| wrong(format!("{repository}@{referrer} is no referrer: {error}")))?;
    let [layer] = manifest.layers.as_slice() else {
        return Err(wrong(format!("{repository}@{referrer} carries no bundle")));
    };
    let bytes = store.blob(repository, layer).await.map_err(|it| failure_of(&it))?;
    Bundle::parse(&bytes).map_err(|error| wrong(format!("{repository}@{referrer}: {error}")))
}

/// Looks whether a bundle is there, where nothing else depends on it. What cannot be seen is no bundle: this is
/// for a warning only.
pub(super) async fn seek_bundles(target: &Target, store: &dyn ReadStore, observed: &mut Observed) {
    let Observed::Read { referrers, .. } = observed else { return };
    if reads(target, Format::Bundle) {
        return;
    }
    let Ok(listed) = read_referrers(target, store).await else { return };
    for entry in &listed.entries {
        let locator = Locator::Digest(entry.digest.clone());
        let Ok(fetched) = store.manifest(&target.signatures, &locator).await else { continue };
        let Ok(manifest) = Manifest::parse(&fetched.bytes) else { continue };
        let is_bundle = match referrer_kind(&manifest, &target.subject.digest) {
            ReferrerKind::Attestation(_) | ReferrerKind::Bundle(_) => true,
            ReferrerKind::Stranger => counts_for_cosign(target, store, &manifest).await,
            ReferrerKind::Experimental | ReferrerKind::Other => false,
        };
        if is_bundle {
            referrers.bundles = 1;
            return;
        }
    }
}

/// What one entry of the list turned out to be.
#[derive(Default)]
struct Entry {
    found: Vec<Found>,
    is_bundle: bool,
    fault: Option<IndexFault>,
}

impl Entry {
    fn unreadable(format: Format, id: LayerId, reason: Failure) -> Self {
        let verdict = Verdict::Unreadable(reason);
        Self { found: vec![found(format, id, verdict)], ..Self::default() }
    }
}

/// Reads and judges every referrer; whatever the list says of it, its manifest decides.
pub(super) async fn examine_referrers(
    judge: &Judge<'_>,
    store: &dyn ReadStore,
    referrers: &Referrers,
) -> (Vec<Found>, SeenReferrers) {
    let reading: Vec<_> = referrers
        .entries
        .iter()
        .map(|entry| examine_entry(judge, store, entry, &referrers.listing))
        .collect();
    let entries = stream::iter(reading).buffered(SIDE_BY_SIDE).collect::<Vec<_>>().await;
    let mut seen = SeenReferrers { listed: Some(referrers.digests()), ..SeenReferrers::default() };
    if let Listing::Tag(Some(index)) = &referrers.listing {
        seen.index = Some(index.digest.clone());
    }
    let mut all = Vec::new();
    for (position, entry) in entries.into_iter().enumerate() {
        all.extend(entry.found.into_iter().map(|found| Found { position, ..found }));
        seen.bundles += usize::from(entry.is_bundle);
        seen.faults.extend(entry.fault);
    }
    (all, seen)
}

async fn examine_entry(
    judge: &Judge<'_>,
    store: &dyn ReadStore,
    entry: &Descriptor,
    listing: &Listing,
) -> Entry {
    let Target { signatures, subject, .. } = judge.target;
    let is_ours_to_keep = matches!(listing, Listing::Tag(_));
    let unknown = || LayerId { payload: entry.digest.clone(), annotations: entry.digest.clone() };
    let fetched = match store.manifest(signatures, &Locator::Digest(entry.digest.clone())).await {
        Ok(fetched) => fetched,
        // It went away since it was listed, or is listed by a tag that nobody cleaned.
        Err(error) if error.kind.is_absent() => {
            let dangling = IndexFault::Dangling(entry.digest.clone());
            return Entry { fault: is_ours_to_keep.then_some(dangling), ..Entry::default() };
        }
        Err(error) => return Entry::unreadable(Format::Bundle, unknown(), failure_of(&error)),
    };
    // An index may refer to something too; it carries no bundle.
    let Ok(manifest) = Manifest::parse(&fetched.bytes) else { return Entry::default() };
    let kind = referrer_kind(&manifest, &subject.digest);
    if kind == ReferrerKind::Stranger {
        if counts_for_cosign(judge.target, store, &manifest).await {
            return Entry { is_bundle: true, ..Entry::default() };
        }
        let stranger = IndexFault::Stranger(entry.digest.clone());
        return Entry { fault: is_ours_to_keep.then_some(stranger), ..Entry::default() };
    }
    let right = listing_of(&fetched.descriptor, &manifest);
    let is_wrong =
        entry.artifact_type != right.artifact_type || entry.annotations != right.annotations;
    let fault = (is_ours_to_keep && is_wrong).then_some(IndexFault::Described(Box::new(right)));
    let examined = match kind {
        ReferrerKind::Attestation(_) => Entry { is_bundle: true, ..Entry::default() },
        ReferrerKind::Bundle(layer) if layer.size > MAX_BUNDLE => {
            let named = found(Format::Bundle, unknown(), Verdict::Stranger);
            let found = says_signature(&manifest).then_some(named).into_iter().collect();
            Entry { found, is_bundle: true, fault: None }
        }
        ReferrerKind::Bundle(layer) => match store.blob(signatures, layer).await {
            Ok(bytes) => examine_bundle(judge, &entry.digest, &manifest, &bytes),
            Err(error) => Entry::unreadable(Format::Bundle, unknown(), failure_of(&error)),
        },
        ReferrerKind::Experimental => examine_experimental(judge, store, entry, &manifest).await,
        ReferrerKind::Other | ReferrerKind::Stranger => Entry::default(),
    };
    Entry { fault, ..examined }
}

/// Says whether an entry that is about something else, or about nothing, still is a bundle about the subject, or
/// may be one: cosign 3 looks at the statement alone, so taking it from the list could take a signature away.
async fn counts_for_cosign(target: &Target, store: &dyn ReadStore, manifest: &Manifest) -> bool {
    let Some(layer) = bundle_layer(manifest) else { return false };
    if layer.size > MAX_BUNDLE {
        return true;
    }
    let Ok(bytes) = store.blob(&target.signatures, layer).await else { return true };
    let bundle = Bundle::parse(&bytes).ok();
    let statement = bundle.and_then(|it| Statement::parse(&it.envelope.payload));
    statement.is_some_and(|it| it.is_about(&target.subject.digest))
}

fn says_signature(manifest: &Manifest) -> bool {
    manifest.annotations.iter().flat_map(|it| it.values()).any(|value| value == SIGN_PREDICATE)
}

fn examine_bundle(
    judge: &Judge<'_>,
    referrer: &Digest,
    manifest: &Manifest,
    bytes: &[u8],
) -> Entry {
    let says_signature = says_signature(manifest);
    let id =
        |payload: &[u8]| LayerId { payload: Digest::of(payload), annotations: referrer.clone() };
    let Ok(bundle) = Bundle::parse(bytes) else {
        // What says that it is a signature and cannot be read is a broken one; else it is not ours to judge.
        let broken = says_signature.then(|| found(Format::Bundle, id(bytes), Verdict::Stranger));
        return Entry { found: broken.into_iter().collect(), ..Entry::default() };
    };
    let is_bundle = bundle.version >= (0, 3);
    let payload = &bundle.envelope.payload;
    let statement = bundle.has_statement().then(|| Statement::parse(payload)).flatten();
    let is_signature = statement.as_ref().is_some_and(|it| it.predicate_type == SIGN_PREDICATE);
    if !is_signature && !says_signature {
        return Entry { is_bundle, ..Entry::default() };
    }
    let claim = statement.and_then(|it| it.claim(&judge.target.subject.digest));
    let carried = Carried::of_bundle(&bundle);
    let mut found = Found {
        claim: claim.map(Arc::new),
        certificate: carried.certificate.clone(),
        carried: carried.count(),
        passed_over: bundle.passed_over(),
        ..found(Format::Bundle, id(payload), Verdict::Stranger)
    };
    if let Some(signature) = bundle.signature().filter(|_| is_signature) {
        let bytes = &bundle.envelope.signed_bytes();
        let signed = SignedBytes { bytes, content: Content::Statement(payload), signature };
        judge.decide(&signed, || Carried::of_bundle(&bundle), &mut found);
    }
    Entry { found: vec![found], is_bundle, fault: None }
}

/// The signatures in a referrer of cosign 2: named, with whose they are, and left alone.
async fn examine_experimental(
    judge: &Judge<'_>,
    store: &dyn ReadStore,
    entry: &Descriptor,
    manifest: &Manifest,
) -> Entry {
    let mut examined = Entry::default();
    for layer in &manifest.layers {
        let Some(text) = layer.annotation(annotation::SIGNATURE) else { continue };
        let id = LayerId { payload: layer.digest.clone(), annotations: entry.digest.clone() };
        let payload = match read_payload(judge.target, store, layer).await {
            Ok(payload) => payload,
            Err(reason) => return Entry::unreadable(Format::SimpleSigning, id, reason),
        };
        let signature = crate::crypto::SignatureBytes::from_base64(text).ok();
        let verdict = signature.and_then(|it| judge.signer_of(&payload, &it));
        let signer = match verdict {
            Some(Verdict::Signed { signer, .. }) => Some(signer),
            _ => None,
        };
        examined.found.push(Found {
            claim: Claim::parse(&payload).ok().map(Arc::new),
            ..found(Format::SimpleSigning, id, Verdict::Experimental { signer })
        });
    }
    examined
}

fn found(format: Format, id: LayerId, verdict: Verdict) -> Found {
    Found {
        format,
        position: 0,
        id,
        verdict,
        claim: None,
        certificate: None,
        chain: None,
        carried: Evidence::default(),
        evidence: Evidence::default(),
        problems: Box::default(),
        proven: None,
        passed_over: None,
    }
}
