//! How cosign's commands are told of their registry: flags, and variables that stand for flags.

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;

use super::sandbox::{PASSWORD, Sandbox};
use super::single::lines;
use super::support::background::Background;
use super::support::docker_registry::{Access, DockerRegistry, Options, Transport, USER};
use super::support::tools::{self, Tool};

#[test]
fn a_registry_that_wants_certificates_and_a_password_is_reached_with_flags_alone() {
    if !tools::have(&[Tool::DockerRegistry]) {
        return;
    }
    let registry = DockerRegistry::with(Options {
        access: Access::Password,
        transport: Transport::TlsBothSides,
        ..Options::default()
    });
    let sandbox = Sandbox::new();
    let image = registry.reference("acme/app:1");
    let (certificate, key) = registry.client_files();
    let [ca, certificate, key] =
        [registry.ca_file(), certificate, key].map(|it| it.display().to_string());
    let identity = ["--registry-client-cert", &certificate, "--registry-client-key", &key];
    let user = ["--registry-username", USER.user, "--registry-password", USER.password];
    let trust = ["--registry-cacert", &ca];
    let all = [&trust[..], &identity, &user].concat();
    let copy = |flags: &[&str]| sandbox.run(&[&["copy", "oci:images:api", &image], flags].concat());
    for (flags, code) in [
        (&[&identity[..], &user].concat(), 1),
        (&[&trust[..], &identity].concat(), 77),
        (&[&all[..], &["--registry-server-name", "other.example"]].concat(), 1),
    ] {
        copy(flags).expect(code);
    }
    copy(&all).expect(0);
    copy(&[&all[..], &["--registry-server-name", "localhost"]].concat()).expect(0);
    // The same from the environment, as cosign takes it.
    let mut command = sandbox.command(&["sign", &image]);
    command
        .env("COSIGN_KEY", "release.key")
        .env("COSIGN_PASSWORD", PASSWORD)
        .env("COSIGN_TLOG_UPLOAD", "false")
        .env("COSIGN_YES", "true")
        .env("COSIGN_REGISTRY_CACERT", &ca)
        .env("COSIGN_REGISTRY_CLIENT_CERT", &certificate)
        .env("COSIGN_REGISTRY_CLIENT_KEY", &key)
        .env("COSIGN_REGISTRY_USERNAME", USER.user)
        .env("COSIGN_REGISTRY_PASSWORD", USER.password);
    sandbox.ended(&mut command).expect(0);
    let download = [&["download", "signature", &image], &all[..]].concat();
    assert_eq!(sandbox.run(&download).expect(0).stdout.lines().count(), 1);
}

#[test]
fn a_token_goes_to_the_registry_as_it_is() {
    let server = Background::start(|listener| async move {
        let app = Router::new().fallback(|headers: HeaderMap| async move {
            let given = headers.get("authorization").and_then(|it| it.to_str().ok());
            if given == Some("Bearer hunter2") {
                let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no"}]}"#;
                return (StatusCode::NOT_FOUND, body).into_response();
            }
            let challenge = r#"Bearer realm="http://127.0.0.1:9/token",service="s""#;
            (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response()
        });
        axum::serve(listener, app).await.unwrap();
    });
    let (sandbox, image) = (Sandbox::new(), format!("{}/acme/app:1", server.address()));
    let tree = sandbox.run(&["tree", "--registry-token", "hunter2", &image]).expect(1);
    assert!(tree.stderr.contains("error[image::not_found]"), "{tree}");
    let wrong = sandbox.run(&["tree", "--registry-token", "other", &image]).expect(77);
    assert!(!wrong.stderr.contains("other"), "{wrong}");
}

#[test]
fn what_is_not_taken_says_what_to_do_instead() {
    let sandbox = Sandbox::new();
    for (flag, help) in
        [("--k8s-keychain", "credHelpers"), ("--attachment-tag-prefix=acme-", "COSIGN_REPOSITORY")]
    {
        let ended = sandbox.run(&["tree", flag, "oci:images:api"]).expect(64);
        assert!(
            ended.stderr.contains("error[cli::not_taken]") && ended.stderr.contains(help),
            "{ended}"
        );
    }
}

#[test]
fn cosigns_variables_do_not_reach_commands_of_a_spec() {
    let sandbox = Sandbox::new();
    sandbox.run_with_password(&["apply", "--yes"]).expect(0);
    let mut command = sandbox.command(&["verify"]);
    sandbox.ended(command.env("COSIGN_KEY", "cosign.key")).expect(0);
    // Neither does the key that signs become the only signer that `clean` removes.
    let mut command = sandbox.command(&["clean", "--force", "oci:images:api"]);
    sandbox.ended(command.env("COSIGN_KEY", "release.key")).expect(0);
    assert_eq!(lines(&sandbox, "oci:images:api"), 0);
}
