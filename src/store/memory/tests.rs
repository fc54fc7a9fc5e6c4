use super::*;

use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::media_type::OCI_MANIFEST;
use crate::model::{Index, Manifest};
use crate::store::conformance;

fn repository() -> Repository {
    "ghcr.io/acme/api".parse().unwrap()
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

/// A store with one image, its tag, its digest and its bytes.
fn world() -> (MemoryStore, Locator, Digest, Bytes) {
    let store = MemoryStore::new();
    let digest = store.edit(|it| it.push_image(&repository(), &[tag("1")], &[b"layer"]));
    let bytes = store.contents().repositories[&repository()].manifests[&digest].bytes.clone();
    (store, tag("1").into(), digest, bytes)
}

#[tokio::test]
async fn requests_are_counted_and_writes_are_logged() {
    let (store, locator, digest, bytes) = world();
    let repository = repository();
    store.fail_next(StoreErrorKind::Unavailable);
    assert!(store.tags(&repository).await.is_err());
    store.tags(&repository).await.unwrap();
    store.manifest(&repository, &locator).await.unwrap();
    let blob = store.put_blob(&repository, "blob".into()).await.unwrap();
    let other = tag("2").into();
    store
        .put_manifest(&repository, &other, OCI_MANIFEST, bytes, &Expected::Anything)
        .await
        .unwrap();
    store.delete_manifest(&repository, &digest).await.unwrap();

    let expected = Counts {
        manifests: 1,
        tag_lists: 2,
        blob_writes: 1,
        deletions: 1,
        manifest_writes: 1,
        ..Counts::default()
    };
    assert_eq!(store.counts(), expected);
    assert_eq!((expected.reads(), expected.writes()), (3, 3));
    let repository = || repository.clone();
    assert_eq!(
        store.writes(),
        [
            Write::Blob { repository: repository(), digest: blob },
            Write::Manifest { repository: repository(), locator: other, digest: digest.clone() },
            Write::Deletion { repository: repository(), digest },
        ]
    );
    store.forget();
    assert_eq!((store.counts(), store.writes()), (Counts::default(), Vec::new()));
}

#[tokio::test]
async fn after_a_crash_nothing_works_until_it_recovers() {
    let (store, locator, ..) = world();
    store.crash_after(1);
    store.resolve(&repository(), &locator).await.unwrap();
    store.put_blob(&repository(), "first".into()).await.unwrap();
    let before = store.contents();
    let error = store.put_blob(&repository(), "second".into()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(store.resolve(&repository(), &locator).await.is_err());
    assert_eq!((store.contents(), store.writes().len()), (before, 1));
    store.recover();
    store.put_blob(&repository(), "second".into()).await.unwrap();
}

#[tokio::test]
async fn a_rule_hits_what_it_names_and_nothing_else() {
    let (store, locator, ..) = world();
    let other: Repository = "ghcr.io/acme/web".parse().unwrap();
    store.edit(|it| it.push_image(&other, &[tag("1")], &[b"web"]));
    let hit = other.clone();
    store.fail_when(move |it| (*it.repository() == hit).then_some(StoreErrorKind::Throttled));
    store.resolve(&repository(), &locator).await.unwrap();
    let error = store.resolve(&other, &locator).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Throttled);
    assert_eq!(error.to_string(), "cannot resolve ghcr.io/acme/web:1");
}

#[tokio::test]
async fn a_lost_answer_hides_a_write_that_happened() {
    let (store, ..) = world();
    store.lose_answer_when(|it| it.is_write().then_some(StoreErrorKind::Unavailable));
    assert!(store.put_blob(&repository(), "blob".into()).await.is_err());
    assert_eq!(store.writes().len(), 1);
    assert!(store.contents().repositories[&repository()].blobs.contains_key(&Digest::of(b"blob")));
}

#[tokio::test]
async fn a_concurrent_writer_is_noticed_by_version() {
    let (store, locator, _, bytes) = world();
    let found = store.manifest(&repository(), &locator).await.unwrap();
    let once = AtomicBool::new(true);
    store.before(move |store, operation| {
        if operation.is_write() && once.swap(false, Ordering::Relaxed) {
            store.edit(|it| it.push_image(&repository(), &[tag("1")], &[b"theirs"]));
        }
    });
    let expected = Expected::Version(found.version.unwrap());
    let place = repository();
    let write = || store.put_manifest(&place, &locator, OCI_MANIFEST, bytes.clone(), &expected);
    assert_eq!(write().await.unwrap_err().kind, StoreErrorKind::Precondition);

    let versions = VersionPolicy::Ignore;
    store.set_policies(Policies { versions, ..Policies::default() });
    write().await.unwrap();
    assert_eq!(store.manifest(&repository(), &locator).await.unwrap().version, None);
}

#[tokio::test]
async fn policies_refuse_deletes_and_moved_tags() {
    let (store, locator, digest, bytes) = world();
    let deletes = DeletePolicy::Refuse;
    store.set_policies(Policies { deletes, tags: TagPolicy::Immutable, ..Policies::default() });
    let error = store.delete_manifest(&repository(), &digest).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Refused);

    let anything = &Expected::Anything;
    let place = repository();
    let put = |bytes| store.put_manifest(&place, &locator, OCI_MANIFEST, bytes, anything);
    put(bytes.clone()).await.unwrap();
    let mut moved = bytes.to_vec();
    moved.push(b'\n');
    assert_eq!(put(moved.into()).await.unwrap_err().kind, StoreErrorKind::ImmutableTag);
    assert!(store.writes().iter().all(|it| matches!(it, Write::Manifest { .. })));
}

