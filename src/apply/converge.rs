//! One subject, from what is there to what is declared: sign, upload, read again, write once, read back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::apply::prepare::{Prepared, prepare};
use crate::apply::remove::{TagsByDigest, delete};
use crate::apply::{Applier, result_without_write};
use crate::model::{Digest, Locator, Tag};
use crate::observe::{examine_carrier, failure_of, read_carrier};
use crate::payload::{Carrier, CarrierBytes, LayerId};
use crate::plan::{
    Change, Cleaning, DiffOptions, Failure, FailureClass, Observed, Signers, Target, TargetPlan,
    diff,
};
use crate::report::{Done, Outcome, TargetReport};
use crate::store::{Expected, StoreErrorKind};

/// How often a lost race is run again.
const ATTEMPTS: usize = 8;

/// What the work on every subject shares.
#[derive(Debug)]
pub(super) struct Converge {
    pub(super) applier: Applier,
    pub(super) signers: Arc<Signers>,
    pub(super) tags: TagsByDigest,
}

/// A change of the plan with what came of its preparation.
struct Step {
    change: Change,
    /// What tells the change from others of the same subject, across plans.
    id: StepId,
    prepared: Option<Result<Prepared, Failure>>,
    result: Option<Result<Done, Failure>>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum StepId {
    Clean(LayerId),
    None,
    Write { signer: String, payload: Digest },
}

impl StepId {
    fn of(change: &Change) -> Self {
        match change {
            Change::Clean { found, .. } => Self::Clean(found.id.clone()),
            Change::Attach { want, .. } | Change::Resign { want, .. } | Change::Sign { want } => {
                Self::Write { signer: want.signer.to_string(), payload: want.payload.clone() }
            }
            _ => Self::None,
        }
    }
}

impl Step {
    /// How a change ended that is no longer needed: by this run, or by somebody else.
    fn fallen_away(&self, carrier: &Carrier) -> Done {
        if self.is_in(carrier) { Done::Written } else { Done::AlreadyDone }
    }

    /// Says whether this very signature is there.
    fn is_in(&self, carrier: &Carrier) -> bool {
        let Some(Ok(prepared)) = &self.prepared else { return false };
        carrier.layers().any(|layer| {
            layer.descriptor.digest == prepared.addition.payload.digest
                && layer.descriptor.annotations.as_ref() == Some(&prepared.addition.annotations)
        })
    }
}

/// The carrier as it was just read.
struct Current {
    digest: Option<Digest>,
    version: Option<String>,
    carrier: Carrier,
}

impl Converge {
    /// Does the changes of one subject.
    pub(super) async fn target(&self, plan: TargetPlan) -> TargetReport {
        let target = Arc::clone(&plan.target);
        let mut steps: Vec<Step> = plan
            .changes
            .into_iter()
            .map(|change| Step {
                id: StepId::of(&change),
                prepared: None,
                result: (!change.action().writes()).then(|| result_without_write(&change)),
                change,
            })
            .collect();
        let ended = self.converge(&target, plan.carrier, &mut steps).await;
        if let Err(reason) = ended {
            for step in steps.iter_mut().filter(|step| step.result.is_none()) {
                step.result = Some(Err(reason.clone()));
            }
        }
        let outcomes = steps.into_iter().map(|step| Outcome {
            result: step.result.unwrap_or(Ok(Done::AlreadyDone)),
            change: step.change,
        });
        TargetReport { target, outcomes: outcomes.collect() }
    }

    async fn converge(
        &self,
        target: &Arc<Target>,
        planned: Option<Digest>,
        steps: &mut [Step],
    ) -> Result<(), Failure> {
        self.sign(target, steps).await;
        hold_removals(steps);
        if steps.iter().all(|step| step.result.is_some()) {
            return Ok(());
        }
        let mut uploaded = BTreeSet::new();
        let mut expected = planned;
        let mut current = self.first_read(target, expected.as_ref(), steps, &mut uploaded).await?;
        for attempt in 0..ATTEMPTS {
            if current.digest != expected {
                self.look_again(target, &current, steps).await?;
            }
            match self.write(target, &current, steps, &mut uploaded).await? {
                Written::Done => return Ok(()),
                Written::Lost => {
                    // Somebody else wrote at the same time: give way a little, each time a little longer.
                    let milliseconds = fastrand::u64(..20 << attempt.min(6));
                    tokio::time::sleep(std::time::Duration::from_millis(milliseconds)).await;
                    expected = current.digest.take();
                    current = self.read(target).await?;
                }
            }
        }
        Err(Failure::new(
            "registry::lost_race",
            format!("others kept writing the signatures of {} at the same time", target.subject),
            FailureClass::Temporary,
        )
        .help("run again: what is done is kept"))
    }

