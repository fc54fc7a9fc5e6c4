//! cosign's simple-signing payload, byte for byte.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{Annotations, Digest, go_json};

/// What cosign writes as `critical.type`.
const CLAIM_TYPE: &str = "cosign container image signature";

/// The payload that is to be signed: the same three things always give the same bytes.
///
/// # Example
///
/// ```
/// use countersign::model::{Annotations, Digest};
/// use countersign::payload::SimpleSigning;
///
/// let digest = Digest::of(b"manifest");
/// let annotations = Annotations::from([("h".to_owned(), "<a&b>".to_owned())]);
/// let payload = SimpleSigning { identity: "ghcr.io/acme/api", digest: &digest, annotations: &annotations };
/// let text = String::from_utf8(payload.to_bytes()).unwrap();
/// assert!(text.ends_with(r#""optional":{"h":"\u003ca\u0026b\u003e"}}"#));
/// ```
///
/// Source: sigstore `pkg/signature/payload/payload.go`.
#[derive(Clone, Copy, Debug)]
pub struct SimpleSigning<'a> {
    /// The container identity: `docker-reference`.
    pub identity: &'a str,
    /// The digest of the subject.
    pub digest: &'a Digest,
    /// The annotations; none are written as `null`.
    pub annotations: &'a Annotations,
}

#[derive(Serialize)]
struct Payload<'a> {
    critical: Critical<'a>,
    optional: Option<&'a Annotations>,
}

#[derive(Serialize)]
struct Critical<'a> {
    identity: Identity<'a>,
    image: Image<'a>,
    r#type: &'a str,
}

#[derive(Serialize)]
struct Identity<'a> {
    #[serde(rename = "docker-reference")]
    docker_reference: &'a str,
}

#[derive(Serialize)]
struct Image<'a> {
    #[serde(rename = "docker-manifest-digest")]
    docker_manifest_digest: &'a Digest,
}

impl SimpleSigning<'_> {
    /// The bytes, as cosign writes them: compact, Go's escaping, no newline at the end.
    pub fn to_bytes(&self) -> Vec<u8> {
        let optional = (!self.annotations.is_empty()).then_some(self.annotations);
        go_json::to_vec(&Payload {
            critical: Critical {
                identity: Identity { docker_reference: self.identity },
                image: Image { docker_manifest_digest: self.digest },
                r#type: CLAIM_TYPE,
            },
            optional,
        })
    }
}

/// What a payload says, however it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claim {
    /// `critical.identity.docker-reference`; empty where it is missing.
    pub identity: String,
    /// `critical.image.docker-manifest-digest`.
    pub digest: Digest,
    /// `optional`, where every value is a string; creator and timestamp of other tools included.
    pub annotations: Annotations,
    /// Values of `optional` that are no strings, as JSON: they equal no declared annotation.
    pub other: BTreeMap<String, String>,
}

/// Bytes that are no claim.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the payload is no simple-signing claim: {reason}")]
pub struct ClaimError {
    /// What is wrong.
    pub reason: String,
}

#[derive(Deserialize)]
struct LooseClaim {
    critical: LooseCritical,
    #[serde(default)]
    optional: Option<BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
struct LooseCritical {
    #[serde(default)]
    identity: Option<BTreeMap<String, Value>>,
    image: BTreeMap<String, Value>,
}

impl Claim {
    /// Reads a payload as leniently as cosign does: only the digest must be there.
    ///
    /// # Errors
    ///
    /// When the bytes are no JSON object, or name no digest.
    pub fn parse(bytes: &[u8]) -> Result<Self, ClaimError> {
        let wrong = |reason: String| ClaimError { reason };
        let loose: LooseClaim =
            serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        let digest = loose.critical.image.get("docker-manifest-digest").and_then(Value::as_str);
        let digest =
            digest.ok_or_else(|| wrong("`docker-manifest-digest` is missing".to_owned()))?;
        let digest = digest.parse().map_err(|error| wrong(format!("{error}")))?;
        let identity = loose.critical.identity.unwrap_or_default();
        let identity = identity.get("docker-reference").and_then(Value::as_str).unwrap_or_default();
        let (mut annotations, mut other) = (Annotations::new(), BTreeMap::new());
        for (key, value) in loose.optional.unwrap_or_default() {
            match value {
                Value::String(text) => annotations.insert(key, text),
                value => other.insert(key, value.to_string()),
            };
        }
        Ok(Self { identity: identity.to_owned(), digest, annotations, other })
    }

    /// Says whether this claim means the same as `wanted`: annotations exactly, identity exactly.
    pub fn says(&self, wanted: &SimpleSigning<'_>) -> bool {
        self.identity == wanted.identity
            && self.digest == *wanted.digest
            && self.annotations == *wanted.annotations
            && self.other.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:f6b0c25f2de681c2ac53a750fc90bc092b38fb021c5002b8a5f0d559e88f8f6d";

    #[test]
    fn the_payload_is_cosigns() {
        let digest = DIGEST.parse().unwrap();
        let none = Annotations::new();
        let payload =
            SimpleSigning { identity: "127.0.0.1:5101/cap4", digest: &digest, annotations: &none };
        let expected = format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"127.0.0.1:5101/cap4"}},"image":{{"docker-manifest-digest":"{DIGEST}"}},"type":"cosign container image signature"}},"optional":null}}"#
        );
        assert_eq!(String::from_utf8(payload.to_bytes()).unwrap(), expected);
        assert!(Claim::parse(&payload.to_bytes()).unwrap().says(&payload));
    }

    #[test]
    fn other_spellings_mean_the_same() {
        let digest = DIGEST.parse().unwrap();
        let annotations = Annotations::from([("a".to_owned(), "1".to_owned())]);
        let wanted =
            SimpleSigning { identity: "h.example/r", digest: &digest, annotations: &annotations };
        let pretty = format!(
            r#"{{ "optional": {{"a": "1"}}, "critical": {{"type": "atomic container signature", "image": {{"docker-manifest-digest": "{DIGEST}"}}, "identity": {{"docker-reference": "h.example/r"}} }} }}"#
        );
        assert!(Claim::parse(pretty.as_bytes()).unwrap().says(&wanted));
        let number = pretty.replace(r#""a": "1""#, r#""a": "1", "timestamp": 5"#);
        assert!(!Claim::parse(number.as_bytes()).unwrap().says(&wanted));
        assert!(Claim::parse(b"{}").is_err());
        assert!(Claim::parse(b"[]").is_err());
    }
}
