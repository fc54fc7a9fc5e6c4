//! `gitlab://`, on a fake of GitLab's variables.

use countersign::crypto::{Hash, PublicKey};
use countersign::keys::memory::MemoryEnvironment;
use countersign::keys::{conformance, create, open, public_key};
use serde_json::json;

use super::support::fakes::gitlab::Gitlab;
use super::support::fakes::service::Service;
use super::support::tools::{self, Finished, Home, Tool};
use super::{ALGORITHMS, fixture, opened, options, reference, told};

fn environment(gitlab: &Service<Gitlab>) -> MemoryEnvironment {
    MemoryEnvironment::default()
        .with_variable("GITLAB_HOST", &gitlab.url())
        .with_variable("GITLAB_TOKEN", &gitlab.state.token)
}

fn put(gitlab: &Service<Gitlab>, name: &str) {
    gitlab.state.set("COSIGN_PRIVATE_KEY", &fixture(&format!("{name}.key")));
    gitlab.state.set("COSIGN_PUBLIC_KEY", &fixture(&format!("{name}.pub")));
    gitlab.state.set("COSIGN_PASSWORD", "test");
}

#[tokio::test]
async fn every_algorithm_conforms() {
    let gitlab = Gitlab::start();
    for name in ALGORITHMS {
        put(&gitlab, name);
        let expected = PublicKey::from_pem(&fixture(&format!("{name}.pub"))).unwrap();
        let signer = opened("gitlab://acme/signing", environment(&gitlab)).await.unwrap();
        conformance::signer(&*signer, &expected).await.unwrap();
    }
}

#[tokio::test]
async fn a_project_is_named_by_path_or_id_and_the_public_key_needs_no_other() {
    let gitlab = Gitlab::start();
    put(&gitlab, "p256");
    gitlab.fail_next(429, json!({ "message": "Retry later" }));
    gitlab.fail_next(502, json!(null));
    for project in ["acme/signing", "42"] {
        let key = reference(&format!("gitlab://{project}"));
        let found = public_key(&key, &options(environment(&gitlab))).await.unwrap();
        assert_eq!(found, PublicKey::from_pem(&fixture("p256.pub")).unwrap());
    }
    let asked: Vec<_> = gitlab.asked().iter().map(|it| it.target.clone()).collect();
    let path = "/api/v4/projects/acme%2Fsigning/variables/COSIGN_PUBLIC_KEY";
    assert_eq!(asked[..3], [path; 3]);
    assert_eq!(asked[3..], ["/api/v4/projects/42/variables/COSIGN_PUBLIC_KEY"]);
    // Without that variable, the key says it.
    gitlab.state.remove("COSIGN_PUBLIC_KEY");
    let key = reference("gitlab://42");
    let found = public_key(&key, &options(environment(&gitlab))).await.unwrap();
    assert_eq!(found, PublicKey::from_pem(&fixture("p256.pub")).unwrap());
    gitlab.state.set("COSIGN_PUBLIC_KEY", "hunter2");
    let error = public_key(&key, &options(environment(&gitlab))).await.unwrap_err();
    told(&error, "key::malformed", &["the variable COSIGN_PUBLIC_KEY"], &["hunter2"]);
}

