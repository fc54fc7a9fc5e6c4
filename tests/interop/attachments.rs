//! Signatures that were made by other tools and are attached here.

use std::process::Command;

use super::{Cosign, Scene, ready};
use crate::program::{Ends, fixture_key};
use crate::support::tools::Finished;

/// Lets the spec know only the public key `vault`, and declares the files `payload` and `signature` as its signature.
fn declare(scene: &Scene) {
    scene.workshop.edit("sign_with = [\"release\"]", "sign_with = [\"vault\"]");
    let spec = scene.workshop.read("countersign.toml");
    let signers = spec.find("[signers.release]").unwrap();
    let images = spec.find("[[images]]").unwrap();
    let spec = format!(
        "{}[signers.vault]\npublic_key = \"vault.pub\"\ntransparency_log = false\n\n{}\n",
        &spec[..signers],
        &spec[images..]
    );
    scene.workshop.spec(&spec);
    assert_eq!(scene.workshop.plan(1).changes(), ["blocked signature::owed vault"]);
    scene.add(
        "[[images.attachments]]\nsigner = \"vault\"\npayload = \"payload\"\nsignature = \"signature\"",
    );
}

/// The plan says attach, no password is needed, both verify, and then it is kept.
async fn attached(scene: &Scene) {
    assert_eq!(scene.workshop.plan(0).changes(), ["attach vault"]);
    scene.workshop.run(&["apply", "--yes"]).success();
    assert_eq!(scene.verified("vault"), [1, 1]);
    assert_eq!(scene.workshop.plan(0).changes(), ["keep vault"]);
    scene.registry.take_requests();
    scene.workshop.run(&["apply", "--yes"]).success();
    assert!(scene.registry.take_requests().writes().is_empty());
    assert_eq!(scene.layers().await.len(), 1);
}

#[tokio::test]
async fn a_payload_that_cosign_generated_and_signed_as_a_blob() {
    if !ready() {
        return;
    }
    for cosign in Cosign::both() {
        let scene = Scene::new().await;
        let vault = scene.new_pair("vault");
        declare(&scene);
        let annotations = [("approved-by".to_owned(), "<security> & \"audit\"".to_owned())];
        // `generate` ends its output with no newline; what a shell adds would be signed too.
        let payload = cosign.generate(&scene.reference(), &annotations);
        let payload = scene.workshop.write("payload", payload);
        let mut arguments = vec!["sign-blob", "--yes", "--tlog-upload=false"];
        let help = cosign.run(&["sign-blob".into(), "--help".into()], "").stdout;
        if help.contains("--use-signing-config") {
            arguments.extend(["--use-signing-config=false", "--new-bundle-format=false"]);
        }
        let mut arguments: Vec<std::ffi::OsString> =
            arguments.into_iter().map(Into::into).collect();
        arguments.extend(["--key".into(), vault.private.clone().into()]);
        let output = scene.workshop.path().join("signature");
        arguments.extend(["--output-signature".into(), output.into(), payload.into()]);
        cosign.run(&arguments, &vault.password).success();
        attached(&scene).await;
    }
}

#[tokio::test]
async fn a_payload_that_openssl_signed() {
    if !ready() {
        return;
    }
    let scene = Scene::new().await;
    scene.workshop.write("hsm.pem", "");
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        Finished::of(command.args(arguments).current_dir(scene.workshop.path())).success()
    };
    openssl(&[
        "genpkey",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:2048",
        "-out",
        "hsm.pem",
    ]);
    openssl(&["pkey", "-in", "hsm.pem", "-pubout", "-out", "vault.pub"]);
    declare(&scene);
    // Another tool may write the same meaning in other bytes, and another identity than ours.
    let digest = scene.image.digest();
    let payload = serde_json::json!({
        "optional": { "ticket": "CHG-4711" },
        "critical": {
            "type": "cosign container image signature",
            "image": { "docker-manifest-digest": digest },
            "identity": { "docker-reference": "registry.acme.com/vault/app" },
        },
    });
    scene.workshop.write("payload", serde_json::to_string_pretty(&payload).unwrap());
    openssl(&["dgst", "-sha256", "-sign", "hsm.pem", "-out", "signature.der", "payload"]);
    openssl(&["base64", "-in", "signature.der", "-out", "signature"]);
    attached(&scene).await;
}

#[tokio::test]
async fn a_signature_over_something_else_is_refused() {
    if !ready() {
        return;
    }
    let scene = Scene::new().await;
    scene.workshop.key("p256", "vault");
    declare(&scene);
    // Of this key, but over another payload.
    std::fs::copy(fixture_key("p256.cosign2.sig"), scene.workshop.path().join("signature"))
        .unwrap();
    scene.workshop.write("payload", Cosign::v3().generate(&scene.reference(), &[]));
    let refused = scene.workshop.run(&["plan"]).ends(65);
    assert!(refused.stderr.contains("spec::signature_mismatch"), "{refused:?}");
    // Of this key and good, but of another image.
    std::fs::copy(fixture_key("payload.json"), scene.workshop.path().join("payload")).unwrap();
    let plan = scene.workshop.plan(1).changes();
    assert_eq!(plan, ["blocked signature::owed vault", "unresolved attachment::other_subject"]);
    scene.registry.take_requests();
    scene.workshop.run(&["apply", "--yes"]).failure();
    assert!(scene.registry.take_requests().writes().is_empty());
}
