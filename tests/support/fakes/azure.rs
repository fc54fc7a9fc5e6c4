//! Azure Key Vault, with what gives tokens for it: Entra ID, the managed identities of machines and of App Service.
//!
//! Source: the reference of the REST API 7.4; RFC 7518 for keys and signatures.

use std::collections::BTreeMap;
use std::sync::Mutex;

use aws_lc_rs::signature::KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use der::Decode;
use der::asn1::{SequenceOf, UintRef};
use serde_json::{Value, json};

use super::key::{RealKey, random};
use super::service::{Answers, Asked, Service};

/// The service, in one process with everything that gives tokens.
pub struct Azure {
    /// The token that every grant gives.
    pub token: String,
    pub client_secret: String,
    pub federated_token: String,
    /// The key of the client certificate.
    pub client: RealKey,
    keys: Mutex<BTreeMap<String, Vec<Version>>>,
}

struct Version {
    key: RealKey,
    kind: &'static str,
    version: String,
    is_enabled: bool,
    operations: Vec<&'static str>,
}

impl Azure {
    pub fn start() -> Service<Self> {
        Service::start(Self::new())
    }

    /// The same with TLS: Azure's own client sends no token without.
    pub fn start_tls() -> Service<Self> {
        Service::start_tls(Self::new(), None)
    }

    fn new() -> Self {
        Self {
            token: format!("eyJ0.{}", random()),
            client_secret: random(),
            federated_token: random(),
            client: RealKey::generate("rsa-2048").unwrap(),
            keys: Mutex::default(),
        }
    }

    /// Adds a version, of a type as Azure names it (`EC-HSM`); gives its id.
    pub fn create(&self, name: &str, kind: &str, type_: &'static str) -> String {
        let version = random();
        self.keys.lock().unwrap().entry(name.to_owned()).or_default().push(Version {
            key: RealKey::generate(kind).unwrap(),
            kind: type_,
            version: version.clone(),
            is_enabled: true,
            operations: vec!["sign", "verify"],
        });
        version
    }

    pub fn disable(&self, name: &str) {
        self.keys.lock().unwrap().get_mut(name).unwrap().last_mut().unwrap().is_enabled = false;
    }

    pub fn forbid_signing(&self, name: &str) {
        self.keys.lock().unwrap().get_mut(name).unwrap().last_mut().unwrap().operations =
            vec!["encrypt"];
    }

    pub fn public_pem(&self, name: &str, version: &str) -> String {
        let keys = self.keys.lock().unwrap();
        keys[name].iter().find(|it| it.version == version).unwrap().key.public_pem()
    }

    fn vault(&self, asked: &Asked) -> (u16, Value) {
        if asked.header("authorization") != format!("Bearer {}", self.token) {
            return error(
                401,
                "Unauthorized",
                "AKV10000: Request is missing a Bearer or PoP token.",
            );
        }
        // Newer clients ask for newer versions, whose answers say the same.
        if !asked.target.contains("?api-version=") {
            return error(400, "BadParameter", "api-version must be specified");
        }
        let parts: Vec<_> = asked.path().trim_matches('/').split('/').collect();
        let name = parts[1];
        if (asked.method.as_str(), parts.get(2)) == ("POST", Some(&"create")) {
            let body = asked.json();
            let is_taken = body["kty"] == "RSA" || (body["kty"] == "EC" && body["crv"] == "P-256");
            if !is_taken {
                return error(400, "BadParameter", "Property has invalid value");
            }
            // A key that is there gets one more version.
            match body["kty"] == "RSA" {
                true => self.create(name, "rsa-2048", "RSA"),
                false => self.create(name, "ecdsa-p256", "EC"),
            };
        }
        let keys = self.keys.lock().unwrap();
        let versions = keys.get(name).into_iter().flatten();
        let found = match parts.get(2) {
            None | Some(&("" | "create")) => versions.last(),
            Some(version) => versions.into_iter().find(|it| it.version == *version),
        };
        let Some(found) = found else {
            let said = format!("A key with (name/id) {name} was not found in this key vault.");
            return error(404, "KeyNotFound", &said);
        };
        let id = format!("https://{}/keys/{name}/{}", asked.header("host"), found.version);
        if parts.get(3) != Some(&"sign") {
            let mut jwk = jwk(&found.key, found.kind);
            jwk["kid"] = id.into();
            jwk["key_ops"] = json!(found.operations);
            return (200, json!({ "key": jwk, "attributes": { "enabled": found.is_enabled } }));
        }
        if !found.is_enabled {
            return error(403, "Forbidden", "Operation sign is not allowed on a disabled key.");
        }
        let body = asked.json();
        let digest = URL_SAFE_NO_PAD.decode(body["value"].as_str().unwrap()).unwrap();
        let algorithm = body["alg"].as_str().unwrap();
        let wanted = match (&found.key, digest.len()) {
            (RealKey::Rsa(_), 32) => "RS256",
            (RealKey::Rsa(_), 48) => "RS384",
            (RealKey::Rsa(_), 64) => "RS512",
            (key, 32) if width(key) == 32 => "ES256",
            (key, 48) if width(key) == 48 => "ES384",
            (key, 64) if width(key) == 66 => "ES512",
            _ => "none",
        };
        if algorithm != wanted {
            return error(
                400,
                "BadParameter",
                &format!("Invalid algorithm or length: {algorithm}"),
            );
        }
        let signature = found.key.sign_digest(&digest).unwrap();
        let value = match &found.key {
            RealKey::Rsa(_) => signature,
            key => fixed_width(&signature, width(key)),
        };
        (200, json!({ "kid": id, "value": URL_SAFE_NO_PAD.encode(value) }))
    }

