//! An explanation as JSON. Pure.

use serde::{Deserialize, Serialize};

use crate::crypto::Certificate;
use crate::model::Annotations;
use crate::plan::{
    Action, Change, Difference, EvidenceFault, Explained, Explanation, Failure, PlanMoved, Reason,
    Standing, Unmet,
};

/// The version of the JSON: a minor number adds members, a major one breaks.
pub const EXPLANATION_FORMAT: &str = "1.0";

/// What `explain` says: one entry for each subject behind the name that was asked for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ExplanationFile {
    /// `1.0`; a reader takes every `1.x`.
    pub format_version: String,
    /// The subjects, the images of an index before it.
    pub images: Vec<ExplainedImage>,
}

/// Everything that is known about the signatures of one subject.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ExplainedImage {
    /// `ghcr.io/acme/api@sha256:…`
    pub subject: String,
    /// How the spec reached it.
    pub names: Vec<String>,
    /// Where its signatures are: `ghcr.io/acme/api:sha256-….sig`.
    pub place: String,
    /// The digest of the manifest that carries them.
    pub manifest: Option<String>,
    /// Every signature there, in the order of the manifest.
    pub signatures: Vec<ExplainedSignature>,
    /// What is wanted and not there.
    pub unmet: Vec<ExplainedWant>,
    /// What else could not be decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
    /// Tags that no longer name it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<PlanMoved>,
}

/// One signature that is there.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ExplainedSignature {
    /// Its place in the manifest, from 0.
    pub position: usize,
    /// Whether it counts.
    pub counts: bool,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<ExplainedReason>,
    /// In which format.
    pub format: String,
    /// The digest of its payload.
    pub payload: String,
    /// The signer under whose key it verifies.
    pub signer: Option<String>,
    /// SHA-256 of that key; of an identity, of what is declared of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer_fingerprint: Option<String>,
    /// The hash with which it verifies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// What its payload says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ExplainedClaim>,
    /// The certificate that it carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<ExplainedCertificate>,
    /// Whether it carries a log entry.
    pub log_entry: bool,
    /// Whether it carries a timestamp.
    pub timestamp: bool,
    /// How many log entries hold; none are looked at where nothing depends on them.
    #[serde(default)]
    pub verified_log_entries: u16,
    /// How many timestamps hold; none are looked at where nothing depends on them.
    #[serde(default)]
    pub verified_timestamps: u16,
    /// What it carries as a proof and what does not hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<EvidenceFault>,
    /// The earliest moment at which it is proven to have existed, as RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<String>,
    /// What it is to the spec, where it does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// Whether an apply would remove it.
    pub goes: bool,
}

/// Why a signature does not count.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ExplainedReason {
    /// The kind of reason.
    pub kind: ReasonKind,
    /// The reason in words.
    pub message: String,
    /// In what it differs from the nearest that is wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
}

/// The kinds of reason, as programs see them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ReasonKind {
    /// It is not as declared.
    Differs,
    /// It is as declared, and another one counts already.
    Duplicate,
    /// What vouches for the evidence of a signer could not be had.
    EvidenceUnknown,
    /// Kept as cosign 2's experimental referrers mode wrote it.
    Experimental,
    /// The key of a signer could not be had: it may be that signer's.
    KeyUnknown,
    /// Nothing that this signer signs is wanted of this image.
    NotWanted,
    /// Its payload names another image.
    OtherImage,
    /// Of a signer that is marked `retired`.
    Retired,
    /// It verifies under no key of the spec, or is broken.
    Stranger,
    /// Its payload was not read.
    Unexamined,
    /// Its payload could not be read.
    Unreadable,
}

/// What a payload says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ExplainedClaim {
    /// The digest of the image.
    pub digest: String,
    /// The container identity.
    pub container_identity: String,
    /// The annotations; values that are no strings as JSON.
    pub annotations: Annotations,
}

/// A certificate. What it says is not proven by its being there.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ExplainedCertificate {
    /// Whom it names.
    pub names: Vec<String>,
    /// The first moment of its validity, as RFC 3339.
    pub not_before: String,
    /// The last moment of its validity, as RFC 3339.
    pub not_after: String,
    /// SHA-256 of the DER.
    pub fingerprint: String,
}

/// A signature that should exist and does not.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct ExplainedWant {
    /// Whose.
    pub signer: String,
    /// In which format.
    pub format: String,
    /// The container identity of the payload.
    pub container_identity: String,
    /// The annotations of the payload.
    pub annotations: Annotations,
    /// What an apply would do.
    pub action: Action,
    /// Why it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Failure>,
}

