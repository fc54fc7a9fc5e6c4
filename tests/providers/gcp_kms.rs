//! `gcpkms://`, on a fake of Cloud KMS that Google's own client checks.

use std::path::Path;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign::crypto::{Hash, KeyAlgorithm, PublicKey};
use countersign::keys::memory::MemoryEnvironment;
use countersign::keys::{conformance, create, open};
use serde_json::{Value, json};

use super::support::fakes::gcp::{Gcp, RING, crc32c};
use super::support::fakes::service::Service;
use super::support::judge::{JUDGES, Judge};
use super::support::tools::{self, Tool};
use super::{opened, options, reference, told};

/// Credentials from the metadata server.
fn environment(gcp: &Service<Gcp>) -> MemoryEnvironment {
    base(gcp).with_variable("GCE_METADATA_HOST", &gcp.address().to_string())
}

fn base(gcp: &Service<Gcp>) -> MemoryEnvironment {
    MemoryEnvironment::default()
        .with_variable("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS", &format!("{}/", gcp.url()))
}

fn expected(gcp: &Service<Gcp>, key: &str, number: usize) -> PublicKey {
    PublicKey::from_pem(&gcp.state.public_pem(key, number)).unwrap()
}

#[tokio::test]
async fn every_algorithm_conforms_and_cosign_verifies_it() {
    let gcp = Gcp::start();
    let judge = if tools::have(JUDGES) { Some(Judge::new().await) } else { None };
    for (kind, name, algorithm, hash) in [
        ("ecdsa-p256", "EC_SIGN_P256_SHA256", KeyAlgorithm::EcdsaP256, Hash::Sha256),
        ("ecdsa-p384", "EC_SIGN_P384_SHA384", KeyAlgorithm::EcdsaP384, Hash::Sha384),
        ("rsa-2048", "RSA_SIGN_PKCS1_2048_SHA256", KeyAlgorithm::Rsa(2048), Hash::Sha256),
        ("rsa-3072", "RSA_SIGN_PKCS1_3072_SHA256", KeyAlgorithm::Rsa(3072), Hash::Sha256),
        ("rsa-4096", "RSA_SIGN_PKCS1_4096_SHA512", KeyAlgorithm::Rsa(4096), Hash::Sha512),
        ("ed25519", "EC_SIGN_ED25519", KeyAlgorithm::Ed25519, Hash::Sha256),
    ] {
        gcp.state.create(kind, kind, name);
        let expected = expected(&gcp, kind, 1);
        assert_eq!(expected.algorithm(), algorithm);
        for suffix in ["", "/cryptoKeyVersions/1", "/versions/1"] {
            let text = format!("gcpkms://{RING}/{kind}{suffix}");
            let signer = opened(&text, environment(&gcp)).await.unwrap();
            conformance::signer(&*signer, &expected).await.unwrap();
            if let (Some(judge), "") = (&judge, suffix) {
                judge.verify(&*signer, hash).await;
            }
            if hash != Hash::Sha256 {
                let error = signer.sign(b"", Hash::Sha256).await.unwrap_err();
                told(&error, "key::unsupported", &[&format!("`hash = \"{hash}\"`")], &[]);
            }
        }
    }
}

#[tokio::test]
async fn without_a_version_the_newest_enabled_one_signs_for_the_whole_run() {
    let gcp = Gcp::start();
    for _ in 0..11 {
        gcp.state.create("k", "ecdsa-p256", "EC_SIGN_P256_SHA256");
    }
    gcp.state.disable("k", 11);
    let signer = opened(&format!("gcpkms://{RING}/k"), environment(&gcp)).await.unwrap();
    // 10 is newer than 9, though not by the alphabet.
    assert_eq!(signer.public_key(), Some(&expected(&gcp, "k", 10)));
    gcp.state.create("k", "ecdsa-p256", "EC_SIGN_P256_SHA256");
    gcp.asked();
    for _ in 0..3 {
        signer.sign(b"a", Hash::Sha256).await.unwrap();
    }
    let asked: Vec<_> = gcp.asked().iter().map(|it| it.target.clone()).collect();
    // One token for the run.
    assert_eq!(asked, vec![format!("/v1/{RING}/k/cryptoKeyVersions/10:asymmetricSign"); 3]);
}

