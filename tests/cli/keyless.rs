//! `sign` and `verify IMAGE` with an identity instead of a key, and with logs, on sigstore's real services.

use serde_json::{Value, json};

use super::sandbox::{Ended, Sandbox};
use super::support::docker_registry::DockerRegistry;
use super::support::sigstore::{Log, SERVICES, Sigstore};
use super::support::tools::{Finished, Home, Tool, have};

const WORKFLOW: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";

/// A registry with one image, a folder with keys, and the services.
struct World {
    sandbox: Sandbox,
    sigstore: Sigstore,
    image: String,
    home: Home,
    _registry: DockerRegistry,
}

impl World {
    /// None where a tool is missing.
    fn new() -> Option<Self> {
        let needed = [SERVICES, &[Tool::Cosign2, Tool::Cosign3, Tool::DockerRegistry]].concat();
        let registry = have(&needed).then(DockerRegistry::start)?;
        let (sandbox, image) = (Sandbox::new(), registry.reference("acme/app:1"));
        sandbox.run(&["copy", "oci:images:api", &image]).expect(0);
        let (sigstore, home) = (Sigstore::start(), Home::new());
        Some(Self { sandbox, sigstore, image, home, _registry: registry })
    }

    fn config(&self, logs: &[Log], authorities: usize) -> String {
        self.sigstore.signing_config(logs, authorities).display().to_string()
    }

    fn root(&self) -> String {
        self.sigstore.trusted_root().display().to_string()
    }

    /// Signs the image with these services and variables.
    fn sign(&self, config: &str, more: &[&str], variables: &[(&str, String)]) -> Ended {
        let root = self.root();
        let own = ["sign", "--signing-config", config, "--trusted-root", &root, &self.image];
        let mut command = self.sandbox.command(&[&own[..], more].concat());
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        self.sandbox.ended(&mut command)
    }

    fn verify(&self, more: &[&str]) -> Ended {
        self.sandbox.run(&[&["verify", &self.image], more].concat())
    }

    fn cosign(&self, tool: Tool, more: &[&str]) -> Finished {
        let arguments: Vec<&str> = [&["verify", &self.image], more].concat();
        let mut command = self.home.command(tool);
        command.args(arguments);
        if tool == Tool::Cosign2 {
            command.envs(self.sigstore.environment_of_cosign2());
        }
        Finished::of(&mut command)
    }

    /// How many requests made something since the last time: certificates, entries, timestamps.
    fn made(&self) -> [usize; 4] {
        let Sigstore { fulcio, rekor_v1, rekor_v2, timestamps, .. } = &self.sigstore;
        [fulcio.made(), rekor_v1.made(), rekor_v2.made(), timestamps.made()]
    }
}

fn named<'a>(identity: &'a str, issuer: &'a str) -> [&'a str; 4] {
    ["--certificate-identity", identity, "--certificate-oidc-issuer", issuer]
}

#[test]
fn a_workflow_signs_and_both_cosigns_agree() {
    let Some(world) = World::new() else { return };
    let job = world.sigstore.github_actions("acme/app");
    let config = world.config(&[Log::RekorV1], 1);
    let signed = world.sign(&config, &["--yes"], &job.environment()).expect(0);
    assert!(signed.stderr.contains("Signing as repo:acme/app"), "{signed}");
    assert!(signed.stderr.contains("publishes 1 log entry and at least 1 certificate"), "{signed}");
    assert_eq!((job.given(), world.made()), (1, [1, 1, 0, 1]));

    let (root, issuer) = (world.root(), world.sigstore.github_issuer());
    let who = named(WORKFLOW, issuer);
    let rooted = [&["--trusted-root", root.as_str()], &who[..]].concat();
    world.cosign(Tool::Cosign2, &who).success();
    world.cosign(Tool::Cosign3, &rooted).success();
    let ours = world.verify(&rooted).expect(0);
    assert!(ours.stderr.contains("in the transparency log was verified offline"), "{ours}");
    let payloads: Value = ours.json();
    assert_eq!(payloads[0]["optional"]["Issuer"], issuer);
    assert_eq!(payloads[0]["optional"]["githubWorkflowRepository"], "acme/app");

    // cosign's own variables instead of a trusted root.
    let mut command = world.sandbox.command(&[&["verify", &world.image], &who[..]].concat());
    world.sandbox.ended(command.envs(world.sigstore.environment_of_cosign2())).expect(0);

    let others = Sigstore::strangers();
    let strangers = others.trusted_root().display().to_string();
    let claim = |name, value| [&rooted[..], &[name, value]].concat();
    for (wrong, why) in [
        ([&["--trusted-root", strangers.as_str()], &who[..]].concat(), "not in the trusted root"),
        ([&["--trusted-root", root.as_str()], &named("eve", issuer)[..]].concat(), "and not eve"),
        (
            [&["--trusted-root", &root], &named(WORKFLOW, "https://other")[..]].concat(),
            "https://other",
        ),
        (claim("--certificate-github-workflow-trigger", "pull_request"), "pull_request"),
        (claim("--certificate-github-workflow-sha", "abc"), "githubWorkflowSha"),
    ] {
        let ended = world.verify(&wrong).expect(6);
        assert!(ended.stderr.contains(why), "{why}: {ended}");
        if !wrong.contains(&strangers.as_str()) {
            world.cosign(Tool::Cosign3, &wrong).failure();
        }
    }
    let regexp =
        ["--certificate-identity-regexp", "acme/app", "--certificate-oidc-issuer-regexp", "."];
    world.verify(&[&["--trusted-root", root.as_str()], &regexp[..]].concat()).expect(0);
}

