//! Google Cloud KMS, with what gives tokens for it: OAuth 2.0, STS, IAM Credentials, the metadata server.
//!
//! Source: the reference of the REST APIs, `cloudkms.googleapis.com/v1`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::key::{RealKey, random};
use super::service::{Answers, Asked, Service};

/// The service, in one process with everything that gives tokens.
pub struct Gcp {
    /// The token that every grant gives.
    pub token: String,
    /// The key of the service account.
    pub account: RealKey,
    pub refresh_token: String,
    pub subject_token: String,
    versions: Mutex<BTreeMap<String, Vec<Version>>>,
    /// The keys whose first version is not there yet, until somebody looks.
    generating: Mutex<BTreeSet<String>>,
}

struct Version {
    key: RealKey,
    algorithm: String,
    state: &'static str,
}

pub const RING: &str = "projects/acme/locations/europe-west1/keyRings/release/cryptoKeys";

impl Gcp {
    pub fn start() -> Service<Self> {
        Service::start(Self {
            token: format!("ya29.{}", random()),
            account: RealKey::generate("rsa-2048").unwrap(),
            refresh_token: random(),
            subject_token: random(),
            versions: Mutex::default(),
            generating: Mutex::default(),
        })
    }

    /// Adds a version; gives its full name.
    pub fn create(&self, key: &str, kind: &str, algorithm: &str) -> String {
        let mut all = self.versions.lock().unwrap();
        let versions = all.entry(key.to_owned()).or_default();
        let new = RealKey::generate(kind).unwrap();
        versions.push(Version { key: new, algorithm: algorithm.to_owned(), state: "ENABLED" });
        format!("{RING}/{key}/cryptoKeyVersions/{}", versions.len())
    }

    pub fn disable(&self, key: &str, number: usize) {
        self.versions.lock().unwrap().get_mut(key).unwrap()[number - 1].state = "DISABLED";
    }

    pub fn public_pem(&self, key: &str, number: usize) -> String {
        self.versions.lock().unwrap()[key][number - 1].key.public_pem()
    }

    fn kms(&self, asked: &Asked) -> (u16, Value) {
        if asked.header("authorization") != format!("Bearer {}", self.token) {
            return error(
                401,
                "UNAUTHENTICATED",
                "Request had invalid authentication credentials.",
            );
        }
        let missing = || error(404, "NOT_FOUND", &format!("{} not found.", asked.path()));
        let ring = format!("/v1/{}", RING.trim_end_matches("/cryptoKeys"));
        if asked.path() == ring {
            return (200, json!({ "name": ring.trim_start_matches("/v1/") }));
        }
        if asked.path() == format!("/v1/{RING}") {
            let query = asked.target.split_once('?').unwrap().1;
            let mut pairs = url::form_urlencoded::parse(query.as_bytes());
            let name = pairs.find(|(name, _)| name == "cryptoKeyId").unwrap().1;
            return self.make(&name, &asked.json());
        }
        let prefix = format!("/v1/{RING}/");
        let Some(path) = asked.path().strip_prefix(&prefix) else { return missing() };
        let (path, verb) = path.split_once(':').unwrap_or((path, ""));
        let parts: Vec<_> = path.split('/').collect();
        let all = self.versions.lock().unwrap();
        let Some(versions) = all.get(parts[0]) else { return missing() };
        if parts.len() == 3 && verb.is_empty() {
            let number: usize = parts[2].parse().unwrap();
            let Some(version) = versions.get(number - 1) else { return missing() };
            // It is generated while somebody waits.
            let mut generating = self.generating.lock().unwrap();
            let state = match generating.remove(parts[0]) {
                true => "PENDING_GENERATION",
                false => version.state,
            };
            return (
                200,
                json!({ "name": asked.path().trim_start_matches("/v1/"), "state": state }),
            );
        }
        if parts.len() == 2 {
            let list = versions.iter().enumerate().map(|(index, it)| {
                json!({ "name": format!("{RING}/{}/cryptoKeyVersions/{}", parts[0], index + 1), "state": it.state, "algorithm": it.algorithm })
            });
            return (200, json!({ "cryptoKeyVersions": list.rev().collect::<Vec<_>>() }));
        }
        let number: usize = parts[2].parse().unwrap_or(0);
        let version = number.checked_sub(1).and_then(|it| versions.get(it));
        let Some(version) = version else { return missing() };
        let name = format!("{RING}/{}/cryptoKeyVersions/{number}", parts[0]);
        if version.state != "ENABLED" {
            let said = format!("{name} is not enabled, current state is: {}.", version.state);
            return error(400, "FAILED_PRECONDITION", &said);
        }
        match (parts.get(3), verb) {
            (Some(&"publicKey"), "") => {
                let pem = version.key.public_pem();
                let sum = crc32c(pem.as_bytes()).to_string();
                (
                    200,
                    json!({ "pem": pem, "algorithm": version.algorithm, "pemCrc32c": sum, "name": name, "protectionLevel": "HSM" }),
                )
            }
            (None, "asymmetricSign") => sign(version, &name, &asked.json()),
            _ => missing(),
        }
    }

    fn make(&self, name: &str, body: &Value) -> (u16, Value) {
        if self.versions.lock().unwrap().contains_key(name) {
            return error(
                409,
                "ALREADY_EXISTS",
                &format!("CryptoKey {RING}/{name} already exists."),
            );
        }
        let algorithm = &body["versionTemplate"]["algorithm"];
        // By name or by number, as in all of Google's APIs.
        let is_signing = body["purpose"] == "ASYMMETRIC_SIGN" || body["purpose"] == 5;
        if !is_signing || (algorithm != "EC_SIGN_P256_SHA256" && *algorithm != 12) {
            return error(400, "INVALID_ARGUMENT", "The algorithm does not fit the purpose");
        }
        self.create(name, "ecdsa-p256", "EC_SIGN_P256_SHA256");
        self.generating.lock().unwrap().insert(name.to_owned());
        (200, json!({ "name": format!("{RING}/{name}"), "purpose": "ASYMMETRIC_SIGN" }))
    }

