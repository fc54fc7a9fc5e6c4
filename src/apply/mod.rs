//! Doing: writes what a plan says, and nothing else.
//!
//! A failure stops only its own subject. Subjects are worked on side by side, the images of an index
//! before it; there is one writer for each carrier, because a plan has one target for each.

mod bundles;
mod confirm;
mod converge;
mod listing;
mod make;
mod prepare;
mod referrers;
mod remove;
mod single;
mod step;
mod turn;
mod upload;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt as _;
use futures::stream;
use tokio::sync::{Semaphore, watch};

pub use referrers::delete_referrers;
pub use single::{Made, Removed, delete_tag};

use crate::apply::confirm::Confirm;
use crate::apply::converge::Converge;
use crate::apply::remove::TagsByDigest;
use crate::apply::turn::Turn;
use crate::apply::upload::EmptyConfigs;
use crate::event::{Event, Listener};
use crate::keys::Keyring;
use crate::model::{Clock, Digest, Repository};
use crate::plan::{Change, Failure, FailureClass, Plan, Signers, Target, TargetPlan};
use crate::report::{Done, Outcome, Report, RunVerdict, TargetReport};
use crate::sigstore::Witnesses;
use crate::store::Store;

/// Everything that a run writes with.
#[derive(Clone, Debug)]
pub struct Applier {
    /// Where the images are.
    pub store: Arc<dyn Store>,
    /// The signers.
    pub keyring: Arc<Keyring>,
    /// Who bears witness to new signatures: logs and timestamp authorities.
    pub witnesses: Arc<Witnesses>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How many subjects are worked on side by side; the store limits the requests to each host.
    pub jobs: usize,
    /// Tells the run to finish what is under way and begin nothing new.
    pub stop: Stop,
}

/// A switch that is thrown once: finish what is under way, begin nothing new.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Throws the switch.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Says whether the switch has been thrown.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Whether an image of an index is in place, or which kind of failure keeps it; none while the work on it
/// goes on.
type Settled = watch::Receiver<Option<Result<(), FailureClass>>>;

/// How many subjects are under way where some of them wait for services: Rekor v2 answers once a second, however
/// many ask.
const WAITING: usize = 128;

/// Tells those who wait that a subject is done.
type Settling = watch::Sender<Option<Result<(), FailureClass>>>;

impl Applier {
    /// Writes what `plan` says.
    ///
    /// `signers` are those that the plan was made with. Never fails: the report has one outcome for each
    /// change, in the order of the plan. Dropping the future leaves a world that the next run converges.
    pub async fn apply(
        &self,
        plan: Plan,
        signers: &Arc<Signers>,
        listener: &Arc<dyn Listener>,
    ) -> Report {
        self.run(plan, signers, listener, Confirm::Once).await
    }

    /// The same, and looks once more, some time after, whether what it wrote behind a tag is still there: for writers
    /// that are not run again, beside others that write at the same moment. One request more for each subject.
    pub async fn apply_for_good(
        &self,
        plan: Plan,
        signers: &Arc<Signers>,
        listener: &Arc<dyn Listener>,
    ) -> Report {
        self.run(plan, signers, listener, Confirm::Twice).await
    }

    async fn run(
        &self,
        plan: Plan,
        signers: &Arc<Signers>,
        listener: &Arc<dyn Listener>,
        confirm: Confirm,
    ) -> Report {
        let writing = |plan: &TargetPlan| plan.changes.iter().any(|it| it.action().writes());
        let total = plan.targets.iter().filter(|it| writing(it)).count();
        listener.hear(&Event::Started { targets: total });
        let gates = Gates::new(&plan.targets);
        let converge = Arc::new(Converge {
            applier: self.clone(),
            signers: Arc::clone(signers),
            tags: TagsByDigest::default(),
            turns: Arc::new(Semaphore::new(self.jobs.max(1))),
            empty_configs: EmptyConfigs::default(),
            confirm,
        });
        let under_way = if self.witnesses.is_empty() { self.jobs } else { self.jobs.max(WAITING) };
        let mut order: Vec<(usize, usize, TargetPlan)> = plan
            .targets
            .into_iter()
            .enumerate()
            .map(|(at, it)| (gates.depth(&it), at, it))
            .collect();
        order.sort_by_key(|(depth, at, _)| (*depth, *at));
        let mut working = stream::iter(order)
            .map(|(_, at, plan)| {
                let (waits, done) = gates.of(&plan);
                let (converge, listener) = (Arc::clone(&converge), Arc::clone(listener));
                let task = async move {
                    let report = if writing(&plan) {
                        let report = work(&converge, plan, waits, &*listener).await;
                        listener.hear(&Event::TargetFinished { report: &report });
                        report
                    } else {
                        unwritten(plan)
                    };
                    if let Some(done) = done {
                        done.send_replace(Some(settled(&report)));
                    }
                    report
                };
                let task = tokio::spawn(task);
                async move { (at, task.await) }
            })
            .buffer_unordered(under_way.max(1));
        let mut reports = Vec::new();
        while let Some((at, report)) = working.next().await {
            match report {
                Ok(report) => reports.push((at, report)),
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => {}
            }
        }
        drop(working);
        reports.sort_by_key(|(at, _)| *at);
        listener.hear(&Event::Finished);
        Report {
            targets: reports.into_iter().map(|(_, report)| report).collect(),
            unresolved: plan.unresolved,
            warnings: plan.warnings,
        }
    }
}

