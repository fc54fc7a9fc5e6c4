//! The ground that the other tests stand on, tested with its real parts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use support::certificates::{Authority, Purpose, Validity};
use support::cosign::{Attachment, Cosign, Format, Recursion, SignOptions, Trust, VerifyOptions};
use support::delay::Delay;
use support::docker_registry::{Access, Deletion, DockerRegistry, Options, Transport, USER};
use support::images::{Image, Publisher, write_layout};
use support::tools::{self, Credentials, Finished, Home, Tool};

const COSIGNS: &[Tool] = &[Tool::Cosign2, Tool::Cosign3, Tool::DockerRegistry];

#[tokio::test]
async fn what_one_cosign_signs_the_other_verifies() {
    if !tools::have(COSIGNS) {
        return;
    }
    let (registry, folder) = (DockerRegistry::start(), tempfile::tempdir().unwrap());
    let publisher = Publisher::new(&registry);
    const NOTE: &str = "<b>, \"c\" & ü";
    let [second, third] = Cosign::both();
    for (name, signs, verifies) in [("two", &second, &third), ("three", &third, &second)] {
        let image = Image::oci(name);
        publisher.push(name, &image, None).await;
        let reference = registry.reference(&format!("{name}@{}", image.digest()));
        let key = signs.generate_key_pair(folder.path(), name, "of the test");
        let annotations = vec![("note".to_owned(), NOTE.to_owned())];
        let options = SignOptions { annotations: annotations.clone(), ..SignOptions::default() };
        signs.sign(&[&reference], &key, &options).success();

        let asked = VerifyOptions { annotations, ..VerifyOptions::default() };
        let payloads = verifies.verify(&reference, &key.trust(), &asked).unwrap();
        assert_eq!(payloads.len(), 1);
        assert_eq!(
            payloads[0]["critical"]["image"]["docker-manifest-digest"],
            image.digest().as_str()
        );
        assert_eq!(payloads[0]["optional"]["note"], NOTE);

        let other = VerifyOptions {
            annotations: vec![("note".to_owned(), "other".to_owned())],
            ..VerifyOptions::default()
        };
        assert!(verifies.verify(&reference, &key.trust(), &other).is_err());
        let stranger = verifies.generate_key_pair(folder.path(), &format!("not-{name}"), "");
        assert!(verifies.verify(&reference, &stranger.trust(), &asked).is_err());
        assert_eq!(
            verifies.triangulate(&reference),
            registry.reference(&format!("{name}:{}.sig", image.digest().replace(':', "-")))
        );
    }
}

