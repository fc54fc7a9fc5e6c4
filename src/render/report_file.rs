//! A report as JSON. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;
use crate::plan::{Action, Change, Failure, PlanUnresolved, PlanWarning, Standing};
use crate::plan::{Unresolved, Warning};
use crate::render::{elsewhere, names, places};
use crate::report::{Done, Outcome, Report, TargetReport, Totals};

/// The version of the JSON: a minor number adds members, a major one breaks.
pub const REPORT_FORMAT: &str = "1.0";

/// What a report does not know of its run.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Run {
    /// When it began.
    pub started: Timestamp,
    /// When it was over.
    pub finished: Timestamp,
    /// How many requests were sent, by method, where they were counted.
    pub requests: Option<BTreeMap<String, u64>>,
}

/// What came of an apply.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ReportFile {
    /// `1.0`; a reader takes every `1.x`.
    pub format_version: String,
    /// When the run began, as RFC 3339 in UTC.
    pub started: String,
    /// When it was over, as RFC 3339 in UTC.
    pub finished: String,
    /// Counts.
    pub totals: Totals,
    /// How many requests were sent, by method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<BTreeMap<String, u64>>,
    /// What a person should know.
    #[serde(default)]
    pub warnings: Vec<PlanWarning>,
    /// The subjects, in the order of the plan.
    pub images: Vec<ReportImage>,
    /// Entries of the spec that could not be resolved.
    #[serde(default)]
    pub unresolved: Vec<PlanUnresolved>,
}

/// What came of one subject.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ReportImage {
    /// `ghcr.io/acme/api@sha256:…`
    pub subject: String,
    /// Where its signatures are, where that is another repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_repository: Option<String>,
    /// How the spec reached it.
    pub names: Vec<String>,
    /// The entries of the spec: `countersign.toml:12`.
    pub spec: Vec<String>,
    /// Whether every change ended well.
    pub converged: bool,
    /// One for each change, in the order of the plan.
    pub outcomes: Vec<ReportOutcome>,
}

/// What came of one change.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ReportOutcome {
    /// What was to be done.
    pub action: Action,
    /// How it ended.
    pub result: ReportResult,
    /// Whose signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// In which format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The container identity of the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_identity: Option<String>,
    /// The digest of the payload that was to be written, kept or removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// What a signature that no want took is to the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// Why it did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// How a change ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReportResult {
    /// Somebody else had done it by the time it was to be done.
    AlreadyDone,
    /// It could not be done, or not be decided: see the failure.
    Failed,
    /// There was nothing to do.
    Nothing,
    /// It was removed, and is gone.
    Removed,
    /// It is not listed any more, so that nobody finds it; the registry refuses deletes and keeps its bytes.
    Unlisted,
    /// It was written, and was there when it was read back.
    Written,
}

impl From<Done> for ReportResult {
    fn from(done: Done) -> Self {
        match done {
            Done::AlreadyDone => Self::AlreadyDone,
            Done::Nothing => Self::Nothing,
            Done::Removed => Self::Removed,
            Done::Unlisted => Self::Unlisted,
            Done::Written => Self::Written,
        }
    }
}

impl ReportFile {
    /// The report as JSON shows it.
    pub fn new(report: &Report, run: &Run) -> Self {
        Self {
            format_version: REPORT_FORMAT.to_owned(),
            started: run.started.to_string(),
            finished: run.finished.to_string(),
            totals: report.totals(),
            requests: run.requests.clone(),
            warnings: report.warnings.iter().map(warning).collect(),
            images: report.targets.iter().map(ReportImage::new).collect(),
            unresolved: report.unresolved.iter().map(unresolved).collect(),
        }
    }
}

impl ReportImage {
    /// One subject as JSON shows it.
    pub fn new(report: &TargetReport) -> Self {
        let target = &*report.target;
        Self {
            subject: target.subject.to_string(),
            signature_repository: elsewhere(target),
            names: names(target),
            spec: places(target),
            converged: report.is_converged(),
            outcomes: report.outcomes.iter().map(ReportOutcome::new).collect(),
        }
    }
}

impl ReportOutcome {
    fn new(outcome: &Outcome) -> Self {
        let change = &outcome.change;
        let (want, found) = (change.want(), change.found());
        let format = want.map(|it| it.format).or_else(|| found.map(|it| it.format));
        let claimed = || Some(found?.claim.as_ref()?.identity.clone());
        Self {
            action: change.action(),
            result: match &outcome.result {
                Ok(done) => (*done).into(),
                Err(_) => ReportResult::Failed,
            },
            signer: change.signer().map(ToString::to_string),
            format: format.map(|it| it.name().to_owned()),
            container_identity: want.map(|it| it.identity.to_string()).or_else(claimed),
            payload: change.payload().map(ToString::to_string),
            standing: match change {
                Change::Clean { standing, .. } | Change::Foreign { standing, .. } => {
                    Some(*standing)
                }
                _ => None,
            },
            failure: outcome.result.as_ref().err().cloned(),
        }
    }
}

/// A warning as JSON shows it.
pub(super) fn warning(warning: &Warning) -> PlanWarning {
    PlanWarning { code: warning.code.to_owned(), message: warning.message.clone() }
}

/// An unresolved entry as JSON shows it.
pub(super) fn unresolved(unresolved: &Unresolved) -> PlanUnresolved {
    PlanUnresolved {
        name: unresolved.name.text.to_string(),
        spec: unresolved.name.origin.to_string(),
        reason: unresolved.reason.clone(),
    }
}