    /// Makes every signature that needs no look at the carrier.
    async fn sign(&self, target: &Target, steps: &mut [Step]) {
        for step in steps.iter_mut().filter(|step| step.result.is_none()) {
            let needs_carrier =
                matches!(step.change, Change::Attach { to: Some(_), .. } | Change::Clean { .. });
            if !needs_carrier {
                let digest = &target.subject.digest;
                let keyring = &self.applier.keyring;
                let prepared = prepare(&step.change, digest, &self.signers, keyring, None).await;
                if let Err(reason) = &prepared {
                    step.result = Some(Err(reason.clone()));
                }
                step.prepared = Some(prepared);
            }
        }
    }

    /// Reads the carrier again, beside the uploads that do not depend on it.
    async fn first_read(
        &self,
        target: &Target,
        planned: Option<&Digest>,
        steps: &[Step],
        uploaded: &mut BTreeSet<Digest>,
    ) -> Result<Current, Failure> {
        let mut blobs: BTreeMap<Digest, Arc<[u8]>> = payloads(steps);
        if planned.is_none() {
            // Nothing was there: then the configuration is known already.
            let bytes = edited(&Carrier::empty(), steps).to_bytes();
            blobs.insert(Digest::of(&bytes.config), bytes.config.into());
        }
        let uploads = futures::future::try_join_all(
            blobs.iter().map(|(digest, content)| self.upload(target, digest, content)),
        );
        let (current, uploads) = futures::future::join(self.read(target), uploads).await;
        uploaded.extend(uploads?);
        current
    }

    async fn upload(
        &self,
        target: &Target,
        digest: &Digest,
        content: &Arc<[u8]>,
    ) -> Result<Digest, Failure> {
        let content = Bytes::copy_from_slice(content);
        let written = self.applier.store.put_blob(&target.signatures, content).await;
        written.map(|_| digest.clone()).map_err(|error| failure_of(&error))
    }

    async fn read(&self, target: &Target) -> Result<Current, Failure> {
        let read = read_carrier(target, &*self.applier.store).await?;
        Ok(match read {
            Some(read) => {
                Current { digest: Some(read.digest), version: read.version, carrier: read.carrier }
            }
            None => Current { digest: None, version: None, carrier: Carrier::empty() },
        })
    }

    /// Compares again with a carrier that somebody else has changed: planned changes may fall away,
    /// none is added.
    async fn look_again(
        &self,
        target: &Target,
        current: &Current,
        steps: &mut [Step],
    ) -> Result<(), Failure> {
        let store = &*self.applier.store;
        let observed =
            examine_carrier(target, store, &self.signers, current.digest.clone(), &current.carrier)
                .await;
        if let Observed::Unreadable(reason) = observed {
            return Err(reason);
        }
        let options = DiffOptions { now: self.applier.clock.now(), cleaning: Cleaning::AsDeclared };
        let mut fresh: Vec<Change> = diff(target, &observed, &self.signers, &options);
        for step in steps.iter_mut().filter(|step| step.result.is_none()) {
            let same = fresh.iter().position(|change| StepId::of(change) == step.id);
            match same {
                Some(at) if !step.is_in(&current.carrier) => step.change = fresh.swap_remove(at),
                _ => step.result = Some(Ok(step.fallen_away(&current.carrier))),
            }
        }
        Ok(())
    }

