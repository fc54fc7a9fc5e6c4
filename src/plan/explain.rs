//! Every signature on one subject: whose it is, and why it does or does not count. Pure.

use std::fmt;
use std::sync::Arc;

use crate::crypto::{Certificate, Hash};
use crate::model::{Digest, Repository, SignerName, Subject, Tag, Timestamp};
use crate::payload::{Claim, Format};
use crate::plan::compare;
use crate::plan::{
    Change, Difference, Evidence, EvidenceFault, Failure, Found, Moved, Name, Observed, SignerKey,
    SignerState, Signers, Standing, Target, Verdict, Want, identity_text,
};

/// Everything that is known about the signatures of one subject.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The image.
    pub subject: Subject,
    /// How the spec reached it.
    pub names: Vec<Name>,
    /// Where its signatures are: a repository and its signature tag.
    pub place: (Repository, Tag),
    /// The digest of the manifest that carries them; none where there is no such manifest.
    pub carrier: Option<Digest>,
    /// Every signature there, in the order of the manifest.
    pub signatures: Vec<Explained>,
    /// What is wanted and not there, in the order of the spec.
    pub unmet: Vec<Unmet>,
    /// What else could not be decided.
    pub failures: Vec<Failure>,
    /// Tags that no longer name it.
    pub moved: Vec<Moved>,
}

/// One signature that is there.
#[derive(Clone, Debug)]
pub struct Explained {
    /// Its place in the manifest, from 0.
    pub position: usize,
    /// In which format.
    pub format: Format,
    /// The digest of its payload.
    pub payload: Digest,
    /// The signer under whose key it verifies.
    pub signer: Option<SignerName>,
    /// SHA-256 of that key; of an identity, of what is declared of it.
    pub key: Option<Digest>,
    /// What is declared of that signer, where it is an identity.
    pub identity: Option<String>,
    /// The hash with which it verifies.
    pub hash: Option<Hash>,
    /// What its payload says.
    pub claim: Option<Arc<Claim>>,
    /// The certificate that it carries.
    pub certificate: Option<Certificate>,
    /// The log entries and timestamps that it carries.
    pub carried: Evidence,
    /// Those of them that hold.
    pub evidence: Evidence,
    /// What it carries as a proof and what does not hold.
    pub problems: Box<[EvidenceFault]>,
    /// The earliest moment at which it is proven to have existed.
    pub proven: Option<Timestamp>,
    /// The signature that should exist and that it is; else why it does not count.
    pub counts: Result<Want, Vec<Reason>>,
    /// What an apply would do with it, where it does not count.
    pub standing: Option<Standing>,
    /// Whether an apply would remove it.
    pub goes: bool,
}

/// Why a signature does not count.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// It is not as declared: in what it differs from the nearest that is wanted.
    Differs(Vec<Difference>),
    /// It is kept as cosign 2's experimental referrers mode wrote it, where next to nothing reads it.
    Experimental,
    /// It is as declared, and another one took its place already.
    Duplicate,
    /// What vouches for the log entries, timestamps or certificates of a signer could not be had: it may be
    /// that signer's, and as declared.
    EvidenceUnknown(SignerName, Failure),
    /// The key of a signer could not be had: it may be that signer's.
    KeyUnknown(SignerName, Failure),
    /// Nothing that this signer signs is wanted of this image.
    NotWanted(SignerName),
    /// Of a signer that is marked `retired`.
    Retired(SignerName),
    /// It verifies under no key of the spec, or is broken.
    Stranger,
    /// Its payload names another image.
    OtherImage(Digest),
    /// Nothing depends on it, so its payload was not read.
    Unexamined,
    /// Its payload could not be read.
    Unreadable(Failure),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs(differences) => {
                let fields: Vec<&str> = differences.iter().map(|it| it.field.name()).collect();
                write!(f, "not as declared: {}", fields.join(", "))
            }
            Self::Duplicate => f.write_str("as declared, but another one counts already"),
            Self::EvidenceUnknown(signer, reason) => {
                write!(
                    f,
                    "it may be {signer}'s: what vouches for that is not known: {}",
                    reason.message
                )
            }
            Self::Experimental => f.write_str(
                "written by cosign 2's experimental referrers mode, which next to nothing reads",
            ),
            Self::KeyUnknown(signer, reason) => {
                write!(f, "it may be {signer}'s, whose key is not known: {}", reason.message)
            }
            Self::NotWanted(signer) => {
                write!(f, "no entry of the spec wants {signer} to sign this image")
            }
            Self::Retired(signer) => write!(f, "{signer} is marked `retired`"),
            Self::Stranger => f.write_str("it verifies under no key of the spec, or is broken"),
            Self::OtherImage(digest) => write!(f, "its payload is about {digest}"),
            Self::Unexamined => f.write_str("not looked at: nothing depends on it"),
            Self::Unreadable(reason) => {
                write!(f, "its payload could not be read: {}", reason.message)
            }
        }
    }
}

/// A signature that should exist and does not.
#[derive(Clone, Debug)]
pub struct Unmet {
    /// The signature.
    pub want: Want,
    /// What an apply would do, or why it could not.
    pub change: Change,
}

