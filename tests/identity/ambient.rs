//! What the surroundings offer, in order.

use std::sync::Arc;

use serde_json::json;

use countersign::keys::memory::MemoryEnvironment;
use countersign::keys::{OpenOptions, google_access};
use countersign::sigstore::identity::{AmbientProvider, AmbientUse, IdentityOptions};

use crate::support::fakes::identity::Identity;
use crate::support::fakes::service::Service;
use crate::{nothing, options, token, told};

fn github(service: &Service<Identity>) -> MemoryEnvironment {
    MemoryEnvironment::default()
        .with_variable("GITHUB_ACTIONS", "true")
        .with_variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN", &service.state.request_token)
        .with_variable(
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            &format!("{}/github?api-version=2.0", service.url()),
        )
}

fn buildkite(service: &Service<Identity>, environment: MemoryEnvironment) -> MemoryEnvironment {
    environment
        .with_variable("BUILDKITE_AGENT_ACCESS_TOKEN", &service.state.request_token)
        .with_variable("BUILDKITE_AGENT_ENDPOINT", &format!("{}/v3/", service.url()))
        .with_variable("BUILDKITE_JOB_ID", "job-7")
}

fn google(service: &Service<Identity>) -> IdentityOptions {
    let account = "signer@acme.iam.gserviceaccount.com";
    let host = service.address().to_string();
    let endpoint = "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS";
    let environment = || {
        MemoryEnvironment::default()
            .with_variable("GCE_METADATA_HOST", &host)
            .with_variable("GOOGLE_SERVICE_ACCOUNT_NAME", account)
            .with_variable(endpoint, &service.url())
    };
    let mut options = options(environment());
    options.google = google_access(OpenOptions::new(Arc::new(environment())));
    options
}

#[tokio::test]
async fn github_actions_gives_the_workflow() {
    let service = Identity::start();
    let token = token(options(github(&service))).await.unwrap();
    assert_eq!(token.subject(), "repo:acme/app:ref:refs/heads/main");
    assert_eq!(token.issuer(), service.url());
    assert!(token.is_for("sigstore"));
    let asked = service.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].target, "/github?api-version=2.0&audience=sigstore");
}

#[tokio::test]
async fn buildkite_gives_the_job() {
    let service = Identity::start();
    let environment = buildkite(&service, MemoryEnvironment::default());
    let token = token(options(environment)).await.unwrap();
    assert!(token.subject().starts_with("organization:acme:pipeline:app"));
    assert_eq!(service.asked().len(), 1);
}

#[tokio::test]
async fn google_gives_the_account_of_the_machine_or_the_one_that_it_may_speak_for() {
    let service = Identity::start();
    let machine = token(google(&service)).await.unwrap();
    assert_eq!(machine.subject_for_proof(), Some("machine@acme.iam.gserviceaccount.com"));
    let mut other = google(&service);
    other.ambient = AmbientUse::Only(AmbientProvider::GoogleImpersonate);
    let other = token(other).await.unwrap();
    assert_eq!(other.subject_for_proof(), Some("signer@acme.iam.gserviceaccount.com"));
    assert!(other.is_for("sigstore"));
}

#[tokio::test]
async fn a_machine_of_google_is_known_by_its_firmware() {
    let folder = tempfile::tempdir().unwrap();
    let product = folder.path().join("product_name");
    for (name, is_google) in [("Google Compute Engine\n", true), ("OptiPlex 7010\n", false)] {
        std::fs::write(&product, name).unwrap();
        // That the metadata server is looked for is enough: it is not to be found, wherever this test runs.
        let nowhere =
            MemoryEnvironment::default().with_variable("http_proxy", "http://127.0.0.1:1");
        let mut options = options(nowhere);
        options.places.product_name = product.clone();
        let error = token(options).await.unwrap_err();
        let shown = error.to_string();
        assert_eq!(shown.contains("google-workload-identity"), is_google, "{shown}");
    }
}

#[tokio::test]
async fn variable_and_file_give_what_they_hold() {
    let service = Identity::start();
    let raw = service.state.token("jane@example.com", "sigstore");
    let environment = MemoryEnvironment::default().with_variable("SIGSTORE_ID_TOKEN", &raw);
    assert_eq!(token(options(environment)).await.unwrap().raw().expose(), &raw);
    let folder = tempfile::tempdir().unwrap();
    let mut from_file = nothing();
    from_file.places.token_file = folder.path().join("oidc-token");
    std::fs::write(&from_file.places.token_file, format!("{raw}\n")).unwrap();
    assert_eq!(token(from_file).await.unwrap().raw().expose(), &raw);
    assert!(service.asked().is_empty());
}

