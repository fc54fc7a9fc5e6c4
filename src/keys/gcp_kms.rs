//! Keys in Google Cloud KMS: `gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K[/cryptoKeyVersions/N]`.
//!
//! Spoken to over REST, with Application Default Credentials. Only digests leave this machine, and what travels is
//! checked with CRC32C both ways. Source: cosign's `pkg/signature/kms/gcp`; Cloud KMS API v1.

mod access;
mod crc32c;
mod create;
mod credentials;
mod external;
mod reference;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

pub(super) use access::google_access;

use crate::crypto::{Hash, KeyAlgorithm, PublicKey, SignatureBytes};
use crate::keys::gcp_kms::crc32c::crc32c;
use crate::keys::gcp_kms::credentials::Credentials;
use crate::keys::gcp_kms::reference::Reference;
use crate::keys::http::{Call, Failure, Http};
use crate::keys::remote::{RemoteKey, RemoteSigner};
use crate::keys::{KeyError, KeyErrorKind, KeyReference, OpenOptions, Provider, Signer};
use crate::wire::tls::Tls;

/// The provider of `gcpkms://`.
#[derive(Clone, Copy, Debug)]
pub(super) struct GcpKms;

const FORM: &str = "write `gcpkms://projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY`, and behind it `/cryptoKeyVersions/N` for one version";
const TIMEOUT: Duration = Duration::from_secs(30);
// gcloud's own variable for another address of the service (private endpoints).
const ENDPOINT: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS";

