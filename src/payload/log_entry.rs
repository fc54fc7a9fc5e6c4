//! Entries of transparency logs, as annotations and bundles carry them. Pure, and nothing here is believed.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::model::{Timestamp, go_json};
use crate::payload::dsse::{base64_of, bytes_of};
use crate::payload::proto_json;

/// An entry of a transparency log with what proves it, as it was found or received.
///
/// Reading one believes nothing of it: `trust` says what holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogEntry {
    /// The log: 32 bytes, SHA-256 of its key (Rekor v1) or of its name and key (Rekor v2).
    pub log_id: Vec<u8>,
    /// The place in the log, from 0, over all its shards.
    pub log_index: u64,
    /// What kind of entry the body says it is.
    pub kind: EntryKind,
    /// When the log says that it took the entry; `None` in Rekor v2. It counts only where `promise` covers it.
    pub integrated_time: Option<Timestamp>,
    /// The log's signature over body, time, place and log ("signed entry timestamp"); `None` in Rekor v2.
    pub promise: Option<Vec<u8>>,
    /// The proof that the entry is in the tree; annotations do not carry it.
    pub inclusion: Option<InclusionProof>,
    /// The entry itself: canonical JSON.
    pub body: Vec<u8>,
}

/// The name and version of the form of an entry: `hashedrekord` `0.0.1`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct EntryKind {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The way from an entry to the root of the tree, and the root as the log signed it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InclusionProof {
    /// The place in the tree of the proof, which is one shard of the log.
    pub log_index: u64,
    /// How many entries that tree has.
    pub tree_size: u64,
    /// The root hash, 32 bytes.
    pub root_hash: Vec<u8>,
    /// The hashes beside the way, from the leaf up.
    pub hashes: Vec<Vec<u8>>,
    /// The signed note with size and root.
    pub checkpoint: String,
}

/// Text or JSON that is no log entry.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("it is no log entry: {reason}")]
pub struct LogEntryError {
    /// What is wrong.
    pub reason: String,
}

/// At most as many hashes as a tree of 2⁶⁴ leaves needs.
const MAX_HASHES: usize = 64;

impl LogEntry {
    /// Reads the annotation `dev.sigstore.cosign/bundle`.
    ///
    /// # Errors
    ///
    /// When it is no such JSON, or a member has another shape.
    pub fn from_annotation(text: &str) -> Result<Self, LogEntryError> {
        let value: Value = serde_json::from_str(text).map_err(|error| wrong(&error.to_string()))?;
        let promise = value.get("SignedEntryTimestamp").and_then(Value::as_str);
        let payload = value.get("Payload").ok_or_else(|| wrong("it has no `Payload`"))?;
        let body = payload.get("body").and_then(Value::as_str).and_then(bytes_of);
        let body = body.ok_or_else(|| wrong("`body` is no base64"))?;
        let log_id = payload.get("logID").and_then(Value::as_str);
        let log_id = log_id.and_then(|it| hex::decode(it).ok());
        Ok(Self {
            log_id: log_id.ok_or_else(|| wrong("`logID` is not hexadecimal"))?,
            log_index: number(payload, "logIndex")?,
            kind: kind_of(&body),
            integrated_time: time(payload)?,
            promise: promise.and_then(bytes_of).filter(|it| !it.is_empty()),
            inclusion: None,
            body,
        })
    }

