//! Who signs without a key: identity tokens, and where they come from.

mod token;

use std::fmt;

use async_trait::async_trait;

pub use token::{Email, IdentityToken, TokenError};

use crate::sigstore::ServiceError;

/// The audience that Fulcio asks for.
pub const AUDIENCE: &str = "sigstore";

/// Gives tokens that say who signs.
#[async_trait]
pub trait IdentitySource: fmt::Debug + Send + Sync {
    /// A token for `audience` that has not ended.
    ///
    /// # Errors
    ///
    /// Codes of the area `oidc`.
    async fn token(&self, audience: &str) -> Result<IdentityToken, ServiceError>;
}
