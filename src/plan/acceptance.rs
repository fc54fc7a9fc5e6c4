//! Whether `cosign verify` accepts a signature: by a key or by authorities, with its claims. Pure.

use std::sync::Arc;

use crate::crypto::{
    Authorities, Certificate, CertificateError, Chain, Hash, IdentityPattern, PublicKey,
    SignatureBytes,
};
use crate::model::{Annotations, Digest, Timestamp};
use crate::payload::{Claim, LogEntry};
use crate::trust::{Content, Proof, Signed, TrustError, TrustedRoot, Verifier};

/// What a signature must be to be accepted.
#[derive(Clone, Debug)]
pub struct Acceptance {
    /// Who must have signed.
    pub trust: Trust,
    /// What it must say.
    pub claims: Claims,
    /// The hash that it must be made over; Ed25519 has its own.
    pub hash: Hash,
    /// What must prove it besides.
    pub proof: Required,
    /// The time at which a certificate without proof of time must be valid.
    pub now: Timestamp,
}

/// What must prove a signature besides itself. What is not required is not looked at, as in cosign.
#[derive(Clone, Debug, Default)]
pub struct Required {
    /// Who vouches for it; `None` where nothing is required.
    pub root: Option<Arc<TrustedRoot>>,
    /// Whether there must be an entry in a transparency log.
    pub log_entry: Asked,
    /// Whether there must be a timestamp.
    pub timestamp: Asked,
}

/// Whether something is asked for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Asked {
    /// It must be there.
    Required,
    /// It is not looked at.
    #[default]
    Ignored,
}

/// Who must have signed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Trust {
    /// Whoever is named by a certificate that came with the signature, and that chains to one of these.
    Authorities {
        /// Who may certify.
        authorities: Authorities,
        /// Who must be named.
        identity: IdentityPattern,
    },
    /// Whoever is named by a certificate that came with the signature, and that an authority of this root issued.
    Identity {
        /// Who may certify.
        root: Arc<TrustedRoot>,
        /// Who must be named.
        identity: IdentityPattern,
        /// Whether a log of certificates must have promised to record it.
        certificate_log: Asked,
    },
    /// This key, whatever certificate came with the signature.
    Key(PublicKey),
}

/// What a signature must say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Claims {
    /// That it is about the subject, with at least these annotations.
    Checked(Annotations),
    /// Anything.
    Unchecked,
}

/// A signature as a verifier sees it.
#[derive(Clone, Copy, Debug)]
pub struct Presented<'a> {
    /// The bytes that are signed.
    pub signed: &'a [u8],
    /// The signature.
    pub signature: Option<&'a SignatureBytes>,
    /// What it says.
    pub claim: Option<&'a Claim>,
    /// The certificate that came with it, or why it cannot be read.
    pub certificate: Option<Result<&'a Certificate, &'a CertificateError>>,
    /// The chain that came with it.
    pub chain: Option<&'a Chain>,
    /// What is signed, as log entries name it.
    pub content: Content<'a>,
    /// The entries in transparency logs that came with it.
    pub log_entries: &'a [LogEntry],
    /// The timestamps (RFC 3161, DER) that came with it.
    pub timestamps: &'a [Vec<u8>],
    /// Why verifiers pass over the form that it has, though it may be good.
    pub passed_over: Option<&'static str>,
}

