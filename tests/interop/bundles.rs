//! Bundles, with the referrers API and without: cosign 3 verifies ours, we read its, and both tell attestations apart.

use std::ffi::OsString;

use serde_json::Value;

use crate::program::{Ends as _, PASSWORD, Workshop};
use crate::support::cosign::{Cosign, Format, KeyPair, SignOptions, VerifyOptions};
use crate::support::docker_registry::Deletion;
use crate::support::images::{Image, write_layout};
use crate::support::oci_registry::{OciRegistry, Options, Subject};
use crate::support::registries::{Kind, Registry};
use crate::support::tools::{self, Finished, Home, Tool};
use crate::{Scene, ready};

/// What is listed about the image.
async fn index(scene: &Scene) -> Vec<Value> {
    scene.publisher.referrers("app", &scene.image.digest()).await
}

fn bundle_options() -> SignOptions {
    SignOptions { format: Format::Bundle, ..SignOptions::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn cosign_3_verifies_our_bundles() {
    if !ready() {
        return;
    }
    for kind in Kind::BOTH {
        let scene = Scene::on(kind, Image::oci("app")).await;
        let annotations = [("html", "<a&b>"), ("quote", "\"q\""), ("text", "é😀")];
        scene.add("formats = [\"bundle\"]");
        scene.add(r#"annotations = { html = "<a&b>", quote = "\"q\"", text = "é😀" }"#);
        scene.workshop.apply();
        let trust = scene.pair("release").trust();
        let annotations = annotations.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let options =
            VerifyOptions { annotations: annotations.to_vec(), ..VerifyOptions::default() };
        let payloads = Cosign::v3().verify(&scene.reference(), &trust, &options).unwrap();
        assert_eq!(payloads.len(), 1);
        let entries = index(&scene).await;
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0]["artifactType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
        let predicate = &entries[0]["annotations"]["dev.sigstore.bundle.predicateType"];
        assert_eq!(predicate, "https://sigstore.dev/cosign/sign/v1");

        scene.registry.take_requests();
        scene.workshop.apply();
        assert!(
            scene.registry.take_requests().writes().is_empty(),
            "a second apply writes nothing"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_of_cosign_3_count_and_their_list_is_mended() {
    if !ready() {
        return;
    }
    for kind in Kind::BOTH {
        let scene = Scene::on(kind, Image::oci("app")).await;
        scene.add("formats = [\"bundle\"]\nprune = \"superseded\"");
        let stranger = scene.new_pair("stranger");
        for _ in 0..2 {
            // cosign 3 does not see that it has signed already; `created` has whole seconds.
            Cosign::v3()
                .sign(&[scene.reference()], &scene.pair("release"), &bundle_options())
                .success();
            Cosign::v3().sign(&[scene.reference()], &stranger, &bundle_options()).success();
        }
        let before = index(&scene).await.len();
        assert!((2..=4).contains(&before), "{before}");
        let plan = scene.workshop.run(&["plan", "--detailed-exitcode"]).ends(2);
        // Where the registry keeps the list, there is nothing to mend.
        let mends = plan.stdout.contains("mend what other tools wrote");
        assert_eq!(mends, kind == Kind::Tag, "{}", plan.stdout);
        scene.workshop.apply();
        scene.workshop.run(&["plan", "--detailed-exitcode"]).ends(0);
        for entry in index(&scene).await {
            assert_eq!(entry["artifactType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
        }
        let trust = scene.pair("release").trust();
        Cosign::v3().verify(&scene.reference(), &trust, &VerifyOptions::default()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn formats_are_moved_and_the_warning_names_the_key() {
    if !ready() {
        return;
    }
    for kind in Kind::BOTH {
        let scene = Scene::on(kind, Image::oci("app")).await;
        scene.workshop.apply();
        assert_eq!(scene.verified("release"), [1, 1]);
        // Somebody else's bundle hides the tag from cosign 3.
        let stranger = scene.new_pair("stranger");
        Cosign::v3().sign(&[scene.reference()], &stranger, &bundle_options()).success();
        assert_eq!(scene.verified("release"), [1, 0]);
        scene.add("prune = \"superseded\"");
        let plan = scene.workshop.run(&["plan"]).ends(0);
        let said = format!("{}{}", plan.stdout, plan.stderr);
        assert!(said.contains("format::hidden_by_bundle") && said.contains("release"), "{said}");

        scene.add("formats = [\"simple-signing\", \"bundle\"]");
        scene.workshop.apply();
        assert_eq!(scene.verified("release"), [1, 1]);
        scene.workshop.edit("formats = [\"simple-signing\", \"bundle\"]", "formats = [\"bundle\"]");
        scene.workshop.apply();
        assert_eq!(scene.verified("release"), [0, 1]);
        assert!(scene.layers().await.is_empty());
        scene.workshop.run(&["plan", "--detailed-exitcode"]).ends(0);
    }
}

/// By tag one more than by digest, and one for a registry of which it is not known yet whether it has the API.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_asks_for_the_list_and_for_what_it_has_not_seen() {
    if !ready() {
        return;
    }
    for kind in Kind::BOTH {
        let scene = Scene::on(kind, Image::oci("app")).await;
        scene.add("formats = [\"bundle\"]");
        scene.workshop.apply();
        // Without the API, one more finds that out.
        let asks = 2 + usize::from(kind == Kind::Tag);
        for (options, expected) in [
            (["plan", "--detailed-exitcode"].as_slice(), asks + 2),
            (&["plan", "--detailed-exitcode"], asks),
            (&["plan", "--detailed-exitcode", "--no-cache"], asks + 2),
        ] {
            scene.registry.take_requests();
            scene.workshop.run(options).ends(0);
            let requests = scene.registry.take_requests();
            assert_eq!(requests.len(), expected, "{options:?}: {requests:?}");
        }
    }
}

/// A plan believes the list for what it has seen before; `verify` sees what cosign sees.
#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_is_listed_and_gone_is_missed_by_verify_whatever_the_cache_holds() {
    if !ready() {
        return;
    }
    let scene = Scene::on(Kind::Tag, Image::oci("app")).await;
    scene.add("formats = [\"bundle\"]");
    scene.workshop.apply();
    // The cache is warm.
    scene.workshop.run(&["plan", "--detailed-exitcode"]).ends(0);
    scene.workshop.run(&["verify"]).ends(0);
    let entries = index(&scene).await;
    scene.publisher.delete_manifest("app", entries[0]["digest"].as_str().unwrap()).await;
    let trust = scene.pair("release").trust();
    Cosign::v3().verify(&scene.reference(), &trust, &VerifyOptions::default()).unwrap_err();
    scene.workshop.run(&["plan", "--detailed-exitcode"]).ends(0);
    scene.workshop.run(&["verify"]).ends(6);
    scene.workshop.run(&["plan", "--detailed-exitcode", "--no-cache"]).ends(2);
    scene.workshop.run_with_password(&["apply", "--yes", "--no-cache"]).success();
    Cosign::v3().verify(&scene.reference(), &trust, &VerifyOptions::default()).unwrap();
    assert_eq!(index(&scene).await.len(), 1, "what is gone left the list");
    scene.workshop.run(&["verify"]).ends(0);
}

#[test]
fn cosign_3_verifies_the_bundle_in_a_layout() {
    if !ready() {
        return;
    }
    let workshop = Workshop::new(
        r#"version = 1
[signers.release]
key = "release.key"
transparency_log = false
[[images]]
reference = "oci:images:app"
sign_with = ["release"]
formats = ["bundle"]
"#,
    );
    workshop.key("p256", "release");
    write_layout(&workshop.path().join("images"), [("app", &Image::oci("app"))]);
    workshop.apply();
    let layout = workshop.path().join("images");
    let pair = |name: &str| KeyPair {
        private: workshop.path().join(format!("{name}.key")),
        public: workshop.path().join(format!("{name}.pub")),
        password: PASSWORD.to_owned(),
    };
    Cosign::v3().verify_layout(&layout, &pair("release").trust()).unwrap();
    workshop.key("rsa2048", "other");
    Cosign::v3().verify_layout(&layout, &pair("other").trust()).unwrap_err();
    workshop.run_with_password(&["plan", "--detailed-exitcode"]).ends(0);
}

/// cosign writes bundles into a layout as blobs that nothing names, and finds them there.
#[tokio::test(flavor = "multi_thread")]
async fn the_bundle_in_a_layout_that_cosign_saved_counts() {
    if !ready() {
        return;
    }
    let scene = Scene::on(Kind::Api, Image::oci("app")).await;
    let pair = scene.pair("release");
    Cosign::v3().sign(&[scene.reference()], &pair, &bundle_options()).success();
    let layout = scene.workshop.path().join("saved");
    Cosign::v3().save(&scene.reference(), &layout).success();
    let reference = scene.registry.reference("app:1");
    let digest = scene.image.digest();
    scene.workshop.edit(&format!("\"{reference}\""), &format!("\"oci:saved@{digest}\""));
    scene.add("formats = [\"bundle\"]\nprune = \"superseded\"");
    assert_eq!(scene.workshop.plan(0).changes(), ["keep release"]);
    // Replaced, the old one goes from there too.
    scene.add("annotations = { build = \"7\" }");
    scene.workshop.apply();
    scene.workshop.apply();
    assert_eq!(scene.workshop.plan(0).changes(), ["keep release"]);
    Cosign::v3().verify_layout(&layout, &pair.trust()).unwrap();
}

/// An index with all that is in it, and the bundles in a repository of their own.
#[tokio::test(flavor = "multi_thread")]
async fn every_image_of_an_index_has_its_bundle_in_the_signature_repository() {
    if !ready() {
        return;
    }
    for kind in Kind::BOTH {
        let scene = Scene::on(kind, Image::multi_platform("app")).await;
        let signatures = scene.registry.reference("acme/signatures");
        scene.add("formats = [\"bundle\"]\nrecursive = true");
        scene.add(&format!("signature_repository = \"{signatures}\""));
        scene.workshop.apply();
        let elsewhere = VerifyOptions {
            signature_repository: Some(signatures.clone()),
            ..VerifyOptions::default()
        };
        let trust = scene.pair("release").trust();
        for part in scene.image.all() {
            let reference = scene.registry.reference(&format!("app@{}", part.digest()));
            Cosign::v3().verify(&reference, &trust, &elsewhere).unwrap();
            Cosign::v3().verify(&reference, &trust, &VerifyOptions::default()).unwrap_err();
            assert!(scene.publisher.referrers("app", &part.digest()).await.is_empty());
        }
        scene.registry.take_requests();
        scene.workshop.apply();
        assert!(scene.registry.take_requests().writes().is_empty());
    }
}

/// Even where everything undeclared goes: an attestation is no signature, and an SBOM is not ours.
#[tokio::test(flavor = "multi_thread")]
async fn attestations_and_what_others_attached_stay() {
    if !ready() || !tools::have(&[Tool::Oras]) {
        return;
    }
    for kind in Kind::BOTH {
        let scene = Scene::on(kind, Image::oci("app")).await;
        scene.add("formats = [\"bundle\"]\nprune = \"undeclared\"");
        let stranger = scene.new_pair("stranger");
        Cosign::v3().sign(&[scene.reference()], &stranger, &bundle_options()).success();
        let predicate = scene.workshop.write("predicate.json", "{}");
        let mut attest: Vec<OsString> =
            ["attest", "--yes", "--tlog-upload=false", "--key"].map(OsString::from).into();
        attest.extend([stranger.private.clone().into(), "--use-signing-config=false".into()]);
        attest.extend(["--predicate".into(), predicate.clone().into(), scene.reference().into()]);
        Cosign::v3().run(&attest, &stranger.password).success();
        let mut attach = Home::new().command(Tool::Oras);
        attach.args(["attach", "--plain-http", "--artifact-type", "application/spdx+json"]);
        attach.arg(scene.reference()).arg("predicate.json").current_dir(scene.workshop.path());
        Finished::of(&mut attach).success();
        let kinds = async || {
            let entries = index(&scene).await;
            let mut kinds = Vec::new();
            for entry in &entries {
                let digest = entry["digest"].as_str().unwrap();
                let manifest = scene.publisher.manifest("app", digest).await.unwrap();
                let manifest: Value = serde_json::from_slice(&manifest).unwrap();
                let predicate = &manifest["annotations"]["dev.sigstore.bundle.predicateType"];
                let kind = predicate.as_str().or(manifest["artifactType"].as_str());
                kinds.push(kind.unwrap().to_owned());
            }
            kinds.sort();
            kinds
        };
        let (attestation, sbom) =
            ("https://cosign.sigstore.dev/attestation/v1", "application/spdx+json");
        let signature = "https://sigstore.dev/cosign/sign/v1";
        assert_eq!(kinds().await, [sbom, attestation, signature]);
        scene.workshop.run_with_password(&["apply", "--yes", "--allow-clean", "1"]).success();
        assert_eq!(kinds().await, [sbom, attestation, signature], "ours took the place of theirs");
        let trust = scene.pair("release").trust();
        Cosign::v3().verify(&scene.reference(), &trust, &VerifyOptions::default()).unwrap();
        let mut verify: Vec<OsString> =
            ["verify-attestation", "--insecure-ignore-tlog", "--key"].map(OsString::from).into();
        verify.extend([stranger.public.clone().into(), scene.reference().into()]);
        Cosign::v3().run(&verify, "").success();
        scene.workshop.run(&["plan", "--detailed-exitcode"]).ends(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_deleted_the_report_says_what_became_of_it() {
    if !ready() {
        return;
    }
    for kind in Kind::BOTH {
        let registry = Registry::with(kind, Deletion::Refused);
        let scene = Scene::in_registry(registry, Image::oci("app")).await;
        scene.add("formats = [\"bundle\"]\nprune = \"superseded\"");
        let old = SignOptions {
            annotations: vec![("build".to_owned(), "6".to_owned())],
            ..bundle_options()
        };
        Cosign::v3().sign(&[scene.reference()], &scene.pair("release"), &old).success();
        let done = scene.workshop.run_with_password(&["apply", "--yes"]);
        let (code, said, listed) = match kind {
            Kind::Tag => (0, "taken from the list; the registry refuses deletes", 1),
            Kind::Api => (3, "registry::delete_refused", 2),
        };
        assert_eq!(done.code, Some(code), "{done:?}");
        assert!(done.stdout.contains(said), "{done:?}");
        assert_eq!(index(&scene).await.len(), listed);
        let trust = scene.pair("release").trust();
        Cosign::v3().verify(&scene.reference(), &trust, &VerifyOptions::default()).unwrap();
    }
}

/// As go-containerregistry's: it lists what refers to an image, and does not say so when it is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_does_not_say_that_it_lists_is_asked() {
    if !ready() {
        return;
    }
    let options = Options { subject: Subject::Unsaid, ..Options::default() };
    let registry = Registry::Api(OciRegistry::with(options));
    let scene = Scene::in_registry(registry, Image::oci("app")).await;
    scene.add("formats = [\"bundle\"]\nprune = \"superseded\"");
    scene.registry.take_requests();
    scene.workshop.apply();
    let requests = scene.registry.take_requests();
    // Planned, read again beside the uploads, and asked after the write.
    assert_eq!(requests.on("/referrers/").len(), 3, "{requests:?}");
    assert!(requests.method("PUT").on("/manifests/sha256-").is_empty(), "no tag is written");
    let trust = scene.pair("release").trust();
    Cosign::v3().verify(&scene.reference(), &trust, &VerifyOptions::default()).unwrap();
    scene.add("annotations = { build = \"7\" }");
    scene.workshop.apply();
    scene.workshop.apply();
    assert_eq!(index(&scene).await.len(), 1);
    scene.workshop.run(&["plan", "--detailed-exitcode"]).ends(0);
}
