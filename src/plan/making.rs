//! Whether a missing signature can be made or attached with what it must carry. Pure.

use crate::crypto::KeyAlgorithm;
use crate::model::Timestamp;
use crate::payload::{LogEntry, timestamp_from_annotation};
use crate::plan::{Attachment, Failure, SignerKey, SignerState, Want, WantOrigin};
use crate::trust::{Content, Proof, Signed, Verifier};

/// Why the signature that `want` asks for cannot be written as it must be; none where it can.
pub(super) fn refused(want: &Want, state: &SignerState, now: Timestamp) -> Option<Failure> {
    match &want.origin {
        WantOrigin::Attach(attachment) => {
            unverified(want, attachment, state).or_else(|| unproven(want, attachment, state, now))
        }
        WantOrigin::Owed => None,
        WantOrigin::Sign => {
            not_logged(want, state).or_else(|| state.services.of(want.format).err().cloned())
        }
    }
}

/// An Ed25519 key that asks for a log entry. The spec says so where it knows the key.
fn not_logged(want: &Want, state: &SignerState) -> Option<Failure> {
    let key = state.public_key().filter(|it| it.algorithm() == KeyAlgorithm::Ed25519);
    key.filter(|_| state.profile.transparency_log)?;
    let message = format!(
        "no log takes an entry of {}, an Ed25519 key, in a form that cosign verifies",
        want.signer
    );
    let failure = Failure::error("signature::ed25519_log", message);
    Some(failure.help("write `transparency_log = false` for this signer"))
}

fn unverified(want: &Want, attachment: &Attachment, state: &SignerState) -> Option<Failure> {
    let good = state.public_key().is_some_and(|key| {
        key.verifies(&attachment.payload, &attachment.signature, state.profile.hash)
    });
    if good || matches!(state.key, SignerKey::Unchecked) {
        return None;
    }
    let message = format!(
        "the signature given at {} is not {}'s over {}",
        attachment.origin,
        want.signer,
        attachment.path.display()
    );
    Some(Failure::error("attachment::does_not_verify", message).help(
        "check that payload, signature and `public_key` belong together, and the signer's `hash`",
    ))
}

/// A signature that was made elsewhere must bring the log entry and the timestamps that are declared:
/// attached without them it would be wrong again in the next plan.
fn unproven(
    want: &Want,
    attachment: &Attachment,
    state: &SignerState,
    now: Timestamp,
) -> Option<Failure> {
    let profile = &state.profile;
    let (log_entries, timestamps) =
        (usize::from(profile.transparency_log), profile.timestamps(want.format));
    if log_entries + timestamps == 0 {
        return None;
    }
    let proof = prove(attachment, state, now)?;
    let missing = if proof.log_entries < log_entries {
        "log entry"
    } else if proof.timestamps < timestamps {
        "timestamp"
    } else {
        return None;
    };
    let problems: Vec<String> =
        proof.problems.iter().map(|it| format!(": {it} ({})", it.code)).collect();
    let message = format!(
        "the signature given at {} brings no {missing} that holds, which {} asks for{}",
        attachment.origin,
        want.signer,
        problems.concat()
    );
    Some(
        Failure::error("attachment::not_proven", message).help(
            "give it with `rekor_bundle` and `timestamp`, or do not declare it for this signer",
        ),
    )
}

fn prove(attachment: &Attachment, state: &SignerState, now: Timestamp) -> Option<Proof> {
    let (root, key) = (state.root()?, state.public_key()?);
    let certificate = attachment.certificate.as_ref().or(state.profile.certificate.as_ref());
    let entry = attachment.rekor_bundle.as_deref().map(LogEntry::from_annotation);
    let token = attachment.timestamp.as_deref().and_then(timestamp_from_annotation);
    let signed = Signed {
        content: Content::Message(&attachment.payload),
        signature: &attachment.signature,
        verifier: certificate.map_or(Verifier::Key(key), Verifier::Certificate),
    };
    let entries: Vec<LogEntry> = entry.and_then(Result::ok).into_iter().collect();
    let tokens: Vec<Vec<u8>> = token.into_iter().collect();
    Some(root.prove(&signed, &entries, &tokens, now))
}
