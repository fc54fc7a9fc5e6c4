//! One subject, from what is there to what is declared: sign, upload, read again, write once, read back.
//!
//! What is written as bundles comes before the tag is edited, and what goes of bundles after it: so whatever
//! replaces something is there before that goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::apply::Applier;
use crate::apply::confirm::Confirm;
use crate::apply::make::Makers;
use crate::apply::prepare::prepare;
use crate::apply::remove::{TagsByDigest, delete};
use crate::apply::step::{
    Step, StepId, edited, finish, first_failure, hold_removals, is_missing, payloads,
};
use crate::apply::turn::Turn;
use crate::apply::upload::EmptyConfigs;
use crate::model::{Digest, Locator, Tag};
use crate::observe::{ReadCarrier, failure_of, look, read_carrier, read_referrers, reads};
use crate::payload::{Carrier, CarrierBytes, Format};
use crate::plan::{
    Change, Cleaning, DiffOptions, Failure, FailureClass, Observed, Signers, Target, TargetPlan,
    diff,
};
use crate::report::{Done, Outcome, TargetReport};
use crate::store::{Expected, StoreErrorKind};

/// How often a lost race is run again.
pub(super) const ATTEMPTS: usize = 8;

/// What the work on every subject shares.
#[derive(Debug)]
pub(super) struct Converge {
    pub(super) applier: Applier,
    pub(super) signers: Arc<Signers>,
    pub(super) tags: TagsByDigest,
    /// As many as are worked on side by side.
    pub(super) turns: Arc<Semaphore>,
    pub(super) empty_configs: EmptyConfigs,
    pub(super) confirm: Confirm,
}

/// The carrier as it was just read.
pub(super) struct Current {
    pub(super) digest: Option<Digest>,
    version: Option<String>,
    pub(super) carrier: Carrier,
}

impl Current {
    fn as_read(&self) -> Option<ReadCarrier> {
        Some(ReadCarrier {
            digest: self.digest.clone()?,
            version: self.version.clone(),
            carrier: self.carrier.clone(),
        })
    }
}

impl Converge {
    /// Does the changes of one subject.
    pub(super) async fn target(&self, plan: TargetPlan, turn: &Turn) -> TargetReport {
        let target = Arc::clone(&plan.target);
        let steps = plan.changes.into_iter().map(Step::new).enumerate();
        let (referrers, tag): (Vec<_>, Vec<_>) =
            steps.partition(|(_, step)| step.is_about_referrers());
        let (referrer_places, mut referrers): (Vec<usize>, Vec<Step>) =
            referrers.into_iter().unzip();
        let (tag_places, mut tag): (Vec<usize>, Vec<Step>) = tag.into_iter().unzip();
        let listed = plan.referrers.listed.unwrap_or_default();
        let makers = self.makers(turn);
        self.sign(&target, &makers, &mut tag).await;
        self.sign_bundles(&target, &makers, &mut referrers).await;
        let ended = self.both(&target, plan.carrier, listed, &mut tag, &mut referrers).await;
        let places = tag_places.into_iter().chain(referrer_places);
        let mut steps: Vec<(usize, Step)> = places.zip(tag.into_iter().chain(referrers)).collect();
        steps.sort_by_key(|(place, _)| *place);
        let outcomes = steps.into_iter().map(|(_, step)| Outcome {
            result: step.result.unwrap_or_else(|| match &ended {
                Ok(()) => Ok(Done::AlreadyDone),
                Err(reason) => Err(reason.clone()),
            }),
            change: step.change,
        });
        TargetReport { target, outcomes: outcomes.collect() }
    }

    /// New bundles, then the tag, then what goes of bundles.
    async fn both(
        &self,
        target: &Arc<Target>,
        carrier: Option<Digest>,
        listed: BTreeSet<Digest>,
        tag: &mut [Step],
        referrers: &mut [Step],
    ) -> Result<(), Failure> {
        let listed = self.add_bundles(target, listed, referrers).await?;
        hold_removals(tag, first_failure(referrers).or(first_failure(tag)));
        if tag.iter().any(|step| step.result.is_none()) {
            self.converge(target, carrier, tag).await?;
        }
        hold_removals(referrers, first_failure(tag).or(first_failure(referrers)));
        self.remove_bundles(target, listed, referrers).await
    }

    async fn converge(
        &self,
        target: &Arc<Target>,
        planned: Option<Digest>,
        steps: &mut [Step],
    ) -> Result<(), Failure> {
        let mut uploaded = BTreeSet::new();
        let mut expected = planned;
        let mut lost = lost_race(target);
        let mut began = Instant::now();
        let mut current = self.first_read(target, expected.as_ref(), steps, &mut uploaded).await?;
        for attempt in 0..ATTEMPTS {
            if current.digest != expected {
                self.look_again(target, &current, steps).await?;
            }
            match self.write(target, &current, steps, &mut uploaded).await? {
                Written::Done(written) => {
                    let later = self.lost_later(target, began, written.as_ref(), steps).await?;
                    let Some(there) = later else { return Ok(()) };
                    (expected, current) = (None, there);
                    began = Instant::now();
                }
                Written::Lost(reason) => {
                    lost = reason;
                    give_way(attempt).await;
                    expected = current.digest.take();
                    began = Instant::now();
                    current = self.read(target).await?;
                }
            }
        }
        Err(lost)
    }

