//! Identities instead of keys: one certificate for a whole run, and everything that verifiers ask for.

use crate::Scene;
use crate::program::Ends as _;
use crate::support::images::Image;
use crate::support::sigstore::{Fault, Lie, Log, SERVICES};
use crate::support::tools::{self, Finished, Tool};

const WHO: &str = "ci@example.com";
const SIGNER: &str = r#"keyless = { issuer = "ISSUER", identity = "ci@example.com" }"#;

impl Scene {
    async fn keyless(log: Log, authorities: usize) -> Option<Self> {
        let needed = [SERVICES, &[Tool::Cosign2, Tool::Cosign3, Tool::DockerRegistry]].concat();
        if !tools::have(&needed) {
            return None;
        }
        Some(Self::of("identity", SIGNER, log, authorities).await)
    }

    /// Applies with a token of `who`.
    fn apply_as(&self, who: &str) -> Finished {
        let token = self.workshop.write("token", self.sigstore.token(who));
        self.workshop.run(&["apply", "--yes", "--identity-token", token.to_str().unwrap()])
    }

    fn who(&self) -> [&str; 4] {
        ["--certificate-identity", WHO, "--certificate-oidc-issuer", self.sigstore.issuer()]
    }

    /// cosign 3 verifies with the trusted root.
    fn cosign_3_knows(&self, image: &str, more: &[&str]) -> Finished {
        let root = self.sigstore.trusted_root().display().to_string();
        let arguments = [&["verify", "--trusted-root", &root], &self.who()[..], more, &[image]];
        self.home.run(Tool::Cosign3, &arguments.concat())
    }

    /// cosign 2 verifies with files of keys.
    fn cosign_2_knows(&self, more: &[&str]) -> Finished {
        let image = self.reference();
        let mut command = self.home.command(Tool::Cosign2);
        command.args([&["verify"], &self.who()[..], more, &[&image]].concat());
        Finished::of(command.envs(self.sigstore.environment_of_cosign2()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rekor_v1_and_a_timestamp_in_both_formats() {
    let Some(scene) = Scene::keyless(Log::RekorV1, 1).await else { return };
    scene.apply_as(WHO).success();
    scene.cosign_2_knows(&[]).success();
    scene.cosign_2_knows(&["--use-signed-timestamps"]).success();
    scene.cosign_3_knows(&scene.reference(), &["--new-bundle-format=false"]).success();
    scene.formats("[\"simple-signing\", \"bundle\"]");
    scene.apply_as(WHO).success();
    scene.cosign_3_knows(&scene.reference(), &[]).success();
    scene.cosign_3_knows(&scene.reference(), &["--use-signed-timestamps"]).success();
    scene.workshop.plan(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rekor_v1_alone_proves_the_time() {
    let Some(scene) = Scene::keyless(Log::RekorV1, 0).await else { return };
    scene.formats("[\"simple-signing\", \"bundle\"]");
    scene.apply_as(WHO).success();
    scene.cosign_2_knows(&[]).success();
    scene.cosign_3_knows(&scene.reference(), &[]).success();
    scene.workshop.plan(0);
    assert_eq!(scene.sigstore.fulcio.made(), 1);
    assert_eq!(scene.sigstore.timestamps.made(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_images_take_one_certificate_and_wait_together_for_rekor_v2() {
    let Some(scene) = Scene::keyless(Log::RekorV2, 1).await else { return };
    let names: Vec<String> = (0..50).map(|number| format!("fleet-{number:02}")).collect();
    for name in &names {
        scene.publisher.push("app", &Image::oci(name), Some(name)).await;
    }
    scene.formats("[\"bundle\"]");
    let all = format!("repository = \"{}\"\ntags = [\"fleet-*\"]", scene.registry.reference("app"));
    scene.workshop.edit(&format!("reference = \"{}\"", scene.registry.reference("app:1")), &all);
    let began = std::time::Instant::now();
    scene.apply_as(WHO).success();
    // Shown, not judged: `--nocapture`.
    eprintln!("50 images: {:.1} s", began.elapsed().as_secs_f64());
    let sigstore = &scene.sigstore;
    let made = [&sigstore.fulcio, &sigstore.rekor_v2, &sigstore.timestamps].map(|it| it.made());
    assert_eq!(made, [1, 50, 50]);
    assert_eq!(scene.workshop.plan(0).count("keep"), 50);
    for name in [&names[0], &names[49]] {
        let image = scene.registry.reference(&format!("app:{name}"));
        scene.cosign_3_knows(&image, &["--use-signed-timestamps"]).success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_is_refused_before_anything_is_signed_or_logged() {
    let Some(scene) = Scene::keyless(Log::RekorV1, 1).await else { return };
    let done = scene.apply_as("mallory@example.com").ends(77);
    assert!(done.stdout.contains("oidc::permission"), "{}", done.stdout);
    assert!(done.stdout.contains("mallory@example.com"), "{}", done.stdout);
    assert_eq!(scene.asked_to_record(), 0);
    assert_eq!(scene.sigstore.timestamps.made(), 0);
    assert!(scene.layers().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_does_not_hold_is_not_used() {
    let lies = [Lie::CertificateIdentity, Lie::CertificateKey, Lie::CertificateTimestamp];
    for lie in lies {
        let Some(scene) = Scene::keyless(Log::RekorV2, 1).await else { return };
        scene.formats("[\"bundle\"]");
        scene.sigstore.fulcio.set(Fault::Lies(lie));
        let done = scene.apply_as(WHO);
        let code = match lie {
            Lie::CertificateIdentity => "oidc::permission",
            _ => "fulcio::untrusted",
        };
        assert!(done.stdout.contains(code), "{lie:?}: {}", done.stdout);
        let sigstore = &scene.sigstore;
        assert_eq!([&sigstore.rekor_v2, &sigstore.timestamps].map(|it| it.made()), [0, 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_a_run_that_was_cut_short_is_found_with_its_certificate() {
    let Some(scene) = Scene::keyless(Log::RekorV1, 0).await else { return };
    scene.apply_as(WHO).success();
    let (entry, made) = (scene.entry().await, scene.sigstore.fulcio.made());
    scene.forget().await;
    scene.apply_as(WHO).success();
    assert_eq!(scene.entry().await["Payload"], entry["Payload"]);
    assert_eq!((made, scene.sigstore.fulcio.made()), (1, 0), "no second certificate");
    scene.cosign_2_knows(&[]).success();
    scene.workshop.plan(0);
}
