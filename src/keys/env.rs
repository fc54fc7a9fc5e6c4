//! Keys in environment variables: `env://NAME`, where the variable holds the text of an encrypted key file.
//!
//! The password comes from [`PasswordSource`](crate::keys::PasswordSource), as for files. This is how a CI system
//! hands over a key as a secret. A variable with a public key serves to verify. Source: cosign's `pkg/blob/load.go`.

use std::sync::Arc;

use async_trait::async_trait;

use crate::crypto::PublicKey;
use crate::keys::local::LocalSigner;
use crate::keys::{KeyError, KeyErrorKind, KeyReference, OpenOptions, Provider, Signer};
use crate::model::Secret;

/// The provider of `env://NAME`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Env;

#[async_trait]
impl Provider for Env {
    fn name(&self) -> &'static str {
        "env"
    }

    fn scheme(&self) -> &'static str {
        "env"
    }

    fn refuses(&self, reference: &str) -> Option<(&'static str, &'static str)> {
        (reference == "env://").then_some(("the variable has no name", "write `env://NAME`"))
    }

    async fn open(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<Arc<dyn Signer>, KeyError> {
        let text = text(reference, options)?;
        Ok(Arc::new(LocalSigner::open(&reference.to_string(), &text, options).await?))
    }

    async fn published(
        &self,
        reference: &KeyReference,
        options: &OpenOptions,
    ) -> Result<Option<PublicKey>, KeyError> {
        // What is no public key is, or is not, a private one: opening it says more.
        Ok(PublicKey::from_pem(text(reference, options)?.expose()).ok())
    }
}

fn text(reference: &KeyReference, options: &OpenOptions) -> Result<Secret<String>, KeyError> {
    let name = reference.variable().ok_or_else(|| {
        KeyError::new("open", reference, KeyErrorKind::Unsupported)
            .because("this is no `env://NAME`")
    })?;
    options.environment.variable(name).ok_or_else(|| {
        KeyError::new("open", reference, KeyErrorKind::NotFound)
            .because(format!("the variable {name} is not set"))
            .advise(format!("put the text of the key file into {name}"))
    })
}

#[cfg(test)]
mod tests;
