//! Layouts that we write and cosign reads, and the other way round.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests"
)]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::path::Path;

use bytes::Bytes;
use countersign::crypto::SignatureBytes;
use countersign::model::{
    Annotations, Descriptor, Digest, LayoutPath, Repository, Tag, media_type,
};
use countersign::payload::{Addition, Carrier, SimpleSigning, annotation};
use countersign::store::memory::Contents;
use countersign::store::{Expected, LayoutStore, ReadStore, Store};
use support::tools::{self, Home, Tool};
use tempfile::TempDir;

/// A folder with a key of cosign's and a layout.
struct World {
    folder: TempDir,
    repository: Repository,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let arguments = ["generate-key-pair", "--output-key-prefix", "k"];
        assert!(cosign(Tool::Cosign2, folder.path(), &arguments), "a key pair");
        let repository = Repository::Layout(LayoutPath::new(folder.path().join("layout")));
        Self { folder, repository }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Puts everything of `contents` through the store, as `copy` would.
    async fn put(&self, mut contents: Contents) {
        let contents = contents.repository(&self.repository).clone();
        for blob in contents.blobs.values() {
            LayoutStore.put_blob(&self.repository, blob.clone()).await.unwrap();
        }
        for (tag, digest) in &contents.tags {
            let manifest = &contents.manifests[digest];
            self.put_manifest(tag, &manifest.media_type, manifest.bytes.clone()).await;
        }
    }

    async fn put_manifest(&self, tag: &Tag, media_type: &str, content: impl Into<Bytes> + Send) {
        let (locator, content) = (tag.clone().into(), content.into());
        let anything = &Expected::Anything;
        let put =
            LayoutStore.put_manifest(&self.repository, &locator, media_type, content, anything);
        put.await.unwrap();
    }

    /// Signs `subject` with cosign's key and writes the carrier, as `apply` would.
    async fn sign(&self, subject: &Digest, annotations: &Annotations) {
        let payload =
            SimpleSigning { identity: "registry.acme.com/app", digest: subject, annotations };
        let payload = payload.to_bytes();
        fs::write(self.path().join("payload"), &payload).unwrap();
        let arguments = ["sign-blob", "--key", "k.key", "--tlog-upload=false", "-y"];
        let output = ["--output-signature", "signature", "payload"];
        assert!(
            cosign(Tool::Cosign2, self.path(), &[&arguments[..], &output].concat()),
            "a signature"
        );
        let text = fs::read_to_string(self.path().join("signature")).unwrap();
        let signature = SignatureBytes::from_base64(&text).unwrap();

        let tag = Tag::of_signatures(subject);
        let carrier = match LayoutStore.manifest(&self.repository, &tag.clone().into()).await {
            Ok(found) => Carrier::parse(&found.bytes).unwrap(),
            Err(error) if error.kind.is_absent() => Carrier::empty(),
            Err(error) => panic!("{error}"),
        };
        let addition = Addition {
            payload: Descriptor::of(media_type::SIMPLE_SIGNING, &payload),
            annotations: Annotations::from([(
                annotation::SIGNATURE.to_owned(),
                signature.to_base64(),
            )]),
        };
        let bytes = carrier.edit(&[], vec![addition]).to_bytes();
        LayoutStore.put_blob(&self.repository, payload.into()).await.unwrap();
        LayoutStore.put_blob(&self.repository, bytes.config.into()).await.unwrap();
        self.put_manifest(&tag, media_type::OCI_MANIFEST, bytes.manifest).await;
    }

    /// Whether each cosign verifies the layout, with these further arguments.
    fn verified(&self, more: &[&str]) -> [bool; 2] {
        let arguments = ["verify", "--key", "k.pub", "--insecure-ignore-tlog", "--local-image"];
        let arguments = [&arguments[..], more, &["layout"]].concat();
        [Tool::Cosign2, Tool::Cosign3].map(|name| cosign(name, self.path(), &arguments))
    }
}

fn ready() -> bool {
    tools::have(&[Tool::Cosign2, Tool::Cosign3])
}

