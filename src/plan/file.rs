//! The plan as JSON: what programs read, and what is saved to be applied later.

use serde::{Deserialize, Serialize};

use crate::model::{Annotations, Digest};
use crate::plan::{
    Action, Change, Difference, EvidenceFault, Failure, Found, IndexFault, Plan, Publishes,
    SignerFingerprints, Standing, TargetPlan, Unresolved, Want,
};

/// The version of the JSON: a minor number adds members, a major one breaks.
pub const PLAN_FORMAT: &str = "1.0";

/// A plan as it stands in `plan --format json` and in a saved plan.
///
/// It narrows an `apply`, and never authorises one: nothing in it is written that a fresh plan of the
/// spec does not say too.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct PlanFile {
    /// `1.0`; a reader takes every `1.x`.
    pub format_version: String,
    /// What a reviewer approves: see `apply --expect`.
    pub fingerprint: String,
    /// How many changes of each kind.
    pub summary: Summary,
    /// What would become public, for good.
    pub publishes: Publishes,
    /// What a person should know.
    #[serde(default)]
    pub warnings: Vec<PlanWarning>,
    /// The subjects, in the order of the spec.
    pub images: Vec<PlanImage>,
    /// Entries of the spec that could not be resolved.
    #[serde(default)]
    pub unresolved: Vec<PlanUnresolved>,
}

/// How many changes of each kind a plan has; unresolved entries count as blocked.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema,
)]
pub struct Summary {
    /// Subjects.
    pub images: usize,
    /// `=`
    pub keep: usize,
    /// `~` lists of referrers mended
    #[serde(default)]
    pub repair: usize,
    /// `+` made here
    pub sign: usize,
    /// `~`
    pub resign: usize,
    /// `+` made elsewhere
    pub attach: usize,
    /// `-`
    pub clean: usize,
    /// `!`
    pub moved: usize,
    /// `?`
    pub foreign: usize,
    /// `x`
    pub blocked: usize,
}

impl Summary {
    /// Says whether something would be written.
    pub fn is_pending(&self) -> bool {
        self.sign + self.resign + self.repair + self.attach + self.clean > 0
    }

    /// Counts one change.
    pub fn count(&mut self, action: Action) {
        let field = match action {
            Action::Attach => &mut self.attach,
            Action::Blocked => &mut self.blocked,
            Action::Clean => &mut self.clean,
            Action::Foreign => &mut self.foreign,
            Action::Keep => &mut self.keep,
            Action::Moved => &mut self.moved,
            Action::Repair => &mut self.repair,
            Action::Resign => &mut self.resign,
            Action::Sign => &mut self.sign,
        };
        *field += 1;
    }
}

/// What a person should know.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct PlanWarning {
    /// The stable code.
    pub code: String,
    /// What.
    pub message: String,
}

/// One subject of a plan.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct PlanImage {
    /// `ghcr.io/acme/api@sha256:…`
    pub subject: String,
    /// Where its signatures are, where that is another repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_repository: Option<String>,
    /// How the spec reached it.
    pub names: Vec<String>,
    /// The entries of the spec: `countersign.toml:12`.
    pub spec: Vec<String>,
    /// The changes.
    pub changes: Vec<PlanChange>,
}

/// One change of a plan.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct PlanChange {
    /// The same change has the same id in every plan: subject, signer, payload and what is removed.
    pub id: String,
    /// What is done.
    pub action: Action,
    /// Whose signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// SHA-256 of the signer's public key; of an identity, of what is declared of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer_fingerprint: Option<String>,
    /// In which format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The container identity of the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_identity: Option<String>,
    /// The annotations of the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// The digest of the payload that is written, kept or removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// What is wrong with the list of referrers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repairs: Vec<String>,
    /// In what the signature that is there differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// What a signature that no want took is to the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// The end of the certificate that it carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_until: Option<String>,
    /// What the signature carries as a proof and what does not hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<EvidenceFault>,
    /// What the tag names now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<PlanMoved>,
    /// Why it is blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Failure>,
}

/// A tag that has moved.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct PlanMoved {
    /// The tag, with its repository.
    pub tag: String,
    /// What it names now; none where it is gone.
    pub actual: Option<String>,
}

/// An entry that could not be resolved.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct PlanUnresolved {
    /// What was asked for.
    pub name: String,
    /// The entry of the spec.
    pub spec: String,
    /// Why it could not be had.
    pub reason: Failure,
}

