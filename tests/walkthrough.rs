//! `docs/walkthrough.md`, run from its own code blocks on real registries, with the real cosign as judge.
#![cfg(all(feature = "cli", feature = "all-providers"))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use cryptoki::object::Attribute;
use support::docker_registry::{Deletion, DockerRegistry, Options};
use support::fakes::azure::Azure;
use support::fakes::gcp::{Gcp, RING};
use support::fakes::gitlab::Gitlab;
use support::fakes::kubernetes::Kubernetes;
use support::fakes::service::Service;
use support::fakes::vault::Vault;
use support::hsm::{Hsm, Kind, P256, PIN};
use support::images::{Image, write_layout};
use support::python_server::PythonServer;
use support::tools::{self, Tool};

/// A block of code, how it must end, and what it must print.
#[derive(Debug)]
struct Block {
    line: usize,
    code: String,
    exit: u8,
    prints: Option<String>,
}

#[test]
fn the_walkthrough_works_as_it_is_written() {
    let needed = [Tool::Cosign2, Tool::Cosign3, Tool::Crane, Tool::DockerRegistry, Tool::Python];
    let openssl = Command::new("openssl").arg("version").output().is_ok();
    if !tools::have(&needed) || !openssl {
        return;
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/walkthrough.md");
    let blocks = blocks(&fs::read_to_string(page).unwrap());
    assert!(blocks.len() > 25, "the page was not read: {blocks:#?}");

    let Some(token) = Hsm::of("the_walkthrough_works_as_it_is_written") else { return };
    let slot = token.token("release");
    token.generate(slot, "images", 1, Kind::Curve(P256), Attribute::Sign(true));
    let world = World::start();
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    fs::create_dir_all(&work).unwrap();
    let (app, other) = (Image::oci("app"), Image::oci("other"));
    write_layout(&work.join("images"), [("app", &app), ("other", &other)]);
    let programs = programs(folder.path());
    fs::write(work.join("walkthrough.sh"), script(&blocks)).unwrap();

    let output = Command::new("bash")
        .arg("walkthrough.sh")
        .current_dir(&work)
        .env_clear()
        .env("HOME", folder.path())
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display()))
        .env("SOFTHSM2_CONF", token.configuration())
        .envs(world.variables(folder.path()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    for (number, block) in blocks.iter().enumerate() {
        let printed = fs::read_to_string(work.join(format!("block-{number}.out"))).unwrap();
        if let Some(expected) = &block.prints {
            assert!(
                matches(expected.trim_end(), printed.trim_end()),
                "line {} prints\n{printed}\nand not\n{expected}",
                block.line
            );
        }
    }
}

/// Everything that the page talks to.
struct World {
    aws: PythonServer,
    azure: Service<Azure>,
    cluster: Service<Kubernetes>,
    gcp: Service<Gcp>,
    gitlab: Service<Gitlab>,
    locked: DockerRegistry,
    open: DockerRegistry,
    vault: Service<Vault>,
}

impl World {
    fn start() -> Self {
        let (azure, gcp) = (Azure::start(), Gcp::start());
        azure.state.create("release", "ecdsa-p256", "EC");
        gcp.state.create("foo", "ecdsa-p256", "EC_SIGN_P256_SHA256");
        let refused = Options { deletion: Deletion::Refused, ..Options::default() };
        Self {
            aws: PythonServer::start("aws_kms_server.py"),
            azure,
            cluster: Kubernetes::start(),
            gcp,
            gitlab: Gitlab::start(),
            locked: DockerRegistry::with(refused),
            open: DockerRegistry::start(),
            vault: Vault::start("transit"),
        }
    }

    /// Where everything is, and what it lets in.
    fn variables(&self, folder: &Path) -> Vec<(&'static str, String)> {
        let file = |name: &str, content: &str| {
            let path = folder.join(name);
            fs::write(&path, content).unwrap();
            path.display().to_string()
        };
        let authority = file("cluster.pem", &self.cluster.authority);
        let kubeconfig = format!(
            "{{apiVersion: v1, kind: Config, current-context: test, contexts: [{{name: test, context: {{cluster: test, user: me}}}}], clusters: [{{name: test, cluster: {{server: '{}', certificate-authority: '{authority}'}}}}], users: [{{name: me, user: {{token: '{}'}}}}]}}\n",
            self.cluster.url(),
            self.cluster.state.token
        );
        let ring = RING.strip_suffix("/cryptoKeys").unwrap();
        vec![
            ("REGISTRY", self.open.host()),
            ("LOCKED_REGISTRY", self.locked.host()),
            ("NO_PROXY", "127.0.0.1".to_owned()),
            ("AWS_ENDPOINT_URL", format!("http://{}", self.aws.address())),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", self.azure.url()),
            ("VAULT_HOST", self.azure.address().to_string()),
            ("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS", format!("{}/", self.gcp.url())),
            ("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", file("gcp.token", &self.gcp.state.token)),
            ("CLOUDSDK_CORE_PROJECT", "acme".to_owned()),
            ("GCE_METADATA_HOST", self.gcp.address().to_string()),
            ("KEYRING", ring.to_owned()),
            ("GITLAB_HOST", self.gitlab.url()),
            ("GITLAB_TOKEN", self.gitlab.state.token.clone()),
            ("KUBECONFIG", file("kubeconfig", &kubeconfig)),
            ("COSIGN_PKCS11_MODULE_PATH", Tool::SoftHsm.path().display().to_string()),
            ("COSIGN_PKCS11_PIN", PIN.to_owned()),
            ("RUNS", folder.join("plugin-runs").display().to_string()),
            ("VAULT_ADDR", self.vault.url()),
            ("VAULT_TOKEN", self.vault.state.token.clone()),
        ]
    }
}

/// The blocks of the page.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((line, text)) = lines.next() {
        let Some(language) = text.strip_prefix("```").filter(|it| !it.is_empty()) else { continue };
        let inside = lines.by_ref().map(|(_, text)| text).take_while(|text| *text != "```");
        let content = inside.fold(String::new(), |all, line| all + line + "\n");
        match language.split_once(" exit=").unwrap_or((language, "0")) {
            ("sh", exit) => blocks.push(Block {
                line: line + 1,
                code: content,
                exit: exit.parse().unwrap(),
                prints: None,
            }),
            ("text", _) => blocks.last_mut().unwrap().prints = Some(content),
            other => panic!("line {}: a block of {other:?} is not run", line + 1),
        }
    }
    blocks
}

