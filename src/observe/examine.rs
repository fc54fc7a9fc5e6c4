//! What is on one subject: reads its carrier, and judges every signature in it.

use crate::model::{Descriptor, Digest, Locator, Repository, Tag, Timestamp};
use crate::observe::failure_of;
use crate::observe::judge::Judge;
use crate::observe::referrers::{examine_referrers, read_referrers};
use crate::payload::{Carrier, CarrierLayer, Format};
use crate::plan::{Failure, Found, Observed, Prune, SeenReferrers, Signers, Target, Verdict};
use crate::store::{ReadStore, Referrers, StoreError, StoreErrorKind};

/// A payload is a claim of a few hundred bytes; no carrier makes this crate read more than this.
const MAX_PAYLOAD: u64 = 1 << 20;

/// Reads the signatures of `target`: the carriers of the declared formats, and both where something may
/// be removed.
///
/// One request for a carrier where all that is wanted is there and nothing may be removed; bundles two
/// more each. A payload whose digest is that of a wanted one is not downloaded; the others are, where
/// something depends on them. Where something is missing, one more request makes sure that the subject
/// exists.
pub async fn examine(
    target: &Target,
    store: &dyn ReadStore,
    signers: &Signers,
    now: Timestamp,
) -> Observed {
    let carrier = async {
        if reads(target, Format::SimpleSigning) {
            read_carrier(target, store).await
        } else {
            Ok(None)
        }
    };
    let referrers = async {
        if reads(target, Format::Bundle) {
            read_referrers(target, store).await.map(Some)
        } else {
            Ok(None)
        }
    };
    match futures::future::join(carrier, referrers).await {
        (Ok(carrier), Ok(referrers)) => {
            look(target, store, (signers, now), carrier.as_ref(), referrers.as_ref()).await
        }
        (Err(reason), _) | (_, Err(reason)) => Observed::Unreadable(reason),
    }
}

/// Says whether the carrier of `format` is read for `target`.
pub(crate) fn reads(target: &Target, format: Format) -> bool {
    target.prune > Prune::Keep || target.wants.iter().any(|it| it.format == format)
}

/// Judges the signatures of a carrier and of referrers that have been listed.
pub(crate) async fn look(
    target: &Target,
    store: &dyn ReadStore,
    (signers, now): (&Signers, Timestamp),
    carrier: Option<&ReadCarrier>,
    referrers: Option<&Referrers>,
) -> Observed {
    let judge = Judge::new(target, signers, now);
    let layers: Vec<CarrierLayer<'_>> =
        carrier.map(|it| it.carrier.layers().collect()).unwrap_or_default();
    let mut found: Vec<Found> = layers.iter().map(|layer| judge.at_sight(layer)).collect();
    let mut seen = SeenReferrers::default();
    if let Some(referrers) = referrers {
        let bundles;
        (bundles, seen) = examine_referrers(&judge, store, referrers).await;
        found.extend(bundles);
    }
    if judge.must_read(&found) {
        for (found, layer) in found.iter_mut().zip(&layers) {
            if found.verdict == Verdict::Unexamined {
                let read = read_payload(target, store, layer.descriptor).await;
                judge.with_payload(found, layer, read);
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
    Observed::Read { carrier: carrier.map(|it| it.digest.clone()), referrers: seen, found }
}

/// Reads every payload too: what `explain` shows.
pub async fn examine_closely(
    target: &Target,
    store: &dyn ReadStore,
    signers: &Signers,
    now: Timestamp,
) -> Observed {
    let closely = Target { prune: Prune::Undeclared, ..target.clone() };
    examine(&closely, store, signers, now).await
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
    descriptor: &Descriptor,
) -> Result<Vec<u8>, Failure> {
    if descriptor.size > MAX_PAYLOAD {
        let message = format!("a payload of {} bytes is no claim", descriptor.size);
        return Err(Failure::error("carrier::payload_too_large", message));
    }
    let read = store.blob(&target.signatures, descriptor).await;
    read.map(|bytes| bytes.to_vec()).map_err(|error| failure_of(&error))
}

/// The place of the signatures of `digest`, for people: `ghcr.io/acme/api:sha256-….sig`.
pub fn place(repository: &Repository, digest: &Digest) -> String {
    format!("{repository}:{}", Tag::of_signatures(digest))
}
