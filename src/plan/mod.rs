//! Decisions: what should be, what is, and the difference. Pure.

mod acceptance;
mod bundles;
mod change;
mod compare;
mod desired;
mod diff;
mod explain;
mod failure;
mod file;
mod guard;
mod identity;
mod making;
mod observed;
mod parents;
mod repair;
mod saved;
mod services;
mod target;
mod verification;
mod warning;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use acceptance::{Acceptance, Asked, Claims, Presented, Rejection, Required, Trust};
pub use bundles::{bundle_warnings, hidden_by_bundle};
pub use change::{Action, Change, Difference, Field, Standing};
pub use desired::{
    Ability, Attachment, Desired, Image, Making, Origin, Prune, Selection, Settings, SignerProfile,
    TimestampAuthority,
};
pub use diff::{Cleaning, DiffOptions, diff};
pub use explain::{Explained, Explanation, Reason, Unmet, explain};
pub use failure::{Failure, FailureClass};
pub use file::{
    PLAN_FORMAT, PlanChange, PlanFile, PlanImage, PlanMoved, PlanUnresolved, PlanWarning, Summary,
};
pub use guard::{Guarded, Limits};
pub use identity::identity_text;
pub use observed::{
    Evidence, EvidenceFault, Found, Observed, SeenReferrers, SignerKey, SignerState, SignerTrust,
    Signers, Verdict,
};
pub use parents::hold_parents;
pub use repair::IndexFault;
pub use saved::{SavedPlanError, narrow};
pub use services::{Publishes, ServiceUse, Services};
pub use target::{Moved, Name, Target, Want, WantOrigin};
pub use verification::{Finding, TargetVerification, Verification, VerificationTotals, verify};
pub use warning::{Warning, signer_warnings};

use crate::model::{Digest, SignerName};

/// Everything that is to be said about the images of a spec: plain data, and the same for the same
/// spec, state and clock.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The subjects, in the order of the spec, the images of an index before it.
    pub targets: Vec<TargetPlan>,
    /// Entries of the spec that could not be resolved to subjects.
    pub unresolved: Vec<Unresolved>,
    /// What a person should know.
    pub warnings: Vec<Warning>,
    /// Who the signers are.
    pub signers: BTreeMap<SignerName, SignerFingerprints>,
}

/// What a reviewer approves of a signer.
#[derive(Clone, Debug, Default)]
pub struct SignerFingerprints {
    /// SHA-256 of the public key, where it is known.
    pub key: Option<Digest>,
    /// SHA-256 of the declared certificate.
    pub certificate: Option<Digest>,
    /// What is declared of the identity, where the signer has no fixed key.
    pub identity: Option<Arc<str>>,
    /// What services put into its new signatures.
    pub services: Services,
}

impl SignerFingerprints {
    /// Who the signer is: the fingerprint of its key, else of what is declared of its identity.
    pub fn fingerprint(&self) -> Option<Digest> {
        let identity = self.identity.as_deref().map(|it| Digest::of(it.as_bytes()));
        self.key.clone().or(identity)
    }
}

/// One subject and what is to be done about it.
#[derive(Clone, Debug)]
pub struct TargetPlan {
    /// What is wanted.
    pub target: Arc<Target>,
    /// What was found: the digest of the manifest that carries the signatures.
    pub carrier: Option<Digest>,
    /// What was found: the referrers, where they were looked at.
    pub referrers: SeenReferrers,
    /// The changes.
    pub changes: Vec<Change>,
}

/// An entry of the spec that could not be resolved.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Unresolved {
    /// What was asked for: `ghcr.io/acme/api:1.4.2`.
    pub name: Name,
    /// Why it could not be had.
    pub reason: Failure,
}

impl Plan {
    /// Everything that could not be decided, in order: blocked changes, then unresolved entries.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        let changes = self.targets.iter().flat_map(|it| &it.changes);
        let blocked = changes.filter_map(|change| match change {
            Change::Blocked { reason, .. } => Some(reason),
            _ => None,
        });
        blocked.chain(self.unresolved.iter().map(|it| &it.reason))
    }
}
