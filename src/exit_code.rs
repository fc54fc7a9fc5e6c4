//! The exit codes of the program: public, and the same for ever. Pure.

use std::process;

use crate::plan::{Failure, FailureClass, Guarded, Plan, Verification};
use crate::report::{Report, RunVerdict};

/// How a run of the program ends.
///
/// One kind of failure has its own code (5, 75, 77); several kinds, or any other, give 3 for `apply` and
/// 1 for everything else. A signal wins over all.
///
/// # Example
///
/// ```
/// use countersign::exit_code::ExitCode;
/// use countersign::plan::Plan;
///
/// assert_eq!(ExitCode::of_plan(&Plan::default()).number(), 0);
/// assert_eq!(ExitCode::Temporary.number(), 75);
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
#[repr(u8)]
pub enum ExitCode {
    /// Done, or nothing to do.
    Good = 0,
    /// An error; `plan` or `verify` could not read everything.
    Error = 1,
    /// Only with `plan --detailed-exitcode`: changes are pending.
    Pending = 2,
    /// `apply` ended in part: some images failed, the rest converged.
    Partial = 3,
    /// Refused by a guard, before the first write.
    Guarded = 4,
    /// The saved plan is stale.
    Stale = 5,
    /// `verify`: an image is not as declared.
    NotAsDeclared = 6,
    /// A wrong command line (`EX_USAGE` of sysexits.h).
    Usage = 64,
    /// A wrong spec (`EX_DATAERR`).
    Spec = 65,
    /// Only temporary failures are left, limits and outages: run again (`EX_TEMPFAIL`).
    Temporary = 75,
    /// Credentials or permission (`EX_NOPERM`).
    Permission = 77,
    /// SIGINT came; what was under way was finished.
    Interrupted = 130,
    /// SIGTERM came; what was under way was finished.
    Terminated = 143,
}

impl ExitCode {
    /// All of them, in order.
    pub const ALL: [Self; 13] = [
        Self::Good,
        Self::Error,
        Self::Pending,
        Self::Partial,
        Self::Guarded,
        Self::Stale,
        Self::NotAsDeclared,
        Self::Usage,
        Self::Spec,
        Self::Temporary,
        Self::Permission,
        Self::Interrupted,
        Self::Terminated,
    ];

    /// The number that the shell sees.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// What it means, in words for help texts and manual pages.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Good => "done, or nothing to do",
            Self::Error => "error; `plan` or `verify` could not read everything",
            Self::Pending => "only with `plan --detailed-exitcode`: changes are pending",
            Self::Partial => "`apply` ended in part: some images failed, the rest converged",
            Self::Guarded => "refused by a guard",
            Self::Stale => "the saved plan is stale",
            Self::NotAsDeclared => "`verify`: an image is not as declared",
            Self::Usage => "wrong command line",
            Self::Spec => "wrong spec",
            Self::Temporary => "only temporary failures are left: run again",
            Self::Permission => "credentials or permission",
            Self::Interrupted => "interrupted, after what was under way was finished",
            Self::Terminated => "terminated, after what was under way was finished",
        }
    }

    /// The end of `plan`.
    pub fn of_plan(plan: &Plan) -> Self {
        Self::of_verdict(RunVerdict::of(plan.failures()), Self::Error)
    }

    /// The end of `plan --detailed-exitcode`: 2 where something would be written and nothing failed.
    pub fn of_plan_detailed(plan: &Plan) -> Self {
        match Self::of_plan(plan) {
            Self::Good if plan.summary().is_pending() => Self::Pending,
            code => code,
        }
    }

    /// The end of `apply`.
    ///
    /// What was not begun because a signal came ends in 130, whatever else failed; who knows that the
    /// signal was SIGTERM says so with [`ExitCode::Terminated`].
    pub fn of_report(report: &Report) -> Self {
        if report.failures().any(|it| it.class == FailureClass::Interrupted) {
            return Self::Interrupted;
        }
        Self::of_verdict(report.verdict(), Self::Partial)
    }

    /// The end of `verify`: 6 where an image is not as declared and nothing failed.
    pub fn of_verification(verification: &Verification<'_>) -> Self {
        match Self::of_verdict(RunVerdict::of(verification.failures()), Self::Error) {
            Self::Good if !verification.is_good() => Self::NotAsDeclared,
            code => code,
        }
    }

    /// The end of a command that could do nothing because of one failure.
    pub fn of_failure(failure: &Failure) -> Self {
        Self::of_verdict(RunVerdict::of(std::iter::once(failure)), Self::Error)
    }

    fn of_verdict(verdict: RunVerdict, other: Self) -> Self {
        match verdict {
            RunVerdict::Good => Self::Good,
            RunVerdict::Only(FailureClass::Interrupted) => Self::Interrupted,
            RunVerdict::Only(FailureClass::Permission) => Self::Permission,
            RunVerdict::Only(FailureClass::Stale) => Self::Stale,
            RunVerdict::Only(FailureClass::Temporary) => Self::Temporary,
            RunVerdict::Only(FailureClass::Error) | RunVerdict::Mixed => other,
        }
    }
}

impl From<&Guarded> for ExitCode {
    fn from(_: &Guarded) -> Self {
        Self::Guarded
    }
}

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

#[cfg(test)]
mod tests;
