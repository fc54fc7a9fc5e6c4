//! A cache of what never changes: referrers and small blobs, by digest, in a folder that may be shared.

mod folder;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::model::{Descriptor, Digest, Locator, Repository, Tag};
use crate::store::cache::folder::CacheFolder;
use crate::store::{Expected, Fetched, Listed, Mounted, ReadStore, Referrers, Store, StoreError};

/// Larger content is no signature, and is not kept, in bytes.
const LARGEST: u64 = 1 << 20;

/// A store that remembers immutable content on disk.
///
/// Kept are blobs of at most 1 MiB, and manifests that have a subject, asked for by their digest: what a
/// plan over bundles reads of each image besides the list. Tags, lists, images and whether something
/// exists are always asked for. What is read from the folder is checked against its digest, so that a
/// damaged or hostile file is a miss; writes are atomic, so that processes may share it. A folder that
/// cannot be used is no error: everything is asked for then.
///
/// A manifest that was deleted in the registry and is still listed there looks as if it was there; a run
/// without the cache tells.
#[derive(Clone)]
pub struct CachedStore {
    store: Arc<dyn Store>,
    folder: Arc<CacheFolder>,
}

impl CachedStore {
    /// Puts a cache in `folder`, of about `largest` bytes, before `store`. Reads and writes nothing yet.
    pub fn new(store: Arc<dyn Store>, folder: PathBuf, largest: u64) -> Self {
        Self { store, folder: Arc::new(CacheFolder::new(folder, largest)) }
    }

    async fn cached(&self, digest: &Digest) -> Option<Bytes> {
        let (folder, digest) = (Arc::clone(&self.folder), digest.clone());
        tokio::task::spawn_blocking(move || folder.read(&digest, LARGEST)).await.ok()?
    }

    async fn keep(&self, digest: &Digest, content: Bytes) {
        let (folder, digest) = (Arc::clone(&self.folder), digest.clone());
        let kept = tokio::task::spawn_blocking(move || folder.write(&digest, &content)).await;
        if let Ok(Err(error)) = kept {
            tracing::debug!(%error, "cache.write");
        }
    }
}

impl fmt::Debug for CachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedStore")
            .field("store", &self.store)
            .field("folder", &self.folder)
            .finish()
    }
}

/// The media type of a manifest that has a subject; none of what is something else.
fn referrer_media_type(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        media_type: Option<String>,
        subject: Option<IgnoredAny>,
    }
    let shape: Shape = serde_json::from_slice(bytes).ok()?;
    shape.subject.and(shape.media_type)
}

#[async_trait]
impl ReadStore for CachedStore {
    async fn resolve(
        &self,
        repository: &Repository,
        locator: &Locator,
    ) -> Result<Descriptor, StoreError> {
        self.store.resolve(repository, locator).await
    }

    async fn manifest(
        &self,
        repository: &Repository,
        locator: &Locator,
    ) -> Result<Fetched, StoreError> {
        let (Locator::Digest(digest), Repository::Remote(_)) = (locator, repository) else {
            return self.store.manifest(repository, locator).await;
        };
        if let Some(bytes) = self.cached(digest).await
            && let Some(media_type) = referrer_media_type(&bytes)
        {
            let descriptor =
                Descriptor { digest: digest.clone(), ..Descriptor::of(&media_type, &bytes) };
            return Ok(Fetched { descriptor, bytes, version: None });
        }
        let fetched = self.store.manifest(repository, locator).await?;
        let media_type = referrer_media_type(&fetched.bytes);
        if media_type.is_some_and(|it| it == fetched.descriptor.media_type)
            && fetched.descriptor.size <= LARGEST
        {
            self.keep(digest, fetched.bytes.clone()).await;
        }
        Ok(fetched)
    }

    async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<Bytes, StoreError> {
        if matches!(repository, Repository::Layout(_)) || descriptor.size > LARGEST {
            return self.store.blob(repository, descriptor).await;
        }
        if let Some(bytes) = self.cached(&descriptor.digest).await
            && u64::try_from(bytes.len()) == Ok(descriptor.size)
        {
            return Ok(bytes);
        }
        let bytes = self.store.blob(repository, descriptor).await?;
        self.keep(&descriptor.digest, bytes.clone()).await;
        Ok(bytes)
    }

    async fn blob_to_file(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        path: &Path,
    ) -> Result<(), StoreError> {
        self.store.blob_to_file(repository, descriptor, path).await
    }

    async fn tags(&self, repository: &Repository) -> Result<Arc<BTreeSet<Tag>>, StoreError> {
        self.store.tags(repository).await
    }

    async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Referrers, StoreError> {
        self.store.referrers(repository, subject).await
    }
}

