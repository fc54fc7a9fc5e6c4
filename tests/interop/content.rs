//! What a signature says besides the digest, and where it lies.

use super::{Scene, VerifyOptions, ready};
use crate::program::Ends;

#[tokio::test]
async fn annotations_of_any_text_are_verified() {
    if !ready() {
        return;
    }
    let scene = Scene::new().await;
    // cosign's `-a` takes no second `=`.
    let annotations = [
        ("html", "<b>&amp;</b>"),
        ("quotes", r#"say "hello", \ and 'goodbye'"#),
        ("unicode", "Zürich 東京 🦀 \u{2028} é"),
        ("control", "tab\tbell\u{7}"),
        ("a.b/c-d_e", "1"),
        ("empty", ""),
    ];
    scene.add("[images.annotations]");
    for (key, value) in annotations {
        // TOML's basic strings are written as JSON's.
        let value = serde_json::to_string(value).unwrap();
        scene.add(&format!("\"{key}\" = {value}"));
    }
    scene.workshop.apply();
    let trust = scene.pair("release").trust();
    for (key, value) in annotations {
        let with = |value: &str| VerifyOptions {
            annotations: vec![(key.to_owned(), value.to_owned())],
            ..VerifyOptions::default()
        };
        assert_eq!(scene.verified_with(&trust, &with(value)), [1, 1], "{key}={value}");
        assert_eq!(scene.verified_with(&trust, &with("other")), [0, 0], "{key}=other");
    }
    assert_eq!(scene.workshop.plan(0).changes(), ["keep release"]);
}

#[tokio::test]
async fn container_identities_are_in_the_payload() {
    if !ready() {
        return;
    }
    let scene = Scene::new().await;
    scene.add("container_identity = [\"registry.acme.com/web\", \"mirror.acme.com/web\"]");
    scene.workshop.apply();
    for cosign in super::Cosign::both() {
        let trust = scene.pair("release").trust();
        let payloads = cosign.verify(&scene.reference(), &trust, &VerifyOptions::default());
        let payloads = payloads.unwrap();
        let mut identities: Vec<&str> = payloads
            .iter()
            .map(|it| it["critical"]["identity"]["docker-reference"].as_str().unwrap())
            .collect();
        identities.sort_unstable();
        assert_eq!(identities, ["mirror.acme.com/web", "registry.acme.com/web"]);
    }
    assert_eq!(scene.workshop.plan(0).changes(), ["keep release", "keep release"]);
}

#[tokio::test]
async fn the_default_identity_is_what_cosign_would_have_written() {
    if !ready() {
        return;
    }
    let scene = Scene::new().await;
    scene.workshop.apply();
    let ours = scene.layers().await;
    let cosign = super::Cosign::v3();
    let generated = cosign.generate(&scene.reference(), &[]);
    let digest = crate::support::images::digest(generated.trim_end().as_bytes());
    assert_eq!(ours[0]["digest"], digest, "{generated}");
}

#[tokio::test]
async fn a_signature_repository_is_cosigns() {
    if !ready() {
        return;
    }
    let scene = Scene::new().await;
    let elsewhere = scene.registry.reference("signatures");
    scene.add(&format!("signature_repository = \"{elsewhere}\""));
    // The repository does not exist yet: that is no error.
    assert_eq!(scene.workshop.plan(0).changes(), ["sign release"]);
    scene.workshop.apply();
    assert_eq!(scene.layers().await, Vec::<serde_json::Value>::new());
    let trust = scene.pair("release").trust();
    let there = VerifyOptions { signature_repository: Some(elsewhere), ..VerifyOptions::default() };
    assert_eq!(scene.verified_with(&trust, &there), [1, 1]);
    assert_eq!(scene.verified("release"), [0, 0], "beside the image there is none");
    assert_eq!(scene.workshop.plan(0).changes(), ["keep release"]);
}

#[tokio::test]
async fn a_shared_signature_repository_keeps_what_belongs_to_other_images() {
    if !ready() {
        return;
    }
    // The same image in two repositories: one tag in the shared place carries the signatures of both.
    let scene = Scene::new().await;
    scene.publisher.push("mirror", &scene.image, Some("1")).await;
    let shared = scene.registry.reference("signatures");
    let lines = format!("signature_repository = \"{shared}\"\nprune = \"undeclared\"");
    scene.add(&lines);
    scene.workshop.apply();
    let mirror = scene.registry.reference("mirror:1");
    scene.workshop.edit(&scene.registry.reference("app:1"), &mirror);
    assert_eq!(scene.workshop.plan(0).changes(), ["sign release", "foreign foreign release"]);
    scene.workshop.apply();
    let there = VerifyOptions { signature_repository: Some(shared), ..VerifyOptions::default() };
    let trust = scene.pair("release").trust();
    assert_eq!(scene.verified_with(&trust, &there), [2, 2], "one for each identity");
}

#[tokio::test]
async fn the_declared_digest_is_signed_where_the_tag_has_moved() {
    if !ready() {
        return;
    }
    let scene = Scene::new().await;
    let pinned = format!("app:1@{}", scene.image.digest());
    scene.workshop.edit("app:1\"", &format!("{pinned}\""));
    let other = super::Image::oci("another");
    scene.publisher.push("app", &other, Some("1")).await;
    assert_eq!(scene.workshop.plan(0).changes(), ["moved", "sign release"]);
    scene.workshop.apply();
    assert_eq!(scene.verified("release"), [1, 1], "the declared one");
    let now = scene.registry.reference("app:1");
    let trust = scene.pair("release").trust();
    assert_eq!(super::verified(&now, &trust, &VerifyOptions::default()), [0, 0], "not the other");
    scene.workshop.run(&["verify"]).ends(6);
    scene.publisher.push("app", &scene.image, Some("1")).await;
    scene.workshop.run(&["verify"]).ends(0);
}