    /// Writes the edited carrier once, and reads it back.
    async fn write(
        &self,
        target: &Target,
        current: &Current,
        steps: &mut [Step],
        uploaded: &mut BTreeSet<Digest>,
    ) -> Result<Written, Failure> {
        self.take_signatures(target, current, steps).await;
        hold_removals(steps);
        if steps.iter().all(|step| step.result.is_some()) {
            return Ok(Written::Done);
        }
        let next = edited(&current.carrier, steps);
        let tag = Tag::of_signatures(&target.subject.digest);
        if next.is_empty() {
            if let Some(digest) = &current.digest {
                let store = &*self.applier.store;
                delete(store, &self.tags, &target.signatures, digest, &tag).await?;
            }
            finish(steps);
            return Ok(Written::Done);
        }
        let CarrierBytes { config, manifest } = next.to_bytes();
        let mut blobs = payloads(steps);
        blobs.insert(Digest::of(&config), config.into());
        let missing = blobs.iter().filter(|(digest, _)| !uploaded.contains(*digest));
        let uploads = missing.map(|(digest, content)| self.upload(target, digest, content));
        uploaded.extend(futures::future::try_join_all(uploads).await?);

        let written = Digest::of(&manifest);
        let expected = match (&current.digest, &current.version) {
            (None, _) => Expected::Absent,
            (Some(_), Some(version)) => Expected::Version(version.clone()),
            (Some(_), None) => Expected::Anything,
        };
        let locator = Locator::Tag(tag);
        let put = self.applier.store.put_manifest(
            &target.signatures,
            &locator,
            next.media_type(),
            manifest.into(),
            &expected,
        );
        match put.await {
            Ok(_) => {}
            Err(error) if error.kind == StoreErrorKind::Precondition => return Ok(Written::Lost),
            Err(error) => return Err(failure_of(&error)),
        }
        let back = self.applier.store.manifest(&target.signatures, &locator).await;
        match back {
            Ok(back) if back.descriptor.digest == written => {
                finish(steps);
                Ok(Written::Done)
            }
            Ok(_) => Ok(Written::Lost),
            Err(error) if error.kind.is_absent() => Ok(Written::Lost),
            Err(error) => Err(failure_of(&error)),
        }
    }

    /// Prepares what takes the signature of an existing layer: certificates on the same key.
    async fn take_signatures(&self, target: &Target, current: &Current, steps: &mut [Step]) {
        for step in steps.iter_mut().filter(|step| step.result.is_none()) {
            let Change::Attach { to: Some(found), .. } = &step.change else { continue };
            let layer = current.carrier.layers().find(|layer| layer.id() == found.id);
            let prepared = match layer.and_then(|layer| Some((layer, layer.signature()?))) {
                Some((layer, signature)) => {
                    let keyring = &self.applier.keyring;
                    let digest = &target.subject.digest;
                    let prepared =
                        prepare(&step.change, digest, &self.signers, keyring, Some(signature))
                            .await;
                    prepared.map(|mut prepared| {
                        let annotations = prepared.addition.annotations;
                        prepared.addition.payload = layer.descriptor.clone();
                        prepared.addition.annotations = annotations;
                        prepared
                    })
                }
                None => Err(Failure::new(
                    "registry::lost_race",
                    "the signature that gets the certificate is gone",
                    FailureClass::Temporary,
                )),
            };
            if let Err(reason) = &prepared {
                step.result = Some(Err(reason.clone()));
            }
            step.prepared = Some(prepared);
        }
    }
}

enum Written {
    Done,
    /// Somebody else wrote at the same time.
    Lost,
}

/// Nothing is removed from a subject of which something could not be put in place.
fn hold_removals(steps: &mut [Step]) {
    let failed = steps.iter().find_map(|step| step.result.as_ref()?.as_ref().err().cloned());
    let Some(reason) = failed else { return };
    for step in steps.iter_mut() {
        if step.result.is_none() && matches!(step.change, Change::Clean { .. }) {
            let message = format!("not removed, because not all is in place: {}", reason.message);
            step.result = Some(Err(Failure { message, ..reason.clone() }));
        }
    }
}

/// The payloads of what is still to be written, by digest: equal ones once.
fn payloads(steps: &[Step]) -> BTreeMap<Digest, Arc<[u8]>> {
    let open = steps.iter().filter(|step| step.result.is_none());
    let prepared = open.filter_map(|step| match (&step.change, &step.prepared) {
        // The payload of a layer that is there is there too.
        (Change::Attach { to: Some(_), .. }, _) => None,
        (_, Some(Ok(prepared))) => Some(prepared),
        _ => None,
    });
    prepared
        .map(|prepared| (prepared.addition.payload.digest.clone(), Arc::clone(&prepared.payload)))
        .collect()
}

/// The carrier with what is still to be done.
fn edited(carrier: &Carrier, steps: &[Step]) -> Carrier {
    let open: Vec<&Step> = steps.iter().filter(|step| step.result.is_none()).collect();
    let removals: Vec<usize> = open
        .iter()
        .filter_map(|step| match &step.change {
            Change::Clean { found, .. } => Some(found.position),
            _ => None,
        })
        .collect();
    let additions = open.iter().filter_map(|step| match &step.prepared {
        Some(Ok(prepared)) => Some(prepared.addition.clone()),
        _ => None,
    });
    carrier.edit(&removals, additions.collect())
}

fn finish(steps: &mut [Step]) {
    for step in steps.iter_mut().filter(|step| step.result.is_none()) {
        let removed = matches!(step.change, Change::Clean { .. });
        step.result = Some(Ok(if removed { Done::Removed } else { Done::Written }));
    }
}
