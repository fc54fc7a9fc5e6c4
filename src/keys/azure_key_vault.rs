//! Keys in Azure Key Vault and Managed HSM: `azurekms://VAULT-HOST/KEY[/VERSION]`.
//!
//! Spoken to over REST, with the credentials that `DefaultAzureCredential` would find. Only digests leave this
//! machine. Source: cosign's `pkg/signature/kms/azure`; Key Vault REST API 7.4.

mod credentials;
mod reference;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::crypto::{Hash, KeyAlgorithm, PublicKey, SignatureBytes};
use crate::keys::azure_key_vault::credentials::Credentials;
use crate::keys::azure_key_vault::reference::Reference;
use crate::keys::http::{Call, Failure, Http};
use crate::keys::remote::{RemoteKey, RemoteSigner};
use crate::keys::spki;
use crate::keys::{KeyError, KeyErrorKind, KeyReference, OpenOptions, Provider, Signer};
use crate::wire::tls::Tls;

/// The provider of `azurekms://`.
#[derive(Clone, Copy, Debug)]
pub(super) struct AzureKeyVault;

const FORM: &str =
    "write `azurekms://VAULT.vault.azure.net/KEY`, and `/VERSION` behind it for one version";
const TIMEOUT: Duration = Duration::from_secs(30);
const API: &str = "api-version=7.4";

#[async_trait]
impl Provider for AzureKeyVault {
    fn name(&self) -> &'static str {
        "azure-key-vault"
    }

    fn scheme(&self) -> &'static str {
        "azurekms"
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
        let opened = fetch(reference.to_string().into(), &parsed, options).await;
        let (key, public_key) = opened.map_err(|it| described("open", reference, it))?;
        let hashes = match public_key.algorithm() {
            // The curve fixes the hash.
            KeyAlgorithm::EcdsaP384 => vec![Hash::Sha384],
            KeyAlgorithm::EcdsaP521 => vec![Hash::Sha512],
            KeyAlgorithm::Rsa(_) => Hash::ALL.to_vec(),
            _ => vec![Hash::Sha256],
        };
        Ok(Arc::new(RemoteSigner::new(reference, public_key, hashes, key)))
    }

    async fn create(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<PublicKey, KeyError> {
        let parsed = reference.read("create", Reference::parse, FORM)?;
        if parsed.version.is_some() {
            return Err(KeyError::new("create", reference, KeyErrorKind::Unsupported)
                .because("Azure gives a new key its version")
                .advise("leave the version out of the reference"));
        }
        let made = make(reference.to_string().into(), &parsed, options).await;
        made.map_err(|failure| {
            let advice = match failure.kind {
                KeyErrorKind::Exists if failure.status.is_some() => {
                    "a deleted key keeps its name until it is purged: az keyvault key recover …, or choose another name"
                }
                KeyErrorKind::Permission => {
                    "grant `Key Vault Crypto Officer` on the vault (get, create), and check the credentials"
                }
                _ => return described("create", reference, failure),
            };
            failure.at("create", reference).advise(advice)
        })
    }
}

/// Makes a P-256 key. Two requests, for Azure would add a version to a key that is there.
async fn make(
    name: Arc<str>,
    reference: &Reference,
    options: &OpenOptions,
) -> Result<PublicKey, Failure> {
    let key = AzureKey::new(name, reference, options)?;
    match key.call(Method::GET, "", None).await {
        Ok(_) => {
            let said = "the vault has a key of that name";
            return Err(Failure::new(KeyErrorKind::Exists, said));
        }
        Err(failure) if failure.kind == KeyErrorKind::NotFound => {}
        Err(failure) => return Err(failure),
    }
    let kind = if reference.is_hsm() { "EC-HSM" } else { "EC" };
    let body = json!({ "kty": kind, "crv": "P-256", "key_ops": ["sign", "verify"] });
    let made = key.call(Method::POST, "create", Some(&body)).await?;
    public_key(made.get("key").unwrap_or(&Value::Null))
}

async fn fetch(
    name: Arc<str>,
    reference: &Reference,
    options: &OpenOptions,
) -> Result<(AzureKey, PublicKey), Failure> {
    let mut key = AzureKey::new(name, reference, options)?;
    let answer = key.call(Method::GET, "", None).await?;
    if answer.pointer("/attributes/enabled") == Some(&Value::Bool(false)) {
        return Err(Failure::new(KeyErrorKind::Disabled, "the version of the key is disabled"));
    }
    let jwk = answer.get("key").unwrap_or(&Value::Null);
    let operations = jwk.get("key_ops").and_then(Value::as_array);
    if operations.is_some_and(|them| !them.iter().any(|it| it == "sign")) {
        return Err(unsupported("the key is not for signing: `sign` is not among its operations"));
    }
    // The version is the last part of the id: from here on it is the one that signs.
    let id = text(jwk, "kid").and_then(|it| it.rsplit('/').next());
    let id = id.filter(|it| it.bytes().all(|c| c.is_ascii_alphanumeric()));
    if let (None, Some(version)) = (&reference.version, id) {
        key.path = format!("keys/{}/{version}", reference.key);
    }
    let public_key = public_key(jwk)?;
    key.is_rsa = matches!(public_key.algorithm(), KeyAlgorithm::Rsa(_));
    Ok((key, public_key))
}

