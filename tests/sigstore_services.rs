//! The real services of sigstore that other tests stand on, tried with the real cosign.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use support::docker_registry::DockerRegistry;
use support::images::{Image, Publisher};
use support::sigstore::{Fault, Lie, Log, SERVICES, Sigstore};
use support::tools::{self, Finished, Home, Tool};

const WHO: &str = "ci@example.com";

struct World {
    sigstore: Sigstore,
    registry: DockerRegistry,
    home: Home,
}

impl World {
    fn new() -> Option<Self> {
        let needed = [SERVICES, &[Tool::Cosign2, Tool::Cosign3, Tool::DockerRegistry]].concat();
        tools::have(&needed).then(|| Self {
            sigstore: Sigstore::start(),
            registry: DockerRegistry::start(),
            home: Home::new(),
        })
    }

    async fn image(&self, name: &str) -> String {
        let image = Image::oci(name);
        Publisher::new(&self.registry).push(name, &image, None).await;
        self.registry.reference(&format!("{name}@{}", image.digest()))
    }

    /// Signs with cosign 3, keyless, as a bundle.
    fn sign(&self, image: &str, logs: &[Log], authorities: usize) -> Finished {
        let sigstore = &self.sigstore;
        let arguments: Vec<OsString> = vec![
            "sign".into(),
            "--yes".into(),
            "--signing-config".into(),
            sigstore.signing_config(logs, authorities).into(),
            "--trusted-root".into(),
            sigstore.trusted_root().into(),
            "--identity-token".into(),
            sigstore.token(WHO).into(),
            image.into(),
        ];
        self.home.run(Tool::Cosign3, &arguments)
    }

    fn verify(&self, image: &str, trusted_root: &Path) -> Finished {
        let arguments: Vec<OsString> = vec![
            "verify".into(),
            "--trusted-root".into(),
            trusted_root.into(),
            "--certificate-identity".into(),
            WHO.into(),
            "--certificate-oidc-issuer".into(),
            self.sigstore.issuer().into(),
            "--use-signed-timestamps".into(),
            image.into(),
        ];
        self.home.run(Tool::Cosign3, &arguments)
    }
}

#[tokio::test]
async fn cosign_3_signs_with_both_logs_and_two_authorities_and_verifies_it() {
    let Some(world) = World::new() else { return };
    let sigstore = &world.sigstore;
    for (name, log) in [("first", Log::RekorV1), ("second", Log::RekorV2)] {
        let image = world.image(name).await;
        world.sign(&image, &[log], 2).success();
        let made = [&sigstore.fulcio, sigstore.log(log), &sigstore.timestamps];
        assert_eq!(made.map(|it| it.made()), [1, 1, 1], "{name}");
        assert_eq!(sigstore.other_timestamps.made(), 1);
        world.verify(&image, &sigstore.trusted_root()).success();
        world.verify(&image, &Sigstore::strangers().trusted_root()).failure();
    }
}

#[tokio::test]
async fn cosign_2_signs_and_verifies_with_the_files_of_keys() {
    let Some(world) = World::new() else { return };
    let (sigstore, image) = (&world.sigstore, world.image("older").await);
    let run = |arguments: &[&str]| {
        let mut command = world.home.command(Tool::Cosign2);
        command.args(arguments).envs(sigstore.environment_of_cosign2());
        Finished::of(&mut command).success()
    };
    let (fulcio, rekor, token) =
        (sigstore.fulcio.url(), sigstore.rekor_v1.url(), sigstore.token(WHO));
    let services = ["--fulcio-url", &fulcio, "--rekor-url", &rekor, "--identity-token", &token];
    run(&[&["sign", "--yes"], &services[..], &[&image]].concat());
    let who = ["--certificate-identity", WHO, "--certificate-oidc-issuer", sigstore.issuer()];
    run(&[&["verify", "--rekor-url", &rekor], &who[..], &[&image]].concat());
}

#[tokio::test]
async fn cosign_3_sees_every_fault() {
    let Some(world) = World::new() else { return };
    let sigstore = &world.sigstore;
    for log in [Log::RekorV1, Log::RekorV2] {
        let lies = [
            (&sigstore.fulcio, Lie::CertificateIdentity),
            (&sigstore.fulcio, Lie::CertificateKey),
            (&sigstore.fulcio, Lie::CertificateTimestamp),
            (sigstore.log(log), Lie::Checkpoint),
            (sigstore.log(log), Lie::Entry),
            (sigstore.log(log), Lie::InclusionProof),
            (&sigstore.timestamps, Lie::Imprint),
        ];
        for (front, lie) in lies {
            if (log, lie) == (Log::RekorV2, Lie::Entry) {
                // cosign 3 puts the entry together by itself, and does not look at the one that it is given.
                continue;
            }
            let image = world.image(&format!("{log:?}-{lie:?}").to_lowercase()).await;
            front.set(Fault::Lies(lie));
            let signed = world.sign(&image, &[log], 1);
            let seen = !signed.is_success()
                || !world.verify(&image, &sigstore.trusted_root()).is_success();
            assert!(seen, "{log:?} {lie:?}: {signed:?}");
            front.heal();
        }
    }
    let image = world.image("faults").await;
    for front in [&sigstore.fulcio, &sigstore.rekor_v2, &sigstore.timestamps] {
        for fault in [Fault::Down, Fault::Status { code: 400, retry_after: None, times: 99 }] {
            front.set(fault);
            world.sign(&image, &[Log::RekorV2], 1).failure();
        }
        front.heal();
    }
    sigstore.timestamps.set(Fault::Slow(Duration::from_millis(50)));
    world.sign(&image, &[Log::RekorV2], 1).success();
    world.verify(&image, &sigstore.trusted_root()).success();
}
