//! Each kind of failure with each provider, as somebody at the command line sees it.
//!
//! A key that leaves its service to sign here cannot be disabled, and a token does not limit; what a plugin says of
//! limits and networks is waited for, and so looked at in `plugin.rs`.

use std::fmt::Write as _;
use std::thread;

use serde_json::json;
use tokio::runtime::Handle;

use super::plugin::{openssl, script};
use super::support::aws;
use super::support::fakes::gcp::RING;
use super::world::World;

/// One thing that goes wrong.
struct Case<'a> {
    /// What was done, in a few words.
    done: &'static str,
    key: String,
    /// A variable that differs.
    variable: Option<(&'static str, String)>,
    /// What is done to the service just before.
    before: Box<dyn Fn() + Send + 'a>,
    end: End,
    /// What is said, among other things.
    help: &'static str,
}

/// The code of the error, and that of the program.
type End = (&'static str, i32);

const DISABLED: End = ("key::disabled", 1);
const MALFORMED: End = ("key::malformed", 1);
const NOT_FOUND: End = ("key::not_found", 1);
const PERMISSION: End = ("key::permission", 77);
const THROTTLED: End = ("key::throttled", 75);
const UNAVAILABLE: End = ("key::unavailable", 75);
const UNSUPPORTED: End = ("key::unsupported", 1);

const LATER: &str = "try again later";
const NOBODY: &str = "http://127.0.0.1:9";

impl<'a> Case<'a> {
    fn new(done: &'static str, key: impl Into<String>, end: End, help: &'static str) -> Self {
        Self { done, key: key.into(), variable: None, before: Box::new(|| {}), end, help }
    }

    fn with(self, name: &'static str, value: impl Into<String>) -> Self {
        Self { variable: Some((name, value.into())), ..self }
    }

    fn before(self, before: impl Fn() + Send + 'a) -> Self {
        Self { before: Box::new(before), ..self }
    }
}

/// Asks for the public key of each case. Gives a row for each: what was done, and what is seen.
fn run(provider: &str, cases: Vec<Case<'_>>, world: &World) -> String {
    let mut rows = String::new();
    for case in cases {
        (case.before)();
        let mut command = world.ours(&["public-key", "--key", &case.key]);
        let ended = world.run(command.envs(case.variable));
        let seen = format!("{provider}, {}: {ended:?}", case.done);
        let (code, exit) = case.end;
        assert_eq!(ended.code, Some(exit), "{seen}");
        assert!(ended.stdout.is_empty(), "{seen}");
        let said = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [code, "help:", case.help] {
            assert!(said.contains(words), "`{words}` is not in {seen}");
        }
        writeln!(rows, "| {provider} | {} | {exit} | {said} |", case.done).unwrap();
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn each_failure_of_each_provider_is_told_with_what_to_do() {
    let test = "failures::each_failure_of_each_provider_is_told_with_what_to_do";
    let Some(world) = World::start(test).await else { return };
    aws::create(&world.aws.url(), "koblitz", "ECC_SECG_P256K1").await;
    let (world, handle) = (&world, &Handle::current());
    // Where nobody listens, each asks for a quarter of a minute: all at once.
    let rows: Vec<_> = thread::scope(|scope| {
        let all = [
            ("aws", aws(world, handle)),
            ("azure", azure(world)),
            ("cluster", cluster(world)),
            ("gcp", gcp(world)),
            ("plugin", plugin(world)),
            ("project", project(world)),
            ("token", token()),
            ("vault", vault(world)),
        ];
        let running = all.map(|(provider, cases)| scope.spawn(move || run(provider, cases, world)));
        running.into_iter().map(|it| it.join().unwrap()).collect()
    });
    println!("{}", rows.concat());
}

fn aws<'a>(world: &'a World, handle: &'a Handle) -> Vec<Case<'a>> {
    let key = "awskms:///alias/release";
    let refused =
        |code: &'static str| move || handle.block_on(aws::refuse(&world.aws.url(), &[code; 2]));
    // Only what passes is asked for a second time.
    let refused_once =
        |code: &'static str| move || handle.block_on(aws::refuse(&world.aws.url(), &[code]));
    vec![
        Case::new("no such alias", "awskms:///alias/none", NOT_FOUND, "AWS_REGION"),
        Case::new("AccessDeniedException", key, PERMISSION, "kms:GetPublicKey and kms:Sign")
            .before(refused_once("AccessDeniedException")),
        Case::new("ThrottlingException", key, THROTTLED, LATER)
            .before(refused("ThrottlingException")),
        Case::new("DisabledException", key, DISABLED, "aws kms enable-key")
            .before(refused_once("DisabledException")),
        Case::new("a key of secp256k1", "awskms:///alias/koblitz", UNSUPPORTED, "ECC_NIST_P256"),
        Case::new("nobody listens", key, UNAVAILABLE, LATER).with("AWS_ENDPOINT_URL", NOBODY),
    ]
}

fn azure(world: &World) -> Vec<Case<'_>> {
    let azure = &world.azure;
    azure.state.create("off", "ecdsa-p256", "EC");
    azure.state.disable("off");
    azure.state.create("odd", "ed25519", "oct");
    let key = |name: &str| format!("azurekms://{}/{name}", azure.address());
    let fault =
        |code: &str, message: &str| json!({ "error": { "code": code, "message": message } });
    let denied = fault("Forbidden", "Caller is not authorized to perform action on resource.");
    let limited = fault("Throttled", "Request was not processed: too many requests.");
    vec![
        Case::new("no such key", key("none"), NOT_FOUND, "name of the vault"),
        Case::new("403", key("release"), PERMISSION, "Key Vault Crypto User")
            .before(move || azure.fail_next_on("/keys/", 403, denied.clone())),
        Case::new("429", key("release"), THROTTLED, LATER)
            .before(move || azure.limit_next_on("/keys/", limited.clone())),
        Case::new("a disabled key", key("off"), DISABLED, "az keyvault key set-attributes"),
        Case::new("a symmetric key", key("odd"), UNSUPPORTED, "EC P-256"),
        Case::new("nobody listens", "azurekms://127.0.0.1:9/k", UNAVAILABLE, LATER),
    ]
}

fn cluster(world: &World) -> Vec<Case<'_>> {
    let (cluster, key) = (&world.cluster, "k8s://signing/release");
    cluster.state.put("signing/koblitz", &[("cosign.pub", &koblitz(world))]);
    let limited = json!({ "kind": "Status", "message": "too many requests", "code": 429 });
    let text = std::fs::read_to_string(world.path().join("config")).unwrap();
    let changed = |name: &str, from: &str, to: &str| {
        let path = world.path().join(name);
        std::fs::write(&path, text.replace(from, to)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let powerless = changed("powerless", &cluster.state.token, &cluster.state.powerless);
    let closed = changed("closed", &cluster.url(), "https://127.0.0.1:9");
    vec![
        Case::new("no such secret", "k8s://signing/none", NOT_FOUND, "kubectl config"),
        Case::new("no role", key, PERMISSION, "`get` on this secret").with("KUBECONFIG", powerless),
        Case::new("429", key, THROTTLED, LATER)
            .before(move || cluster.limit_next_on("", limited.clone())),
        Case::new("a key of secp256k1", "k8s://signing/koblitz", MALFORMED, "ECDSA P-256"),
        Case::new("nobody listens", key, UNAVAILABLE, LATER).with("KUBECONFIG", closed),
    ]
}

fn gcp(world: &World) -> Vec<Case<'_>> {
    let gcp = &world.gcp;
    gcp.state.create("off", "ecdsa-p256", "EC_SIGN_P256_SHA256");
    gcp.state.disable("off", 1);
    gcp.state.create("pss", "rsa-2048", "RSA_SIGN_PSS_2048_SHA256");
    let key = |name: &str| format!("gcpkms://{RING}/{name}");
    let fault =
        |status: &str, message: &str| json!({ "error": { "status": status, "message": message } });
    let denied = fault("PERMISSION_DENIED", "Permission 'cloudkms.cryptoKeyVersions.list' denied");
    let limited = fault("RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Read requests'");
    vec![
        Case::new("no such key", key("none"), NOT_FOUND, "check project, location"),
        Case::new("PERMISSION_DENIED", key("release"), PERMISSION, "cloudkms.signerVerifier")
            .before(move || gcp.fail_next_on("/v1/projects/", 403, denied.clone())),
        Case::new("RESOURCE_EXHAUSTED", key("release"), THROTTLED, LATER)
            .before(move || gcp.limit_next_on("/v1/projects/", limited.clone())),
        Case::new("no enabled version", key("off"), DISABLED, "versions enable"),
        Case::new("RSA_SIGN_PSS_2048_SHA256", key("pss"), UNSUPPORTED, "RSA_SIGN_PKCS1_"),
        Case::new("nobody listens", key("release"), UNAVAILABLE, LATER)
            .with("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS", format!("{NOBODY}/")),
    ]
}

fn plugin(world: &World) -> Vec<Case<'_>> {
    script(
        world.path(),
        "says",
        "#!/bin/sh\nprintf '%s' \"$2\" | sed 's/.*keyResourceID\":\"\\([^\"]*\\)\".*/{\"errorMessage\":\"\\1\"}/'\n",
    );
    vec![
        Case::new("no such program", "none://key", NOT_FOUND, "install the plugin"),
        Case::new("it says: key not found", "says://key not found", NOT_FOUND, "not found"),
        Case::new("it says: access denied", "says://access denied", PERMISSION, "denied"),
        Case::new("it says: disabled", "says://the key is disabled", DISABLED, "enable the key"),
        Case::new("it says: unknown algorithm", "says://unknown algorithm", UNSUPPORTED, "unknown"),
    ]
}

fn project(world: &World) -> Vec<Case<'_>> {
    let (gitlab, key) = (&world.gitlab, "gitlab://acme/signing");
    let limited = json!({ "message": "429 Too Many Requests" });
    let koblitz = koblitz(world);
    vec![
        Case::new("no such project", "gitlab://acme/none", NOT_FOUND, "path or id"),
        Case::new("a developer's token", key, PERMISSION, "the role Maintainer")
            .with("GITLAB_TOKEN", &gitlab.state.developer),
        Case::new("429", key, THROTTLED, LATER)
            .before(move || gitlab.limit_next_on("", limited.clone())),
        Case::new("nobody listens", key, UNAVAILABLE, LATER).with("GITLAB_HOST", NOBODY),
        Case::new("a key of secp256k1", key, MALFORMED, "ECDSA P-256")
            .before(move || gitlab.state.set("COSIGN_PUBLIC_KEY", &koblitz)),
    ]
}

