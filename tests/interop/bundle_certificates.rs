//! Bundles with certificates, and of other keys and hashes: what cosign 3 makes of them, and what the plan says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::KeyPair;
use serde_json::Value;

use crate::certificates::{issue, issue_for};
use crate::program::Ends as _;
use crate::support::cosign::{Cosign, Trust, VerifyOptions};
use crate::support::images::Image;
use crate::support::registries::Kind;
use crate::{Scene, ready};

const CERTIFICATE: &str = "certificate = \"leaf.pem\"\ncertificate_chain = \"chain.pem\"";

/// What verifiers need: a trusted root with the chain, and the name in the certificate.
fn trusted_root(scene: &Scene) -> Trust {
    let (chain, file) = ("chain.pem", "trusted_root.json");
    let [chain, file] = [chain, file].map(|it| scene.workshop.path().join(it));
    Cosign::v3().trusted_root(&chain, &file);
    Trust::Root { file, identity: "release@acme.com".to_owned() }
}

/// Says whether cosign 3 verifies the image; what it said is shown where a test fails.
fn is_verified(scene: &Scene, trust: &Trust, options: &VerifyOptions) -> bool {
    let verified = Cosign::v3().verify(&scene.reference(), trust, options);
    if let Err(done) = &verified {
        eprintln!("{done:?}");
    }
    verified.is_ok()
}

/// The bundles about the image, in the order of the list.
async fn bundles(scene: &Scene) -> Vec<Value> {
    let mut found = Vec::new();
    for entry in scene.publisher.referrers("app", &scene.image.digest()).await {
        let digest = entry["digest"].as_str().unwrap();
        let manifest = scene.publisher.manifest("app", digest).await.unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let layer = manifest["layers"][0]["digest"].as_str().unwrap();
        let bundle = scene.publisher.blob("app", layer).await;
        found.push(serde_json::from_slice(&bundle).unwrap());
    }
    found
}

