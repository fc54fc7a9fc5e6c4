//! What every store must do, as functions to call from the tests of one; they panic where it does not.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test suite fails by panicking")]

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::json;

use crate::model::{Descriptor, Digest, LayoutPath, Locator, Repository, Tag, media_type};
use crate::store::memory::Contents;
use crate::store::{Expected, Store, StoreError, StoreErrorKind};

/// An image on its way: its blobs and its manifest.
struct Image {
    blobs: Vec<Bytes>,
    manifest: Bytes,
    digest: Digest,
}

impl Image {
    /// The image with one layer of this content.
    fn of(layer: &[u8]) -> Self {
        let repository = Repository::Layout(LayoutPath::new("image"));
        let mut contents = Contents::default();
        let digest = contents.push_image(&repository, &[], &[layer]);
        let contents = contents.repository(&repository);
        let manifest = contents.manifests.remove(&digest).unwrap().bytes;
        Self { blobs: contents.blobs.values().cloned().collect(), manifest, digest }
    }

    async fn put_blobs(&self, store: &dyn Store, repository: &Repository) {
        for blob in &self.blobs {
            let digest = store.put_blob(repository, blob.clone()).await.unwrap();
            assert_eq!(digest, Digest::of(blob), "put_blob tells the digest");
        }
    }

    async fn put(
        &self,
        store: &dyn Store,
        repository: &Repository,
        locator: &Locator,
        expected: &Expected,
    ) -> Result<Digest, StoreError> {
        let manifest = self.manifest.clone();
        store.put_manifest(repository, locator, media_type::OCI_MANIFEST, manifest, expected).await
    }
}

/// Runs everything that holds for every store.
///
/// `repository` does not exist yet, may be written, and manifests may be deleted in it; afterwards it holds
/// an image under two tags. The tags are listed once, at the end, so that a store may keep that answer.
///
/// # Panics
///
/// When the store does something else than it should; the message says what.
pub async fn store(store: &dyn Store, repository: &Repository) {
    nothing_is_there_yet(store, repository).await;
    blobs(store, repository).await;
    files(store, repository).await;
    manifests(store, repository).await;
    indexes(store, repository).await;
    deletions(store, repository).await;

    let listed = store.tags(repository).await.unwrap();
    let expected = [tag("again"), tag("v1.0_x-Y")];
    assert_eq!(*listed, BTreeSet::from(expected), "tags lists every tag, and no other");
}

/// Runs what holds for a store that checks [`Expected`]; `repository` does not exist yet.
///
/// # Panics
///
/// When a write happens that should not, or the other way round.
pub async fn versions(store: &dyn Store, repository: &Repository) {
    let (first, second) = (Image::of(b"first"), Image::of(b"second"));
    let locator: Locator = tag("version").into();
    first.put_blobs(store, repository).await;
    second.put_blobs(store, repository).await;

    let never = Expected::Version("never".to_owned());
    let refused = first.put(store, repository, &locator, &never).await;
    assert_kind(&refused, StoreErrorKind::Precondition, "a version of what is absent");
    first.put(store, repository, &locator, &Expected::Absent).await.unwrap();
    let refused = second.put(store, repository, &locator, &Expected::Absent).await;
    assert_kind(&refused, StoreErrorKind::Precondition, "absent, and it is there");

    let version = store.manifest(repository, &locator).await.unwrap().version;
    assert!(version.is_some(), "a store that checks versions tells them");
    let version = Expected::Version(version.unwrap());
    second.put(store, repository, &locator, &version).await.unwrap();
    let refused = first.put(store, repository, &locator, &version).await;
    assert_kind(&refused, StoreErrorKind::Precondition, "a version that is past");
    let now = store.resolve(repository, &locator).await.unwrap().digest;
    assert_eq!(now, second.digest, "what was refused did not happen");
    first.put(store, repository, &locator, &Expected::Anything).await.unwrap();
}

