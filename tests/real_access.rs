//! The program and docker-registry with users, tokens and TLS: who may, may; who may not, is told, and nothing is
//! written.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "support/program.rs"]
mod program;
#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::time::Duration;

use program::{Ends, Workshop};
use support::docker_registry::{Access, Deletion, DockerRegistry, Options, Transport, USER};
use support::images::Publisher;
use support::tools::{self, Finished, Tool};

/// A registry of this kind with two repositories of two images, and a spec that signs them all.
async fn scene(options: Options) -> (DockerRegistry, Workshop) {
    let registry = DockerRegistry::with(options);
    let publisher = Publisher::new(&registry);
    let mut spec = String::from(
        "version = 1\n[signers.release]\nkey = \"release.key\"\npublic_key = \"release.pub\"\n\
         transparency_log = false\n[defaults]\nsign_with = [\"release\"]\n",
    );
    for repository in ["acme/api", "acme/web"] {
        for image in publisher.push_many(repository, 2).await {
            let reference = registry.reference(&format!("{repository}@{}", image.digest()));
            spec += &format!("[[images]]\nreference = \"{reference}\"\n");
        }
    }
    let workshop = Workshop::new(&spec);
    workshop.key("p256", "release");
    (registry, workshop)
}

/// Puts a table for the registry in front.
fn rule(workshop: &Workshop, registry: &DockerRegistry, lines: &str) {
    let spec = workshop.read("countersign.toml").replacen("version = 1\n", "", 1);
    let table = format!("[registries.\"{}\"]\n{lines}\n", registry.host());
    workshop.spec(&format!("version = 1\n{table}{spec}"));
}

/// `docker login` in the home of the program.
fn login(workshop: &Workshop, registry: &DockerRegistry, password: &str) {
    use base64::Engine;
    let auth =
        base64::engine::general_purpose::STANDARD.encode(format!("{}:{password}", USER.user));
    let folder = workshop.path().join(".docker");
    fs::create_dir_all(&folder).unwrap();
    let config = serde_json::json!({ "auths": { registry.host(): { "auth": auth } } });
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

fn converges(workshop: &Workshop) {
    workshop.apply();
    workshop.run(&["plan", "--detailed-exitcode"]).ends(0);
}

fn accepted_writes(registry: &DockerRegistry) -> usize {
    registry.take_requests().writes().iter().filter(|it| it.status < 300).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_with_passwords() {
    if !tools::have(&[Tool::DockerRegistry]) {
        return;
    }
    let options = Options { access: Access::Password, ..Options::default() };
    let (registry, workshop) = scene(options).await;
    registry.take_requests();
    for password in [None, Some("wrong")] {
        if let Some(password) = password {
            login(&workshop, &registry, password);
        }
        let refused = workshop.run_with_password(&["apply", "--yes"]).ends(77);
        assert!(refused.stdout.contains("registry::unauthorized"), "{refused:?}");
        workshop.run(&["plan"]).ends(77);
        assert_eq!(accepted_writes(&registry), 0);
    }
    login(&workshop, &registry, USER.password);
    converges(&workshop);
    // From the environment, for this host and no other.
    fs::remove_dir_all(workshop.path().join(".docker")).unwrap();
    rule(&workshop, &registry, "username_env = \"WHO\"\npassword_env = \"TOKEN\"");
    let plan = |allowed: &str| {
        let hosts = ["WHO", "TOKEN"].map(|name| format!("{name}@{allowed}"));
        let arguments = ["plan", "--allow-env", &hosts[0], "--allow-env", &hosts[1]];
        let mut command = workshop.command(&arguments);
        Finished::of(command.env("WHO", USER.user).env("TOKEN", USER.password))
    };
    plan(&registry.host()).ends(0);
    plan("ghcr.io").ends(65);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_with_tokens() {
    if !tools::have(&[Tool::DockerRegistry]) {
        return;
    }
    let options = Options { access: Access::Token(Duration::from_secs(300)), ..Options::default() };
    let (registry, workshop) = scene(options).await;
    // Everybody may look, and nobody may write.
    workshop.run(&["plan", "--detailed-exitcode"]).ends(2);
    registry.take_requests();
    let refused = workshop.run_with_password(&["apply", "--yes"]).ends(77);
    assert_eq!(accepted_writes(&registry), 0, "{refused:?}");
    login(&workshop, &registry, USER.password);
    let before = registry.tokens().requests().len();
    workshop.apply();
    let requests = registry.tokens().requests();
    assert_eq!(requests.len() - before, 2, "one a repository: {requests:?}");
    workshop.run(&["plan", "--detailed-exitcode"]).ends(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_with_an_authority_of_its_own() {
    if !tools::have(&[Tool::DockerRegistry]) {
        return;
    }
    for transport in [Transport::Tls, Transport::TlsBothSides] {
        let (registry, workshop) = scene(Options { transport, ..Options::default() }).await;
        let refused = workshop.run_with_password(&["apply", "--yes"]).failure();
        assert!(refused.stdout.contains("registry::"), "{refused:?}");
        fs::copy(registry.ca_file(), workshop.path().join("ca.pem")).unwrap();
        let mut lines = String::from("ca_file = \"ca.pem\"");
        if transport == Transport::TlsBothSides {
            let (certificate, key) = registry.client_files();
            fs::copy(certificate, workshop.path().join("client.pem")).unwrap();
            fs::copy(key, workshop.path().join("client.key")).unwrap();
            lines += "\nclient_certificate = \"client.pem\"\nclient_key = \"client.key\"";
        }
        rule(&workshop, &registry, &lines);
        converges(&workshop);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_does_not_delete() {
    if !tools::have(&[Tool::DockerRegistry]) {
        return;
    }
    let options = Options { deletion: Deletion::Refused, ..Options::default() };
    let (registry, workshop) = scene(options).await;
    workshop.apply();
    workshop.edit(
        "sign_with = [\"release\"]",
        "sign_with = [\"release\"]\nprune = \"superseded\"\nannotations = { build = \"2\" }",
    );
    let arguments = ["apply", "--yes", "--allow-resign", "4"];
    workshop.run_with_password(&arguments).ends(0);
    // What remains is written, and nothing is deleted.
    assert!(registry.take_requests().method("DELETE").is_empty());
    let plan = workshop.plan(0);
    assert_eq!((plan.count("keep"), plan.count("foreign")), (4, 0), "{:?}", plan.changes());
}