    /// The annotation, byte for byte as cosign writes it; `None` where there is no promise or no time.
    ///
    /// A simple signature cannot keep an entry of Rekor v2, which has neither.
    pub fn to_annotation(&self) -> Option<String> {
        #[derive(Serialize)]
        struct Annotation {
            #[serde(rename = "SignedEntryTimestamp")]
            promise: String,
            #[serde(rename = "Payload")]
            payload: Payload,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Payload {
            body: String,
            integrated_time: i64,
            log_index: u64,
            #[serde(rename = "logID")]
            log_id: String,
        }
        let annotation = Annotation {
            promise: base64_of(self.promise.as_deref()?),
            payload: Payload {
                body: base64_of(&self.body),
                integrated_time: self.integrated_time?.as_seconds(),
                log_index: self.log_index,
                log_id: hex::encode(&self.log_id),
            },
        };
        String::from_utf8(go_json::to_vec(&annotation)).ok()
    }

    /// Reads a `TransparencyLogEntry` of a bundle, or of the answer of Rekor v2.
    ///
    /// # Errors
    ///
    /// When a member is missing that every entry has, or has another shape.
    pub fn from_json(value: &Value) -> Result<Self, LogEntryError> {
        let bytes = |value: &Value, name: &str| proto_json::text(value, name).and_then(bytes_of);
        let log_id = proto_json::member(value, "logId").and_then(|it| bytes(it, "keyId"));
        let kind = proto_json::member(value, "kindVersion");
        let kind = kind.ok_or_else(|| wrong("it has no `kindVersion`"))?;
        let text = |name| proto_json::text(kind, name).unwrap_or_default().to_owned();
        let promise = proto_json::member(value, "inclusionPromise");
        let body = bytes(value, "canonicalizedBody").filter(|it| !it.is_empty());
        Ok(Self {
            log_id: log_id.ok_or_else(|| wrong("`logId` is no base64"))?,
            log_index: number(value, "logIndex")?,
            kind: EntryKind { name: text("kind"), version: text("version") },
            integrated_time: time(value)?,
            promise: promise
                .and_then(|it| bytes(it, "signedEntryTimestamp"))
                .filter(|it| !it.is_empty()),
            inclusion: proto_json::member(value, "inclusionProof")
                .map(InclusionProof::from_json)
                .transpose()?,
            body: body.ok_or_else(|| wrong("it has no `canonicalizedBody`"))?,
        })
    }

    /// The same as a bundle has it, in the order and spelling of cosign 3.1.
    pub fn to_json(&self) -> Value {
        let mut entry = Map::new();
        let mut put = |name: &str, value: Value| entry.insert(name.to_owned(), value);
        // Zero is what protobuf leaves out.
        if self.log_index > 0 {
            put("logIndex", self.log_index.to_string().into());
        }
        put("logId", json!({ "keyId": base64_of(&self.log_id) }));
        put("kindVersion", json!({ "kind": self.kind.name, "version": self.kind.version }));
        if let Some(time) = self.integrated_time {
            put("integratedTime", time.as_seconds().to_string().into());
        }
        if let Some(promise) = &self.promise {
            put("inclusionPromise", json!({ "signedEntryTimestamp": base64_of(promise) }));
        }
        if let Some(proof) = &self.inclusion {
            put("inclusionProof", proof.to_json());
        }
        put("canonicalizedBody", base64_of(&self.body).into());
        Value::Object(entry)
    }
}

impl InclusionProof {
    fn from_json(value: &Value) -> Result<Self, LogEntryError> {
        let hashes = proto_json::member(value, "hashes").and_then(Value::as_array);
        let hashes = hashes.map(Vec::as_slice).unwrap_or_default();
        if hashes.len() > MAX_HASHES {
            return Err(wrong("its proof has more hashes than any tree needs"));
        }
        let hashes: Option<Vec<Vec<u8>>> =
            hashes.iter().map(|it| it.as_str().and_then(bytes_of)).collect();
        let checkpoint = proto_json::member(value, "checkpoint");
        Ok(Self {
            log_index: number(value, "logIndex")?,
            tree_size: number(value, "treeSize")?,
            root_hash: proto_json::text(value, "rootHash").and_then(bytes_of).unwrap_or_default(),
            hashes: hashes.ok_or_else(|| wrong("a hash of its proof is no base64"))?,
            checkpoint: checkpoint
                .and_then(|it| proto_json::text(it, "envelope"))
                .ok_or_else(|| wrong("its proof has no checkpoint"))?
                .to_owned(),
        })
    }

    fn to_json(&self) -> Value {
        let mut proof = Map::new();
        let mut put = |name: &str, value: Value| proof.insert(name.to_owned(), value);
        if self.log_index > 0 {
            put("logIndex", self.log_index.to_string().into());
        }
        put("rootHash", base64_of(&self.root_hash).into());
        put("treeSize", self.tree_size.to_string().into());
        if !self.hashes.is_empty() {
            put("hashes", self.hashes.iter().map(|it| Value::from(base64_of(it))).collect());
        }
        put("checkpoint", json!({ "envelope": self.checkpoint }));
        Value::Object(proof)
    }
}

fn wrong(reason: &str) -> LogEntryError {
    LogEntryError { reason: reason.to_owned() }
}

/// A number that is not negative: as such, or as text, as protobuf writes 64 bits; absent is 0.
fn number(value: &Value, name: &str) -> Result<u64, LogEntryError> {
    let Some(found) = proto_json::member(value, name) else { return Ok(0) };
    let number = found.as_u64().or_else(|| found.as_str()?.parse().ok());
    number.ok_or_else(|| wrong(&format!("`{name}` is no number from 0")))
}

/// The integrated time, where there is one: 0 is none.
fn time(value: &Value) -> Result<Option<Timestamp>, LogEntryError> {
    let seconds = number(value, "integratedTime")?;
    let seconds = i64::try_from(seconds).map_err(|_| wrong("`integratedTime` is no time"))?;
    Ok((seconds > 0).then(|| Timestamp::from_seconds(seconds)))
}

/// What an entry says of itself.
fn kind_of(body: &[u8]) -> EntryKind {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    EntryKind { name: text("kind"), version: text("apiVersion") }
}

#[cfg(test)]
mod tests;
