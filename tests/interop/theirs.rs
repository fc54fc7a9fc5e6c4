//! What both cosigns wrote: read, kept, counted and cleaned.

use super::{Cosign, Scene, ready};
use crate::support::cosign::{Attachment, SignOptions};

#[tokio::test]
async fn a_signature_of_either_is_kept() {
    if !ready() {
        return;
    }
    for cosign in Cosign::both() {
        let scene = Scene::new().await;
        let options = SignOptions {
            annotations: vec![("odd".to_owned(), "<a&b> \"é\"".to_owned())],
            ..SignOptions::default()
        };
        cosign.sign(&[scene.reference()], &scene.pair("release"), &options).success();
        scene.add("annotations = { odd = '<a&b> \"é\"' }");
        scene.registry.take_requests();
        assert_eq!(scene.workshop.plan(0).changes(), ["keep release"]);
        let requests = scene.registry.take_requests();
        assert_eq!(requests.on("/blobs/").len(), 0, "the payload is known without a download");
        scene.workshop.run(&["apply", "--yes"]).success();
        assert!(scene.registry.take_requests().writes().is_empty());
    }
}

#[tokio::test]
async fn a_signature_that_either_appends_to_ours_survives() {
    if !ready() {
        return;
    }
    for cosign in Cosign::both() {
        let scene = Scene::new().await;
        scene.workshop.apply();
        let other = scene.new_pair("other");
        cosign.sign(&[scene.reference()], &other, &SignOptions::default()).success();
        assert_eq!(scene.verified("release"), [1, 1], "ours is still there");
        // With every prune but the last, somebody else's signature is not ours to remove.
        scene.add("prune = \"retired\"");
        assert_eq!(scene.workshop.plan(0).changes(), ["keep release", "foreign foreign"]);
        scene.add("annotations = { build = \"2\" }");
        let plan = scene.workshop.plan(0).changes();
        assert_eq!(
            plan,
            ["resign release annotations", "clean superseded release", "foreign foreign"]
        );
        scene.workshop.apply();
        assert_eq!(scene.layers().await.len(), 2);
        assert_eq!(scene.verified("release"), [1, 1]);
        assert_eq!(scene.verified("other"), [1, 1], "theirs survives");
        // And cosign appends to what we rewrote.
        let third = scene.new_pair("third");
        cosign.sign(&[scene.reference()], &third, &SignOptions::default()).success();
        for name in ["release", "other", "third"] {
            assert_eq!(scene.verified(name), [1, 1], "{name}");
        }
        scene.workshop.edit("prune = \"retired\"", "prune = \"undeclared\"");
        scene.workshop.apply();
        assert_eq!(scene.layers().await.len(), 1);
        assert_eq!([scene.verified("release"), scene.verified("other")], [[1, 1], [0, 0]]);
    }
}

#[tokio::test]
async fn duplicates_are_superseded_and_cleaned() {
    if !ready() {
        return;
    }
    for cosign in Cosign::both() {
        let scene = Scene::new().await;
        scene.workshop.apply();
        let [ours] = &cosign.download_signatures(&scene.reference())[..] else { panic!() };
        let signature =
            scene.workshop.write("signature", ours["Base64Signature"].as_str().unwrap());
        let payload = cosign.generate(&scene.reference(), &[]);
        let payload = scene.workshop.write("payload", payload.trim_end());
        let attachment =
            Attachment { payload, signature, certificate: None, certificate_chain: None };
        for _ in 0..3 {
            cosign.attach_signature(&scene.reference(), &attachment).success();
        }
        assert_eq!(scene.layers().await.len(), 4);
        let kept = scene.workshop.plan(0);
        assert_eq!(
            kept.changes()[1..],
            ["foreign superseded release"; 3],
            "nothing is removed yet"
        );
        scene.add("prune = \"superseded\"");
        let plan = scene.workshop.plan(0);
        assert_eq!(plan.changes()[1..], ["clean superseded release"; 3]);
        scene.workshop.run(&["apply", "--yes"]).success();
        assert_eq!(scene.layers().await.len(), 1);
        assert_eq!(scene.verified("release"), [1, 1]);
        assert_eq!(scene.workshop.plan(0).changes(), ["keep release"]);
    }
}

#[tokio::test]
async fn a_retired_signature_of_cosign_goes_when_ours_is_there() {
    if !ready() {
        return;
    }
    let scene = Scene::new().await;
    scene.workshop.key("p384", "old");
    Cosign::v2().sign(&[scene.reference()], &scene.pair("old"), &SignOptions::default()).success();
    scene.add("prune = \"retired\"");
    let spec = scene.workshop.read("countersign.toml");
    let old = "[signers.old]\npublic_key = \"old.pub\"\nretired = true\n\n[[images]]";
    scene.workshop.spec(&spec.replace("[[images]]", old));
    let plan = scene.workshop.plan(0).changes();
    assert_eq!(plan, ["sign release", "clean retired old"]);
    scene.workshop.apply();
    assert_eq!([scene.verified("release"), scene.verified("old")], [[1, 1], [0, 0]]);
    assert!(scene.registry.take_requests().method("DELETE").is_empty(), "one PUT is enough");
}