#[async_trait]
impl Provider for GcpKms {
    fn name(&self) -> &'static str {
        "gcp-kms"
    }

    fn scheme(&self) -> &'static str {
        "gcpkms"
    }

    fn refuses(&self, reference: &str) -> Option<(&'static str, &'static str)> {
        Reference::parse(reference).err().map(|why| (why, FORM))
    }

    async fn open(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<Arc<dyn Signer>, KeyError> {
        let parsed = reference.read("open", Reference::parse, FORM)?;
        let opened = async {
            let service = Service::new(options).await?;
            let name = match parsed.version {
                Some(version) => format!("{}/cryptoKeyVersions/{version}", parsed.key),
                None => service.newest(&parsed.key).await?,
            };
            let (public_key, hash) = service.public_key(&name).await?;
            let takes = match public_key.algorithm() {
                KeyAlgorithm::Ed25519 => Takes::Data,
                _ => Takes::Digest,
            };
            let key = GcpKey { key: reference.to_string().into(), service, name, takes };
            Ok((key, public_key, hash))
        };
        let (key, public_key, hash) =
            opened.await.map_err(|it| described("open", reference, it))?;
        Ok(Arc::new(RemoteSigner::new(reference, public_key, [hash], key)))
    }

    async fn create(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<PublicKey, KeyError> {
        let parsed = reference.read("create", Reference::parse, FORM)?;
        if parsed.version.is_some() {
            return Err(KeyError::new("create", reference, KeyErrorKind::Unsupported)
                .because("a new key has a first version, which nobody chooses")
                .advise("leave the version out of the reference"));
        }
        let made = async {
            let service = Service::new(options).await?;
            let name = create::create(&service, &parsed.key, options.patience).await?;
            Ok(service.public_key(&name).await?.0)
        };
        made.await.map_err(|failure| create::described(reference, failure))
    }
}

/// The service and who asks it.
#[derive(Debug)]
struct Service {
    base: Url,
    http: Http,
    credentials: Credentials,
}

impl Service {
    async fn new(options: &OpenOptions) -> Result<Self, Failure> {
        let base = match options.variable(ENDPOINT) {
            Some(url) => Url::parse(url.expose()).map_err(|_| {
                Failure::new(KeyErrorKind::Malformed, format!("{ENDPOINT} is no URL"))
            })?,
            None => parse("https://cloudkms.googleapis.com/")?,
        };
        let http = Http::new(&base, Tls::default(), TIMEOUT, options)?;
        let credentials = Credentials::find(options).await?;
        Ok(Self { base, http, credentials })
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let url = self.base.join(&format!("v1/{path}"));
        let url = url.map_err(|_| Failure::new(KeyErrorKind::Malformed, "the key has no URL"))?;
        let mut call = self.credentials.authorize(Call::new(method, url)).await?;
        if let Some(body) = body {
            call = call.json(body);
        }
        Ok(self.http.send(&call).await?.json()?)
    }

    /// The name of the newest enabled version. Pages of 1000; one request for most keys.
    async fn newest(&self, key: &str) -> Result<String, Failure> {
        let (mut newest, mut page) = (None, String::new());
        loop {
            let query = format!(
                "{key}/cryptoKeyVersions?filter=state%3DENABLED&pageSize=1000&pageToken={page}"
            );
            let answer = self.call(Method::GET, &query, None).await?;
            let versions = answer.get("cryptoKeyVersions").and_then(Value::as_array);
            for version in versions.into_iter().flatten() {
                let name = text(version, "name").unwrap_or_default();
                // Servers that know no filter send the others too.
                let is_enabled = text(version, "state").is_none_or(|it| it == "ENABLED");
                let number = name.rsplit('/').next().and_then(|it| it.parse::<u64>().ok());
                newest = newest.max(number.filter(|_| is_enabled));
            }
            let next = text(&answer, "nextPageToken").unwrap_or_default();
            if next.is_empty() || next == page {
                break;
            }
            page = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        }
        match newest {
            Some(number) => Ok(format!("{key}/cryptoKeyVersions/{number}")),
            None => Err(Failure::new(KeyErrorKind::Disabled, "the key has no enabled version")),
        }
    }

    async fn public_key(&self, name: &str) -> Result<(PublicKey, Hash), Failure> {
        let answer = self.call(Method::GET, &format!("{name}/publicKey"), None).await?;
        let pem = text(&answer, "pem").unwrap_or_default();
        if checksum(&answer, "pemCrc32c").is_some_and(|it| it != crc32c(pem.as_bytes())) {
            return Err(Failure::new(
                KeyErrorKind::Unavailable,
                "the public key was damaged on its way",
            ));
        }
        if text(&answer, "name").is_some_and(|it| it != name) {
            let said = "the public key of another version came back";
            return Err(Failure::new(KeyErrorKind::Mismatch, said));
        }
        let unsupported = |why: String| Failure::new(KeyErrorKind::Unsupported, why);
        let algorithm = text(&answer, "algorithm").unwrap_or_default();
        let hash = hash_of(algorithm)
            .ok_or_else(|| unsupported(format!("the algorithm {algorithm} is not taken")))?;
        let public_key =
            PublicKey::from_pem(pem).map_err(|error| unsupported(error.to_string()))?;
        Ok((public_key, hash))
    }

    /// Asks for a signature with what `input` is made of: `digest` or `data`, and its checksum.
    async fn sign(&self, name: &str, input: &Input) -> Result<SignatureBytes, Failure> {
        let body = json!({
            input.name: input.value,
            format!("{}Crc32c", input.name): input.checksum.to_string(),
        });
        let answer =
            self.call(Method::POST, &format!("{name}:asymmetricSign"), Some(&body)).await?;
        let signature = STANDARD.decode(text(&answer, "signature").unwrap_or_default());
        let signature = signature.unwrap_or_default();
        let damaged = |what: &str| {
            Failure::new(KeyErrorKind::Unavailable, format!("the {what} was damaged on its way"))
        };
        if answer.get(input.verified) != Some(&Value::Bool(true)) {
            return Err(damaged(input.name));
        }
        if checksum(&answer, "signatureCrc32c") != Some(crc32c(&signature)) {
            return Err(damaged("signature"));
        }
        if text(&answer, "name").is_some_and(|it| it != name) {
            return Err(Failure::new(
                KeyErrorKind::Mismatch,
                "another version of the key has signed",
            ));
        }
        Ok(SignatureBytes::new(signature))
    }
}

/// What a version is asked to sign.
#[derive(Clone, Copy, Debug)]
enum Takes {
    /// The message: Ed25519 has no digest of its own.
    Data,
    Digest,
}

/// One thing to sign, as the service takes it.
struct Input {
    name: &'static str,
    value: Value,
    checksum: u32,
    /// Where the answer says that it came whole.
    verified: &'static str,
}

impl Takes {
    fn input(self, message: &[u8], hash: Hash) -> Input {
        let (name, verified, bytes) = match self {
            Self::Data => ("data", "verifiedDataCrc32c", message.to_vec()),
            Self::Digest => ("digest", "verifiedDigestCrc32c", hash.digest(message)),
        };
        let encoded = STANDARD.encode(&bytes);
        let value = match self {
            Self::Data => Value::String(encoded),
            Self::Digest => json!({ hash.name(): encoded }),
        };
        Input { name, value, checksum: crc32c(&bytes), verified }
    }
}

/// The hash that the algorithm of a version fixes; PSS is nothing that cosign verifies.
fn hash_of(algorithm: &str) -> Option<Hash> {
    if algorithm == "EC_SIGN_ED25519" {
        return Some(Hash::default());
    }
    if !algorithm.starts_with("EC_SIGN_P") && !algorithm.starts_with("RSA_SIGN_PKCS1_") {
        return None;
    }
    Hash::ALL.into_iter().find(|it| algorithm.ends_with(&it.name().to_uppercase()))
}

/// A CRC32C: 64 bits wide in the API, and so a text in JSON.
fn checksum(answer: &Value, name: &str) -> Option<u32> {
    let value = answer.get(name)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).and_then(|it| u32::try_from(it).ok())
}