impl ExplanationFile {
    /// The explanations as JSON shows them.
    pub fn new(explanations: &[Explanation]) -> Self {
        Self {
            format_version: EXPLANATION_FORMAT.to_owned(),
            images: explanations.iter().map(image).collect(),
        }
    }
}

fn image(explanation: &Explanation) -> ExplainedImage {
    let (repository, tag) = &explanation.place;
    let moved = explanation.moved.iter().map(|it| PlanMoved {
        tag: it.tag.to_string(),
        actual: it.actual.as_ref().map(ToString::to_string),
    });
    ExplainedImage {
        subject: explanation.subject.to_string(),
        names: explanation.names.iter().map(|it| it.text.to_string()).collect(),
        place: format!("{repository}:{tag}"),
        manifest: explanation.carrier.as_ref().map(ToString::to_string),
        signatures: explanation.signatures.iter().map(signature).collect(),
        unmet: explanation.unmet.iter().map(unmet).collect(),
        failures: explanation.failures.clone(),
        moved: moved.collect(),
    }
}

fn signature(it: &Explained) -> ExplainedSignature {
    let reasons = it.counts.as_ref().err();
    let claim = it.claim.as_ref().map(|claim| {
        let mut annotations = claim.annotations.clone();
        annotations.extend(claim.other.clone());
        ExplainedClaim {
            digest: claim.digest.to_string(),
            container_identity: claim.identity.clone(),
            annotations,
        }
    });
    ExplainedSignature {
        position: it.position,
        counts: it.counts.is_ok(),
        reasons: reasons.into_iter().flatten().map(reason).collect(),
        format: it.format.name().to_owned(),
        payload: it.payload.to_string(),
        signer: it.signer.as_ref().map(ToString::to_string),
        signer_fingerprint: it.key.as_ref().map(ToString::to_string),
        hash: it.hash.map(|hash| hash.name().to_owned()),
        claim,
        certificate: it.certificate.as_ref().map(certificate),
        log_entry: it.carried.log_entries > 0,
        timestamp: it.carried.timestamps > 0,
        verified_log_entries: it.evidence.log_entries,
        verified_timestamps: it.evidence.timestamps,
        problems: it.problems.to_vec(),
        proven: it.proven.map(|time| time.to_string()),
        standing: it.standing,
        goes: it.goes,
    }
}

fn reason(reason: &Reason) -> ExplainedReason {
    let (kind, differences) = match reason {
        Reason::Differs(differences) => (ReasonKind::Differs, differences.clone()),
        Reason::Duplicate => (ReasonKind::Duplicate, Vec::new()),
        Reason::EvidenceUnknown(..) => (ReasonKind::EvidenceUnknown, Vec::new()),
        Reason::Experimental => (ReasonKind::Experimental, Vec::new()),
        Reason::KeyUnknown(..) => (ReasonKind::KeyUnknown, Vec::new()),
        Reason::NotWanted(_) => (ReasonKind::NotWanted, Vec::new()),
        Reason::OtherImage(_) => (ReasonKind::OtherImage, Vec::new()),
        Reason::Retired(_) => (ReasonKind::Retired, Vec::new()),
        Reason::Stranger => (ReasonKind::Stranger, Vec::new()),
        Reason::Unexamined => (ReasonKind::Unexamined, Vec::new()),
        Reason::Unreadable(_) => (ReasonKind::Unreadable, Vec::new()),
    };
    ExplainedReason { kind, message: reason.to_string(), differences }
}

fn certificate(certificate: &Certificate) -> ExplainedCertificate {
    ExplainedCertificate {
        names: certificate.names(),
        not_before: certificate.not_before().to_string(),
        not_after: certificate.not_after().to_string(),
        fingerprint: certificate.fingerprint().to_string(),
    }
}

fn unmet(unmet: &Unmet) -> ExplainedWant {
    let want = &unmet.want;
    ExplainedWant {
        signer: want.signer.to_string(),
        format: want.format.name().to_owned(),
        container_identity: want.identity.to_string(),
        annotations: Annotations::clone(&want.annotations),
        action: unmet.change.action(),
        reason: match &unmet.change {
            Change::Blocked { reason, .. } => Some(reason.clone()),
            _ => None,
        },
    }
}