/// Why a signature is not accepted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// An annotation is missing, or is another.
    #[error("it has no annotation {0}={1}")]
    Annotation(String, String),
    /// Its certificate cannot be trusted, or is not valid now.
    #[error("its certificate is not trusted: {0}")]
    Certificate(#[from] CertificateError),
    /// No authority of the root issued its certificate, or no log promised to record it.
    #[error("its certificate is not trusted: {0}")]
    CertificateOfRoot(String),
    /// Its certificate names somebody else.
    #[error("{0}")]
    Identity(String),
    /// It carries no certificate, and no key is given.
    #[error("it carries no certificate")]
    NoCertificate,
    /// It says nothing about an image.
    #[error("it says nothing about an image")]
    NoClaim,
    /// It has no entry in a log, or none that holds.
    #[error("it has no entry in a transparency log that holds{0}")]
    NoLogEntry(String),
    /// It has no timestamp, or none that holds.
    #[error("it has no timestamp that holds{0}")]
    NoTimestamp(String),
    /// The key did not make it over these bytes with this hash.
    #[error("it is not by this key with {0}")]
    OtherKey(Hash),
    /// It has a form that verifiers pass over.
    #[error("verifiers pass over {0}")]
    PassedOver(&'static str),
    /// It is about another image.
    #[error("it is about {0}")]
    OtherSubject(Digest),
}

impl Acceptance {
    /// Says whether a verifier accepts `presented` for `subject`.
    ///
    /// # Errors
    ///
    /// The first reason why not, in the order of cosign's checks.
    ///
    /// Source: cosign `pkg/cosign/verify.go`, `verifyInternal`.
    pub fn check(&self, presented: &Presented<'_>, subject: &Digest) -> Result<(), Rejection> {
        if let Some(form) = presented.passed_over {
            return Err(Rejection::PassedOver(form));
        }
        let certificate = presented.certificate.transpose().map_err(Clone::clone)?;
        let key = match &self.trust {
            Trust::Key(key) => key,
            Trust::Authorities { .. } | Trust::Identity { .. } => {
                certificate.ok_or(Rejection::NoCertificate)?.public_key()
            }
        };
        let signature = presented
            .signature
            .filter(|it| key.verifies(presented.signed, it, self.hash))
            .ok_or(Rejection::OtherKey(self.hash))?;
        let at = self.proven(presented, signature, key)?.unwrap_or(self.now);
        if let Some(certificate) = certificate {
            self.check_certificate(certificate, presented.chain, at)?;
        }
        match &self.claims {
            Claims::Checked(annotations) => check_claim(presented.claim, subject, annotations),
            Claims::Unchecked => Ok(()),
        }
    }

    /// Who certifies, at the time of the signature; also where the key is given the certificate must hold then.
    fn check_certificate(
        &self,
        certificate: &Certificate,
        chain: Option<&Chain>,
        at: Timestamp,
    ) -> Result<(), Rejection> {
        let identity = match &self.trust {
            Trust::Key(_) => return Ok(certificate.check_valid(at)?),
            Trust::Authorities { authorities, identity } => {
                authorities.verify(certificate, chain, at)?;
                identity
            }
            Trust::Identity { root, identity, certificate_log } => {
                let found = match certificate_log {
                    Asked::Required => root.identity_of(certificate, chain, at),
                    Asked::Ignored => root.identity_without_log(certificate, chain, at),
                };
                let untrusted = |error: TrustError| Rejection::CertificateOfRoot(error.message);
                found.map_err(untrusted)?;
                identity
            }
        };
        identity.check(certificate).map_err(Rejection::Identity)
    }

    /// When the signature was made, as far as what is required proves it.
    fn proven(
        &self,
        presented: &Presented<'_>,
        signature: &SignatureBytes,
        key: &PublicKey,
    ) -> Result<Option<Timestamp>, Rejection> {
        let Required { root: Some(root), log_entry, timestamp } = &self.proof else {
            return Ok(None);
        };
        let certificate = presented.certificate.and_then(Result::ok);
        let certificate = certificate.filter(|it| it.public_key() == key);
        let verifier = certificate.map_or(Verifier::Key(key), Verifier::Certificate);
        let signed = Signed { content: presented.content, signature, verifier };
        let entries = if *log_entry == Asked::Required { presented.log_entries } else { &[] };
        let tokens = if *timestamp == Asked::Required { presented.timestamps } else { &[] };
        let proof = root.prove(&signed, entries, tokens, self.now);
        if *log_entry == Asked::Required && proof.log_entries == 0 {
            return Err(Rejection::NoLogEntry(why(&proof)));
        }
        if *timestamp == Asked::Required && proof.timestamps == 0 {
            return Err(Rejection::NoTimestamp(why(&proof)));
        }
        Ok(proof.earliest)
    }
}

/// What is there and does not hold.
fn why(proof: &Proof) -> String {
    let problems: Vec<&str> = proof.problems.iter().map(|it| it.message.as_str()).collect();
    if problems.is_empty() { String::new() } else { format!(": {}", problems.join("; ")) }
}

fn check_claim(
    claim: Option<&Claim>,
    subject: &Digest,
    annotations: &Annotations,
) -> Result<(), Rejection> {
    let claim = claim.ok_or(Rejection::NoClaim)?;
    if claim.digest != *subject {
        return Err(Rejection::OtherSubject(claim.digest.clone()));
    }
    let missing =
        annotations.iter().find(|(key, value)| claim.annotations.get(*key) != Some(value));
    missing.map_or(Ok(()), |(key, value)| Err(Rejection::Annotation(key.clone(), value.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::PrivateKey;
    use crate::model::Secret;
    use crate::payload::SimpleSigning;

    struct Made {
        key: PublicKey,
        payload: Vec<u8>,
        signature: SignatureBytes,
    }

    fn digest() -> Digest {
        Digest::of(b"image")
    }

    fn pairs(pairs: &[(&str, &str)]) -> Annotations {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn made(hash: Hash) -> Made {
        let key = PrivateKey::p256_from_scalar(&Secret::new([7; 32])).unwrap();
        let annotations = pairs(&[("a", "1"), ("b", "2")]);
        let identity = "registry.example.com/app";
        let payload =
            SimpleSigning { identity, digest: &digest(), annotations: &annotations }.to_bytes();
        let signature = key.sign(&payload, hash).unwrap();
        Made { key: key.public_key().clone(), payload, signature }
    }

    fn check(made: &Made, claims: Claims, hash: Hash, subject: &Digest) -> Result<(), Rejection> {
        let trust = Trust::Key(made.key.clone());
        let acceptance = Acceptance {
            trust,
            claims,
            hash,
            proof: Required::default(),
            now: Timestamp::from_seconds(0),
        };
        let claim = Claim::parse(&made.payload).ok();
        let presented = Presented {
            signed: &made.payload,
            signature: Some(&made.signature),
            claim: claim.as_ref(),
            certificate: None,
            chain: None,
            content: Content::Message(&made.payload),
            log_entries: &[],
            timestamps: &[],
            passed_over: None,
        };
        acceptance.check(&presented, subject)
    }

    #[test]
    fn annotations_are_a_part_of_those_that_are_there() {
        let made = made(Hash::Sha256);
        let asked = |annotations: &[(&str, &str)]| {
            check(&made, Claims::Checked(pairs(annotations)), Hash::Sha256, &digest())
        };
        assert_eq!(asked(&[]), Ok(()));
        assert_eq!(asked(&[("b", "2")]), Ok(()));
        let missing = Rejection::Annotation("b".to_owned(), "3".to_owned());
        assert_eq!(asked(&[("a", "1"), ("b", "3")]), Err(missing));
        assert!(asked(&[("c", "")]).is_err());
    }

    #[test]
    fn another_subject_counts_only_where_claims_are_not_checked() {
        let (made, other) = (made(Hash::Sha256), Digest::of(b"other"));
        let checked = check(&made, Claims::Checked(Annotations::new()), Hash::Sha256, &other);
        assert_eq!(checked, Err(Rejection::OtherSubject(digest())));
        assert_eq!(check(&made, Claims::Unchecked, Hash::Sha256, &other), Ok(()));
    }

    #[test]
    fn the_hash_is_the_one_that_is_asked_for() {
        let made = made(Hash::Sha512);
        let checked = |hash| check(&made, Claims::Unchecked, hash, &digest());
        assert_eq!(checked(Hash::Sha512), Ok(()));
        assert_eq!(checked(Hash::Sha256), Err(Rejection::OtherKey(Hash::Sha256)));
    }

    #[test]
    fn without_a_key_a_certificate_is_needed() {
        let made = made(Hash::Sha256);
        let pem = rcgen::generate_simple_self_signed(Vec::new()).unwrap().cert.pem();
        let authorities = Authorities::new(&Chain::from_pem(&pem).unwrap(), None);
        let any = || crate::crypto::TextPattern::Found(regex::Regex::new("").unwrap());
        let identity = IdentityPattern { subject: any(), issuer: any(), workflow: Vec::new() };
        let acceptance = Acceptance {
            trust: Trust::Authorities { authorities, identity },
            claims: Claims::Unchecked,
            hash: Hash::Sha256,
            proof: Required::default(),
            now: Timestamp::from_seconds(0),
        };
        let presented = Presented {
            signed: &made.payload,
            signature: Some(&made.signature),
            claim: None,
            certificate: None,
            chain: None,
            content: Content::Message(&made.payload),
            log_entries: &[],
            timestamps: &[],
            passed_over: None,
        };
        assert_eq!(acceptance.check(&presented, &digest()), Err(Rejection::NoCertificate));
    }
}
