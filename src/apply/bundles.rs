//! Bundles of one subject: signed, written as referrers, listed where the registry does not list them, and
//! removed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::apply::converge::{ATTEMPTS, Converge, give_way, lost_race};
use crate::apply::make::{Fresh, Makers, does_not_verify};
use crate::apply::step::{Step, StepId};
use crate::model::{Descriptor, Digest, Index, Locator, Tag, media_type};
use crate::observe::{failure_of, look, read_bundle, read_carrier, read_referrers, reads};
use crate::payload::{Format, NewBundle, bundle_referrer, listing_of, statement_signed_bytes};
use crate::plan::{Change, Failure, FailureClass, IndexFault, Target};
use crate::report::Done;
use crate::sigstore::Evidence;
use crate::store::referrers::empty_index;
use crate::store::{Expected, Listed, Listing, Referrers, StoreErrorKind};

/// A referrer that is ready to be written.
#[derive(Clone, Debug)]
pub(super) struct PreparedReferrer {
    /// How a list names it.
    entry: Descriptor,
    manifest: Bytes,
    bundle: Arc<[u8]>,
}

/// What is to be changed in the index behind a referrers tag.
#[derive(Default)]
struct IndexEdit {
    add: Vec<Descriptor>,
    describe: Vec<Descriptor>,
    remove: BTreeSet<Digest>,
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
    /// Makes every bundle that is to be written.
    pub(super) async fn sign_bundles(
        &self,
        target: &Target,
        makers: &Makers<'_>,
        steps: &mut [Step],
    ) {
        let mut subject = None;
        for step in steps.iter_mut().filter(|step| step.result.is_none()) {
            if step.change.want().is_none() {
                continue;
            }
            if subject.is_none() {
                let locator = Locator::Digest(target.subject.digest.clone());
                let found = self.applier.store.resolve(&target.subject.repository, &locator).await;
                subject = Some(found.map_err(|error| failure_of(&error)));
            }
            let prepared = match &subject {
                Some(Ok(subject)) => {
                    self.prepare_bundle(target, subject, makers, &step.change).await
                }
                Some(Err(reason)) => Err(reason.clone()),
                None => continue,
            };
            match prepared {
                Ok(prepared) => step.referrer = Some(prepared),
                Err(reason) => step.result = Some(Err(reason)),
            }
        }
    }

    async fn prepare_bundle(
        &self,
        target: &Target,
        subject: &Descriptor,
        makers: &Makers<'_>,
        change: &Change,
    ) -> Result<PreparedReferrer, Failure> {
        let defect =
            || Failure::error("run::defect", "a bundle without a signer was to be written");
        let want = change.want().ok_or_else(defect)?;
        let state = self.signers.get(&want.signer).ok_or_else(defect)?;
        let (statement, fresh) = match change {
            // The certificate goes to the signature that is there, over the statement as it is spelt.
            Change::Attach { to: Some(found), .. } => {
                let store = &*self.applier.store;
                let bundle = read_bundle(store, &target.signatures, &found.id.annotations).await?;
                let signature = bundle.signature().cloned().ok_or_else(defect)?;
                let fresh = Fresh {
                    signature,
                    public_key: state.public_key().ok_or_else(defect)?.clone(),
                    certificate: state.profile.certificate.clone(),
                    chain: None,
                    evidence: Evidence::default(),
                };
                (bundle.envelope.payload, fresh)
            }
            _ => {
                let statement = want.payload_bytes(&target.subject.digest);
                let fresh = makers.make(want, &statement).await?;
                (statement, fresh)
            }
        };
        let signed = statement_signed_bytes(&statement);
        if !fresh.public_key.verifies(&signed, &fresh.signature, state.profile.hash) {
            return Err(does_not_verify(want));
        }
        let bundle = NewBundle {
            key: &fresh.public_key,
            certificate: fresh.certificate.as_ref(),
            statement: &statement,
            signature: &fresh.signature,
            log_entries: &fresh.evidence.log_entries,
            timestamps: &fresh.evidence.timestamps,
        };
        let bundle = bundle.to_bytes();
        let manifest = bundle_referrer(&bundle, subject, self.applier.clock.now());
        let bytes = Bytes::from(manifest.to_bytes());
        let entry = listing_of(&Descriptor::of(media_type::OCI_MANIFEST, &bytes), &manifest);
        Ok(PreparedReferrer { entry, manifest: bytes, bundle: bundle.into() })
    }

    /// Writes the new bundles, if they are still needed; tells what is listed then.
    pub(super) async fn add_bundles(
        &self,
        target: &Target,
        planned: BTreeSet<Digest>,
        steps: &mut [Step],
    ) -> Result<BTreeSet<Digest>, Failure> {
        if additions(steps).next().is_none() {
            return Ok(planned);
        }
        let bundles = additions(steps).map(|it| (Digest::of(&it.bundle), Arc::clone(&it.bundle)));
        let blobs: BTreeMap<Digest, Arc<[u8]>> = bundles.collect();
        let uploads: Vec<_> =
            blobs.iter().map(|(digest, content)| self.upload(target, digest, content)).collect();
        let uploads = futures::future::try_join_all(uploads);
        let store = &*self.applier.store;
        let config = self.empty_config.upload(store, &target.signatures);
        let (read, uploads, config) =
            futures::future::join3(read_referrers(target, store), uploads, config).await;
        uploads?;
        config?;
        let read = read?;
        if read.digests() != planned {
            self.look_at_referrers_again(target, &read, steps).await?;
        }
        let mut listed = read.digests();
        let mut edit = IndexEdit::default();
        let mut is_said = matches!(read.listing, Listing::Store);
        let prepared: Vec<PreparedReferrer> = additions(steps).cloned().collect();
        for prepared in prepared {
            let media_type = media_type::OCI_MANIFEST;
            let put = store.put_referrer(&target.signatures, media_type, prepared.manifest.clone());
            is_said &= put.await.map_err(|error| failure_of(&error))? == Listed::Said;
            edit.add.push(prepared.entry.clone());
            listed.insert(prepared.entry.digest.clone());
        }
        if !edit.add.is_empty() && !is_said {
            listed = self.edit_list(target, &edit).await?.digests();
        }
        for step in steps.iter_mut().filter(|it| it.result.is_none() && it.referrer.is_some()) {
            step.result = Some(Ok(Done::Written));
        }
        Ok(listed)
    }

