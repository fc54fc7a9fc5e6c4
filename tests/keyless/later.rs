//! The same signatures, seen later: after the end of their certificates.

use std::fs;
use std::sync::Arc;

use countersign::keys::memory::MemoryEnvironment;
use countersign::keys::{Environment, Keyring};
use countersign::model::{Clock, SystemClock, Timestamp};
use countersign::observe::{ObserveOptions, Observer};
use countersign::plan::Plan;
use countersign::render;
use countersign::sigstore::{Deployment, Opened};
use countersign::spec::{LoadOptions, MemoryFiles, Sigstore, Spec};
use countersign::store::{ReadStore, RemoteOptions, RemoteStore};

use crate::program::Ends;
use crate::support::tools::{Finished, Home, Tool};
use crate::world::{WHO, Wanted, World, is_ready};

const HOUR: i64 = 3_600;
const YEAR: i64 = 365 * 24 * HOUR;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_proves_the_time_outlives_the_certificate() {
    if !is_ready() {
        return;
    }
    for wanted in
        [Wanted::BUNDLE, Wanted::SIMPLE, Wanted { timestamps: 2, log: None, ..Wanted::BUNDLE }]
    {
        let world = World::new(wanted, 2).await;
        world.apply().ends(0);
        for later in [0, HOUR, 20 * YEAR] {
            let plan = plan_at(&world, later).await;
            assert_eq!((plan.summary().keep, plan.summary().resign), (2, 0), "{wanted:?} {later}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_proof_of_time_a_certificate_is_renewed() {
    if !is_ready() {
        return;
    }
    // This program signs nothing without such proof (`spec::no_proof_of_time`); cosign 2 does.
    let world = World::new(Wanted { log: None, timestamps: 1, ..Wanted::SIMPLE }, 1).await;
    let (sigstore, home) = (&world.sigstore, Home::new());
    let (fulcio, token) = (sigstore.fulcio.url(), sigstore.token(WHO));
    let bare = [
        "sign",
        "--yes",
        "--tlog-upload=false",
        "--fulcio-url",
        &fulcio,
        "--identity-token",
        &token,
    ];
    let mut command = home.command(Tool::Cosign2);
    command.args(bare).arg(&world.images[0]).envs(sigstore.environment_of_cosign2());
    Finished::of(&mut command).success();
    sigstore.fulcio.made();
    for (later, differences) in [(0, "timestamp"), (HOUR, "timestamp expiry")] {
        let plan = plan_at(&world, later).await;
        assert_eq!((plan.summary().keep, plan.summary().resign), (0, 1), "{later}");
        let expected = format!("resign release {differences}, foreign superseded release");
        assert_eq!(changes_of(&plan), expected, "{later}");
    }
    world.apply().ends(0);
    assert_eq!(world.made(), [1, 0, 1]);
    for later in [0, HOUR, 20 * YEAR] {
        assert_eq!(plan_at(&world, later).await.summary().keep, 1, "{later}");
    }
    world.cosign_2_verifies(&world.images[0]).success();
}

fn changes_of(plan: &Plan) -> String {
    let mut shown = Vec::new();
    render::json::plan(plan, &mut shown).unwrap();
    crate::program::Plan(serde_json::from_slice(&shown).unwrap()).changes().join(", ")
}

/// The plan that a run would make so many seconds from now.
async fn plan_at(world: &World, later: i64) -> Plan {
    let folder = world.sigstore.folder();
    let mut files = MemoryFiles::default();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        files.add(path.file_name().unwrap(), fs::read(&path).unwrap());
    }
    let spec = world.workshop.read("countersign.toml");
    files.add("countersign.toml", spec.replace(&format!("{}/", folder.display()), ""));
    let environment: Arc<dyn Environment> = Arc::new(MemoryEnvironment::default());
    let options = LoadOptions::default();
    let mut spec = Spec::load(&["countersign.toml"], &files, &*environment, &options).unwrap();
    let Some(Sigstore { trusted_root: root, signing_config: config, .. }) = spec.sigstore.take()
    else {
        panic!("the spec names a deployment");
    };
    let observer = Observer {
        store: Arc::new(RemoteStore::new(RemoteOptions::default())) as Arc<dyn ReadStore>,
        keyring: Arc::new(Keyring::new(spec.keyring, environment)),
        deployment: Arc::new(Deployment::of(Opened { root, config })),
        clock: Arc::new(Later(later)),
        options: ObserveOptions::default(),
    };
    observer.plan(&spec.desired, &()).await.0
}

/// The clock of somebody who looks that many seconds later.
#[derive(Debug)]
struct Later(i64);

impl Clock for Later {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(SystemClock.now().as_seconds() + self.0)
    }
}