/// Explains what was found of `target`, after `changes` were made from it by [`diff`](crate::plan::diff).
///
/// `observed` should come from a close look, at which every payload was read; what was not read is
/// explained as such. Never fails: what is not known is said.
pub fn explain(
    target: &Target,
    observed: &Observed,
    signers: &Signers,
    changes: &[Change],
    now: Timestamp,
) -> Explanation {
    let (carrier, found): (_, &[Found]) = match observed {
        Observed::Read { carrier, found, .. } => (carrier.clone(), found),
        Observed::Missing | Observed::Unreadable(_) => (None, &[]),
    };
    let view = View { target, signers, changes, now };
    let mut signatures: Vec<Explained> = found.iter().map(|it| view.signature(it)).collect();
    signatures.sort_by_key(|it| (it.format, it.position));
    let unmet = changes.iter().filter_map(|change| match change {
        Change::Keep { .. } => None,
        _ => Some(Unmet { want: change.want()?.clone(), change: change.clone() }),
    });
    let failures = changes.iter().filter_map(|change| match change {
        Change::Blocked { want: None, reason } => Some(reason.clone()),
        _ => None,
    });
    Explanation {
        subject: target.subject.clone(),
        names: target.names.clone(),
        place: (target.signatures.clone(), Tag::of_signatures(&target.subject.digest)),
        carrier,
        signatures,
        unmet: unmet.collect(),
        failures: failures.collect(),
        moved: target.moved.clone(),
    }
}

/// Why it cannot be told whether a signature is this signer's, as declared.
fn unknown(signer: &SignerName, state: &SignerState, reason: &Failure) -> Reason {
    match &state.key {
        SignerKey::Unknown(_) => Reason::KeyUnknown(signer.clone(), reason.clone()),
        _ => Reason::EvidenceUnknown(signer.clone(), reason.clone()),
    }
}

struct View<'a> {
    target: &'a Target,
    signers: &'a Signers,
    changes: &'a [Change],
    now: Timestamp,
}

impl View<'_> {
    fn signature(&self, found: &Found) -> Explained {
        let (signer, hash) = match &found.verdict {
            Verdict::Signed { signer, hash } => (Some(signer.clone()), Some(*hash)),
            Verdict::Experimental { signer } => (signer.clone(), None),
            Verdict::Stranger | Verdict::Unexamined | Verdict::Unreadable(_) => (None, None),
        };
        let is_it = |it: &Found| (it.position, &it.id) == (found.position, &found.id);
        let kept = self.changes.iter().find_map(|change| match change {
            Change::Keep { want, found: it } if is_it(it) => Some(want),
            _ => None,
        });
        let left = self.changes.iter().find_map(|change| match change {
            Change::Clean { found: it, standing } if is_it(it) => Some((*standing, true)),
            Change::Foreign { found: it, standing } if is_it(it) => Some((*standing, false)),
            _ => None,
        });
        Explained {
            position: found.position,
            format: found.format,
            payload: found.id.payload.clone(),
            key: signer.as_ref().and_then(|it| self.signers.get(it)?.fingerprint()),
            identity: signer.as_ref().and_then(|it| {
                let policy = self.signers.get(it)?.profile.identity.as_ref()?;
                Some(identity_text(policy))
            }),
            signer,
            hash,
            claim: found.claim.clone(),
            certificate: found.certificate.clone(),
            carried: found.carried,
            evidence: found.evidence,
            problems: found.problems.clone(),
            proven: found.proven,
            counts: kept.cloned().ok_or_else(|| self.reasons(found)),
            standing: left.map(|(standing, _)| standing),
            goes: left.is_some_and(|(_, goes)| goes),
        }
    }

    /// Why `found` counts for no want: one reason at least.
    fn reasons(&self, found: &Found) -> Vec<Reason> {
        let mut reasons = match &found.verdict {
            Verdict::Experimental { .. } => vec![Reason::Experimental],
            Verdict::Unexamined => vec![Reason::Unexamined],
            Verdict::Unreadable(reason) => vec![Reason::Unreadable(reason.clone())],
            Verdict::Stranger => {
                // Of a key that is known nothing is missing that could make it this signer's.
                let may_be = |state: &&SignerState| !matches!(state.key, SignerKey::Known(_));
                let unknown = self.signers.iter().filter_map(|(name, state)| {
                    let reason = Some(state).filter(may_be)?.unknown()?;
                    Some(unknown(name, state, reason))
                });
                let mut reasons = vec![Reason::Stranger];
                reasons.extend(unknown);
                reasons
            }
            Verdict::Signed { signer, .. } => self.of_signer(found, signer),
        };
        let digest = &self.target.subject.digest;
        let told = reasons.iter().any(|it| matches!(it, Reason::Differs(_)));
        if let Some(claim) = found.claim.as_ref().filter(|it| it.digest != *digest && !told) {
            reasons.push(Reason::OtherImage(claim.digest.clone()));
        }
        reasons
    }

    /// Why a signature of a signer of the spec counts for no want.
    fn of_signer(&self, found: &Found, signer: &SignerName) -> Vec<Reason> {
        let state = self.signers.get(signer);
        if let Some((state, reason)) = state.and_then(|it| Some((it, it.unknown()?))) {
            return vec![unknown(signer, state, reason)];
        }
        let nearest = state.and_then(|state| self.nearest(found, state));
        match nearest {
            Some(differences) if differences.is_empty() => vec![Reason::Duplicate],
            Some(differences) => vec![Reason::Differs(differences)],
            None if state.is_some_and(|it| it.profile.retired) => {
                vec![Reason::Retired(signer.clone())]
            }
            None => vec![Reason::NotWanted(signer.clone())],
        }
    }

    /// In what `found` differs from the want that it is nearest to.
    fn nearest(&self, found: &Found, state: &SignerState) -> Option<Vec<Difference>> {
        let digest = &self.target.subject.digest;
        let wants = self.target.wants.iter();
        wants
            .filter_map(|want| compare::differences(found, want, state, digest, self.now))
            .min_by_key(Vec::len)
    }
}

#[cfg(test)]
mod tests;
