//! OCI image layouts on disk: `oci:PATH:TAG`, no registry at all.

mod delete;
mod folder;
mod index;
mod shape;
mod write;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::model::{Descriptor, Digest, LayoutPath, Locator, Repository, Tag, media_type};
use crate::store::place::place;
use crate::store::referrers::entry_of;
use crate::store::{
    Expected, Fetched, Listed, ReadStore, Referrers, Store, StoreError, StoreErrorKind,
};
use delete::delete;
use folder::{Fault, Folder};
use index::LayoutIndex;
use shape::{Source, media_type_of};
use write::NewManifest;

/// What every registry takes, and most take no more.
///
/// Source: OCI distribution-spec 1.1, "Pushing Manifests".
const MAX_MANIFEST: u64 = 4 * 1024 * 1024;
/// As large as cosign reads a blob by default.
const MAX_BLOB: u64 = 128 * 1024 * 1024;
/// How deep indexes are looked into for what they name.
const MAX_DEPTH: usize = 16;

/// The layouts on this machine: one value serves them all, and keeps nothing between calls.
///
/// A **tag** is an `org.opencontainers.image.ref.name` in `index.json` that equals it; a full name there
/// (`docker.io/library/alpine:1`, as some tools write) is no tag. A name that two entries use for
/// different manifests is [`StoreErrorKind::InvalidAnswer`]. A **digest** is found among the entries,
/// and else among the blobs. In a layout that `cosign save` wrote, the signatures have no name: they are
/// found under the signature tag of the one image, and get that name with the next write.
///
/// Signature tags of an image that has an entry of its own get cosign's `kind` annotations, and so does the
/// image: `cosign verify --local-image` then reads a layout that holds one image.
///
/// **Writes** are crash-safe: files are written beside, synced, renamed, and their folder synced. What a crash
/// leaves is called `.countersign-*` and does no harm. `index.json` is changed under an exclusive lock on
/// `index.json.lock`, so that processes and tasks lose nothing of each other; other tools do not know that
/// lock. A first write to a folder that is not there, or is empty, makes the layout.
///
/// Deleting a manifest takes its entries away, and its own blob where no index names it. Other blobs stay:
/// somebody may be about to name them. A version is the digest of the manifest.
///
/// Each call reads `index.json` anew and runs on a thread for blocking work, so it needs a tokio runtime.
///
/// # Errors
///
/// - [`RepositoryUnknown`](StoreErrorKind::RepositoryUnknown): there is no folder, or an empty one
/// - [`NotFound`](StoreErrorKind::NotFound): the layout does not have it
/// - [`InvalidAnswer`](StoreErrorKind::InvalidAnswer): no layout, another version, broken JSON, an entry
///   without its blob
/// - [`WrongDigest`](StoreErrorKind::WrongDigest), [`TooLarge`](StoreErrorKind::TooLarge): a damaged blob
/// - [`Forbidden`](StoreErrorKind::Forbidden): no permission, or a read-only disk
/// - [`Refused`](StoreErrorKind::Refused): a full disk; a manifest whose parts are missing
/// - [`Precondition`](StoreErrorKind::Precondition): what is there is not what was [`Expected`]
/// - [`Unavailable`](StoreErrorKind::Unavailable): any other failure of the disk; a lock held for a minute
///
/// Source: OCI image-spec 1.1, image-layout.md; cosign `pkg/oci/layout`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LayoutStore;

impl LayoutStore {
    /// The layouts on this machine.
    pub fn new() -> Self {
        Self
    }

    /// The one image or index of a layout; none where it holds none, or several.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub async fn only_image(
        &self,
        repository: &Repository,
    ) -> Result<Option<Descriptor>, StoreError> {
        let target = repository.to_string();
        run("read", repository, target, |folder| {
            let index = folder.index()?;
            let found = index.only_image().map(Locator::Digest);
            found.map(|it| Ok(fetch(folder, &index, &it)?.descriptor)).transpose()
        })
        .await
    }
}

