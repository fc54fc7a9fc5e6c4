//! Fulcio: a certificate for a key, for as long as an identity token proves who holds it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::crypto::{Certificate, Chain, PublicKey, SignatureBytes};
use crate::model::Secret;
use crate::sigstore::connection::Connection;
use crate::sigstore::{Network, Service, ServiceError};
use crate::wire::http::Call;

/// One certificate serves many signatures: more at once is never needed.
const AT_ONCE: usize = 2;
const OPERATION: &str = "get a certificate from";

/// A certification authority for identities.
#[derive(Debug)]
pub struct Fulcio {
    connection: Connection,
}

impl Fulcio {
    /// The authority at `url`. Sends nothing.
    ///
    /// # Errors
    ///
    /// `fulcio::refused` for what is no URL; `fulcio::tls`.
    pub fn new(url: &str, network: &Network) -> Result<Self, ServiceError> {
        Ok(Self { connection: Connection::new(Service::Fulcio, url, AT_ONCE, network)? })
    }

    /// A certificate for `key`, and what stands above it. One request; nothing of the answer is verified.
    ///
    /// `proof` is a signature of that key over the subject of `token`: its verified address, else `sub`.
    ///
    /// # Errors
    ///
    /// Codes of the area `fulcio`; `fulcio::untrusted` where the answer has no certificate with an embedded SCT.
    #[tracing::instrument(name = "fulcio.certificate", skip_all, err(level = "debug"))]
    pub async fn certificate(
        &self,
        token: &Secret<String>,
        key: &PublicKey,
        proof: &SignatureBytes,
    ) -> Result<(Certificate, Option<Chain>), ServiceError> {
        let bearer = Secret::new(format!("Bearer {}", token.expose()));
        let request = json!({ "publicKeyRequest": {
            "publicKey": { "algorithm": "ECDSA", "content": key.to_pem() },
            "proofOfPossession": STANDARD.encode(proof.as_bytes()),
        }});
        let failed = |failure| self.connection.failed(OPERATION, &failure);
        let call = Call::new(Method::POST, self.connection.url("/api/v2/signingCert"));
        let call = call.secret_header("authorization", &bearer).map_err(failed)?.json(&request);
        let answer = self.connection.send(&call).await.map_err(failed)?.json().map_err(failed)?;
        read(&answer).map_err(|why| self.connection.untrusted(OPERATION, why))
    }
}

/// Source: Fulcio's `fulcio.proto`, `SigningCertificate`.
fn read(answer: &Value) -> Result<(Certificate, Option<Chain>), String> {
    if answer.get("signedCertificateDetachedSct").is_some() {
        return Err("it gave a certificate without an embedded SCT, which verifiers need".into());
    }
    let certificates = answer
        .pointer("/signedCertificateEmbeddedSct/chain/certificates")
        .and_then(Value::as_array)
        .and_then(|all| all.iter().map(Value::as_str).collect::<Option<Vec<_>>>())
        .ok_or("its answer has no certificates")?;
    let (leaf, above) = certificates.split_first().ok_or("its answer has no certificates")?;
    let leaf = Certificate::from_pem(leaf).map_err(|error| error.to_string())?;
    let above: String = above.iter().map(|pem| format!("{}\n", pem.trim_end())).collect();
    let chain = (!above.is_empty()).then(|| Chain::from_pem(&above)).transpose();
    Ok((leaf, chain.map_err(|error| error.to_string())?))
}