async fn nothing_is_there_yet(store: &dyn Store, repository: &Repository) {
    let nobody = Digest::of(b"nobody");
    for locator in [Locator::from(tag("none")), Locator::from(nobody.clone())] {
        assert_absent(&store.resolve(repository, &locator).await, "resolve of nothing");
        assert_absent(&store.manifest(repository, &locator).await, "manifest of nothing");
    }
    let descriptor = Descriptor::of("text/plain", b"nobody");
    assert_absent(&store.blob(repository, &descriptor).await, "blob of nothing");
    let sibling = sibling(repository);
    assert_absent(&store.tags(&sibling).await, "tags of a repository that does not exist");
}

/// A repository that nobody writes.
fn sibling(repository: &Repository) -> Repository {
    format!("{repository}-none").parse().unwrap()
}

async fn blobs(store: &dyn Store, repository: &Repository) {
    for content in [&b"content"[..], b"content", b"\0\xff\n"] {
        let digest = store.put_blob(repository, Bytes::copy_from_slice(content)).await.unwrap();
        let descriptor = Descriptor::of("application/octet-stream", content);
        assert_eq!(digest, descriptor.digest, "put_blob tells the digest");
        let read = store.blob(repository, &descriptor).await.unwrap();
        assert_eq!(read, content, "a blob comes back as it was, twice too");
    }
    let other = Descriptor { size: 3, ..Descriptor::of("text/plain", b"content") };
    let result = store.blob(repository, &other).await;
    assert_not_absent(&result, "a blob of another size than was asked for");
    let absent = Descriptor::of("text/plain", b"nobody");
    let result = store.blob(repository, &absent).await;
    assert_kind(&result, StoreErrorKind::NotFound, "a blob that is not there");
}

async fn files(store: &dyn Store, repository: &Repository) {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    // More than one piece, and no whole number of them.
    let content: Vec<u8> = (0..700_001_u32).flat_map(|it| it.to_le_bytes()).collect();
    let descriptor = Descriptor::of("application/octet-stream", &content);
    std::fs::write(&from, &content).unwrap();
    let absent = store.blob_to_file(repository, &descriptor, &to).await;
    assert_kind(&absent, StoreErrorKind::NotFound, "a blob that is not there");
    assert!(!store.has_blob(repository, &descriptor.digest).await.unwrap(), "it is not there");
    for _ in 0..2 {
        store.put_blob_file(repository, &descriptor, &from).await.unwrap();
        store.blob_to_file(repository, &descriptor, &to).await.unwrap();
        assert!(std::fs::read(&to).unwrap() == content, "a file comes back as it was");
    }
    assert!(store.blob(repository, &descriptor).await.unwrap() == content, "it is a blob as any");
    let other = Descriptor { size: 3, ..descriptor.clone() };
    let result = store.blob_to_file(repository, &other, &to).await;
    assert_not_absent(&result, "a blob of another size than was asked for");
    let wrong = Descriptor::of("text/plain", b"something else");
    let result = store.put_blob_file(repository, &wrong, &from).await;
    assert!(result.is_err() || !store.has_blob(repository, &wrong.digest).await.unwrap());
    assert!(store.blob(repository, &wrong).await.is_err(), "nothing is kept under a wrong digest");
}

async fn manifests(store: &dyn Store, repository: &Repository) {
    let (first, second) = (Image::of(b"first"), Image::of(b"second"));
    let by_tag: Locator = tag("v1.0_x-Y").into();
    first.put_blobs(store, repository).await;
    second.put_blobs(store, repository).await;
    for image in [&first, &second, &second] {
        let put = image.put(store, repository, &by_tag, &Expected::Anything).await.unwrap();
        assert_eq!(put, image.digest, "put_manifest tells the digest");
        for locator in [&by_tag, &Locator::from(image.digest.clone())] {
            assert_is(store, repository, locator, image).await;
        }
    }
    assert_is(store, repository, &first.digest.clone().into(), &first).await;

    let untagged = Image::of(b"untagged");
    untagged.put_blobs(store, repository).await;
    let by_digest = Locator::from(untagged.digest.clone());
    for _ in 0..2 {
        untagged.put(store, repository, &by_digest, &Expected::Anything).await.unwrap();
    }
    assert_is(store, repository, &by_digest, &untagged).await;

    let wrong = Locator::from(Digest::of(b"wrong"));
    let result = first.put(store, repository, &wrong, &Expected::Anything).await;
    assert_not_absent(&result, "a manifest under a digest that is not its own");
    assert_absent(&store.resolve(repository, &wrong).await, "what was refused");
    for locator in [Locator::from(tag("none")), Locator::from(Digest::of(b"nobody"))] {
        let result = store.manifest(repository, &locator).await;
        assert_kind(&result, StoreErrorKind::NotFound, "a manifest that is not there");
    }
}