#[async_trait]
impl ReadStore for LayoutStore {
    async fn resolve(
        &self,
        repository: &Repository,
        locator: &Locator,
    ) -> Result<Descriptor, StoreError> {
        let (target, locator) = (place(repository, locator), locator.clone());
        run("resolve", repository, target, move |folder| {
            Ok(fetch(folder, &folder.index()?, &locator)?.descriptor)
        })
        .await
    }

    async fn manifest(
        &self,
        repository: &Repository,
        locator: &Locator,
    ) -> Result<Fetched, StoreError> {
        let (target, locator) = (place(repository, locator), locator.clone());
        run("read", repository, target, move |folder| fetch(folder, &folder.index()?, &locator))
            .await
    }

    async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<Bytes, StoreError> {
        let target = format!("{repository}@{}", descriptor.digest);
        let (digest, size) = (descriptor.digest.clone(), descriptor.size);
        run("read", repository, target, move |folder| {
            folder.index()?;
            if size > MAX_BLOB {
                let detail = format!("the blob has {size} bytes, more than {MAX_BLOB}");
                return Err(Fault::new(StoreErrorKind::TooLarge, detail));
            }
            let blob = folder.blob(&digest, MAX_BLOB)?.ok_or_else(not_found)?;
            if u64::try_from(blob.len()) != Ok(size) {
                let detail = format!("the blob has {} bytes and should have {size}", blob.len());
                return Err(Fault::new(StoreErrorKind::WrongDigest, detail));
            }
            Ok(blob)
        })
        .await
    }

    async fn blob_to_file(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        path: &Path,
    ) -> Result<(), StoreError> {
        let target = format!("{repository}@{}", descriptor.digest);
        let (digest, size) = (descriptor.digest.clone(), descriptor.size);
        let path = path.to_owned();
        run("read", repository, target, move |folder| {
            folder.index()?;
            folder.blob_to_file(&digest, size, &path)?.ok_or_else(not_found)
        })
        .await
    }

    async fn tags(&self, repository: &Repository) -> Result<Arc<BTreeSet<Tag>>, StoreError> {
        let target = repository.to_string();
        run("list the tags of", repository, target, |folder| Ok(Arc::new(folder.index()?.tags())))
            .await
    }

    async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Referrers, StoreError> {
        let (target, subject) = (format!("{repository}@{subject}"), subject.clone());
        run("list the referrers of", repository, target, move |folder| match folder.index() {
            Ok(index) => Ok(Referrers::of_store(referrers(folder, &index, &subject)?)),
            Err(fault) if fault.kind.is_absent() => Ok(Referrers::default()),
            Err(fault) => Err(fault),
        })
        .await
    }
}

#[async_trait]
impl Store for LayoutStore {
    async fn put_blob(
        &self,
        repository: &Repository,
        content: Bytes,
    ) -> Result<Digest, StoreError> {
        let digest = Digest::of(&content);
        run("write", repository, format!("{repository}@{digest}"), move |folder| {
            folder.create()?;
            folder.write_blob(&digest, &content)?;
            Ok(digest)
        })
        .await
    }

    async fn put_blob_file(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        path: &Path,
    ) -> Result<(), StoreError> {
        let (digest, path) = (descriptor.digest.clone(), path.to_owned());
        run("write", repository, format!("{repository}@{digest}"), move |folder| {
            folder.create()?;
            folder.take_blob(&digest, &path)
        })
        .await
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        locator: &Locator,
        media_type: &str,
        content: Bytes,
        expected: &Expected,
    ) -> Result<Digest, StoreError> {
        let new = NewManifest {
            locator: locator.clone(),
            media_type: media_type.to_owned(),
            content,
            expected: expected.clone(),
        };
        run("write", repository, place(repository, locator), move |folder| new.write(folder)).await
    }

    async fn put_referrer(
        &self,
        repository: &Repository,
        media_type: &str,
        content: Bytes,
    ) -> Result<Listed, StoreError> {
        let locator = Locator::Digest(Digest::of(&content));
        self.put_manifest(repository, &locator, media_type, content, &Expected::Anything).await?;
        Ok(Listed::Said)
    }

