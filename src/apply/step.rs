//! One change on its way: prepared, done, or failed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::apply::bundles::PreparedReferrer;
use crate::apply::prepare::Prepared;
use crate::apply::result_without_write;
use crate::model::Digest;
use crate::payload::{Carrier, Format, LayerId};
use crate::plan::{Change, Failure};
use crate::report::Done;

/// A change of the plan with what came of its preparation.
pub(super) struct Step {
    pub(super) change: Change,
    /// What tells the change from others of the same subject, across plans.
    pub(super) id: StepId,
    /// The layer that is to be written.
    pub(super) prepared: Option<Result<Prepared, Failure>>,
    /// The referrer that is to be written.
    pub(super) referrer: Option<PreparedReferrer>,
    pub(super) result: Option<Result<Done, Failure>>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum StepId {
    Clean(LayerId),
    None,
    Repair,
    Write { signer: String, payload: Digest },
}

impl StepId {
    pub(super) fn of(change: &Change) -> Self {
        match change {
            Change::Repair { .. } => Self::Repair,
            Change::Clean { found, .. } => Self::Clean(found.id.clone()),
            Change::Attach { want, .. } | Change::Resign { want, .. } | Change::Sign { want } => {
                Self::Write { signer: want.signer.to_string(), payload: want.payload.clone() }
            }
            _ => Self::None,
        }
    }
}

impl Step {
    pub(super) fn new(change: Change) -> Self {
        Self {
            id: StepId::of(&change),
            prepared: None,
            referrer: None,
            result: (!change.action().writes()).then(|| result_without_write(&change)),
            change,
        }
    }

    /// Says whether it is done among the referrers.
    pub(super) fn is_about_referrers(&self) -> bool {
        match &self.change {
            Change::Repair { .. } => true,
            change => {
                let format = change.want().map(|it| it.format);
                format.or(change.found().map(|it| it.format)) == Some(Format::Bundle)
            }
        }
    }

    /// How a change ended that is no longer needed: by this run, or by somebody else.
    pub(super) fn fallen_away(&self, carrier: &Carrier) -> Done {
        if self.is_in(carrier) { Done::Written } else { Done::AlreadyDone }
    }

    /// Says whether this very signature is there.
    pub(super) fn is_in(&self, carrier: &Carrier) -> bool {
        let Some(Ok(prepared)) = &self.prepared else { return false };
        carrier.layers().any(|layer| {
            layer.descriptor.digest == prepared.addition.payload.digest
                && layer.descriptor.annotations.as_ref() == Some(&prepared.addition.annotations)
        })
    }
}

/// Says whether something is wanted that is not there, and that no open step writes: then nothing may be removed.
pub(super) fn is_missing(fresh: &[Change], steps: &[Step]) -> bool {
    let wanted = fresh.iter().filter(|it| it.want().is_some() && it.action().writes());
    let open: Vec<&StepId> =
        steps.iter().filter(|it| it.result.is_none()).map(|it| &it.id).collect();
    wanted.map(StepId::of).any(|id| !open.contains(&&id))
}

/// What failed first.
pub(super) fn first_failure(steps: &[Step]) -> Option<Failure> {
    steps.iter().find_map(|step| step.result.as_ref()?.as_ref().err().cloned())
}

/// Nothing is removed from a subject of which something could not be put in place.
pub(super) fn hold_removals(steps: &mut [Step], failed: Option<Failure>) {
    let Some(reason) = failed else { return };
    for step in steps.iter_mut() {
        if step.result.is_none() && matches!(step.change, Change::Clean { .. }) {
            let message = format!("not removed, because not all is in place: {}", reason.message);
            step.result = Some(Err(Failure { message, ..reason.clone() }));
        }
    }
}

/// The payloads of what is still to be written, by digest: equal ones once.
pub(super) fn payloads(steps: &[Step]) -> BTreeMap<Digest, Arc<[u8]>> {
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
pub(super) fn edited(carrier: &Carrier, steps: &[Step]) -> Carrier {
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

/// Everything that was open is done.
pub(super) fn finish(steps: &mut [Step]) {
    for step in steps.iter_mut().filter(|step| step.result.is_none()) {
        let removed = matches!(step.change, Change::Clean { .. });
        step.result = Some(Ok(if removed { Done::Removed } else { Done::Written }));
    }
}
