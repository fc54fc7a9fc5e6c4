//! A TUF repository of our own, on loopback: signed like a real one, and able to lie.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use countersign::model::Digest;
use serde_json::{Value, json};

/// A repository that one key signs for every role.
pub struct TufRepository {
    pub url: String,
    /// The first root, which clients begin with.
    pub root: Vec<u8>,
    served: Arc<Mutex<Served>>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Served {
    files: BTreeMap<String, Vec<u8>>,
    requests: Vec<String>,
    is_down: bool,
}

/// What a repository is to hold.
pub struct Contents<'a> {
    /// The version of timestamp, snapshot and targets.
    pub version: u64,
    /// Until when all of it holds: `2999-01-01T00:00:00Z`.
    pub expires: &'a str,
    /// The files.
    pub targets: &'a [(&'a str, &'a [u8])],
}

impl Drop for TufRepository {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The keys of a repository.
pub fn key() -> Ed25519KeyPair {
    Ed25519KeyPair::generate().unwrap()
}

impl TufRepository {
    /// Starts one that `key` signs.
    pub async fn start(key: &Ed25519KeyPair, contents: &Contents<'_>) -> Self {
        let served = Arc::new(Mutex::new(Served::default()));
        let router = Router::new().route("/{*path}", get(serve)).with_state(Arc::clone(&served));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let root = root(1, contents.expires, key, &[key]);
        let repository = Self { url, root, served, server };
        repository.publish(key, contents);
        repository
    }

    /// Replaces everything but roots with `contents`, signed by `key`.
    pub fn publish(&self, key: &Ed25519KeyPair, contents: &Contents<'_>) {
        let Contents { version, expires, targets } = contents;
        let pins = |bytes: &[u8]| json!({ "length": bytes.len(), "hashes": { "sha256": Digest::of(bytes).hex() } });
        let pinned: BTreeMap<&str, Value> =
            targets.iter().map(|(name, bytes)| (*name, pins(bytes))).collect();
        let common = |role: &str| json!({ "_type": role, "spec_version": "1.0", "version": version, "expires": expires });
        let with = |role: &str, name: &str, value: Value| {
            let mut signed = common(role);
            signed[name] = value;
            envelope(&signed, &[key])
        };
        let meta = |name: &str, bytes: &[u8]| {
            let mut pin = pins(bytes);
            pin["version"] = json!(version);
            json!({ name: pin })
        };
        let targets_json = with("targets", "targets", json!(pinned));
        let snapshot_json = with("snapshot", "meta", meta("targets.json", &targets_json));
        let timestamp_json = with("timestamp", "meta", meta("snapshot.json", &snapshot_json));
        let mut served = self.served.lock().unwrap();
        served.files.retain(|name, _| name.ends_with(".root.json"));
        served.files.extend([
            ("targets.json".to_owned(), targets_json),
            ("snapshot.json".to_owned(), snapshot_json),
            ("timestamp.json".to_owned(), timestamp_json),
        ]);
        for (name, bytes) in *targets {
            served.files.insert(format!("targets/{name}"), bytes.to_vec());
        }
    }

    /// Adds the root of `version` for `key`, signed by `signers`.
    pub fn rotate(&self, version: u64, key: &Ed25519KeyPair, signers: &[&Ed25519KeyPair]) {
        let root = root(version, "2999-01-01T00:00:00Z", key, signers);
        self.put(&format!("{version}.root.json"), root);
    }

    /// Serves `bytes` as `name`, whatever the metadata says.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        self.served.lock().unwrap().files.insert(name.to_owned(), bytes);
    }

    /// Answers everything with 503 from now on.
    pub fn go_down(&self) {
        self.served.lock().unwrap().is_down = true;
    }

    /// Answers again.
    pub fn come_back(&self) {
        self.served.lock().unwrap().is_down = false;
    }

    /// The requests since the last call.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.served.lock().unwrap().requests)
    }
}

async fn serve(
    State(served): State<Arc<Mutex<Served>>>,
    Path(path): Path<String>,
) -> Result<Vec<u8>, StatusCode> {
    let mut served = served.lock().unwrap();
    served.requests.push(path.clone());
    if served.is_down {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    served.files.get(&path).cloned().ok_or(StatusCode::NOT_FOUND)
}

fn root(version: u64, expires: &str, key: &Ed25519KeyPair, signers: &[&Ed25519KeyPair]) -> Vec<u8> {
    let (id, public) = entry(key);
    let role = json!({ "keyids": [id], "threshold": 1 });
    let signed = json!({
        "_type": "root",
        "spec_version": "1.0",
        "version": version,
        "expires": expires,
        "consistent_snapshot": false,
        "keys": { id: public },
        "roles": { "root": role, "timestamp": role, "snapshot": role, "targets": role },
    });
    envelope(&signed, signers)
}

fn entry(key: &Ed25519KeyPair) -> (String, Value) {
    let public = hex::encode(key.public_key());
    let entry =
        json!({ "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": public } });
    let key: sigstore_tuf::Key = serde_json::from_value(entry.clone()).unwrap();
    (key.key_id().unwrap(), entry)
}

fn envelope(signed: &Value, keys: &[&Ed25519KeyPair]) -> Vec<u8> {
    let canonical = sigstore_tuf::canonical_json::to_canonical_bytes(signed).unwrap();
    let signatures: Vec<Value> = keys
        .iter()
        .map(|key| json!({ "keyid": entry(key).0, "sig": hex::encode(key.sign(&canonical)) }))
        .collect();
    json!({ "signed": signed, "signatures": signatures }).to_string().into_bytes()
}