#[tokio::test]
async fn each_failure_has_its_kind_and_says_what_to_do() {
    let gitlab = Gitlab::start();
    let token = gitlab.state.token.clone();
    let key = "gitlab://acme/signing";
    let error = opened(key, environment(&gitlab)).await.unwrap_err();
    told(&error, "key::not_found", &["COSIGN_PRIVATE_KEY", "generate-key-pair"], &[&token]);
    put(&gitlab, "p256");
    let with = |name: &str, value: &str| environment(&gitlab).with_variable(name, value);
    let cases: [(&str, MemoryEnvironment, &str, &[&str]); 7] = [
        ("gitlab://acme/other", environment(&gitlab), "key::not_found", &["the path or id"]),
        (key, with("GITLAB_TOKEN", "wrong-token"), "key::permission", &["401", "Maintainer"]),
        (key, with("GITLAB_TOKEN", &gitlab.state.developer), "key::permission", &["403"]),
        (key, with("GITLAB_TOKEN", ""), "key::permission", &["GITLAB_TOKEN is not set"]),
        (key, with("GITLAB_HOST", "http://127.0.0.1:1"), "key::unavailable", &["refused"]),
        (key, with("GITLAB_HOST", "http://"), "key::malformed", &["GITLAB_HOST is no"]),
        (key, with("GITLAB_TOKEN", "a\nb"), "key::malformed", &["private-token"]),
    ];
    for (key, environment, code, words) in cases {
        let error = opened(key, environment).await.unwrap_err();
        told(&error, code, words, &[&token, "wrong-token", &gitlab.state.developer]);
    }
    gitlab.state.set("COSIGN_PASSWORD", "hunter2");
    let error = opened(key, environment(&gitlab)).await.unwrap_err();
    told(&error, "key::wrong_password", &["variable COSIGN_PASSWORD"], &["hunter2"]);
    gitlab.state.remove("COSIGN_PASSWORD");
    let error = opened(key, environment(&gitlab)).await.unwrap_err();
    told(&error, "key::no_password", &["COSIGN_PASSWORD"], &[]);
    gitlab.fail_next(409, json!({ "message": "There are multiple variables with provided parameters. Please use 'filter[environment_scope]'" }));
    let error = opened(key, environment(&gitlab)).await.unwrap_err();
    told(&error, "key::unsupported", &["environments: keep one"], &[]);
}

#[tokio::test]
async fn a_new_key_is_kept_in_three_variables_and_none_is_overwritten() {
    let gitlab = Gitlab::start();
    let key = reference("gitlab://acme/signing");
    let options = options(environment(&gitlab).with_variable("COSIGN_PASSWORD", "pa$word"));
    let made = create(&key, &options).await.unwrap();
    assert_eq!(public_key(&key, &options).await.unwrap(), made);
    let signer = open(&key, &options).await.unwrap();
    assert_eq!(signer.sign(b"a", Hash::Sha256).await.unwrap().public_key, made);
    assert_eq!(gitlab.state.variable("COSIGN_PASSWORD")["value"], "pa$word");
    assert_eq!(gitlab.state.variable("COSIGN_PASSWORD")["raw"], true);
    let before = gitlab.state.variable("COSIGN_PRIVATE_KEY");
    told(&create(&key, &options).await.unwrap_err(), "key::exists", &["delete"], &["pa$word"]);
    assert_eq!(gitlab.state.variable("COSIGN_PRIVATE_KEY"), before);
    let absent = create(&reference("gitlab://acme/other"), &options).await.unwrap_err();
    told(&absent, "key::not_found", &["the path or id"], &[]);
}

#[tokio::test]
async fn what_is_no_project_is_a_group() {
    let gitlab = Gitlab::start();
    for group in ["gitlab://acme", "gitlab://7"] {
        for name in ["COSIGN_PRIVATE_KEY", "COSIGN_PASSWORD", "COSIGN_PUBLIC_KEY"] {
            gitlab.state.remove(name);
        }
        let (key, options) = (reference(group), options(environment(&gitlab)));
        let error = open(&key, &options).await.unwrap_err();
        told(&error, "key::not_found", &["GroupVariable", "generate-key-pair"], &[]);
        let with_password = environment(&gitlab).with_variable("COSIGN_PASSWORD", "test");
        let made = create(&key, &super::options(with_password)).await.unwrap();
        assert_eq!(public_key(&key, &options).await.unwrap(), made);
        let signer = open(&key, &options).await.unwrap();
        assert_eq!(signer.sign(b"a", Hash::Sha256).await.unwrap().public_key, made);
        let asked = gitlab.asked();
        let stored: Vec<_> = asked.iter().filter(|it| it.method == "POST").collect();
        assert!(stored.len() == 3 && stored.iter().all(|it| it.path().contains("/groups/")));
    }
}

/// The same reference in cosign: it names the same public key.
#[test]
fn cosign_takes_the_same_reference() {
    if !tools::have(&[Tool::Cosign3]) {
        return;
    }
    let (gitlab, home) = (Gitlab::start(), Home::new());
    put(&gitlab, "p256");
    for key in ["gitlab://acme/signing", "gitlab://acme"] {
        let mut command = home.command(Tool::Cosign3);
        command.args(["public-key", "--key", key]);
        command.env("GITLAB_HOST", gitlab.url()).env("GITLAB_TOKEN", &gitlab.state.token);
        let shown = Finished::of(&mut command).success().stdout;
        assert_eq!(shown.trim(), fixture("p256.pub").trim(), "{key}");
    }
}