    fn grant(&self, asked: &Asked) -> (u16, Value) {
        let form: BTreeMap<String, String> =
            url::form_urlencoded::parse(&asked.body).into_owned().collect();
        let is_good = match form.get("grant_type").map(String::as_str) {
            Some("urn:ietf:params:oauth:grant-type:jwt-bearer") => {
                self.is_assertion(&form["assertion"])
            }
            Some("refresh_token") => form["refresh_token"] == self.refresh_token,
            Some("urn:ietf:params:oauth:grant-type:token-exchange") => {
                form["subject_token"] == self.subject_token
                    && form["audience"].starts_with("//iam.googleapis.com/")
                    && form["subject_token_type"] == "urn:ietf:params:oauth:token-type:jwt"
            }
            _ => false,
        };
        if is_good {
            (200, json!({ "access_token": self.token, "expires_in": 3599, "token_type": "Bearer" }))
        } else {
            (400, json!({ "error": "invalid_grant", "error_description": "Bad Request" }))
        }
    }

    fn is_assertion(&self, jwt: &str) -> bool {
        let (signed, signature) = jwt.rsplit_once('.').unwrap();
        let claims = signed.split('.').nth(1).unwrap();
        let claims: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        claims["iss"] == "signer@acme.iam.gserviceaccount.com"
            && claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
            && claims["exp"].as_i64() > claims["iat"].as_i64()
            && self.account.verifies(signed.as_bytes(), "sha2-256", &signature)
    }
}

fn sign(version: &Version, name: &str, body: &Value) -> (u16, Value) {
    if version.algorithm == "EC_SIGN_ED25519" {
        return sign_data(version, name, body);
    }
    let (hash, digest) = match body["digest"].as_object().and_then(|it| it.iter().next()) {
        Some((hash, digest)) => (hash, STANDARD.decode(digest.as_str().unwrap()).unwrap()),
        None => return error(400, "INVALID_ARGUMENT", "digest is missing"),
    };
    if !version.algorithm.ends_with(&hash.to_uppercase()) {
        let said = format!("{hash} is not the digest of {}", version.algorithm);
        return error(400, "INVALID_ARGUMENT", &said);
    }
    let sent = body["digestCrc32c"].as_str().map(str::to_owned);
    let sent = sent.or_else(|| body["digestCrc32c"].as_u64().map(|it| it.to_string()));
    if sent.as_ref().is_some_and(|it| *it != crc32c(&digest).to_string()) {
        return error(400, "INVALID_ARGUMENT", "The checksum in field digest_crc32c did not match");
    }
    let signature = version.key.sign_digest(&digest).unwrap();
    let sum = crc32c(&signature).to_string();
    (
        200,
        json!({ "signature": STANDARD.encode(&signature), "signatureCrc32c": sum, "verifiedDigestCrc32c": sent.is_some(), "name": name, "protectionLevel": "HSM" }),
    )
}

/// Ed25519 takes the message: "the data field must be set".
fn sign_data(version: &Version, name: &str, body: &Value) -> (u16, Value) {
    let Some(data) = body["data"].as_str().and_then(|it| STANDARD.decode(it).ok()) else {
        return error(400, "INVALID_ARGUMENT", "data is missing");
    };
    let sum = crc32c(&data).to_string();
    let verified = body["dataCrc32c"] == sum.as_str();
    let signature = version.key.sign(&data, &aws_lc_rs::digest::SHA256);
    let sum = crc32c(&signature).to_string();
    (
        200,
        json!({ "signature": STANDARD.encode(&signature), "signatureCrc32c": sum, "verifiedDataCrc32c": verified, "name": name }),
    )
}

impl Answers for Gcp {
    fn answer(&self, asked: &Asked) -> (u16, Value) {
        match asked.path() {
            "/token" => self.grant(asked),
            "/subject" if asked.header("x-ci") == "1" => {
                (200, json!({ "value": self.subject_token }))
            }
            "/computeMetadata/v1/instance/service-accounts/default/token"
                if asked.header("metadata-flavor") == "Google" =>
            {
                (
                    200,
                    json!({ "access_token": self.token, "expires_in": 3599, "token_type": "Bearer" }),
                )
            }
            "/v1/impersonate"
                if asked.header("authorization") == format!("Bearer {}", self.token) =>
            {
                (200, json!({ "accessToken": self.token, "expireTime": "2099-01-01T00:00:00Z" }))
            }
            path if path.starts_with("/v1/projects/") => self.kms(asked),
            _ => error(404, "NOT_FOUND", "no such method"),
        }
    }
}

fn error(code: u16, status: &str, message: &str) -> (u16, Value) {
    (code, json!({ "error": { "code": code, "message": message, "status": status } }))
}

/// CRC32C with a table, as Google's own libraries do it.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256_u32)
        .map(|byte| {
            (0..8).fold(byte, |it, _| if it & 1 == 1 { (it >> 1) ^ 0x82f6_3b78 } else { it >> 1 })
        })
        .collect();
    !bytes
        .iter()
        .fold(u32::MAX, |crc, byte| (crc >> 8) ^ table[((crc ^ u32::from(*byte)) & 0xff) as usize])
}
