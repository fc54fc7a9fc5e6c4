//! A fleet of images on a real registry: 200 in 10 repositories, signed in one run, and then left alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "support/program.rs"]
mod program;
#[path = "support/mod.rs"]
mod support;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;

use program::{Ends, Workshop};
use support::cosign::Cosign;
use support::docker_registry::DockerRegistry;
use support::images::Publisher;
use support::tools::{self, Tool};

const REPOSITORIES: usize = 10;
const IMAGES: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_images_are_signed_once_and_then_cost_one_request_each() {
    if !tools::have(&[Tool::Cosign2, Tool::Cosign3, Tool::DockerRegistry]) {
        return;
    }
    let registry = DockerRegistry::start();
    let publisher = Publisher::new(&registry);
    let mut references = Vec::new();
    for number in 0..REPOSITORIES {
        let repository = format!("team/service-{number}");
        let images = publisher.push_many(&repository, IMAGES).await;
        let reference = |digest| registry.reference(&format!("{repository}@{digest}"));
        references.extend(images.iter().map(|image| reference(image.digest())));
    }
    let mut spec = String::from(
        "version = 1\n[signers.release]\nkey = \"release.key\"\npublic_key = \"release.pub\"\n\
         transparency_log = false\n[defaults]\nsign_with = [\"release\"]\n",
    );
    for reference in &references {
        writeln!(spec, "[[images]]\nreference = \"{reference}\"").unwrap();
    }
    let workshop = Workshop::new(&spec);
    let public = workshop.key("p256", "release");

    // Planning needs no password, and no private key.
    let key = workshop.read("release.key");
    std::fs::remove_file(workshop.path().join("release.key")).unwrap();
    registry.take_requests();
    let plan = workshop.run(&["plan", "--detailed-exitcode"]).ends(2);
    assert!(plan.stdout.contains("Plan: 200 to sign"), "{plan:?}");
    assert!(registry.take_requests().writes().is_empty());
    workshop.write("release.key", key);

    let applied = workshop.apply();
    assert!(applied.stdout.contains("200 written"), "{applied:?}");

    std::thread::scope(|scope| {
        for cosign in Cosign::both() {
            let (public, references) = (&public, &references);
            scope.spawn(move || verifies_all(&cosign, public, references));
        }
    });

    registry.take_requests();
    let plan = workshop.run(&["plan", "--detailed-exitcode"]).ends(0);
    assert!(plan.stdout.contains("200 kept"), "{plan:?}");
    let requests = registry.take_requests();
    assert_eq!(requests.len(), references.len(), "one request an image");
    assert_eq!(requests.method("GET").on(".sig").len(), references.len());

    // Nothing is left to sign, so no password is needed.
    workshop.run(&["apply", "--yes"]).success();
    let requests = registry.take_requests();
    assert!(requests.writes().is_empty(), "{requests:?}");
    assert_eq!(requests.len(), references.len());
}

/// All in one run: it ends with an error if one of them does not verify.
fn verifies_all(cosign: &Cosign, public: &Path, references: &[String]) {
    let mut arguments: Vec<OsString> =
        ["verify", "--insecure-ignore-tlog", "--output=json", "--key"].map(Into::into).into();
    arguments.push(public.into());
    arguments.extend(references.iter().map(Into::into));
    let done = cosign.run(&arguments, "").success();
    for reference in references {
        let digest = reference.rsplit_once('@').unwrap().1;
        assert!(done.stdout.contains(digest), "{reference} is not in {done:?}");
    }
}