    /// Mends the list, and removes the bundles that may go.
    pub(super) async fn remove_bundles(
        &self,
        target: &Target,
        expected: BTreeSet<Digest>,
        steps: &mut [Step],
    ) -> Result<(), Failure> {
        if steps.iter().all(|step| step.result.is_some()) {
            return Ok(());
        }
        let store = &*self.applier.store;
        let read = read_referrers(target, store).await?;
        if read.digests() != expected {
            self.look_at_referrers_again(target, &read, steps).await?;
        }
        let mut edit = IndexEdit::default();
        let mut removals = BTreeSet::new();
        for step in steps.iter().filter(|step| step.result.is_none()) {
            match &step.change {
                Change::Clean { found, .. } => {
                    removals.insert(found.id.annotations.clone());
                }
                Change::Repair { faults } => {
                    for fault in faults {
                        match fault {
                            IndexFault::Described(entry) => {
                                edit.describe.push(Descriptor::clone(entry))
                            }
                            _ => {
                                edit.remove.insert(fault.digest().clone());
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        if steps.iter().all(|step| step.result.is_some()) {
            return Ok(());
        }
        edit.remove.extend(removals.iter().cloned());
        // From the list first: what is not there any more must not be listed, whatever comes between.
        let is_listed_by_tag = matches!(read.listing, Listing::Tag(_));
        if is_listed_by_tag {
            self.edit_list(target, &edit).await?;
        }
        for digest in &removals {
            match store.delete_manifest(&target.signatures, digest).await {
                Ok(()) => {}
                Err(error) if is_listed_by_tag && is_refusal(error.kind) => {
                    // Nobody finds it any more; the registry keeps its bytes.
                    tracing::info!(%digest, "registry.delete_refused");
                }
                Err(error) => {
                    let failure = failure_of(&error);
                    return Err(if is_refusal(error.kind) {
                        Failure { code: "registry::delete_refused".to_owned(), ..failure }
                            .help("allow deletes in the registry, or remove it there by hand")
                    } else {
                        failure
                    });
                }
            }
        }
        if !is_listed_by_tag && !removals.is_empty() {
            self.edit_list(target, &edit).await?;
        }
        for step in steps.iter_mut().filter(|step| step.result.is_none()) {
            let is_removal = matches!(step.change, Change::Clean { .. });
            step.result = Some(Ok(if is_removal { Done::Removed } else { Done::Written }));
        }
        Ok(())
    }

    /// Sees to it that the list is as `edit` says: read, merge, write, read back, and again while others
    /// write. Where the store keeps the list, waits until it says so.
    async fn edit_list(&self, target: &Target, edit: &IndexEdit) -> Result<Referrers, Failure> {
        let store = &*self.applier.store;
        let tag = Locator::Tag(Tag::of_referrers(&target.subject.digest));
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
                Ok(_) => {}
                Err(error) if error.kind == StoreErrorKind::Precondition => give_way(attempt).await,
                Err(error) => return Err(failure_of(&error)),
            }
        }
        let read = read_referrers(target, store).await?;
        match &read.listing {
            Listing::Tag(Some(index)) if edit.done(&index.index) == index.index => Ok(read),
            Listing::Store => Err(Failure::new(
                "registry::not_listed",
                format!("the registry does not list what was written about {}", target.subject),
                FailureClass::Temporary,
            )
            .help("run again: what is done is kept")),
            Listing::Tag(_) => Err(lost_race(target)),
        }
    }

    /// Compares again with referrers that somebody else has changed: planned changes may fall away, none
    /// is added.
    async fn look_at_referrers_again(
        &self,
        target: &Target,
        read: &Referrers,
        steps: &mut [Step],
    ) -> Result<(), Failure> {
        let store = &*self.applier.store;
        let carrier = if reads(target, Format::SimpleSigning) {
            read_carrier(target, store).await?
        } else {
            None
        };
        let observed = look(
            target,
            store,
            (&self.signers, self.applier.clock.now()),
            carrier.as_ref(),
            Some(read),
        )
        .await;
        let mut fresh = self.diff_again(target, &observed)?;
        for step in steps.iter_mut().filter(|step| step.result.is_none()) {
            match fresh.iter().position(|change| StepId::of(change) == step.id) {
                Some(at) => step.change = fresh.swap_remove(at),
                None => step.result = Some(Ok(Done::AlreadyDone)),
            }
        }
        Ok(())
    }
}

/// The referrers that are still to be written.
fn additions(steps: &[Step]) -> impl Iterator<Item = &PreparedReferrer> {
    steps.iter().filter(|step| step.result.is_none()).filter_map(|step| step.referrer.as_ref())
}

fn is_refusal(kind: StoreErrorKind) -> bool {
    matches!(kind, StoreErrorKind::Refused | StoreErrorKind::Forbidden)
}
