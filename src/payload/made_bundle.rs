//! A bundle that another tool made: taken as it is, if it is a signature that cosign takes.

use crate::crypto::{Certificate, SignatureBytes};
use crate::payload::{Bundle, BundleError, Claim, Material, Statement, statement_signed_bytes};

/// A signature on an image in a bundle of another tool.
#[derive(Clone, Debug)]
pub struct MadeBundle {
    /// The bundle, as it was read: with its log entries and timestamps.
    pub bytes: Vec<u8>,
    /// The statement that is signed.
    pub statement: Vec<u8>,
    /// What the statement says about its first subject.
    pub claim: Claim,
    /// The signature over [`signed_bytes`](Self::signed_bytes).
    pub signature: SignatureBytes,
    /// The certificate that it carries instead of a hint at the key.
    pub certificate: Option<Certificate>,
}

impl MadeBundle {
    /// Reads a bundle.
    ///
    /// # Errors
    ///
    /// When it is no bundle, no signature on an image (an attestation, say), carries not exactly one
    /// signature, or has a form that cosign passes over, so that nobody would see it.
    pub fn read(bytes: &[u8]) -> Result<Self, BundleError> {
        let wrong = |reason: &str| BundleError { reason: reason.to_owned() };
        let bundle = Bundle::parse(bytes)?;
        let statement = bundle.has_statement().then(|| Statement::parse(&bundle.envelope.payload));
        let claim = statement.flatten().and_then(|it| it.first_claim());
        let claim = claim.ok_or_else(|| wrong("what it signs is no claim about an image"))?;
        let signature = bundle.signature().cloned();
        let signature = signature.ok_or_else(|| wrong("it has not exactly one signature"))?;
        if let Some(form) = bundle.passed_over() {
            return Err(wrong(&format!("it has {form}, and cosign passes over it")));
        }
        let certificate = match bundle.material {
            Material::Certificate(certificate) => Some(certificate),
            Material::Key(_) | Material::None => None,
        };
        let statement = bundle.envelope.payload;
        Ok(Self { bytes: bytes.to_vec(), statement, claim, signature, certificate })
    }

    /// The bytes that are signed.
    pub fn signed_bytes(&self) -> Vec<u8> {
        statement_signed_bytes(&self.statement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by cosign 3.1.1: see the README there.
    const PLAIN: &str = include_str!("../../tests/fixtures/bundles/plain.sigstore.json");
    const ATTESTATION: &str =
        include_str!("../../tests/fixtures/bundles/attestation.sigstore.json");

    #[test]
    fn a_bundle_of_cosign_is_taken_as_it_is() {
        let made = MadeBundle::read(PLAIN.as_bytes()).unwrap();
        assert_eq!(made.bytes, PLAIN.as_bytes());
        assert_eq!(made.claim, Statement::parse(&made.statement).unwrap().first_claim().unwrap());
        assert_eq!(made.certificate, None);
    }

    #[test]
    fn what_nobody_would_see_is_refused() {
        for (text, reason) in [
            ("{}".to_owned(), "the media type of something else"),
            (ATTESTATION.to_owned(), "no claim about an image"),
            (PLAIN.replace(".v0.3+json", "+json;version=0.2"), "a version before 0.3"),
            (PLAIN.replace("{\"sig\"", "{\"keyid\":\"k\",\"sig\""), "a `keyid`"),
            (PLAIN.replace("[{\"sig\"", "[{\"sig\":\"AA==\"},{\"sig\""), "not exactly one"),
        ] {
            let error = MadeBundle::read(text.as_bytes()).unwrap_err();
            assert!(error.reason.contains(reason), "{reason}: {error}");
        }
    }
}