#[test]
fn a_token_signs_a_bundle_and_only_a_timestamp_proves_its_time() {
    let Some(world) = World::new() else { return };
    world.sandbox.write("token", world.sigstore.token("ci@example.com"));
    let config = world.config(&[Log::RekorV2], 1);
    let files = ["--bundle", "out.json", "--output-certificate", "out.pem"];
    let how = ["--yes", "--new-bundle-format", "--identity-token", "token"];
    world.sign(&config, &[&how[..], &files].concat(), &[]).expect(0);
    assert_eq!(world.made(), [1, 0, 1, 1]);
    let bundle = world.sandbox.json("out.json");
    assert_eq!(bundle["mediaType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
    assert!(world.sandbox.read("out.pem").starts_with("-----BEGIN CERTIFICATE-----"));

    let (root, issuer) = (world.root(), world.sigstore.issuer());
    let who = [&["--trusted-root", &root], &named("ci@example.com", issuer)[..]].concat();
    let stamped = [&who[..], &["--use-signed-timestamps"]].concat();
    world.cosign(Tool::Cosign3, &stamped).success();
    let ours = world.verify(&stamped).expect(0);
    assert!(ours.stderr.contains("timestamps were verified"), "{ours}");
    let chain = world.sigstore.environment_of_cosign2()[3].1.display().to_string();
    world.verify(&[&who[..], &["--timestamp-certificate-chain", &chain]].concat()).expect(0);
    // The certificate has not ended, so that no proof of time is needed yet.
    world.verify(&who).expect(0);
    let without = world.config(&[Log::RekorV2], 0);
    world.sign(&without, &how, &[]).expect(1);
}

#[test]
fn what_cannot_be_signed_is_told_before_anything_is_made() {
    let Some(world) = World::new() else { return };
    let config = world.config(&[Log::RekorV1], 1);
    let token = world.sigstore.token_with(&json!({
        "sub": "jane@example.com", "email": "jane@example.com", "email_verified": true,
        "aud": "sigstore", "exp": 1_700_000_000,
    }));
    world.sandbox.write("ended", &token);
    world.sandbox.write("good", world.sigstore.token("jane@example.com"));
    let token_args = ["--yes", "--identity-token", token.as_str()];
    for (arguments, code, words) in [
        (
            &["--yes", "--identity-token", "ended"][..],
            77,
            "the token ended at 2023-11-14T22:13:20Z",
        ),
        (&token_args, 77, "the token ended"),
        (&["--yes", "--identity-token", "nowhere"], 77, "cannot be read as a file"),
        (&["--yes", "--oidc-disable-ambient-providers"], 77, "nobody to ask"),
        (&["--yes", "--fulcio-auth-flow", "device"], 77, "nobody to ask"),
        (&["--identity-token", "good"], 64, "add --yes"),
        (&["--identity-token", "good", "--payload", "p"], 64, "--key"),
        (&["--identity-token", "good", "--bundle", "b"], 64, "add --new-bundle-format"),
        (
            &["--identity-token", "good", "--fulcio-url", "http://127.0.0.1:1"],
            64,
            "--signing-config",
        ),
        (&["--oidc-provider", "gitpod"], 64, "github-actions"),
    ] {
        let ended = world.sign(&config, arguments, &[]).expect(code);
        assert!(ended.stderr.contains(words), "{words}: {ended}");
        for part in token.split('.') {
            assert!(!ended.stderr.contains(part), "the token is shown: {ended}");
        }
    }
    assert_eq!(world.made(), [0; 4]);
    let root = world.root();
    let who = named("jane@example.com", world.sigstore.issuer());
    let ended = world.verify(&[&["--trusted-root", &root], &who[..]].concat()).expect(6);
    assert!(ended.stderr.contains("carries no signatures"), "{ended}");
}

#[test]
fn a_key_signs_with_an_entry_and_a_timestamp_which_can_be_attached_elsewhere() {
    let Some(world) = World::new() else { return };
    let tsa = world.sigstore.timestamps.url();
    let password = [("COSIGN_PASSWORD", super::sandbox::PASSWORD.to_owned())];
    let config = world.config(&[Log::RekorV1], 1);
    let tsa = format!("{}/api/v1/timestamp", tsa.trim_end_matches('/'));
    let how = ["--yes", "--key", "release.key", "--timestamp-server-url", &tsa];
    world.sign(&config, &how, &password).expect(0);
    let [certificates, entries, _, timestamps] = world.made();
    assert_eq!((certificates, timestamps), (0, 1));
    assert!(entries > 0);
    let root = world.root();
    let by_key = ["--key", "release.pub", "--trusted-root", root.as_str()];
    let key = world.sandbox.path().join("release.pub").display().to_string();
    world.cosign(Tool::Cosign3, &["--key", &key, "--trusted-root", &root]).success();
    let stamped = [&by_key[..], &["--use-signed-timestamps"]].concat();
    let ours = world.verify(&stamped).expect(0);

    // The same evidence on another copy of the image.
    let optional = ours.json()[0]["optional"].clone();
    world.sandbox.write("entry.json", optional["Bundle"].to_string());
    let stamp = optional["RFC3161Timestamp"]["SignedRFC3161Timestamp"].as_str().unwrap().to_owned();
    let stamp = base64(&stamp);
    world.sandbox.write("stamp.tsr", stamp);
    let payload = world.sandbox.run(&["download", "signature", &world.image]).expect(0);
    let downloaded = payload.json();
    world.sandbox.write("payload", base64(downloaded["Payload"].as_str().unwrap()));
    world.sandbox.write("sig", downloaded["Base64Signature"].as_str().unwrap());
    let copy = world.image.replace("acme/app", "acme/copy");
    world.sandbox.run(&["copy", "oci:images:api", &copy]).expect(0);
    let attach = |more: &[&str]| {
        let own = ["attach", "signature", &copy, "--key", "release.pub", "--payload", "payload"];
        world.sandbox.run(&[&own[..], &["--signature", "sig"], more].concat())
    };
    attach(&["--rekor-response", "payload"]).expect(64);
    attach(&["--rekor-response", "entry.json", "--tsr", "stamp.tsr"]).expect(0);
    let verify = |more: &[&str]| world.sandbox.run(&[&["verify", &copy], more].concat());
    verify(&stamped).expect(0);
    let plain = world.image.replace("acme/app", "acme/plain");
    world.sandbox.run(&["copy", "oci:images:api", &plain]).expect(0);
    let own = ["attach", "signature", &plain, "--key", "release.pub", "--payload", "payload"];
    world.sandbox.run(&[&own[..], &["--signature", "sig"]].concat()).expect(0);
    let ended = world.sandbox.run(&[&["verify", &plain], &by_key[..]].concat()).expect(6);
    assert!(ended.stderr.contains("no entry in a transparency log"), "{ended}");
    world
        .sandbox
        .run(&["verify", &plain, "--key", "release.pub", "--insecure-ignore-tlog"])
        .expect(0);
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

#[test]
fn an_apply_signs_as_the_job_and_refuses_another_identity_before_anything_is_made() {
    let Some(world) = World::new() else { return };
    let config = world.config(&[Log::RekorV2], 1);
    let spec = |identity: &str| {
        let (root, issuer) = (world.root(), world.sigstore.github_issuer().to_owned());
        let (repository, _) = world.image.rsplit_once(':').unwrap();
        format!(
            "version = 1\n[sigstore]\nsigning_config = \"{config}\"\ntrusted_root = \"{root}\"\n[signers.ci]\n\
             keyless = {{ issuer = \"{issuer}\", identity = \"{identity}\" }}\n[defaults]\nsign_with = [\"ci\"]\n\
             formats = [\"bundle\"]\n[[images]]\nrepository = \"{repository}\"\ntags = [\"1\"]\n"
        )
    };
    let job = world.sigstore.github_actions("acme/app");
    let apply = || {
        let mut command = world.sandbox.command(&["apply", "--yes"]);
        world.sandbox.ended(command.envs(job.environment()))
    };
    world.sandbox.write("countersign.toml", spec("https://github.com/acme/other"));
    let refused = apply().expect(77);
    assert!(refused.stdout.contains("https://github.com/acme/other"), "{refused}");
    let [certificates, entries @ ..] = world.made();
    assert_eq!((certificates, entries), (1, [0; 3]), "nothing was signed or logged");
    world.sandbox.write("countersign.toml", spec(WORKFLOW));
    apply().expect(0);
    assert_eq!(world.made(), [1, 0, 1, 1]);
    world.sandbox.run(&["plan", "--detailed-exitcode"]).expect(0);
    apply().expect(0);
    assert_eq!(world.made(), [0; 4], "nothing is left to do");
    let root = world.root();
    let who = named(WORKFLOW, world.sigstore.github_issuer());
    let cosign = [&["--trusted-root", &root, "--use-signed-timestamps"], &who[..]].concat();
    world.cosign(Tool::Cosign3, &cosign).success();
}
