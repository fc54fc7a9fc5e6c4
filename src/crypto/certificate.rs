//! Certificates of signers.

use core::net::IpAddr;
use std::fmt;
use std::sync::Arc;

use der::asn1::{ObjectIdentifier, Utf8StringRef};
use der::{Decode, Encode};
use x509_cert::ext::pkix::name::{GeneralName, OtherName};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, SubjectAltName};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;

use crate::crypto::pem;
use crate::crypto::{PublicKey, PublicKeyError};
use crate::model::{Digest, Timestamp};

const LABEL: &str = "CERTIFICATE";

/// An X.509 certificate. Cloning costs no allocation.
#[derive(Clone)]
pub struct Certificate(Arc<Parsed>);

struct Parsed {
    der: Box<[u8]>,
    public_key: PublicKey,
    not_before: Timestamp,
    not_after: Timestamp,
    x509: x509_cert::Certificate,
}

impl Certificate {
    /// Reads the first PEM `CERTIFICATE` of `pem`.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Malformed`]: there is none, it is no X.509, or its key is not one that
    /// [`KeyAlgorithm`](crate::crypto::KeyAlgorithm) names.
    pub fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        let blocks = pem::blocks(pem);
        let Some(block) = blocks.iter().find(|it| it.label == LABEL).or(blocks.first()) else {
            return Err(CertificateError::Malformed(
                "there is no PEM `-----BEGIN CERTIFICATE-----`".into(),
            ));
        };
        Self::from_der(&content(block)?)
    }

    /// Reads DER.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Malformed`]: it is no X.509, or its key is not one that is taken.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        Self::read(der, PublicKey::from_der)
    }

    /// Reads one that stands above a leaf: its key need only verify certificates.
    pub(crate) fn of_authority(der: &[u8]) -> Result<Self, CertificateError> {
        Self::read(der, PublicKey::of_authority)
    }

    fn read(
        der: &[u8],
        key: fn(&[u8]) -> Result<PublicKey, PublicKeyError>,
    ) -> Result<Self, CertificateError> {
        let malformed = |error: der::Error| CertificateError::Malformed(error.to_string());
        let x509 = x509_cert::Certificate::from_der(der).map_err(malformed)?;
        let body = &x509.tbs_certificate;
        let spki = body.subject_public_key_info.to_der().map_err(malformed)?;
        let public_key =
            key(&spki).map_err(|error| CertificateError::Malformed(format!("its key: {error}")))?;
        let (not_before, not_after) =
            (timestamp(body.validity.not_before), timestamp(body.validity.not_after));
        Ok(Self(Arc::new(Parsed { der: der.into(), public_key, not_before, not_after, x509 })))
    }

    /// DER.
    pub fn as_der(&self) -> &[u8] {
        &self.0.der
    }

    /// PEM with a newline at the end, as cosign writes it into an annotation.
    pub fn to_pem(&self) -> String {
        pem::encode(LABEL, &self.0.der)
    }

    /// SHA-256 of the DER.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.0.der)
    }

    /// The key that it certifies.
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public_key
    }

    /// The first moment of its validity.
    pub fn not_before(&self) -> Timestamp {
        self.0.not_before
    }

    /// The last moment of its validity.
    pub fn not_after(&self) -> Timestamp {
        self.0.not_after
    }

    /// Checks that it is valid at `at`.
    ///
    /// # Errors
    ///
    /// [`CertificateError::NotValidAt`].
    pub fn check_valid(&self, at: Timestamp) -> Result<(), CertificateError> {
        let (not_before, not_after) = (self.not_before(), self.not_after());
        if not_before <= at && at <= not_after {
            return Ok(());
        }
        let name = format!("the certificate of {}", self.subject());
        Err(CertificateError::NotValidAt { name, not_before, not_after })
    }

    /// Whom it names: the alternative names, else the common name, else the whole subject.
    ///
    /// DNS names, then email addresses, IP addresses, URIs and Fulcio's user names: the order in which cosign
    /// looks at them (`cryptoutils.GetSubjectAlternateNames`). Other kinds of names are left out.
    pub fn names(&self) -> Vec<String> {
        let names = self.alternative_names();
        if names.is_empty() { vec![self.subject()] } else { names }
    }

    /// The alternative names alone, in the order of [`Certificate::names`]: the identities that verifiers ask for.
    pub fn alternative_names(&self) -> Vec<String> {
        let alternatives = self.x509().get::<SubjectAltName>().ok().flatten();
        let mut names: Vec<(u8, String)> =
            alternatives.iter().flat_map(|(_, it)| &it.0).filter_map(alternative).collect();
        names.sort_by_key(|(rank, _)| *rank);
        names.into_iter().map(|(_, name)| name).collect()
    }

    /// Says whether it names itself as its issuer: a root.
    pub fn is_self_issued(&self) -> bool {
        self.x509().issuer == self.x509().subject
    }

    /// The value of an extension: the content of its octet string.
    pub(crate) fn extension(&self, id: &ObjectIdentifier) -> Option<&[u8]> {
        let extensions = self.x509().extensions.as_deref().unwrap_or_default();
        extensions.iter().find(|it| it.extn_id == *id).map(|it| it.extn_value.as_bytes())
    }

    /// Says whether it names code signing as its use.
    pub(crate) fn is_for_code_signing(&self) -> bool {
        let usages = self.x509().get::<ExtendedKeyUsage>().ok().flatten();
        usages.is_some_and(|(_, usages)| usages.0.contains(&ID_KP_CODE_SIGNING))
    }

    /// Says whether it names timestamps as its use.
    pub(crate) fn is_for_timestamps(&self) -> bool {
        let usages = self.x509().get::<ExtendedKeyUsage>().ok().flatten();
        usages.is_some_and(|(_, usages)| usages.0.contains(&ID_KP_TIME_STAMPING))
    }

    /// Says whether `issuer` has issued it under this serial number.
    pub(crate) fn is_issued_as(&self, issuer: &Name, serial: &SerialNumber) -> bool {
        self.x509().issuer == *issuer && self.x509().serial_number == *serial
    }

    /// Says whether it may stand above others.
    pub(crate) fn is_authority(&self) -> bool {
        let constraints = self.x509().get::<BasicConstraints>().ok().flatten();
        constraints.is_some_and(|(_, it)| it.ca)
    }

    /// The body (`TBSCertificate`, DER) without one of its extensions.
    pub(crate) fn body_without(&self, id: &ObjectIdentifier) -> Option<Vec<u8>> {
        let mut body = self.x509().clone();
        body.extensions.as_mut()?.retain(|it| it.extn_id != *id);
        body.to_der().ok()
    }

    /// The common name of the subject, else the whole subject: what to call it in a message.
    pub(super) fn subject(&self) -> String {
        let subject = &self.x509().subject;
        let parts = subject.0.iter().flat_map(|it| it.0.iter());
        let common = parts.filter(|it| it.oid == COMMON_NAME).find_map(|it| text(&it.value));
        common.unwrap_or_else(|| subject.to_string())
    }

    pub(super) fn x509(&self) -> &x509_cert::TbsCertificate {
        &self.0.x509.tbs_certificate
    }
}

