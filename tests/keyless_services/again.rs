//! What a log has already is not recorded again.

use crate::Scene;
use crate::program::Ends as _;
use crate::support::images::digest;
use crate::support::sigstore::{Fault, Lie, Log};

impl Scene {
    /// As if the last run had ended between the log and the registry.
    pub(crate) async fn forget(&self) {
        let tag = format!("{}.sig", self.image.digest().replace(':', "-"));
        let manifest = self.publisher.manifest("app", &tag).await.unwrap();
        self.publisher.delete_manifest("app", &digest(&manifest)).await;
        assert!(self.layers().await.is_empty());
    }

    pub(crate) fn asked_to_record(&self) -> usize {
        let requests = self.sigstore.rekor_v1.requests();
        requests.iter().filter(|it| *it == "POST /api/v1/log/entries").count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_a_run_that_was_cut_short_is_found_with_its_signature() {
    let Some(scene) = Scene::new("p256", Log::RekorV1).await else { return };
    scene.workshop.apply();
    let (entry, layers) = (scene.entry().await, scene.layers().await);
    assert_eq!(scene.asked_to_record(), 1);
    scene.forget().await;
    scene.workshop.apply();
    assert_eq!(scene.asked_to_record(), 0, "found, not made");
    assert_eq!(scene.entry().await["Payload"], entry["Payload"]);
    let signature = |layers: &[serde_json::Value]| {
        layers[0]["annotations"]["dev.cosignproject.cosign/signature"].clone()
    };
    assert_eq!(signature(&scene.layers().await), signature(&layers));
    scene.cosign_2(&[]).success();
    scene.workshop.plan(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_another_key_is_nobody_elses_signature() {
    let Some(scene) = Scene::new("p256", Log::RekorV1).await else { return };
    scene.workshop.apply();
    scene.forget().await;
    scene.workshop.key("rsa2048", "release");
    assert_eq!(scene.asked_to_record(), 1);
    scene.workshop.apply();
    assert_eq!(scene.asked_to_record(), 1);
    scene.cosign_2(&[]).success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_limits_is_asked_again_and_one_that_is_down_is_temporary() {
    let Some(scene) = Scene::new("p256", Log::RekorV1).await else { return };
    let log = &scene.sigstore.rekor_v1;
    // The search is asked once, whatever it says.
    log.set(Fault::Status { code: 429, retry_after: Some(0), times: 3 });
    scene.workshop.apply();
    scene.cosign_2(&[]).success();
    scene.forget().await;
    log.set(Fault::Status { code: 503, retry_after: Some(3600), times: 99 });
    let done = scene.workshop.run_with_password(&["apply", "--yes"]).ends(75);
    assert!(done.stdout.contains("rekor::unavailable"), "{}", done.stdout);
    assert!(scene.layers().await.is_empty());
    log.heal();
    scene.workshop.apply();
    scene.cosign_2(&[]).success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_or_an_authority_that_lies_is_told_and_nothing_is_written() {
    for lie in [Lie::Entry, Lie::InclusionProof, Lie::Checkpoint] {
        let Some(scene) = Scene::new("p256", Log::RekorV2).await else { return };
        scene.formats("[\"bundle\"]");
        scene.sigstore.rekor_v2.set(Fault::Lies(lie));
        scene.registry.take_requests();
        let done = scene.workshop.run_with_password(&["apply", "--yes"]).ends(3);
        assert!(done.stdout.contains("rekor::untrusted"), "{lie:?}: {}", done.stdout);
        assert!(scene.registry.take_requests().writes().is_empty(), "{lie:?}");
    }
    for lie in [Lie::Imprint, Lie::Nonce] {
        let Some(scene) = Scene::new("p256", Log::RekorV1).await else { return };
        scene.stamped_by(&["timestamps"]);
        scene.sigstore.timestamps.set(Fault::Lies(lie));
        let done = scene.workshop.run_with_password(&["apply", "--yes"]).ends(3);
        assert!(done.stdout.contains("tsa::untrusted"), "{lie:?}: {}", done.stdout);
        assert!(scene.layers().await.is_empty(), "{lie:?}");
    }
}
