//! Where images and their signatures are: registries, layouts on disk, memory; behind two traits.
//!
//! Planning and verifying get a [`ReadStore`] and so cannot write; only `apply` gets a [`Store`].

mod cache;
pub mod conformance;
mod error;
mod layout;
pub mod memory;
mod place;
pub(crate) mod referrers;
mod remote;
mod router;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use cache::CachedStore;
pub use error::{StoreError, StoreErrorKind};
pub use layout::LayoutStore;
pub use memory::MemoryStore;
pub use referrers::{Listed, Listing, Referrers, TagIndex};
pub use remote::{
    Intent, ProcessEnvironment, Proxies, RegistryRule, RemoteOptions, RemoteStore, RequestCounts,
    RetryPolicy, credential_files,
};
pub use router::Stores;

use crate::model::{Descriptor, Digest, Locator, Repository, Tag};

/// A manifest as a store gave it; its bytes have the digest of its descriptor.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Media type, size and digest.
    pub descriptor: Descriptor,
    /// The bytes.
    pub bytes: Bytes,
    /// What the store calls this version, for [`Expected::Version`].
    pub version: Option<String>,
}

/// What must be at a place for a write to happen; stores that cannot check it ignore it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Expected {
    /// Nothing yet (`If-None-Match: *`).
    Absent,
    /// Anything.
    Anything,
    /// This version (`If-Match`).
    Version(String),
}

/// Whether a blob appeared without being sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mounted {
    /// It did not: it has to be written.
    No,
    /// It did.
    Yes,
}

/// Reads images. Planning and verifying get this and so cannot write.
///
/// What is absent is an error of kind [`StoreErrorKind::NotFound`] or
/// [`StoreErrorKind::RepositoryUnknown`]; every other error means *unknown*, never absent.
#[async_trait]
pub trait ReadStore: fmt::Debug + Send + Sync {
    /// Tells what `locator` names now. One request.
    async fn resolve(
        &self,
        repository: &Repository,
        locator: &Locator,
    ) -> Result<Descriptor, StoreError>;

    /// Reads a manifest or an index, checked against its digest. One request.
    async fn manifest(
        &self,
        repository: &Repository,
        locator: &Locator,
    ) -> Result<Fetched, StoreError>;

    /// Reads a blob, checked against the size and digest of `descriptor`. One request.
    async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<Bytes, StoreError>;

    /// Reads a blob of any size into a new file at `path`, and checks it; it is not held in memory where the store
    /// can help it. One request. After an error the file may hold a part.
    async fn blob_to_file(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        path: &Path,
    ) -> Result<(), StoreError> {
        let content = self.blob(repository, descriptor).await?;
        let written = tokio::fs::write(path, &content).await;
        written.map_err(|error| StoreError::of_file("write", path, error))
    }

    /// Lists every tag. One request a page.
    ///
    /// A store may keep its first answer for each repository and give it again: one that asks a
    /// registry does. A new store sees what changed since.
    async fn tags(&self, repository: &Repository) -> Result<Arc<BTreeSet<Tag>>, StoreError>;

    /// Lists what refers to `subject`, whether the subject is there or not; nothing is an empty list.
    ///
    /// One request a page where the store keeps the list, else one for the tag; a registry's first
    /// answer tells which, and is one more.
    async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Referrers, StoreError>;
}

/// Reads and writes images. Only `apply` gets this.
#[async_trait]
pub trait Store: ReadStore {
    /// Writes a blob. Twice is the same as once.
    async fn put_blob(&self, repository: &Repository, content: Bytes)
    -> Result<Digest, StoreError>;

    /// Writes the blob of `descriptor` from the file at `path`, which is not held in memory where the store can
    /// help it.
    async fn put_blob_file(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        path: &Path,
    ) -> Result<(), StoreError> {
        let _ = descriptor;
        let content = tokio::fs::read(path).await;
        let content = content.map_err(|error| StoreError::of_file("read", path, error))?;
        self.put_blob(repository, content.into()).await.map(|_| ())
    }

    /// Says whether a blob is there for sure: one request, none where the store cannot tell.
    async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, StoreError> {
        let _ = (repository, digest);
        Ok(false)
    }

    /// Makes a blob of `from` appear in `repository` without sending it, where the store can: one request,
    /// none where it cannot.
    async fn mount_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        from: &Repository,
    ) -> Result<Mounted, StoreError> {
        let _ = (repository, digest, from);
        Ok(Mounted::No)
    }

    /// Writes a manifest under a tag or its digest.
    async fn put_manifest(
        &self,
        repository: &Repository,
        locator: &Locator,
        media_type: &str,
        content: Bytes,
        expected: &Expected,
    ) -> Result<Digest, StoreError>;

    /// Writes a manifest that has a subject, by digest. Twice is the same as once.
    ///
    /// Where the list of referrers is behind a tag ([`Listing::Tag`]), writing that is the caller's.
    async fn put_referrer(
        &self,
        repository: &Repository,
        media_type: &str,
        content: Bytes,
    ) -> Result<Listed, StoreError>;

    /// Deletes a manifest by digest, with every tag that names it. Absent is done.
    async fn delete_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(), StoreError>;

    /// Takes a tag away, where it outlived its manifest: most stores let it go with that, and need not
    /// do anything here. Absent is done.
    async fn delete_tag(&self, repository: &Repository, tag: &Tag) -> Result<(), StoreError> {
        let target = place::place(repository, &tag.clone().into());
        Err(StoreError::new("delete", target, StoreErrorKind::Refused))
    }
}
