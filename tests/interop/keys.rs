//! Every algorithm that is signed with.

use super::{Scene, ready};

#[tokio::test]
async fn both_verify_the_signatures_of_every_algorithm() {
    if !ready() {
        return;
    }
    let scene = Scene::new().await;
    let algorithms = ["p256", "p384", "p521", "rsa2048", "rsa3072", "rsa4096", "ed25519"];
    let mut spec = String::from("version = 1\n");
    for name in algorithms {
        scene.workshop.key(name, name);
        spec += &format!("[signers.{name}]\nkey = \"{name}.key\"\ntransparency_log = false\n");
    }
    let reference = scene.registry.reference("app:1");
    spec += &format!("[[images]]\nreference = \"{reference}\"\nsign_with = {algorithms:?}\n");
    scene.workshop.spec(&spec);
    // Without `public_key`, the key file itself has to be opened for a plan.
    scene.workshop.run_with_password(&["plan"]).success();
    scene.workshop.apply();
    assert_eq!(scene.layers().await.len(), algorithms.len());
    for name in algorithms {
        assert_eq!(scene.verified(name), [1, 1], "{name}");
    }
}

#[tokio::test]
async fn what_a_signer_declares_as_its_hash_is_what_verifiers_must_pass() {
    if !ready() {
        return;
    }
    let scene = Scene::new().await;
    scene.workshop.key("p384", "release");
    scene.add_to_signer("hash = \"sha384\"");
    let plan = scene.workshop.run(&["plan"]).success();
    let flag = "--signature-digest-algorithm sha384";
    assert!(format!("{plan:?}").contains(flag), "{plan:?}");
    scene.workshop.apply();
    let trust = scene.pair("release").trust();
    let options = super::VerifyOptions { hash: Some("sha384"), ..super::VerifyOptions::default() };
    assert_eq!(scene.verified_with(&trust, &options), [1, 1]);
    assert_eq!(scene.verified("release"), [0, 0], "without the flag nobody takes it");
    assert_eq!(scene.workshop.plan(0).changes(), ["keep release"]);
}