fn cosign(tool: Tool, folder: &Path, arguments: &[&str]) -> bool {
    let mut command = Home::new().command(tool);
    command.args(arguments).current_dir(folder);
    command.env("COSIGN_PASSWORD", "p").env("HOME", folder).env("TMPDIR", folder);
    let done = tools::Finished::of(&mut command);
    if !done.is_success() {
        println!("{done:?}");
    }
    done.is_success()
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

#[tokio::test]
async fn cosign_verifies_a_layout_that_holds_one_image() {
    if !ready() {
        return;
    }
    let world = World::new();
    let mut contents = Contents::default();
    let digest = contents.push_image(&world.repository, &[tag("1"), tag("latest")], &[b"layer"]);
    world.put(contents).await;
    assert_eq!(world.verified(&[]), [false; 2], "nothing is signed yet");
    world.sign(&digest, &Annotations::new()).await;
    assert_eq!(world.verified(&[]), [true; 2]);

    let annotations = Annotations::from([("odd".to_owned(), "<a&b> é".to_owned())]);
    assert_eq!(world.verified(&["-a", "odd=<a&b> é"]), [false; 2]);
    world.sign(&digest, &annotations).await;
    assert_eq!(world.verified(&["-a", "odd=<a&b> é"]), [true; 2]);

    // The tag names another image: the signatures of the first do not count, and do not disturb.
    let mut contents = Contents::default();
    let tags = [tag("1"), tag("latest")];
    let second = contents.push_image(&world.repository, &tags, &[b"another layer"]);
    world.put(contents).await;
    assert_eq!(world.verified(&[]), [false; 2]);
    world.sign(&second, &Annotations::new()).await;
    assert_eq!(world.verified(&[]), [true; 2]);
}

#[tokio::test]
async fn cosign_verifies_an_index_whose_parts_are_signed_too() {
    if !ready() {
        return;
    }
    let world = World::new();
    let mut contents = Contents::default();
    let amd64 = contents.push_image(&world.repository, &[], &[b"amd64"]);
    let arm64 = contents.push_image(&world.repository, &[], &[b"arm64"]);
    let children = [("linux/amd64", &amd64), ("linux/arm64", &arm64)];
    let index = contents.push_index(&world.repository, &[tag("1")], &children);
    // Parts are blobs only, as skopeo and buildx write them.
    let repository = contents.repository(&world.repository);
    let parts = [&amd64, &arm64].map(|digest| repository.manifests[digest].bytes.clone());
    for part in parts {
        LayoutStore.put_blob(&world.repository, part).await.unwrap();
    }
    world.put(contents).await;
    for subject in [&amd64, &arm64, &index] {
        assert_eq!(world.verified(&[]), [false; 2], "the index is not signed yet");
        world.sign(subject, &Annotations::new()).await;
    }
    assert_eq!(world.verified(&[]), [true; 2]);
}

#[tokio::test]
async fn a_layout_that_cosign_saved_is_read_and_signed_again() {
    if !ready() {
        return;
    }
    let world = World::new();
    let mut contents = Contents::default();
    let digest = contents.push_image(&world.repository, &[tag("1")], &[b"layer"]);
    world.put(contents).await;
    world.sign(&digest, &Annotations::new()).await;
    // What `cosign save` writes: kinds, and no names.
    let index = world.path().join("layout/index.json");
    let mut document: serde_json::Value =
        serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    for entry in document["manifests"].as_array_mut().unwrap() {
        let annotations = entry["annotations"].as_object_mut().unwrap();
        annotations.retain(|key, _| key == "kind");
    }
    fs::write(&index, document.to_string()).unwrap();
    assert_eq!(world.verified(&[]), [true; 2]);

    let more = Annotations::from([("second".to_owned(), "yes".to_owned())]);
    world.sign(&digest, &more).await;
    assert_eq!(world.verified(&["-a", "second=yes"]), [true; 2]);
    let locator = Tag::of_signatures(&digest).into();
    let carrier = LayoutStore.manifest(&world.repository, &locator).await.unwrap();
    assert_eq!(Carrier::parse(&carrier.bytes).unwrap().len(), 2);
}