#[tokio::test]
async fn the_hash_of_cosign_3_is_told() {
    if !ready() {
        return;
    }
    let scene = Scene::new().await;
    scene.workshop.key("p384", "release");
    let pair = scene.pair("release");
    Cosign::v3().sign(&[scene.reference()], &pair, &SignOptions::default()).success();
    let plan = scene.workshop.plan(0);
    assert_eq!(plan.changes()[0], "resign release hash");
    let difference = &plan.0["images"][0]["changes"][0]["differences"][0];
    assert_eq!(difference["before"], "sha384");
    assert_eq!(difference["after"], "sha256");
    let shown = scene.workshop.run(&["plan"]).success().stdout;
    assert!(shown.contains("hash  sha384 → sha256"), "{shown}");
    scene.add("prune = \"superseded\"");
    scene.workshop.apply();
    assert_eq!(scene.verified("release"), [1, 1], "now plain `cosign verify` takes it");
    // Declared, it is as it should be.
    Cosign::v3().sign(&[scene.reference()], &pair, &SignOptions::default()).success();
    scene.add_to_signer("hash = \"sha384\"");
    scene.workshop.edit("prune = \"superseded\"", "");
    assert!(scene.workshop.plan(0).changes().contains(&"keep release".to_owned()));
}

#[tokio::test]
async fn other_annotations_are_a_difference() {
    if !ready() {
        return;
    }
    for cosign in Cosign::both() {
        let scene = Scene::new().await;
        let options = SignOptions {
            annotations: vec![("build".to_owned(), "1".to_owned())],
            ..SignOptions::default()
        };
        cosign.sign(&[scene.reference()], &scene.pair("release"), &options).success();
        scene.add("annotations = { build = \"2\" }");
        assert_eq!(scene.workshop.plan(0).changes()[0], "resign release annotations");
        let shown = scene.workshop.run(&["plan"]).success().stdout;
        assert!(shown.contains("build=1 → build=2"), "{shown}");
        scene.workshop.run(&["verify"]).failure();
        scene.workshop.apply();
        let plan = scene.workshop.plan(0).changes();
        assert_eq!(plan, ["keep release", "foreign unexamined"], "nothing depends on it");
        scene.workshop.run(&["verify"]).success();
    }
}

#[tokio::test]
async fn what_the_other_formats_need_is_left_alone() {
    if !ready() {
        return;
    }
    // A bundle of cosign 3 beside ours is no signature of ours, and nothing of it is removed.
    let scene = Scene::new().await;
    let other = scene.new_pair("other");
    let options =
        SignOptions { format: crate::support::cosign::Format::Bundle, ..SignOptions::default() };
    Cosign::v3().sign(&[scene.reference()], &other, &options).success();
    let fallback = scene.image.digest().replace(':', "-");
    let before = scene.publisher.manifest("app", &fallback).await;
    assert!(before.is_some(), "the registry has no referrers");
    scene.workshop.apply();
    assert_eq!(scene.publisher.manifest("app", &fallback).await, before);
    assert_eq!(scene.verified("release")[0], 1, "cosign 2 sees ours");
}

#[tokio::test]
async fn a_countersignature_waits_for_theirs() {
    if !ready() {
        return;
    }
    for cosign in Cosign::both() {
        let scene = Scene::new().await;
        scene.workshop.key("p384", "audit");
        scene.workshop.edit(
            "[[images]]",
            "[signers.audit]\npublic_key = \"audit.pub\"\n\n[[images]]\nrequires = [\"audit\"]",
        );
        assert_eq!(scene.workshop.plan(1).changes(), ["blocked signature::requires release"]);
        scene.registry.take_requests();
        scene.workshop.run_with_password(&["apply", "--yes"]).failure();
        assert!(scene.registry.take_requests().writes().is_empty());
        let annotated = SignOptions {
            annotations: vec![("audit".to_owned(), "passed".to_owned())],
            ..SignOptions::default()
        };
        cosign.sign(&[scene.reference()], &scene.pair("audit"), &annotated).success();
        let plan = scene.workshop.plan(0);
        assert_eq!((plan.count("sign"), plan.count("blocked")), (1, 0), "{:?}", plan.changes());
        scene.workshop.apply();
        assert_eq!(scene.verified("release"), [1, 1]);
    }
}