fn token() -> Vec<Case<'static>> {
    let key = |name: &str| format!("pkcs11:token=release;object={name}");
    vec![
        Case::new("no such key", key("none"), NOT_FOUND, "it has `"),
        Case::new("CKA_SIGN is false", key("idle"), PERMISSION, "usage `sign`"),
        Case::new("a key of secp256k1", key("koblitz"), UNSUPPORTED, "P-256"),
        Case::new("no such library", key("release"), NOT_FOUND, "module-path")
            .with("COSIGN_PKCS11_MODULE_PATH", "/nowhere/module.so"),
    ]
}

fn vault(world: &World) -> Vec<Case<'_>> {
    let vault = &world.vault;
    vault.state.create("aes", "aes256-gcm96");
    vault.state.create("off", "ecdsa-p256");
    vault.state.soft_delete("off");
    let key = |name: &str| format!("hashivault://{name}");
    let limited = json!({ "errors": ["request path \"transit\": rate limit quota exceeded"] });
    vec![
        Case::new("no such key", key("none"), NOT_FOUND, "vault list transit/keys"),
        Case::new("a token without policy", key("release"), PERMISSION, "`read` on transit/keys")
            .with("VAULT_TOKEN", "hvs.other"),
        Case::new("429", key("release"), THROTTLED, LATER)
            .before(move || vault.limit_next_on("", limited.clone())),
        Case::new("a deleted key", key("off"), DISABLED, "restore the key"),
        Case::new("a key of aes256-gcm96", key("aes"), UNSUPPORTED, "ecdsa-p256"),
        Case::new("nobody listens", key("release"), UNAVAILABLE, LATER).with("VAULT_ADDR", NOBODY),
    ]
}

/// A public key on a curve that nobody here takes.
fn koblitz(world: &World) -> String {
    openssl(world.path(), "ecparam -name secp256k1 -genkey -noout -out koblitz.pem");
    openssl(world.path(), "pkey -in koblitz.pem -pubout -out koblitz.pub");
    std::fs::read_to_string(world.path().join("koblitz.pub")).unwrap()
}
