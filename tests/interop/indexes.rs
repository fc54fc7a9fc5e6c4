//! An index and every image in it.

use super::{Scene, VerifyOptions, ready, verified};
use crate::support::images::Image;

/// Signs `image` with all that is in it, and lets both verify each part.
async fn sign_all(image: Image) {
    let scene = Scene::of(image).await;
    scene.add("recursive = true");
    scene.workshop.apply();
    let trust = scene.pair("release").trust();
    for part in scene.image.all() {
        let reference = scene.registry.reference(&format!("app@{}", part.digest()));
        assert_eq!(verified(&reference, &trust, &VerifyOptions::default()), [1, 1], "{reference}");
    }
    let plan = scene.workshop.plan(0);
    assert_eq!(plan.count("keep"), u64::try_from(scene.image.all().len()).unwrap());
    assert_eq!(plan.count("sign"), 0);
}

#[tokio::test]
async fn attestation_manifests_of_buildx_are_signed_too() {
    if ready() {
        sign_all(Image::multi_platform("app")).await;
    }
}

#[tokio::test]
async fn indexes_in_indexes_are_signed() {
    if ready() {
        sign_all(Image::nested("app", 3)).await;
    }
}

#[tokio::test]
async fn dockers_manifests_are_signed() {
    if ready() {
        let children = vec![Image::docker("one"), Image::for_platform("two", "linux", "arm64")];
        sign_all(Image::index(children)).await;
    }
}

#[tokio::test]
async fn what_cosign_signed_recursively_is_kept() {
    if !ready() {
        return;
    }
    let scene = Scene::of(Image::multi_platform("app")).await;
    scene.add("recursive = true");
    let options = crate::support::cosign::SignOptions {
        recursive: crate::support::cosign::Recursion::All,
        ..Default::default()
    };
    super::Cosign::v3().sign(&[scene.reference()], &scene.pair("release"), &options).success();
    assert_eq!(scene.workshop.plan(0).changes(), ["keep release"; 5]);
}

#[tokio::test]
async fn an_unknown_child_is_blocked_and_its_index_is_not_signed() {
    if !ready() {
        return;
    }
    let scene = Scene::of(Image::with_unknown_child("app")).await;
    scene.add("recursive = true");
    let done = scene.workshop.run_with_password(&["apply", "--yes"]);
    assert_eq!(done.code, Some(3), "{done:?}");
    assert!(done.stdout.contains("image::child_type"), "{done:?}");
    assert!(done.stdout.contains("image::child_blocked"), "{done:?}");
    let trust = scene.pair("release").trust();
    let known = scene.registry.reference(&format!("app@{}", scene.image.children[0].digest()));
    assert_eq!(verified(&known, &trust, &VerifyOptions::default()), [1, 1]);
    assert_eq!(scene.verified("release"), [0, 0], "an index of which a part is not signed");
}
