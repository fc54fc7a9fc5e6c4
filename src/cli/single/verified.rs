//! What `verify IMAGE` prints of the signatures that it accepts: cosign's JSON, byte for byte.

use countersign::crypto::{Certificate, Workflow};
use countersign::model::{Descriptor, Digest, ImageRef, go_json};
use countersign::observe::{Stored, StoredAt};
use countersign::payload::{SIGN_PREDICATE, annotation};
use serde_json::{Map, Value, json};

use super::verify_args::VerifyOutput;

/// A signature that was accepted.
#[derive(Clone, Copy)]
pub(crate) struct Verified<'a> {
    /// The payload or the statement.
    pub(crate) payload: &'a [u8],
    /// Where it is; none where it was given on the command line.
    pub(crate) stored: Option<&'a Stored>,
}

/// The page for standard output.
pub(crate) fn page(
    verified: &[Verified<'_>],
    image: &ImageRef,
    digest: &Digest,
    output: VerifyOutput,
) -> Vec<u8> {
    match output {
        VerifyOutput::Json => {
            let all: Vec<Value> = verified.iter().map(|it| it.json(image, digest)).collect();
            [b"\n", go_json::to_vec(&all).as_slice(), b"\n"].concat()
        }
        VerifyOutput::Text => {
            let lines = verified.iter().map(|it| match it.stored.map(|it| &it.place) {
                Some(StoredAt::Bundle { .. }) => go_json::to_vec(&it.json(image, digest)),
                Some(StoredAt::Layer(_)) | None => it.payload.to_vec(),
            });
            lines.flat_map(|line| [line, b"\n".to_vec()].concat()).collect()
        }
    }
}

impl<'a> Verified<'a> {
    /// The certificate that came with the signature.
    pub(crate) fn certificate(&self) -> Option<&'a Certificate> {
        self.stored.and_then(Stored::certificate)
    }

    fn json(&self, image: &ImageRef, digest: &Digest) -> Value {
        let Some(stored) = self.stored else { return simple(self.payload, None, None) };
        match &stored.place {
            StoredAt::Layer(layer) => simple(self.payload, stored.certificate(), Some(layer)),
            StoredAt::Bundle { .. } => {
                let claim = stored.claim();
                let mut optional = Map::new();
                for (key, value) in claim.iter().flat_map(|it| &it.annotations) {
                    optional.insert(key.clone(), json!(value));
                }
                for (key, value) in claim.iter().flat_map(|it| &it.other) {
                    let value = serde_json::from_str(value).unwrap_or(Value::Null);
                    optional.insert(key.clone(), value);
                }
                let digest = claim.map_or_else(|| digest.to_string(), |it| it.digest.to_string());
                payload(&name(image), &digest, SIGN_PREDICATE, Some(optional))
            }
        }
    }
}

/// The image as go-containerregistry names it: with a tag or with a digest.
fn name(image: &ImageRef) -> String {
    match (&image.digest, &image.tag) {
        (Some(digest), _) => format!("{}@{digest}", image.repository),
        (None, Some(tag)) => format!("{}:{tag}", image.repository),
        (None, None) => image.to_string(),
    }
}

/// What cosign makes of a simple-signing payload: the members that it knows, and what the layer adds.
///
/// Source: cosign `cmd/cosign/cli/verify/common.go`, `PrintVerification`.
fn simple(bytes: &[u8], certificate: Option<&Certificate>, layer: Option<&Descriptor>) -> Value {
    let parsed: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
    let text = |pointer: &str| parsed.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let mut optional = parsed.get("optional").and_then(Value::as_object).cloned();
    let mut add = |key: &str, value: Value| {
        optional.get_or_insert_default().insert(key.to_owned(), value);
    };
    if let Some(certificate) = certificate {
        let names = certificate.alternative_names();
        add("Subject", json!(names.first().map(String::as_str).unwrap_or_default()));
        if let Some(issuer) = certificate.issuer() {
            add("Issuer", json!(issuer));
            add("1.3.6.1.4.1.57264.1.1", json!(issuer));
        }
        for what in Workflow::ALL {
            if let Some(value) = certificate.workflow(what) {
                add(what.name(), json!(value));
                add(what.oid(), json!(value));
            }
        }
    }
    let annotations = [("Bundle", annotation::BUNDLE), ("RFC3161Timestamp", annotation::TIMESTAMP)];
    for (key, annotation) in annotations {
        let value = layer.and_then(|it| it.annotation(annotation));
        if let Some(value) = value.and_then(|it| serde_json::from_str(it).ok()) {
            add(key, value);
        }
    }
    payload(
        text("/critical/identity/docker-reference"),
        text("/critical/image/docker-manifest-digest"),
        text("/critical/type"),
        optional,
    )
}

/// The members in Go's order; those of `optional` in the order of their bytes.
fn payload(
    identity: &str,
    digest: &str,
    kind: &str,
    optional: Option<Map<String, Value>>,
) -> Value {
    let optional = optional.map(|mut it| {
        it.sort_keys();
        it
    });
    json!({
        "critical": {
            "identity": { "docker-reference": identity },
            "image": { "docker-manifest-digest": digest },
            "type": kind,
        },
        "optional": optional,
    })
}
