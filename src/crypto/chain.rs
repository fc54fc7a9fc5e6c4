//! Chains of certificates, and whether a leaf stands on one.

use der::Encode as _;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter,
    RequiredEkuNotFoundContext,
};
use x509_cert::Version;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};

use crate::crypto::certificate::content;
use crate::crypto::pem;
use crate::crypto::{Certificate, CertificateError};
use crate::model::Timestamp;

/// The certificates above a leaf, the root last.
///
/// A self-signed leaf is its own chain of one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chain(Vec<Certificate>);

impl Chain {
    /// Reads PEM certificates, one or more.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Malformed`]: there is none, or one of them cannot be read.
    pub fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        let blocks = pem::blocks(pem);
        if blocks.is_empty() {
            return Err(CertificateError::Malformed(
                "there is no PEM `-----BEGIN CERTIFICATE-----`".into(),
            ));
        }
        let certificates = blocks.iter().enumerate().map(|(index, block)| {
            let read = content(block).and_then(|der| Certificate::of_authority(&der));
            read.map_err(|error| match error {
                CertificateError::Malformed(what) => CertificateError::Malformed(format!(
                    "number {} of the chain: {what}",
                    index + 1
                )),
                other => other,
            })
        });
        Ok(Self(certificates.collect::<Result<_, _>>()?))
    }

    /// PEM, in order, each with a newline at the end.
    pub fn to_pem(&self) -> String {
        self.0.iter().map(Certificate::to_pem).collect()
    }

    /// The certificates, the root last.
    pub fn certificates(&self) -> &[Certificate] {
        &self.0
    }

    /// Checks that `leaf` chains to the root at `at`, for code signing.
    ///
    /// The root is the last certificate; the others may be in any order, and need not all be used. Every
    /// certificate of the chain and the leaf must be valid at `at`. cosign itself looks at the authorities at the
    /// first moment of the leaf, and at the leaf at the time of the signature: give that time to ask as it does.
    ///
    /// # Errors
    ///
    /// [`CertificateError::NotValidAt`], with the leaf before the others; [`CertificateError::Untrusted`].
    pub fn verify(&self, leaf: &Certificate, at: Timestamp) -> Result<(), CertificateError> {
        for certificate in std::iter::once(leaf).chain(&self.0) {
            certificate.check_valid(at)?;
        }
        let Some((root, between)) = self.0.split_last() else {
            return Err(CertificateError::Untrusted("the chain is empty".into()));
        };
        if root == leaf {
            // webpki takes no leaf that is its own root; Go and so cosign do.
            return for_code_signing(leaf);
        }
        for_code_signing(root)?;
        issuer_key(leaf, root, between, at, CodeSigning).map(|_| ())
    }

    /// Checks that `leaf` chains to the root at `at`, and is there to sign timestamps.
    ///
    /// # Errors
    ///
    /// Those of [`Chain::verify`].
    pub(crate) fn verify_timestamps(
        &self,
        leaf: &Certificate,
        at: Timestamp,
    ) -> Result<(), CertificateError> {
        for certificate in std::iter::once(leaf).chain(&self.0) {
            certificate.check_valid(at)?;
        }
        let Some((root, between)) = self.0.split_last() else {
            return Err(CertificateError::Untrusted("the chain is empty".into()));
        };
        if !leaf.is_for_timestamps() {
            return Err(CertificateError::Untrusted(format!(
                "the certificate of {} is not for timestamps",
                leaf.subject()
            )));
        }
        if root == leaf {
            return Ok(());
        }
        issuer_key(leaf, root, between, at, TimeStamping).map(|_| ())
    }

    /// A chain of these certificates, the root last; `None` where there is none.
    pub(crate) fn new(certificates: Vec<Certificate>) -> Option<Self> {
        (!certificates.is_empty()).then_some(Self(certificates))
    }

    /// The key (PKIX DER) of the authority that issued `leaf`, on a way from it to the root of this chain.
    ///
    /// Like [`Chain::verify`], but `carried` may help on the way, and a leaf is never its own authority.
    ///
    /// # Errors
    ///
    /// The same.
    pub(crate) fn issuer_of(
        &self,
        leaf: &Certificate,
        carried: Option<&Self>,
        at: Timestamp,
    ) -> Result<Vec<u8>, CertificateError> {
        for certificate in std::iter::once(leaf).chain(&self.0) {
            certificate.check_valid(at)?;
        }
        let Some((root, between)) = self.0.split_last() else {
            return Err(CertificateError::Untrusted("the chain is empty".into()));
        };
        let carried = carried.map(Self::certificates).unwrap_or_default();
        let helpful = carried.iter().filter(|it| may_sign(it).is_ok()).take(MOST_CARRIED);
        let between: Vec<_> = between.iter().chain(helpful).cloned().collect();
        for_code_signing(root)?;
        issuer_key(leaf, root, &between, at, CodeSigning)
    }
}

/// At most as many certificates that strangers carried are tried.
const MOST_CARRIED: usize = 16;

