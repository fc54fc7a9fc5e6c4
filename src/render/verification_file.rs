//! A verification as JSON. Pure.

use serde::{Deserialize, Serialize};

use crate::plan::{
    Finding, PlanChange, PlanImage, PlanUnresolved, PlanWarning, Verification, VerificationTotals,
};

/// The version of the JSON: a minor number adds members, a major one breaks.
pub const VERIFICATION_FORMAT: &str = "1.0";

/// What `verify` says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct VerificationFile {
    /// `1.0`; a reader takes every `1.x`.
    pub format_version: String,
    /// Whether every image is as declared, for sure.
    pub good: bool,
    /// How many subjects are how.
    pub totals: VerificationTotals,
    /// What a person should know.
    #[serde(default)]
    pub warnings: Vec<PlanWarning>,
    /// The subjects, in the order of the spec.
    pub images: Vec<VerifiedImage>,
    /// Entries of the spec that could not be resolved.
    #[serde(default)]
    pub unresolved: Vec<PlanUnresolved>,
}

/// One subject as a verifier would see it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct VerifiedImage {
    /// `ghcr.io/acme/api@sha256:…`
    pub subject: String,
    /// Where its signatures are, where that is another repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_repository: Option<String>,
    /// How the spec reached it.
    pub names: Vec<String>,
    /// The entries of the spec: `countersign.toml:12`.
    pub spec: Vec<String>,
    /// The worst that was found.
    pub finding: Finding,
    /// What was found, in the order of the plan.
    pub signatures: Vec<VerifiedChange>,
}

/// What one change of a plan means to a verifier.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct VerifiedChange {
    /// What it means.
    pub finding: Finding,
    /// What a plan says.
    #[serde(flatten)]
    pub change: PlanChange,
}

impl VerificationFile {
    /// The verification as JSON shows it.
    pub fn new(verification: &Verification<'_>) -> Self {
        let plan = verification.plan.to_file();
        let images = plan.images.into_iter().zip(&verification.targets).map(|(image, target)| {
            let PlanImage { subject, signature_repository, names, spec, changes } = image;
            let findings = target.findings.iter().copied();
            let signatures = findings
                .zip(changes)
                .map(|(finding, change)| VerifiedChange { finding, change })
                .collect();
            let finding = target.worst();
            VerifiedImage { subject, signature_repository, names, spec, finding, signatures }
        });
        Self {
            format_version: VERIFICATION_FORMAT.to_owned(),
            good: verification.is_good(),
            totals: verification.totals(),
            warnings: plan.warnings,
            images: images.collect(),
            unresolved: plan.unresolved,
        }
    }
}
