//! What came of a plan: one outcome for each change, in the order of the plan. Pure.

use std::sync::Arc;

use crate::plan::{Action, Change, Failure, FailureClass, Target, Unresolved, Warning};

/// What came of a plan.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The subjects, in the order of the plan.
    pub targets: Vec<TargetReport>,
    /// Entries of the spec that could not be resolved.
    pub unresolved: Vec<Unresolved>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
}

/// What came of the changes of one subject.
#[derive(Clone, Debug)]
pub struct TargetReport {
    /// What was wanted.
    pub target: Arc<Target>,
    /// One outcome for each change, in the order of the plan.
    pub outcomes: Vec<Outcome>,
}

/// What came of one change.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The change.
    pub change: Change,
    /// What came of it.
    pub result: Result<Done, Failure>,
}

/// How a change ended well.
#[derive(
    Clone,
    Copy,
    Debug,
    Eq,
    Hash,
    PartialEq,
    serde::Deserialize,
    serde::Serialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    /// Somebody else had done it by the time it was to be done.
    AlreadyDone,
    /// There was nothing to do.
    Nothing,
    /// It was removed, and is gone.
    Removed,
    /// It is not listed any more, so that nobody finds it; the registry refuses deletes and keeps its bytes.
    Unlisted,
    /// It was written, and was there when it was read back.
    Written,
}

impl Done {
    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::AlreadyDone => "already done",
            Self::Nothing => "nothing to do",
            Self::Removed => "removed",
            Self::Unlisted => {
                "taken from the list; the registry refuses deletes and keeps its bytes"
            }
            Self::Written => "written",
        }
    }
}

/// How many changes ended in which way.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Eq,
    PartialEq,
    serde::Deserialize,
    serde::Serialize,
    schemars::JsonSchema,
)]
pub struct Totals {
    /// Subjects of which everything is as declared now.
    pub converged: usize,
    /// Subjects, or entries, of which something failed.
    pub failed: usize,
    /// Signatures written: made here or attached.
    pub written: usize,
    /// Signatures removed.
    pub removed: usize,
    /// Signatures that were in place before.
    pub kept: usize,
}

impl TargetReport {
    /// Says whether every change ended well.
    pub fn is_converged(&self) -> bool {
        self.outcomes.iter().all(|outcome| outcome.result.is_ok())
    }

    /// What failed.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.outcomes.iter().filter_map(|outcome| outcome.result.as_ref().err())
    }
}

impl Report {
    /// What failed, in order.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        let targets = self.targets.iter().flat_map(TargetReport::failures);
        targets.chain(self.unresolved.iter().map(|it| &it.reason))
    }

    /// How the run ended as a whole.
    pub fn verdict(&self) -> RunVerdict {
        RunVerdict::of(self.failures())
    }

    /// Counts.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals { failed: self.unresolved.len(), ..Totals::default() };
        for target in &self.targets {
            if target.is_converged() {
                totals.converged += 1;
            } else {
                totals.failed += 1;
            }
            for outcome in &target.outcomes {
                match (&outcome.result, outcome.change.action()) {
                    (Ok(Done::Written), Action::Repair) => {}
                    (Ok(Done::Written), _) => totals.written += 1,
                    (Ok(Done::Removed | Done::Unlisted), _) => totals.removed += 1,
                    (Ok(_), Action::Keep) => totals.kept += 1,
                    _ => {}
                }
            }
        }
        totals
    }
}

/// How a run ended as a whole: what its exit code says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RunVerdict {
    /// Nothing failed.
    Good,
    /// Every failure is of this one kind.
    Only(FailureClass),
    /// Failures of several kinds, or of a kind without a code of its own.
    Mixed,
}

impl RunVerdict {
    /// Joins failures: one kind keeps its name, several do not.
    pub fn of<'a>(failures: impl Iterator<Item = &'a Failure>) -> Self {
        let mut verdict = Self::Good;
        for failure in failures {
            verdict = match verdict {
                Self::Good if failure.class == FailureClass::Error => Self::Mixed,
                Self::Good => Self::Only(failure.class),
                Self::Only(class) if class == failure.class => verdict,
                Self::Only(_) | Self::Mixed => Self::Mixed,
            };
        }
        verdict
    }
}
