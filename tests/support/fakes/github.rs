//! The Actions secrets of a GitHub Enterprise Server, which really opens what is sealed to it.
//!
//! Source: docs.github.com/rest/actions/secrets; libsodium's `crypto_box_seal_open`.

use std::collections::BTreeMap;
use std::sync::Mutex;

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use blake2::digest::consts::{U10, U24};
use blake2::{Blake2b, Digest};
use crypto_secretbox::aead::{Aead, KeyInit};
use crypto_secretbox::{Nonce, XSalsa20Poly1305};
use serde_json::{Value, json};

use super::key::random;
use super::service::{Answers, Asked, Service};

/// A server with one repository: `acme/app`.
pub struct Github {
    /// The token of who may write secrets.
    pub token: String,
    key: PrivateKey,
    secrets: Mutex<BTreeMap<String, String>>,
}

impl Github {
    /// Starts one without secrets.
    pub fn start() -> Service<Self> {
        let key = PrivateKey::generate(&X25519).unwrap();
        Service::start(Self { token: format!("ghp_{}", random()), key, secrets: Mutex::default() })
    }

    /// What was sealed; nothing where there is no such secret.
    pub fn secret(&self, name: &str) -> Option<String> {
        self.secrets.lock().unwrap().get(name).cloned()
    }

    /// Takes all secrets away.
    pub fn clear(&self) {
        self.secrets.lock().unwrap().clear();
    }

    /// The message in a sealed box, if it is one to this server's key.
    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (public, sealed) = sealed.split_at_checked(32)?;
        let own = self.key.compute_public_key().unwrap();
        let sender = UnparsedPublicKey::new(&X25519, public);
        let key = agree(&self.key, sender, (), |shared| {
            let shared: [u8; 32] = shared.try_into().map_err(|_| ())?;
            let key: [u8; 32] = salsa20::hsalsa::<U10>(&shared.into(), &[0; 16].into()).into();
            Ok(key)
        });
        let nonce = Blake2b::<U24>::new().chain_update(public).chain_update(own.as_ref());
        let cipher = XSalsa20Poly1305::new_from_slice(&key.ok()?).unwrap();
        cipher.decrypt(Nonce::from_slice(&nonce.finalize()), sealed).ok()
    }
}

impl Answers for Github {
    fn answer(&self, asked: &Asked) -> (u16, Value) {
        let said = |code: u16, message: &str| (code, json!({ "message": message }));
        if asked.header("authorization") != format!("Bearer {}", self.token) {
            return said(401, "Bad credentials");
        }
        let prefix = "/api/v3/repos/acme/app/actions/secrets/";
        let Some(name) = asked.path().strip_prefix(prefix) else { return said(404, "Not Found") };
        let mut secrets = self.secrets.lock().unwrap();
        match (asked.method.as_str(), name) {
            ("GET", "public-key") => {
                let key = self.key.compute_public_key().unwrap();
                (200, json!({ "key_id": "3380204578043523366", "key": STANDARD.encode(key) }))
            }
            ("GET", name) if secrets.contains_key(name) => (200, json!({ "name": name })),
            ("PUT", name) => {
                let body = asked.json();
                let sealed = STANDARD.decode(body["encrypted_value"].as_str().unwrap()).unwrap();
                let opened = self.open(&sealed).and_then(|it| String::from_utf8(it).ok());
                match opened.filter(|_| body["key_id"] == "3380204578043523366") {
                    None => {
                        said(422, "Bad request - the encrypted value was not sealed to this key")
                    }
                    Some(value) => match secrets.insert(name.to_owned(), value) {
                        None => (201, json!({})),
                        Some(_) => (204, Value::Null),
                    },
                }
            }
            _ => said(404, "Not Found"),
        }
    }
}
