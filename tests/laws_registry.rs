//! The laws on a real registry: a few of the worlds of `tests/laws`, carried to docker-registry.
//!
//! It has no conditional writes, forgets nothing that was uploaded, and deletes by digest only.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "support/mod.rs"]
mod support;
#[path = "laws/world.rs"]
#[allow(dead_code, reason = "the laws in memory use all of it")]
mod world;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use countersign::apply::{Applier, Stop};
use countersign::event::Listener;
use countersign::model::{
    Descriptor, Digest, Index, Locator, Manifest, Repository, Tag, media_type,
};
use countersign::observe::Observer;
use countersign::payload::{Addition, Bundle, Carrier, Format, annotation};
use countersign::plan::{Failure, Plan, Prune};
use countersign::report::Report;
use countersign::store::memory::ReferrersPolicy;
use countersign::store::{
    Expected, Fetched, Intent, Listed, ReadStore, Referrers, RemoteOptions, RemoteStore, Store,
    StoreError, StoreErrorKind, conformance,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use support::docker_registry::DockerRegistry;
use support::tools::{self, Tool};
use tokio::sync::RwLock;
use world::{Scenario, World, addition, block_on, digests, is_converged, repository, scenarios};

/// What happens between two requests.
#[derive(Debug)]
enum Disturbance {
    /// After so many writes nothing works any more.
    Crash(usize),
    Nothing,
    /// Before the read of signatures with this number, somebody appends.
    Writer {
        moment: usize,
        digest: Digest,
        theirs: Box<(Addition, Vec<u8>)>,
        /// Whether they came.
        came: Arc<AtomicBool>,
    },
}

/// The registry behind a prefix that stands for `registry.example`: every world has a place of its own.
#[derive(Debug)]
struct Elsewhere {
    remote: RemoteStore,
    prefix: String,
    disturbance: Disturbance,
    writes: AtomicUsize,
    reads_of_signatures: AtomicUsize,
    /// Held by somebody who appends.
    turn: RwLock<()>,
}

impl Elsewhere {
    fn new(prefix: &str, disturbance: Disturbance) -> Self {
        let mut options = RemoteOptions::default();
        options.intent = Intent::Write;
        Self {
            remote: RemoteStore::new(options),
            prefix: prefix.to_owned(),
            disturbance,
            writes: AtomicUsize::new(0),
            reads_of_signatures: AtomicUsize::new(0),
            turn: RwLock::new(()),
        }
    }

    fn there(&self, repository: &Repository) -> Repository {
        let name = repository.to_string();
        name.replace("registry.example", &self.prefix).parse().unwrap()
    }

    fn alive(&self) -> Result<(), StoreError> {
        match self.disturbance {
            Disturbance::Crash(after) if self.writes.load(Ordering::SeqCst) >= after => {
                Err(StoreError {
                    operation: "reach",
                    target: self.prefix.clone(),
                    kind: StoreErrorKind::Unavailable,
                    detail: Some("crashed".to_owned()),
                    retry_after: None,
                    source: None,
                })
            }
            _ => Ok(()),
        }
    }

    fn writing(&self) -> Result<(), StoreError> {
        self.alive()?;
        self.writes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn before_signatures(&self) {
        let number = self.reads_of_signatures.fetch_add(1, Ordering::SeqCst);
        if let Disturbance::Writer { moment, digest, theirs, came } = &self.disturbance
            && number == *moment
        {
            let _turn = self.turn.write().await;
            append(&self.remote, &self.there(&repository(0)), digest, *theirs.clone()).await;
            came.store(true, Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl ReadStore for Elsewhere {
    async fn resolve(
        &self,
        repository: &Repository,
        locator: &Locator,
    ) -> Result<Descriptor, StoreError> {
        self.alive()?;
        self.remote.resolve(&self.there(repository), locator).await
    }

    async fn manifest(
        &self,
        repository: &Repository,
        locator: &Locator,
    ) -> Result<Fetched, StoreError> {
        self.alive()?;
        if matches!(locator, Locator::Tag(tag) if tag.is_of_digest()) {
            self.before_signatures().await;
        }
        let _turn = self.turn.read().await;
        self.remote.manifest(&self.there(repository), locator).await
    }

    async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<Bytes, StoreError> {
        self.alive()?;
        self.remote.blob(&self.there(repository), descriptor).await
    }

    async fn tags(&self, repository: &Repository) -> Result<Arc<BTreeSet<Tag>>, StoreError> {
        self.alive()?;
        self.remote.tags(&self.there(repository)).await
    }

    async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Referrers, StoreError> {
        self.alive()?;
        self.remote.referrers(&self.there(repository), subject).await
    }
}

#[async_trait]
impl Store for Elsewhere {
    async fn put_blob(
        &self,
        repository: &Repository,
        content: Bytes,
    ) -> Result<Digest, StoreError> {
        self.writing()?;
        self.remote.put_blob(&self.there(repository), content).await
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        locator: &Locator,
        media_type: &str,
        content: Bytes,
        expected: &Expected,
    ) -> Result<Digest, StoreError> {
        self.writing()?;
        let _turn = self.turn.read().await;
        let there = self.there(repository);
        self.remote.put_manifest(&there, locator, media_type, content, expected).await
    }

    async fn put_referrer(
        &self,
        repository: &Repository,
        media_type: &str,
        content: Bytes,
    ) -> Result<Listed, StoreError> {
        self.writing()?;
        self.remote.put_referrer(&self.there(repository), media_type, content).await
    }

    async fn delete_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(), StoreError> {
        self.writing()?;
        self.remote.delete_manifest(&self.there(repository), digest).await
    }
}

/// Appends a signature as cosign does.
async fn append(
    store: &RemoteStore,
    place: &Repository,
    digest: &Digest,
    (addition, payload): (Addition, Vec<u8>),
) {
    let locator: Locator = Tag::of_signatures(digest).into();
    let carrier = match store.manifest(place, &locator).await {
        Ok(found) => Carrier::parse(&found.bytes).unwrap(),
        Err(error) if error.kind.is_absent() => Carrier::empty(),
        Err(error) => panic!("{error}"),
    };
    let bytes = carrier.edit(&[], vec![addition]).to_bytes();
    store.put_blob(place, payload.into()).await.unwrap();
    store.put_blob(place, bytes.config.into()).await.unwrap();
    let manifest = bytes.manifest.into();
    let anything = &Expected::Anything;
    let put = store.put_manifest(place, &locator, media_type::OCI_MANIFEST, manifest, anything);
    put.await.unwrap();
}

/// A world in a registry.
struct Real {
    world: World,
    prefix: String,
    jobs: usize,
}

impl Real {
    /// Carries the world of `scenario` to a place of its own in `registry`.
    async fn new(registry: &DockerRegistry, scenario: &Scenario) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let prefix = registry.reference(&format!("world-{number}"));
        let world = World::new(scenario);
        let store = Elsewhere::new(&prefix, Disturbance::Nothing);
        for (repository, contents) in world.store.contents().repositories {
            for blob in contents.blobs.values() {
                store.put_blob(&repository, blob.clone()).await.unwrap();
            }
            let is_index = |it: &str| it == media_type::OCI_INDEX;
            let mut manifests: Vec<_> = contents.manifests.iter().collect();
            manifests.sort_by_key(|(_, it)| is_index(&it.media_type));
            for (digest, manifest) in manifests {
                let tags = contents.tags.iter().filter(|(_, it)| *it == digest);
                let tags = tags.map(|(tag, _)| Locator::from(tag.clone()));
                for locator in tags.chain([Locator::from(digest.clone())]) {
                    let (bytes, anything) = (manifest.bytes.clone(), &Expected::Anything);
                    let media_type = &manifest.media_type;
                    let put =
                        store.put_manifest(&repository, &locator, media_type, bytes, anything);
                    put.await.unwrap();
                }
            }
        }
        Self { world, prefix, jobs: 8 }
    }

    async fn plan_in(&self, store: &Arc<Elsewhere>) -> (Plan, Arc<countersign::plan::Signers>) {
        let store = Arc::clone(store) as Arc<dyn ReadStore>;
        let observer = Observer { store, ..self.world.observer() };
        observer.plan(&self.world.desired, &()).await
    }

    async fn plan(&self) -> Plan {
        self.plan_in(&Arc::new(Elsewhere::new(&self.prefix, Disturbance::Nothing))).await.0
    }

    async fn apply(&self, disturbance: Disturbance) -> Report {
        let store = Arc::new(Elsewhere::new(&self.prefix, disturbance));
        let (plan, signers) = self.plan_in(&store).await;
        let applier = Applier {
            store: store as Arc<dyn Store>,
            keyring: Arc::clone(&self.world.keyring),
            witnesses: Arc::default(),
            clock: self.world.observer().clock,
            jobs: self.jobs,
            stop: Stop::default(),
        };
        let listener: Arc<dyn Listener> = Arc::new(());
        applier.apply(plan, &signers, &listener).await
    }

    /// Place, payload and signature text of every layer of every carrier, in order.
    async fn layers(&self) -> Vec<(String, Digest, String)> {
        let store = Elsewhere::new(&self.prefix, Disturbance::Nothing);
        let places: BTreeSet<Repository> =
            (0..3).map(repository).chain([world::shared_signatures()]).collect();
        let mut found = Vec::new();
        for place in places {
            let tags = match store.tags(&place).await {
                Ok(tags) => tags,
                Err(error) if error.kind.is_absent() => continue,
                Err(error) => panic!("{error}"),
            };
            for tag in tags.iter().filter(|it| it.is_of_digest()) {
                if !tag.as_str().ends_with(".sig") {
                    found.extend(bundles(&store, &place, tag).await);
                    continue;
                }
                let carrier = match store.manifest(&place, &tag.clone().into()).await {
                    Ok(fetched) => Carrier::parse(&fetched.bytes).unwrap(),
                    // A deleted manifest leaves its tag in the list.
                    Err(error) if error.kind.is_absent() => continue,
                    Err(error) => panic!("{error}"),
                };
                for layer in carrier.layers() {
                    let text = layer.descriptor.annotation(annotation::SIGNATURE).unwrap();
                    let payload = layer.descriptor.digest.clone();
                    found.push((format!("{place}:{tag}"), payload, text.to_owned()));
                }
            }
        }
        found
    }
}

/// The bundles that the index behind `tag` lists.
async fn bundles(
    store: &Elsewhere,
    place: &Repository,
    tag: &Tag,
) -> Vec<(String, Digest, String)> {
    let mut found = Vec::new();
    let index = store.manifest(place, &tag.clone().into()).await.unwrap();
    for entry in Index::parse(&index.bytes).unwrap().manifests {
        let manifest = store.manifest(place, &entry.digest.into()).await.unwrap();
        let manifest = Manifest::parse(&manifest.bytes).unwrap();
        let bundle = store.blob(place, &manifest.layers[0]).await.unwrap();
        let at = world::bundles_of(place, &manifest.subject.unwrap().digest);
        found.push(match Bundle::parse(&bundle) {
            Ok(bundle) => {
                let text = bundle.signature().unwrap().to_base64();
                (at, Digest::of(&bundle.envelope.payload), text)
            }
            Err(_) => (at, Digest::of(&bundle), "%%%".to_owned()),
        });
    }
    found
}

#[track_caller]
fn assert_converged(plan: &Plan) {
    assert!(is_converged(plan), "{}", serde_json::to_string(&plan.to_file()).unwrap());
}

#[track_caller]
fn assert_good(report: &Report) {
    assert_eq!(report.failures().collect::<Vec<_>>(), Vec::<&Failure>::new());
}

/// Tries a law on a few random worlds.
fn law<S: Strategy>(strategy: S, holds: impl AsyncFn(&DockerRegistry, S::Value)) {
    if !tools::have(&[Tool::DockerRegistry]) {
        return;
    }
    let registry = DockerRegistry::start();
    let config = ProptestConfig {
        cases: 6,
        failure_persistence: None,
        max_shrink_iters: 30,
        ..ProptestConfig::default()
    };
    let tried = TestRunner::new(config).run(&strategy, |value| {
        block_on(holds(&registry, value));
        Ok(())
    });
    tried.unwrap();
}

/// Law 2.
#[test]
fn after_an_apply_nothing_is_left_to_do() {
    law(scenarios(), async |registry, scenario| {
        let real = Real::new(registry, &scenario).await;
        assert_good(&real.apply(Disturbance::Nothing).await);
        assert_converged(&real.plan().await);
        registry.take_requests();
        real.apply(Disturbance::Nothing).await;
        let writes = registry.take_requests().writes();
        assert!(writes.is_empty(), "{writes:?}");
    });
}

/// Law 6.
#[test]
fn a_crash_leaves_a_world_that_the_next_run_converges() {
    law((scenarios(), 0..12_usize), async |registry, (scenario, writes)| {
        let undisturbed = World::new(&scenario);
        undisturbed.apply().await;
        let real = Real::new(registry, &scenario).await;
        real.apply(Disturbance::Crash(writes)).await;
        assert_good(&real.apply(Disturbance::Nothing).await);
        assert_converged(&real.plan().await);
        let payloads = |layers: Vec<(String, Digest, String)>| {
            let mut found: Vec<_> = layers.into_iter().map(|(place, it, _)| (place, it)).collect();
            found.sort();
            found
        };
        assert_eq!(payloads(real.layers().await), payloads(world::layers(&undisturbed.store)));
    });
}

/// Law 9.
#[test]
fn ten_tags_of_one_image_are_one_signature() {
    if !tools::have(&[Tool::DockerRegistry]) {
        return;
    }
    let registry = DockerRegistry::start();
    block_on(async {
        let scenario = one_entry(Prune::Keep);
        let real = Real::new(&registry, &scenario).await;
        let digest = digests(&scenario, &real.world.store)[0][0].clone();
        let store = Elsewhere::new(&real.prefix, Disturbance::Nothing);
        let place = repository(0);
        let image = store.manifest(&place, &digest.clone().into()).await.unwrap();
        for number in 0..10 {
            let locator: Locator = format!("more-{number}").parse::<Tag>().unwrap().into();
            let (media_type, bytes) = (&image.descriptor.media_type, image.bytes.clone());
            let anything = &Expected::Anything;
            let put = store.put_manifest(&place, &locator, media_type, bytes, anything);
            put.await.unwrap();
        }
        assert_good(&real.apply(Disturbance::Nothing).await);
        let tag = Tag::of_signatures(&digest).to_string();
        let layers = real.layers().await;
        assert_eq!(layers.iter().filter(|it| it.0.ends_with(&tag)).count(), 1);
    });
}

/// Law 10, as far as it goes without conditional writes: what somebody appends is there before our second read,
/// or comes after our write.
#[test]
fn writers_do_not_lose_each_others_signatures() {
    law((scenarios(), 0..8_usize, 0..4_usize), async |registry, (scenario, moment, image)| {
        let mut real = Real::new(registry, &scenario).await;
        // One after another, so that nobody comes between a second read and its write.
        real.jobs = 1;
        real.world.observe.jobs = 1;
        let image = image % (scenario.repositories[0] + 1);
        let digest = digests(&scenario, &real.world.store)[0][image].clone();
        let left = world::LeftBehind {
            repository: 0,
            image,
            signer: 9,
            annotations: 0,
            format: Format::SimpleSigning,
            spelling: world::Spelling::Exact,
            shared_signatures: false,
        };
        let theirs = Box::new(addition(&left, "somebody.example/else", &digest));
        let text = theirs.0.annotations.values().next().unwrap().clone();
        let undeclared = scenario.entries.iter().any(|entry| entry.prune == Prune::Undeclared);
        let came = Arc::new(AtomicBool::new(false));
        let writer = Disturbance::Writer { moment, digest, theirs, came: Arc::clone(&came) };
        assert_good(&real.apply(writer).await);
        let came = came.load(Ordering::SeqCst);
        let there = real.layers().await.iter().any(|(_, _, it)| *it == text);
        assert!(there || undeclared || !came, "their signature is lost");
        let summary = real.plan().await.summary();
        assert_eq!((summary.sign, summary.resign, summary.attach), (0, 0, 0));
    });
}

/// Every store does what every store must do.
#[tokio::test]
async fn the_registry_is_a_store() {
    if !tools::have(&[Tool::DockerRegistry]) {
        return;
    }
    let registry = DockerRegistry::start();
    let mut options = RemoteOptions::default();
    options.intent = Intent::Write;
    let repository: Repository = registry.reference("conformance").parse().unwrap();
    conformance::store(&RemoteStore::new(options), &repository).await;
}

/// One entry that wants `alpha` on every image of one repository.
fn one_entry(prune: Prune) -> Scenario {
    Scenario {
        referrers: ReferrersPolicy::Tag,
        repositories: vec![1],
        entries: vec![world::Entry {
            repository: 0,
            select: world::Select::Glob,
            sign_with: vec![0],
            formats: vec![Format::SimpleSigning],
            annotations: 0,
            recursive: false,
            prune,
            identities: 0,
            shared_signatures: false,
        }],
        left_behind: Vec::new(),
    }
}
