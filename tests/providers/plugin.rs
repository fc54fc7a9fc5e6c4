//! `sigstore-kms-<scheme>`: a plugin of shell and openssl, and some that misbehave.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use countersign::crypto::{Hash, KeyAlgorithm, PublicKey};
use countersign::keys::memory::MemoryEnvironment;
use countersign::keys::{Signer, conformance, create};
use tempfile::TempDir;

use super::support::tools::{self, Tool};
use super::{opened, options, reference, told};

/// A key in a PEM file, signed with by openssl. It keeps count of its runs.
pub(super) const LOCAL: &str = include_str!("../support/local_plugin.sh");

/// A folder with a plugin, and an environment whose `PATH` has it.
fn plugin(scheme: &str, script: &str) -> (TempDir, MemoryEnvironment) {
    let folder = tempfile::tempdir().unwrap();
    self::script(folder.path(), scheme, script);
    let environment = MemoryEnvironment::default()
        .with_variable("PATH", &format!("{}:/usr/bin:/bin", folder.path().display()))
        .with_variable("TOKEN", "hunter2")
        .with_variable("RUNS", folder.path().join("runs").to_str().unwrap());
    (folder, environment)
}

/// Makes a script the plugin for a scheme, in a folder of `PATH`.
pub(super) fn script(folder: &Path, scheme: &str, script: &str) {
    let path = folder.join(format!("sigstore-kms-{scheme}"));
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
}