async fn indexes(store: &dyn Store, repository: &Repository) {
    let child = Image::of(b"first");
    let index = Bytes::from(
        serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_INDEX,
            "manifests": [Descriptor::of(media_type::OCI_MANIFEST, &child.manifest)],
        }))
        .unwrap(),
    );
    let anything = &Expected::Anything;
    let locator = tag("index").into();
    let put =
        store.put_manifest(repository, &locator, media_type::OCI_INDEX, index.clone(), anything);
    let digest = put.await.unwrap();
    let found = store.manifest(repository, &locator).await.unwrap();
    assert_eq!(found.bytes, index, "an index comes back as it was");
    assert_eq!(found.descriptor.media_type, media_type::OCI_INDEX, "and is an index");
    store.delete_manifest(repository, &digest).await.unwrap();
    assert_is(store, repository, &child.digest.clone().into(), &child).await;
}

async fn deletions(store: &dyn Store, repository: &Repository) {
    let image = Image::of(b"deleted");
    let tags = [tag("deleted"), tag("deleted-too"), Tag::of_signatures(&image.digest)];
    for _ in 0..2 {
        image.put_blobs(store, repository).await;
        for tag in &tags {
            let locator = tag.clone().into();
            image.put(store, repository, &locator, &Expected::Anything).await.unwrap();
        }
        for _ in 0..2 {
            store.delete_manifest(repository, &image.digest).await.unwrap();
        }
        let gone = tags.iter().cloned().map(Locator::Tag).chain([image.digest.clone().into()]);
        for locator in gone {
            let result = store.resolve(repository, &locator).await;
            assert_kind(&result, StoreErrorKind::NotFound, "what was deleted, under each tag");
        }
    }
    store.delete_manifest(repository, &Digest::of(b"nobody")).await.unwrap();

    // Another tag of what stays.
    let kept = Image::of(b"second");
    kept.put(store, repository, &tag("again").into(), &Expected::Anything).await.unwrap();
    assert_is(store, repository, &tag("v1.0_x-Y").into(), &kept).await;
}

async fn assert_is(store: &dyn Store, repository: &Repository, locator: &Locator, image: &Image) {
    let expected = Descriptor::of(media_type::OCI_MANIFEST, &image.manifest);
    let found = store.manifest(repository, locator).await.unwrap();
    assert_eq!(found.bytes, image.manifest, "the bytes of {locator}");
    assert_eq!(found.descriptor, expected, "the descriptor of {locator}");
    let resolved = store.resolve(repository, locator).await.unwrap();
    assert_eq!(resolved, expected, "what {locator} resolves to");
}

fn assert_absent<T>(result: &Result<T, StoreError>, what: &str) {
    match result {
        Ok(_) => panic!("{what}: must be absent, and something is there"),
        Err(error) => assert!(error.kind.is_absent(), "{what}: {:?}: {error}", error.kind),
    }
}

fn assert_not_absent<T>(result: &Result<T, StoreError>, what: &str) {
    match result {
        Ok(_) => panic!("{what}: must be refused, and was taken"),
        Err(error) => assert!(!error.kind.is_absent(), "{what}: {:?}: {error}", error.kind),
    }
}

fn assert_kind<T>(result: &Result<T, StoreError>, kind: StoreErrorKind, what: &str) {
    match result {
        Ok(_) => panic!("{what}: must be {kind:?}, and was taken"),
        Err(error) => assert_eq!(error.kind, kind, "{what}: {error}"),
    }
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}
