//! Blobs on their way: what many subjects share is uploaded once, and what a registry loses sight of is
//! waited for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::apply::converge::{ATTEMPTS, Converge, give_way};
use crate::model::{Digest, Repository, media_type};
use crate::observe::failure_of;
use crate::payload::EMPTY_CONFIG;
use crate::plan::{Failure, Target};
use crate::store::{Listed, Store, StoreErrorKind};

/// The empty configuration of referrers, uploaded once a run and repository.
#[derive(Debug, Default)]
pub(super) struct EmptyConfigs(Mutex<HashMap<Repository, Arc<OnceCell<Digest>>>>);

impl EmptyConfigs {
    /// Sees to it that `repository` has it; the first call uploads it, and the others wait for that.
    pub(super) async fn upload(
        &self,
        store: &dyn Store,
        repository: &Repository,
    ) -> Result<(), Failure> {
        let cell = {
            let mut repositories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(repositories.entry(repository.clone()).or_default())
        };
        let put = || store.put_blob(repository, Bytes::from_static(EMPTY_CONFIG));
        let written = cell.get_or_try_init(put).await;
        written.map(|_| ()).map_err(|error| failure_of(&error))
    }
}

impl Converge {
    pub(super) async fn upload(
        &self,
        target: &Target,
        digest: &Digest,
        content: &Arc<[u8]>,
    ) -> Result<Digest, Failure> {
        let content = Bytes::copy_from_slice(content);
        let written = self.applier.store.put_blob(&target.signatures, content).await;
        written.map(|_| digest.clone()).map_err(|error| failure_of(&error))
    }
}

/// Writes a referrer whose blobs were uploaded; again while the registry does not know one of them.
///
/// docker-registry writes the link to a blob in place: while somebody else uploads the same blob, it is
/// there and empty, and manifests that name it are refused.
pub(super) async fn put_referrer(
    store: &dyn Store,
    repository: &Repository,
    manifest: &Bytes,
) -> Result<Listed, Failure> {
    let mut attempt = 0;
    loop {
        let put = store.put_referrer(repository, media_type::OCI_MANIFEST, manifest.clone());
        match put.await {
            Ok(listed) => return Ok(listed),
            Err(error) if error.kind == StoreErrorKind::BlobUnknown && attempt + 1 < ATTEMPTS => {
                give_way(attempt).await;
                attempt += 1;
            }
            Err(error) => return Err(failure_of(&error)),
        }
    }
}
