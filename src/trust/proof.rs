//! Evidence bound to a signature, and what of it holds.

use crate::crypto::{Certificate, PublicKey, SignatureBytes};
use crate::model::Timestamp;
use crate::payload::LogEntry;
use crate::trust::error::code;
use crate::trust::{EvidenceProblem, TrustedRoot};

/// At most as many log entries, and as many timestamps, are looked at for one signature.
///
/// Source: sigstore-go, `limits.MaxAllowedTlogEntries` and `MaxAllowedTimestamps`.
const MOST: usize = 32;

/// How far the clock of a service may go before ours, in seconds.
pub(super) const SKEW: i64 = 300;

/// What the evidence must be bound to: a signature that is good, as the caller has seen.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// What was signed.
    pub content: Content<'a>,
    /// The signature.
    pub signature: &'a SignatureBytes,
    /// What it verifies with.
    pub verifier: Verifier<'a>,
}

/// What a signature is over.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// These bytes: the claim of a simple signature.
    Message(&'a [u8]),
    /// A message of which only the SHA-256 is known.
    Digest([u8; 32]),
    /// The payload of a DSSE envelope: an in-toto statement.
    Statement(&'a [u8]),
}

/// What a signature verifies with, and so what its log entry must name.
#[derive(Clone, Copy, Debug)]
pub enum Verifier<'a> {
    /// A key; the entry names the key itself.
    Key(&'a PublicKey),
    /// The certificate that is attached to the signature; the entry names that certificate, and every proven time is
    /// within its validity.
    Certificate(&'a Certificate),
}

impl Verifier<'_> {
    /// The key.
    pub fn public_key(&self) -> &PublicKey {
        match self {
            Self::Key(key) => key,
            Self::Certificate(certificate) => certificate.public_key(),
        }
    }
}

/// What of the evidence holds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Proof {
    /// How many log entries hold.
    pub log_entries: usize,
    /// How many timestamps hold, each of another authority.
    pub timestamps: usize,
    /// The earliest time that is proven: of a timestamp, or of an entry whose time the log has signed.
    pub earliest: Option<Timestamp>,
    /// What was there and does not hold, in order: entries, then timestamps.
    pub problems: Vec<EvidenceProblem>,
}

impl TrustedRoot {
    /// Says which log entries and timestamps hold for this signature.
    ///
    /// Entries hold with the promise of a log of this root or with a proof of inclusion under a checkpoint that it
    /// signed; what is there of the two must be right. Their body must name the hash, the signature and the verifier.
    /// Timestamps (RFC 3161) are over the raw signature, by an authority of this root. `now` is asked for two things
    /// only: whether a log's key is in use yet, and whether a time lies in the future.
    ///
    /// Evidence that does not hold makes no other evidence fail, but for one kind: where a witness has signed a time
    /// outside of the certificate's validity, nothing is proven, as the certificate may have been used after its end.
    /// cosign refuses such a signature too. Costs two to three signature verifications for
    /// each entry and timestamp.
    pub fn prove(
        &self,
        signed: &Signed<'_>,
        entries: &[LogEntry],
        tokens: &[Vec<u8>],
        now: Timestamp,
    ) -> Proof {
        let mut proof = Proof::default();
        let mut seen: Vec<(&[u8], u64)> = Vec::new();
        for entry in entries.iter().take(MOST) {
            let id = (entry.log_id.as_slice(), entry.log_index);
            let held = if seen.contains(&id) {
                Err(EvidenceProblem::new(
                    code::ENTRY_TWICE,
                    format!("the log entry {} is there twice", entry.log_index),
                ))
            } else {
                seen.push(id);
                self.entry_holds(signed, entry, now)
            };
            match held {
                Ok(time) => {
                    proof.log_entries += 1;
                    proof.earliest = earliest(proof.earliest, time);
                }
                Err(problem) => proof.problems.push(problem),
            }
        }
        let mut authorities: Vec<usize> = Vec::new();
        for token in tokens.iter().take(MOST) {
            match self.timestamp_holds(signed, token, now) {
                Ok((time, authority)) if !authorities.contains(&authority) => {
                    authorities.push(authority);
                    proof.timestamps += 1;
                    proof.earliest = earliest(proof.earliest, Some(time));
                }
                Ok((time, _)) => {
                    // A second one of the same authority is no second witness.
                    proof.earliest = earliest(proof.earliest, Some(time));
                    proof.problems.push(EvidenceProblem::new(
                        code::TIMESTAMP_TWICE,
                        format!("the timestamp of {time} is a second one of the same authority"),
                    ));
                }
                Err(problem) => proof.problems.push(problem),
            }
        }
        if proof.problems.iter().any(|it| it.code == code::TIME_OUTSIDE_CERTIFICATE) {
            proof = Proof { problems: proof.problems, ..Proof::default() };
        }
        if entries.len() > MOST || tokens.len() > MOST {
            proof.problems.push(EvidenceProblem::new(
                code::TOO_MUCH_EVIDENCE,
                format!(
                    "{} log entries and {} timestamps are there: only the first {MOST} of each were looked at",
                    entries.len(),
                    tokens.len()
                ),
            ));
        }
        proof
    }
}

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}

/// A time that a witness has signed: not in the future, and within the certificate.
pub(super) fn time_fits(
    verifier: Verifier<'_>,
    time: Timestamp,
    now: Timestamp,
    what: &str,
) -> Result<(), EvidenceProblem> {
    if time.as_seconds() > now.as_seconds().saturating_add(SKEW) {
        return Err(EvidenceProblem::new(
            code::TIME_IN_FUTURE,
            format!("{what} says {time}, which lies in the future"),
        ));
    }
    let Verifier::Certificate(certificate) = verifier else { return Ok(()) };
    let (first, last) = (certificate.not_before(), certificate.not_after());
    if first <= time && time <= last {
        return Ok(());
    }
    Err(EvidenceProblem::new(
        code::TIME_OUTSIDE_CERTIFICATE,
        format!("{what} says {time}, but the certificate is valid from {first} to {last} only"),
    ))
}
