//! What a service may say that is not so. Each is one change to a real question or a real answer.

use axum::body::Bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;

/// A wrong answer of one service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lie {
    /// Fulcio: a certificate for somebody else.
    CertificateIdentity,
    /// Fulcio: a certificate for another key.
    CertificateKey,
    /// Fulcio: the CT log's promise is for another certificate.
    CertificateTimestamp,
    /// Rekor: the checkpoint's signature does not hold.
    Checkpoint,
    /// Rekor: the entry is about something else.
    Entry,
    /// Rekor: the way from the entry to the root leads elsewhere.
    InclusionProof,
    /// Rekor v1: another time than the one that the promise is signed for.
    IntegratedTime,
    /// A timestamp authority: the timestamp of something else.
    Imprint,
    /// A timestamp authority: the answer to another question. cosign asks without a nonce, and cannot see it.
    Nonce,
}

impl Lie {
    /// What our Fulcio is asked to do wrong: tests/servers/sigstore.
    pub fn headers(self) -> HeaderMap {
        let wrong = match self {
            Self::CertificateIdentity => "identity",
            Self::CertificateKey => "key",
            Self::CertificateTimestamp => "sct",
            _ => return HeaderMap::new(),
        };
        HeaderMap::from_iter([("test-wrong".parse().unwrap(), HeaderValue::from_static(wrong))])
    }

    /// The question, as the service gets it.
    pub fn change_request(self, body: Bytes) -> Bytes {
        let mut body = body.to_vec();
        let request = TimestampRequest::of(&body);
        match (self, request) {
            (Self::Imprint, Some(request)) => body[request.imprint_ends - 1] ^= 1,
            (Self::Nonce, Some(TimestampRequest { nonce_ends: Some(end), .. })) => {
                body[end - 1] ^= 1
            }
            _ => {}
        }
        body.into()
    }

    /// The answer, as the client gets it.
    pub fn change_answer(self, content: Bytes) -> Bytes {
        let Ok(mut answer) = serde_json::from_slice::<Value>(&content) else { return content };
        // Rekor v1 answers with one entry under its name, v2 with the entry.
        let is_first = answer.get("logIndex").is_none();
        let entry = if is_first {
            answer.as_object_mut().and_then(|it| it.values_mut().next())
        } else {
            Some(&mut answer)
        };
        let Some(entry) = entry.filter(|it| it.is_object()) else { return content };
        match self {
            Self::Checkpoint => change_checkpoint(entry),
            Self::Entry => change_body(entry),
            Self::InclusionProof => change_proof(entry),
            Self::IntegratedTime if is_first => {
                let time = entry["integratedTime"].as_i64().unwrap();
                entry["integratedTime"] = (time - 60).into();
            }
            _ => return content,
        }
        answer.to_string().into()
    }
}

fn proof(entry: &mut Value) -> &mut Value {
    let proof = if entry.get("verification").is_some() {
        entry.pointer_mut("/verification/inclusionProof")
    } else {
        entry.get_mut("inclusionProof")
    };
    proof.expect("an entry with a proof")
}

/// The last line of a checkpoint is its signature, base64.
fn change_checkpoint(entry: &mut Value) {
    let checkpoint = &mut proof(entry)["checkpoint"];
    let text = match checkpoint {
        Value::Object(object) => &mut object["envelope"],
        other => other,
    };
    let note = text.as_str().unwrap().trim_end();
    let (before, signature) = note.rsplit_once(' ').unwrap();
    *text = format!("{before} {}\n", changed(signature)).into();
}

/// The first hash on the way, or one more where there is none.
fn change_proof(entry: &mut Value) {
    let proof = proof(entry);
    let root = proof["rootHash"].as_str().unwrap().to_owned();
    let hashes = match proof.get_mut("hashes") {
        Some(Value::Array(hashes)) => hashes,
        _ => {
            proof["hashes"] = Value::Array(Vec::new());
            proof["hashes"].as_array_mut().unwrap()
        }
    };
    match hashes.first_mut() {
        Some(first) => *first = root.into(),
        None => hashes.push(root.into()),
    }
}

/// The digest that the entry is about.
fn change_body(entry: &mut Value) {
    let name = if entry.get("canonicalizedBody").is_some() { "canonicalizedBody" } else { "body" };
    let body = STANDARD.decode(entry[name].as_str().unwrap()).unwrap();
    let mut body: Value = serde_json::from_slice(&body).unwrap();
    let digest = find_digest(&mut body).expect("an entry with a digest");
    *digest = if digest.as_str().unwrap().len() == 64 {
        "0".repeat(64).into()
    } else {
        changed(digest.as_str().unwrap()).into()
    };
    entry[name] = STANDARD.encode(body.to_string()).into();
}

/// `data.hash.value`, `payloadHash.value`, `data.digest` or `payloadHash.digest`, wherever it stands.
fn find_digest(value: &mut Value) -> Option<&mut Value> {
    const PATHS: [&str; 4] = [
        "/spec/data/hash/value",
        "/spec/payloadHash/value",
        "/spec/hashedRekordV002/data/digest",
        "/spec/dsseV002/payloadHash/digest",
    ];
    let path = PATHS.into_iter().find(|path| value.pointer(path).is_some())?;
    value.pointer_mut(path)
}

/// Base64 of bytes whose last differs.
fn changed(base64: &str) -> String {
    let mut bytes = STANDARD.decode(base64).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    STANDARD.encode(bytes)
}

/// Where the digest and the nonce of a request end: RFC 3161, §2.4.1.
struct TimestampRequest {
    imprint_ends: usize,
    nonce_ends: Option<usize>,
}

impl TimestampRequest {
    /// Reads a request with short lengths, as requests for SHA-256 to SHA-512 are.
    fn of(body: &[u8]) -> Option<Self> {
        let next = |at: usize| Some((*body.get(at)?, at + 2 + usize::from(*body.get(at + 1)?)));
        let (0x30, _) = next(0)? else { return None };
        let (0x02, version_ends) = next(2)? else { return None };
        let (0x30, imprint_ends) = next(version_ends)? else { return None };
        let (mut at, mut nonce_ends) = (imprint_ends, None);
        while let Some((tag, ends)) = next(at) {
            if tag == 0x02 {
                nonce_ends = Some(ends);
            }
            at = ends;
        }
        Some(Self { imprint_ends, nonce_ends })
    }
}
