//! What a run costs, exactly: the requests of DESIGN "Budgets", counted by a registry of ours.
//!
//! The program itself is run, so that what it does around plan and apply is counted too.
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

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use countersign::apply::{Applier, Stop};
use countersign::event::Listener;
use countersign::keys::Keyring;
use countersign::keys::memory::MemoryEnvironment;
use countersign::model::SystemClock;
use countersign::observe::{ObserveOptions, Observer};
use countersign::sigstore::Deployment;
use countersign::spec::{LoadOptions, MemoryFiles, Spec};
use countersign::store::{Intent, ReadStore, RemoteOptions, RemoteStore, Store};
use program::{PASSWORD, Workshop, fixture_key};
use scripted_registry::{Auth, Bearer, Options, ScriptedRegistry};

const SIGNERS: [&str; 3] = ["p256", "ed25519", "p384"];

/// A spec whose images are signed by the first `signers` of [`SIGNERS`].
fn spec(signers: usize, images: &[String]) -> String {
    let mut spec = String::from("version = 1\n");
    for name in &SIGNERS[..signers] {
        let lines = format!("key = \"{name}.key\"\npublic_key = \"{name}.pub\"");
        write!(spec, "[signers.{name}]\n{lines}\ntransparency_log = false\n").unwrap();
    }
    writeln!(spec, "[defaults]\nsign_with = {:?}", &SIGNERS[..signers]).unwrap();
    for image in images {
        writeln!(spec, "[[images]]\n{image}").unwrap();
    }
    spec
}

fn reference(registry: &ScriptedRegistry, name: &str) -> String {
    format!("reference = \"{}/{name}\"", registry.host())
}

fn workshop(spec: &str) -> Workshop {
    let workshop = Workshop::new(spec);
    for name in SIGNERS {
        workshop.key(name, name);
    }
    workshop
}

/// The requests of a plan after everything was applied.
fn quiet(registry: &ScriptedRegistry, images: &[String]) -> Vec<String> {
    let workshop = workshop(&spec(1, images));
    workshop.apply();
    registry.forget_log();
    let plan = workshop.plan(0);
    assert!(plan.changes().iter().all(|it| it.starts_with("keep")), "{:?}", plan.changes());
    registry.sent()
}

/// How many, and what they were where it fails.
#[track_caller]
fn count(sent: &[String], expected: usize) {
    assert_eq!(sent.len(), expected, "{sent:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_in_place_costs_one_request_by_digest_and_two_by_tag() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    let image = registry.put_image("acme/api", "v1");
    let by_digest = reference(&registry, &format!("acme/api@{}", image.digest));
    count(&quiet(&registry, std::slice::from_ref(&by_digest)), 1);
    count(&quiet(&registry, &[reference(&registry, "acme/api:v1")]), 2);
    // However many entries reach it.
    let annotated = format!("{by_digest}\nannotations = {{ a = \"1\" }}");
    count(&quiet(&registry, &[by_digest, annotated]), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_costs_one_more() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    let children = [registry.put_image("acme/api", "a"), registry.put_image("acme/api", "b")];
    let put = |children: &[countersign::model::Descriptor], tag| {
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type, "manifests": children,
        });
        registry.put_manifest("acme/api", tag, media_type, index.to_string().as_bytes())
    };
    let index = put(&children, Some("v1"));
    let outer = put(&[index.clone(), children[0].clone()], Some("v2"));
    let recursive = |name: &str| [format!("{}\nrecursive = true", reference(&registry, name))];
    // The carriers of three subjects, and the index.
    count(&quiet(&registry, &recursive(&format!("acme/api@{}", index.digest))), 3 + 1);
    // The tag of an index is read, not only resolved: by tag is no request more.
    count(&quiet(&registry, &recursive("acme/api:v1")), 3 + 1);
    // A child that is reached twice is one subject.
    count(&quiet(&registry, &recursive(&format!("acme/api@{}", outer.digest))), 4 + 2);
}