/// The bytes of a block that must be a certificate.
pub(super) fn content(block: &pem::Block<'_>) -> Result<Vec<u8>, CertificateError> {
    if block.label != LABEL {
        return Err(CertificateError::Malformed(format!("this is a PEM `{}`", block.label)));
    }
    block
        .decode()
        .ok_or_else(|| CertificateError::Malformed("the PEM holds no valid base64".into()))
}

const ID_KP_CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
const ID_KP_TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
// Fulcio's user names: <https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md>
const OTHER_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.7");

fn alternative(name: &GeneralName) -> Option<(u8, String)> {
    match name {
        GeneralName::DnsName(name) => Some((0, name.to_string())),
        GeneralName::Rfc822Name(name) => Some((1, name.to_string())),
        GeneralName::IpAddress(octets) => Some((2, address(octets.as_bytes())?.to_string())),
        GeneralName::UniformResourceIdentifier(name) => Some((3, name.to_string())),
        GeneralName::OtherName(OtherName { type_id, value }) if *type_id == OTHER_NAME => {
            Some((4, text(value)?))
        }
        _ => None,
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// The text of a string of any of the usual types.
fn text(value: &der::Any) -> Option<String> {
    let utf8 = value.decode_as::<Utf8StringRef<'_>>().map(|it| it.to_string());
    utf8.ok().or_else(|| std::str::from_utf8(value.value()).ok().map(str::to_owned))
}

fn timestamp(time: x509_cert::time::Time) -> Timestamp {
    let seconds = time.to_unix_duration().as_secs();
    Timestamp::from_seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({:?} {})", self.subject(), self.fingerprint().short())
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}
impl Eq for Certificate {}

/// What is wrong with a certificate or its chain.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateError {
    /// The bytes are no certificate.
    #[error("not a certificate: {0}")]
    Malformed(String),
    /// The certificate does not chain to the root.
    #[error("the certificate does not chain to the last of its chain: {0}")]
    Untrusted(String),
    /// A certificate of the chain, or the leaf, is not valid at that time.
    #[error("{name} is valid from {not_before} to {not_after} only")]
    NotValidAt {
        /// Which certificate.
        name: String,
        /// Its first moment.
        not_before: Timestamp,
        /// Its last moment.
        not_after: Timestamp,
    },
}

#[cfg(test)]
mod tests;
