//! What others say of our evidence: OpenSSL, and sigstore's client in Python.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::program::Ends;
use crate::support::cosign::Cosign;
use crate::support::sigstore::Log;
use crate::support::tools::{Finished, Tool};
use crate::world::{WHO, Wanted, Who, World, is_ready};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openssl_verifies_the_timestamp() {
    if !is_ready() {
        return;
    }
    let wanted = Wanted { who: Who::Key, format: "simple-signing", log: None, timestamps: 1 };
    let world = World::new(wanted, 1).await;
    world.apply().ends(0);
    let folder = tempfile::tempdir().unwrap();
    let kept = &Cosign::v3().download_signatures(&world.images[0])[0];
    let stamp = &kept["RFC3161Timestamp"]["SignedRFC3161Timestamp"];
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let signature = STANDARD.decode(kept["Base64Signature"].as_str().unwrap()).unwrap();
    let response = file("response.tsr", &STANDARD.decode(stamp.as_str().unwrap()).unwrap());
    let chain = world.sigstore.folder().join("timestamps.pem");
    let verify = |data: &Path| {
        let mut command = Command::new("openssl");
        command.args(["ts", "-verify", "-data"]).arg(data).arg("-in").arg(&response);
        Finished::of(command.arg("-CAfile").arg(&chain).arg("-untrusted").arg(&chain))
    };
    verify(&file("signature", &signature)).success();
    verify(&file("other", b"something else")).failure();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigstore_for_python_verifies_our_bundles() {
    if !is_ready() || !crate::support::tools::have(&[Tool::Python]) {
        return;
    }
    for log in [Log::RekorV1, Log::RekorV2] {
        let world = World::new(Wanted { log: Some(log), ..Wanted::BUNDLE }, 1).await;
        world.apply().ends(0);
        let bundle = bundle_of(&world);
        let verify = |identity: &str| {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keyless/judge.py");
            let mut command = Command::new(Tool::Python.path());
            command.arg(script).arg(world.sigstore.trusted_root()).arg(&bundle);
            Finished::of(command.args([identity, world.sigstore.issuer()]).env_clear())
        };
        let statement: Value = serde_json::from_str(&verify(WHO).success().stdout).unwrap();
        let digest = world.images[0].rsplit_once(':').unwrap().1;
        assert_eq!(statement["subject"][0]["digest"]["sha256"], digest);
        let other = verify("somebody@example.com").failure();
        assert!(other.stderr.contains("somebody@example.com"), "{other:?}");
    }
}

/// The bundle of the only image, as a file.
fn bundle_of(world: &World) -> PathBuf {
    let crane = |arguments: &[&str]| {
        Finished::of(Command::new(Tool::Crane.path()).args(arguments).arg("--insecure")).success()
    };
    let (repository, digest) = world.images[0].split_once('@').unwrap();
    let tag = format!("{repository}:{}", digest.replace(':', "-"));
    let index: Value = serde_json::from_str(&crane(&["manifest", &tag]).stdout).unwrap();
    let referrer = index["manifests"][0]["digest"].as_str().unwrap();
    let manifest = crane(&["manifest", &format!("{repository}@{referrer}")]).stdout;
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    let bundle = crane(&["blob", &format!("{repository}@{layer}")]).stdout;
    world.sigstore.write("bundle.json", &bundle)
}
