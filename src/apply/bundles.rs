//! Bundles of one subject: signed, written as referrers, listed where the registry does not list them, and
//! removed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::apply::converge::{Converge, lost_race};
use crate::apply::listing::IndexEdit;
use crate::apply::make::{Fresh, Makers, does_not_verify};
use crate::apply::step::{Step, StepId, hold_removals, is_missing};
use crate::apply::upload::put_referrer;
use crate::model::{Descriptor, Digest, Locator, media_type};
use crate::observe::{failure_of, look, read_bundle, read_carrier, read_referrers, reads};
use crate::payload::{Format, NewBundle, bundle_referrer, listing_of, statement_signed_bytes};
use crate::plan::{Change, Failure, IndexFault, SignerKey, Target, WantOrigin};
use crate::report::Done;
use crate::sigstore::Evidence;
use crate::store::{Listed, Listing, Referrers, StoreError, StoreErrorKind};

/// A referrer that is ready to be written.
#[derive(Clone, Debug)]
pub(super) struct PreparedReferrer {
    /// How a list names it.
    entry: Descriptor,
    manifest: Bytes,
    bundle: Arc<[u8]>,
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
        if let WantOrigin::Attach(attachment) = &want.origin
            && let Some(bundle) = &attachment.bundle
        {
            let is_good = state.public_key().is_some_and(|key| {
                let signed = attachment.signed_bytes();
                key.verifies(&signed, &attachment.signature, state.profile.hash)
            });
            if !is_good && !matches!(state.key, SignerKey::Unchecked) {
                return Err(does_not_verify(&want.signer));
            }
            return Ok(self.referrer(Arc::clone(bundle), subject));
        }
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
            return Err(does_not_verify(&want.signer));
        }
        let bundle = NewBundle {
            key: &fresh.public_key,
            certificate: fresh.certificate.as_ref(),
            statement: &statement,
            signature: &fresh.signature,
            log_entries: &fresh.evidence.log_entries,
            timestamps: &fresh.evidence.timestamps,
        };
        Ok(self.referrer(bundle.to_bytes().into(), subject))
    }

    fn referrer(&self, bundle: Arc<[u8]>, subject: &Descriptor) -> PreparedReferrer {
        let manifest = bundle_referrer(&bundle, subject, self.applier.clock.now());
        let bytes = Bytes::from(manifest.to_bytes());
        let entry = listing_of(&Descriptor::of(media_type::OCI_MANIFEST, &bytes), &manifest);
        PreparedReferrer { entry, manifest: bytes, bundle }
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
        let blobs: BTreeMap<Digest, Arc<[u8]>> =
            additions(steps).map(|it| (Digest::of(&it.bundle), Arc::clone(&it.bundle))).collect();
        let uploads: Vec<_> =
            blobs.iter().map(|(digest, content)| self.upload(target, digest, content)).collect();
        let uploads = futures::future::try_join_all(uploads);
        let store = &*self.applier.store;
        let config = self.empty_configs.upload(store, &target.signatures);
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
            let put = put_referrer(store, &target.signatures, &prepared.manifest);
            is_said &= put.await? == Listed::Said;
            edit.add.push(prepared.entry.clone());
            listed.insert(prepared.entry.digest.clone());
        }
        if !edit.add.is_empty() && !is_said {
            // In one write: a registry may refuse a list that still names what is not there.
            for step in steps.iter().filter(|step| step.result.is_none()) {
                if let Change::Repair { faults } = &step.change {
                    self.mend(target, faults, &mut edit).await?;
                }
            }
            listed = self.edit_list(target, &edit).await?.digests();
        }
        let is_mended = !edit.add.is_empty();
        for step in steps.iter_mut().filter(|step| step.result.is_none()) {
            if step.referrer.is_some() || is_mended && matches!(step.change, Change::Repair { .. })
            {
                step.result = Some(Ok(Done::Written));
            }
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
        for step in steps.iter().filter(|step| step.result.is_none()) {
            match &step.change {
                Change::Clean { found, .. } => {
                    edit.remove.insert(found.id.annotations.clone());
                }
                Change::Repair { faults } => self.mend(target, faults, &mut edit).await?,
                _ => {}
            }
        }
        if steps.iter().all(|step| step.result.is_some()) {
            return Ok(());
        }
        // From the list first: what is not there any more must not be listed, whatever comes between.
        let is_listed_by_tag = matches!(read.listing, Listing::Tag(_));
        if is_listed_by_tag {
            self.edit_list(target, &edit).await?;
        }
        let mut gone = IndexEdit::default();
        let mut deleted = Vec::new();
        for step in steps.iter_mut().filter(|step| step.result.is_none()) {
            let Change::Clean { found, .. } = &step.change else {
                step.result = Some(Ok(Done::Written));
                continue;
            };
            let referrer = &found.id.annotations;
            let result = match store.delete_manifest(&target.signatures, referrer).await {
                Ok(()) => Ok(Done::Removed),
                // Nobody finds it any more.
                Err(error) if is_listed_by_tag && is_refusal(error.kind) => Ok(Done::Unlisted),
                Err(error) => Err(not_deleted(&error)),
            };
            if result == Ok(Done::Removed) && !is_listed_by_tag {
                gone.remove.insert(referrer.clone());
                deleted.push(&mut step.result);
            } else {
                step.result = Some(result);
            }
        }
        if !deleted.is_empty() {
            let listed = self.edit_list(target, &gone).await.map(|_| Done::Removed);
            deleted.into_iter().for_each(|result| *result = Some(listed.clone()));
        }
        Ok(())
    }

    /// What is to be changed in the list to mend `faults`: what is there by now stays.
    async fn mend(
        &self,
        target: &Target,
        faults: &[IndexFault],
        edit: &mut IndexEdit,
    ) -> Result<(), Failure> {
        for fault in faults {
            match fault {
                IndexFault::Described(entry) => edit.describe.push(Descriptor::clone(entry)),
                IndexFault::Dangling(digest) => {
                    let locator = Locator::Digest(digest.clone());
                    match self.applier.store.resolve(&target.signatures, &locator).await {
                        Ok(_) => continue,
                        Err(error) if error.kind.is_absent() => edit.remove.insert(digest.clone()),
                        Err(error) => return Err(failure_of(&error)),
                    };
                }
                IndexFault::Stranger(digest) => {
                    edit.remove.insert(digest.clone());
                }
            }
        }
        Ok(())
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
        if is_missing(&fresh, steps) {
            hold_removals(steps, Some(lost_race(target)));
        }
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

fn not_deleted(error: &StoreError) -> Failure {
    let failure = failure_of(error);
    if is_refusal(error.kind) {
        Failure { code: "registry::delete_refused".to_owned(), ..failure }
            .help("allow deletes in the registry, or remove it there by hand")
    } else {
        failure
    }
}

fn is_refusal(kind: StoreErrorKind) -> bool {
    matches!(kind, StoreErrorKind::Refused | StoreErrorKind::Forbidden)
}