/// The first signatures on one image, plan and apply in one run: requests and round trips.
async fn first(options: Options, signers: usize, entry: &str) -> (ScriptedRegistry, usize) {
    let registry = ScriptedRegistry::start(options).await;
    let image = registry.put_image("acme/api", "v1");
    let by_digest = reference(&registry, &format!("acme/api@{}", image.digest));
    workshop(&spec(signers, &[format!("{by_digest}\n{entry}")])).apply();
    let sent = registry.sent().len();
    (registry, sent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_signature_costs_nine_requests_or_seven() {
    let two_steps = Options { single_post: false, ..Options::default() };
    let (registry, sent) = first(two_steps, 1, "").await;
    assert!(sent <= 9, "{sent}: {:#?}", registry.sent());
    assert_eq!(registry.count("PUT", "/manifests/"), 1);
    let (registry, sent) = first(Options::default(), 1, "").await;
    assert!(sent <= 7, "{sent}: {:#?}", registry.sent());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_signature_takes_six_round_trips() {
    for single_post in [false, true] {
        let latency = Duration::from_millis(100);
        let (registry, _) =
            first(Options { single_post, latency, ..Options::default() }, 1, "").await;
        let trips = registry.round_trips();
        assert!(trips <= 6, "{trips}: {:#?}", registry.sent());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_signers_cost_no_more_requests_and_more_payloads_one_upload_each() {
    let (_, one) = first(Options::default(), 1, "").await;
    let (registry, three) = first(Options::default(), 3, "").await;
    assert_eq!(three, one, "{:#?}", registry.sent());
    let identities = "container_identity = [\"a.example/x\", \"b.example/x\"]";
    let (registry, two_payloads) = first(Options::default(), 3, identities).await;
    assert_eq!(two_payloads, one + 1, "{:#?}", registry.sent());
    assert_eq!(registry.count("PUT", "/manifests/"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_apply_writes_nothing() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    let image = registry.put_image("acme/api", "v1");
    let entry = reference(&registry, &format!("acme/api@{}", image.digest));
    let workshop = workshop(&spec(3, &[entry]));
    workshop.apply();
    registry.forget_log();
    workshop.run(&["apply", "--yes"]).success();
    count(&registry.sent(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_fetched_once_a_repository() {
    let options = Options { auth: Auth::Bearer(Bearer::default()), ..Options::default() };
    let registry = ScriptedRegistry::start(options).await;
    let mut entries = Vec::new();
    for repository in ["acme/api", "acme/web"] {
        for tag in ["1", "2", "3", "4"] {
            let image = registry.put_image(repository, &format!("{repository} {tag}"));
            entries.push(reference(&registry, &format!("{repository}@{}", image.digest)));
        }
    }
    let workshop = workshop(&spec(1, &entries));
    workshop.apply();
    assert_eq!(registry.count("*", "/token"), 2, "{:#?}", registry.sent());
    registry.forget_log();
    workshop.plan(0);
    assert_eq!(registry.count("*", "/token"), 2, "{:#?}", registry.sent());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_opened_once_a_run_and_for_a_plan_not_at_all() {
    let registry = ScriptedRegistry::start(Options::default()).await;
    let images: Vec<String> = (0..20)
        .map(|number| {
            let image = registry.put_image("acme/api", &number.to_string());
            reference(&registry, &format!("acme/api@{}", image.digest))
        })
        .collect();
    // The library, because it tells how often it opened a key.
    let text = |name: &str| std::fs::read(fixture_key(name)).unwrap();
    let mut files = MemoryFiles::default();
    let mut spec = spec(2, &images);
    for name in &SIGNERS[..2] {
        let key = fixture_key(&format!("{name}.key")).display().to_string();
        spec = spec.replace(&format!("\"{name}.key\""), &format!("{key:?}"));
        files.add(format!("{name}.pub"), text(&format!("{name}.pub")));
    }
    files.add("countersign.toml", spec);
    let environment = MemoryEnvironment::default().with_variable("COSIGN_PASSWORD", PASSWORD);
    let environment: Arc<dyn countersign::keys::Environment> = Arc::new(environment);
    let spec =
        Spec::load(&["countersign.toml"], &files, &*environment, &LoadOptions::default()).unwrap();
    let keyring = Arc::new(Keyring::new(spec.keyring, environment));
    let mut options = RemoteOptions::default();
    options.intent = Intent::Write;
    let store = Arc::new(RemoteStore::new(options));
    let observer = Observer {
        store: Arc::clone(&store) as Arc<dyn ReadStore>,
        keyring: Arc::clone(&keyring),
        deployment: Arc::new(Deployment::none()),
        clock: Arc::new(SystemClock),
        options: ObserveOptions::default(),
    };
    let (plan, signers) = observer.plan(&spec.desired, &()).await;
    assert_eq!(plan.summary().sign, 40);
    assert_eq!(keyring.opened(), 0, "a plan opens no key whose public half is declared");
    let applier = Applier {
        store: store as Arc<dyn Store>,
        keyring: Arc::clone(&keyring),
        witnesses: Arc::default(),
        clock: Arc::new(SystemClock),
        jobs: 16,
        stop: Stop::default(),
    };
    let listener: Arc<dyn Listener> = Arc::new(());
    let report = applier.apply(plan, &signers, &listener).await;
    assert_eq!(report.totals().written, 40);
    assert_eq!(keyring.opened(), 2, "each key once");
}
