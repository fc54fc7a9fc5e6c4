//! Sigstore bundles: written as version 0.3, read in every version and spelling.

use serde::Serialize;
use serde_json::{Value, json};

use crate::crypto::{Certificate, PublicKey, SignatureBytes};
use crate::payload::dsse::{Envelope, IN_TOTO, base64_of, bytes_of};
use crate::payload::timestamp::{timestamps_of, timestamps_to_json};
use crate::payload::{LogEntry, pre_authentication_encoding, proto_json, strict};

/// The media type of a bundle of version 0.3, and the artifact type of its referrer.
pub const BUNDLE_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Media types of bundles begin so, whatever their version.
pub(super) const BUNDLE_PREFIX: &str = "application/vnd.dev.sigstore.bundle";

/// A bundle with a DSSE envelope, as it was read.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The version: `(0, 3)`.
    pub version: (u32, u32),
    /// What it names to verify with.
    pub material: Material,
    /// How many certificates stand above the leaf.
    pub chain: usize,
    /// The log entries that it carries, in order; nothing vouches for them yet.
    pub log_entries: Vec<LogEntry>,
    /// The timestamps that it carries, in order: the DER of responses; nothing vouches for them yet.
    pub timestamps: Vec<Vec<u8>>,
    /// What is wrong with the log entries and timestamps that could not be read.
    pub unread: Vec<String>,
    /// What is signed, with the signatures.
    pub envelope: Envelope,
    /// Whether it has members that version 0.3 does not have.
    pub has_unknown: bool,
}

/// What a bundle names to verify with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Material {
    /// A certificate.
    Certificate(Certificate),
    /// A hint at the key, which nothing vouches for.
    Key(String),
    /// Nothing that is known.
    None,
}

/// Bytes that are no bundle with an envelope.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it is no sigstore bundle of an envelope: {reason}")]
pub struct BundleError {
    /// What is wrong.
    pub reason: String,
}

impl Bundle {
    /// Reads a bundle: members in any order, with any white space, of any version.
    ///
    /// # Errors
    ///
    /// When it is no JSON, or has no DSSE envelope: a bundle of a message signature is no image's.
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        let wrong = |reason: &str| BundleError { reason: reason.to_owned() };
        let value: Value =
            serde_json::from_slice(bytes).map_err(|error| wrong(&error.to_string()))?;
        let media_type = proto_json::text(&value, "mediaType").unwrap_or_default();
        let version = version(media_type)
            .ok_or_else(|| wrong(&format!("`{media_type}` is the media type of something else")))?;
        let envelope = proto_json::member(&value, "dsseEnvelope");
        let envelope = envelope.ok_or_else(|| wrong("it has no `dsseEnvelope`"))?;
        let envelope = Envelope::read(envelope).map_err(|reason| wrong(&reason))?;
        let none = Value::Null;
        let material = proto_json::member(&value, "verificationMaterial").unwrap_or(&none);
        let (key, chain) = key_material(material);
        let mut unread = Vec::new();
        let entries = proto_json::member(material, "tlogEntries").and_then(Value::as_array);
        let mut log_entries = Vec::new();
        for entry in entries.map(Vec::as_slice).unwrap_or_default() {
            match LogEntry::from_json(entry) {
                Ok(entry) => log_entries.push(entry),
                Err(error) => unread.push(error.to_string()),
            }
        }
        let mut timestamps = Vec::new();
        for token in timestamps_of(material) {
            match token {
                Some(token) => timestamps.push(token),
                None => unread.push("a timestamp is no base64".to_owned()),
            }
        }
        let has_unknown = !strict::is_known_bundle(&value);
        Ok(Self {
            version,
            material: key,
            chain,
            log_entries,
            timestamps,
            unread,
            envelope,
            has_unknown,
        })
    }

    /// The signature, where there is exactly one.
    pub fn signature(&self) -> Option<&SignatureBytes> {
        match self.envelope.signatures.as_slice() {
            [only] => Some(&only.signature),
            _ => None,
        }
    }

    /// Says whether the payload is an in-toto statement.
    pub fn has_statement(&self) -> bool {
        self.envelope.payload_type == IN_TOTO
    }

    /// Why cosign 3.1 passes over this bundle though its signature is good; none where it takes it.
    ///
    /// Source: cosign `pkg/cosign/verify.go`, `GetBundles`; measured with 3.1.1.
    pub fn passed_over(&self) -> Option<&'static str> {
        if self.version < (0, 3) {
            Some("a version before 0.3")
        } else if self.version > (0, 3) {
            Some("a version after 0.3")
        } else if self.chain > 0 {
            Some("a chain of certificates")
        } else if self.envelope.signatures.iter().any(|it| !it.key_id.is_empty()) {
            Some("a `keyid`")
        } else if self.log_entries.iter().any(|it| it.inclusion.is_none()) {
            Some("a log entry without its proof of inclusion")
        } else if !self.unread.is_empty() {
            Some("a log entry or timestamp that cannot be read")
        } else if self.material == Material::None {
            Some("neither key nor certificate")
        } else if self.has_unknown
            || self.has_statement() && !strict::is_known_statement(&self.envelope.payload)
        {
            Some("members that nobody knows")
        } else {
            None
        }
    }
}