pub(super) fn openssl(folder: &Path, arguments: &str) {
    let words = arguments.split(' ');
    let output = Command::new("openssl").args(words).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn every_algorithm_conforms() {
    for (arguments, algorithm) in [
        ("ecparam -name prime256v1 -genkey -noout -out key.pem", KeyAlgorithm::EcdsaP256),
        ("ecparam -name secp384r1 -genkey -noout -out key.pem", KeyAlgorithm::EcdsaP384),
        ("ecparam -name secp521r1 -genkey -noout -out key.pem", KeyAlgorithm::EcdsaP521),
        ("genrsa -out key.pem 2048", KeyAlgorithm::Rsa(2048)),
        ("genrsa -out key.pem 3072", KeyAlgorithm::Rsa(3072)),
        ("genrsa -out key.pem 4096", KeyAlgorithm::Rsa(4096)),
    ] {
        let (folder, environment) = plugin("local", LOCAL);
        openssl(folder.path(), arguments);
        openssl(folder.path(), "pkey -in key.pem -pubout -out key.pub");
        let public = std::fs::read_to_string(folder.path().join("key.pub")).unwrap();
        let expected = PublicKey::from_pem(&public).unwrap();
        assert_eq!(expected.algorithm(), algorithm);
        let key = format!("local://{}", folder.path().join("key.pem").display());
        let signer = opened(&key, environment).await.unwrap();
        conformance::signer(&*signer, &expected).await.unwrap();
        let runs = std::fs::read_to_string(folder.path().join("runs")).unwrap().lines().count();
        assert_eq!(runs, 1 + 3 * 3, "one for the key, one for each signature");
    }
}

/// With Python: openssl signs no empty file with Ed25519, which the suite asks for.
#[tokio::test]
async fn ed25519_conforms() {
    const SCRIPT: &str = r#"import base64, json, sys
from cryptography.hazmat.primitives import serialization
arguments = json.loads(sys.argv[2])
key = serialization.load_pem_private_key(open(arguments["initOptions"]["keyResourceID"], "rb").read(), None)
text = lambda content: base64.b64encode(content).decode()
if arguments["methodName"] == "publicKey":
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    print(json.dumps({"publicKey": {"publicKeyPEM": text(pem)}}))
else:
    print(json.dumps({"signMessage": {"signature": text(key.sign(sys.stdin.buffer.read()))}}))
"#;
    if !tools::have(&[Tool::Python]) {
        return;
    }
    let run = "#!/bin/sh\nexec \"$PYTHON\" \"$SCRIPT\" \"$@\"\n";
    let (folder, environment) = plugin("python", run);
    openssl(folder.path(), "genpkey -algorithm ed25519 -out key.pem");
    openssl(folder.path(), "pkey -in key.pem -pubout -out key.pub");
    let script = folder.path().join("plugin.py");
    std::fs::write(&script, SCRIPT).unwrap();
    let environment = environment
        .with_variable("PYTHON", Tool::Python.path().to_str().unwrap())
        .with_variable("SCRIPT", script.to_str().unwrap());
    let public = std::fs::read_to_string(folder.path().join("key.pub")).unwrap();
    let expected = PublicKey::from_pem(&public).unwrap();
    assert_eq!(expected.algorithm(), KeyAlgorithm::Ed25519);
    let key = format!("python://{}", folder.path().join("key.pem").display());
    let signer = opened(&key, environment).await.unwrap();
    conformance::signer(&*signer, &expected).await.unwrap();
}

#[tokio::test]
async fn a_key_is_made_with_the_default_algorithm_and_none_is_overwritten() {
    let (folder, environment) = plugin("local", LOCAL);
    let key = reference(&format!("local://{}", folder.path().join("new.pem").display()));
    let options = options(environment);
    let made = create(&key, &options).await.unwrap();
    assert_eq!(made.algorithm(), KeyAlgorithm::EcdsaP256);
    told(&create(&key, &options).await.unwrap_err(), "key::exists", &["has a key"], &[]);
}

async fn error_of(script: &str) -> countersign::keys::KeyError {
    let (_folder, environment) = plugin("acme", script);
    opened("acme://release", environment).await.unwrap_err()
}

#[tokio::test]
async fn each_failure_has_its_kind_and_says_what_the_plugin_said() {
    let said = |text: &str| format!("#!/bin/sh\necho '{{\"errorMessage\":\"{text}\"}}'\nexit 1\n");
    for (script, code, words) in [
        (said("key release not found"), "key::not_found", "key release not found"),
        (said("access denied for user"), "key::permission", "access denied"),
        (said("the key is disabled"), "key::disabled", "disabled"),
        (said("algorithm not taken"), "key::unsupported", "algorithm not taken"),
        ("#!/bin/sh\necho oops; echo 'broken pipe' >&2\n".into(), "key::malformed", "broken pipe"),
        ("#!/bin/sh\necho '{}'\n".into(), "key::malformed", "lacks what was asked for"),
        ("#!/bin/sh\nyes\n".into(), "key::malformed", "more than 1 MiB"),
        (
            "#!/bin/sh\necho \"{\\\"errorMessage\\\":\\\"x\\\"}\" | tr x '\\033'\n".into(),
            "key::malformed",
            "not the JSON",
        ),
    ] {
        told(&error_of(&script).await, code, &[words, "sigstore-kms-acme"], &["hunter2"]);
    }
    let nowhere = MemoryEnvironment::default().with_variable("PATH", "/usr/bin:relative");
    let error = opened("acme://release", nowhere).await.unwrap_err();
    told(&error, "key::not_found", &["no program `sigstore-kms-acme` on PATH"], &[]);
}

#[tokio::test]
async fn a_limit_is_waited_for_and_a_plugin_that_hangs_is_killed() {
    let script = "#!/bin/sh\necho run >> \"$RUNS\"\n[ $(wc -l < \"$RUNS\") -ge 3 ] || { echo '{\"errorMessage\":\"too many requests\"}'; exit 0; }\necho '{\"errorMessage\":\"key not found\"}'\n";
    told(&error_of(script).await, "key::not_found", &[], &[]);
    let began = Instant::now();
    let error = error_of("#!/bin/sh\nexec sleep 60\n").await;
    told(&error, "key::unavailable", &["no answer within 3 s"], &[]);
    assert!(began.elapsed().as_secs() < 30);
}

#[tokio::test]
async fn a_plugin_that_signs_with_another_key_is_caught() {
    let (folder, environment) = plugin("local", LOCAL);
    openssl(folder.path(), "ecparam -name prime256v1 -genkey -noout -out key.pem");
    let key = format!("local://{}", folder.path().join("key.pem").display());
    let signer: Arc<dyn Signer> = opened(&key, environment).await.unwrap();
    signer.sign(b"a", Hash::Sha256).await.unwrap();
    openssl(folder.path(), "ecparam -name prime256v1 -genkey -noout -out key.pem");
    let error = signer.sign(b"a", Hash::Sha256).await.unwrap_err();
    told(&error, "key::mismatch", &["not good under the public key"], &[]);
}
