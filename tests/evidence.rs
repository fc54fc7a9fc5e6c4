//! What the real cosign signed with the real services of sigstore, as plans judge it: now, after the certificates' end,
//! and where something of it does not hold.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod support;

use std::ffi::OsString;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use countersign::keys::Keyring;
use countersign::keys::memory::MemoryEnvironment;
use countersign::model::{Clock, SystemClock, Timestamp};
use countersign::observe::{ObserveOptions, Observer};
use countersign::plan::{Change, Plan};
use countersign::sigstore::{Deployment, Opened};
use countersign::spec::{LoadOptions, MemoryFiles, Spec};
use countersign::store::{RemoteOptions, RemoteStore};
use serde_json::Value;
use support::cosign::{Cosign, KeyPair};
use support::docker_registry::DockerRegistry;
use support::images::{Image, Publisher};
use support::sigstore::{Log, SERVICES, Sigstore};
use support::tools::{self, Finished, Home, Tool};

const WHO: &str = "ci@example.com";
const DAY: u64 = 24 * 60 * 60;

/// So much later than now.
#[derive(Debug)]
struct Later(Duration);

impl Clock for Later {
    fn now(&self) -> Timestamp {
        SystemClock.now().after(self.0)
    }
}

struct World {
    sigstore: Sigstore,
    registry: DockerRegistry,
    home: Home,
}

impl World {
    fn new() -> Option<Self> {
        let needed = [SERVICES, &[Tool::Cosign2, Tool::Cosign3, Tool::DockerRegistry]].concat();
        tools::have(&needed).then(|| Self {
            sigstore: Sigstore::start(),
            registry: DockerRegistry::start(),
            home: Home::new(),
        })
    }

    /// Pushes an image, and gives its reference by digest.
    async fn image(&self, name: &str) -> String {
        let image = Image::oci(name);
        Publisher::new(&self.registry).push(name, &image, None).await;
        self.registry.reference(&format!("{name}@{}", image.digest()))
    }

    /// Signs with cosign 3 as a bundle: with a token of WHO, or with `more` arguments.
    fn sign_bundle(&self, image: &str, logs: &[Log], authorities: usize, more: &[OsString]) {
        let config = self.sigstore.signing_config(logs, authorities);
        let mut arguments: Vec<OsString> = vec!["sign".into(), "--yes".into()];
        arguments.extend(["--signing-config".into(), config.into()]);
        arguments.extend(["--trusted-root".into(), self.sigstore.trusted_root().into()]);
        arguments.extend(more.iter().cloned());
        arguments.push(image.into());
        let mut command = self.home.command(Tool::Cosign3);
        Finished::of(command.args(arguments).env("COSIGN_PASSWORD", "pw")).success();
    }

    fn token(&self) -> [OsString; 2] {
        ["--identity-token".into(), self.sigstore.token(WHO).into()]
    }

    /// Signs with `tool` at the tag: with Rekor v1, and `more` arguments.
    fn sign_simple(&self, tool: Tool, image: &str, more: &[&str]) {
        let (fulcio, rekor) = (self.sigstore.fulcio.url(), self.sigstore.rekor_v1.url());
        let mut arguments = vec!["sign", "--yes", "--fulcio-url", &fulcio, "--rekor-url", &rekor];
        if tool == Tool::Cosign3 {
            arguments.extend(["--new-bundle-format=false", "--use-signing-config=false"]);
        }
        arguments.extend(more);
        arguments.push(image);
        let mut command = self.home.command(tool);
        let environment = self.sigstore.environment_of_cosign2();
        let command = command.args(arguments).envs(environment).env("COSIGN_PASSWORD", "pw");
        Finished::of(command).success();
    }

