//! Both cosigns, 2.5 and 3.1, on a real registry: they verify what we write, and we understand what they write.
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

mod attachments;
mod bundle_certificates;
mod bundles;
mod certificates;
mod content;
mod indexes;
mod keys;
mod layouts;
mod spellings;
mod theirs;

use program::Workshop;
use support::cosign::{Cosign, KeyPair, Trust, VerifyOptions};
use support::images::{Image, Publisher};
use support::registries::{Kind, Registry};
use support::tools::{self, Tool};

/// Says whether the programs are here.
fn ready() -> bool {
    tools::have(&[Tool::Cosign2, Tool::Cosign3, Tool::DockerRegistry])
}

/// A registry with one image `app:1`, a workshop with the key `release`, and a spec that signs the one with the other.
struct Scene {
    registry: Registry,
    publisher: Publisher,
    workshop: Workshop,
    image: Image,
}

impl Scene {
    async fn new() -> Self {
        Self::of(Image::oci("app")).await
    }

    async fn of(image: Image) -> Self {
        Self::on(Kind::Tag, image).await
    }

    async fn on(kind: Kind, image: Image) -> Self {
        Self::in_registry(Registry::start(kind), image).await
    }

    async fn in_registry(registry: Registry, image: Image) -> Self {
        let publisher = registry.publisher();
        publisher.push("app", &image, Some("1")).await;
        let spec = format!(
            r#"version = 1

[signers.release]
key = "release.key"
public_key = "release.pub"
transparency_log = false

[[images]]
reference = "{}"
sign_with = ["release"]
"#,
            registry.reference("app:1")
        );
        let workshop = Workshop::new(&spec);
        workshop.key("p256", "release");
        Self { registry, publisher, workshop, image }
    }

    /// `HOST/app@sha256:…`
    fn reference(&self) -> String {
        self.registry.reference(&format!("app@{}", self.image.digest()))
    }

    /// The key pair NAME of the workshop, for cosign.
    fn pair(&self, name: &str) -> KeyPair {
        KeyPair {
            private: self.workshop.path().join(format!("{name}.key")),
            public: self.workshop.path().join(format!("{name}.pub")),
            password: program::PASSWORD.to_owned(),
        }
    }

    /// A new key pair of cosign's.
    fn new_pair(&self, name: &str) -> KeyPair {
        Cosign::v2().generate_key_pair(self.workshop.path(), name, "another password")
    }

    /// Adds lines to the entry of the image, which is the last of the spec.
    fn add(&self, lines: &str) {
        let spec = self.workshop.read("countersign.toml");
        self.workshop.spec(&format!("{spec}{lines}\n"));
    }

    /// Adds lines to the signer.
    fn add_to_signer(&self, lines: &str) {
        self.workshop
            .edit("transparency_log = false", &format!("transparency_log = false\n{lines}"));
    }

    /// How many signatures each cosign finds good under the key NAME.
    fn verified(&self, name: &str) -> [usize; 2] {
        self.verified_with(&self.pair(name).trust(), &VerifyOptions::default())
    }

    fn verified_with(&self, trust: &Trust, options: &VerifyOptions) -> [usize; 2] {
        verified(&self.reference(), trust, options)
    }

    /// The layers of the `.sig` manifest of the image.
    async fn layers(&self) -> Vec<serde_json::Value> {
        let tag = signature_tag(&self.image);
        let Some(manifest) = self.publisher.manifest("app", &tag).await else { return Vec::new() };
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        manifest["layers"].as_array().unwrap().clone()
    }
}

fn signature_tag(image: &Image) -> String {
    format!("{}.sig", image.digest().replace(':', "-"))
}

/// How many signatures of `reference` each cosign finds good; 0 where it refuses.
fn verified(reference: &str, trust: &Trust, options: &VerifyOptions) -> [usize; 2] {
    Cosign::both().map(|cosign| match cosign.verify(reference, trust, options) {
        Ok(payloads) => payloads.len(),
        Err(done) => {
            // Shown where the test fails.
            eprintln!("{done:?}");
            0
        }
    })
}
