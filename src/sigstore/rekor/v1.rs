//! Rekor v1: entries with the promise of the log at once, and a search by hash.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::crypto::Hash;
use crate::model::{SafeUrl, Timestamp};
use crate::payload::{EntryKind, InclusionProof, LogEntry, envelope_json};
use crate::sigstore::connection::Connection;
use crate::sigstore::rekor::{Log, RECORD, Recorded};
use crate::sigstore::{Network, Service, ServiceError, ServiceErrorKind};
use crate::trust::{Content, Signed, Verifier};
use crate::wire::http::{Call, HttpFailure, HttpFailureKind};

/// More make it no faster, and the public one limits requests.
const AT_ONCE: usize = 16;
/// As many entries as Rekor gives in one answer.
const MOST_FOUND: usize = 10;

/// A log that speaks version 1 of the API.
#[derive(Debug)]
pub struct RekorV1 {
    connection: Connection,
    /// It could not be searched once: it is not asked again.
    is_mute: AtomicBool,
}

impl RekorV1 {
    /// The log at `url`. Sends nothing.
    ///
    /// # Errors
    ///
    /// `rekor::refused` for what is no URL; `rekor::tls`.
    pub fn new(url: &str, network: &Network) -> Result<Self, ServiceError> {
        let connection = Connection::new(Service::Rekor, url, AT_ONCE, network)?;
        Ok(Self { connection, is_mute: AtomicBool::new(false) })
    }

    async fn entry(&self, uuid: &str) -> Result<Value, ServiceError> {
        let failed = |failure: HttpFailure| self.connection.failed("read an entry of", &failure);
        let path = format!("/api/v1/log/entries/{uuid}");
        let call = Call::new(Method::GET, self.connection.url(&path));
        self.connection.send(&call).await.map_err(failed)?.json().map_err(failed)
    }

    /// Entries by what they are over; `None` where the log does not search.
    async fn search(&self, digest: &[u8; 32]) -> Option<Vec<Recorded>> {
        let connection = &self.connection;
        let query = json!({ "hash": format!("sha256:{}", hex::encode(digest)) });
        let call = Call::new(Method::POST, connection.url("/api/v1/index/retrieve")).json(&query);
        let found = connection.ask(&call).await.ok()?.json().ok()?;
        let found = found.as_array()?;
        // The newest stand last.
        let newest = found.iter().skip(found.len().saturating_sub(MOST_FOUND));
        let ids: Vec<&str> = newest.filter_map(Value::as_str).collect();
        if ids.is_empty() {
            return Some(Vec::new());
        }
        let query = json!({ "entryUUIDs": ids });
        let path = "/api/v1/log/entries/retrieve";
        let call = Call::new(Method::POST, connection.url(path)).json(&query);
        let entries = connection.ask(&call).await.ok()?.json().ok()?;
        let mut recorded: Vec<Recorded> =
            entries.as_array()?.iter().filter_map(|it| Recorded::read(read(it).ok()?)).collect();
        recorded.sort_by_key(|it| std::cmp::Reverse(it.entry.log_index));
        Some(recorded)
    }
}

#[async_trait]
impl Log for RekorV1 {
    fn at(&self) -> SafeUrl {
        self.connection.at()
    }

    #[tracing::instrument(name = "rekor.record", skip_all, err(level = "debug"))]
    async fn record(&self, signed: &Signed<'_>, hash: Hash) -> Result<LogEntry, ServiceError> {
        let entry = proposed(signed, hash).ok_or_else(|| {
            self.connection.refused(RECORD, "a message of which only the hash is known")
        })?;
        let call = Call::new(Method::POST, self.connection.url("/api/v1/log/entries")).json(&entry);
        let failed = |failure: HttpFailure| self.connection.failed(RECORD, &failure);
        let answer = match self.connection.send(&call).await {
            Ok(answer) => answer.json().map_err(failed)?,
            Err(failure) if failure.kind == HttpFailureKind::Conflict => {
                let id = existing(&failure).ok_or_else(|| failed(failure))?;
                self.entry(&id).await?
            }
            Err(failure) => return Err(with_advice(failed(failure))),
        };
        read(&answer).map_err(|why| self.connection.untrusted(RECORD, why))
    }

    fn refuses(&self, _: &Signed<'_>, _: Hash) -> Option<ServiceError> {
        None
    }

