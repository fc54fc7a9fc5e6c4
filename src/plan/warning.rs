//! What a person should know though nothing is wrong yet. Pure.

use crate::crypto::Hash;
use crate::model::Timestamp;
use crate::plan::{FailureClass, SignerKey, Signers};

/// What a person should know though nothing is wrong yet.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Warning {
    /// The stable code.
    pub code: &'static str,
    /// What, and until when.
    pub message: String,
}

/// The warnings about the signers themselves, in the order of their names: certificates that end
/// soon, hashes that verifiers must be told, keys that could not be opened.
pub fn signer_warnings(signers: &Signers, now: Timestamp) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (name, state) in signers {
        if let (Some(certificate), SignerKey::Known(_)) = (&state.profile.certificate, &state.key) {
            let end = certificate.not_after();
            if end >= now && end < now.after(state.profile.renew_before) {
                let message = format!("the certificate of {name} ends on {end}: replace it");
                warnings.push(Warning { code: "signature::certificate_ends", message });
            }
        }
        if state.profile.hash != Hash::Sha256 && !matches!(state.key, SignerKey::NotNeeded) {
            let hash = state.profile.hash;
            let message = format!(
                "signatures of {name} need `cosign verify --signature-digest-algorithm {hash}`"
            );
            warnings.push(Warning { code: "signature::hash", message });
        }
        if let Some(reason) = state.unknown().filter(|it| it.class != FailureClass::Stale) {
            let what = match &state.key {
                SignerKey::Unknown(_) => "the key of",
                _ => "what vouches for",
            };
            let reason = &reason.message;
            let message = format!("nothing is cleaned while {what} {name} is not known: {reason}");
            warnings.push(Warning { code: "signer::not_known", message });
        }
    }
    warnings
}
