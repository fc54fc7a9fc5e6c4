//! Identity tokens: every provider against a server that behaves as its documentation says.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests"
)]

#[path = "../support/mod.rs"]
mod support;

mod ambient;
mod given;
mod logins;
mod renewal;
#[cfg(unix)]
mod spiffe;

use std::sync::Arc;
use std::time::Duration;

use countersign::keys::memory::MemoryEnvironment;
use countersign::sigstore::ServiceError;
use countersign::sigstore::identity::{AUDIENCE, IdentityOptions, IdentityToken, source};

use support::fakes::identity::Identity;
use support::fakes::service::Service;

/// Options with these variables, nothing at the fixed places, and little patience.
fn options(environment: MemoryEnvironment) -> IdentityOptions {
    let mut options = IdentityOptions::new(Arc::new(environment));
    options.patience = Duration::from_secs(3);
    options.places.token_file = "/nowhere/token".into();
    options.places.spiffe_socket = "/nowhere/socket".into();
    options.places.product_name = "/nowhere/product".into();
    options
}

fn nothing() -> IdentityOptions {
    options(MemoryEnvironment::default())
}

async fn token(options: IdentityOptions) -> Result<IdentityToken, ServiceError> {
    source(options).token(AUDIENCE).await
}

/// Checks an error's code, that it says these words, and no secret of `service`.
fn told(error: &ServiceError, code: &str, words: &[&str], service: Option<&Service<Identity>>) {
    let shown = format!("{error} ({}) {error:?}", error.help().unwrap_or_default());
    assert_eq!(error.code(), code, "{shown}");
    for word in words {
        assert!(shown.contains(word), "`{word}` is not in {shown}");
    }
    for secret in service.iter().flat_map(|it| it.state.secrets()) {
        assert!(!shown.contains(&secret), "a secret is in {shown}");
    }
}
