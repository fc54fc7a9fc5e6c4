//! Timestamps of RFC 3161, as annotations and bundles carry them. Pure, and nothing here is believed.

use serde_json::{Value, json};

use crate::payload::dsse::{base64_of, bytes_of};
use crate::payload::proto_json;

/// Reads the annotation `dev.sigstore.cosign/rfc3161timestamp`: the DER of a response; `None` where it is none.
pub fn timestamp_from_annotation(text: &str) -> Option<Vec<u8>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let token = value.get("SignedRFC3161Timestamp")?.as_str().and_then(bytes_of)?;
    (!token.is_empty()).then_some(token)
}

/// The annotation for a response, byte for byte as cosign writes it.
pub fn timestamp_to_annotation(token: &[u8]) -> String {
    json!({ "SignedRFC3161Timestamp": base64_of(token) }).to_string()
}

/// The timestamps of the verification material of a bundle, in order; `None` for one that cannot be read.
pub(super) fn timestamps_of(material: &Value) -> Vec<Option<Vec<u8>>> {
    let read = || {
        let data = proto_json::member(material, "timestampVerificationData")?;
        proto_json::member(data, "rfc3161Timestamps")?.as_array()
    };
    let timestamps = read().map(Vec::as_slice).unwrap_or_default();
    timestamps.iter().map(|it| proto_json::text(it, "signedTimestamp").and_then(bytes_of)).collect()
}

/// What a bundle has for `tokens`.
pub(super) fn timestamps_to_json(tokens: &[Vec<u8>]) -> Value {
    let timestamps: Value =
        tokens.iter().map(|it| json!({ "signedTimestamp": base64_of(it) })).collect();
    json!({ "rfc3161Timestamps": timestamps })
}
