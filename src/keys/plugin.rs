//! Plugins: programs `sigstore-kms-SCHEME` on `PATH` that open `SCHEME://…` keys, protocol v1.
//!
//! Each method is one run of the program: `sigstore-kms-SCHEME v1 '<json>'`, the message on its input, one JSON
//! answer on its output, its exit status ignored. Source: sigstore's `pkg/signature/kms/cliplugin`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::crypto::{Hash, PublicKey, SignatureBytes};
use crate::keys::remote::{RemoteKey, RemoteSigner};
use crate::keys::{KeyError, KeyErrorKind, KeyReference, OpenOptions, Provider, Signer, is_plugin};
use crate::model::{Clock, SystemClock};
use crate::wire::program::{Program, ProgramError, find};
use crate::wire::{backoff, one_line};

const PROTOCOL: &str = "v1";
const LONGEST_RUN: Duration = Duration::from_secs(60);
const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(15);

/// The provider of every scheme that no other has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plugins;

#[async_trait]
impl Provider for Plugins {
    fn name(&self) -> &'static str {
        "plugin"
    }

    fn scheme(&self) -> &'static str {
        "sigstore-kms-<scheme>"
    }

    fn opens(&self, scheme: &str) -> bool {
        // It becomes a part of the name of a program.
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-._".contains(c);
        is_plugin(scheme)
            && scheme.starts_with(|c: char| c.is_ascii_alphanumeric())
            && scheme.chars().all(fits)
    }

    async fn open(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<Arc<dyn Signer>, KeyError> {
        let plugin = Plugin::find("open", reference, options)?;
        let public_key = plugin.public_key("open").await?;
        // It is told the hash; whether it heeds it, each signature shows.
        Ok(Arc::new(RemoteSigner::new(reference, public_key, Hash::ALL, plugin)))
    }

    async fn create(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<PublicKey, KeyError> {
        let plugin = Plugin::find("create", reference, options)?;
        if let Ok(found) = plugin.public_key("create").await {
            return Err(KeyError::new("create", reference, KeyErrorKind::Exists)
                .because(format!("the plugin has a key there: {}", found.fingerprint())));
        }
        let method = json!({ "methodName": "defaultAlgorithm", "defaultAlgorithm": {} });
        let answer = plugin.call("create", method, Hash::Sha256, b"").await?;
        let algorithm =
            answer.pointer("/defaultAlgorithm/defaultAlgorithm").and_then(Value::as_str);
        let algorithm = algorithm.ok_or_else(|| plugin.malformed("create"))?;
        let deadline = plugin.deadline();
        let method = json!({
            "methodName": "createKey",
            "createKey": { "ctxDeadline": deadline, "algorithm": algorithm },
        });
        let answer = plugin.call("create", method, Hash::Sha256, b"").await?;
        plugin.key_in("create", answer.get("createKey"))
    }
}

/// One key of one plugin.
struct Plugin {
    program: Program,
    reference: KeyReference,
    patience: Duration,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plugin({:?})", self.program)
    }
}

impl Plugin {
    fn find(
        operation: &'static str,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<Self, KeyError> {
        let name = format!("sigstore-kms-{}", reference.scheme());
        let path = options.variable("PATH").and_then(|path| find(&name, path.expose()));
        let path = path.ok_or_else(|| {
            KeyError::new(operation, reference, KeyErrorKind::NotFound)
                .because(format!("there is no program `{name}` on PATH"))
                .advise(format!("install the plugin `{name}`, or correct the scheme of the key"))
        })?;
        let program = Program {
            path,
            arguments: Vec::new(),
            environment: options.environment.child_variables(),
            variables: Vec::new(),
            time: options.patience.min(LONGEST_RUN),
        };
        Ok(Self { program, reference: reference.clone(), patience: options.patience })
    }

    /// What the plugin is told of the reference: what stands behind the scheme, which is the plugin's own name.
    fn resource(&self) -> &str {
        self.reference.text().split_once("://").map_or("", |(_, resource)| resource)
    }

    fn deadline(&self) -> String {
        SystemClock.now().after(self.program.time).to_string()
    }

    /// Runs one method. What limits or is away for a moment is run again.
    async fn call(
        &self,
        operation: &'static str,
        method: Value,
        hash: Hash,
        input: &[u8],
    ) -> Result<Value, KeyError> {
        let since = Instant::now();
        let mut failures = 0;
        loop {
            let error = match self.once(operation, &method, hash, input).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            failures += 1;
            let wait = backoff(FIRST_DELAY, LONGEST_DELAY, failures);
            if !error.is_transient() || since.elapsed() + wait > self.patience {
                return Err(error);
            }
            sleep(wait).await;
        }
    }

