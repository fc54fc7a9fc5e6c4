//! One spec with eight signers of eight providers on one image: one plan, one apply, one write, and the judges.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::support::aws;
use super::support::docker_registry::DockerRegistry;
use super::support::images::{Image, Publisher};
use super::support::judge::JUDGES;
use super::support::tools::{self, Tool};
use super::world::World;

/// What each service was asked since the last time: how often for a public key, and how often to sign.
///
/// A key that leaves its service signs here: then it is the private half that was asked for. A cluster gives both at
/// once, the first time for the public one.
async fn asked(world: &World) -> BTreeMap<&'static str, (usize, usize)> {
    let count = |all: &[String], part: &str| all.iter().filter(|it| it.contains(part)).count();
    let targets = |asked: Vec<super::support::fakes::service::Asked>| -> Vec<String> {
        asked.into_iter().map(|it| it.target).collect()
    };
    let aws = aws::asked(&world.aws.url()).await;
    let azure = targets(world.azure.asked());
    let gcp = targets(world.gcp.asked());
    let project = targets(world.gitlab.asked());
    let secrets = count(&targets(world.cluster.asked()), "/secrets/release");
    let vault = targets(world.vault.asked());
    let runs = std::fs::read_to_string(world.runs()).unwrap_or_default();
    let runs: Vec<_> = runs.lines().map(str::to_owned).collect();
    let _ = std::fs::remove_file(world.runs());
    BTreeMap::from([
        ("aws", (count(&aws, "GetPublicKey"), count(&aws, "Sign"))),
        ("azure", (count(&azure, "/keys/") - count(&azure, "/sign"), count(&azure, "/sign"))),
        ("cluster", (secrets.min(1), secrets.saturating_sub(1))),
        ("gcp", (count(&gcp, "/publicKey"), count(&gcp, ":asymmetricSign"))),
        ("plugin", (count(&runs, "publicKey"), count(&runs, "signMessage"))),
        ("project", (count(&project, "_PUBLIC_KEY"), count(&project, "_PRIVATE_KEY"))),
        ("vault", (count(&vault, "/keys/"), count(&vault, "/sign/"))),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_signers_of_eight_providers_sign_one_image_in_one_apply() {
    let test = "together::eight_signers_of_eight_providers_sign_one_image_in_one_apply";
    if !tools::have(JUDGES) {
        return;
    }
    let Some(world) = World::start(test).await else { return };
    let (registry, image) = (DockerRegistry::start(), Image::oci("api"));
    Publisher::new(&registry).push("acme/api", &image, None).await;
    let reference = registry.reference(&format!("acme/api@{}", image.digest()));
    let names: Vec<_> = world.keys().iter().map(|(name, _)| *name).collect();
    for (file, key_of) in [("countersign.toml", "key"), ("audit.toml", "public_key")] {
        let mut spec = "version = 1\n".to_owned();
        for (name, key) in world.keys() {
            let signer = format!("[signers.{name}]\n{key_of} = \"{key}\"");
            writeln!(spec, "{signer}\ntransparency_log = false").unwrap();
        }
        writeln!(spec, "[[images]]\nreference = \"{reference}\"\nsign_with = {names:?}").unwrap();
        std::fs::write(world.path().join(file), spec).unwrap();
    }
    asked(&world).await;
    registry.take_requests();

    let plan = world.run(&mut world.ours(&["plan", "-vv"])).success();
    assert!(plan.stdout.contains("8 to sign"), "{plan:?}");
    let once = |signs: usize| -> BTreeMap<_, _> {
        names.iter().filter(|it| **it != "token").map(|name| (*name, (1, signs))).collect()
    };
    assert_eq!(asked(&world).await, once(0), "a plan asks for public keys, and nobody to sign");
    assert!(registry.take_requests().writes().is_empty(), "a plan writes nothing");

    let apply = world.run(&mut world.ours(&["apply", "--yes", "-vv"])).success();
    assert!(apply.stdout.contains("8 written"), "{apply:?}");
    assert_eq!(asked(&world).await, once(1), "one public key and one signature each");
    let written = registry.take_requests().method("PUT").on("/manifests/");
    assert_eq!(written.len(), 1, "all signatures in one manifest: {written:?}");

    let again = world.run(&mut world.ours(&["plan", "--detailed-exitcode"])).success();
    assert!(again.stdout.contains("Nothing to do"), "{again:?}");
    assert_eq!(asked(&world).await, once(0));

    // Who only audits names the same keys as public ones.
    world.run(&mut world.ours(&["verify", "-f", "audit.toml"])).success();
    assert_eq!(asked(&world).await, once(0));

    for (name, key) in world.keys() {
        let verify = ["verify", "--key", &key, "--insecure-ignore-tlog", &reference];
        world.run(&mut world.ours(&verify)).success();
        let exported = format!("exported-{name}.pem");
        let export = ["public-key", "--key", &key, "--outfile", &exported];
        world.run(&mut world.ours(&export)).success();
        // Nothing but the exported key; and the same reference, where this cosign has its provider.
        let mut trusted = vec![(Tool::Cosign2, exported.as_str()), (Tool::Cosign3, &exported)];
        if ["aws", "cluster", "plugin", "project"].contains(&name) {
            trusted.push((Tool::Cosign3, &key));
        }
        for (cosign, key) in trusted {
            let mut verify = world.command(&cosign.path());
            verify.args(["verify", "--insecure-ignore-tlog", "--output=json", "--key", key]);
            let said = world.run(verify.arg(&reference)).success().stdout;
            let payloads: serde_json::Value = serde_json::from_str(&said).unwrap();
            assert_eq!(payloads.as_array().map(Vec::len), Some(1), "{name}: {said}");
        }
    }
}
