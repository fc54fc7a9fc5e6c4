//! Every provider of keys: real cryptography behind each service, the same suite over each, each kind of failure.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "tests"
)]
#![cfg_attr(
    not(feature = "all-providers"),
    allow(dead_code, unused_imports, reason = "some parts serve some providers only")
)]

#[path = "../support/mod.rs"]
mod support;

#[cfg(feature = "azure-key-vault")]
mod azure_key_vault;
#[cfg(all(unix, feature = "cli", feature = "all-providers"))]
mod creation;
#[cfg(all(unix, feature = "cli", feature = "all-providers"))]
mod failures;
#[cfg(feature = "gcp-kms")]
mod gcp_kms;
#[cfg(feature = "github")]
mod github;
#[cfg(feature = "gitlab")]
mod gitlab;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod pages;
#[cfg(all(unix, feature = "plugin"))]
mod plugin;
#[cfg(all(unix, feature = "cli", feature = "all-providers"))]
mod together;
#[cfg(feature = "vault")]
mod vault;
#[cfg(all(unix, feature = "cli", feature = "all-providers"))]
mod world;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign::keys::memory::MemoryEnvironment;
use countersign::keys::{KeyError, KeyReference, OpenOptions, Signer, open};

/// The key files of cosign in `tests/fixtures/keys`, one for each algorithm. Their password is `test`.
const ALGORITHMS: [&str; 7] = ["p256", "p384", "p521", "ed25519", "rsa2048", "rsa3072", "rsa4096"];

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/keys").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// A reference as it would stand in a spec.
fn reference(text: &str) -> KeyReference {
    KeyReference::parse(text, Path::new("")).unwrap()
}

/// Options with these variables, and with little patience towards what is not there at all.
fn options(environment: MemoryEnvironment) -> OpenOptions {
    OpenOptions::new(Arc::new(environment)).with_patience(Duration::from_secs(3))
}

async fn opened(text: &str, environment: MemoryEnvironment) -> Result<Arc<dyn Signer>, KeyError> {
    open(&reference(text), &options(environment)).await
}

/// All that a user can see of an error.
fn shown(error: &KeyError) -> String {
    let cause = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{error}: {cause} ({}) {error:?}", error.help().unwrap_or_default())
}

/// Checks an error's code, that it says these words, and none of these secrets.
fn told(error: &KeyError, code: &str, words: &[&str], secrets: &[&str]) {
    let shown = shown(error);
    assert_eq!(error.code(), code, "{shown}");
    for word in words {
        assert!(shown.contains(word), "`{word}` is not in {shown}");
    }
    for secret in secrets {
        assert!(!shown.contains(secret), "a secret is in {shown}");
    }
}