/// Source: RFC 7517 and 7518 §6; Azure adds `EC-HSM` and `RSA-HSM`.
fn public_key(jwk: &Value) -> Result<PublicKey, Failure> {
    let number = |name: &str| {
        let bytes = text(jwk, name).and_then(|it| URL_SAFE_NO_PAD.decode(it).ok());
        bytes.ok_or_else(|| unsupported(&format!("the key has no `{name}`")))
    };
    let key = match text(jwk, "kty").unwrap_or_default() {
        "EC" | "EC-HSM" => {
            let (curve, width) = match text(jwk, "crv").unwrap_or_default() {
                "P-256" => (P256, 32_usize),
                "P-384" => (P384, 48),
                "P-521" => (P521, 66),
                other => return Err(unsupported(&format!("the curve {other} is not taken"))),
            };
            let mut point = vec![4];
            for half in [number("x")?, number("y")?] {
                let zeros = width.checked_sub(half.len());
                let zeros = zeros.ok_or_else(|| unsupported("the point is not on its curve"))?;
                point.extend(std::iter::repeat_n(0, zeros));
                point.extend(half);
            }
            spki::elliptic(curve, &point)
        }
        "RSA" | "RSA-HSM" => spki::rsa(&number("n")?, &number("e")?),
        other => return Err(unsupported(&format!("keys of the type {other} are not taken"))),
    };
    key.map_err(|why| unsupported(&why))
}

// The names of the curves, in DER: RFC 5480 §2.1.1.1.
const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x22";
const P521: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x23";

fn unsupported(why: &str) -> Failure {
    Failure::new(KeyErrorKind::Unsupported, why)
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

fn parse(url: &str) -> Result<Url, Failure> {
    Url::parse(url).map_err(|_| Failure::new(KeyErrorKind::Malformed, "an address is no URL"))
}

fn described(
    operation: &'static str,
    key: impl std::fmt::Display,
    mut failure: Failure,
) -> KeyError {
    // 403 "Operation sign is not allowed on a disabled key."; a network that is disabled is another thing.
    let said = failure.said.to_ascii_lowercase();
    if failure.status.is_some() && said.contains("disabled key") {
        failure.kind = KeyErrorKind::Disabled;
    }
    let advice = match failure.kind {
        KeyErrorKind::Disabled => "enable it: az keyvault key set-attributes --enabled true …",
        KeyErrorKind::NotFound => "check the name of the vault, of the key, and its version",
        KeyErrorKind::Permission => {
            "grant `Key Vault Crypto User` on the key (get, sign), and check the credentials: AZURE_CLIENT_ID with AZURE_TENANT_ID and a secret, a managed identity, or `az login`"
        }
        KeyErrorKind::Unsupported => {
            "create a key of EC P-256, P-384 or P-521, or RSA 2048 to 4096, that may sign"
        }
        _ => return failure.at(operation, key),
    };
    failure.at(operation, key).advise(advice)
}

/// A version of a key in a vault.
struct AzureKey {
    name: Arc<str>,
    http: Http,
    credentials: Credentials,
    base: Url,
    /// `keys/NAME/VERSION`.
    path: String,
    is_rsa: bool,
}

impl std::fmt::Debug for AzureKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AzureKey").field("name", &self.name).finish_non_exhaustive()
    }
}

impl AzureKey {
    /// Where the key is, and who asks; asks nobody yet.
    fn new(name: Arc<str>, reference: &Reference, options: &OpenOptions) -> Result<Self, Failure> {
        let base = parse(&reference.base())?;
        let http = Http::new(&base, Tls::default(), TIMEOUT, options)?;
        let credentials = Credentials::new(reference, options)?;
        let version = reference.version.as_deref().unwrap_or_default();
        let path = format!("keys/{}/{version}", reference.key);
        Ok(Self { name, http, credentials, base, path, is_rsa: false })
    }

    async fn call(
        &self,
        method: Method,
        verb: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let url = self.base.join(&format!("{}{verb}?{API}", self.path));
        let url = url.map_err(|_| Failure::new(KeyErrorKind::Malformed, "the key has no URL"))?;
        let mut call = self.credentials.authorize(Call::new(method, url)).await?;
        if let Some(body) = body {
            call = call.json(body);
        }
        Ok(self.http.send(&call).await?.json()?)
    }
}

#[async_trait]
impl RemoteKey for AzureKey {
    async fn sign(&self, message: &[u8], hash: Hash) -> Result<SignatureBytes, KeyError> {
        let algorithm = match (self.is_rsa, hash) {
            (false, Hash::Sha256) => "ES256",
            (false, Hash::Sha384) => "ES384",
            (false, Hash::Sha512) => "ES512",
            // PKCS#1 v1.5, not PS*: `cosign verify --key` takes nothing else.
            (true, Hash::Sha256) => "RS256",
            (true, Hash::Sha384) => "RS384",
            (true, Hash::Sha512) => "RS512",
        };
        let value = URL_SAFE_NO_PAD.encode(hash.digest(message));
        let body = json!({ "alg": algorithm, "value": value });
        let answer = self.call(Method::POST, "/sign", Some(&body)).await;
        let answer = answer.map_err(|it| described("sign with", &self.name, it))?;
        let malformed = |why: String| {
            KeyError::new("sign with", &self.name, KeyErrorKind::Malformed).because(why)
        };
        let bytes = URL_SAFE_NO_PAD.decode(text(&answer, "value").unwrap_or_default());
        let bytes = bytes.map_err(|error| malformed(format!("the signature: {error}")))?;
        if self.is_rsa {
            return Ok(SignatureBytes::new(bytes));
        }
        SignatureBytes::from_fixed_width(&bytes).map_err(|error| malformed(error.to_string()))
    }
}
