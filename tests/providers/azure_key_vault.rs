//! `azurekms://`, on a fake of Key Vault that Azure's own client checks.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use countersign::crypto::{Hash, KeyAlgorithm, PublicKey};
use countersign::keys::memory::MemoryEnvironment;
use countersign::keys::{conformance, create, open};
use der::Decode;
use der::asn1::{SequenceOf, UintRef};
use serde_json::json;

use super::support::certificates::{Authority, Purpose, Validity};
use super::support::fakes::azure::Azure;
use super::support::fakes::service::Service;
use super::support::judge::{JUDGES, Judge};
use super::support::tools::{self, Tool};
use super::{opened, told};

/// Credentials from the machine.
fn environment(azure: &Service<Azure>) -> MemoryEnvironment {
    MemoryEnvironment::default().with_variable("AZURE_POD_IDENTITY_AUTHORITY_HOST", &azure.url())
}

/// Credentials of a client that is yet to be proven.
fn client(azure: &Service<Azure>) -> MemoryEnvironment {
    MemoryEnvironment::default()
        .with_variable("AZURE_AUTHORITY_HOST", &azure.url())
        .with_variable("AZURE_TENANT_ID", "tenant-1")
        .with_variable("AZURE_CLIENT_ID", "client-1")
}

fn reference(azure: &Service<Azure>, key: &str) -> String {
    format!("azurekms://{}/{key}", azure.address())
}

#[tokio::test]
async fn every_algorithm_conforms_and_cosign_verifies_it() {
    let azure = Azure::start();
    let judge = if tools::have(JUDGES) { Some(Judge::new().await) } else { None };
    for (kind, type_, algorithm, hash) in [
        ("ecdsa-p256", "EC", KeyAlgorithm::EcdsaP256, Hash::Sha256),
        ("ecdsa-p384", "EC-HSM", KeyAlgorithm::EcdsaP384, Hash::Sha384),
        ("ecdsa-p521", "EC", KeyAlgorithm::EcdsaP521, Hash::Sha512),
        ("rsa-2048", "RSA", KeyAlgorithm::Rsa(2048), Hash::Sha256),
        ("rsa-3072", "RSA-HSM", KeyAlgorithm::Rsa(3072), Hash::Sha256),
        ("rsa-4096", "RSA", KeyAlgorithm::Rsa(4096), Hash::Sha256),
    ] {
        let version = azure.state.create(kind, kind, type_);
        let expected = PublicKey::from_pem(&azure.state.public_pem(kind, &version)).unwrap();
        assert_eq!(expected.algorithm(), algorithm);
        for suffix in [String::new(), format!("/{version}")] {
            let text = reference(&azure, &format!("{kind}{suffix}"));
            let signer = opened(&text, environment(&azure)).await.unwrap();
            assert_eq!(signer.sign(b"a", hash).await.unwrap().public_key, expected);
            if suffix.is_empty() {
                conformance::signer(&*signer, &expected).await.unwrap();
            }
            if let (Some(judge), "") = (&judge, suffix.as_str()) {
                judge.verify(&*signer, hash).await;
            }
            if hash != Hash::Sha256 {
                let error = signer.sign(b"", Hash::Sha256).await.unwrap_err();
                told(&error, "key::unsupported", &[&format!("`hash = \"{hash}\"`")], &[]);
            }
        }
    }
}

/// One signature in 128 has a zero in front of one of its halves; cosign refuses those (its issue 3709).
#[tokio::test]
async fn a_short_half_is_no_trouble() {
    let azure = Azure::start();
    azure.state.create("k", "ecdsa-p256", "EC");
    let signer = opened(&reference(&azure, "k"), environment(&azure)).await.unwrap();
    let mut messages = 0..10_000_u32;
    let is_short = |der: &[u8]| {
        let numbers = SequenceOf::<UintRef<'_>, 2>::from_der(der).unwrap();
        numbers.iter().any(|it| it.as_bytes().len() < 32)
    };
    // Each is verified before it comes back; a short one comes after some hundred.
    loop {
        let message = messages.next().unwrap().to_be_bytes();
        let signed = signer.sign(&message, Hash::Sha256).await.unwrap();
        if is_short(signed.signature.as_bytes()) {
            break;
        }
    }
}