    /// Plans with the signer `ci` so much later, trusting `root`.
    async fn plan_with(&self, signer: &str, images: &str, after: u64, root: &str) -> Plan {
        let config = self.sigstore.signing_config(&[Log::RekorV1], 1).display().to_string();
        let mut files = MemoryFiles::default();
        files.add("root.json", root);
        files.add("config.json", fs::read(config).unwrap());
        if let Ok(key) = fs::read(self.home.path().join("ci.pub")) {
            files.add("ci.pub", key);
        }
        let sigstore = "[sigstore]\ntrusted_root = \"root.json\"\nsigning_config = \"config.json\"";
        let spec = format!("version = 1\n{sigstore}\n[signers.ci]\n{signer}\n{images}");
        files.add("countersign.toml", spec);
        let environment = Arc::new(MemoryEnvironment::default());
        let options = LoadOptions::default();
        let spec = Spec::load(&["countersign.toml"], &files, &*environment, &options).unwrap();
        let sigstore = spec.sigstore.unwrap();
        let (root, config) = (sigstore.trusted_root, sigstore.signing_config);
        let observer = Observer {
            store: Arc::new(RemoteStore::new(RemoteOptions::default())),
            keyring: Arc::new(Keyring::new(spec.keyring, environment)),
            deployment: Arc::new(Deployment::of(Opened { root, config })),
            clock: Arc::new(Later(Duration::from_secs(after))),
            options: ObserveOptions::default(),
        };
        let (plan, _) = observer.plan(&spec.desired, &()).await;
        plan
    }

    async fn plan(&self, signer: &str, images: &str, after: u64) -> Vec<String> {
        lines(&self.plan_with(signer, images, after, &self.root()).await)
    }

    fn root(&self) -> String {
        fs::read_to_string(self.sigstore.trusted_root()).unwrap()
    }

    /// The trusted root with the key or the certificates of a stranger at `pointer`.
    fn root_with_stranger(&self, pointers: &[&str]) -> String {
        let theirs = fs::read_to_string(Sigstore::strangers().trusted_root()).unwrap();
        let theirs: Value = serde_json::from_str(&theirs).unwrap();
        let mut root: Value = serde_json::from_str(&self.root()).unwrap();
        for pointer in pointers {
            *root.pointer_mut(pointer).unwrap() = theirs.pointer(pointer).unwrap().clone();
        }
        root.to_string()
    }

    fn keyless(&self) -> String {
        format!("keyless = {{ issuer = \"{}\", identity = \"{WHO}\" }}", self.sigstore.issuer())
    }
}

fn entry(image: &str, format: &str) -> String {
    format!("[[images]]\nreference = \"{image}\"\nsign_with = [\"ci\"]\nformats = [\"{format}\"]\n")
}

/// The changes of a plan: mark, then fields or codes. Lists of referrers that cosign wrote are left out.
fn lines(plan: &Plan) -> Vec<String> {
    let changes = plan.targets.iter().flat_map(|it| &it.changes);
    let changes = changes.filter(|it| !matches!(it, Change::Repair { .. }));
    let lines = changes.map(|change| {
        let notes: Vec<String> = match change {
            Change::Blocked { reason, .. } => vec![reason.code.clone()],
            Change::Foreign { found, .. } => {
                found.problems.iter().map(|it| it.code.clone()).collect()
            }
            Change::Resign { differences, .. } => {
                differences.iter().map(|it| it.field.name().to_owned()).collect()
            }
            _ => Vec::new(),
        };
        format!("{} {}", change.action().mark(), notes.join(" ")).trim_end().to_owned()
    });
    lines.collect()
}

