//! Signatures with certificates, log entries and timestamps: real services, and both cosigns as judges, who are not
//! told to ignore a log where there is an entry.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests"
)]

#[path = "../support/program.rs"]
mod program;
#[path = "../support/mod.rs"]
mod support;

mod again;
mod conflicts;
mod identities;
mod renewal;
mod tiles;
mod timestamps;

use program::{Ends as _, Workshop};
use support::docker_registry::DockerRegistry;
use support::images::{Image, Publisher};
use support::sigstore::{Log, SERVICES, Sigstore};
use support::tools::{self, Finished, Home, Tool};

/// A registry with one image, real services, and a spec whose signer has a key.
struct Scene {
    sigstore: Sigstore,
    registry: DockerRegistry,
    publisher: Publisher,
    workshop: Workshop,
    image: Image,
    home: Home,
}

impl Scene {
    /// The signer `release` has the key `fixture`, the log is `log`.
    async fn new(fixture: &str, log: Log) -> Option<Self> {
        let needed = [SERVICES, &[Tool::Cosign2, Tool::Cosign3, Tool::DockerRegistry]].concat();
        if !tools::have(&needed) {
            return None;
        }
        let signer = "key = \"release.key\"\npublic_key = \"release.pub\"";
        let scene = Self::of(fixture, signer, log, 1).await;
        scene.workshop.key(fixture, "release");
        Some(scene)
    }

    /// The signer is declared so; its signatures lie at the tag.
    async fn of(image: &str, signer: &str, log: Log, authorities: usize) -> Self {
        let registry = DockerRegistry::start();
        let (publisher, image) = (Publisher::new(&registry), Image::oci(image));
        publisher.push("app", &image, Some("1")).await;
        let sigstore = Sigstore::start();
        let spec = format!(
            r#"version = 1

[sigstore]
signing_config = "{}"
trusted_root = "{}"

[signers.release]
{}

[defaults]
sign_with = ["release"]
formats = ["simple-signing"]

[[images]]
reference = "{}"
"#,
            sigstore.signing_config(&[log], authorities).display(),
            sigstore.trusted_root().display(),
            signer.replace("ISSUER", sigstore.issuer()),
            registry.reference("app:1"),
        );
        let workshop = Workshop::new(&spec);
        Self { sigstore, registry, publisher, workshop, image, home: Home::new() }
    }

    fn formats(&self, formats: &str) {
        self.workshop.edit("formats = [\"simple-signing\"]", &format!("formats = {formats}"));
    }

    fn add_to_signer(&self, line: &str) {
        let key = "public_key = \"release.pub\"";
        self.workshop.edit(key, &format!("{key}\n{line}"));
    }

    /// `HOST/app@sha256:…`
    fn reference(&self) -> String {
        self.registry.reference(&format!("app@{}", self.image.digest()))
    }

    /// cosign 3 verifies the bundle, with its log entry.
    fn cosign_3(&self, more: &[&str]) -> Finished {
        let root = self.sigstore.trusted_root().display().to_string();
        let key = self.workshop.path().join("release.pub").display().to_string();
        let image = self.reference();
        let arguments = [&["verify", "--trusted-root", &root, "--key", &key], more, &[&image]];
        self.home.run(Tool::Cosign3, &arguments.concat())
    }

    /// cosign 2 verifies the simple signature, with its log entry.
    fn cosign_2(&self, more: &[&str]) -> Finished {
        let key = self.workshop.path().join("release.pub").display().to_string();
        let image = self.reference();
        let mut command = self.home.command(Tool::Cosign2);
        command.args([&["verify", "--key", &key], more, &[&image]].concat());
        Finished::of(command.envs(self.sigstore.environment_of_cosign2()))
    }

    /// The layers of the `.sig` manifest.
    async fn layers(&self) -> Vec<serde_json::Value> {
        let tag = format!("{}.sig", self.image.digest().replace(':', "-"));
        let Some(manifest) = self.publisher.manifest("app", &tag).await else { return Vec::new() };
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        manifest["layers"].as_array().unwrap().clone()
    }

    /// The log entry of the only simple signature.
    async fn entry(&self) -> serde_json::Value {
        let [layer] = &*self.layers().await else { panic!("not one signature") };
        let entry = layer["annotations"]["dev.sigstore.cosign/bundle"].as_str().unwrap();
        serde_json::from_str(entry).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rekor_v1_takes_keys_in_both_formats_and_both_cosigns_verify_it() {
    for fixture in ["p256", "rsa2048"] {
        let Some(scene) = Scene::new(fixture, Log::RekorV1).await else { return };
        scene.workshop.apply();
        scene.cosign_2(&[]).success();
        scene.cosign_3(&["--new-bundle-format=false"]).success();
        scene.formats("[\"simple-signing\", \"bundle\"]");
        scene.workshop.apply();
        scene.cosign_3(&[]).success();
        assert!(scene.workshop.plan(0).changes().iter().all(|it| it.starts_with("keep")));
        let made = scene.sigstore.rekor_v1.requests();
        let entries = made.iter().filter(|it| *it == "POST /api/v1/log/entries").count();
        assert_eq!(entries, 2, "one entry for each signature: {made:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rekor_v2_takes_keys_with_the_hash_of_their_size_in_bundles() {
    for (fixture, hash) in [("p256", "sha256"), ("rsa2048", "sha256"), ("p384", "sha384")] {
        let Some(scene) = Scene::new(fixture, Log::RekorV2).await else { return };
        scene.formats("[\"bundle\"]");
        scene.add_to_signer(&format!("hash = \"{hash}\""));
        scene.workshop.apply();
        scene.cosign_3(&["--signature-digest-algorithm", hash]).success();
        scene.workshop.plan(0);
        assert_eq!(scene.sigstore.rekor_v2.made(), 1, "{fixture}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_log_does_not_take_is_told_and_not_written() {
    for (fixture, formats, log, code) in [
        ("p384", "[\"bundle\"]", Log::RekorV2, "rekor::refused"),
        ("p521", "[\"bundle\"]", Log::RekorV2, "rekor::refused"),
        ("p384", "[\"simple-signing\"]", Log::RekorV1, "rekor::refused"),
    ] {
        let Some(scene) = Scene::new(fixture, log).await else { return };
        scene.formats(formats);
        scene.registry.take_requests();
        let done = scene.workshop.run_with_password(&["apply", "--yes"]).ends(3);
        assert!(done.stdout.contains(code), "{}", done.stdout);
        assert!(scene.registry.take_requests().writes().is_empty(), "{fixture}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simple_signature_cannot_carry_an_entry_of_rekor_v2() {
    let Some(scene) = Scene::new("p256", Log::RekorV2).await else { return };
    let plan = scene.workshop.plan(1);
    assert_eq!(plan.changes(), ["blocked sigstore::no_service release"]);
    scene.workshop.run_with_password(&["apply", "--yes"]).ends(3);
    assert_eq!(scene.sigstore.rekor_v2.made(), 0);
    assert!(scene.layers().await.is_empty());
}
