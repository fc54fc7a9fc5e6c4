//! Certificates and chains on simple signing.

use std::fs;

use rcgen::KeyPair;

use super::{Scene, Trust, VerifyOptions, ready};
use crate::program::Workshop;
use crate::support::certificates::{Authority, Purpose, Validity};
use crate::support::cosign::Cosign;

/// A root, an intermediate and a leaf in the workshop, whose key is `release.key`; tells what is trusted.
pub(crate) fn issue(workshop: &Workshop) -> Trust {
    issue_for(workshop, KeyPair::generate().unwrap())
}

/// The same with a leaf of this key.
pub(crate) fn issue_for(workshop: &Workshop, key: KeyPair) -> Trust {
    let root = Authority::root("Acme root");
    let intermediate = root.intermediate("Acme signing");
    let purpose = Purpose::CodeSigning("release@acme.com");
    let leaf = intermediate.leaf_with(key, purpose, Validity::LONG);
    let cosign = Cosign::v3();
    cosign.import_key_pair(
        workshop.path(),
        "release-new",
        &leaf.key_pem(),
        super::program::PASSWORD,
    );
    for extension in ["key", "pub"] {
        let from = workshop.path().join(format!("release-new.{extension}"));
        fs::rename(from, workshop.path().join(format!("release.{extension}"))).unwrap();
    }
    workshop.write("leaf.pem", leaf.pem());
    workshop.write("chain.pem", format!("{}{}", intermediate.pem(), root.pem()));
    let roots = workshop.write("root.pem", root.pem());
    Trust::Certificate { roots, identity: "release@acme.com".to_owned() }
}

#[tokio::test]
async fn both_verify_a_certificate_with_its_chain() {
    if !ready() {
        return;
    }
    let scene = Scene::new().await;
    let trust = issue(&scene.workshop);
    scene.add_to_signer("certificate = \"leaf.pem\"\ncertificate_chain = \"chain.pem\"");
    scene.workshop.apply();
    assert_eq!(scene.verified_with(&trust, &VerifyOptions::default()), [1, 1], "by --ca-roots");
    assert_eq!(scene.verified("release"), [1, 1], "by --key");
    for cosign in Cosign::both() {
        let arguments = [
            "verify".into(),
            "--certificate-chain".into(),
            scene.workshop.path().join("chain.pem").into(),
            "--certificate-identity=release@acme.com".into(),
            "--certificate-oidc-issuer-regexp=.*".into(),
            "--insecure-ignore-sct".into(),
            "--insecure-ignore-tlog".into(),
            scene.reference().into(),
        ];
        cosign.run(&arguments, "").success();
    }
    assert_eq!(scene.workshop.plan(0).changes(), ["keep release"]);
}

#[tokio::test]
async fn a_certificate_on_the_same_key_is_attached_to_the_signature() {
    if !ready() {
        return;
    }
    let scene = Scene::new().await;
    let trust = issue(&scene.workshop);
    scene.add("prune = \"superseded\"");
    scene.workshop.apply();
    assert_eq!(scene.verified_with(&trust, &VerifyOptions::default()), [0, 0]);
    let before = scene.layers().await;
    scene.add_to_signer("certificate = \"leaf.pem\"\ncertificate_chain = \"chain.pem\"");
    let plan = scene.workshop.plan(0);
    assert_eq!(plan.count("attach"), 1, "{:?}", plan.changes());
    // No password: the signature that is there is used again.
    scene.workshop.run(&["apply", "--yes"]).success();
    assert_eq!(scene.verified_with(&trust, &VerifyOptions::default()), [1, 1]);
    let after = scene.layers().await;
    let signature = "dev.cosignproject.cosign/signature";
    let last = after.last().unwrap();
    assert_eq!(last["annotations"][signature], before[0]["annotations"][signature]);
    let again = scene.workshop.plan(0);
    assert_eq!(again.changes().first().map(String::as_str), Some("keep release"));
    assert_eq!((again.count("attach"), again.count("sign"), again.count("resign")), (0, 0, 0));
}

#[tokio::test]
async fn a_certificate_that_cosign_attached_is_kept() {
    if !ready() {
        return;
    }
    let scene = Scene::new().await;
    issue(&scene.workshop);
    let options = crate::support::cosign::SignOptions {
        certificate: Some(scene.workshop.path().join("leaf.pem")),
        certificate_chain: Some(scene.workshop.path().join("chain.pem")),
        ..Default::default()
    };
    Cosign::v2().sign(&[scene.reference()], &scene.pair("release"), &options).success();
    // More than declared satisfies too.
    assert_eq!(scene.workshop.plan(0).changes(), ["keep release"]);
    scene.add_to_signer("certificate = \"leaf.pem\"\ncertificate_chain = \"chain.pem\"");
    assert_eq!(scene.workshop.plan(0).changes(), ["keep release"]);
}