impl Plan {
    /// Counts the changes of each kind.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary { images: self.targets.len(), ..Summary::default() };
        for change in self.targets.iter().flat_map(|it| &it.changes) {
            summary.count(change.action());
        }
        summary.blocked += self.unresolved.len();
        summary
    }

    /// The digest of everything in the plan that is not `keep`: what a reviewer approves.
    ///
    /// The same spec, state and clock always give the same fingerprint.
    pub fn fingerprint(&self) -> Digest {
        let mut lines = Vec::new();
        for plan in &self.targets {
            for change in plan.changes.iter().filter(|it| it.action() != Action::Keep) {
                let reason = match change {
                    Change::Blocked { reason, .. } => reason.code.as_str(),
                    _ => "",
                };
                let id = self.change_id(plan, change);
                lines.push(format!("{} {id} {reason}\n", change.action().word()));
            }
        }
        for Unresolved { name, reason } in &self.unresolved {
            lines.push(format!("unresolved {} {}\n", name.text, reason.code));
        }
        Digest::of(lines.concat().as_bytes())
    }

    /// What is the same about a change in every plan that has it.
    ///
    /// Sign, resign, attach and keep of one want share an id: a change that is done becomes a keep.
    pub fn change_id(&self, plan: &TargetPlan, change: &Change) -> Digest {
        let target = &plan.target;
        let place = format!("{}@{}", target.signatures, target.subject.digest);
        let text = match change {
            Change::Attach { want, .. }
            | Change::Keep { want, .. }
            | Change::Resign { want, .. }
            | Change::Sign { want }
            | Change::Blocked { want: Some(want), .. } => {
                let who = self.signers.get(&want.signer);
                let key = who.and_then(SignerFingerprints::fingerprint).map(|it| it.to_string());
                let certificate = who.and_then(|it| it.certificate.as_ref()).map(Digest::to_string);
                format!(
                    "write {place} {} {} {} {}",
                    key.unwrap_or_else(|| want.signer.to_string()),
                    want.format,
                    want.payload,
                    certificate.unwrap_or_default()
                )
            }
            Change::Blocked { want: None, reason } => format!("blocked {place} {}", reason.code),
            Change::Clean { found, .. } => return self.clean_id(plan, found),
            Change::Foreign { found, .. } => format!("foreign {place} {}", layer(found)),
            Change::Repair { faults } => {
                let faults: Vec<String> =
                    faults.iter().map(|it| format!("{} {}", it.digest(), it.removes())).collect();
                format!("repair {place} {}", faults.join(" "))
            }
            Change::Moved(moved) => format!("moved {place} {} {:?}", moved.tag, moved.actual),
        };
        Digest::of(text.as_bytes())
    }

    /// The id that a removal of `found` has.
    pub fn clean_id(&self, plan: &TargetPlan, found: &Found) -> Digest {
        let target = &plan.target;
        let place = format!("{}@{}", target.signatures, target.subject.digest);
        Digest::of(format!("clean {place} {}", layer(found)).as_bytes())
    }

    /// The plan as JSON shows it.
    pub fn to_file(&self) -> PlanFile {
        let warnings = self.warnings.iter().map(|warning| PlanWarning {
            code: warning.code.to_owned(),
            message: warning.message.clone(),
        });
        let unresolved = self.unresolved.iter().map(|it| PlanUnresolved {
            name: it.name.text.to_string(),
            spec: it.name.origin.to_string(),
            reason: it.reason.clone(),
        });
        PlanFile {
            format_version: PLAN_FORMAT.to_owned(),
            fingerprint: self.fingerprint().to_string(),
            summary: self.summary(),
            publishes: self.publishes(),
            warnings: warnings.collect(),
            images: self.targets.iter().map(|plan| self.image(plan)).collect(),
            unresolved: unresolved.collect(),
        }
    }

    fn image(&self, plan: &TargetPlan) -> PlanImage {
        let target = &plan.target;
        let elsewhere = target.signatures != target.subject.repository;
        let mut spec: Vec<String> = target.names.iter().map(|it| it.origin.to_string()).collect();
        spec.dedup();
        PlanImage {
            subject: target.subject.to_string(),
            signature_repository: elsewhere.then(|| target.signatures.to_string()),
            names: target.names.iter().map(|it| it.text.to_string()).collect(),
            spec,
            changes: plan.changes.iter().map(|change| self.change(plan, change)).collect(),
        }
    }

    fn change(&self, plan: &TargetPlan, change: &Change) -> PlanChange {
        let (want, found) = (change.want(), change.found());
        let claim = found.and_then(|it| it.claim.as_deref());
        let identity = want.map(|it| it.identity.to_string()).filter(|it| !it.is_empty());
        let annotations = want.map(|it| Annotations::clone(&it.annotations));
        let signer = change.signer();
        let fingerprint = signer.and_then(|it| self.signers.get(it)?.fingerprint());
        let format = want.map(|it: &Want| it.format).or_else(|| found.map(|it: &Found| it.format));
        PlanChange {
            id: self.change_id(plan, change).to_string(),
            action: change.action(),
            signer: signer.map(ToString::to_string),
            signer_fingerprint: fingerprint.as_ref().map(Digest::to_string),
            format: format.map(|it| it.name().to_owned()),
            container_identity: identity
                .or_else(|| claim.map(|it| it.identity.clone()))
                .filter(|it| !it.is_empty()),
            annotations: annotations.or_else(|| claim.map(|it| it.annotations.clone())),
            payload: change.payload().map(Digest::to_string),
            repairs: match change {
                Change::Repair { faults } => faults.iter().map(IndexFault::to_string).collect(),
                _ => Vec::new(),
            },
            differences: match change {
                Change::Resign { differences, .. } => differences.clone(),
                _ => Vec::new(),
            },
            standing: match change {
                Change::Clean { standing, .. } | Change::Foreign { standing, .. } => {
                    Some(*standing)
                }
                _ => None,
            },
            certificate_until: found
                .and_then(|it| it.certificate.as_ref())
                .map(|it| it.not_after().to_string()),
            problems: found.map(|it| it.problems.to_vec()).unwrap_or_default(),
            moved: match change {
                Change::Moved(moved) => Some(PlanMoved {
                    tag: moved.tag.to_string(),
                    actual: moved.actual.as_ref().map(Digest::to_string),
                }),
                _ => None,
            },
            reason: match change {
                Change::Blocked { reason, .. } => Some(reason.clone()),
                _ => None,
            },
        }
    }
}

fn layer(found: &Found) -> String {
    format!("{} {}", found.id.payload, found.id.annotations)
}