#[tokio::test]
async fn without_a_version_the_latest_signs_for_the_whole_run() {
    let azure = Azure::start();
    azure.state.create("k", "ecdsa-p256", "EC");
    let second = azure.state.create("k", "ecdsa-p256", "EC");
    let signer = opened(&reference(&azure, "k"), environment(&azure)).await.unwrap();
    let expected = PublicKey::from_pem(&azure.state.public_pem("k", &second)).unwrap();
    assert_eq!(signer.public_key(), Some(&expected));
    azure.state.create("k", "ecdsa-p256", "EC");
    azure.asked();
    for _ in 0..3 {
        signer.sign(b"a", Hash::Sha256).await.unwrap();
    }
    let asked: Vec<_> = azure.asked().iter().map(|it| it.target.clone()).collect();
    assert_eq!(asked, vec![format!("/keys/k/{second}/sign?api-version=7.4"); 3]);
}

#[tokio::test]
async fn credentials_are_those_of_the_default_chain_in_its_order() {
    let azure = Azure::start();
    azure.state.create("k", "ecdsa-p256", "EC");
    let (key, folder) = (reference(&azure, "k"), tempfile::tempdir().unwrap());
    let write = |name: &str, content: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let secret = &azure.state.client_secret;
    let federated = write("federated", &format!("{}\n", azure.state.federated_token));
    // Only the key of the certificate counts here; whose certificate it is, Entra ID knows.
    let certificate =
        Authority::root("root").leaf(Purpose::CodeSigning("a@acme.example"), Validity::LONG);
    let pem = azure.state.client.private_pem().unwrap() + certificate.pem();
    let certificate = write("client.pem", &pem);
    let app_service = || {
        MemoryEnvironment::default()
            .with_variable("IDENTITY_ENDPOINT", &format!("{}/msi", azure.url()))
            .with_variable("IDENTITY_HEADER", "app")
    };
    let path = "AZURE_CLIENT_CERTIFICATE_PATH";
    for (environment, asked) in [
        (
            client(&azure)
                .with_variable("AZURE_CLIENT_SECRET", secret)
                .with_variable(path, "/nowhere"),
            "/tenant-1/oauth2/v2.0/token",
        ),
        (client(&azure).with_variable(path, &certificate), "/tenant-1/oauth2/v2.0/token"),
        (
            client(&azure).with_variable("AZURE_FEDERATED_TOKEN_FILE", &federated),
            "/tenant-1/oauth2/v2.0/token",
        ),
        (app_service(), "/msi"),
        (environment(&azure), "/metadata/identity/oauth2/token"),
    ] {
        azure.asked();
        opened(&key, environment).await.unwrap();
        assert_eq!(azure.asked()[0].path(), asked);
    }
    // `az`, where there is neither.
    let az = folder.path().join("az");
    let answer = json!({ "accessToken": azure.state.token, "expires_on": 4_000_000_000_u64 });
    let script = format!("#!/bin/sh\n[ \"$6\" = https://vault.azure.net ] && echo '{answer}'\n");
    std::fs::write(&az, script).unwrap();
    std::fs::set_permissions(&az, PermissionsExt::from_mode(0o700)).unwrap();
    let alone = || {
        MemoryEnvironment::default()
            .with_variable("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:9")
    };
    let with_az = || alone().with_variable("PATH", folder.path().to_str().unwrap());
    opened(&key, with_az()).await.unwrap();
    // A machine of Azure to which no identity is assigned.
    let none = json!({ "error": "invalid_request", "error_description": "Identity not found" });
    azure.fail_next_on("/metadata/", 400, none.clone());
    let path_to_az = folder.path().to_str().unwrap();
    opened(&key, environment(&azure).with_variable("PATH", path_to_az)).await.unwrap();
    // One that was asked for is not replaced by another.
    azure.fail_next_on("/metadata/", 400, none);
    let named = environment(&azure).with_variable("PATH", path_to_az);
    let error = opened(&key, named.with_variable("AZURE_CLIENT_ID", "client-1")).await.unwrap_err();
    told(&error, "key::permission", &["managed identity", "Identity not found"], &[]);
    std::fs::write(&az, "#!/bin/sh\necho 'Please run az login' >&2\nexit 1\n").unwrap();
    told(
        &opened(&key, with_az()).await.unwrap_err(),
        "key::permission",
        &["Please run az login"],
        &[],
    );
    told(&opened(&key, alone()).await.unwrap_err(), "key::permission", &["no `az` on PATH"], &[]);

    let wrong = client(&azure).with_variable("AZURE_CLIENT_SECRET", "a-wrong-secret");
    let error = opened(&key, wrong).await.unwrap_err();
    told(&error, "key::permission", &["client secret", "AADSTS7000215"], &["a-wrong-secret"]);
    for (name, value, code, words) in [
        (path, "/nowhere/a.pem", "key::permission", "/nowhere/a.pem"),
        (path, federated.as_str(), "key::malformed", "no PEM certificate"),
        ("AZURE_FEDERATED_TOKEN_FILE", "/nowhere/t", "key::permission", "/nowhere/t"),
    ] {
        let error = opened(&key, client(&azure).with_variable(name, value)).await.unwrap_err();
        told(&error, code, &[words], &[]);
    }
    let cloud = environment(&azure).with_variable("AZURE_ENVIRONMENT", "MOON");
    told(&opened(&key, cloud).await.unwrap_err(), "key::malformed", &["AZURE_ENVIRONMENT"], &[]);
}

