//! Keys in environment variables: `env://NAME`, where the variable holds the text of an encrypted key file.
//!
//! The password comes from [`PasswordSource`](crate::keys::PasswordSource), as for files. This is how a CI system
//! hands over a key as a secret. Source: cosign's `pkg/blob/load.go`.

use std::sync::Arc;

use async_trait::async_trait;

use crate::keys::local::LocalSigner;
use crate::keys::{KeyError, KeyErrorKind, KeyReference, OpenOptions, Provider, Signer};

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
        let key = reference.to_string();
        let Some(name) = reference.variable() else {
            return Err(KeyError::new("open", key, KeyErrorKind::Unsupported)
                .because("this is no `env://NAME`"));
        };
        let Some(text) = options.environment.variable(name) else {
            return Err(KeyError::new("open", &key, KeyErrorKind::NotFound)
                .because(format!("the variable {name} is not set"))
                .advise(format!("put the text of the key file into {name}")));
        };
        Ok(Arc::new(LocalSigner::open(&key, &text, options).await?))
    }
}

#[cfg(test)]
mod tests;
