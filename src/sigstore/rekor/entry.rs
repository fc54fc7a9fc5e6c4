//! What a log keeps of a signature, as its search gives it back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::crypto::{Certificate, PublicKey, SignatureBytes};
use crate::payload::LogEntry;

/// A signature that a log has, with what it verifies with. Nothing vouches for it yet.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The entry.
    pub entry: LogEntry,
    /// The signature.
    pub signature: SignatureBytes,
    /// The key.
    pub public_key: PublicKey,
    /// The certificate of that key, where the entry names one.
    pub certificate: Option<Certificate>,
}

impl Recorded {
    /// Reads the signature out of an entry of Rekor v1: `hashedrekord` or `dsse` 0.0.1, with one signature.
    pub(super) fn read(entry: LogEntry) -> Option<Self> {
        let body: Value = serde_json::from_slice(&entry.body).ok()?;
        let spec = body.get("spec")?;
        let (signature, verifier) = match body.get("kind")?.as_str()? {
            "hashedrekord" => {
                let signature = spec.get("signature")?;
                (signature.get("content")?, signature.pointer("/publicKey/content")?)
            }
            "dsse" => {
                let [only] = spec.get("signatures")?.as_array()?.as_slice() else { return None };
                (only.get("signature")?, only.get("verifier")?)
            }
            _ => return None,
        };
        let signature = SignatureBytes::from_base64(signature.as_str()?).ok()?;
        let pem = String::from_utf8(STANDARD.decode(verifier.as_str()?).ok()?).ok()?;
        let certificate = Certificate::from_pem(&pem).ok();
        let public_key = match &certificate {
            Some(certificate) => certificate.public_key().clone(),
            None => PublicKey::from_pem(&pem).ok()?,
        };
        Some(Self { entry, signature, public_key, certificate })
    }
}
