//! Certificates of signers.

use std::sync::Arc;

use crate::crypto::PublicKey;
use crate::model::{Digest, Timestamp};

/// An X.509 certificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: Arc<[u8]>,
    public_key: PublicKey,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Certificate {
    /// Reads the first PEM `CERTIFICATE` of `pem`.
    pub fn from_pem(_pem: &str) -> Result<Self, CertificateError> {
        todo!()
    }
    /// Reads DER.
    pub fn from_der(_der: &[u8]) -> Result<Self, CertificateError> {
        todo!()
    }
    /// DER.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }
    /// PEM with a newline at the end, as cosign writes it into an annotation.
    pub fn to_pem(&self) -> String {
        todo!()
    }
    /// SHA-256 of the DER.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.der)
    }
    /// The key that it certifies.
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
    /// The first moment of its validity.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }
    /// The last moment of its validity.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }
    /// Whom it names: the alternative names, else the subject.
    pub fn names(&self) -> Vec<String> {
        todo!()
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}
impl Eq for Certificate {}

/// The certificates above a leaf, the root last.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chain(Vec<Certificate>);

impl Chain {
    /// Reads PEM certificates, one or more.
    pub fn from_pem(_pem: &str) -> Result<Self, CertificateError> {
        todo!()
    }
    /// PEM, in order, each with a newline at the end.
    pub fn to_pem(&self) -> String {
        todo!()
    }
    /// The certificates, the root last.
    pub fn certificates(&self) -> &[Certificate] {
        &self.0
    }
    /// Checks that `leaf` chains to the root at `at`, for code signing.
    pub fn verify(&self, _leaf: &Certificate, _at: Timestamp) -> Result<(), CertificateError> {
        todo!()
    }
}

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