    fn grant(&self, asked: &Asked) -> (u16, Value) {
        let form: BTreeMap<String, String> =
            url::form_urlencoded::parse(&asked.body).into_owned().collect();
        let is_good = form["grant_type"] == "client_credentials"
            && form["client_id"] == "client-1"
            && form["scope"] == "https://vault.azure.net/.default"
            && match (form.get("client_secret"), form.get("client_assertion")) {
                (Some(secret), None) => *secret == self.client_secret,
                (None, Some(token)) => {
                    form["client_assertion_type"]
                        == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
                        && (*token == self.federated_token || self.is_assertion(token))
                }
                _ => false,
            };
        if is_good {
            (200, json!({ "token_type": "Bearer", "expires_in": 3599, "access_token": self.token }))
        } else {
            let said = "AADSTS7000215: Invalid client secret provided.";
            (401, json!({ "error": "invalid_client", "error_description": said }))
        }
    }

    fn is_assertion(&self, jwt: &str) -> bool {
        let Some((signed, signature)) = jwt.rsplit_once('.') else { return false };
        let part = |index: usize| -> Value {
            let part = signed.split('.').nth(index).unwrap();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        part(0)["x5t"].as_str().is_some_and(|it| it.len() == 27)
            && part(1)["sub"] == "client-1"
            && part(1)["aud"].as_str().unwrap().ends_with("/tenant-1/oauth2/v2.0/token")
            && self.client.verifies(signed.as_bytes(), "sha2-256", &signature)
    }

    fn managed(&self) -> (u16, Value) {
        // Managed identities write numbers as texts.
        (200, json!({ "access_token": self.token, "expires_in": "86399", "token_type": "Bearer" }))
    }
}

impl Answers for Azure {
    fn challenge(&self) -> Option<&'static str> {
        Some(
            r#"Bearer authorization="https://login.microsoftonline.com/tenant-1", resource="https://vault.azure.net""#,
        )
    }

    fn answer(&self, asked: &Asked) -> (u16, Value) {
        let resource = "resource=https%3A%2F%2Fvault.azure.net";
        match asked.path() {
            "/tenant-1/oauth2/v2.0/token" => self.grant(asked),
            "/metadata/identity/oauth2/token"
                if asked.header("metadata") == "true" && asked.target.contains(resource) =>
            {
                self.managed()
            }
            "/msi"
                if asked.header("x-identity-header") == "app"
                    && asked.target.contains(resource) =>
            {
                self.managed()
            }
            path if path.starts_with("/keys/") => self.vault(asked),
            _ => error(400, "invalid_request", "Required metadata header not specified"),
        }
    }
}

fn width(key: &RealKey) -> usize {
    let RealKey::Ecdsa(pair) = key else { return 0 };
    (pair.public_key().as_ref().len() - 1) / 2
}

fn jwk(key: &RealKey, kind: &str) -> Value {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    match key {
        RealKey::Rsa(pair) => {
            let numbers =
                SequenceOf::<UintRef<'_>, 2>::from_der(pair.public_key().as_ref()).unwrap();
            let number = |index| text(numbers.get(index).unwrap().as_bytes());
            json!({ "kty": kind, "n": number(0), "e": number(1) })
        }
        RealKey::Ecdsa(pair) => {
            let point = &pair.public_key().as_ref()[1..];
            let (x, y) = point.split_at(point.len() / 2);
            let curve = match x.len() {
                32 => "P-256",
                48 => "P-384",
                _ => "P-521",
            };
            json!({ "kty": kind, "crv": curve, "x": text(x), "y": text(y) })
        }
        RealKey::Ed25519(_) => json!({ "kty": "oct" }),
    }
}

/// `r` and `s` side by side, with zeros before them.
fn fixed_width(der: &[u8], width: usize) -> Vec<u8> {
    let numbers = SequenceOf::<UintRef<'_>, 2>::from_der(der).unwrap();
    let mut bytes = Vec::new();
    for number in numbers.iter() {
        bytes.extend(std::iter::repeat_n(0, width - number.as_bytes().len()));
        bytes.extend_from_slice(number.as_bytes());
    }
    bytes
}

fn error(status: u16, code: &str, message: &str) -> (u16, Value) {
    (status, json!({ "error": { "code": code, "message": message } }))
}