    async fn delete_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(), StoreError> {
        let (target, digest) = (format!("{repository}@{digest}"), digest.clone());
        run("delete", repository, target, move |folder| match folder.index() {
            Ok(_) => delete(folder, &digest),
            Err(fault) if fault.kind.is_absent() => Ok(()),
            Err(fault) => Err(fault),
        })
        .await
    }
}

/// Does `work` in the folder of `repository`, on a thread that may wait.
async fn run<T: Send + 'static>(
    operation: &'static str,
    repository: &Repository,
    target: String,
    work: impl FnOnce(Folder<'_>) -> Result<T, Fault> + Send + 'static,
) -> Result<T, StoreError> {
    let layout: LayoutPath = match repository {
        Repository::Layout(layout) => layout.clone(),
        Repository::Remote(_) => {
            let error = StoreError::new(operation, target, StoreErrorKind::Refused);
            return Err(error.detail("this store holds layouts on disk only"));
        }
    };
    match tokio::task::spawn_blocking(move || work(Folder(layout.as_path()))).await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(Fault { kind, detail, source })) => {
            let error = StoreError::new(operation, target, kind).detail(detail);
            Err(StoreError { source: source.map(Into::into), ..error })
        }
        // Only when the runtime is going away.
        Err(error) => {
            let kind = StoreErrorKind::Unavailable;
            Err(StoreError::new(operation, target, kind).caused_by(error))
        }
    }
}

fn not_found() -> Fault {
    Fault::new(StoreErrorKind::NotFound, "the layout does not have it")
}

/// Reads the manifest that `locator` names.
fn fetch(folder: Folder<'_>, index: &LayoutIndex, locator: &Locator) -> Result<Fetched, Fault> {
    let invalid = |detail: String| Fault::new(StoreErrorKind::InvalidAnswer, detail);
    let entry = index.find(locator).map_err(invalid)?;
    let digest = match (&entry, locator) {
        (Some(entry), _) => entry.digest.clone(),
        (None, Locator::Digest(digest)) => digest.clone(),
        (None, Locator::Tag(_)) => return Err(not_found()),
    };
    let bytes = match folder.blob(&digest, MAX_MANIFEST)? {
        Some(bytes) => bytes,
        None if entry.is_none() => return Err(not_found()),
        None => {
            return Err(invalid(format!("index.json names {digest}, but there is no such blob")));
        }
    };
    let said = entry.map(|entry| entry.media_type).filter(|it| !it.is_empty());
    let media_type = match (said, media_type_of(&bytes)) {
        (Some(said), Some((Source::Member, is))) if said != is => {
            return Err(invalid(format!("index.json says {digest} is `{said}`; it is `{is}`")));
        }
        (Some(said), _) => said,
        (None, Some((_, is))) => is,
        // A configuration or a layer: a blob, and no manifest.
        (None, None) => return Err(not_found()),
    };
    let descriptor = Descriptor { digest, ..Descriptor::of(&media_type, &bytes) };
    Ok(Fetched { version: Some(descriptor.digest.to_string()), descriptor, bytes })
}

/// The entries of `index.json` whose manifests have `subject` as theirs.
///
/// Source: OCI image-spec 1.1, image-layout.md; oras-go reads them so.
fn referrers(
    folder: Folder<'_>,
    index: &LayoutIndex,
    subject: &Digest,
) -> Result<Vec<Descriptor>, Fault> {
    let mut found = Vec::new();
    for entry in index.entries().filter(|it| !media_type::is_index(&it.media_type)) {
        // An entry without its blob is told where it is asked for.
        let Some(bytes) = folder.blob(&entry.digest, MAX_MANIFEST)? else { continue };
        let descriptor =
            Descriptor { digest: entry.digest, ..Descriptor::of(media_type::OCI_MANIFEST, &bytes) };
        found.extend(entry_of(descriptor, &bytes, subject));
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
