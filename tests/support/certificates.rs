//! Certificates made on the spot: for registries with TLS, for clients, for signatures with a chain.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// What a leaf certificate is for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// A TLS client.
    Client,
    /// Signing code, by the owner of an e-mail address.
    CodeSigning(&'a str),
    /// A TLS server on 127.0.0.1 and localhost.
    Server,
}

/// When a certificate is valid: from and until, in seconds since 1970, UTC.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    pub from: u64,
    pub until: u64,
}

impl Validity {
    /// From 2020 until 2090.
    pub const LONG: Self = Self { from: 1_577_836_800, until: 3_786_912_000 };
    /// The year 2020: over.
    pub const OVER: Self = Self { from: 1_577_836_800, until: 1_609_459_200 };
}

/// A certificate authority: a root, or an intermediate below one.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A root.
    pub fn root(name: &str) -> Self {
        let (parameters, key) = authority(name);
        let pem = parameters.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(parameters, key) }
    }

    /// An authority below this one.
    pub fn intermediate(&self, name: &str) -> Self {
        self.intermediate_until(name, Validity::LONG)
    }

    /// An authority below this one that is valid only then.
    pub fn intermediate_until(&self, name: &str, validity: Validity) -> Self {
        let (mut parameters, key) = authority(name);
        set_validity(&mut parameters, validity);
        let pem = parameters.signed_by(&key, &self.issuer).unwrap().pem();
        Self { pem, issuer: Issuer::new(parameters, key) }
    }

    /// A leaf below this authority, with a new P-256 key.
    pub fn leaf(&self, purpose: Purpose<'_>, validity: Validity) -> Leaf {
        self.leaf_with(KeyPair::generate().unwrap(), purpose, validity)
    }

    /// A leaf below this authority, of this key.
    pub fn leaf_with(&self, key: KeyPair, purpose: Purpose<'_>, validity: Validity) -> Leaf {
        let mut parameters = CertificateParams::default();
        set_validity(&mut parameters, validity);
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.use_authority_key_identifier_extension = true;
        let usage = match purpose {
            Purpose::Client => ExtendedKeyUsagePurpose::ClientAuth,
            Purpose::CodeSigning(email) => {
                parameters.subject_alt_names = vec![SanType::Rfc822Name(email.try_into().unwrap())];
                ExtendedKeyUsagePurpose::CodeSigning
            }
            Purpose::Server => {
                parameters.subject_alt_names = vec![
                    SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into()),
                    SanType::DnsName("localhost".try_into().unwrap()),
                ];
                ExtendedKeyUsagePurpose::ServerAuth
            }
        };
        parameters.extended_key_usages = vec![usage];
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        Leaf { der: certificate.der().to_vec(), pem: certificate.pem(), key }
    }

    /// The authority's own certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }
}

/// A certificate and its key.
pub struct Leaf {
    key: KeyPair,
    der: Vec<u8>,
    pem: String,
}

impl Leaf {
    pub fn pem(&self) -> &str {
        &self.pem
    }

    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The private key, PKCS#8 PEM: what `cosign import-key-pair` takes.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The private key, PKCS#8 DER.
    pub fn key_der(&self) -> Vec<u8> {
        self.key.serialize_der()
    }

    /// The public key, PEM.
    pub fn public_key_pem(&self) -> String {
        self.key.public_key_pem()
    }
}

fn authority(name: &str) -> (CertificateParams, KeyPair) {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    set_validity(&mut parameters, Validity::LONG);
    (parameters, KeyPair::generate().unwrap())
}

fn set_validity(parameters: &mut CertificateParams, validity: Validity) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    parameters.not_before = epoch + Duration::from_secs(validity.from);
    parameters.not_after = epoch + Duration::from_secs(validity.until);
}
