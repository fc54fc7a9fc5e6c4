//! Removing referrers that are named one by one, whatever they carry.

use std::collections::BTreeSet;

use crate::apply::converge::{ATTEMPTS, give_way};
use crate::model::{Digest, Locator, Repository, Tag, media_type};
use crate::observe::failure_of;
use crate::plan::{Failure, FailureClass};
use crate::store::{Expected, Listing, Referrers, Store, StoreErrorKind};

/// Removes `gone` of what refers to `subject`: from a list behind a tag first, so that no list ever names what is
/// not there; entries of others stay as and where they are.
///
/// # Errors
///
/// `registry::delete_refused` where the registry keeps the list itself and deletes nothing; `registry::lost_race`;
/// what the store says.
pub async fn delete_referrers(
    store: &dyn Store,
    repository: &Repository,
    subject: &Digest,
    gone: &BTreeSet<Digest>,
) -> Result<(), Failure> {
    let is_listed_by_tag = unlist(store, repository, subject, gone).await?;
    for digest in gone {
        match store.delete_manifest(repository, digest).await {
            Ok(()) => {}
            // Nobody finds it any more; the registry keeps its bytes.
            Err(error) if is_listed_by_tag && is_refusal(error.kind) => {
                tracing::info!(%digest, "registry.delete_refused");
            }
            Err(error) if is_refusal(error.kind) => {
                let failure = failure_of(&error);
                return Err(Failure { code: "registry::delete_refused".to_owned(), ..failure }
                    .help("allow deletes in the registry, or remove it there by hand"));
            }
            Err(error) => return Err(failure_of(&error)),
        }
    }
    Ok(())
}

/// Takes entries out of the index behind the referrers tag; says whether there is one.
async fn unlist(
    store: &dyn Store,
    repository: &Repository,
    subject: &Digest,
    gone: &BTreeSet<Digest>,
) -> Result<bool, Failure> {
    let tag = Locator::Tag(Tag::of_referrers(subject));
    for attempt in 0..ATTEMPTS {
        let listed: Referrers =
            store.referrers(repository, subject).await.map_err(|error| failure_of(&error))?;
        let Listing::Tag(Some(index)) = &listed.listing else {
            return Ok(matches!(listed.listing, Listing::Tag(_)));
        };
        if listed.digests().is_disjoint(gone) {
            return Ok(true);
        }
        let mut after = index.index.clone();
        after.manifests.retain(|entry| !gone.contains(&entry.digest));
        let expected = index.version.clone().map_or(Expected::Anything, Expected::Version);
        let media_type = after.media_type.as_deref().unwrap_or(media_type::OCI_INDEX);
        let bytes = after.to_bytes().into();
        match store.put_manifest(repository, &tag, media_type, bytes, &expected).await {
            Ok(_) => {}
            Err(error) if error.kind == StoreErrorKind::Precondition => give_way(attempt).await,
            Err(error) => return Err(failure_of(&error)),
        }
    }
    Err(Failure::new(
        "registry::lost_race",
        format!("others kept writing {repository}:{tag} at the same time"),
        FailureClass::Temporary,
    )
    .help("run again: what is done is kept"))
}

fn is_refusal(kind: StoreErrorKind) -> bool {
    matches!(kind, StoreErrorKind::Refused | StoreErrorKind::Forbidden)
}
