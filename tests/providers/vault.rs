//! `hashivault://` and `openbao://`, on a fake of the transit engine that Vault's own client checks.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use countersign::crypto::{Hash, KeyAlgorithm, PublicKey};
use countersign::keys::memory::MemoryEnvironment;
use countersign::keys::{conformance, create, public_key};
use serde_json::json;

use super::support::fakes::service::Service;
use super::support::fakes::vault::Vault;
use super::support::tools::{self, Tool};
use super::{opened, options, reference, told};

fn environment(vault: &Service<Vault>) -> MemoryEnvironment {
    MemoryEnvironment::default()
        .with_variable("VAULT_ADDR", &vault.url())
        .with_variable("VAULT_TOKEN", &vault.state.token)
}

#[tokio::test]
async fn every_algorithm_conforms() {
    let vault = Vault::start("transit");
    for (kind, algorithm) in [
        ("ecdsa-p256", KeyAlgorithm::EcdsaP256),
        ("ecdsa-p384", KeyAlgorithm::EcdsaP384),
        ("ecdsa-p521", KeyAlgorithm::EcdsaP521),
        ("ed25519", KeyAlgorithm::Ed25519),
        ("rsa-2048", KeyAlgorithm::Rsa(2048)),
        ("rsa-3072", KeyAlgorithm::Rsa(3072)),
        ("rsa-4096", KeyAlgorithm::Rsa(4096)),
    ] {
        vault.state.create(kind, kind);
        let expected = PublicKey::from_pem(&vault.state.public_pem(kind, 1)).unwrap();
        assert_eq!(expected.algorithm(), algorithm);
        for scheme in ["hashivault", "openbao"] {
            let signer = opened(&format!("{scheme}://{kind}"), environment(&vault)).await.unwrap();
            conformance::signer(&*signer, &expected).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_key_is_fetched_once_and_its_version_is_pinned() {
    let vault = Vault::start("transit");
    vault.state.create("k", "ecdsa-p256");
    let signer = opened("hashivault://k", environment(&vault)).await.unwrap();
    vault.state.rotate("k");
    let first = PublicKey::from_pem(&vault.state.public_pem("k", 1)).unwrap();
    for _ in 0..3 {
        assert_eq!(signer.sign(b"a", Hash::Sha256).await.unwrap().public_key, first);
    }
    let asked: Vec<_> =
        vault.asked().iter().map(|it| format!("{} {}", it.method, it.target)).collect();
    let sign = "POST /v1/transit/sign/k/sha2-256";
    assert_eq!(asked, ["GET /v1/transit/keys/k", sign, sign, sign]);
    let second = PublicKey::from_pem(&vault.state.public_pem("k", 2)).unwrap();
    let key = public_key(&reference("hashivault://k"), &options(environment(&vault))).await;
    assert_eq!(key.unwrap(), second);
    // An operator who forbids the old version ends the run, and says so.
    vault.state.forbid_old_versions("k");
    let error = signer.sign(b"a", Hash::Sha256).await.unwrap_err();
    told(&error, "key::disabled", &["less than the minimum", "run again"], &[&vault.state.token]);
}

#[tokio::test]
async fn settings_are_those_of_vaults_own_client() {
    let vault = Vault::start("teams/signing");
    vault.state.create("k", "ecdsa-p256");
    let home = tempfile::tempdir().unwrap();
    let base = || {
        MemoryEnvironment::default()
            .with_variable("BAO_ADDR", &vault.url())
            .with_variable("TRANSIT_SECRET_ENGINE_PATH", "/teams/signing/")
            .with_variable("HOME", home.path().to_str().unwrap())
    };
    let none = opened("openbao://k", base()).await.unwrap_err();
    told(&none, "key::permission", &["there is no token", "vault login"], &[]);

    std::fs::write(home.path().join(".vault-token"), format!("{}\n", vault.state.token)).unwrap();
    opened("openbao://k", base()).await.unwrap();
    // A helper is before the file, and a variable before the helper.
    let helper = home.path().join("helper");
    std::fs::write(&helper, "#!/bin/sh\n[ \"$1\" = get ] && echo wrong-token\n").unwrap();
    std::fs::set_permissions(&helper, PermissionsExt::from_mode(0o700)).unwrap();
    let line = format!("token_helper = \"{}\"\n", helper.display());
    std::fs::write(home.path().join(".vault"), line).unwrap();
    let path = || base().with_variable("PATH", "/usr/bin:/bin");
    let error = opened("openbao://k", path()).await.unwrap_err();
    told(&error, "key::permission", &["403", "teams/signing/sign/NAME"], &["wrong-token"]);
    let token = &vault.state.token;
    std::fs::write(&helper, format!("#!/bin/sh\necho '{token}'\n")).unwrap();
    opened("openbao://k", path()).await.unwrap();
    std::fs::write(&helper, "#!/bin/sh\necho 'the keychain is locked' >&2\nexit 1\n").unwrap();
    let error = opened("openbao://k", path()).await.unwrap_err();
    told(&error, "key::permission", &["the keychain is locked"], &[]);
    vault.asked();
    let all = path()
        .with_variable("BAO_TOKEN", token)
        .with_variable("VAULT_NAMESPACE", "acme/prod")
        .with_variable("VAULT_HEADERS", r#"{"X-Route": "b"}"#)
        .with_variable("VAULT_CLIENT_TIMEOUT", "30s");
    opened("openbao://k", all).await.unwrap();
    let asked = vault.asked();
    assert_eq!(asked[0].header("x-vault-namespace"), "acme/prod");
    assert_eq!(asked[0].header("x-route"), "b");
    assert_eq!(asked[0].header("x-vault-request"), "true");
}

#[tokio::test]
async fn each_failure_has_its_kind_and_says_what_to_do() {
    let vault = Vault::start("transit");
    vault.state.create("k", "ecdsa-p256");
    vault.state.create("aes", "aes256-gcm96");
    let token = vault.state.token.clone();
    let cases: Vec<(&str, MemoryEnvironment, &str, &[&str])> = vec![
        ("hashivault://none", environment(&vault), "key::not_found", &["check the name"]),
        (
            "hashivault://aes",
            environment(&vault),
            "key::unsupported",
            &["aes256-gcm96", "ecdsa-p256"],
        ),
        (
            "hashivault://k",
            environment(&vault).with_variable("TRANSIT_SECRET_ENGINE_PATH", "other"),
            "key::not_found",
            &["there is no transit engine at `other`"],
        ),
        (
            "hashivault://k",
            environment(&vault).with_variable("VAULT_TOKEN", "hvs.wrong"),
            "key::permission",
            &["permission denied", "`update` on transit/sign/NAME"],
        ),
        ("hashivault://k", MemoryEnvironment::default(), "key::not_found", &["set VAULT_ADDR"]),
        (
            "hashivault://k",
            environment(&vault).with_variable("VAULT_ADDR", "user:hunter2@vault"),
            "key::malformed",
            &["VAULT_ADDR is no"],
        ),
        (
            "hashivault://k",
            environment(&vault).with_variable("VAULT_ADDR", "http://127.0.0.1:1"),
            "key::unavailable",
            &["http://127.0.0.1:1", "refused"],
        ),
        (
            "hashivault://k",
            environment(&vault)
                .with_variable("VAULT_ADDR", &vault.url().replace("http:", "https:")),
            "key::tls",
            &["TLS with https://127.0.0.1"],
        ),
        (
            "hashivault://k",
            environment(&vault).with_variable("VAULT_CACERT", "/nowhere/ca.pem"),
            "key::tls",
            &["/nowhere/ca.pem"],
        ),
    ];
    for (key, environment, code, words) in cases {
        let error = opened(key, environment).await.unwrap_err();
        told(&error, code, words, &[&token, "hvs.wrong", "hunter2"]);
    }
}

#[tokio::test]
async fn a_limit_and_a_sealed_vault_are_waited_for() {
    let vault = Vault::start("transit");
    vault.state.create("k", "ecdsa-p256");
    vault.fail_next(
        429,
        json!({ "errors": ["request path \"transit\": rate limit quota exceeded"] }),
    );
    let signer = opened("hashivault://k", environment(&vault)).await.unwrap();
    vault.fail_next(503, json!({ "errors": ["Vault is sealed"] }));
    vault.fail_next(429, json!(null));
    vault.fail_next(500, json!({ "errors": ["internal error"] }));
    signer.sign(b"a", Hash::Sha256).await.unwrap();
    assert_eq!(vault.asked().len(), 2 + 4);
}

/// Lets time pass, without waiting for it.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_token_is_renewed_in_a_long_run_and_never_in_a_short_one() {
    let vault = Vault::start("transit");
    vault.state.create("k", "ecdsa-p256");
    let (sign, renew) = ("/v1/transit/sign/k/sha2-256", "/v1/auth/token/renew-self");
    let open = || async { opened("hashivault://k", environment(&vault)).await.unwrap() };
    let signer = open().await;
    let asked = |seconds: u64| {
        let signer = &signer;
        let vault = &vault;
        async move {
            vault.asked();
            pass(seconds).await;
            let two = futures::future::join(
                signer.sign(b"a", Hash::Sha256),
                signer.sign(b"b", Hash::Sha256),
            );
            let (one, other) = two.await;
            assert!(one.is_ok() && other.is_ok());
            let mut targets: Vec<_> = vault.asked().into_iter().map(|it| it.target).collect();
            targets.sort();
            targets
        }
    };
    assert_eq!(asked(30).await, [sign, sign]);
    // Only one of those who sign renews it, for ten minutes.
    assert_eq!(asked(31).await, [renew, sign, sign]);
    assert_eq!(asked(290).await, [sign, sign]);
    // A Vault that fails then is asked again later.
    vault.fail_next_on("renew-self", 501, json!({ "errors": ["not now"] }));
    assert_eq!(asked(20).await, [renew, sign, sign]);
    assert_eq!(asked(20).await, [sign, sign]);
    assert_eq!(asked(20).await, [renew, sign, sign]);
    // What cannot be renewed may last to the end of the run, or not: it is never asked for again.
    let signer = open().await;
    let last = json!({ "errors": ["lease is not renewable"] });
    vault.fail_next_on("renew-self", 400, last);
    for seconds in [61, 1000] {
        pass(seconds).await;
        signer.sign(b"a", Hash::Sha256).await.unwrap();
    }
    let renewals = vault.asked().into_iter().filter(|it| it.target == renew).count();
    assert_eq!(renewals, 1);
}

#[tokio::test]
async fn an_answer_that_is_not_right_is_no_signature() {
    let vault = Vault::start("transit");
    vault.state.create("k", "ecdsa-p256");
    let signer = opened("hashivault://k", environment(&vault)).await.unwrap();
    for (signature, words) in [
        ("vault:v2:AAAA", "version 2 of the key has signed, not 1"),
        ("vault:v1:AAAA", "not good under the public key"),
        ("vault:v1:%%%%", "not base64"),
        ("AAAA", "no signature"),
    ] {
        vault.fail_next(200, json!({ "data": { "signature": signature } }));
        let error = signer.sign(b"a", Hash::Sha256).await.unwrap_err();
        told(&error, "key::mismatch", &[words], &[]);
    }
}

#[tokio::test]
async fn a_new_key_is_p256_and_none_is_overwritten() {
    let vault = Vault::start("transit");
    let (key, options) = (reference("hashivault://new"), options(environment(&vault)));
    let made = create(&key, &options).await.unwrap();
    assert_eq!(made.algorithm(), KeyAlgorithm::EcdsaP256);
    assert_eq!(made, PublicKey::from_pem(&vault.state.public_pem("new", 1)).unwrap());
    told(&create(&key, &options).await.unwrap_err(), "key::exists", &["choose another name"], &[]);
    assert_eq!(public_key(&key, &options).await.unwrap(), made);
}

/// Vault's own client finds the fake to be a Vault, so that what the other tests say counts.
#[test]
fn hvac_takes_the_fake_for_a_vault() {
    const SCRIPT: &str = r#"
import base64, hvac, sys
client = hvac.Client(url=sys.argv[1], token=sys.argv[2])
transit = client.secrets.transit
text = base64.b64encode(b"message").decode()
hashes = {"ecdsa-p384": "sha2-384", "ecdsa-p521": "sha2-512"}
for kind in ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "ed25519", "rsa-2048", "rsa-3072", "rsa-4096"]:
    hash = hashes.get(kind, "sha2-256")
    transit.create_key(kind, key_type=kind)
    transit.rotate_key(kind)
    data = transit.read_key(kind)["data"]
    assert data["latest_version"] == 2 and data["type"] == kind, data
    assert set(data["keys"]) == {"1", "2"}, data
    assert data["keys"]["2"]["public_key"], data
    made = transit.sign_data(kind, hash_input=text, hash_algorithm=hash, signature_algorithm="pkcs1v15")["data"]["signature"]
    assert made.startswith("vault:v2:"), made
    checked = transit.verify_signed_data(kind, hash_input=text, signature=made, hash_algorithm=hash, signature_algorithm="pkcs1v15")
    assert checked["data"]["valid"] is True, checked
    other = base64.b64encode(b"other").decode()
    checked = transit.verify_signed_data(kind, hash_input=other, signature=made, hash_algorithm=hash, signature_algorithm="pkcs1v15")
    assert checked["data"]["valid"] is False, checked
assert client.auth.token.renew_self()["auth"]["renewable"] is True
try:
    transit.read_key("absent")
    sys.exit("an absent key was read")
except hvac.exceptions.InvalidPath:
    pass
try:
    hvac.Client(url=sys.argv[1], token="wrong").secrets.transit.read_key("ed25519")
    sys.exit("a wrong token was taken")
except hvac.exceptions.Forbidden:
    pass
"#;
    if !tools::have(&[Tool::Python]) {
        return;
    }
    let vault = Vault::start("transit");
    let output = Command::new(Tool::Python.path())
        .args(["-c", SCRIPT, &vault.url(), &vault.state.token])
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