fn text<'a>(answer: &'a Value, name: &str) -> Option<&'a str> {
    answer.get(name).and_then(Value::as_str)
}

fn parse(url: &str) -> Result<Url, Failure> {
    Url::parse(url).map_err(|_| Failure::new(KeyErrorKind::Malformed, "an address is no URL"))
}

fn described(
    operation: &'static str,
    key: impl std::fmt::Display,
    mut failure: Failure,
) -> KeyError {
    // FAILED_PRECONDITION: "… is not enabled, current state is: DISABLED."
    let is_off = ["not enabled", "DISABLED", "DESTROY"].iter().any(|it| failure.said.contains(it));
    if failure.kind == KeyErrorKind::Unsupported && failure.status.is_some() && is_off {
        failure.kind = KeyErrorKind::Disabled;
    }
    let advice = match failure.kind {
        KeyErrorKind::Disabled => {
            "enable a version: gcloud kms keys versions enable …, or name another"
        }
        KeyErrorKind::NotFound => "check project, location, key ring and key in the reference",
        KeyErrorKind::Permission => {
            "grant roles/cloudkms.signerVerifier on the key (and roles/cloudkms.viewer where no version is named), and check `gcloud auth application-default login`"
        }
        KeyErrorKind::Unsupported => {
            "create a version with EC_SIGN_P256_SHA256, EC_SIGN_P384_SHA384, EC_SIGN_ED25519 or RSA_SIGN_PKCS1_*"
        }
        _ => return failure.at(operation, key),
    };
    failure.at(operation, key).advise(advice)
}

/// A version of a key in Cloud KMS.
struct GcpKey {
    key: Arc<str>,
    service: Service,
    name: String,
    takes: Takes,
}

impl std::fmt::Debug for GcpKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GcpKey").field("name", &self.key).finish_non_exhaustive()
    }
}

// What was damaged on its way is asked for again, as Google's guide to data integrity says.
const TRIES: usize = 3;

#[async_trait]
impl RemoteKey for GcpKey {
    async fn sign(&self, message: &[u8], hash: Hash) -> Result<SignatureBytes, KeyError> {
        let input = self.takes.input(message, hash);
        let mut tries = 1;
        loop {
            match self.service.sign(&self.name, &input).await {
                Ok(signature) => return Ok(signature),
                Err(failure) if failure.said.contains("damaged") && tries < TRIES => tries += 1,
                Err(failure) => return Err(described("sign with", &self.key, failure)),
            }
        }
    }
}