#[tokio::test]
async fn the_first_that_is_there_is_asked_and_no_other() {
    let service = Identity::start();
    let variable = service.state.token("variable@example.com", "sigstore");
    let both =
        || buildkite(&service, github(&service)).with_variable("SIGSTORE_ID_TOKEN", &variable);
    let first = token(options(both())).await.unwrap();
    assert!(first.subject().starts_with("repo:"), "{first:?}");
    for (provider, subject) in [
        (AmbientProvider::BuildkiteAgent, "organization:"),
        (AmbientProvider::Variable, "variable@"),
        (AmbientProvider::GithubActions, "repo:"),
    ] {
        let mut forced = options(both());
        forced.ambient = AmbientUse::Only(provider);
        let forced = token(forced).await.unwrap();
        assert!(forced.subject().starts_with(subject), "{forced:?}");
    }
    service.asked();
    service.fail_next(403, json!({ "message": "no" }));
    let error = token(options(both())).await.unwrap_err();
    told(&error, "oidc::permission", &["github-actions", "id-token: write"], Some(&service));
    assert_eq!(service.asked().len(), 1, "nobody else is asked who signs");
}

#[tokio::test]
async fn without_any_the_error_says_what_to_set() {
    let error = token(nothing()).await.unwrap_err();
    told(&error, "oidc::permission", &["SIGSTORE_ID_TOKEN", "--identity-token"], None);
    let service = Identity::start();
    let mut never = options(github(&service));
    never.ambient = AmbientUse::Never;
    let error = token(never).await.unwrap_err();
    told(&error, "oidc::permission", &["id-token: write"], Some(&service));
    assert!(service.asked().is_empty());
    let gitlab = MemoryEnvironment::default().with_variable("GITLAB_CI", "true");
    told(&token(options(gitlab)).await.unwrap_err(), "oidc::permission", &["id_tokens"], None);
}

#[tokio::test]
async fn failures_are_told_by_their_kind() {
    let service = Identity::start();
    for (status, body, code, word) in [
        (401, json!({ "message": "bad credentials" }), "oidc::permission", "bad credentials"),
        (404, json!(null), "oidc::refused", "404"),
        (400, json!({ "message": "audience" }), "oidc::refused", "audience"),
        (302, json!(null), "oidc::refused", "302"),
        (200, json!({ "value": "" }), "oidc::untrusted", "`value`"),
        (200, json!({ "value": "a.b" }), "oidc::untrusted", "no JWT"),
        (200, json!("<html>"), "oidc::unavailable", "not JSON"),
    ] {
        service.fail_next(status, body);
        let error = token(options(github(&service))).await.unwrap_err();
        told(&error, code, &[word, "github-actions"], Some(&service));
    }
    let other = service.state.token("repo:acme/app", "sts.amazonaws.com");
    service.fail_next(200, json!({ "value": other }));
    let error = token(options(github(&service))).await.unwrap_err();
    told(&error, "oidc::untrusted", &["not for `sigstore`"], Some(&service));
    let asked = service.asked().len();
    for status in [429, 503, 500] {
        service.fail_next(status, json!(null));
    }
    token(options(github(&service))).await.unwrap();
    assert_eq!(service.asked().len(), 4, "{asked}: what may pass is asked again");
}

#[tokio::test]
async fn who_is_not_there_is_unavailable() {
    let service = Identity::start();
    let environment = github(&service);
    drop(service);
    let error = token(options(environment)).await.unwrap_err();
    told(&error, "oidc::unavailable", &["github-actions"], None);
    assert!(error.is_transient());
}

#[tokio::test]
async fn what_a_forced_provider_needs_is_named() {
    for (provider, word) in [
        (AmbientProvider::GithubActions, "ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
        (AmbientProvider::BuildkiteAgent, "BUILDKITE_AGENT_ACCESS_TOKEN"),
        (AmbientProvider::Variable, "SIGSTORE_ID_TOKEN"),
        (AmbientProvider::Filesystem, "/nowhere/token"),
        (AmbientProvider::GoogleImpersonate, "GOOGLE_SERVICE_ACCOUNT_NAME"),
        (AmbientProvider::Spiffe, "/nowhere/socket"),
    ] {
        let mut forced = nothing();
        forced.ambient = AmbientUse::Only(provider);
        let shown = token(forced).await.unwrap_err().to_string();
        assert!(shown.contains(word) && shown.contains(provider.name()), "{shown}");
    }
}

#[test]
fn providers_are_found_by_name() {
    for provider in AmbientProvider::ALL {
        assert_eq!(provider.name().parse(), Ok(provider));
    }
    assert!("gitpod".parse::<AmbientProvider>().unwrap_err().contains("github-actions"));
}