    async fn once(
        &self,
        operation: &'static str,
        method: &Value,
        hash: Hash,
        input: &[u8],
    ) -> Result<Value, KeyError> {
        let mut arguments = json!({ "initOptions": {
            "ctxDeadline": self.deadline(),
            "protocolVersion": PROTOCOL,
            "keyResourceID": self.resource(),
            "hashFunc": number(hash),
            "rpcOptions": {},
        } });
        if let (Some(all), Some(method)) = (arguments.as_object_mut(), method.as_object()) {
            all.extend(method.clone());
        }
        let mut program = self.program.clone();
        program.arguments = vec![PROTOCOL.into(), arguments.to_string().into()];
        let failed = |kind, why: String| {
            let why = format!("`sigstore-kms-{}`: {why}", self.reference.scheme());
            KeyError::new(operation, &self.reference, kind).because(why)
        };
        let output = program.run(input).await.map_err(|error| {
            let kind = match &error {
                ProgramError::TooSlow(_) => KeyErrorKind::Unavailable,
                _ => KeyErrorKind::Malformed,
            };
            failed(kind, error.to_string())
        })?;
        let Ok(answer) = serde_json::from_slice::<Value>(&output.stdout) else {
            let said = one_line(&String::from_utf8_lossy(&output.stderr));
            let said = said.map_or(String::new(), |said| format!(", and it says: {said}"));
            return Err(failed(
                KeyErrorKind::Malformed,
                format!("its answer is not the JSON of protocol {PROTOCOL}{said}"),
            ));
        };
        match answer.get("errorMessage").and_then(Value::as_str).filter(|it| !it.is_empty()) {
            None => Ok(answer),
            Some(said) => {
                let line = one_line(said).unwrap_or_else(|| "it failed".into());
                let error = failed(kind_of(said), line);
                Err(match error.help() {
                    Some(_) => error,
                    None => error.advise(
                        "these are the words of the plugin: its documentation says what it needs",
                    ),
                })
            }
        }
    }

    async fn public_key(&self, operation: &'static str) -> Result<PublicKey, KeyError> {
        let method = json!({
            "methodName": "publicKey",
            "publicKey": { "publicKeyOptions": { "rpcOptions": {} } },
        });
        let answer = self.call(operation, method, Hash::Sha256, b"").await?;
        self.key_in(operation, answer.get("publicKey"))
    }

    fn key_in(
        &self,
        operation: &'static str,
        answer: Option<&Value>,
    ) -> Result<PublicKey, KeyError> {
        let pem = answer.and_then(|it| it.get("publicKeyPEM")?.as_str());
        let pem = pem.and_then(|it| STANDARD.decode(it).ok());
        let pem = pem.and_then(|it| String::from_utf8(it).ok());
        let pem = pem.ok_or_else(|| self.malformed(operation))?;
        PublicKey::from_pem(&pem).map_err(|error| {
            KeyError::new(operation, &self.reference, KeyErrorKind::Unsupported).because(error)
        })
    }

    fn malformed(&self, operation: &'static str) -> KeyError {
        KeyError::new(operation, &self.reference, KeyErrorKind::Malformed).because(format!(
            "`sigstore-kms-{}`: its answer lacks what was asked for",
            self.reference.scheme()
        ))
    }
}

#[async_trait]
impl RemoteKey for Plugin {
    async fn sign(&self, message: &[u8], hash: Hash) -> Result<SignatureBytes, KeyError> {
        let method = json!({
            "methodName": "signMessage",
            "signMessage": { "signOptions": {
                "rpcOptions": {},
                "messageOptions": { "hashFunc": number(hash) },
            } },
        });
        let answer = self.call("sign with", method, hash, message).await?;
        let signature = answer.pointer("/signMessage/signature").and_then(Value::as_str);
        let signature = signature.ok_or_else(|| self.malformed("sign with"))?;
        SignatureBytes::from_base64(signature).map_err(|_| self.malformed("sign with"))
    }
}

/// Go's `crypto.Hash`.
fn number(hash: Hash) -> u8 {
    match hash {
        Hash::Sha256 => 5,
        Hash::Sha384 => 6,
        Hash::Sha512 => 7,
    }
}

/// The protocol has texts and no kinds: the words that services use tell the common ones apart.
fn kind_of(said: &str) -> KeyErrorKind {
    const WORDS: &[(KeyErrorKind, &[&str])] = &[
        (KeyErrorKind::Throttled, &["throttl", "rate limit", "too many requests"]),
        (KeyErrorKind::Disabled, &["disabled", "pending deletion"]),
        (KeyErrorKind::NotFound, &["not found", "no such", "does not exist"]),
        (KeyErrorKind::Permission, &["denied", "unauthorized", "forbidden", "not authorized"]),
        (
            KeyErrorKind::Unavailable,
            &["timeout", "timed out", "deadline", "unavailable", "refused"],
        ),
    ];
    let said = said.to_ascii_lowercase();
    let found = WORDS.iter().find(|(_, words)| words.iter().any(|word| said.contains(word)));
    found.map_or(KeyErrorKind::Unsupported, |(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_that_somebody_has_is_no_plugin_and_none_leads_elsewhere() {
        for scheme in ["acme", "my-hsm", "hsm2"] {
            assert!(Plugins.opens(scheme), "{scheme}");
        }
        for scheme in ["awskms", "k8s", "file", "https", "", "../x", "a/b", "-x", "Acme", "a b"] {
            assert!(!Plugins.opens(scheme), "{scheme}");
        }
    }

    #[test]
    fn what_plugins_say_has_a_kind() {
        for (said, kind) in [
            ("rpc error: PermissionDenied: access denied", KeyErrorKind::Permission),
            ("open /k: no such file or directory", KeyErrorKind::NotFound),
            ("ThrottlingException: slow down", KeyErrorKind::Throttled),
            ("key is disabled", KeyErrorKind::Disabled),
            ("context deadline exceeded", KeyErrorKind::Unavailable),
            ("unknown algorithm", KeyErrorKind::Unsupported),
        ] {
            assert_eq!(kind_of(said), kind, "{said}");
        }
    }
}