#[tokio::test]
async fn a_certificate_attached_by_one_cosign_is_verified_by_the_other() {
    if !tools::have(COSIGNS) {
        return;
    }
    let (registry, folder) = (DockerRegistry::start(), tempfile::tempdir().unwrap());
    let image = Image::docker("certified");
    Publisher::new(&registry).push("certified", &image, Some("1")).await;
    let reference = registry.reference(&format!("certified@{}", image.digest()));
    let root = Authority::root("root");
    let intermediate = root.intermediate("intermediate");
    let leaf = intermediate.leaf(Purpose::CodeSigning("release@acme.example"), Validity::LONG);
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (second, third) = (Cosign::v2(), Cosign::v3());
    let key = third.import_key_pair(folder.path(), "leaf", &leaf.key_pem(), "x");
    assert_eq!(fs::read_to_string(&key.public).unwrap().trim(), leaf.public_key_pem().trim());

    // Sign elsewhere; take payload and signature from there.
    third.sign(&[&reference], &key, &SignOptions::default()).success();
    let signature = third.download_signatures(&reference).remove(0);
    let attachment = Attachment {
        payload: file("payload.json", &third.generate(&reference, &[])),
        signature: file("signature", signature["Base64Signature"].as_str().unwrap()),
        certificate: Some(file("leaf.pem", leaf.pem())),
        certificate_chain: Some(file("chain.pem", &[intermediate.pem(), root.pem()].concat())),
    };
    second.attach_signature(&reference, &attachment).success();
    let roots = file("root.pem", root.pem());
    let trust =
        |identity: &str| Trust::Certificate { roots: roots.clone(), identity: identity.to_owned() };
    for cosign in Cosign::both() {
        let verify = |trust| cosign.verify(&reference, &trust, &VerifyOptions::default());
        assert_eq!(verify(trust("release@acme.example")).unwrap().len(), 1);
        assert!(verify(trust("somebody@acme.example")).is_err());
        assert_eq!(verify(key.trust()).unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_bundle_of_cosign_3_is_for_cosign_3() {
    if !tools::have(COSIGNS) {
        return;
    }
    let (registry, folder) = (DockerRegistry::start(), tempfile::tempdir().unwrap());
    let image = Image::oci("bundled");
    let publisher = Publisher::new(&registry);
    publisher.push("bundled", &image, None).await;
    let reference = registry.reference(&format!("bundled@{}", image.digest()));
    let (second, third) = (Cosign::v2(), Cosign::v3());
    let key = third.generate_key_pair(folder.path(), "key", "");
    let options = SignOptions { format: Format::Bundle, ..SignOptions::default() };
    third.sign(&[&reference], &key, &options).success();
    assert_eq!(third.verify(&reference, &key.trust(), &VerifyOptions::default()).unwrap().len(), 1);
    assert!(second.verify(&reference, &key.trust(), &VerifyOptions::default()).is_err());
    let fallback = image.digest().replace(':', "-");
    assert!(publisher.manifest("bundled", &fallback).await.is_some(), "no referrers API here");
}

#[tokio::test]
async fn every_shape_of_image_is_taken_by_registry_and_cosign() {
    if !tools::have(COSIGNS) {
        return;
    }
    let (registry, folder) = (DockerRegistry::start(), tempfile::tempdir().unwrap());
    let publisher = Publisher::new(&registry);
    let cosign = Cosign::v2();
    let key = cosign.generate_key_pair(folder.path(), "key", "");
    let shapes = [
        ("oci", Image::oci("a"), 1),
        ("docker", Image::docker("a"), 1),
        ("platforms", Image::multi_platform("a"), 5),
        ("nested", Image::nested("a", 3), 4),
    ];
    for (name, image, subjects) in &shapes {
        publisher.push(name, image, Some("1")).await;
        assert_eq!(image.all().len(), *subjects);
        let reference = registry.reference(&format!("{name}@{}", image.digest()));
        let options = SignOptions { recursive: Recursion::All, ..SignOptions::default() };
        cosign.sign(&[&reference], &key, &options).success();
        for part in image.all() {
            let reference = registry.reference(&format!("{name}@{}", part.digest()));
            cosign.verify(&reference, &key.trust(), &VerifyOptions::default()).unwrap();
        }
    }

    let image = Image::with_unknown_child("a");
    publisher.push("unknown", &image, None).await;
    let reference = registry.reference(&format!("unknown@{}", image.digest()));
    let options = SignOptions { recursive: Recursion::All, ..SignOptions::default() };
    let refused = cosign.sign(&[&reference], &key, &options).failure();
    assert!(refused.stderr.contains("unknown mime type"), "{refused:?}");

    publisher.delete_manifest("platforms", &shapes[2].1.children[1].digest()).await;
    let child = shapes[2].1.children[1].digest();
    assert_eq!(publisher.manifest("platforms", &child).await, None);
}

#[test]
fn other_programs_read_the_layouts() {
    if !tools::have(&[Tool::Crane, Tool::DockerRegistry, Tool::Oras, Tool::Skopeo]) {
        return;
    }
    let (registry, folder, home) =
        (DockerRegistry::start(), tempfile::tempdir().unwrap(), Home::new());
    let (one, many) = (Image::oci("one"), Image::multi_platform("many"));
    write_layout(folder.path(), [("one", &one), ("many", &many)]);
    let source = format!("{}:many", folder.path().display());
    let found = home.run(Tool::Oras, &["resolve", "--oci-layout", &source]).success();
    assert_eq!(found.stdout.trim(), many.digest());

    // skopeo reads every byte below the tag, and crane what arrived.
    for (tag, image) in [("one", &one), ("many", &many)] {
        let source = format!("oci:{}:{tag}", folder.path().display());
        let target = format!("docker://{}", registry.reference(&format!("copied:{tag}")));
        let arguments =
            ["--insecure-policy", "copy", "--all", "--preserve-digests", "--dest-tls-verify=false"];
        home.run(Tool::Skopeo, &[&arguments[..], &[&source, &target]].concat()).success();
        let reference = registry.reference(&format!("copied:{tag}"));
        let found = home.run(Tool::Crane, &["digest", &reference]).success();
        assert_eq!(found.stdout.trim(), image.digest());
    }
}

#[tokio::test]
async fn the_access_log_counts_requests() {
    if !tools::have(&[Tool::DockerRegistry]) {
        return;
    }
    let registry = DockerRegistry::start();
    let publisher = Publisher::new(&registry);
    assert!(registry.take_requests().is_empty());

    let image = Image::oci("counted");
    publisher.push("counted", &image, Some("1")).await;
    let requests = registry.take_requests();
    // Configuration and layer are a POST and a PUT each; the manifest goes by digest and by tag.
    assert_eq!(requests.len(), 6);
    assert_eq!(requests.method("POST").on("/blobs/uploads/").answered(202).len(), 2);
    assert_eq!(requests.method("PUT").on("/blobs/uploads/").answered(201).len(), 2);
    assert_eq!(requests.method("PUT").on("/manifests/").len(), 2);
    assert_eq!(requests.writes(), requests);

    assert!(publisher.manifest("counted", "1").await.is_some());
    assert!(publisher.manifest("counted", "2").await.is_none());
    let requests = registry.take_requests();
    assert_eq!((requests.len(), requests.writes().len()), (2, 0));
    assert_eq!(requests.answered(404).on("/v2/counted/manifests/2").len(), 1);
    assert!(registry.take_requests().is_empty(), "each request is counted once");
}

#[tokio::test]
async fn two_hundred_images_are_pushed_in_seconds() {
    if !tools::have(&[Tool::Crane, Tool::DockerRegistry]) {
        return;
    }
    let registry = DockerRegistry::start();
    let images = Publisher::new(&registry).push_many("fleet", 200).await;
    let digests: std::collections::HashSet<_> = images.iter().map(Image::digest).collect();
    assert_eq!(digests.len(), 200);
    let tags = Home::new().run(Tool::Crane, &["ls", &registry.reference("fleet")]).success();
    assert_eq!(tags.stdout.lines().count(), 200);
}

#[tokio::test]
async fn a_registry_with_users_refuses_others() {
    if !tools::have(&[Tool::Crane, Tool::DockerRegistry]) {
        return;
    }
    let registry = DockerRegistry::with(Options { access: Access::Password, ..Options::default() });
    Publisher::new(&registry).push("private", &Image::oci("private"), Some("1")).await;
    let reference = registry.reference("private:1");
    let digest = |home: &Home| home.run(Tool::Crane, &["digest", &reference]);

    let nobody = digest(&Home::new()).failure();
    assert!(nobody.stderr.contains("401"), "{nobody:?}");
    let (friend, stranger) = (Home::new(), Home::new());
    friend.login(&registry.host(), USER);
    stranger.login(&registry.host(), Credentials { user: USER.user, password: "wrong" });
    digest(&stranger).failure();
    assert_eq!(digest(&friend).success().stdout.trim(), Image::oci("private").digest());
}

#[tokio::test]
async fn a_registry_with_tokens_lets_others_only_pull() {
    if !tools::have(&[Tool::Crane, Tool::DockerRegistry]) {
        return;
    }
    let access = Access::Token(Duration::from_secs(300));
    let registry = DockerRegistry::with(Options { access, ..Options::default() });
    Publisher::new(&registry).push("guarded", &Image::oci("guarded"), Some("1")).await;
    let (reference, copy) = (registry.reference("guarded:1"), registry.reference("guarded:2"));
    let (friend, stranger, nobody) = (Home::new(), Home::new(), Home::new());
    friend.login(&registry.host(), USER);
    stranger.login(&registry.host(), Credentials { user: "ci", password: "wrong" });

    nobody.run(Tool::Crane, &["digest", &reference]).success();
    nobody.run(Tool::Crane, &["copy", &reference, &copy]).failure();
    stranger.run(Tool::Crane, &["digest", &reference]).failure();
    friend.run(Tool::Crane, &["copy", &reference, &copy]).success();
    let asked = registry.tokens().requests();
    assert!(asked.iter().any(|it| it.user.is_none()), "{asked:?}");
    assert!(
        asked.iter().any(|it| {
            it.user.as_deref() == Some("ci")
                && it.scopes.iter().any(|scope| scope.starts_with("repository:guarded:"))
        }),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_registry_with_tls_wants_trust_on_both_sides() {
    if !tools::have(&[Tool::Crane, Tool::DockerRegistry]) {
        return;
    }
    for transport in [Transport::Tls, Transport::TlsBothSides] {
        let registry = DockerRegistry::with(Options { transport, ..Options::default() });
        let image = Image::oci("encrypted");
        Publisher::new(&registry).push("encrypted", &image, Some("1")).await;
        let home = Home::new();
        let mut command = home.command(Tool::Crane);
        command.args(["digest", &registry.reference("encrypted:1")]);
        Finished::of(&mut command).failure();
        let trusting = Finished::of(command.env("SSL_CERT_FILE", registry.ca_file()));
        match transport {
            Transport::TlsBothSides => drop(trusting.failure()),
            _ => assert_eq!(trusting.success().stdout.trim(), image.digest()),
        }
    }
}

#[tokio::test]
async fn deletion_can_be_refused() {
    if !tools::have(&[Tool::Crane, Tool::DockerRegistry]) {
        return;
    }
    let options = Options { deletion: Deletion::Refused, ..Options::default() };
    let (registry, home) = (DockerRegistry::with(options), Home::new());
    let image = Image::oci("kept");
    Publisher::new(&registry).push("kept", &image, None).await;
    let reference = registry.reference(&format!("kept@{}", image.digest()));
    let refused = home.run(Tool::Crane, &["delete", &reference]).failure();
    assert!(refused.stderr.contains("UNSUPPORTED"), "{refused:?}");
}

#[test]
fn a_registry_ends_with_its_owner() {
    if !tools::have(&[Tool::DockerRegistry]) {
        return;
    }
    let registry = DockerRegistry::start();
    let address = registry.address();
    assert!(TcpStream::connect(address).is_ok());
    drop(registry);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_panic_stops_the_registry_too() {
    if !tools::have(&[Tool::DockerRegistry]) {
        return;
    }
    let address = std::sync::Mutex::new(None);
    let result = std::panic::catch_unwind(|| {
        let registry = DockerRegistry::start();
        *address.lock().unwrap() = Some(registry.address());
        std::panic::resume_unwind(Box::new("a test that fails"));
    });
    assert!(result.is_err());
    assert!(TcpStream::connect(address.into_inner().unwrap().unwrap()).is_err());
}

#[test]
fn distance_costs_its_round_trips() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut byte = [0];
        while stream.read(&mut byte).unwrap() == 1 {
            stream.write_all(&byte).unwrap();
        }
    });
    let delay = Delay::start(target, Duration::from_millis(40));
    let start = Instant::now();
    let mut stream = TcpStream::connect(delay.address()).unwrap();
    let mut byte = [0];
    let mut exchange = || {
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut byte).unwrap();
    };
    exchange();
    let first = start.elapsed();
    exchange();
    let second = start.elapsed().checked_sub(first).unwrap();
    // Lower bounds only: a busy machine may be slower, never faster.
    assert!(first >= Duration::from_millis(80), "handshake and one exchange: {first:?}");
    assert!(second >= Duration::from_millis(40), "one exchange: {second:?}");
}

#[test]
fn fetching_twice_at_once_is_the_same_as_once() {
    let fetch = || {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/fetch-tools");
        Command::new(script).stdin(std::process::Stdio::null()).spawn().unwrap()
    };
    for mut child in [fetch(), fetch()] {
        assert!(child.wait().unwrap().success());
    }
}
