//! Whether a timestamp authority has seen a signature.

use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use der::{Any, Decode as _, Encode as _, Reader as _, SliceReader};
use sigstore_tsa::{Error, verify_timestamp_for_authority};
use sigstore_types::{DerCertificate, SignatureBytes as Raw, TimestampToken, TsaAuthority};

use crate::crypto::Certificate;
use crate::model::Timestamp;
use crate::trust::error::code;
use crate::trust::proof::time_fits;
use crate::trust::root::TimestampAuthority;
use crate::trust::{EvidenceProblem, Signed, TrustedRoot};

/// A timestamp is a few kilobytes.
const LARGEST: usize = 64 * 1024;

impl TrustedRoot {
    /// Checks one timestamp; gives its time, and which authority of the root made it.
    pub(super) fn timestamp_holds(
        &self,
        signed: &Signed<'_>,
        token: &[u8],
        now: Timestamp,
    ) -> Result<(Timestamp, usize), EvidenceProblem> {
        let malformed = |reason: String| EvidenceProblem::new(code::TIMESTAMP_MALFORMED, reason);
        if token.len() > LARGEST {
            return Err(malformed(format!("a timestamp has {} bytes", token.len())));
        }
        let carried = carried(token).ok_or_else(|| {
            malformed("a timestamp is no answer of RFC 3161 that grants one".into())
        })?;
        let mut problem = EvidenceProblem::new(
            code::AUTHORITY_UNKNOWN,
            "the timestamp is by no authority of the trusted root",
        );
        let raw = Raw::from_bytes(signed.signature.as_bytes());
        let token = TimestampToken::new(token.to_vec());
        for (number, authority) in self.timestamp_authorities.iter().enumerate() {
            for candidate in authority.candidates(&carried) {
                match verify_timestamp_for_authority(&token, &raw, &candidate) {
                    Ok(time) => {
                        let time = Timestamp::from_seconds(time.as_second());
                        if !authority.window.contains(time) {
                            problem = outside(time);
                            continue;
                        }
                        time_fits(signed.verifier, time, now, "the timestamp")?;
                        return Ok((time, number));
                    }
                    Err(error) => problem = explain(&error, problem),
                }
            }
        }
        Err(problem)
    }
}

impl TimestampAuthority {
    /// The authority with each certificate that may have signed: its own leaf, else those that the token carries.
    fn candidates(&self, carried: &[DerCertificate]) -> Vec<TsaAuthority> {
        let Some((root, others)) = self.certificates.split_last() else { return Vec::new() };
        let with = |leaf: &DerCertificate, between: &[DerCertificate]| {
            TsaAuthority::new(leaf.clone(), between.to_vec(), root.clone(), None)
        };
        match others.split_first() {
            Some((leaf, between)) if !is_authority(leaf) => vec![with(leaf, between)],
            // The chain of a signer's own authority may begin above the leaf.
            _ => carried.iter().map(|leaf| with(leaf, others)).collect(),
        }
    }
}

fn is_authority(certificate: &DerCertificate) -> bool {
    Certificate::of_authority(certificate.as_bytes()).is_ok_and(|it| it.is_authority())
}

fn outside(time: Timestamp) -> EvidenceProblem {
    EvidenceProblem::new(
        code::AUTHORITY_NOT_VALID,
        format!("the trusted root does not trust the timestamp authority at {time}"),
    )
}

/// What says most: a wrong hash and a wrong signature before "not by this authority".
fn explain(error: &Error, before: EvidenceProblem) -> EvidenceProblem {
    match error {
        Error::HashMismatch { .. } => EvidenceProblem::new(
            code::TIMESTAMP_OF_ANOTHER,
            "the timestamp is for another signature than this one",
        ),
        Error::CertificateValidationError(reason) => EvidenceProblem::new(
            code::TIMESTAMP_WRONG,
            format!("the certificate of the timestamp authority does not hold: {reason}"),
        ),
        // Of its many reasons, the one that says that this is not the authority.
        Error::SignatureVerificationError(reason) if !reason.contains("any trusted TSA") => {
            EvidenceProblem::new(
                code::TIMESTAMP_WRONG,
                format!("the signature of the timestamp does not hold: {reason}"),
            )
        }
        _ => before,
    }
}

/// The certificates that a token carries; `None` where it is no token.
fn carried(response: &[u8]) -> Option<Vec<DerCertificate>> {
    let token = token_of(response)?;
    let content = ContentInfo::from_der(&token).ok()?;
    let signed: SignedData = content.content.decode_as().ok()?;
    let certificates = signed.certificates.iter().flat_map(|it| it.0.iter());
    let certificates = certificates.filter_map(|it| match it {
        CertificateChoices::Certificate(it) => it.to_der().ok().map(DerCertificate::new),
        CertificateChoices::Other(_) => None,
    });
    Some(certificates.take(16).collect())
}

/// The token of a response that grants one; or what is a token already.
///
/// Source: RFC 3161, §2.4.2: status 0 is granted, 1 is granted with changes.
fn token_of(response: &[u8]) -> Option<Vec<u8>> {
    let parts = |bytes: &[u8]| {
        let mut reader = SliceReader::new(bytes).ok()?;
        reader.sequence(|inner| Ok((Any::decode(inner)?, Any::decode(inner)?))).ok()
    };
    let (first, second) = parts(response)?;
    if ContentInfo::from_der(response).is_ok() {
        return Some(response.to_vec());
    }
    let mut status = SliceReader::new(first.value()).ok()?;
    let status = u8::decode(&mut status).ok()?;
    (status <= 1).then(|| second.to_der().ok()).flatten()
}
