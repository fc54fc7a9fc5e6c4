//! The configuration of referrers: the same two bytes for every image.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::model::Repository;
use crate::observe::failure_of;
use crate::payload::EMPTY_CONFIG;
use crate::plan::Failure;
use crate::store::Store;

/// Where it has been uploaded: once a run and repository, whoever needs it first; the others wait for that.
///
/// docker-registry does not know a blob for a moment while somebody uploads it again, and refuses the manifests that
/// name it.
#[derive(Debug, Default)]
pub(super) struct EmptyConfig {
    repositories: Mutex<HashMap<Repository, Arc<OnceCell<()>>>>,
}

impl EmptyConfig {
    /// Sees to it that it is in `repository`. What failed is tried again by the next who needs it.
    pub(super) async fn upload(
        &self,
        store: &dyn Store,
        repository: &Repository,
    ) -> Result<(), Failure> {
        let uploaded = {
            let mut known = self.repositories.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(repository.clone()).or_default())
        };
        let upload = || store.put_blob(repository, Bytes::from_static(EMPTY_CONFIG));
        let done = uploaded.get_or_try_init(|| async { upload().await.map(|_| ()) }).await;
        done.copied().map_err(|error| failure_of(&error))
    }
}