/// `application/vnd.dev.sigstore.bundle.v0.3+json`, and `…bundle+json;version=0.2` before it.
fn version(media_type: &str) -> Option<(u32, u32)> {
    let rest = media_type.strip_prefix(BUNDLE_PREFIX)?;
    let text = match rest.strip_prefix(".v") {
        Some(rest) => rest.strip_suffix("+json")?,
        None => rest.strip_prefix("+json;")?.trim().strip_prefix("version=")?.trim_matches('"'),
    };
    let mut numbers = text.split('.').map(str::parse::<u32>);
    match (numbers.next()?, numbers.next()?) {
        (Ok(major), Ok(minor)) => Some((major, minor)),
        _ => None,
    }
}

fn key_material(material: &Value) -> (Material, usize) {
    let read = |value: &Value| {
        let der = bytes_of(proto_json::text(value, "rawBytes")?)?;
        Certificate::from_der(&der).ok()
    };
    if let Some(leaf) = proto_json::member(material, "certificate") {
        return (read(leaf).map_or(Material::None, Material::Certificate), 0);
    }
    if let Some(chain) = proto_json::member(material, "x509CertificateChain")
        .and_then(|it| proto_json::member(it, "certificates")?.as_array())
    {
        let leaf = chain.first().and_then(read);
        return (leaf.map_or(Material::None, Material::Certificate), chain.len());
    }
    let hint = proto_json::member(material, "publicKey");
    let hint = hint.map(|it| proto_json::text(it, "hint").unwrap_or_default().to_owned());
    (hint.map_or(Material::None, Material::Key), 0)
}

/// A bundle that is to be written, of one signature over a statement.
#[derive(Clone, Copy, Debug)]
pub struct NewBundle<'a> {
    /// The key, named where there is no certificate.
    pub key: &'a PublicKey,
    /// The leaf certificate: version 0.3 takes it alone, its chain is in the verifier's trusted root.
    pub certificate: Option<&'a Certificate>,
    /// The statement.
    pub statement: &'a [u8],
    /// The signature over [`statement_signed_bytes`].
    pub signature: &'a SignatureBytes,
    /// The log entries, in order.
    pub log_entries: &'a [LogEntry],
    /// The timestamps, in order: the DER of responses.
    pub timestamps: &'a [Vec<u8>],
}

/// The bytes that are signed of a statement.
pub fn statement_signed_bytes(statement: &[u8]) -> Vec<u8> {
    pre_authentication_encoding(IN_TOTO, statement)
}

