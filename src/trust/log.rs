//! Whether a log has taken an entry.

use sigstore_types::{Checkpoint, Sha256Hash};

use crate::crypto::{Hash, KeyAlgorithm, SignatureBytes};
use crate::model::Timestamp;
use crate::payload::{InclusionProof, LogEntry};
use crate::trust::body::Form;
use crate::trust::error::code;
use crate::trust::proof::time_fits;
use crate::trust::root::Log;
use crate::trust::{EvidenceProblem, Signed, TrustedRoot, body};

/// The largest number that every reader of JSON keeps as it is.
const LARGEST_NUMBER: u64 = 1 << 53;

impl TrustedRoot {
    /// Checks one entry; gives the time that the log has signed, where it has.
    pub(super) fn entry_holds(
        &self,
        signed: &Signed<'_>,
        entry: &LogEntry,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, EvidenceProblem> {
        let log = self.logs.iter().find(|it| it.id == entry.log_id).ok_or_else(|| {
            EvidenceProblem::new(
                code::LOG_UNKNOWN,
                format!("the log {} is not in the trusted root", hex::encode(&entry.log_id)),
            )
        })?;
        if !log.window.has_begun_by(now) {
            return Err(not_valid(log, now));
        }
        let form = Form::of(&entry.kind)?;
        if form.is_version_2() && entry.inclusion.is_none() {
            return Err(unproven(entry, "an entry of Rekor v2 needs a proof of inclusion"));
        }
        if entry.promise.is_none() && entry.inclusion.is_none() {
            return Err(unproven(entry, "it carries neither a promise nor a proof of inclusion"));
        }
        if let Some(proof) = &entry.inclusion {
            included(log, entry, proof, form)?;
        }
        let time = match (&entry.promise, form.is_version_2()) {
            (Some(promise), false) => Some(promised(log, entry, promise)?),
            // An entry of Rekor v2 has no promise: what is written as one is not asked.
            _ => None,
        };
        body::names(signed, form, &entry.body)?;
        if let Some(time) = time {
            time_fits(signed.verifier, time, now, "the log entry")?;
        }
        Ok(time)
    }
}

fn not_valid(log: &Log, time: Timestamp) -> EvidenceProblem {
    EvidenceProblem::new(
        code::LOG_NOT_VALID,
        format!("the trusted root does not trust the log {} at {time}", hex::encode(&log.id)),
    )
}

fn unproven(entry: &LogEntry, reason: &str) -> EvidenceProblem {
    EvidenceProblem::new(
        code::ENTRY_UNPROVEN,
        format!("the log entry {} proves nothing: {reason}", entry.log_index),
    )
}

/// Checks the log's signature over body, time and place; gives the time.
///
/// Source: Rekor, "signed entry timestamp": over the canonical JSON of these four.
fn promised(log: &Log, entry: &LogEntry, promise: &[u8]) -> Result<Timestamp, EvidenceProblem> {
    let wrong = |reason: &str| {
        EvidenceProblem::new(
            code::PROMISE_WRONG,
            format!(
                "the promise (SET) of the log entry {} does not hold: {reason}",
                entry.log_index
            ),
        )
    };
    let time = entry.integrated_time.ok_or_else(|| wrong("it has no time"))?;
    if !log.window.contains(time) {
        return Err(not_valid(log, time));
    }
    if entry.log_index > LARGEST_NUMBER {
        return Err(wrong("its place is no number that a log can have"));
    }
    // Canonical JSON (RFC 8785): members in order, no white space; base64 and hexadecimal need no escapes.
    let message = format!(
        r#"{{"body":"{}","integratedTime":{},"logID":"{}","logIndex":{}}}"#,
        SignatureBytes::new(entry.body.clone()).to_base64(),
        time.as_seconds(),
        hex::encode(&entry.log_id),
        entry.log_index,
    );
    let promise = SignatureBytes::new(promise.to_vec());
    if log.key.verifies(message.as_bytes(), &promise, log.hash) {
        return Ok(time);
    }
    Err(wrong("the log has not signed this entry, at this place and time"))
}

/// Checks that the tree that the log signed has the entry at its place.
fn included(
    log: &Log,
    entry: &LogEntry,
    proof: &InclusionProof,
    form: Form,
) -> Result<(), EvidenceProblem> {
    let index = entry.log_index;
    let wrong = |reason: String| {
        EvidenceProblem::new(
            code::PROOF_WRONG,
            format!("the proof of inclusion of the log entry {index} does not hold: {reason}"),
        )
    };
    let is_version_2 = form.is_version_2();
    let checkpoint = signed_checkpoint(log, &proof.checkpoint, form).map_err(|reason| {
        EvidenceProblem::new(
            code::CHECKPOINT_WRONG,
            format!("the checkpoint of the log entry {index} does not hold: {reason}"),
        )
    })?;
    let (root, size) = (*checkpoint.root_hash(), checkpoint.tree_size());
    // Rekor v1 counts over shards, its proofs within one. In Rekor v2 the proof's own numbers are not signed.
    let place = if is_version_2 { entry.log_index } else { proof.log_index };
    if !is_version_2 && (proof.root_hash != root.as_bytes() || proof.tree_size != size) {
        return Err(wrong("it is for another tree than its checkpoint".into()));
    }
    let hashes: Result<Vec<Sha256Hash>, _> =
        proof.hashes.iter().map(|it| Sha256Hash::try_from(it.as_slice())).collect();
    let hashes = hashes.map_err(|_| wrong("a hash of it has not 32 bytes".into()))?;
    let leaf = sigstore_merkle::hash_leaf(&entry.body);
    sigstore_merkle::verify_inclusion_proof(&leaf, place, size, &hashes, &root)
        .map_err(|error| wrong(error.to_string()))
}

/// The checkpoint, which the log has signed; in the error, why not.
fn signed_checkpoint(log: &Log, note: &str, form: Form) -> Result<Checkpoint, String> {
    let is_version_2 = form.is_version_2();
    let checkpoint = Checkpoint::from_text(note).map_err(|error| error.to_string())?;
    let host = log.host.as_deref();
    if is_version_2 && host != Some(checkpoint.origin()) {
        let host = host.unwrap_or("no address");
        return Err(format!(
            "it is of `{}`, and the log in the trusted root is at `{host}`",
            checkpoint.origin()
        ));
    }
    let hints = hints(log, checkpoint.origin());
    let message = checkpoint.signed_data();
    let is_ours = checkpoint.signatures().iter().any(|it| {
        let named = !is_version_2 || it.name == checkpoint.origin();
        let hinted = hints.iter().any(|hint| hint.as_slice() == it.key_id.as_bytes());
        let signature = SignatureBytes::new(it.signature.as_bytes().to_vec());
        named && hinted && log.key.verifies(message, &signature, log.hash)
    });
    if is_ours { Ok(checkpoint) } else { Err("the log has not signed it".into()) }
}

/// How a note names the log's key: four bytes of its id; of its name and key, for Ed25519.
///
/// Source: C2SP signed-note, "Key ID"; Rekor names ECDSA keys by the hash of their PKIX form.
fn hints(log: &Log, origin: &str) -> Vec<Vec<u8>> {
    let key = log.key.as_der();
    let mut hashes = vec![log.id.clone(), Hash::Sha256.digest(key)];
    if log.key.algorithm() == KeyAlgorithm::Ed25519 {
        let raw = key.get(key.len().saturating_sub(32)..).unwrap_or_default();
        hashes.push(Hash::Sha256.digest(&[origin.as_bytes(), &[b'\n', 1], raw].concat()));
    }
    hashes.iter().filter_map(|it| it.get(..4).map(<[u8]>::to_vec)).collect()
}
