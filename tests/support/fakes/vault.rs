//! HashiCorp Vault's transit engine, as its API documentation has it.
//!
//! Source: developer.hashicorp.com/vault/api-docs/secret/transit; messages from `builtin/logical/transit`.

use std::collections::BTreeMap;
use std::sync::Mutex;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::key::{RealKey, random};
use super::service::{Answers, Asked, Service};

/// An unsealed Vault with one engine and one token.
pub struct Vault {
    engine: String,
    /// The token that may do everything.
    pub token: String,
    keys: Mutex<BTreeMap<String, Key>>,
}

struct Key {
    kind: String,
    versions: Vec<RealKey>,
    min_encryption_version: u64,
    soft_deleted: bool,
}

impl Vault {
    /// Starts one with a transit engine at `engine`.
    pub fn start(engine: &str) -> Service<Self> {
        let token = format!("hvs.{}", random());
        Service::start(Self { engine: engine.to_owned(), token, keys: Mutex::default() })
    }

    /// Makes a key.
    pub fn create(&self, name: &str, kind: &str) {
        let versions = RealKey::generate(kind).into_iter().collect();
        let kind = kind.to_owned();
        let key = Key { kind, versions, min_encryption_version: 0, soft_deleted: false };
        self.keys.lock().unwrap().entry(name.to_owned()).or_insert(key);
    }

    /// Makes a new version, and forbids to sign with the older ones.
    pub fn rotate(&self, name: &str) {
        let mut keys = self.keys.lock().unwrap();
        let key = keys.get_mut(name).unwrap();
        key.versions.push(RealKey::generate(&key.kind).unwrap());
    }

    /// Forbids to sign with the versions before the latest.
    pub fn forbid_old_versions(&self, name: &str) {
        let mut keys = self.keys.lock().unwrap();
        let key = keys.get_mut(name).unwrap();
        key.min_encryption_version = key.versions.len() as u64;
    }

    /// Deletes it so that it can be restored.
    pub fn soft_delete(&self, name: &str) {
        self.keys.lock().unwrap().get_mut(name).unwrap().soft_deleted = true;
    }

    /// The public key of a version, from 1.
    pub fn public_pem(&self, name: &str, version: usize) -> String {
        self.keys.lock().unwrap()[name].versions[version - 1].public_pem()
    }

    fn read(&self, name: &str) -> (u16, Value) {
        let keys = self.keys.lock().unwrap();
        let Some(key) = keys.get(name) else { return errors(404, &[]) };
        let versions = key.versions.iter().enumerate().map(|(index, real)| {
            let public = match real.raw_public() {
                Some(raw) => STANDARD.encode(raw),
                None => real.public_pem(),
            };
            let entry = json!({ "public_key": public, "name": key.kind, "creation_time": "2026-01-01T00:00:00Z" });
            ((index + 1).to_string(), entry)
        });
        let versions = match key.versions.is_empty() {
            true => json!({ "1": 1_767_225_600 }),
            false => Value::Object(versions.collect()),
        };
        let data = json!({
            "name": name, "type": key.kind, "keys": versions,
            "latest_version": key.versions.len().max(1), "min_decryption_version": 1,
            "min_encryption_version": key.min_encryption_version, "derived": false,
            "soft_deleted": key.soft_deleted,
            "supports_signing": !key.versions.is_empty(), "deletion_allowed": false,
        });
        (200, json!({ "request_id": random(), "data": data, "lease_id": "", "renewable": false }))
    }