#[tokio::test]
async fn a_new_key_is_p256_and_no_version_is_added_to_one_that_is_there() {
    let azure = Azure::start();
    let key = super::reference(&reference(&azure, "new"));
    let options = super::options(environment(&azure));
    let made = create(&key, &options).await.unwrap();
    assert_eq!(made.algorithm(), KeyAlgorithm::EcdsaP256);
    let signer = open(&key, &options).await.unwrap();
    assert_eq!(signer.sign(b"a", Hash::Sha256).await.unwrap().public_key, made);
    azure.asked();
    told(&create(&key, &options).await.unwrap_err(), "key::exists", &["of that name"], &[]);
    assert!(azure.asked().iter().all(|it| !it.path().ends_with("/create")));
    let other = super::reference(&reference(&azure, "other"));
    let deleted = json!({ "error": { "code": "Conflict", "message": "Key other is currently in a deleted but recoverable state, and its name cannot be reused" } });
    azure.fail_next_on("/create", 409, deleted);
    let error = create(&other, &options).await.unwrap_err();
    told(&error, "key::exists", &["recoverable state", "az keyvault key recover"], &[]);
    let versioned = super::reference(&reference(&azure, "new/0123"));
    let error = create(&versioned, &options).await.unwrap_err();
    told(&error, "key::unsupported", &["leave the version out"], &[]);
}

#[tokio::test]
async fn what_fails_says_why() {
    let azure = Azure::start();
    azure.state.create("k", "ecdsa-p256", "EC");
    azure.state.create("off", "ecdsa-p256", "EC");
    azure.state.disable("off");
    azure.state.create("encrypts", "rsa-2048", "RSA");
    azure.state.forbid_signing("encrypts");
    azure.state.create("odd", "ed25519", "oct");
    let token = azure.state.token.clone();
    for (key, code, words) in [
        ("absent", "key::not_found", ["was not found", "name of the vault"]),
        ("k/0123", "key::not_found", ["was not found", "name of the vault"]),
        ("off", "key::disabled", ["is disabled", "set-attributes --enabled"]),
        ("encrypts", "key::unsupported", ["not for signing", "that may sign"]),
        ("odd", "key::unsupported", ["type oct", "EC P-256"]),
    ] {
        let error = opened(&reference(&azure, key), environment(&azure)).await.unwrap_err();
        told(&error, code, &words, &[&token]);
    }
    let signer = opened(&reference(&azure, "k"), environment(&azure)).await.unwrap();
    let fault =
        |code: &str, message: &str| json!({ "error": { "code": code, "message": message } });
    azure.fail_next(
        403,
        fault("Forbidden", "The user, group or application 'x' does not have keys sign permission"),
    );
    let error = signer.sign(b"a", Hash::Sha256).await.unwrap_err();
    told(&error, "key::permission", &["keys sign permission", "Key Vault Crypto User"], &[&token]);
    let closed =
        "Public network access is disabled and request is not from a trusted service. Vault: keys;";
    azure.fail_next(403, fault("Forbidden", closed));
    let error = signer.sign(b"a", Hash::Sha256).await.unwrap_err();
    told(&error, "key::permission", &["Public network access"], &[&token]);
    // What passes is tried again.
    azure.fail_next(429, fault("Throttled", "Request was not processed"));
    azure.fail_next(503, fault("ServiceUnavailable", "try again"));
    signer.sign(b"a", Hash::Sha256).await.unwrap();
    azure.state.disable("k");
    let error = signer.sign(b"a", Hash::Sha256).await.unwrap_err();
    told(&error, "key::disabled", &["disabled key"], &[&token]);
    // Nobody is there.
    let error = opened("azurekms://127.0.0.1:9/k", environment(&azure)).await.unwrap_err();
    told(&error, "key::unavailable", &["127.0.0.1:9"], &[&token]);
}