#[tokio::test]
async fn a_manifest_needs_its_parts() {
    let (store, ..) = world();
    let elsewhere: Repository = "ghcr.io/acme/other".parse().unwrap();
    let bytes = world().3;
    let locator = tag("1").into();
    let put =
        |bytes| store.put_manifest(&elsewhere, &locator, OCI_MANIFEST, bytes, &Expected::Anything);
    assert_eq!(put(bytes).await.unwrap_err().kind, StoreErrorKind::Refused);
    assert_eq!(put("<html>".into()).await.unwrap_err().kind, StoreErrorKind::Refused);
    assert!(store.writes().is_empty());
}

#[tokio::test]
async fn what_was_corrupted_is_never_given_out() {
    let (store, locator, digest, bytes) = world();
    let config = Manifest::parse(&bytes).unwrap().config;
    store.edit(|it| {
        it.corrupt(&repository(), &digest, "other");
        it.corrupt(&repository(), &config.digest, "other");
    });
    let wrong = StoreErrorKind::WrongDigest;
    assert_eq!(store.manifest(&repository(), &locator).await.unwrap_err().kind, wrong);
    assert_eq!(store.blob(&repository(), &config).await.unwrap_err().kind, wrong);
}

#[test]
fn contents_are_values() {
    let (store, _, digest, _) = world();
    let before = store.contents();
    let copy = MemoryStore::with(before.clone());
    assert_eq!(copy.contents(), before);
    copy.edit(|it| it.untag(&repository(), &tag("1")));
    assert_ne!(copy.contents(), before);
    assert!(before.to_string().contains(&format!("  tag 1 = {digest}\n")));
    let index =
        copy.edit(|it| it.push_index(&repository(), &[tag("all")], &[("linux/arm64/v8", &digest)]));
    let stored = &copy.contents().repositories[&repository()].manifests[&index];
    let index = Index::parse(&stored.bytes).unwrap();
    assert_eq!(index.manifests[0].platform.as_ref().unwrap().to_string(), "linux/arm64/v8");
    copy.edit(|it| it.remove(&repository(), &digest));
    assert_eq!(copy.contents().digest(&repository(), &digest.into()), None);
}

#[tokio::test]
async fn it_is_a_store() {
    let store = MemoryStore::new();
    conformance::store(&store, &repository()).await;
    conformance::versions(&store, &"ghcr.io/acme/versions".parse().unwrap()).await;
}
