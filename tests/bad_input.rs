//! Bad input, end to end: each has its own code and exit code, and nothing is signed or removed on its account.
//!
//! Every registry holds a broken image and a good one; the broken one carries a stranger's signature that
//! `prune = "undeclared"` would remove if all were well. The good one is always signed: a failure stops only its
//! own image.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "support/program.rs"]
mod program;
#[path = "support/scripted_registry.rs"]
mod scripted_registry;
#[path = "support/mod.rs"]
mod support;

use countersign::model::Descriptor;
use program::{Ends, Workshop};
use scripted_registry::{Fault, Options, ScriptedRegistry};
use support::certificates::{Authority, Leaf, Purpose, Validity};
use support::tools::Finished;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

struct Scene {
    registry: ScriptedRegistry,
    workshop: Workshop,
    image: Descriptor,
}

impl Scene {
    async fn new() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        let registry = ScriptedRegistry::start(options).await;
        let image = registry.put_image("bad/app", "1");
        registry.put_image("good/app", "1");
        let spec = format!(
            r#"version = 1

[signers.release]
key = "release.key"
public_key = "release.pub"
transparency_log = false

[defaults]
sign_with = ["release"]
prune = "undeclared"

[[images]]
reference = "{host}/bad/app:1"

[[images]]
reference = "{host}/good/app:1"
"#,
            host = registry.host()
        );
        let workshop = Workshop::new(&spec);
        workshop.key("p256", "release");
        Self { registry, workshop, image }
    }

    /// Puts a signature of nobody's there.
    async fn with_a_strangers_signature() -> Self {
        let scene = Self::new().await;
        let config = scene.registry.put_blob("bad/app", b"{}");
        let payload = scene.registry.put_blob("bad/app", b"{\"critical\":{}}");
        let mut layer = serde_json::to_value(payload).unwrap();
        layer["mediaType"] = "application/vnd.dev.cosign.simplesigning.v1+json".into();
        layer["annotations"] =
            serde_json::json!({ "dev.cosignproject.cosign/signature": "c3RyYW5nZXI=" });
        let carrier = serde_json::json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer],
        });
        scene.put_carrier(carrier.to_string().as_bytes());
        scene
    }

    fn put_carrier(&self, bytes: &[u8]) {
        self.registry.put_manifest("bad/app", Some(&self.signature_tag()), OCI_MANIFEST, bytes);
    }

    fn signature_tag(&self) -> String {
        format!("{}.sig", self.image.digest.to_string().replace(':', "-"))
    }

    fn fault(&self, method: &str, fault: Fault) {
        self.registry.on(method, "/v2/bad/", usize::MAX, fault);
    }

    fn apply(&self) -> Finished {
        self.workshop.run_with_password(&["apply", "--yes", "--report", "report.json"])
    }

    /// The requests that may have changed something in one of the two repositories, and were taken.
    fn writes(&self, repository: &str) -> Vec<String> {
        let all = self.registry.sent().into_iter();
        let here = format!("/v2/{repository}/");
        let writes = all
            .filter(|it| it.contains(&here) && !it.starts_with("GET") && !it.starts_with("HEAD"));
        writes.filter(|it| it.ends_with(" 201") || it.ends_with(" 202")).collect()
    }

    /// The plan names the code at the bad image and ends with `plan`; so does the apply, with `apply`, which
    /// leaves the bad image alone and signs the good one.
    #[track_caller]
    fn only_the_bad_one_fails(&self, code: &str, plan: i32, apply: i32) {
        let planned = self.workshop.run(&["plan", "--format", "json"]).ends(plan);
        assert!(planned.stdout.contains(&format!("\"code\": \"{code}\"")), "{planned:?}");
        let applied = self.apply();
        self.left_alone(&applied, code, apply);
    }

    /// The apply told the code, ended with `exit`, left the bad image alone and signed the good one.
    #[track_caller]
    fn left_alone(&self, applied: &Finished, code: &str, exit: i32) {
        assert_eq!(applied.code, Some(exit), "{applied:?}");
        assert!(applied.stdout.contains(code), "{applied:?}");
        let report = self.workshop.read("report.json");
        assert!(report.contains(&format!("\"code\": \"{code}\"")), "{report}");
        assert_eq!(self.writes("bad/app"), [""; 0], "{applied:?}");
        let good = self.registry.count("PUT", "/v2/good/app/manifests/");
        assert_eq!(good, 1, "the good one is signed: {applied:?}");
    }

    /// The run ended with `code`, told it, and wrote nothing anywhere.
    #[track_caller]
    fn nothing_written(&self, done: &Finished, code: &str, exit: i32) {
        assert_eq!(done.code, Some(exit), "{done:?}");
        assert!(done.stdout.contains(code) || done.stderr.contains(code), "{done:?}");
        assert_eq!([self.writes("bad/app"), self.writes("good/app")].concat(), [""; 0]);
    }
}