#[tokio::test]
async fn credentials_are_the_application_default_ones() {
    let gcp = Gcp::start();
    gcp.state.create("k", "ecdsa-p256", "EC_SIGN_P256_SHA256");
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let token_uri = format!("{}/token", gcp.url());
    let account = json!({
        "type": "service_account", "client_email": "signer@acme.iam.gserviceaccount.com", "private_key_id": "1",
        "private_key": gcp.state.account.private_pem().unwrap(), "token_uri": token_uri,
    });
    let user = json!({
        "type": "authorized_user", "client_id": "id", "client_secret": "no-secret", "token_uri": token_uri,
        "refresh_token": gcp.state.refresh_token, "quota_project_id": "acme-quota",
    });
    let subject = write("subject", &format!("{}\n", gcp.state.subject_token));
    let federated = |source: Value| {
        json!({
            "type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": token_uri, "credential_source": source,
            "service_account_impersonation_url": format!("{}/v1/impersonate", gcp.url()),
        })
    };
    let by_url = json!({ "url": format!("{}/subject", gcp.url()), "headers": { "X-CI": "1" }, "format": { "type": "json", "subject_token_field_name": "value" } });
    let impersonated = json!({
        "type": "impersonated_service_account", "source_credentials": user,
        "service_account_impersonation_url": format!("{}/v1/impersonate", gcp.url()),
    });
    let reference = format!("gcpkms://{RING}/k/versions/1");
    for content in [
        account,
        user.clone(),
        federated(json!({ "file": subject })),
        federated(by_url),
        impersonated,
    ] {
        let file = write("credentials.json", &content.to_string());
        let environment = base(&gcp).with_variable("GOOGLE_APPLICATION_CREDENTIALS", &file);
        let opened = opened(&reference, environment).await;
        opened.unwrap_or_else(|error| panic!("{}: {error:?}", content["type"]));
    }
    // What gcloud wrote, with the project that pays.
    write(".config/gcloud/application_default_credentials.json", &user.to_string());
    gcp.asked();
    let environment = base(&gcp).with_variable("HOME", home.path().to_str().unwrap());
    opened(&reference, environment).await.unwrap();
    assert_eq!(gcp.asked()[1].header("x-goog-user-project"), "acme-quota");

    // What is refused is said without the secret.
    let revoked = Value::from("1//revoked-refresh-token");
    let mut wrong = user;
    wrong["refresh_token"] = revoked;
    let file = write("wrong.json", &wrong.to_string());
    let environment = base(&gcp).with_variable("GOOGLE_APPLICATION_CREDENTIALS", &file);
    let error = opened(&reference, environment).await.unwrap_err();
    let secrets = ["revoked-refresh-token", "no-secret"];
    told(&error, "key::permission", &["authorized_user", "400"], &secrets);
    for (file, code, words) in [
        (write("text", "no json: no-secret"), "key::malformed", "are no JSON"),
        ("/nowhere/a.json".into(), "key::permission", "cannot read the credentials /nowhere"),
        (write("type", r#"{"type": "gdch"}"#), "key::malformed", "`gdch` is not taken"),
    ] {
        let environment = base(&gcp).with_variable("GOOGLE_APPLICATION_CREDENTIALS", &file);
        told(&opened(&reference, environment).await.unwrap_err(), code, &[words], &secrets);
    }
    let nobody = base(&gcp).with_variable("GCE_METADATA_HOST", "127.0.0.1:9");
    let error = opened(&reference, nobody).await.unwrap_err();
    told(&error, "key::permission", &["no credentials", "gcloud auth"], &[]);
}

#[tokio::test]
async fn a_new_key_is_p256_and_waited_for_and_none_is_overwritten() {
    let gcp = Gcp::start();
    let key = reference(&format!("gcpkms://{RING}/new"));
    let options = options(environment(&gcp));
    let made = create(&key, &options).await.unwrap();
    assert_eq!(made.algorithm(), KeyAlgorithm::EcdsaP256);
    let asked: Vec<_> = gcp.asked().iter().map(|it| it.target.clone()).collect();
    let version = format!("/v1/{RING}/new/cryptoKeyVersions/1");
    let looks = asked.iter().filter(|it| **it == version).count();
    assert_eq!(looks, 2, "the first version is waited for: {asked:?}");
    let signer = open(&key, &options).await.unwrap();
    assert_eq!(signer.sign(b"a", Hash::Sha256).await.unwrap().public_key, made);
    let error = create(&key, &options).await.unwrap_err();
    told(&error, "key::exists", &["already exists", "choose another name"], &[]);
    let error = create(&reference(&format!("gcpkms://{RING}/new/versions/2")), &options).await;
    told(&error.unwrap_err(), "key::unsupported", &["leave the version out"], &[]);
}

#[tokio::test]
async fn a_key_ring_that_is_missing_is_made() {
    let gcp = Gcp::start();
    let missing = json!({ "error": { "status": "NOT_FOUND", "message": "KeyRing not found." } });
    gcp.fail_next_on("/keyRings/release", 404, missing);
    gcp.fail_next_on("/keyRings", 200, json!({}));
    let options = options(environment(&gcp));
    create(&reference(&format!("gcpkms://{RING}/new")), &options).await.unwrap();
    let asked: Vec<_> = gcp.asked().iter().map(|it| it.target.clone()).collect();
    let ring = "/v1/projects/acme/locations/europe-west1/keyRings?keyRingId=release".to_owned();
    assert!(asked.contains(&ring), "{asked:?}");
}

#[tokio::test]
async fn what_fails_says_why() {
    let gcp = Gcp::start();
    gcp.state.create("k", "ecdsa-p256", "EC_SIGN_P256_SHA256");
    gcp.state.create("off", "ecdsa-p256", "EC_SIGN_P256_SHA256");
    gcp.state.disable("off", 1);
    gcp.state.create("pss", "rsa-2048", "RSA_SIGN_PSS_2048_SHA256");
    let (token, ring) = (gcp.state.token.clone(), format!("gcpkms://{RING}"));
    for (reference, code, words) in [
        (format!("{ring}/absent"), "key::not_found", ["404", "check project"]),
        (format!("{ring}/k/versions/9"), "key::not_found", ["404", "check project"]),
        (format!("{ring}/off"), "key::disabled", ["no enabled version", "versions enable"]),
        (format!("{ring}/off/versions/1"), "key::disabled", ["DISABLED", "versions enable"]),
        (format!("{ring}/pss"), "key::unsupported", ["RSA_SIGN_PSS_2048_SHA256", "RSA_SIGN_PKCS1"]),
    ] {
        let error = opened(&reference, environment(&gcp)).await.unwrap_err();
        told(&error, code, &words, &[&token]);
    }
    let reference = format!("{ring}/k/versions/1");
    let signer = opened(&reference, environment(&gcp)).await.unwrap();
    let fault =
        |status: &str, message: &str| json!({ "error": { "status": status, "message": message } });
    let denied =
        fault("PERMISSION_DENIED", "Permission 'cloudkms.cryptoKeyVersions.useToSign' denied");
    gcp.fail_next(403, denied);
    let error = signer.sign(b"a", Hash::Sha256).await.unwrap_err();
    told(&error, "key::permission", &["useToSign", "roles/cloudkms.signerVerifier"], &[&token]);
    // What passes is tried again.
    gcp.fail_next(429, fault("RESOURCE_EXHAUSTED", "Quota exceeded"));
    gcp.fail_next(503, fault("UNAVAILABLE", "try again"));
    signer.sign(b"a", Hash::Sha256).await.unwrap();
    // Nobody is there.
    let closed = MemoryEnvironment::default()
        .with_variable("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS", "http://127.0.0.1:9/")
        .with_variable("GCE_METADATA_HOST", &gcp.address().to_string());
    told(
        &opened(&reference, closed).await.unwrap_err(),
        "key::unavailable",
        &["127.0.0.1:9"],
        &[&token],
    );
}

#[tokio::test]
async fn what_was_damaged_on_its_way_is_asked_for_again_and_never_taken() {
    let gcp = Gcp::start();
    let name = gcp.state.create("k", "ecdsa-p256", "EC_SIGN_P256_SHA256");
    let signer = opened(&format!("gcpkms://{RING}/k"), environment(&gcp)).await.unwrap();
    let bytes = [1, 2, 3];
    let sum = crc32c(&bytes);
    let answer = |sum: u32, verified: bool, name: &str| json!({ "signature": STANDARD.encode(bytes), "signatureCrc32c": sum.to_string(), "verifiedDigestCrc32c": verified, "name": name });
    for (body, words) in [
        (answer(sum + 1, true, &name), "signature was damaged"),
        (answer(sum, false, &name), "digest was damaged"),
    ] {
        // Twice is borne, three times is not.
        gcp.fail_next(200, body.clone());
        gcp.fail_next(200, body.clone());
        signer.sign(b"a", Hash::Sha256).await.unwrap();
        (0..3).for_each(|_| gcp.fail_next(200, body.clone()));
        let error = signer.sign(b"a", Hash::Sha256).await.unwrap_err();
        told(&error, "key::unavailable", &[words], &[]);
    }
    gcp.fail_next(200, answer(sum, true, &name));
    let error = signer.sign(b"a", Hash::Sha256).await.unwrap_err();
    told(&error, "key::mismatch", &["not good under the public key"], &[]);
    gcp.fail_next(200, answer(sum, true, "another"));
    let error = signer.sign(b"a", Hash::Sha256).await.unwrap_err();
    told(&error, "key::mismatch", &["another version"], &[]);
}

/// Google's own client finds the fake to be Cloud KMS, so that what the other tests say counts.
#[test]
fn googles_client_takes_the_fake_for_cloud_kms() {
    const SCRIPT: &str = r#"
import base64, hashlib, sys
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.api_core.exceptions import BadRequest, NotFound
from google.cloud import kms_v1
from google.oauth2.credentials import Credentials
url, token, ring = sys.argv[1:]
client = kms_v1.KeyManagementServiceClient(transport="rest", credentials=Credentials(token), client_options={"api_endpoint": url})
for key in ["ecdsa-p256", "rsa-2048"]:
    parent = f"{ring}/{key}"
    versions = list(client.list_crypto_key_versions(request={"parent": parent, "filter": "state=ENABLED", "order_by": "name desc"}))
    assert [it.name for it in versions] == [f"{parent}/cryptoKeyVersions/1"], versions
    public = client.get_public_key(name=versions[0].name)
    assert public.pem_crc32c and public.name == versions[0].name, public
    digest = hashlib.sha256(b"message").digest()
    made = client.asymmetric_sign(request={"name": versions[0].name, "digest": {"sha256": digest}})
    assert made.signature_crc32c and not made.verified_digest_crc32c, made
    loaded = load_pem_public_key(public.pem.encode())
    if key.startswith("rsa"):
        loaded.verify(made.signature, b"message", padding.PKCS1v15(), hashes.SHA256())
    else:
        loaded.verify(made.signature, b"message", ec.ECDSA(hashes.SHA256()))
name = f"{ring}/ed25519/cryptoKeyVersions/1"
public = load_pem_public_key(client.get_public_key(name=name).pem.encode())
public.verify(client.asymmetric_sign(request={"name": name, "data": b"message"}).signature, b"message")
made = client.create_crypto_key(parent=ring.removesuffix("/cryptoKeys"), crypto_key_id="made", crypto_key={
    "purpose": kms_v1.CryptoKey.CryptoKeyPurpose.ASYMMETRIC_SIGN,
    "version_template": {"algorithm": kms_v1.CryptoKeyVersion.CryptoKeyVersionAlgorithm.EC_SIGN_P256_SHA256},
})
assert made.name == f"{ring}/made", made
version = client.get_crypto_key_version(name=f"{made.name}/cryptoKeyVersions/1")
assert version.state == kms_v1.CryptoKeyVersion.CryptoKeyVersionState.PENDING_GENERATION, version
version = client.get_crypto_key_version(name=f"{made.name}/cryptoKeyVersions/1")
assert version.state == kms_v1.CryptoKeyVersion.CryptoKeyVersionState.ENABLED, version
assert client.get_key_ring(name=ring.removesuffix("/cryptoKeys")).name
for name, error in [(f"{ring}/absent/cryptoKeyVersions/1", NotFound), (f"{ring}/off/cryptoKeyVersions/1", BadRequest)]:
    try:
        client.get_public_key(name=name)
        sys.exit(f"{name} was read")
    except error:
        pass
"#;
    if !tools::have(&[Tool::Python]) {
        return;
    }
    let gcp = Gcp::start();
    gcp.state.create("ecdsa-p256", "ecdsa-p256", "EC_SIGN_P256_SHA256");
    gcp.state.create("rsa-2048", "rsa-2048", "RSA_SIGN_PKCS1_2048_SHA256");
    gcp.state.create("ed25519", "ed25519", "EC_SIGN_ED25519");
    gcp.state.create("off", "ecdsa-p256", "EC_SIGN_P256_SHA256");
    gcp.state.disable("off", 1);
    let python: &Path = &Tool::Python.path();
    let output = Command::new(python)
        .args(["-c", SCRIPT, &gcp.url(), &gcp.state.token, RING])
        .env_clear()
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