/// All blocks as one script: variables live on from block to block.
fn script(blocks: &[Block]) -> String {
    let mut script = "set -euo pipefail\n".to_owned();
    for (number, Block { line, code, exit, .. }) in blocks.iter().enumerate() {
        writeln!(script, "echo '=== line {line}' >&2").unwrap();
        if *exit == 0 {
            writeln!(script, "{{\n{code}}} > block-{number}.out").unwrap();
        } else {
            writeln!(
                script,
                "set +e\n( set -e\n{code}) > block-{number}.out; ended=$?\nset -e\n\
                 [ $ended -eq {exit} ] || {{ echo \"ended with $ended, not {exit}\" >&2; exit 1; }}"
            )
            .unwrap();
        }
    }
    script
}

/// A folder with the programs that the page names. `cosign verify` asks both versions.
fn programs(folder: &Path) -> std::path::PathBuf {
    let programs = folder.join("programs");
    fs::create_dir_all(&programs).unwrap();
    symlink(env!("CARGO_BIN_EXE_countersign"), programs.join("countersign")).unwrap();
    symlink(Tool::Crane.path(), programs.join("crane")).unwrap();
    let (second, third) = (Tool::Cosign2.path(), Tool::Cosign3.path());
    let judge = format!(
        "#!/bin/sh\nset -e\nif [ \"$1\" = verify ]; then '{}' \"$@\" > /dev/null; fi\nexec '{}' \"$@\"\n",
        second.display(),
        third.display()
    );
    let python = Tool::Python.path().display().to_string();
    let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/gcloud.py");
    let gcloud = format!("#!/bin/sh\nexec '{python}' '{}' \"$@\"\n", stand_in.display());
    let aws = format!("#!/bin/sh\nexec '{python}' -m awscli \"$@\"\n");
    let plugin = include_str!("support/local_plugin.sh").to_owned();
    for (name, content) in
        [("aws", aws), ("cosign", judge), ("gcloud", gcloud), ("sigstore-kms-local", plugin)]
    {
        fs::write(programs.join(name), content).unwrap();
        fs::set_permissions(programs.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    programs
}

/// Says whether `text` is `pattern`, in which `…` is any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return rest.is_empty() };
    for part in between {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn a_pattern_leaves_only_what_it_says_open() {
    assert!(matches("a…c", "abc") && matches("a…", "a") && matches("a…c…e", "abcde"));
    assert!(!matches("a…c", "abd") && !matches("a", "ab") && !matches("…b", "ba"));
}
