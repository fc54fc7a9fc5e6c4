//! One spec with a signer of each service, one image: one plan, one apply, and every signature is verified.

use std::path::Path;
use std::process::Command;

use super::support::fakes::gitlab::Gitlab;
use super::support::fakes::kubernetes::Kubernetes;
use super::support::fakes::vault::Vault;
use super::support::images::{Image, write_layout};
use super::support::tools::{self, Tool};
use super::{fixture, kubernetes};

const SPEC: &str = r#"
version = 1

[signers.cluster]
key = "k8s://signing/release"
transparency_log = false

[signers.file]
key = "file.key"
transparency_log = false

[signers.project]
key = "gitlab://acme/signing"
transparency_log = false

[signers.variable]
key = "env://RELEASE_KEY"
transparency_log = false

[signers.vault]
key = "hashivault://release"
transparency_log = false

[defaults]
sign_with = ["cluster", "file", "project", "variable", "vault"]

[[images]]
reference = "oci:images:api"
container_identity = "registry.example.com/api"
"#;

#[test]
fn five_signers_of_five_providers_sign_one_image_in_one_apply() {
    if !tools::have(&[Tool::Cosign3]) {
        return;
    }
    let (vault, gitlab, cluster) = (Vault::start("transit"), Gitlab::start(), Kubernetes::start());
    vault.state.create("release", "ecdsa-p256");
    gitlab.state.set("COSIGN_PRIVATE_KEY", &fixture("rsa2048.key"));
    gitlab.state.set("COSIGN_PASSWORD", "test");
    let key = [("cosign.key", fixture("p256.key")), ("cosign.password", "test".to_owned())];
    cluster
        .state
        .put("signing/release", &key.each_ref().map(|(name, text)| (*name, text.as_str())));
    let user = format!("{{token: '{}'}}", cluster.state.token);
    let (folder, _) = kubernetes::kubeconfig(&cluster, &user);
    let path = folder.path();
    for (name, content) in [
        ("countersign.toml", SPEC.to_owned()),
        ("file.key", fixture("p384.key")),
        ("cluster.pub", fixture("p256.pub")),
        ("file.pub", fixture("p384.pub")),
        ("project.pub", fixture("rsa2048.pub")),
        ("variable.pub", fixture("p521.pub")),
        ("vault.pub", vault.state.public_pem("release", 1)),
    ] {
        std::fs::write(path.join(name), content).unwrap();
    }
    write_layout(&path.join("images"), [("api", &Image::oci("api"))]);
    let run = |program: &Path, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(path)
            .env_clear()
            .env("HOME", path)
            .env("KUBECONFIG", path.join("config"))
            .env("VAULT_ADDR", vault.url())
            .env("VAULT_TOKEN", &vault.state.token)
            .env("GITLAB_HOST", gitlab.url())
            .env("GITLAB_TOKEN", &gitlab.state.token)
            .env("COSIGN_PASSWORD", "test")
            .env("RELEASE_KEY", fixture("p521.key"))
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr];
        let said = said.map(|it| String::from_utf8_lossy(&it).into_owned()).concat();
        for secret in [&vault.state.token, &gitlab.state.token, &cluster.state.token] {
            assert!(!said.contains(secret.as_str()), "a token is shown: {said}");
        }
        (output.status.code(), said)
    };
    let ours = Path::new(env!("CARGO_BIN_EXE_countersign"));
    let allowed = ["--allow-env", "RELEASE_KEY"];
    let plan = run(ours, &[&["plan"], &allowed[..]].concat());
    assert!(plan.0 == Some(0) && plan.1.contains("5 to sign"), "{}", plan.1);
    assert!(vault.asked().iter().all(|it| it.method == "GET"), "a plan asks nobody to sign");
    let apply = run(ours, &[&["apply", "--yes", "-vv"], &allowed[..]].concat());
    assert_eq!(apply.0, Some(0), "{}", apply.1);
    let asked = vault.asked();
    let reads = asked.iter().filter(|it| it.method == "GET").count();
    assert_eq!((reads, asked.len()), (1, 2), "the public key once, and one signature");
    let again = run(ours, &[&["plan", "--detailed-exitcode"], &allowed[..]].concat());
    assert_eq!(again.0, Some(0), "{}", again.1);
    for name in ["cluster", "file", "project", "variable", "vault"] {
        let key = format!("{name}.pub");
        let arguments =
            ["verify", "--key", &key, "--insecure-ignore-tlog", "--local-image", "images"];
        let verified = run(&Tool::Cosign3.path(), &arguments);
        assert_eq!(verified.0, Some(0), "{name}: {}", verified.1);
    }
}
