//! Signatures that were made by other tools and are attached here.

use std::process::Command;

use super::{Cosign, Scene, ready};
use crate::program::{Ends, fixture_key};
use crate::support::cosign::{Format, SignOptions, VerifyOptions};
use crate::support::images::Image;
use crate::support::registries::Kind;
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

/// A spec that knows only the public key `vault`, whose bundle it wants on the image.
fn only_public(scene: &Scene) {
    scene.workshop.edit("sign_with = [\"release\"]", "sign_with = [\"vault\"]");
    scene.workshop.edit("[signers.release]\nkey = \"release.key\"\n", "[signers.vault]\n");
    scene.workshop.edit("release.pub", "vault.pub");
    scene.add("formats = [\"bundle\"]");
    assert_eq!(scene.workshop.plan(1).changes(), ["blocked signature::owed vault"]);
}

/// What cosign 3 writes of `vault` for a copy of the image that lies elsewhere: a bundle names no repository.
async fn bundle_made_elsewhere(scene: &Scene) -> Vec<u8> {
    scene.publisher.push("elsewhere", &scene.image, None).await;
    let digest = scene.image.digest();
    let copy = scene.registry.reference(&format!("elsewhere@{digest}"));
    let options = SignOptions {
        annotations: vec![("approved-by".to_owned(), "<security>".to_owned())],
        format: Format::Bundle,
        ..SignOptions::default()
    };
    Cosign::v3().sign(&[copy], &scene.pair("vault"), &options).success();
    let entries = scene.publisher.referrers("elsewhere", &digest).await;
    bundle_in(scene, "elsewhere", entries[0]["digest"].as_str().unwrap()).await
}

/// The bundle that a referrer carries.
async fn bundle_in(scene: &Scene, repository: &str, referrer: &str) -> Vec<u8> {
    let manifest = scene.publisher.manifest(repository, referrer).await.unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    scene.publisher.blob(repository, manifest["layers"][0]["digest"].as_str().unwrap()).await
}

fn is_verified_by_cosign_3(scene: &Scene) -> bool {
    let trust = scene.pair("vault").trust();
    Cosign::v3().verify(&scene.reference(), &trust, &VerifyOptions::default()).is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_cosign_made_elsewhere_is_attached_as_it_is_and_once() {
    if !ready() {
        return;
    }
    for kind in Kind::BOTH {
        let scene = Scene::on(kind, Image::oci("app")).await;
        scene.workshop.key("p256", "vault");
        only_public(&scene);
        let bundle = bundle_made_elsewhere(&scene).await;
        scene.workshop.write("web.sigstore.json", &bundle);
        scene.add("annotations = { approved-by = \"<security>\" }");
        scene.add("[[images.attachments]]\nsigner = \"vault\"\nbundle = \"web.sigstore.json\"");
        assert_eq!(scene.workshop.plan(0).changes(), ["attach vault"]);
        scene.workshop.run(&["apply", "--yes"]).success();
        assert!(is_verified_by_cosign_3(&scene));
        let entries = scene.publisher.referrers("app", &scene.image.digest()).await;
        assert_eq!(entries.len(), 1);
        let attached = bundle_in(&scene, "app", entries[0]["digest"].as_str().unwrap()).await;
        assert_eq!(attached, bundle, "byte for byte");
        assert_eq!(scene.workshop.plan(0).changes(), ["keep vault"]);
        scene.registry.take_requests();
        scene.workshop.run(&["apply", "--yes"]).success();
        assert!(scene.registry.take_requests().writes().is_empty());

        // Of another image it is blocked, of another key refused.
        scene.workshop.key("rsa2048", "vault");
        let refused = scene.workshop.run(&["plan"]).ends(65);
        assert!(refused.stderr.contains("spec::signature_mismatch"), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_attached_from_the_command_line_once() {
    if !ready() {
        return;
    }
    for kind in Kind::BOTH {
        let scene = Scene::on(kind, Image::oci("app")).await;
        scene.workshop.key("p256", "vault");
        let bundle = bundle_made_elsewhere(&scene).await;
        scene.workshop.write("web.sigstore.json", &bundle);
        let reference = scene.reference();
        for (option, said) in [
            ("--bundle", "Pushing signature to"),
            ("--bundle", "The signature is there already"),
            // As cosign 3 takes it.
            ("--payload", "The signature is there already"),
        ] {
            let attach = ["attach", "signature", option, "web.sigstore.json", "--key", "vault.pub"];
            let done = scene.workshop.run(&[&attach[..], &[&reference]].concat()).success();
            assert!(done.stderr.contains(said), "{option} {done:?}");
        }
        assert_eq!(scene.publisher.referrers("app", &scene.image.digest()).await.len(), 1);
        assert!(is_verified_by_cosign_3(&scene));

        let other = fixture_key("rsa2048.pub").display().to_string();
        let arguments = ["attach", "signature", "--bundle", "web.sigstore.json", "--key", &other];
        let done = scene.workshop.run(&[&arguments[..], &[&reference]].concat()).failure();
        assert!(done.stderr.contains("attachment::does_not_verify"), "{done:?}");
    }
}

/// What is owed is written as the bytes that openssl signs; the bundle is made of what comes back.
#[tokio::test(flavor = "multi_thread")]
async fn bundles_are_exported_signed_with_openssl_and_attached() {
    if !ready() {
        return;
    }
    for (kind, formats, count) in
        [(Kind::Api, "[\"bundle\"]", 1), (Kind::Tag, "[\"bundle\", \"simple-signing\"]", 2)]
    {
        let scene = Scene::on(kind, Image::oci("app")).await;
        let pem = rcgen::KeyPair::generate().unwrap();
        scene.workshop.write("vault.pub", pem.public_key_pem());
        scene.workshop.write("vault.pem", pem.serialize_pem());
        only_public(&scene);
        scene.workshop.edit("formats = [\"bundle\"]", &format!("formats = {formats}"));
        scene.add("annotations = { html = \"<a&b>\" }");
        scene.workshop.run(&["export", "out"]).success();
        let index = scene.workshop.json("out/index.json");
        assert_eq!(index["owed"].as_array().unwrap().len(), count, "{index}");
        let script = scene.workshop.path().join("out/sign-with-openssl.sh");
        let mut sign = Command::new("sh");
        sign.arg(script).args(["vault", "vault.pem"]).current_dir(scene.workshop.path());
        Finished::of(&mut sign).success();
        scene.workshop.run(&["apply", "--yes", "--attachments", "out"]).success();
        assert!(is_verified_by_cosign_3(&scene));
        scene.workshop.run(&["plan", "--detailed-exitcode"]).ends(0);
    }
}