    fn sign(&self, name: &str, hash: Option<&str>, body: &Value) -> (u16, Value) {
        let keys = self.keys.lock().unwrap();
        let Some(key) = keys.get(name) else { return errors(400, &["signing key not found"]) };
        if key.versions.is_empty() {
            let said = format!("key type {} does not support signing", key.kind);
            return errors(400, &[&said]);
        }
        let latest = key.versions.len() as u64;
        let wanted =
            body["key_version"].as_u64().or_else(|| body["key_version"].as_str()?.parse().ok());
        let version = wanted.filter(|it| *it != 0).unwrap_or(latest);
        if version > latest {
            return errors(
                400,
                &["requested version for signing is higher than the latest key version"],
            );
        }
        if version < key.min_encryption_version {
            return errors(
                400,
                &["requested version for signing is less than the minimum encryption key version"],
            );
        }
        let real = &key.versions[version as usize - 1];
        let Some(input) = body["input"].as_str().and_then(|it| STANDARD.decode(it).ok()) else {
            return errors(400, &["unable to decode input as base64"]);
        };
        let hash = hash.or_else(|| body["hash_algorithm"].as_str()).unwrap_or("sha2-256");
        let algorithm = match hash {
            "sha2-256" => &digest::SHA256,
            "sha2-384" => &digest::SHA384,
            "sha2-512" => &digest::SHA512,
            _ => return errors(400, &[&format!("invalid hash algorithm {hash:?}")]),
        };
        let is_rsa = matches!(real, RealKey::Rsa(_));
        // Without `pkcs1v15` Vault signs with PSS, which cosign does not verify.
        if is_rsa && body["signature_algorithm"].as_str() != Some("pkcs1v15") {
            return errors(500, &["this fake signs with pkcs1v15 only"]);
        }
        let signature = match (real.raw_public(), body["prehashed"].as_bool()) {
            (None, Some(true)) if input.len() != algorithm.output_len() => None,
            (None, Some(true)) => real.sign_digest(&input),
            (Some(_), Some(true)) => None,
            _ => Some(real.sign(&input, algorithm)),
        };
        let Some(signature) = signature else {
            return errors(500, &["crypto/rsa: input must be hashed message"]);
        };
        let text = format!("vault:v{version}:{}", STANDARD.encode(signature));
        (200, json!({ "data": { "signature": text, "key_version": version } }))
    }

    fn verify(&self, name: &str, hash: Option<&str>, body: &Value) -> (u16, Value) {
        let keys = self.keys.lock().unwrap();
        let Some(key) = keys.get(name) else {
            return errors(400, &["signature verification key not found"]);
        };
        let signature = body["signature"].as_str().unwrap_or_default();
        let mut parts = signature.trim_start_matches("vault:v").split(':');
        let version: usize = parts.next().unwrap().parse().unwrap();
        let signature = STANDARD.decode(parts.next().unwrap()).unwrap();
        let input = STANDARD.decode(body["input"].as_str().unwrap()).unwrap();
        let hash = hash.or_else(|| body["hash_algorithm"].as_str()).unwrap_or("sha2-256");
        let valid = key.versions[version - 1].verifies(&input, hash, &signature);
        (200, json!({ "data": { "valid": valid } }))
    }
}

fn errors(status: u16, messages: &[&str]) -> (u16, Value) {
    (status, json!({ "errors": messages }))
}

impl Answers for Vault {
    fn answer(&self, asked: &Asked) -> (u16, Value) {
        if asked.header("x-vault-token") != self.token {
            return errors(
                403,
                &["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"],
            );
        }
        let path = asked.path().trim_start_matches("/v1/");
        if path == "auth/token/renew-self" {
            let auth =
                json!({ "client_token": self.token, "lease_duration": 600, "renewable": true });
            return (200, json!({ "auth": auth }));
        }
        let Some(path) = path.strip_prefix(&self.engine).and_then(|it| it.strip_prefix('/')) else {
            let said = format!("no handler for route {path:?}. route entry not found.");
            return errors(404, &[&said]);
        };
        let parts: Vec<_> = path.split('/').collect();
        let (writes, body) = (asked.method != "GET", asked.json());
        match (parts.as_slice(), writes) {
            (["keys", name], false) => self.read(name),
            (["keys", name], true) => {
                let kind = body["type"].as_str().unwrap_or("aes256-gcm96");
                self.create(name, kind);
                self.read(name)
            }
            (["keys", name, "rotate"], true) => {
                self.rotate(name);
                self.read(name)
            }
            (["sign", name], true) => self.sign(name, None, &body),
            (["sign", name, hash], true) => self.sign(name, Some(hash), &body),
            (["verify", name], true) => self.verify(name, None, &body),
            (["verify", name, hash], true) => self.verify(name, Some(hash), &body),
            _ => errors(404, &["unsupported path"]),
        }
    }
}
