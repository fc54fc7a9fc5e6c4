//! Whether a verifier would be content with what is there. Pure.

use crate::model::Timestamp;
use crate::plan::{Change, Difference, Failure, Field, Found, Plan, TargetPlan, Unresolved, Want};

/// What `verify` says about a plan: nothing is written, and what is only due is no fault.
#[derive(Clone, Debug)]
pub struct Verification<'a> {
    /// The plan that was judged.
    pub plan: &'a Plan,
    /// The subjects, in the order of the plan.
    pub targets: Vec<TargetVerification<'a>>,
}

/// One subject as a verifier would see it.
#[derive(Clone, Debug)]
pub struct TargetVerification<'a> {
    /// The subject with its changes.
    pub plan: &'a TargetPlan,
    /// One finding for each change, in the order of the plan.
    pub findings: Vec<Finding>,
}

/// What one change of a plan means to a verifier; the later is the worse.
#[derive(
    Clone,
    Copy,
    Debug,
    Eq,
    Hash,
    Ord,
    PartialEq,
    PartialOrd,
    serde::Deserialize,
    serde::Serialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// Nothing: what is declared is there, or what is there is not asked for.
    Good,
    /// A renewal is due, and a verifier still takes what is there.
    Due,
    /// A verifier would miss it: it is missing, no longer serves, or the tag has moved.
    Fault,
    /// It could not be decided.
    Unknown,
}

impl Finding {
    /// The word for people and programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Due => "due",
            Self::Fault => "fault",
            Self::Unknown => "unknown",
        }
    }
}

/// Says of every change of `plan` what it means to a verifier at `now`.
///
/// A missing signature, one that no longer serves, and a moved tag are faults; what could not be read is
/// unknown. Signatures to be cleaned, foreign ones, and renewals that are only due are neither.
pub fn verify(plan: &Plan, now: Timestamp) -> Verification<'_> {
    let targets = plan.targets.iter().map(|target| {
        let findings = target.changes.iter().map(|change| finding(plan, change, now));
        TargetVerification { plan: target, findings: findings.collect() }
    });
    Verification { plan, targets: targets.collect() }
}

fn finding(plan: &Plan, change: &Change, now: Timestamp) -> Finding {
    match change {
        Change::Blocked { .. } => Finding::Unknown,
        Change::Clean { .. }
        | Change::Foreign { .. }
        | Change::Keep { .. }
        | Change::Repair { .. } => Finding::Good,
        Change::Attach { want, to: Some(found) } if serves(plan, want, found, now) => Finding::Due,
        Change::Resign { want, found, differences }
            if is_renewal(differences) && serves(plan, want, found, now) =>
        {
            Finding::Due
        }
        Change::Attach { .. } | Change::Moved(_) | Change::Resign { .. } | Change::Sign { .. } => {
            Finding::Fault
        }
    }
}

/// Says whether only certificates differ: the signature says what is declared.
fn is_renewal(differences: &[Difference]) -> bool {
    differences.iter().all(|difference| {
        matches!(difference.field, Field::Certificate | Field::CertificateChain | Field::Expiry)
    })
}

/// Says whether a verifier at `now` takes the certificate that `found` carries.
fn serves(plan: &Plan, want: &Want, found: &Found, now: Timestamp) -> bool {
    let Some(certificate) = &found.certificate else { return false };
    let valid_at = |time| certificate.not_before() <= time && time <= certificate.not_after();
    let key = plan.signers.get(&want.signer).and_then(|it| it.key.as_ref());
    let same_key = key.is_none_or(|key| *key == certificate.public_key().fingerprint());
    same_key && (found.proven.is_some_and(valid_at) || valid_at(now))
}

impl TargetVerification<'_> {
    /// The worst that was found.
    pub fn worst(&self) -> Finding {
        self.findings.iter().copied().max().unwrap_or(Finding::Good)
    }

    /// The changes with what they mean, in the order of the plan.
    pub fn changes(&self) -> impl Iterator<Item = (&Change, Finding)> {
        self.plan.changes.iter().zip(self.findings.iter().copied())
    }
}

/// How many subjects are how.
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
pub struct VerificationTotals {
    /// Subjects that are as declared; those with a renewal that is due among them.
    pub good: usize,
    /// Of these, the subjects with a renewal that is due.
    pub due: usize,
    /// Subjects of which a verifier would miss something.
    pub faulty: usize,
    /// Subjects, or entries, of which something could not be read.
    pub unknown: usize,
}

impl Verification<'_> {
    /// Entries of the spec that could not be resolved.
    pub fn unresolved(&self) -> &[Unresolved] {
        &self.plan.unresolved
    }

    /// What could not be decided, in order.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.plan.failures()
    }

    /// Says whether every image is as declared, for sure.
    pub fn is_good(&self) -> bool {
        let totals = self.totals();
        totals.faulty == 0 && totals.unknown == 0
    }

    /// Counts.
    pub fn totals(&self) -> VerificationTotals {
        let unknown = self.plan.unresolved.len();
        let mut totals = VerificationTotals { unknown, ..VerificationTotals::default() };
        for target in &self.targets {
            match target.worst() {
                Finding::Good => totals.good += 1,
                Finding::Due => {
                    totals.good += 1;
                    totals.due += 1;
                }
                Finding::Fault => totals.faulty += 1,
                Finding::Unknown => totals.unknown += 1,
            }
        }
        totals
    }
}

#[cfg(test)]
mod tests;