/// Azure's own client finds the fake to be a Key Vault, so that what the other tests say counts.
#[test]
fn azures_client_takes_the_fake_for_a_key_vault() {
    const SCRIPT: &str = r#"
import hashlib, sys, time
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient, SignatureAlgorithm
url, token, authority = sys.argv[1:]
class Credential:
    def get_token(self, *scopes, **_):
        assert scopes == ("https://vault.azure.net/.default",), scopes
        return AccessToken(token, int(time.time()) + 3600)
options = {"verify_challenge_resource": False, "connection_verify": authority}
client = KeyClient(url, Credential(), **options)
made = [client.create_ec_key("new-ec", curve="P-256"), client.create_rsa_key("new-rsa", size=2048)]
known = [client.get_key(name) for name in ["p256", "p384", "p521", "rsa-3072"]]
algorithms = {"P-256": SignatureAlgorithm.es256, "P-384": SignatureAlgorithm.es384, "P-521": SignatureAlgorithm.es512}
digests = {"P-256": hashlib.sha256, "P-384": hashlib.sha384, "P-521": hashlib.sha512}
for key in made + known:
    assert key.properties.version and key.properties.enabled and "sign" in key.key_operations, key
    curve = key.key.crv
    algorithm, digest = algorithms.get(curve, SignatureAlgorithm.rs256), digests.get(curve, hashlib.sha256)
    cryptography = CryptographyClient(key, Credential(), **options)
    signature = cryptography.sign(algorithm, digest(b"message").digest()).signature
    # It verifies here, with the key that it was given.
    assert cryptography.verify(algorithm, digest(b"message").digest(), signature).is_valid, key.name
    assert not cryptography.verify(algorithm, digest(b"other").digest(), signature).is_valid, key.name
try:
    client.get_key("absent")
    sys.exit("an absent key was read")
except ResourceNotFoundError:
    pass
off = client.get_key("off")
assert off.properties.enabled is False
try:
    CryptographyClient(off.id, Credential(), **options).sign(SignatureAlgorithm.es256, bytes(32))
    sys.exit("a disabled key signed")
except HttpResponseError as error:
    assert error.status_code == 403, error
"#;
    if !tools::have(&[Tool::Python]) {
        return;
    }
    let azure = Azure::start_tls();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, &azure.authority).unwrap();
    for (name, kind, type_) in [
        ("p256", "ecdsa-p256", "EC"),
        ("p384", "ecdsa-p384", "EC-HSM"),
        ("p521", "ecdsa-p521", "EC"),
        ("rsa-3072", "rsa-3072", "RSA"),
        ("off", "ecdsa-p256", "EC"),
    ] {
        azure.state.create(name, kind, type_);
    }
    azure.state.disable("off");
    let output = Command::new(Tool::Python.path())
        .args(["-c", SCRIPT, &azure.url(), &azure.state.token])
        .arg(authority)
        .env_clear()
        .env("NO_PROXY", "127.0.0.1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
