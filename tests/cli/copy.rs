//! `countersign copy`: between registries and layouts, with everything that is attached.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::sandbox::Sandbox;
use super::single::lines;
use super::support::cosign::{Cosign, Format, KeyPair, SignOptions, VerifyOptions};
use super::support::crane_registry::CraneRegistry;
use super::support::docker_registry::DockerRegistry;
use super::support::images::digest;
use super::support::tools::{self, Tool};

#[test]
fn copies_are_joined_mounted_and_verified() {
    if !tools::have(&[Tool::Cosign2, Tool::Cosign3, Tool::DockerRegistry]) {
        return;
    }
    let (registry, sandbox) = (DockerRegistry::start(), Sandbox::new());
    sandbox.key("rsa2048", "other");
    let (one, two) = (registry.reference("one/web:1"), registry.reference("two/web:1"));
    sandbox.run(&["copy", "oci:images:web", &one]).expect(0);
    let sign = |key: &str, image: &str| {
        let arguments = ["sign", "--key", key, "--tlog-upload=false", "--recursive", image];
        sandbox.run_with_password(&arguments).expect(0)
    };
    sign("release.key", &one);
    let copied = sandbox.run(&["copy", &one, &two]).expect(0);
    // Two images and three signatures, each a configuration and a layer.
    assert!(copied.stderr.contains("0 blobs sent, 10 blobs mounted"), "{copied}");
    // Signatures at the destination are not lost.
    sign("other.key", &two);
    sandbox.run(&["copy", &one, &two]).expect(0);
    for key in ["release.pub", "other.pub"] {
        let key = sandbox.path().join(key).display().to_string();
        let verify = ["verify", "--key", &key, "--insecure-ignore-tlog", &two];
        tools::Home::new().run(Tool::Cosign2, &verify).success();
    }
    registry.take_requests();
    sandbox.run(&["copy", &one, &two]).expect(0);
    assert_eq!(registry.take_requests().writes().len(), 0, "it is all there");

    // Another image under the tag stays, unless it is meant.
    sandbox.run(&["copy", "oci:images:api", &two]).expect(1);
    sandbox.run(&["copy", "--force", "oci:images:api", &two]).expect(0);

    // Back into a layout, signatures of every image included.
    sandbox.run(&["copy", &one, "oci:back:web"]).expect(0);
    assert_eq!(lines(&sandbox, "oci:back:web"), 1);
}

#[test]
fn bundles_are_copied_and_those_at_the_destination_stay() {
    if !tools::have(&[Tool::Cosign3, Tool::DockerRegistry]) {
        return;
    }
    let (registry, sandbox, cosign) = (DockerRegistry::start(), Sandbox::new(), Cosign::v3());
    let (one, two) = (registry.reference("one/app:1"), registry.reference("two/app:1"));
    let key = cosign.generate_key_pair(sandbox.path(), "one", "");
    let other = cosign.generate_key_pair(sandbox.path(), "two", "");
    let bundle = SignOptions { format: Format::Bundle, ..SignOptions::default() };
    for image in [&one, &two] {
        sandbox.run(&["copy", "oci:images:api", image]).expect(0);
    }
    cosign.sign(&[&one], &key, &bundle).success();
    cosign.sign(&[&two], &other, &bundle).success();
    for _ in 0..2 {
        sandbox.run(&["copy", &one, &two]).expect(0);
        for key in [&key, &other] {
            let verified = cosign.verify(&two, &key.trust(), &VerifyOptions::default());
            assert_eq!(verified.unwrap().len(), 1);
        }
    }
    let tree = sandbox.run(&["tree", &two]).expect(0);
    assert_eq!(tree.stdout.matches("artifacts via OCI referrer").count(), 2, "{tree}");
}

/// Says whether cosign 3 takes the signature of `key`.
#[track_caller]
fn verify(image: &str, key: &KeyPair) {
    let verified = Cosign::v3().verify(image, &key.trust(), &VerifyOptions::default());
    assert_eq!(verified.unwrap().len(), 1, "{image}");
}

#[test]
fn referrers_go_from_any_kind_of_registry_to_any_other_and_through_layouts() {
    if !tools::have(&[Tool::Cosign3, Tool::Crane, Tool::DockerRegistry]) {
        return;
    }
    let (with_api, with_tag) = (CraneRegistry::start(), DockerRegistry::start());
    let (sandbox, cosign) = (Sandbox::new(), Cosign::v3());
    let key = cosign.generate_key_pair(sandbox.path(), "one", "");
    let other = cosign.generate_key_pair(sandbox.path(), "two", "");
    let bundle = SignOptions { format: Format::Bundle, ..SignOptions::default() };
    let places = [with_api.reference("one/app:1"), with_tag.reference("one/app:1")];
    for (from, to) in [(&places[0], "two/app:1"), (&places[1], "three/app:1")] {
        sandbox.run(&["copy", "oci:images:api", from]).expect(0);
        cosign.sign(&[from], &key, &bundle).success();
        for to in [with_api.reference(to), with_tag.reference(to)] {
            // What is at the destination already stays.
            sandbox.run(&["copy", "oci:images:api", &to]).expect(0);
            cosign.sign(&[&to], &other, &bundle).success();
            for _ in 0..2 {
                sandbox.run(&["copy", from, &to]).expect(0);
                verify(&to, &key);
                verify(&to, &other);
            }
        }
        // Into a layout, and out of it into a repository that does not exist yet.
        let layout = format!("oci:kept-{}:app", &to[..2]);
        sandbox.run(&["copy", from, &layout]).expect(0);
        for name in ["back/app:1", "again/app:1"] {
            let back = with_tag.reference(&format!("{}{name}", &to[..2]));
            sandbox.run(&["copy", &layout, &back]).expect(0);
            verify(&back, &key);
        }
    }
    let tree = sandbox.run(&["tree", &with_api.reference("two/app:1")]).expect(0);
    assert_eq!(tree.stdout.matches("artifacts via OCI referrer").count(), 2, "{tree}");
}

