//! The list of what refers to a subject: edited where its clients keep it, waited for where the registry does.

use std::collections::BTreeSet;

use crate::apply::converge::{ATTEMPTS, Converge, give_way, lost_race};
use crate::model::{Descriptor, Digest, Index, Locator, Tag, media_type};
use crate::observe::{failure_of, read_referrers};
use crate::plan::{Failure, FailureClass, Target};
use crate::store::referrers::empty_index;
use crate::store::{Expected, Listing, Referrers, StoreErrorKind};

/// What is to be changed in the index behind a referrers tag.
#[derive(Default)]
pub(super) struct IndexEdit {
    pub(super) add: Vec<Descriptor>,
    pub(super) describe: Vec<Descriptor>,
    pub(super) remove: BTreeSet<Digest>,
}

impl IndexEdit {
    /// The same index with this edit done; other people's entries stay as and where they are.
    fn done(&self, before: &Index) -> Index {
        let mut after = before.clone();
        after.manifests.retain(|entry| !self.remove.contains(&entry.digest));
        for entry in &mut after.manifests {
            if let Some(right) = self.describe.iter().find(|it| it.digest == entry.digest) {
                entry.artifact_type.clone_from(&right.artifact_type);
                entry.annotations.clone_from(&right.annotations);
            }
        }
        for entry in &self.add {
            if !after.manifests.iter().any(|it| it.digest == entry.digest) {
                after.manifests.push(entry.clone());
            }
        }
        after
    }

    fn is_in(&self, referrers: &Referrers) -> bool {
        let listed = referrers.digests();
        self.add.iter().all(|it| listed.contains(&it.digest)) && self.remove.is_disjoint(&listed)
    }
}

impl Converge {
    /// Sees to it that the list is as `edit` says: read, merge, write, read back, and again while others
    /// write. Where the store keeps the list, waits until it says so.
    pub(super) async fn edit_list(
        &self,
        target: &Target,
        edit: &IndexEdit,
    ) -> Result<Referrers, Failure> {
        let store = &*self.applier.store;
        let tag = Locator::Tag(Tag::of_referrers(&target.subject.digest));
        let (mut is_written, mut lost) = (false, lost_race(target));
        for attempt in 0..ATTEMPTS {
            let read = read_referrers(target, store).await?;
            let index = match &read.listing {
                Listing::Store if edit.is_in(&read) => return Ok(read),
                Listing::Store => {
                    give_way(attempt).await;
                    continue;
                }
                Listing::Tag(index) => index.as_ref(),
            };
            let before = index.map_or_else(empty_index, |it| it.index.clone());
            let after = edit.done(&before);
            if after == before {
                return Ok(read);
            }
            let expected = match index {
                None => Expected::Absent,
                Some(index) => index.version.clone().map_or(Expected::Anything, Expected::Version),
            };
            let put = store.put_manifest(
                &target.signatures,
                &tag,
                after.media_type.as_deref().unwrap_or(media_type::OCI_INDEX),
                after.to_bytes().into(),
                &expected,
            );
            match put.await {
                Ok(_) => is_written = true,
                Err(error) if error.kind == StoreErrorKind::Precondition => give_way(attempt).await,
                // Some registries ask whether everything that is listed is there.
                Err(error) if error.kind == StoreErrorKind::BlobUnknown => {
                    lost = failure_of(&error);
                    give_way(attempt).await;
                }
                Err(error) => return Err(failure_of(&error)),
            }
        }
        let read = read_referrers(target, store).await?;
        match &read.listing {
            Listing::Tag(Some(index)) if edit.done(&index.index) == index.index => Ok(read),
            Listing::Store if edit.is_in(&read) => Ok(read),
            Listing::Store => Err(Failure::new(
                "registry::not_listed",
                format!("the registry does not list what was written about {}", target.subject),
                FailureClass::Temporary,
            )
            .help("run again: what is done is kept")),
            Listing::Tag(Some(index)) if is_written && index.digest == target.subject.digest => {
                Err(not_shown(target))
            }
            Listing::Tag(_) => Err(lost),
        }
    }
}

/// Some registries answer this very tag with the subject itself, whatever was written there.
///
/// Source: oras-go issue 1396, of GitLab.
fn not_shown(target: &Target) -> Failure {
    let tag = Tag::of_referrers(&target.subject.digest);
    Failure::error(
        "registry::not_listed",
        format!(
            "the registry took the list {}:{tag} and does not show it: it cannot list bundles",
            target.signatures
        ),
    )
    .help(
        "leave \"bundle\" out of `formats` there, or set `signature_repository` to another registry",
    )
}
