//! Keys in the transit engine of HashiCorp Vault and OpenBao: `hashivault://NAME`, `openbao://NAME`.
//!
//! The version of the key is pinned when it is opened: a rotation during a run does not change who signs.
//! Source: Vault's API, "Transit secrets engine"; the variables are those of Vault's own client and of cosign.

mod connection;
mod renewal;

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::crypto::{Hash, KeyAlgorithm, PublicKey, SignatureBytes};
use crate::keys::http::Failure;
use crate::keys::remote::{RemoteKey, RemoteSigner};
use crate::keys::spki;
use crate::keys::vault::connection::Connection;
use crate::keys::{KeyError, KeyErrorKind, KeyReference, OpenOptions, Provider, Signer};

/// The provider of one of the two schemes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vault {
    scheme: &'static str,
}

impl Vault {
    /// `hashivault://`
    pub(super) const HASHICORP: Self = Self { scheme: "hashivault" };
    /// `openbao://`
    pub(super) const OPENBAO: Self = Self { scheme: "openbao" };

    fn key_name(reference: &str) -> &str {
        reference.split_once("://").map_or("", |(_, name)| name)
    }
}

#[async_trait]
impl Provider for Vault {
    fn name(&self) -> &'static str {
        "vault"
    }

    fn scheme(&self) -> &'static str {
        self.scheme
    }

    // cosign: ^(?:hashivault|openbao)://(?P<path>\w(([\w-.]+)?\w)?)$
    fn refuses(&self, reference: &str) -> Option<(&'static str, &'static str)> {
        let name = Self::key_name(reference);
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_name = name.starts_with(is_word)
            && name.ends_with(is_word)
            && name.chars().all(|c| is_word(c) || matches!(c, '-' | '.'));
        (!is_name).then_some((
            "it does not name one key of a transit engine",
            "write `hashivault://NAME`; the path of the engine goes into TRANSIT_SECRET_ENGINE_PATH",
        ))
    }

    async fn open(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<Arc<dyn Signer>, KeyError> {
        let connection = Connection::open(reference, options).await?;
        let key = TransitKey::read(connection, reference).await?;
        let public_key = key.public_key.clone();
        // Transit signs what it is given, whatever the length, with every curve and RSA size.
        Ok(Arc::new(RemoteSigner::new(reference, public_key, Hash::ALL, key)))
    }

    async fn create(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<PublicKey, KeyError> {
        let connection = Connection::open(reference, options).await?;
        let name = Self::key_name(reference.text());
        let failed = |failure: Failure| {
            let is_refused = failure.kind == KeyErrorKind::Permission;
            let error = connection.explain(failure, "create", reference);
            match is_refused {
                true => error.advise(format!(
                    "give the token's policy `read` and `create` on {}/keys/{name}",
                    connection.engine()
                )),
                false => error,
            }
        };
        // Vault answers a second creation as if it were the first.
        match connection.call(Method::GET, &["keys", name], None).await {
            Ok(_) => {
                return Err(KeyError::new("create", reference, KeyErrorKind::Exists)
                    .because("the engine has a key of that name"));
            }
            Err(failure) if failure.kind == KeyErrorKind::NotFound => {}
            Err(failure) => return Err(failed(failure)),
        }
        let body = json!({ "type": "ecdsa-p256" });
        let created = connection.call(Method::POST, &["keys", name], Some(&body)).await;
        created.map_err(failed)?;
        Ok(TransitKey::read(connection, reference).await?.public_key)
    }
}

/// One version of a key.
#[derive(Debug)]
struct TransitKey {
    connection: Connection,
    reference: KeyReference,
    version: u64,
    public_key: PublicKey,
}

impl TransitKey {
    /// Asks for the key, and takes its latest version.
    async fn read(connection: Connection, reference: &KeyReference) -> Result<Self, KeyError> {
        let name = Vault::key_name(reference.text());
        let answer = connection.call(Method::GET, &["keys", name], None).await;
        let answer = answer.map_err(|failure| connection.explain(failure, "open", reference))?;
        let data = answer.get("data").unwrap_or(&Value::Null);
        let malformed = |why: &str| {
            KeyError::new("open", reference, KeyErrorKind::Malformed).because(why.to_owned())
        };
        let kind = data.get("type").and_then(Value::as_str).unwrap_or_default();
        let unsupported = |why: String| {
            KeyError::new("open", reference, KeyErrorKind::Unsupported)
                .because(why)
                .advise("use a key of type ecdsa-p256, ecdsa-p384, ecdsa-p521, ed25519, rsa-2048, rsa-3072 or rsa-4096")
        };
        let signs = ["ecdsa-", "ed25519", "rsa-"].iter().any(|prefix| kind.starts_with(prefix));
        if !signs {
            return Err(unsupported(format!("a key of type `{kind}` does not sign")));
        }
        if data.get("soft_deleted").and_then(Value::as_bool) == Some(true) {
            return Err(KeyError::new("open", reference, KeyErrorKind::Disabled)
                .because("the key is deleted; it can still be restored")
                .advise("restore the key in Vault, or declare another"));
        }
        let version = data.get("latest_version").and_then(Value::as_u64);
        let version = version.ok_or_else(|| malformed("the answer has no `latest_version`"))?;
        let text = data
            .get("keys")
            .and_then(|keys| keys.get(version.to_string())?.get("public_key")?.as_str())
            .filter(|it| !it.is_empty())
            .ok_or_else(|| malformed("the answer has no public key (is the key derived?)"))?;
        let public_key = match kind {
            // The 32 bytes, in base64.
            "ed25519" => STANDARD
                .decode(text)
                .map_err(|_| "its public key is not base64".to_owned())
                .and_then(|raw| spki::ed25519(&raw)),
            _ => PublicKey::from_pem(text).map_err(|error| error.0),
        };
        let public_key = public_key.map_err(unsupported)?;
        Ok(Self { connection, reference: reference.clone(), version, public_key })
    }
}

#[async_trait]
impl RemoteKey for TransitKey {
    async fn sign(&self, message: &[u8], hash: Hash) -> Result<SignatureBytes, KeyError> {
        let name = Vault::key_name(self.reference.text());
        let suffix = match hash {
            Hash::Sha256 => "sha2-256",
            Hash::Sha384 => "sha2-384",
            Hash::Sha512 => "sha2-512",
        };
        let (path, body) = match self.public_key.algorithm() {
            KeyAlgorithm::Ed25519 => (
                vec!["sign", name],
                json!({ "input": STANDARD.encode(message), "key_version": self.version }),
            ),
            _ => (
                vec!["sign", name, suffix],
                json!({
                    "input": STANDARD.encode(hash.digest(message)),
                    "prehashed": true,
                    "key_version": self.version,
                    "signature_algorithm": "pkcs1v15",
                    "marshaling_algorithm": "asn1",
                }),
            ),
        };
        let answer = self.connection.call(Method::POST, &path, Some(&body)).await;
        let answer = answer
            .map_err(|failure| self.connection.explain(failure, "sign with", &self.reference))?;
        let text = answer.get("data").and_then(|data| data.get("signature")?.as_str());
        let parsed = text.and_then(versioned);
        let wrong = |why: String| {
            KeyError::new("sign with", &self.reference, KeyErrorKind::Mismatch).because(why)
        };
        match parsed {
            Some((version, signature)) if version == self.version => {
                SignatureBytes::from_base64(signature).map_err(|error| wrong(error.to_string()))
            }
            Some((version, _)) => Err(wrong(format!(
                "version {version} of the key has signed, not {}, which was read",
                self.version
            ))
            .advise("run again")),
            None => Err(wrong("the answer is no signature `vault:v1:…`".into())),
        }
    }
}

/// `vault:v3:<base64>`; OpenBao writes the same.
fn versioned(signature: &str) -> Option<(u64, &str)> {
    let (version, signature) = signature.strip_prefix("vault:v")?.split_once(':')?;
    Some((version.parse().ok()?, signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_one_key_and_no_path() {
        for good in ["hashivault://a", "hashivault://release-1.0_x", "openbao://9"] {
            assert_eq!(Vault::HASHICORP.refuses(good), None, "{good}");
        }
        for bad in ["", "-a", "a-", "a/b", "../a", "a?x", "ä", "a b", "."] {
            let refused = Vault::HASHICORP.refuses(&format!("hashivault://{bad}"));
            assert!(refused.is_some(), "{bad}");
        }
    }

    #[test]
    fn a_signature_has_its_version() {
        assert_eq!(versioned("vault:v12:AAA="), Some((12, "AAA=")));
        for bad in ["", "vault:1:AAA=", "vault:vx:AAA=", "vault:v1", "bao:v1:AAA="] {
            assert_eq!(versioned(bad), None, "{bad}");
        }
    }
}