    async fn find(&self, digest: &[u8; 32]) -> Vec<Recorded> {
        if self.is_mute.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let found = self.search(digest).await;
        if found.is_none() {
            self.is_mute.store(true, Ordering::Relaxed);
            tracing::debug!(log = %self.connection.at(), "rekor.no_search");
        }
        found.unwrap_or_default()
    }
}

/// Source: Rekor's types `hashedrekord` and `dsse`, version 0.0.1; spelt as cosign spells them.
fn proposed(signed: &Signed<'_>, hash: Hash) -> Option<Value> {
    let verifier = match signed.verifier {
        Verifier::Key(key) => key.to_pem(),
        Verifier::Certificate(certificate) => certificate.to_pem(),
    };
    let verifier = STANDARD.encode(verifier);
    Some(match signed.content {
        Content::Message(message) => json!({
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": hash.name(), "value": hex::encode(hash.digest(message))}},
                "signature": {
                    "content": signed.signature.to_base64(),
                    "publicKey": {"content": verifier},
                },
            },
        }),
        Content::Statement(statement) => json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {"proposedContent": {
                "envelope": envelope_json(statement, signed.signature),
                "verifiers": [verifier],
            }},
        }),
        Content::Digest(_) => return None,
    })
}

/// Newer logs take each kind of key with the hash of its size only; a `dsse` entry they check with SHA-256 alone.
fn with_advice(error: ServiceError) -> ServiceError {
    match error.kind {
        ServiceErrorKind::Refused => error.advise(
            "where it refuses the algorithm: use a P-256 or RSA key with SHA-256, which every log and every cosign takes, or `transparency_log = false`",
        ),
        _ => error,
    }
}

/// The id of the entry that is there already: in `Location`, and in what the log says.
fn existing(failure: &HttpFailure) -> Option<String> {
    let is_id =
        |text: &str| matches!(text.len(), 64 | 80) && text.chars().all(|c| c.is_ascii_hexdigit());
    let location = failure.header("location").and_then(|it| it.rsplit('/').next());
    let said = failure.said.split(|c: char| !c.is_ascii_hexdigit());
    location.into_iter().chain(said).find(|it| is_id(it)).map(str::to_owned)
}

/// Reads `{ID: {…}}` with one entry.
///
/// Source: Rekor's `openapi.yaml`, `LogEntry`.
fn read(answer: &Value) -> Result<LogEntry, String> {
    let entries = answer.as_object().ok_or("its answer has no entry")?;
    let mut entries = entries.values();
    let (Some(entry), None) = (entries.next(), entries.next()) else {
        return Err("its answer has not exactly one entry".into());
    };
    let text = |path: &str| entry.pointer(path).and_then(Value::as_str);
    let number = |path: &str| entry.pointer(path).and_then(Value::as_u64);
    let body = text("/body").and_then(|it| STANDARD.decode(it).ok());
    let body = body.ok_or("the entry in its answer has no body")?;
    let says: Value = serde_json::from_slice(&body).unwrap_or_default();
    let said = |name| says.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let time = entry.get("integratedTime").and_then(Value::as_i64);
    let proof = entry.pointer("/verification/inclusionProof").map(|_| InclusionProof {
        log_index: number("/verification/inclusionProof/logIndex").unwrap_or_default(),
        tree_size: number("/verification/inclusionProof/treeSize").unwrap_or_default(),
        root_hash: text("/verification/inclusionProof/rootHash")
            .and_then(|it| hex::decode(it).ok())
            .unwrap_or_default(),
        hashes: entry
            .pointer("/verification/inclusionProof/hashes")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
            .iter()
            .map(|it| it.as_str().and_then(|it| hex::decode(it).ok()).unwrap_or_default())
            .collect(),
        checkpoint: text("/verification/inclusionProof/checkpoint").unwrap_or_default().to_owned(),
    });
    Ok(LogEntry {
        log_id: text("/logID").and_then(|it| hex::decode(it).ok()).unwrap_or_default(),
        log_index: number("/logIndex").ok_or("the entry in its answer has no index")?,
        kind: EntryKind { name: said("kind"), version: said("apiVersion") },
        integrated_time: time.map(Timestamp::from_seconds),
        promise: text("/verification/signedEntryTimestamp").and_then(|it| STANDARD.decode(it).ok()),
        inclusion: proof,
        body,
    })
}
