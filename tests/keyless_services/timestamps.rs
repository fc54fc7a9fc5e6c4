//! Timestamps of authorities that a signer names itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::Scene;
use crate::support::sigstore::Log;
use crate::support::tools::Finished;

impl Scene {
    /// The signer names these authorities, with their certificates, and no log.
    pub(crate) fn stamped_by(&self, authorities: &[&str]) {
        let tables: Vec<String> = authorities
            .iter()
            .map(|name| {
                let front = match *name {
                    "timestamps" => &self.sigstore.timestamps,
                    _ => &self.sigstore.other_timestamps,
                };
                let chain = self.sigstore.folder().join(format!("{name}.pem"));
                let url = format!("{}/api/v1/timestamp", front.url());
                format!("{{ url = \"{url}\", certificate_chain = \"{}\" }}", chain.display())
            })
            .collect();
        self.add_to_signer(&format!(
            "transparency_log = false\ntimestamp_authorities = [{}]",
            tables.join(", ")
        ));
    }

    /// Whether openssl takes a response for one over these bytes, by an authority under this root.
    fn openssl(&self, response: &[u8], signed: &[u8]) -> Finished {
        let response = self.workshop.write("response.tsr", response);
        let signed = self.workshop.write("signed", signed);
        let chain = self.sigstore.folder().join("timestamps.pem");
        let mut command = std::process::Command::new("openssl");
        command.args(["ts", "-verify", "-in"]).arg(response).arg("-data").arg(signed);
        Finished::of(command.arg("-CAfile").arg(&chain).arg("-untrusted").arg(&chain))
    }
}

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simple_signature_carries_a_timestamp_that_openssl_and_cosign_verify() {
    let Some(scene) = Scene::new("p256", Log::RekorV1).await else { return };
    scene.stamped_by(&["timestamps"]);
    scene.workshop.apply();
    scene.workshop.plan(0);
    let [layer] = &*scene.layers().await else { panic!("not one signature") };
    let annotations = &layer["annotations"];
    let timestamp = annotations["dev.sigstore.cosign/rfc3161timestamp"].as_str().unwrap();
    let timestamp: Value = serde_json::from_str(timestamp).unwrap();
    let response = decoded(&timestamp["SignedRFC3161Timestamp"]);
    let signature = decoded(&annotations["dev.cosignproject.cosign/signature"]);
    scene.openssl(&response, &signature).success();
    scene.openssl(&response, b"something else").failure();
    let chain = scene.sigstore.folder().join("timestamps.pem").display().to_string();
    let stamped = ["--timestamp-certificate-chain", &chain, "--insecure-ignore-tlog"];
    scene.cosign_2(&stamped).success();
    assert_eq!(scene.sigstore.rekor_v1.requests(), Vec::<String>::new());
    assert_eq!(scene.sigstore.timestamps.made(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_carries_the_timestamps_of_two_authorities() {
    let Some(scene) = Scene::new("p256", Log::RekorV1).await else { return };
    scene.formats("[\"bundle\"]");
    scene.stamped_by(&["timestamps", "other_timestamps"]);
    scene.workshop.apply();
    scene.workshop.plan(0);
    let made = [&scene.sigstore.timestamps, &scene.sigstore.other_timestamps];
    assert_eq!(made.map(|it| it.made()), [1, 1]);
    scene.cosign_3(&["--use-signed-timestamps", "--insecure-ignore-tlog"]).success();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simple_signature_carries_the_timestamp_of_the_first_of_two_authorities() {
    let Some(scene) = Scene::new("p256", Log::RekorV1).await else { return };
    scene.stamped_by(&["timestamps", "other_timestamps"]);
    scene.workshop.apply();
    assert_eq!(scene.workshop.plan(0).changes(), ["keep release"]);
    let made = [&scene.sigstore.timestamps, &scene.sigstore.other_timestamps];
    assert_eq!(made.map(|it| it.made()), [1, 0]);
}