#[tokio::test]
async fn what_cosign_signed_keyless_is_kept_also_after_the_certificates_end() {
    let Some(world) = World::new() else { return };
    let token = world.token();
    let mut images = String::new();
    for (name, log) in [("v1", Log::RekorV1), ("v2", Log::RekorV2)] {
        let image = world.image(name).await;
        world.sign_bundle(&image, &[log], 1, &token);
        images += &entry(&image, "bundle");
    }
    let timestamps = format!("{}/api/v1/timestamp", world.sigstore.timestamps.url());
    for (name, tool, more) in [
        ("two", Tool::Cosign2, vec![]),
        ("three", Tool::Cosign3, vec!["--timestamp-server-url", &timestamps]),
    ] {
        let image = world.image(name).await;
        let more = [&["--identity-token", token[1].to_str().unwrap()], &more[..]].concat();
        world.sign_simple(tool, &image, &more);
        images += &entry(&image, "simple-signing");
    }
    let kept = ["="; 4];
    for after in [0, DAY, 365 * DAY] {
        assert_eq!(world.plan(&world.keyless(), &images, after).await, kept, "{after}");
    }
    let issuer = world.sigstore.issuer();
    let pattern = format!(
        "keyless = {{ issuer = \"{issuer}\", identity_regexp = \"[a-z]+@example\\\\.com\" }}"
    );
    assert_eq!(world.plan(&pattern, &images, 0).await, kept);
    // What is not needed may be there; what is needed must be.
    let without_log = format!("{}\ntransparency_log = false", world.keyless());
    assert_eq!(world.plan(&without_log, &images, DAY).await, kept);
    let url = "https://tsa.example";
    let stamped = format!("{}\ntimestamp_authorities = [{{ url = \"{url}\" }}]", world.keyless());
    assert_eq!(world.plan(&stamped, &images, 0).await, ["=", "=", "~ timestamp", "?", "="]);

    let stranger = ["+", "? signature::other_identity"].repeat(4);
    for policy in [
        format!("keyless = {{ issuer = \"{issuer}\", identity = \"cd@example.com\" }}"),
        format!("keyless = {{ issuer = \"{issuer}\", identity_regexp = \"ci@example\" }}"),
        format!("keyless = {{ issuer = \"https://accounts.google.com\", identity = \"{WHO}\" }}"),
        format!(
            "keyless = {{ issuer = \"{issuer}\", identity = \"{WHO}\", github = {{ repository = \"a/b\" }} }}"
        ),
    ] {
        assert_eq!(world.plan(&policy, &images, 0).await, stranger, "{policy}");
    }
}

#[tokio::test]
async fn without_timestamp_and_log_entry_an_ended_certificate_is_renewed() {
    let Some(world) = World::new() else { return };
    let image = world.image("bare").await;
    let token = world.token();
    let more = ["--identity-token", token[1].to_str().unwrap(), "--tlog-upload=false"];
    world.sign_simple(Tool::Cosign2, &image, &more);
    let images = entry(&image, "simple-signing");
    let signer = format!("{}\ntransparency_log = false", world.keyless());
    // Evidence stands in the manifest that is read anyway.
    world.registry.take_requests();
    assert_eq!(world.plan(&signer, &images, 0).await, ["="]);
    assert_eq!(world.registry.take_requests().len(), 1);
    assert_eq!(world.plan(&signer, &images, DAY).await, ["~ expiry", "?"]);
    let renew = format!("{signer}\nrenew_before = \"20m\"");
    assert_eq!(world.plan(&renew, &images, 0).await, ["~ expiry", "?"]);
    assert_eq!(world.plan(&world.keyless(), &images, 0).await, ["~ log_entry", "?"]);
}