/// The envelope of one signature over a statement, as JSON: the form that stands in a bundle, and that is recorded
/// in Rekor v1.
pub fn envelope_json(statement: &[u8], signature: &SignatureBytes) -> String {
    json!({
        "payload": base64_of(statement),
        "payloadType": IN_TOTO,
        "signatures": [{ "sig": signature.to_base64() }],
    })
    .to_string()
}

impl NewBundle<'_> {
    /// The bytes, compact, in the order of cosign's.
    #[expect(clippy::expect_used, reason = "maps have string keys and every value is plain data")]
    pub fn to_bytes(&self) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Json<'a> {
            media_type: &'a str,
            verification_material: JsonMaterial,
            dsse_envelope: JsonEnvelope<'a>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct JsonMaterial {
            #[serde(skip_serializing_if = "Option::is_none")]
            public_key: Option<Value>,
            #[serde(skip_serializing_if = "Option::is_none")]
            certificate: Option<Value>,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            tlog_entries: Vec<Value>,
            #[serde(skip_serializing_if = "Option::is_none")]
            timestamp_verification_data: Option<Value>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct JsonEnvelope<'a> {
            payload: String,
            payload_type: &'a str,
            signatures: [JsonSignature; 1],
        }
        #[derive(Serialize)]
        struct JsonSignature {
            sig: String,
        }
        let certificate =
            self.certificate.map(|leaf| json!({ "rawBytes": base64_of(leaf.as_der()) }));
        let public_key = certificate.is_none().then(|| json!({ "hint": self.key.hint() }));
        let verification_material = JsonMaterial {
            public_key,
            certificate,
            tlog_entries: self.log_entries.iter().map(LogEntry::to_json).collect(),
            timestamp_verification_data: (!self.timestamps.is_empty())
                .then(|| timestamps_to_json(self.timestamps)),
        };
        serde_json::to_vec(&Json {
            media_type: BUNDLE_MEDIA_TYPE,
            verification_material,
            dsse_envelope: JsonEnvelope {
                payload: base64_of(self.statement),
                payload_type: IN_TOTO,
                signatures: [JsonSignature { sig: self.signature.to_base64() }],
            },
        })
        .expect("plain data is always JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::crypto::Hash;
    use crate::model::{Annotations, Digest};
    use crate::payload::{SignStatement, Statement};

    const KEY: &str = include_str!("../../tests/fixtures/keys/p256.pub");
    /// Written by cosign 3.1.1: see the README there.
    const PLAIN: &[u8] = include_bytes!("../../tests/fixtures/bundles/plain.sigstore.json");
    const ANNOTATED: &[u8] = include_bytes!("../../tests/fixtures/bundles/annotated.sigstore.json");
    const ATTESTATION: &[u8] =
        include_bytes!("../../tests/fixtures/bundles/attestation.sigstore.json");

    fn digest() -> Digest {
        "sha256:9ec512b0442d651c99da2e894a426568dff49e8a3484bfad4c5ea2fcb47fb983".parse().unwrap()
    }

    #[test]
    fn bundles_and_statements_are_cosigns() {
        let key = PublicKey::from_pem(KEY).unwrap();
        let annotated = [("h", "<a&b>"), ("q", "\"é😀\"")];
        let annotated = annotated.map(|(key, value)| (key.to_owned(), value.to_owned()));
        for (file, annotations) in
            [(PLAIN, Annotations::new()), (ANNOTATED, Annotations::from(annotated))]
        {
            let bundle = Bundle::parse(file).unwrap();
            let statement = SignStatement { digest: &digest(), annotations: &annotations };
            assert_eq!(bundle.envelope.payload, statement.to_bytes());
            let signature = bundle.signature().unwrap();
            let signed = bundle.envelope.signed_bytes();
            assert_eq!(signed, statement_signed_bytes(&bundle.envelope.payload));
            assert!(key.verifies(&signed, signature, Hash::Sha256));
            assert_eq!(bundle.material, Material::Key(key.hint()));
            assert_eq!(bundle.passed_over(), None);
            let statement = &bundle.envelope.payload;
            let again = NewBundle {
                key: &key,
                certificate: None,
                statement,
                signature,
                log_entries: &[],
                timestamps: &[],
            };
            assert_eq!(String::from_utf8(again.to_bytes()).unwrap().as_bytes(), file);
            let claim = Statement::parse(statement).unwrap().claim(&digest()).unwrap();
            assert_eq!((claim.annotations, claim.digest), (annotations, digest()));
        }
    }

    #[test]
    fn bundles_with_evidence_are_cosigns() {
        const KEYLESS: &[u8] =
            include_bytes!("../../tests/fixtures/evidence/bundle-keyless-v1.sigstore.json");
        const KEY: &[u8] =
            include_bytes!("../../tests/fixtures/evidence/bundle-p256-v2.sigstore.json");
        for file in [KEYLESS, KEY] {
            let bundle = Bundle::parse(file).unwrap();
            let (certificate, key) = match &bundle.material {
                Material::Certificate(leaf) => (Some(leaf), leaf.public_key().clone()),
                _ => (None, PublicKey::from_pem(self::KEY).unwrap()),
            };
            let again = NewBundle {
                key: &key,
                certificate,
                statement: &bundle.envelope.payload,
                signature: bundle.signature().unwrap(),
                log_entries: &bundle.log_entries,
                timestamps: &bundle.timestamps,
            };
            assert_eq!((bundle.log_entries.len(), bundle.timestamps.len()), (1, 1));
            assert_eq!(String::from_utf8(again.to_bytes()).unwrap().as_bytes(), file);
        }
    }

    #[test]
    fn an_attestation_is_no_signature() {
        let bundle = Bundle::parse(ATTESTATION).unwrap();
        assert!(bundle.has_statement());
        assert_eq!(Statement::parse(&bundle.envelope.payload).unwrap().claim(&digest()), None);
    }

    #[test]
    fn other_spellings_and_versions_are_read() {
        let value: Value = serde_json::from_slice(PLAIN).unwrap();
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let original = pretty
            .replace("dsseEnvelope", "dsse_envelope")
            .replace("payloadType", "payload_type")
            .replace("verificationMaterial", "verification_material");
        let expected = Bundle::parse(PLAIN).unwrap();
        for text in [&pretty, &original] {
            let read = Bundle::parse(text.as_bytes()).unwrap();
            assert_eq!(
                (read.envelope, read.material),
                (expected.envelope.clone(), expected.material.clone())
            );
        }
        let change = |from: &str, to: &str| {
            let text = value.to_string().replace(from, to);
            Bundle::parse(text.as_bytes()).unwrap().passed_over()
        };
        assert_eq!(change(".v0.3+json", "+json;version=0.2"), Some("a version before 0.3"));
        assert_eq!(change("{\"sig\"", "{\"keyid\":\"k\",\"sig\""), Some("a `keyid`"));
        assert_eq!(change("{\"sig\"", "{\"keyid\":\"\",\"sig\""), None);
        assert_eq!(change(".v0.3", ".v0.4"), Some("a version after 0.3"));
        assert_eq!(change("\"publicKey\"", "\"other\""), Some("neither key nor certificate"));
        assert_eq!(change("\"hint\"", "\"more\""), Some("members that nobody knows"));
        let chain = r#""x509CertificateChain":{"certificates":[{"rawBytes":"AA=="}]},"x":"#;
        assert_eq!(change("\"publicKey\":", chain), Some("a chain of certificates"));
    }

    #[test]
    fn what_is_no_bundle_is_told() {
        for (text, reason) in [
            ("<html>", "expected value"),
            ("{}", "the media type of something else"),
            (
                r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}"#,
                "no `dsseEnvelope`",
            ),
            (
                r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{"payload":"%"}}"#,
                "no base64",
            ),
        ] {
            let error = Bundle::parse(text.as_bytes()).unwrap_err();
            assert!(error.reason.contains(reason), "{text}: {error}");
        }
    }
}