/// The warnings of a plan, by code.
fn warnings(scene: &Scene) -> Vec<String> {
    let plan = scene.workshop.run(&["plan", "--format", "json"]).success();
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let warnings = plan["warnings"].as_array().unwrap().iter();
    warnings.map(|it| it["code"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leaf_alone_is_written_and_verified_by_a_trusted_root() {
    if !ready() {
        return;
    }
    for kind in Kind::BOTH {
        let scene = Scene::on(kind, Image::oci("app")).await;
        issue(&scene.workshop);
        scene.add("formats = [\"bundle\"]");
        scene.add_to_signer(CERTIFICATE);
        assert_eq!(warnings(&scene), ["format::chain_not_in_bundle"]);
        scene.workshop.apply();
        let bundles = bundles(&scene).await;
        let material = &bundles[0]["verificationMaterial"];
        let leaf = STANDARD.decode(material["certificate"]["rawBytes"].as_str().unwrap()).unwrap();
        let pem = pem_of(&leaf);
        assert_eq!(pem, scene.workshop.read("leaf.pem").replace("\r\n", "\n"));
        assert_eq!(material.as_object().unwrap().len(), 1, "no chain, no key: {material}");
        let trust = trusted_root(&scene);
        assert!(is_verified(&scene, &trust, &VerifyOptions::default()));
        // As the warning says.
        let key = scene.pair("release").trust();
        assert!(!is_verified(&scene, &key, &VerifyOptions::default()));
        assert_eq!(scene.workshop.plan(0).changes(), ["keep release"]);
    }
}

fn pem_of(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|it| std::str::from_utf8(it).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_attached_to_the_signature_in_a_bundle() {
    if !ready() {
        return;
    }
    for kind in Kind::BOTH {
        let scene = Scene::on(kind, Image::oci("app")).await;
        issue(&scene.workshop);
        scene.add("formats = [\"bundle\"]\nprune = \"superseded\"");
        scene.workshop.apply();
        let before = bundles(&scene).await;
        let trust = trusted_root(&scene);
        assert!(!is_verified(&scene, &trust, &VerifyOptions::default()));
        scene.add_to_signer(CERTIFICATE);
        let plan = scene.workshop.plan(0);
        assert_eq!((plan.count("attach"), plan.count("resign")), (1, 0), "{:?}", plan.changes());
        // No password: the signature that is there is used again.
        scene.workshop.run(&["apply", "--yes"]).success();
        assert!(is_verified(&scene, &trust, &VerifyOptions::default()));
        let after = bundles(&scene).await;
        let with: Vec<&Value> = after
            .iter()
            .filter(|it| it["verificationMaterial"].get("certificate").is_some())
            .collect();
        assert_eq!(with.len(), 1, "{after:?}");
        assert_eq!(with[0]["dsseEnvelope"], before[0]["dsseEnvelope"]);
        // The one without a certificate is superseded, and goes.
        scene.workshop.run(&["apply", "--yes"]).success();
        assert_eq!(bundles(&scene).await.len(), 1);
        assert!(is_verified(&scene, &trust, &VerifyOptions::default()));
        scene.workshop.run(&["plan", "--detailed-exitcode"]).ends(0);
    }
}

/// As cosign after 3.1 writes them, and as 3.1 passes over them.
#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_with_a_chain_is_read_and_shown_and_does_not_count() {
    if !ready() {
        return;
    }
    let scene = Scene::on(Kind::Api, Image::oci("app")).await;
    issue(&scene.workshop);
    scene.add("formats = [\"bundle\"]");
    scene.add_to_signer(CERTIFICATE);
    scene.workshop.apply();
    let trust = trusted_root(&scene);
    rewrite_with_chain(&scene).await;
    assert!(!is_verified(&scene, &trust, &VerifyOptions::default()));
    let seen = ["resign release bundle", "foreign superseded release"];
    assert_eq!(scene.workshop.plan(0).changes(), seen);
    scene.workshop.apply();
    assert!(is_verified(&scene, &trust, &VerifyOptions::default()));
}

/// Replaces the only bundle by one that carries the chain.
async fn rewrite_with_chain(scene: &Scene) {
    let entries = scene.publisher.referrers("app", &scene.image.digest()).await;
    let digest = entries[0]["digest"].as_str().unwrap();
    let manifest = scene.publisher.manifest("app", digest).await.unwrap();
    let mut manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let mut bundle = bundles(scene).await.remove(0);
    let leaf = bundle["verificationMaterial"]["certificate"].take();
    bundle["verificationMaterial"] =
        serde_json::json!({ "x509CertificateChain": { "certificates": [leaf] } });
    let bundle = bundle.to_string().into_bytes();
    scene.publisher.push_blob("app", &bundle).await;
    manifest["layers"][0]["digest"] = crate::support::images::digest(&bundle).into();
    manifest["layers"][0]["size"] = bundle.len().into();
    let manifest = manifest.to_string().into_bytes();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let name = crate::support::images::digest(&manifest);
    scene.publisher.put_manifest("app", &name, media_type, &manifest).await;
    scene.publisher.delete_manifest("app", digest).await;
}

/// What cosign 3 takes without an option, what it must be told, and what it takes in no way.
#[tokio::test(flavor = "multi_thread")]
async fn other_keys_and_hashes_are_verified_as_the_plan_says() {
    if !ready() {
        return;
    }
    for (key, hash) in [
        ("p384", None),
        ("p384", Some("sha384")),
        ("p521", None),
        ("p521", Some("sha512")),
        ("rsa2048", None),
        ("rsa2048", Some("sha512")),
        ("ed25519", None),
    ] {
        let scene = Scene::on(Kind::Api, Image::oci(key)).await;
        scene.workshop.key(key, "release");
        scene.add("formats = [\"bundle\"]");
        if let Some(hash) = hash {
            scene.add_to_signer(&format!("hash = \"{hash}\""));
        }
        scene.workshop.apply();
        let trust = scene.pair("release").trust();
        let plainly = is_verified(&scene, &trust, &VerifyOptions::default());
        assert_eq!(plainly, hash.is_none(), "{key} {hash:?}");
        let told = VerifyOptions { hash, ..VerifyOptions::default() };
        assert!(is_verified(&scene, &trust, &told), "{key} {hash:?}");
        let expected: &[&str] = if plainly { &[] } else { &["signature::hash"] };
        assert_eq!(warnings(&scene), expected, "{key} {hash:?}");
        scene.workshop.run(&["plan", "--detailed-exitcode"]).ends(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hash_of_a_certificate_is_verified_as_the_plan_says() {
    if !ready() {
        return;
    }
    for (algorithm, hash, is_taken) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, Some("sha384"), false),
        (&rcgen::PKCS_ECDSA_P384_SHA384, None, true),
        (&rcgen::PKCS_ECDSA_P384_SHA384, Some("sha384"), true),
        (&rcgen::PKCS_ECDSA_P384_SHA384, Some("sha512"), false),
        (&rcgen::PKCS_ECDSA_P521_SHA512, None, true),
        (&rcgen::PKCS_ECDSA_P521_SHA512, Some("sha512"), true),
        (&rcgen::PKCS_ED25519, None, true),
        (&rcgen::PKCS_RSA_SHA256, None, true),
        (&rcgen::PKCS_RSA_SHA256, Some("sha512"), false),
    ] {
        let scene = Scene::on(Kind::Api, Image::oci("app")).await;
        issue_for(&scene.workshop, KeyPair::generate_for(algorithm).unwrap());
        scene.add("formats = [\"bundle\"]");
        let hash_line = hash.map(|it| format!("hash = \"{it}\"")).unwrap_or_default();
        scene.add_to_signer(&format!("{CERTIFICATE}\n{hash_line}"));
        scene.workshop.apply();
        let trust = trusted_root(&scene);
        let told = VerifyOptions { hash, ..VerifyOptions::default() };
        for options in [VerifyOptions::default(), told] {
            assert_eq!(is_verified(&scene, &trust, &options), is_taken, "{algorithm:?} {hash:?}");
        }
        let warned = warnings(&scene).contains(&"format::hash_not_in_bundle".to_owned());
        assert_eq!(warned, !is_taken, "{algorithm:?} {hash:?}");
    }
}
