//! One store for a run: layouts go to one, registries to another.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::{Descriptor, Digest, Locator, Repository, Tag};
use crate::store::place::place;
use crate::store::{
    Expected, Fetched, Listed, Mounted, ReadStore, Referrers, Store, StoreError, StoreErrorKind,
};

/// Sends each request to the store of its repository's variant; costs no request of its own.
///
/// A repository whose store is missing is [`StoreErrorKind::Refused`].
///
/// # Example
///
/// ```
/// use std::sync::Arc;
/// use countersign::store::{LayoutStore, MemoryStore, Stores};
///
/// let stores = Stores::none()
///     .with_layouts(Arc::new(LayoutStore::new()))
///     .with_registries(Arc::new(MemoryStore::new()));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stores {
    layouts: Option<Arc<dyn Store>>,
    registries: Option<Arc<dyn Store>>,
}

impl Stores {
    /// No store: every request is refused.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same with a store for [`Repository::Layout`].
    pub fn with_layouts(mut self, store: Arc<dyn Store>) -> Self {
        self.layouts = Some(store);
        self
    }

    /// The same with a store for [`Repository::Remote`].
    pub fn with_registries(mut self, store: Arc<dyn Store>) -> Self {
        self.registries = Some(store);
        self
    }

    fn store(
        &self,
        operation: &'static str,
        repository: &Repository,
        target: impl FnOnce() -> String,
    ) -> Result<&dyn Store, StoreError> {
        let (store, missing) = match repository {
            Repository::Layout(_) => (&self.layouts, "there is no store for layouts on disk"),
            Repository::Remote(_) => (&self.registries, "there is no store for registries"),
        };
        store.as_deref().ok_or_else(|| {
            StoreError::new(operation, target(), StoreErrorKind::Refused).detail(missing)
        })
    }
}

#[async_trait]
impl ReadStore for Stores {
    async fn resolve(
        &self,
        repository: &Repository,
        locator: &Locator,
    ) -> Result<Descriptor, StoreError> {
        let store = self.store("resolve", repository, || place(repository, locator))?;
        store.resolve(repository, locator).await
    }

    async fn manifest(
        &self,
        repository: &Repository,
        locator: &Locator,
    ) -> Result<Fetched, StoreError> {
        let store = self.store("read", repository, || place(repository, locator))?;
        store.manifest(repository, locator).await
    }

    async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<Bytes, StoreError> {
        let target = || format!("{repository}@{}", descriptor.digest);
        self.store("read", repository, target)?.blob(repository, descriptor).await
    }

    async fn blob_to_file(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        path: &Path,
    ) -> Result<(), StoreError> {
        let target = || format!("{repository}@{}", descriptor.digest);
        self.store("read", repository, target)?.blob_to_file(repository, descriptor, path).await
    }

    async fn tags(&self, repository: &Repository) -> Result<Arc<BTreeSet<Tag>>, StoreError> {
        let store = self.store("list the tags of", repository, || repository.to_string())?;
        store.tags(repository).await
    }

    async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Referrers, StoreError> {
        let target = || format!("{repository}@{subject}");
        let store = self.store("list the referrers of", repository, target)?;
        store.referrers(repository, subject).await
    }
}

#[async_trait]
impl Store for Stores {
    async fn put_blob(
        &self,
        repository: &Repository,
        content: Bytes,
    ) -> Result<Digest, StoreError> {
        let target = || format!("{repository}@{}", Digest::of(&content));
        let store = self.store("write", repository, target)?;
        store.put_blob(repository, content).await
    }

    async fn put_blob_file(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        path: &Path,
    ) -> Result<(), StoreError> {
        let target = || format!("{repository}@{}", descriptor.digest);
        self.store("write", repository, target)?.put_blob_file(repository, descriptor, path).await
    }

    async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, StoreError> {
        let store = self.store("look for", repository, || format!("{repository}@{digest}"))?;
        store.has_blob(repository, digest).await
    }

    async fn mount_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        from: &Repository,
    ) -> Result<Mounted, StoreError> {
        let store = self.store("write", repository, || format!("{repository}@{digest}"))?;
        store.mount_blob(repository, digest, from).await
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        locator: &Locator,
        media_type: &str,
        content: Bytes,
        expected: &Expected,
    ) -> Result<Digest, StoreError> {
        let store = self.store("write", repository, || place(repository, locator))?;
        store.put_manifest(repository, locator, media_type, content, expected).await
    }

    async fn put_referrer(
        &self,
        repository: &Repository,
        media_type: &str,
        content: Bytes,
    ) -> Result<Listed, StoreError> {
        let target = || format!("{repository}@{}", Digest::of(&content));
        let store = self.store("write", repository, target)?;
        store.put_referrer(repository, media_type, content).await
    }

    async fn delete_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(), StoreError> {
        let store = self.store("delete", repository, || format!("{repository}@{digest}"))?;
        store.delete_manifest(repository, digest).await
    }

    async fn delete_tag(&self, repository: &Repository, tag: &Tag) -> Result<(), StoreError> {
        let store = self.store("delete", repository, || format!("{repository}:{tag}"))?;
        store.delete_tag(repository, tag).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::store::{MemoryStore, conformance};

    #[tokio::test]
    async fn each_repository_has_its_store() {
        let (layouts, registries) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
        let stores = Stores::none()
            .with_layouts(Arc::clone(&layouts) as Arc<dyn Store>)
            .with_registries(Arc::clone(&registries) as Arc<dyn Store>);
        let (layout, remote) = ("oci:a".parse().unwrap(), "ghcr.io/acme/api".parse().unwrap());
        conformance::store(&stores, &layout).await;
        let written = layouts.counts();
        assert_eq!(registries.counts().reads() + registries.counts().writes(), 0);
        conformance::store(&stores, &remote).await;
        assert_eq!((layouts.counts(), registries.counts()), (written, written));
    }

    #[tokio::test]
    async fn a_missing_store_is_told() {
        let tag: Tag = "1".parse().unwrap();
        for (repository, message) in [
            ("oci:a", "cannot resolve oci:a:1: there is no store for layouts on disk"),
            ("ghcr.io/a/b", "cannot resolve ghcr.io/a/b:1: there is no store for registries"),
        ] {
            let repository = repository.parse().unwrap();
            let error = Stores::none().resolve(&repository, &tag.clone().into()).await.unwrap_err();
            assert_eq!(
                (error.kind, error.to_string().as_str()),
                (StoreErrorKind::Refused, message)
            );
        }
    }
}
