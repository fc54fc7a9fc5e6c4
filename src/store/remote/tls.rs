//! TLS of one host: whom it trusts, and who it says it is. rustls on aws-lc-rs, no global state.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls_platform_verifier::Verifier;

use crate::store::StoreErrorKind;
use crate::store::remote::failure::Failure;
use crate::store::remote::options::RegistryRule;

/// The configuration for a host with this rule; HTTP/2 is offered first.
pub(super) fn client_config(rule: Option<&RegistryRule>) -> Result<ClientConfig, Failure> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| failure("cannot set up TLS", &error))?;
    let own = rule.and_then(|it| it.ca_file.as_deref()).map(certificates).transpose()?;
    let verified = if rule.is_some_and(|it| it.skip_tls_verify) {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)))
    } else {
        match Verifier::new_with_extra_roots(own.unwrap_or_default(), provider) {
            Ok(verifier) => {
                builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
            // A machine without authorities (a scratch image) still talks to loopback and `ca_file` hosts.
            Err(error) => {
                tracing::warn!(%error, "no authority is trusted");
                builder.with_root_certificates(RootCertStore::empty())
            }
        }
    };
    let mut config = match rule.and_then(|it| it.client_identity.as_ref()) {
        None => verified.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| failure(&format!("cannot read {}", key.display()), &error))?;
            verified
                .with_client_auth_cert(chain, key)
                .map_err(|error| failure("cannot use the client certificate", &error))?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The configuration for hosts that are spoken to without TLS: nobody is trusted, nothing is read.
pub(super) fn no_tls() -> Result<ClientConfig, Failure> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failure("cannot set up TLS", &error))?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        failure(&format!("cannot read certificates from {}", path.display()), error)
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(|error| wrong(&error))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(&error))?;
    if certificates.is_empty() {
        return Err(wrong(&"it has no PEM certificate"));
    }
    Ok(certificates)
}

fn failure(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(StoreErrorKind::Tls, format!("{what}: {error}"))
}

/// `skip_tls_verify`: whoever answers is taken for the registry.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

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
}