#[async_trait]
impl Store for CachedStore {
    async fn put_blob(
        &self,
        repository: &Repository,
        content: Bytes,
    ) -> Result<Digest, StoreError> {
        self.store.put_blob(repository, content).await
    }

    async fn put_blob_file(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        path: &Path,
    ) -> Result<(), StoreError> {
        self.store.put_blob_file(repository, descriptor, path).await
    }

    async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, StoreError> {
        self.store.has_blob(repository, digest).await
    }

    async fn mount_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        from: &Repository,
    ) -> Result<Mounted, StoreError> {
        self.store.mount_blob(repository, digest, from).await
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        locator: &Locator,
        media_type: &str,
        content: Bytes,
        expected: &Expected,
    ) -> Result<Digest, StoreError> {
        self.store.put_manifest(repository, locator, media_type, content, expected).await
    }

    async fn put_referrer(
        &self,
        repository: &Repository,
        media_type: &str,
        content: Bytes,
    ) -> Result<Listed, StoreError> {
        self.store.put_referrer(repository, media_type, content).await
    }

    async fn delete_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(), StoreError> {
        let (folder, gone) = (Arc::clone(&self.folder), digest.clone());
        // What is deleted must be asked for again.
        let _ = tokio::task::spawn_blocking(move || folder.forget(&gone)).await;
        self.store.delete_manifest(repository, digest).await
    }

    async fn delete_tag(&self, repository: &Repository, tag: &Tag) -> Result<(), StoreError> {
        self.store.delete_tag(repository, tag).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::payload::bundle_referrer;
    use crate::store::memory::Operation;
    use crate::store::{MemoryStore, StoreErrorKind, conformance};

    const FOREVER: u64 = 1 << 30;

    fn repository() -> Repository {
        "ghcr.io/acme/api".parse().unwrap()
    }

    #[tokio::test]
    async fn it_is_a_store_like_any_other() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Arc::new(MemoryStore::new());
        let store = CachedStore::new(memory, folder.path().join("cache"), FOREVER);
        conformance::store(&store, &repository()).await;
    }

    #[tokio::test]
    async fn what_never_changes_is_asked_for_once() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Arc::new(MemoryStore::new());
        let (image, referrer) = memory.edit(|it| {
            let image = it.push_image(&repository(), &[], &[b"layer"]);
            let subject = Descriptor { digest: image.clone(), ..Descriptor::of("m", b"") };
            it.push_blob(&repository(), &b"bundle"[..]);
            let manifest =
                bundle_referrer(b"bundle", &subject, crate::model::Timestamp::from_seconds(0));
            let media_type = manifest.media_type.clone().unwrap();
            (image, it.push_manifest(&repository(), &[], &media_type, manifest.to_bytes()))
        });
        let blob = Descriptor::of("m", b"bundle");
        for (run, expected) in [(0, (2, 1)), (1, (1, 0)), (2, (1, 0))] {
            // Another process each time: nothing but the folder is kept.
            let store = CachedStore::new(
                Arc::clone(&memory) as Arc<dyn Store>,
                folder.path().to_owned(),
                FOREVER,
            );
            memory.forget();
            let read = store.manifest(&repository(), &referrer.clone().into()).await.unwrap();
            assert_eq!(read.descriptor.digest, referrer);
            assert_eq!(store.blob(&repository(), &blob).await.unwrap(), "bundle");
            // Images are asked for: that they are there is a fact of the registry.
            store.manifest(&repository(), &image.clone().into()).await.unwrap();
            assert_eq!((memory.counts().manifests, memory.counts().blobs), expected, "run {run}");
        }
    }

    #[tokio::test]
    async fn a_damaged_file_is_a_miss() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Arc::new(MemoryStore::new());
        memory.edit(|it| it.push_blob(&repository(), &b"bundle"[..]));
        let store = CachedStore::new(
            Arc::clone(&memory) as Arc<dyn Store>,
            folder.path().to_owned(),
            FOREVER,
        );
        let blob = Descriptor::of("m", b"bundle");
        store.blob(&repository(), &blob).await.unwrap();
        let hex = blob.digest.hex();
        let file = folder.path().join("sha256").join(&hex[..2]).join(&hex);
        std::fs::write(&file, b"BUNDLE").unwrap();
        assert_eq!(store.blob(&repository(), &blob).await.unwrap(), "bundle");
        assert_eq!(std::fs::read(&file).unwrap(), b"bundle");
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_used_is_no_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let memory = Arc::new(MemoryStore::new());
        memory.edit(|it| it.push_blob(&repository(), &b"bundle"[..]));
        memory.fail_when(|it: &Operation| it.is_write().then_some(StoreErrorKind::Refused));
        let store = CachedStore::new(memory, file.path().join("below"), FOREVER);
        let blob = Descriptor::of("m", b"bundle");
        assert_eq!(store.blob(&repository(), &blob).await.unwrap(), "bundle");
    }
}
