//! Keys in a Kubernetes secret: `k8s://NAMESPACE/SECRET`.
//!
//! The secret is cosign's: `cosign.key`, `cosign.password`, `cosign.pub`. Source: Kubernetes API, core/v1 Secret;
//! cosign's `pkg/cosign/kubernetes/secret.go`.

mod cluster;
mod exec;
mod kubeconfig;

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::crypto::PublicKey;
use crate::keys::http::Failure;
use crate::keys::kubernetes::cluster::Cluster;
use crate::keys::local::{KIND_OF_KEYS, LocalSigner};
use crate::keys::{
    KeyError, KeyErrorKind, KeyPair, KeyReference, OpenOptions, Provider, Signer, new_password,
};
use crate::model::Secret;

const PRIVATE_KEY: &str = "cosign.key";
const PASSWORD: &str = "cosign.password";
const PUBLIC_KEY: &str = "cosign.pub";

/// The provider of `k8s://`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kubernetes;

#[async_trait]
impl Provider for Kubernetes {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn scheme(&self) -> &'static str {
        "k8s"
    }

    fn refuses(&self, reference: &str) -> Option<(&'static str, &'static str)> {
        parts(reference).is_none().then_some((
            "it does not name a secret and its namespace",
            "write `k8s://NAMESPACE/SECRET`",
        ))
    }

    async fn open(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<Arc<dyn Signer>, KeyError> {
        let data = read("open", reference, options).await?;
        let (key, text) = (reference.to_string(), data.text("open", PRIVATE_KEY)?);
        let signer = match data.0.get(PASSWORD) {
            Some(_) => {
                let password = data.text("open", PASSWORD)?;
                LocalSigner::open_with(&key, &text, password).await.map_err(|error| match error
                    .kind
                {
                    KeyErrorKind::WrongPassword => {
                        error.advise("check `cosign.password` in the secret")
                    }
                    _ => error,
                })?
            }
            None => LocalSigner::open(&key, &text, options).await?,
        };
        Ok(Arc::new(signer))
    }

    async fn published(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<Option<PublicKey>, KeyError> {
        let operation = "read the public key of";
        let data = read(operation, reference, options).await?;
        if data.0.get(PUBLIC_KEY).is_none() {
            return Ok(None);
        }
        let text = data.text(operation, PUBLIC_KEY)?;
        PublicKey::from_pem(text.expose()).map(Some).map_err(|error| {
            KeyError::new(operation, reference, KeyErrorKind::Malformed)
                .because(format!("{PUBLIC_KEY} in the secret: {error}"))
                .advise(KIND_OF_KEYS)
        })
    }

    async fn create(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<PublicKey, KeyError> {
        let cluster = Cluster::find("create", reference, options).await?;
        let (namespace, name) = parts(reference.text()).unwrap_or_default();
        let password = new_password(&reference.to_string(), options).await?;
        let pair = KeyPair::generate(&password).await?;
        let public_pem = pair.public_key.to_pem();
        let body = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": name, "namespace": namespace },
            "type": "Opaque",
            // As cosign makes it: nobody swaps the key unseen.
            "immutable": true,
            "data": {
                PRIVATE_KEY: STANDARD.encode(pair.private_pem.expose()),
                PASSWORD: STANDARD.encode(password.expose()),
                PUBLIC_KEY: STANDARD.encode(public_pem),
            },
        });
        let path = ["api", "v1", "namespaces", namespace, "secrets"];
        let created = cluster.call(Method::POST, &path, Some(&body)).await;
        created.map_err(|failure| explain(failure, "create", reference))?;
        Ok(pair.public_key)
    }
}

/// The namespace and the name of the secret; both are names as Kubernetes has them.
fn parts(reference: &str) -> Option<(&str, &str)> {
    let (namespace, name) = reference.strip_prefix("k8s://")?.split_once('/')?;
    let is_name = |text: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        text.len() <= 253
            && text.starts_with(inner)
            && text.ends_with(inner)
            && text.chars().all(|c| inner(c) || matches!(c, '-' | '.'))
    };
    (is_name(namespace) && is_name(name)).then_some((namespace, name))
}

/// `data` of a secret.
struct Data<'a>(Value, &'a KeyReference);

impl Data<'_> {
    fn text(&self, operation: &'static str, name: &str) -> Result<Secret<String>, KeyError> {
        let error = |kind, why| {
            KeyError::new(operation, self.1, kind).because(format!("{name} in the secret {why}"))
        };
        let Some(encoded) = self.0.get(name).and_then(Value::as_str) else {
            return Err(error(KeyErrorKind::NotFound, "is not there").advise(format!(
                "the secret needs {PRIVATE_KEY}, {PASSWORD} and {PUBLIC_KEY}: make one with `countersign generate-key-pair {}`",
                self.1
            )));
        };
        let bytes = STANDARD.decode(encoded).ok().map(Secret::new);
        let text = bytes.and_then(|it| std::str::from_utf8(it.expose()).ok().map(str::to_owned));
        text.map(Secret::new).ok_or_else(|| error(KeyErrorKind::Malformed, "is no text"))
    }
}

async fn read<'a>(
    operation: &'static str,
    reference: &'a KeyReference,
    options: &OpenOptions,
) -> Result<Data<'a>, KeyError> {
    let cluster = Cluster::find(operation, reference, options).await?;
    let (namespace, name) = parts(reference.text()).unwrap_or_default();
    let path = ["api", "v1", "namespaces", namespace, "secrets", name];
    let answer = cluster.call(Method::GET, &path, None).await;
    let mut answer = answer.map_err(|failure| explain(failure, operation, reference))?;
    let data = answer.get_mut("data").map(Value::take).unwrap_or_default();
    Ok(Data(data, reference))
}

fn explain(failure: Failure, operation: &'static str, reference: &KeyReference) -> KeyError {
    let kind = failure.kind;
    let status = failure.status.map(|it| it.as_u16());
    let error = failure.at(operation, reference);
    match (kind, status) {
        (KeyErrorKind::Permission, Some(401)) => error.advise(
            "the credentials of the current context are not taken: log in again, and try `kubectl auth whoami`",
        ),
        (KeyErrorKind::Permission, _) => {
            error.advise("give the user a role with `get` on this secret (`create` on secrets, to make one)")
        }
        (KeyErrorKind::NotFound, _) => error.advise(
            "check namespace and name, and the cluster: `kubectl config current-context`",
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_namespace_and_a_name() {
        assert_eq!(parts("k8s://ns/a.b-1"), Some(("ns", "a.b-1")));
        for bad in ["k8s://ns", "k8s://ns/", "k8s:///a", "k8s://ns/a/b", "k8s://../a", "k8s://Ns/a"]
        {
            assert!(Kubernetes.refuses(bad).is_some(), "{bad}");
        }
    }
}
