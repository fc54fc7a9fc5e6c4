//! A registry of OCI 1.1 on a free loopback port, in this process and in memory: it lists referrers itself.
//!
//! `ferro-oci-server`, which passes the conformance suite of the distribution-spec.

use std::sync::Arc;

use ferro_blob_store::InMemoryBlobStore;
use ferro_oci_server::{AppState, InMemoryRegistryMeta, router};

use super::background::Background;

/// A running registry, open to everybody. It stops when this is dropped.
pub struct ApiRegistry(Background);

impl ApiRegistry {
    pub fn start() -> Self {
        let state = AppState::new(
            Arc::new(InMemoryBlobStore::new()),
            Arc::new(InMemoryRegistryMeta::new()),
        );
        Self(Background::start(|listener| async move {
            axum::serve(listener, router(state)).await.unwrap();
        }))
    }

    /// The reference of `name` (`acme/api:1.0`) in this registry.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.0.address())
    }
}