#[test]
fn only_what_is_asked_for_is_copied() {
    if !tools::have(&[Tool::Cosign3, Tool::DockerRegistry]) {
        return;
    }
    let (registry, sandbox, cosign) = (DockerRegistry::start(), Sandbox::new(), Cosign::v3());
    let key = cosign.generate_key_pair(sandbox.path(), "one", "");
    let web = registry.reference("one/web:1");
    sandbox.run(&["copy", "oci:images:web", &web]).expect(0);
    let format = Format::Bundle;
    cosign.sign(&[&web], &key, &SignOptions { format, ..SignOptions::default() }).success();
    cosign.sign(&[&web], &key, &SignOptions::default()).success();
    let whole = "artifacts for an image";
    for (only, signatures, referrers) in [("sig", 1, 0), ("ref", 0, 1), ("att,sbom", 0, 0)] {
        let to = registry.reference(&format!("{}/web:1", only.replace(',', "-")));
        sandbox.run(&["copy", "--only", only, &web, &to]).expect(0);
        let tree = sandbox.run(&["tree", &to]).expect(0);
        let number = |text: &str| tree.stdout.matches(text).count();
        assert_eq!(number("Signatures for an image tag"), signatures, "{only}: {tree}");
        assert_eq!(number("artifacts via OCI referrer"), referrers, "{only}: {tree}");
        assert_eq!(number(whole), 1);
    }
    // One image of an index.
    let one = registry.reference("one-platform/web:1");
    sandbox.run(&["copy", "--platform", "linux/arm64", &web, &one]).expect(0);
    let output = Command::new(Tool::Crane.path()).args(["config", &one]).output().unwrap();
    let config: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(config["architecture"], "arm64");
    let absent = ["copy", "--platform", "plan9/mips", &web, &one];
    let ended = sandbox.run(&absent).expect(1);
    assert!(ended.stderr.contains("error[image::platform_missing]"), "{ended}");
}

/// A layout with an image whose layer is larger than any that is held in memory.
fn write_large(folder: &Path, size: u64) {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    File::create(blobs.join("layer")).unwrap().set_len(size).unwrap();
    let sum = Command::new("sha256sum").arg(blobs.join("layer")).output().unwrap();
    let hex = String::from_utf8(sum.stdout).unwrap()[..64].to_owned();
    fs::rename(blobs.join("layer"), blobs.join(&hex)).unwrap();
    let put = |content: &[u8], media_type: &str| {
        let digest = digest(content);
        fs::write(blobs.join(&digest[7..]), content).unwrap();
        json!({ "mediaType": media_type, "digest": digest, "size": content.len() })
    };
    let config = put(b"{}", "application/vnd.oci.image.config.v1+json");
    let layer = json!({
        "mediaType": "application/vnd.oci.image.layer.v1.tar",
        "digest": format!("sha256:{hex}"), "size": size,
    });
    let oci = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": oci, "config": config, "layers": [layer],
    });
    let mut entry = put(manifest.to_string().as_bytes(), oci);
    entry["annotations"] = json!({ "org.opencontainers.image.ref.name": "app" });
    fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let index = json!({ "schemaVersion": 2, "manifests": [entry] });
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
}

#[test]
fn layers_larger_than_memory_should_hold_are_copied_and_sent_once() {
    if !tools::have(&[Tool::DockerRegistry]) {
        return;
    }
    let (one, two) = (DockerRegistry::start(), DockerRegistry::start());
    let sandbox = Sandbox::new();
    write_large(&sandbox.path().join("large"), (130 << 20) + 7);
    let (first, second) = (one.reference("app:1"), two.reference("app:1"));
    sandbox.run(&["copy", "oci:large:app", &first]).expect(0);
    sandbox.run(&["copy", &first, &second]).expect(0);
    let back = sandbox.run(&["copy", &second, "oci:back:app"]).expect(0);
    assert!(back.stderr.contains("2 blobs sent"), "{back}");
    let files = |folder: &str| {
        let mut files: Vec<_> = fs::read_dir(sandbox.path().join(folder).join("blobs/sha256"))
            .unwrap()
            .map(|it| (it.as_ref().unwrap().file_name(), it.unwrap().metadata().unwrap().len()))
            .collect();
        files.sort();
        files
    };
    assert_eq!(files("back"), files("large"));
    // A layer that the destination has already is not sent again, whatever image brought it.
    two.take_requests();
    fs::remove_dir_all(sandbox.path().join("large")).unwrap();
    let tagged = sandbox.run(&["copy", "oci:back:app", &two.reference("app:2")]).expect(0);
    assert!(tagged.stderr.contains("0 blobs sent"), "{tagged}");
}