    fn makers<'a>(&'a self, turn: &'a Turn) -> Makers<'a> {
        Makers {
            signers: &self.signers,
            keyring: &self.applier.keyring,
            witnesses: &self.applier.witnesses,
            turn,
        }
    }

    /// Makes every signature that needs no look at the carrier.
    async fn sign(&self, target: &Target, makers: &Makers<'_>, steps: &mut [Step]) {
        for step in steps.iter_mut().filter(|step| step.result.is_none()) {
            let needs_carrier =
                matches!(step.change, Change::Attach { to: Some(_), .. } | Change::Clean { .. });
            if !needs_carrier {
                let digest = &target.subject.digest;
                let prepared = prepare(&step.change, digest, makers, None).await;
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

    pub(super) async fn read(&self, target: &Target) -> Result<Current, Failure> {
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
        let referrers = if reads(target, Format::Bundle) {
            Some(read_referrers(target, store).await?)
        } else {
            None
        };
        let carrier = current.as_read();
        let observed = look(
            target,
            store,
            (&self.signers, self.applier.clock.now()),
            carrier.as_ref(),
            referrers.as_ref(),
        )
        .await;
        let mut fresh = self.diff_again(target, &observed)?;
        if is_missing(&fresh, steps) {
            hold_removals(steps, Some(lost_race(target)));
        }
        for step in steps.iter_mut().filter(|step| step.result.is_none()) {
            let same = fresh.iter().position(|change| StepId::of(change) == step.id);
            match same {
                Some(at) if !step.is_in(&current.carrier) => step.change = fresh.swap_remove(at),
                _ => step.result = Some(Ok(step.fallen_away(&current.carrier))),
            }
        }
        Ok(())
    }

    /// What a plan says of what was seen again.
    pub(super) fn diff_again(
        &self,
        target: &Target,
        observed: &Observed,
    ) -> Result<Vec<Change>, Failure> {
        if let Observed::Unreadable(reason) = observed {
            return Err(reason.clone());
        }
        let options = DiffOptions { now: self.applier.clock.now(), cleaning: Cleaning::AsDeclared };
        Ok(diff(target, observed, &self.signers, &options))
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
        hold_removals(steps, first_failure(steps));
        if steps.iter().all(|step| step.result.is_some()) {
            return Ok(Written::Done(None));
        }
        let next = edited(&current.carrier, steps);
        let tag = Tag::of_signatures(&target.subject.digest);
        if next.is_empty() {
            if let Some(digest) = &current.digest {
                let store = &*self.applier.store;
                delete(store, &self.tags, &target.signatures, digest, &tag).await?;
            }
            finish(steps);
            return Ok(Written::Done(None));
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
            Err(error) if error.kind == StoreErrorKind::Precondition => {
                return Ok(Written::Lost(lost_race(target)));
            }
            // Somebody else uploads one of the blobs: a registry on plain files does not know it for a moment.
            Err(error) if error.kind == StoreErrorKind::BlobUnknown => {
                return Ok(Written::Lost(failure_of(&error)));
            }
            Err(error) => return Err(failure_of(&error)),
        }
        let back = self.applier.store.manifest(&target.signatures, &locator).await;
        match back {
            Ok(back) if back.descriptor.digest == written => {
                finish(steps);
                Ok(Written::Done(Some(written)))
            }
            Ok(_) => Ok(Written::Lost(lost_race(target))),
            Err(error) if error.kind.is_absent() => Ok(Written::Lost(lost_race(target))),
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
                    let digest = &target.subject.digest;
                    // Nothing is signed, so nothing is waited for.
                    let turn = Turn::alone();
                    let makers = self.makers(&turn);
                    let prepared = prepare(&step.change, digest, &makers, Some(signature)).await;
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

/// Somebody else wrote at the same time: gives way a little, each time a little longer.
pub(super) async fn give_way(attempt: usize) {
    let milliseconds = fastrand::u64(..20 << attempt.min(6));
    tokio::time::sleep(std::time::Duration::from_millis(milliseconds)).await;
}

pub(super) fn lost_race(target: &Target) -> Failure {
    Failure::new(
        "registry::lost_race",
        format!("others kept writing the signatures of {} at the same time", target.subject),
        FailureClass::Temporary,
    )
    .help("run again: what is done is kept")
}

enum Written {
    /// It is there; the digest of the carrier, where one was written.
    Done(Option<Digest>),
    /// Somebody else wrote at the same time: what to say if that does not end.
    Lost(Failure),
}