// Keys and certificates ---------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password() {
    let scene = Scene::with_a_strangers_signature().await;
    let mut command = scene.workshop.command(&["apply", "--yes"]);
    let done = Finished::of(command.env("COSIGN_PASSWORD", "wrong"));
    scene.nothing_written(&done, "key::wrong_password", 77);
    let done = scene.workshop.run(&["apply", "--yes"]);
    scene.nothing_written(&done, "key::no_password", 77);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_does_not_match_its_public_key() {
    let scene = Scene::with_a_strangers_signature().await;
    scene.workshop.key("p384", "other");
    scene.workshop.edit("release.pub", "other.pub");
    scene.nothing_written(&scene.apply(), "key::mismatch", 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_not_there_or_is_none() {
    let scene = Scene::with_a_strangers_signature().await;
    scene.workshop.write("release.key", "-----BEGIN PRIVATE KEY-----\n");
    scene.nothing_written(&scene.apply(), "key::malformed", 3);
    std::fs::remove_file(scene.workshop.path().join("release.key")).unwrap();
    scene.nothing_written(&scene.apply(), "key::not_found", 3);
    // Without the public key nothing can be known, so not even the plan is whole.
    scene.workshop.write("release.key", "-----BEGIN PRIVATE KEY-----\n");
    scene.workshop.edit("public_key = \"release.pub\"\n", "");
    let plan = scene.workshop.run(&["plan"]).ends(1);
    assert!(plan.stdout.contains("key::malformed"), "{plan:?}");
    scene.nothing_written(&scene.apply(), "key::malformed", 3);
}

/// Declares a certificate and a chain for the key of the spec, which becomes that of `leaf`.
fn certified(scene: &Scene, leaf: &Leaf, chain: &[&Authority]) {
    let public = leaf.public_key_pem();
    scene.workshop.write("release.pub", public);
    scene.workshop.write("leaf.pem", leaf.pem());
    let chain: String = chain.iter().map(|it| it.pem()).collect();
    scene.workshop.write("chain.pem", chain);
    let lines = "certificate = \"leaf.pem\"\ncertificate_chain = \"chain.pem\"\ntransparency_log";
    scene.workshop.edit("transparency_log", lines);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_another_key() {
    let scene = Scene::with_a_strangers_signature().await;
    let root = Authority::root("root");
    let leaf = root.leaf(Purpose::CodeSigning("a@example.com"), Validity::LONG);
    certified(&scene, &leaf, &[&root]);
    scene.workshop.key("p256", "release");
    scene.nothing_written(&scene.apply(), "spec::certificate_mismatch", 65);
    // Without `public_key` it takes the key to find out.
    scene.workshop.edit("public_key = \"release.pub\"\n", "");
    scene.nothing_written(&scene.apply(), "signature::certificate_mismatch", 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_certificate_or_chain() {
    let scene = Scene::with_a_strangers_signature().await;
    let root = Authority::root("root");
    let leaf = root.leaf(Purpose::CodeSigning("a@example.com"), Validity::OVER);
    certified(&scene, &leaf, &[&root]);
    let plan = scene.workshop.plan(1);
    assert_eq!(plan.changes()[0], "blocked signature::certificate_ended release");
    scene.nothing_written(&scene.apply(), "signature::certificate_ended", 3);

    let scene = Scene::with_a_strangers_signature().await;
    let ended = root.intermediate_until("signing", Validity::OVER);
    let leaf = ended.leaf(Purpose::CodeSigning("a@example.com"), Validity::LONG);
    certified(&scene, &leaf, &[&ended, &root]);
    let plan = scene.workshop.plan(1);
    assert_eq!(plan.changes()[0], "blocked signature::certificate_chain release");
    scene.nothing_written(&scene.apply(), "signature::certificate_chain", 3);
}

// Images ------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_or_digest_that_does_not_exist() {
    let nobody = Descriptor::of(OCI_MANIFEST, b"nobody").digest;
    for missing in [":2", &format!("@{nobody}")] {
        let scene = Scene::with_a_strangers_signature().await;
        scene.workshop.edit("/bad/app:1", &format!("/bad/app{missing}"));
        scene.only_the_bad_one_fails("image::not_found", 1, 3);
        scene.workshop.edit("\n[[images]]\nreference", "\n[[images]]\noptional = true\nreference");
        scene.workshop.run_with_password(&["apply", "--yes"]).ends(0);
    }
}

// Registries --------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_permission() {
    let scene = Scene::with_a_strangers_signature().await;
    scene.fault("*", Fault::error(403, "DENIED", "not for you"));
    scene.only_the_bad_one_fails("registry::forbidden", 77, 77);
    // Who may read and not write is told when it comes to that.
    for method in ["POST", "PUT"] {
        let scene = Scene::with_a_strangers_signature().await;
        scene.fault(method, Fault::error(403, "DENIED", "only to look at"));
        let applied = scene.apply();
        // An uploaded payload alone changes nothing that anybody sees.
        assert_eq!(applied.code, Some(77), "{applied:?}");
        assert!(applied.stdout.contains("registry::forbidden"), "{applied:?}");
        let taken = scene.writes("bad/app");
        assert!(!taken.iter().any(|it| it.contains("/manifests/")), "{taken:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_of_401() {
    for challenge in ["Basic realm=\"loop\"", "Bearer realm=\"REALM\",service=\"loop\""] {
        let scene = Scene::with_a_strangers_signature().await;
        // The token server answers, and the registry never likes the token.
        let realm = format!("{}/v2/bad/token", scene.registry.origin());
        let answer = |status, headers: Vec<(&'static str, String)>, body: &str| Fault::Answer {
            status,
            headers,
            body: body.to_owned(),
        };
        scene.registry.on(
            "GET",
            "/v2/bad/token",
            usize::MAX,
            answer(200, vec![("content-type", "application/json".into())], "{\"token\":\"t\"}"),
        );
        let challenge = challenge.replace("REALM", &realm);
        scene.fault("*", answer(401, vec![("www-authenticate", challenge)], ""));
        scene.only_the_bad_one_fails("registry::unauthorized", 77, 77);
        assert!(scene.registry.count("*", "/v2/bad/") < 20, "{:#?}", scene.registry.sent());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_answers_with_a_web_page() {
    for status in [200, 404] {
        let scene = Scene::with_a_strangers_signature().await;
        scene.fault("*", Fault::html(status));
        scene.only_the_bad_one_fails("registry::invalid_answer", 1, 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_body() {
    let scene = Scene::with_a_strangers_signature().await;
    scene.fault("GET", Fault::HalfBody);
    scene.only_the_bad_one_fails("registry::invalid_answer", 1, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_digest() {
    // Of the manifest of the signatures, and of the payload of the stranger's.
    for path in ["/v2/bad/app/manifests/sha256-", "/v2/bad/app/blobs/"] {
        let scene = Scene::with_a_strangers_signature().await;
        scene.registry.on("GET", path, usize::MAX, Fault::Altered);
        let planned = scene.workshop.run(&["plan", "--format", "json"]).ends(1);
        assert!(planned.stdout.contains("registry::wrong_digest"), "{planned:?}");
        let applied = scene.apply().ends(3);
        assert!(applied.stdout.contains("registry::wrong_digest"), "{applied:?}");
        // What is there cannot be read, so it stays.
        assert_eq!(scene.registry.count("DELETE", "/"), 0);
        let carrier = scene.registry.manifest("bad/app", &scene.signature_tag()).unwrap();
        assert!(String::from_utf8_lossy(&carrier).contains("c3RyYW5nZXI="), "it was removed");
        assert_eq!(scene.registry.count("PUT", "/v2/good/app/manifests/"), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_to_another_host() {
    let scene = Scene::with_a_strangers_signature().await;
    let elsewhere = ScriptedRegistry::start(Options::default()).await;
    scene.fault("*", Fault::redirect(307, &format!("{}/v2/x/manifests/1", elsewhere.origin())));
    scene.only_the_bad_one_fails("registry::redirect", 1, 3);
    assert_eq!(elsewhere.sent(), [""; 0], "nobody goes there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throttling_is_temporary() {
    let scene = Scene::with_a_strangers_signature().await;
    // Longer than anybody waits: told at once. It is the whole host that is slowed down.
    scene.registry.on("*", "/v2/", usize::MAX, Fault::too_many("3600"));
    scene.workshop.run(&["plan"]).ends(75);
    scene.workshop.run(&["verify"]).ends(75);
    scene.nothing_written(&scene.apply(), "registry::throttled", 75);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forbidden_for_a_missing_tag_is_decided_by_the_tag_list() {
    // Artifactory: the list says that there is none.
    let scene = Scene::with(Options { missing: 403, ..Options::default() }).await;
    assert_eq!(scene.workshop.plan(0).changes(), ["sign release", "sign release"]);
    scene.workshop.apply();
    assert_eq!(scene.workshop.plan(0).changes(), ["keep release", "keep release"]);
    // A list that is refused says nothing.
    let scene = Scene::with(Options { missing: 403, ..Options::default() }).await;
    let lists = "/v2/bad/app/tags/list";
    scene.registry.on("GET", lists, usize::MAX, Fault::error(403, "DENIED", "no list"));
    scene.only_the_bad_one_fails("registry::forbidden", 77, 77);
    // A list that has the tag says that it is there and may not be read.
    let scene = Scene::with_a_strangers_signature().await;
    let tag = format!("/manifests/{}", scene.signature_tag());
    scene.registry.on("*", &tag, usize::MAX, Fault::error(403, "DENIED", "no signatures"));
    scene.only_the_bad_one_fails("registry::forbidden", 77, 77);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_tag_that_is_none() {
    let index = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
    for other in ["the image itself", index, "{}"] {
        let scene = Scene::new().await;
        if other == "the image itself" {
            scene.put_carrier(&scene.registry.manifest("bad/app", "1").unwrap());
        } else {
            scene.put_carrier(other.as_bytes());
        }
        let before = scene.registry.manifest("bad/app", &scene.signature_tag());
        scene.only_the_bad_one_fails("carrier::not_signatures", 1, 3);
        assert_eq!(scene.registry.manifest("bad/app", &scene.signature_tag()), before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_that_may_not_be_overwritten() {
    let scene = Scene::with(Options { immutable_tags: true, ..Options::default() }).await;
    scene.workshop.apply();
    scene.registry.forget_log();
    scene.workshop.edit("/bad/app:1\"", "/bad/app:1\"\nannotations = { build = \"2\" }");
    let applied = scene.apply().ends(3);
    assert!(applied.stdout.contains("registry::immutable_tag"), "{applied:?}");
    assert_eq!(scene.workshop.plan(0).changes()[0], "resign release annotations");
    // Declared, it is known before anything is signed.
    scene.registry.forget_log();
    let host = scene.registry.host();
    let table = format!("[registries.\"{host}\"]\nimmutable_tags = true\n\n[signers.release]");
    scene.workshop.edit("[signers.release]", &table);
    scene.nothing_written(&scene.apply(), "registry::immutable_tag", 3);
}