/// The key of the direct issuer of `leaf`, on a way to `root` through some of `between`, all of them for that usage.
fn issuer_key(
    leaf: &Certificate,
    root: &Certificate,
    between: &[Certificate],
    at: Timestamp,
    usage: impl ExtendedKeyUsageValidator,
) -> Result<Vec<u8>, CertificateError> {
    authority(root)?;
    // webpki looks at the basic constraints of those between, Go at their key usage too.
    between.iter().try_for_each(may_sign)?;
    let untrusted = |error: webpki::Error| CertificateError::Untrusted(explain(&error));
    let leaf_der = CertificateDer::from(leaf.as_der());
    let root_der = CertificateDer::from(root.as_der());
    let anchor: TrustAnchor<'_> = webpki::anchor_from_trusted_cert(&root_der).map_err(untrusted)?;
    let anchors = [anchor];
    let between: Vec<_> = between.iter().map(|it| CertificateDer::from(it.as_der())).collect();
    let seconds = u64::try_from(at.as_seconds()).unwrap_or(0);
    let entity = EndEntityCert::try_from(&leaf_der).map_err(untrusted)?;
    let path = entity
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &between,
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)),
            usage,
            None,
            None,
        )
        .map_err(untrusted)?;
    let key = match path.intermediate_certificates().next() {
        Some(issuer) => Ok(issuer.subject_public_key_info().as_ref().to_vec()),
        None => root.x509().subject_public_key_info.to_der(),
    };
    key.map_err(|error| CertificateError::Malformed(error.to_string()))
}

/// What Go asks of a root, and webpki does not: that it may sign certificates.
pub(super) fn authority(root: &Certificate) -> Result<(), CertificateError> {
    let body = root.x509();
    if body.version != Version::V3 {
        return Ok(());
    }
    let constraints = body.get::<BasicConstraints>().ok().flatten();
    if !constraints.is_some_and(|(_, it)| it.ca) {
        return Err(no_authority(root));
    }
    may_sign(root)
}

/// A key usage, where there is one, must allow to sign certificates.
pub(super) fn may_sign(authority: &Certificate) -> Result<(), CertificateError> {
    let body = authority.x509();
    let is_authority = body.get::<BasicConstraints>().ok().flatten().is_some_and(|(_, it)| it.ca);
    match body.get::<KeyUsage>() {
        Ok(Some((_, usage))) if is_authority && !usage.key_cert_sign() => {
            Err(no_authority(authority))
        }
        _ => Ok(()),
    }
}

fn no_authority(root: &Certificate) -> CertificateError {
    CertificateError::Untrusted(format!(
        "the certificate of {} may not sign certificates",
        root.subject()
    ))
}

/// Timestamps, or anything where a certificate names no usage.
struct TimeStamping;

impl ExtendedKeyUsageValidator for TimeStamping {
    fn validate(&self, usages: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let wanted = KeyPurposeId::new(TIME_STAMPING_DER);
        let mut present = usages.collect::<Result<Vec<_>, _>>()?.into_iter().peekable();
        if present.peek().is_none() || present.any(|it| it == wanted) {
            return Ok(());
        }
        Err(webpki::Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext {
            required: webpki::KeyUsage::required(TIME_STAMPING_DER),
            present: Vec::new(),
        }))
    }
}

const TIME_STAMPING_DER: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];
const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
const ANY_USAGE: &str = "2.5.29.37.0";
// Their content octets.
const CODE_SIGNING_DER: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03];
const ANY_DER: &[u8] = &[0x55, 0x1d, 0x25, 0x00];

/// A certificate without extended key usages may be used for anything, as in Go.
pub(super) fn for_code_signing(certificate: &Certificate) -> Result<(), CertificateError> {
    let usages = certificate.x509().get::<ExtendedKeyUsage>().ok().flatten();
    let Some((_, usages)) = usages else { return Ok(()) };
    if usages.0.iter().any(|it| matches!(it.to_string().as_str(), CODE_SIGNING | ANY_USAGE)) {
        return Ok(());
    }
    Err(CertificateError::Untrusted(format!(
        "the certificate of {} is not for code signing",
        certificate.subject()
    )))
}

/// The same rule for the certificates that webpki walks.
pub(super) struct CodeSigning;

impl ExtendedKeyUsageValidator for CodeSigning {
    fn validate(&self, usages: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let (code_signing, any) = (KeyPurposeId::new(CODE_SIGNING_DER), KeyPurposeId::new(ANY_DER));
        let mut present = Vec::new();
        for usage in usages {
            let usage = usage?;
            if usage == code_signing || usage == any {
                return Ok(());
            }
            present.push(usage.to_decoded_oid());
        }
        if present.is_empty() {
            return Ok(());
        }
        let required = webpki::KeyUsage::required_if_present(CODE_SIGNING_DER);
        Err(webpki::Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext {
            required,
            present,
        }))
    }
}

/// Says what webpki found in the words of somebody who has the files before them.
pub(super) fn explain(error: &webpki::Error) -> String {
    let text = match error {
        webpki::Error::CaUsedAsEndEntity => "the leaf is itself an authority",
        webpki::Error::EndEntityUsedAsCa => "a certificate of the chain may not sign certificates",
        webpki::Error::InvalidSignatureForPublicKey => {
            "a signature is not by the key of the issuer that it names"
        }
        webpki::Error::NameConstraintViolation => "an authority may not certify that name",
        webpki::Error::PathLenConstraintViolated => {
            "an authority allows fewer certificates below it"
        }
        webpki::Error::RequiredEkuNotFoundContext(_) => {
            "the leaf or a certificate of the chain is not for code signing"
        }
        webpki::Error::UnknownIssuer => "an issuer is not in the chain",
        other => return other.to_string(),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests;
