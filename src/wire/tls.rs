//! TLS of one host: whom it trusts, and who it says it is. rustls on aws-lc-rs, no global state.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls_platform_verifier::Verifier;

/// Why TLS cannot be set up: a text that names the file.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TlsError(pub(crate) String);

/// Whose certificates a host may show.
#[derive(Clone, Debug)]
pub(crate) enum Roots {
    /// Whoever answers is believed.
    Anyone,
    /// Those of the machine, and these.
    MachineAnd(Vec<CertificateDer<'static>>),
    /// These and no other.
    Only(Vec<CertificateDer<'static>>),
}

/// A client certificate with its chain, and its key.
pub(crate) type ClientIdentity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// How to speak TLS with one host.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) roots: Roots,
    pub(crate) identity: Option<ClientIdentity>,
    /// The name that the certificate must have, where it is not that of the URL.
    pub(crate) server_name: Option<String>,
}

impl Default for Tls {
    fn default() -> Self {
        Self { roots: Roots::MachineAnd(Vec::new()), identity: None, server_name: None }
    }
}

impl Tls {
    /// The configuration; HTTP/2 is offered first.
    pub(crate) fn config(self) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed("cannot set up TLS", &error))?;
        let verifier = verifier(self.roots, provider)?;
        let verifier = match self.server_name {
            None => verifier,
            Some(name) => {
                let name = ServerName::try_from(name.clone())
                    .map_err(|error| failed(&format!("`{name}` is no name of a server"), &error))?;
                Arc::new(Named { name, inner: verifier }) as Arc<dyn ServerCertVerifier>
            }
        };
        let verified = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match self.identity {
            None => verified.with_no_client_auth(),
            Some((chain, key)) => verified
                .with_client_auth_cert(chain, key)
                .map_err(|error| failed("cannot use the client certificate", &error))?,
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn verifier(
    roots: Roots,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let extra = match roots {
        Roots::Anyone => return Ok(Arc::new(Anyone(provider))),
        Roots::Only(certificates) => return only(certificates, provider),
        Roots::MachineAnd(extra) => extra,
    };
    match Verifier::new_with_extra_roots(extra, Arc::clone(&provider)) {
        Ok(verifier) => Ok(Arc::new(verifier)),
        // A machine without authorities (a scratch image) still talks to loopback and to hosts with their own.
        Err(error) => {
            tracing::warn!(%error, "no authority is trusted");
            Ok(Arc::new(Nobody(provider)))
        }
    }
}

fn only(
    certificates: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates {
        store.add(certificate).map_err(|error| failed("cannot trust a certificate", &error))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build();
    Ok(verifier.map_err(|error| failed("cannot set up TLS", &error))?)
}

/// The configuration for hosts that are spoken to without TLS: nobody is trusted, nothing is read.
pub(crate) fn no_tls() -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("cannot set up TLS", &error))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// The certificates of a PEM file; there must be one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let what = format!("cannot read certificates from {}", path.display());
    let content = std::fs::read(path).map_err(|error| failed(&what, &error))?;
    certificates_in(&content).map_err(|error| failed(&what, &error))
}

/// The certificates of a PEM text; there must be one.
pub(crate) fn certificates_in(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError(error.to_string()))?;
    match found.is_empty() {
        true => Err(TlsError("there is no PEM certificate".into())),
        false => Ok(found),
    }
}

/// A client certificate and its key, from files.
pub(crate) fn identity(certificate: &Path, key: &Path) -> Result<ClientIdentity, TlsError> {
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| failed(&format!("cannot read {}", key.display()), &error))?;
    Ok((chain, key))
}

/// A client certificate and its key, from PEM texts.
pub(crate) fn identity_in(certificate: &[u8], key: &[u8]) -> Result<ClientIdentity, TlsError> {
    let chain = certificates_in(certificate)?;
    // The parser's error names a section, never its content.
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|error| failed("cannot read the key of the client certificate", &error))?;
    Ok((chain, key))
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> TlsError {
    TlsError(format!("{what}: {error}"))
}

/// `skip_tls_verify`: whoever answers is taken for the host.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

/// No certificate is good: the machine has no authorities.
#[derive(Debug)]
struct Nobody(Arc<CryptoProvider>);

/// Checks the certificate for another name than that of the URL.
#[derive(Debug)]
struct Named {
    name: ServerName<'static>,
    inner: Arc<dyn ServerCertVerifier>,
}

/// Signatures in the handshake, which are checked whoever is trusted.
macro_rules! handshake {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let algorithms = &self.0.signature_verification_algorithms;
            verify_tls12_signature(message, certificate, signature, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let algorithms = &self.0.signature_verification_algorithms;
            verify_tls13_signature(message, certificate, signature, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    handshake!();
}

impl ServerCertVerifier for Nobody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))
    }

    handshake!();
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
