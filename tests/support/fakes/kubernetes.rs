//! The secrets of a Kubernetes API server.
//!
//! Source: kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/secret-v1; the messages are those
//! of a 1.29 server. `kubectl` and cosign find what they ask for on the way: versions and the list of resources.

use std::collections::BTreeMap;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::key::random;
use super::service::{Answers, Asked, Service};
use crate::support::certificates::Authority;

/// A cluster with two users.
pub struct Kubernetes {
    /// The token of who may do everything.
    pub token: String,
    /// The token of who may do nothing.
    pub powerless: String,
    secrets: Mutex<BTreeMap<String, Value>>,
}

impl Kubernetes {
    /// Starts one without secrets, with TLS: kubectl sends no credentials without.
    pub fn start() -> Service<Self> {
        Service::start_tls(Self::new(), None)
    }

    /// Starts one that talks only to clients with a certificate of this authority; then any token does.
    pub fn start_with_clients(clients: &Authority) -> Service<Self> {
        Service::start_tls(Self { token: String::new(), ..Self::new() }, Some(clients))
    }

    fn new() -> Self {
        Self { token: random(), powerless: random(), secrets: Mutex::default() }
    }

    /// Makes a secret with these texts: `NAMESPACE/NAME`.
    pub fn put(&self, name: &str, data: &[(&str, &str)]) {
        let (namespace, own) = name.split_once('/').unwrap();
        let data: serde_json::Map<_, _> = data
            .iter()
            .map(|(name, text)| ((*name).to_owned(), STANDARD.encode(text).into()))
            .collect();
        let secret = json!({
            "kind": "Secret", "apiVersion": "v1", "type": "Opaque", "data": data,
            "metadata": { "name": own, "namespace": namespace, "uid": "1", "resourceVersion": "1" },
        });
        self.secrets.lock().unwrap().insert(name.to_owned(), secret);
    }

    /// A secret as it is; `null` where there is none.
    pub fn secret(&self, name: &str) -> Value {
        self.secrets.lock().unwrap().get(name).cloned().unwrap_or_default()
    }
}

fn status(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    (code, body)
}

impl Answers for Kubernetes {
    fn answer(&self, asked: &Asked) -> (u16, Value) {
        let basic = format!("Basic {}", STANDARD.encode(format!("admin:{}", self.token)));
        let given = asked.header("authorization");
        let may = given == format!("Bearer {}", self.token)
            || given == basic
            // TLS has asked for a certificate already.
            || self.token.is_empty();
        if !may && given != format!("Bearer {}", self.powerless) {
            return status(401, "Unauthorized", "Unauthorized");
        }
        let parts: Vec<_> = asked.path().trim_matches('/').split('/').collect();
        let mut secrets = self.secrets.lock().unwrap();
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", ["version"]) => {
                (200, json!({ "major": "1", "minor": "29", "gitVersion": "v1.29.0" }))
            }
            ("GET", ["api"]) => (200, json!({ "kind": "APIVersions", "versions": ["v1"] })),
            ("GET", ["apis"]) => {
                (200, json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": [] }))
            }
            ("GET", ["api", "v1"]) => (
                200,
                json!({ "kind": "APIResourceList", "groupVersion": "v1", "resources": [{
                    "name": "secrets", "singularName": "secret", "namespaced": true,
                    "kind": "Secret", "verbs": ["create", "get", "list"],
                }] }),
            ),
            (_, ["api", "v1", "namespaces", namespace, "secrets", ..]) if !may => {
                let message = format!(
                    "secrets is forbidden: User \"nobody\" cannot {} resource \"secrets\" in API group \"\" in the namespace \"{namespace}\"",
                    asked.method.as_str().to_lowercase()
                );
                status(403, "Forbidden", &message)
            }
            ("GET", ["api", "v1", "namespaces", namespace, "secrets", name]) => {
                match secrets.get(&format!("{namespace}/{name}")) {
                    Some(secret) => (200, secret.clone()),
                    None => {
                        let message = format!("secrets \"{name}\" not found");
                        let (code, mut body) = status(404, "NotFound", &message);
                        body["details"] = json!({ "name": name, "kind": "secrets" });
                        (code, body)
                    }
                }
            }
            ("POST", ["api", "v1", "namespaces", namespace, "secrets"]) => {
                let secret = asked.json();
                let name = secret["metadata"]["name"].as_str().unwrap().to_owned();
                let full = format!("{namespace}/{name}");
                if secrets.contains_key(&full) {
                    let message = format!("secrets \"{name}\" already exists");
                    return status(409, "AlreadyExists", &message);
                }
                secrets.insert(full, secret.clone());
                (201, secret)
            }
            _ => status(404, "NotFound", "the server could not find the requested resource"),
        }
    }
}
