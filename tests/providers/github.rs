//! `github://`, on a fake of GitHub's secrets that cosign seals to as well.

use countersign::crypto::{EncryptedKey, PublicKey};
use countersign::keys::memory::MemoryEnvironment;
use countersign::keys::{create, open, public_key};
use countersign::model::Secret;
use serde_json::json;

use super::support::fakes::github::Github;
use super::support::fakes::service::Service;
use super::support::tools::{self, Finished, Home, Tool};
use super::{options, reference, told};

const KEY: &str = "github://acme/app";
const PASSWORD: &str = "a pa$$word";

fn environment(github: &Service<Github>) -> MemoryEnvironment {
    MemoryEnvironment::default()
        .with_variable("GITHUB_HOST", &github.url())
        .with_variable("GITHUB_TOKEN", &github.state.token)
        .with_variable("COSIGN_PASSWORD", PASSWORD)
}

/// The three secrets belong together.
fn judged(github: &Service<Github>) -> PublicKey {
    let secret = |name: &str| github.state.secret(name).unwrap();
    assert_eq!(secret("COSIGN_PASSWORD"), PASSWORD);
    let public = PublicKey::from_pem(&secret("COSIGN_PUBLIC_KEY")).unwrap();
    let sealed = EncryptedKey::from_pem(&secret("COSIGN_PRIVATE_KEY")).unwrap();
    let opened = sealed.decrypt(&Secret::new(PASSWORD.to_owned())).unwrap();
    assert_eq!(opened.public_key(), &public);
    public
}

#[tokio::test]
async fn a_new_key_is_sealed_into_three_secrets_and_none_is_overwritten() {
    let github = Github::start();
    let options = options(environment(&github));
    github.fail_next(503, json!({ "message": "try again" }));
    let made = create(&reference(KEY), &options).await.unwrap();
    assert_eq!(judged(&github), made);
    let sent: Vec<u8> = github.asked().into_iter().flat_map(|it| it.body).collect();
    assert!(!String::from_utf8_lossy(&sent).contains(PASSWORD), "the password is sent as it is");
    let secrets = [PASSWORD, github.state.token.as_str()];
    let error = create(&reference(KEY), &options).await.unwrap_err();
    told(&error, "key::exists", &["has a secret", "delete"], &secrets);
    assert!(github.asked().iter().all(|it| it.method == "GET"));
    for error in [
        open(&reference(KEY), &options).await.unwrap_err(),
        public_key(&reference(KEY), &options).await.unwrap_err(),
    ] {
        told(&error, "key::unsupported", &["only create", "env://COSIGN_PRIVATE_KEY"], &secrets);
    }
}

#[tokio::test]
async fn each_failure_has_its_kind_and_says_what_to_do() {
    let github = Github::start();
    let with = |name: &str, value: &str| environment(&github).with_variable(name, value);
    let cases: [(&str, MemoryEnvironment, &str, &[&str]); 6] = [
        ("github://acme/other", environment(&github), "key::not_found", &["owner and repository"]),
        (KEY, with("GITHUB_TOKEN", "ghp_wrong"), "key::permission", &["401", "fine-grained"]),
        (KEY, with("GITHUB_TOKEN", ""), "key::permission", &["GITHUB_TOKEN is not set"]),
        (KEY, with("GITHUB_HOST", "http://127.0.0.1:1"), "key::unavailable", &["refused"]),
        (KEY, with("GITHUB_HOST", "ftp://h"), "key::malformed", &["GITHUB_HOST is no"]),
        (KEY, with("GITHUB_TOKEN", "a\nb"), "key::malformed", &["authorization"]),
    ];
    for (key, environment, code, words) in cases {
        let error = create(&reference(key), &options(environment)).await.unwrap_err();
        told(&error, code, words, &[PASSWORD, &github.state.token, "ghp_wrong"]);
    }
    let options = options(environment(&github));
    let limit = "You have exceeded a secondary rate limit. Please wait a few minutes.";
    github.fail_next(403, json!({ "message": limit }));
    let error = create(&reference(KEY), &options).await.unwrap_err();
    told(&error, "key::throttled", &["secondary rate limit", "later"], &[PASSWORD]);
    github.fail_next_on("public-key", 200, json!({ "key_id": "1", "key": "AAAA" }));
    let error = create(&reference(KEY), &options).await.unwrap_err();
    told(&error, "key::malformed", &["public key cannot be read"], &[PASSWORD]);
    // A key to which everybody could open.
    let low = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    github.fail_next_on("public-key", 200, json!({ "key_id": "1", "key": low }));
    let error = create(&reference(KEY), &options).await.unwrap_err();
    told(&error, "key::malformed", &["nothing can be sealed"], &[PASSWORD]);
    assert!(github.state.secret("COSIGN_PASSWORD").is_none());
}

/// cosign seals with libsodium's words in Go: what opens its boxes and ours is no mirror of ours alone.
#[test]
fn cosign_takes_the_fake_for_github() {
    if !tools::have(&[Tool::Cosign3]) {
        return;
    }
    let (github, home) = (Github::start(), Home::new());
    let mut command = home.command(Tool::Cosign3);
    command
        .args(["generate-key-pair", KEY])
        .env("GITHUB_HOST", github.url())
        .env("GITHUB_TOKEN", &github.state.token)
        .env("COSIGN_PASSWORD", PASSWORD);
    Finished::of(&mut command).success();
    let public = judged(&github);
    let written = std::fs::read_to_string(home.path().join("cosign.pub")).unwrap();
    assert_eq!(PublicKey::from_pem(&written).unwrap(), public);
}