#[tokio::test]
async fn what_does_not_hold_is_told_by_its_code() {
    let Some(world) = World::new() else { return };
    let token = world.token();
    let (first, second) = (world.image("first").await, world.image("second").await);
    world.sign_bundle(&first, &[Log::RekorV2], 1, &token);
    world.sign_simple(Tool::Cosign2, &second, &["--identity-token", token[1].to_str().unwrap()]);
    let images = entry(&first, "bundle") + &entry(&second, "simple-signing");
    let authority = "/timestampAuthorities/0/certChain";
    for (pointers, expected) in [
        (
            &["/ctlogs/0/publicKey"][..],
            vec!["+", "? trust::certificate_log_wrong", "+", "? trust::certificate_log_wrong"],
        ),
        (
            &["/ctlogs/0"],
            vec!["+", "? trust::certificate_log_unknown", "+", "? trust::certificate_log_unknown"],
        ),
        (
            &["/certificateAuthorities/0"],
            vec!["+", "? trust::certificate_untrusted", "+", "? trust::certificate_untrusted"],
        ),
        (&["/tlogs/0/publicKey"], vec!["=", "~ log_entry expiry", "?"]),
        (&["/tlogs/1/publicKey"], vec!["~ log_entry", "?", "="]),
        (&["/tlogs/0", "/tlogs/1"], vec!["~ log_entry", "?", "~ log_entry expiry", "?"]),
        (&[authority, "/timestampAuthorities/1/certChain"], vec!["~ expiry", "?", "="]),
    ] {
        let root = world.root_with_stranger(pointers);
        // A day later only what is proven holds.
        let plan = world.plan_with(&world.keyless(), &images, DAY, &root).await;
        let found = lines(&plan);
        let found: Vec<&str> = found
            .iter()
            .map(|it| {
                if it.starts_with("? trust::certificate") {
                    it.as_str()
                } else {
                    // Problems of superseded ones are told in the differences.
                    it.split(" trust::").next().unwrap()
                }
            })
            .collect();
        assert_eq!(found, expected, "{pointers:?}");
    }
    let told = async |pointer: &str| {
        let root = world.root_with_stranger(&[pointer]);
        let plan = world.plan_with(&world.keyless(), &images, 0, &root).await;
        serde_json::to_string(&plan.to_file()).unwrap()
    };
    assert!(told("/tlogs/0/publicKey").await.contains("trust::promise_wrong"));
    assert!(told("/tlogs/1/publicKey").await.contains("trust::checkpoint_wrong"));
}

#[tokio::test]
async fn a_workflow_is_known_by_what_its_certificate_claims() {
    let Some(world) = World::new() else { return };
    let image = world.image("workflow").await;
    let token = ["--identity-token".into(), world.sigstore.github_token("acme/app").into()];
    world.sign_bundle(&image, &[Log::RekorV1], 0, &token);
    let images = entry(&image, "bundle");
    let signer = |github: &str| {
        let issuer = world.sigstore.github_issuer();
        format!(
            "keyless = {{ issuer = \"{issuer}\", identity_regexp = \"https://github\\\\.com/acme/app/.*\", github = {{ {github} }} }}"
        )
    };
    let stranger = ["+", "? signature::other_identity"];
    for (github, expected) in [
        ("repository = \"acme/app\"", &["="][..]),
        ("repository = \"acme/ap\"", &stranger),
        ("trigger = \"schedule-of-nobody\"", &stranger),
    ] {
        assert_eq!(world.plan(&signer(github), &images, DAY).await, expected, "{github}");
    }
}

#[tokio::test]
async fn a_key_with_a_log_entry_is_kept_and_one_without_signs_again() {
    let Some(world) = World::new() else { return };
    let KeyPair { private, .. } = Cosign::v2().generate_key_pair(world.home.path(), "ci", "pw");
    let key = private.to_str().unwrap();
    let mut images = String::new();
    for (name, log) in [("v1", Log::RekorV1), ("v2", Log::RekorV2)] {
        let image = world.image(name).await;
        world.sign_bundle(&image, &[log], 0, &["--key".into(), key.into()]);
        images += &entry(&image, "bundle");
    }
    for (name, tool, more) in [
        ("two", Tool::Cosign2, vec![]),
        ("three", Tool::Cosign3, vec![]),
        ("bare", Tool::Cosign2, vec!["--tlog-upload=false"]),
    ] {
        let image = world.image(name).await;
        world.sign_simple(tool, &image, &[&["--key", key], &more[..]].concat());
        images += &entry(&image, "simple-signing");
    }
    // Without the key itself: nothing is opened to plan.
    let signer = "public_key = \"ci.pub\"\ntransparency_log = true";
    let owed = ["=", "=", "=", "=", "x signature::owed", "?"];
    assert_eq!(world.plan(signer, &images, DAY).await, owed);
    let signer = "public_key = \"ci.pub\"";
    assert_eq!(world.plan(signer, &images, 0).await, ["="; 5]);
    let signer = "public_key = \"ci.pub\"\nkey = \"env://CI\"";
    let again = ["=", "=", "=", "=", "~ log_entry", "?"];
    let options = format!("{signer}\ntransparency_log = true").replace("env://CI", "ci.key");
    assert_eq!(world.plan(&options, &images, 0).await, again);
}