/// How the work on a subject ended, for the index that waits for it: of the same kind, so that a limit on an
/// image is no error of its index.
fn settled(report: &TargetReport) -> Result<(), FailureClass> {
    match RunVerdict::of(report.failures()) {
        RunVerdict::Good => Ok(()),
        RunVerdict::Only(class) => Err(class),
        RunVerdict::Mixed => Err(FailureClass::Error),
    }
}

/// Works on one subject when the images in it are done.
async fn work(
    converge: &Converge,
    plan: TargetPlan,
    waits: Vec<Settled>,
    listener: &dyn Listener,
) -> TargetReport {
    for mut wait in waits {
        let settled = wait.wait_for(Option::is_some).await.map(|it| *it);
        let kept_by = match settled {
            Ok(Some(Ok(()))) => None,
            Ok(Some(Err(class))) => Some(class),
            Ok(None) | Err(_) => Some(FailureClass::Error),
        };
        if let Some(class) = kept_by {
            let reason = Failure::new(
                "image::child_failed",
                "not signed because an image in it could not be signed",
                class,
            );
            return refused(plan, &reason.help("mend what failed there, and run again"));
        }
    }
    let turn = Turn::take(&converge.turns).await;
    if converge.applier.stop.is_stopped() {
        let reason = Failure::new(
            "run::interrupted",
            "not begun: the run was told to stop",
            FailureClass::Interrupted,
        );
        return refused(plan, &reason);
    }
    // Heard only now: what is heard to begin is also finished when the run is told to stop.
    listener.hear(&Event::TargetStarted { target: &plan.target });
    converge.target(plan, &turn).await
}

/// The report of a subject of which nothing is written.
fn unwritten(plan: TargetPlan) -> TargetReport {
    let outcomes = plan.changes.into_iter().map(|change| {
        let result = result_without_write(&change);
        Outcome { change, result }
    });
    TargetReport { target: plan.target, outcomes: outcomes.collect() }
}

/// The report of a subject of which nothing could be written.
fn refused(plan: TargetPlan, reason: &Failure) -> TargetReport {
    let outcomes = plan.changes.into_iter().map(|change| {
        let result = if change.action().writes() {
            Err(reason.clone())
        } else {
            result_without_write(&change)
        };
        Outcome { change, result }
    });
    TargetReport { target: plan.target, outcomes: outcomes.collect() }
}

fn result_without_write(change: &Change) -> Result<Done, Failure> {
    match change {
        Change::Blocked { reason, .. } => Err(reason.clone()),
        _ => Ok(Done::Nothing),
    }
}

type Place = (Repository, Digest);

/// Who waits for whom: the images of an index are signed before it.
struct Gates {
    senders: HashMap<Place, Settling>,
    depths: HashMap<Place, usize>,
}

impl Gates {
    fn new(plans: &[TargetPlan]) -> Self {
        let places: HashMap<Place, &Target> =
            plans.iter().map(|plan| (place(&plan.target), &*plan.target)).collect();
        let mut depths = HashMap::new();
        let mut senders = HashMap::new();
        for plan in plans.iter().filter(|plan| !plan.target.children.is_empty()) {
            depth(&plan.target, &places, &mut depths);
            for child in children(&plan.target).filter(|child| places.contains_key(child)) {
                senders.entry(child).or_insert_with(|| watch::Sender::new(None));
            }
        }
        Self { senders, depths }
    }

    /// How many indexes are below; what is deeper begins first.
    fn depth(&self, plan: &TargetPlan) -> usize {
        self.depths.get(&place(&plan.target)).copied().unwrap_or(0)
    }

    fn of(&self, plan: &TargetPlan) -> (Vec<Settled>, Option<Settling>) {
        let waits = children(&plan.target)
            .filter_map(|child| self.senders.get(&child).map(watch::Sender::subscribe));
        (waits.collect(), self.senders.get(&place(&plan.target)).cloned())
    }
}

fn place(target: &Target) -> Place {
    (target.signatures.clone(), target.subject.digest.clone())
}

fn children(target: &Target) -> impl Iterator<Item = Place> {
    target.children.iter().map(|digest| (target.signatures.clone(), digest.clone()))
}

/// Digests cannot form a cycle, and indexes are at most eight deep, so this ends.
fn depth(
    target: &Target,
    places: &HashMap<Place, &Target>,
    depths: &mut HashMap<Place, usize>,
) -> usize {
    if let Some(known) = depths.get(&place(target)) {
        return *known;
    }
    let below = children(target)
        .filter_map(|child| places.get(&child).copied())
        .map(|child| depth(child, places, depths) + 1)
        .max()
        .unwrap_or(0);
    depths.insert(place(target), below);
    below
}
