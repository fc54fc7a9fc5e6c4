use super::*;

use std::io::{BufRead, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use tempfile::TempDir;

use crate::model::media_type::{OCI_INDEX, OCI_MANIFEST};
use crate::store::conformance;
use crate::store::memory::Contents;

fn layout(path: &Path) -> Repository {
    Repository::Layout(LayoutPath::new(path))
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

/// Puts the image with one layer of this content.
async fn put(store: &dyn Store, repository: &Repository, tag: &Tag, layer: &[u8]) -> Digest {
    let mut contents = Contents::default();
    let digest = contents.push_image(repository, &[], &[layer]);
    let contents = contents.repository(repository);
    for blob in contents.blobs.values() {
        store.put_blob(repository, blob.clone()).await.unwrap();
    }
    let bytes = contents.manifests[&digest].bytes.clone();
    let locator = tag.clone().into();
    store
        .put_manifest(repository, &locator, OCI_MANIFEST, bytes, &Expected::Anything)
        .await
        .unwrap()
}

/// A layout with one image, `1`.
async fn world() -> (TempDir, Repository, Digest) {
    let folder = tempfile::tempdir().unwrap();
    let repository = layout(folder.path());
    let digest = put(&LayoutStore, &repository, &tag("1"), b"layer").await;
    (folder, repository, digest)
}

fn blob_path(folder: &Path, digest: &Digest) -> std::path::PathBuf {
    folder.join("blobs/sha256").join(digest.hex())
}

#[tokio::test]
async fn it_is_a_store() {
    let folder = tempfile::tempdir().unwrap();
    conformance::store(&LayoutStore::new(), &layout(&folder.path().join("new/layout"))).await;
    let empty = tempfile::tempdir().unwrap();
    conformance::versions(&LayoutStore::new(), &layout(empty.path())).await;
}

#[tokio::test]
async fn what_is_no_layout_is_told_apart() {
    use StoreErrorKind::{InvalidAnswer, RepositoryUnknown};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("it");
    let marker = r#"{"imageLayoutVersion":"1.0.0"}"#;
    type Files<'a> = &'a [(&'a str, &'a str)];
    let cases: [(&str, Files<'_>, StoreErrorKind, &str); 9] = [
        ("empty", &[], RepositoryUnknown, "there is no layout"),
        (
            "begun",
            &[("oci-layout", marker), ("index.json.lock", "")],
            RepositoryUnknown,
            "no layout",
        ),
        ("other", &[("notes", "")], InvalidAnswer, "no `oci-layout`"),
        ("no index", &[("oci-layout", marker), ("notes", "")], InvalidAnswer, "no `index.json`"),
        ("no marker", &[("index.json", "{}")], InvalidAnswer, "no `oci-layout`"),
        (
            "new",
            &[("oci-layout", r#"{"imageLayoutVersion":"2"}"#), ("index.json", "{}")],
            InvalidAnswer,
            "version `2`",
        ),
        (
            "odd marker",
            &[("oci-layout", "1.0.0"), ("index.json", "{}")],
            InvalidAnswer,
            "oci-layout: ",
        ),
        (
            "broken",
            &[("oci-layout", marker), ("index.json", "{\"manifests\":[")],
            InvalidAnswer,
            "index.json: EOF",
        ),
        (
            "html",
            &[("oci-layout", marker), ("index.json", "{\"manifests\":7}")],
            InvalidAnswer,
            "no list",
        ),
    ];
    for (name, files, kind, detail) in cases {
        fs::create_dir(&path).unwrap();
        files.iter().for_each(|(file, text)| fs::write(path.join(file), text).unwrap());
        let error = LayoutStore.tags(&layout(&path)).await.unwrap_err();
        assert_eq!(error.kind, kind, "{name}: {error}");
        assert!(error.to_string().contains(detail), "{name}: {error}");
        fs::remove_dir_all(&path).unwrap();
    }
    let error = LayoutStore.tags(&layout(&path)).await.unwrap_err();
    assert_eq!(error.kind, RepositoryUnknown);
    assert_eq!(
        error.to_string(),
        format!("cannot list the tags of oci:{}: there is no layout", path.display())
    );
    fs::write(&path, "a file").unwrap();
    let error = LayoutStore.tags(&layout(&path)).await.unwrap_err();
    assert_eq!(error.kind, InvalidAnswer, "{error}");

    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    fs::write(path.join("notes"), "mine").unwrap();
    let error = LayoutStore.put_blob(&layout(&path), "x".into()).await.unwrap_err();
    assert_eq!(
        error.kind, InvalidAnswer,
        "a folder of somebody else is not made a layout: {error}"
    );
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);

    let remote = "ghcr.io/acme/api".parse().unwrap();
    assert_eq!(LayoutStore.tags(&remote).await.unwrap_err().kind, StoreErrorKind::Refused);
}

#[tokio::test]
async fn damage_is_never_absence() {
    let (folder, repository, digest) = world().await;
    let locator = tag("1").into();
    let path = blob_path(folder.path(), &digest);
    let bytes = fs::read(&path).unwrap();
    let kind = async || LayoutStore.manifest(&repository, &locator).await.unwrap_err().kind;

    fs::write(&path, &bytes[..20]).unwrap();
    assert_eq!(kind().await, StoreErrorKind::WrongDigest);
    fs::write(&path, vec![b' '; 5 * 1024 * 1024]).unwrap();
    assert_eq!(kind().await, StoreErrorKind::TooLarge);
    fs::remove_file(&path).unwrap();
    assert_eq!(kind().await, StoreErrorKind::InvalidAnswer);
    let absent = LayoutStore.manifest(&repository, &digest.clone().into()).await.unwrap_err();
    assert_eq!(absent.kind, StoreErrorKind::InvalidAnswer, "named, but without its blob");
    symlink("/dev/zero", &path).unwrap();
    assert_eq!(kind().await, StoreErrorKind::InvalidAnswer);
    // A write mends it.
    fs::remove_file(&path).unwrap();
    put(&LayoutStore, &repository, &tag("1"), b"layer").await;
    assert_eq!(LayoutStore.resolve(&repository, &locator).await.unwrap().digest, digest);

    let index = folder.path().join("index.json");
    let lies = fs::read_to_string(&index).unwrap().replacen(OCI_MANIFEST, "application/other", 1);
    fs::write(&index, lies).unwrap();
    let error = LayoutStore.manifest(&repository, &locator).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::InvalidAnswer, "{error}");
}

#[tokio::test]
async fn manifests_are_found_that_only_an_index_names() {
    let (folder, repository, child) = world().await;
    let mut contents = Contents::default();
    contents.push_image(&repository, &[], &[b"layer"]);
    let index = contents.push_index(&repository, &[], &[("linux/amd64", &child)]);
    let bytes = contents.repository(&repository).manifests[&index].bytes.clone();
    let (locator, anything) = (tag("all").into(), &Expected::Anything);
    LayoutStore.put_manifest(&repository, &locator, OCI_INDEX, bytes, anything).await.unwrap();

    LayoutStore.delete_manifest(&repository, &child).await.unwrap();
    assert_eq!(*LayoutStore.tags(&repository).await.unwrap(), BTreeSet::from([tag("all")]));
    let found = LayoutStore.resolve(&repository, &child.clone().into()).await.unwrap();
    assert_eq!((found.digest.clone(), found.media_type.as_str()), (child.clone(), OCI_MANIFEST));
    LayoutStore.delete_manifest(&repository, &index).await.unwrap();
    LayoutStore.delete_manifest(&repository, &child).await.unwrap();
    assert!(!blob_path(folder.path(), &child).exists());

    // A configuration is a blob and no manifest.
    let config = Digest::of(br#"{"config":{},"os":"linux"}"#);
    LayoutStore.put_blob(&repository, r#"{"config":{},"os":"linux"}"#.into()).await.unwrap();
    let error = LayoutStore.resolve(&repository, &config.into()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::NotFound);
}

#[tokio::test]
async fn a_manifest_without_its_parts_is_refused() {
    let (_folder, repository, digest) = world().await;
    let bytes = LayoutStore.manifest(&repository, &digest.into()).await.unwrap().bytes;
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = layout(elsewhere.path());
    let locator = tag("1").into();
    for content in [bytes, "<html>".into()] {
        let anything = &Expected::Anything;
        let put = LayoutStore.put_manifest(&elsewhere, &locator, OCI_MANIFEST, content, anything);
        assert_eq!(put.await.unwrap_err().kind, StoreErrorKind::Refused);
    }
    assert!(LayoutStore.tags(&elsewhere).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_as_it_should_be_is_not_written_again() {
    let (folder, repository, _) = world().await;
    let index = folder.path().join("index.json");
    // Other formatting than ours, which a write would change.
    let text = fs::read_to_string(&index).unwrap().replace('\n', "");
    fs::write(&index, &text).unwrap();
    put(&LayoutStore, &repository, &tag("1"), b"layer").await;
    LayoutStore.delete_manifest(&repository, &Digest::of(b"nobody")).await.unwrap();
    assert_eq!(fs::read_to_string(&index).unwrap(), text);

    fs::set_permissions(&index, fs::Permissions::from_mode(0o640)).unwrap();
    put(&LayoutStore, &repository, &tag("2"), b"layer").await;
    assert_ne!(fs::read_to_string(&index).unwrap(), text);
    assert_eq!(fs::metadata(&index).unwrap().permissions().mode() & 0o777, 0o640);
}

#[tokio::test]
async fn what_a_crash_leaves_does_no_harm() {
    let (folder, repository, digest) = world().await;
    let before = fs::read(folder.path().join("index.json")).unwrap();
    // Between the write beside and the rename: half a file, for the index and for a blob.
    fs::write(folder.path().join(".countersign-a1b2c3"), &before[..30]).unwrap();
    fs::write(folder.path().join("blobs/sha256/.countersign-d4e5f6"), "ha").unwrap();
    let locator = tag("1").into();
    assert_eq!(LayoutStore.resolve(&repository, &locator).await.unwrap().digest, digest);
    let other = put(&LayoutStore, &repository, &tag("2"), b"other").await;
    assert_eq!(LayoutStore.resolve(&repository, &locator).await.unwrap().digest, digest);
    let found = LayoutStore.resolve(&repository, &tag("2").into()).await.unwrap();
    assert_eq!(found.digest, other);
}

#[tokio::test]
async fn a_reader_in_the_middle_keeps_the_whole_old_file() {
    let (folder, repository, digest) = world().await;
    for file in [folder.path().join("index.json"), blob_path(folder.path(), &digest)] {
        // Other bytes, so that the blob is written again too.
        let mut old = fs::read(&file).unwrap();
        old.push(b' ');
        fs::write(&file, &old).unwrap();
        let mut reader = fs::File::open(&file).unwrap();
        put(&LayoutStore, &repository, &tag("2"), b"layer").await;
        put(&LayoutStore, &repository, &tag("3"), b"layer").await;
        let mut seen = Vec::new();
        reader.read_to_end(&mut seen).unwrap();
        assert_eq!(seen, old, "{} was written in its place", file.display());
        assert_ne!(fs::read(&file).unwrap(), old);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_at_once_lose_nothing_of_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let repository = layout(&folder.path().join("shared"));
    let tasks =
        (0..2).flat_map(|store| (0..8).map(move |task| (store, task))).map(|(store, task)| {
            let repository = repository.clone();
            tokio::spawn(async move {
                let instance = LayoutStore::new();
                for turn in 0..3 {
                    let name = format!("s{store}-t{task}-{turn}");
                    put(&instance, &repository, &tag(&name), name.as_bytes()).await;
                }
            })
        });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let tags = LayoutStore.tags(&repository).await.unwrap();
    assert_eq!(tags.len(), 2 * 8 * 3);
    for tag in tags.iter() {
        LayoutStore.resolve(&repository, &tag.clone().into()).await.unwrap();
    }
}

const CHILD: &str = "COUNTERSIGN_TEST_LAYOUT";

/// Run once more by itself, in the process that it kills.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the parent tells the folder in this way")]
async fn a_killed_writer_leaves_a_whole_layout() {
    if let Some(path) = env::var_os(CHILD) {
        return writes_until_it_is_killed(&layout(Path::new(&path))).await;
    }
    let (folder, repository, digest) = world().await;
    for round in 0..5 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "store::layout::tests::a_killed_writer_leaves_a_whole_layout"])
            .arg("--nocapture")
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let wrote = lines.map(Result::unwrap).filter(|line| line.contains("wrote ")).nth(round);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(wrote.is_some(), "the child wrote before it was killed");
        // Its lock went with it.
        put(&LayoutStore, &repository, &tag("after"), &[u8::try_from(round).unwrap()]).await;
        for name in ["1", "moving", "after"] {
            LayoutStore.manifest(&repository, &tag(name).into()).await.unwrap();
        }
        let first = LayoutStore.resolve(&repository, &tag("1").into()).await.unwrap();
        assert_eq!(first.digest, digest);
    }
}

async fn writes_until_it_is_killed(repository: &Repository) {
    for turn in 0..10_000 {
        put(&LayoutStore, repository, &tag("moving"), format!("{turn}").as_bytes()).await;
        println!("wrote {turn}");
    }
}
