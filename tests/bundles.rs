//! Bundles on stores that fail, forget and answer wrongly: nothing is lost, and nothing is silent.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "laws/world.rs"]
#[allow(dead_code, reason = "the laws use all of it")]
mod world;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use countersign::model::{Descriptor, Digest, Index, Locator, Tag, Timestamp, media_type};
use countersign::observe::UndeclaredBundles;
use countersign::payload::{EMPTY_CONFIG, Format, SignStatement, bundle_referrer};
use countersign::plan::{Change, Failure, IndexFault, Prune};
use countersign::report::{Done, Report};
use countersign::store::memory::{
    DeletePolicy, Operation, Policies, Read, ReferrersPolicy, VersionPolicy, Write,
};
use countersign::store::{MemoryStore, StoreErrorKind};
use world::{Entry, LeftBehind, Scenario, Select, Spelling, World, is_converged, repository};

/// One image that `alpha` signs with a bundle.
fn scenario(referrers: ReferrersPolicy, prune: Prune) -> Scenario {
    Scenario {
        referrers,
        repositories: vec![1],
        entries: vec![Entry {
            repository: 0,
            select: Select::Digest(0),
            sign_with: vec![0],
            formats: vec![Format::Bundle],
            annotations: 0,
            recursive: false,
            prune,
            identities: 0,
            shared_signatures: false,
        }],
        left_behind: Vec::new(),
    }
}

/// A bundle of `signer` that was there before.
fn left(signer: usize, annotations: usize) -> LeftBehind {
    LeftBehind {
        repository: 0,
        image: 0,
        signer,
        annotations,
        format: Format::Bundle,
        spelling: Spelling::Exact,
        shared_signatures: false,
    }
}

fn subject(world: &World, scenario: &Scenario) -> Digest {
    world::digests(scenario, &world.store)[0][0].clone()
}

fn list(store: &MemoryStore, subject: &Digest) -> Index {
    let contents = store.contents();
    let tag: Locator = Tag::of_referrers(subject).into();
    let digest = contents.digest(&repository(0), &tag).unwrap();
    let manifests = &contents.repositories[&repository(0)].manifests;
    Index::parse(&manifests[&digest].bytes).unwrap()
}

fn listed(store: &MemoryStore, subject: &Digest) -> BTreeSet<Digest> {
    list(store, subject).manifests.into_iter().map(|it| it.digest).collect()
}

/// Adds an entry to the list of `subject`, and its manifest where there is one.
fn add_to_list(store: &MemoryStore, subject: &Digest, manifest: Option<Vec<u8>>) -> Digest {
    let bytes = manifest.clone().unwrap_or_else(|| b"gone".to_vec());
    let entry = Descriptor::of(media_type::OCI_MANIFEST, &bytes);
    let digest = entry.digest.clone();
    let mut index = list(store, subject);
    index.manifests.push(entry);
    store.edit(|contents| {
        if let Some(bytes) = manifest {
            contents.push_manifest(&repository(0), &[], media_type::OCI_MANIFEST, bytes);
        }
        let tag = Tag::of_referrers(subject);
        contents.push_manifest(&repository(0), &[tag], media_type::OCI_INDEX, index.to_bytes());
    });
    digest
}

/// A bundle of nobody's, about `about`, in a manifest whose subject is `of`.
fn bundle_of(store: &MemoryStore, about: &Digest, of: &Digest) -> Vec<u8> {
    let statement = SignStatement { digest: about, annotations: &Default::default() }.to_bytes();
    let envelope = serde_json::json!({
        "payload": base64(&statement), "payloadType": "application/vnd.in-toto+json",
        "signatures": [{ "sig": base64(b"nobody's") }],
    });
    let bundle = serde_json::json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": { "publicKey": { "hint": "" } },
        "dsseEnvelope": envelope,
    });
    let bundle = bundle.to_string().into_bytes();
    store.edit(|contents| {
        contents.push_blob(&repository(0), bundle.clone());
        contents.push_blob(&repository(0), EMPTY_CONFIG.to_vec());
    });
    let of = Descriptor { digest: of.clone(), ..Descriptor::of(media_type::OCI_MANIFEST, b"") };
    bundle_referrer(&bundle, &of, Timestamp::from_seconds(0)).to_bytes()
}

fn base64(bytes: &[u8]) -> String {
    countersign::crypto::SignatureBytes::new(bytes.to_vec()).to_base64()
}

#[track_caller]
fn assert_good(report: &Report) {
    assert_eq!(report.failures().collect::<Vec<_>>(), Vec::<&Failure>::new());
}

/// Whether `operation` writes a manifest: a referrer, or the tag of signatures.
fn writes_signatures(operation: &Operation) -> bool {
    match operation {
        Operation::Write(Write::Manifest { locator: Locator::Tag(tag), .. }) => {
            tag.as_str().ends_with(".sig")
        }
        Operation::Write(Write::Manifest { locator: Locator::Digest(_), .. }) => true,
        _ => false,
    }
}

#[tokio::test(start_paused = true)]
async fn a_blob_that_the_registry_loses_sight_of_is_waited_for() {
    for format in [Format::SimpleSigning, Format::Bundle] {
        for (failing, is_done) in [(3, true), (usize::MAX, false)] {
            let mut scenario = scenario(ReferrersPolicy::Tag, Prune::Keep);
            scenario.entries[0].formats = vec![format];
            let world = World::new(&scenario);
            let tried = AtomicUsize::new(0);
            world.store.fail_when(move |operation| {
                let fails =
                    writes_signatures(operation) && tried.fetch_add(1, Ordering::SeqCst) < failing;
                fails.then_some(StoreErrorKind::BlobUnknown)
            });
            let report = world.apply().await;
            if is_done {
                assert_good(&report);
                assert!(is_converged(&world.plan().await.0));
            } else {
                let codes: Vec<_> = report.failures().map(|it| it.code.as_str()).collect();
                assert_eq!(codes, ["registry::blob_unknown"], "{format:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_empty_configuration_is_uploaded_once_a_repository() {
    let mut scenario = scenario(ReferrersPolicy::Api, Prune::Keep);
    scenario.repositories = vec![3, 3];
    let entry = scenario.entries[0].clone();
    scenario.entries = (0..2)
        .map(|repository| Entry { repository, select: Select::Glob, ..entry.clone() })
        .collect();
    let world = World::new(&scenario);
    assert_good(&world.apply().await);
    let empty = Digest::of(EMPTY_CONFIG);
    let writes = world.store.writes();
    let configs =
        writes.iter().filter(|it| matches!(it, Write::Blob { digest, .. } if *digest == empty));
    assert_eq!(configs.count(), 2, "{writes:?}");
    let referrers = writes.iter().filter(|it| matches!(it, Write::Manifest { .. })).count();
    assert_eq!(referrers, 8, "three images and an index in each");
}

#[tokio::test]
async fn what_is_listed_and_gone_leaves_the_list_unless_it_is_back() {
    // A store may refuse a list that names what is not there, so nothing could be added to it.
    for (is_back, prune) in
        [(false, Prune::Keep), (false, Prune::Superseded), (true, Prune::Superseded)]
    {
        let mut scenario = scenario(ReferrersPolicy::Tag, prune);
        scenario.left_behind = vec![left(1, 0)];
        let world = World::new(&scenario);
        let subject = subject(&world, &scenario);
        let gone = add_to_list(&world.store, &subject, None);
        let before = listed(&world.store, &subject);
        let (plan, signers) = world.plan().await;
        let faults = plan.targets[0].changes.iter().find_map(|change| match change {
            Change::Repair { faults } => Some(faults.clone()),
            _ => None,
        });
        assert!(faults.unwrap().contains(&IndexFault::Dangling(gone.clone())));
        if is_back {
            world.store.edit(|contents| {
                contents.push_manifest(&repository(0), &[], media_type::OCI_MANIFEST, &b"gone"[..]);
            });
        }
        assert_good(&world.apply_plan(plan, &signers).await);
        let after = listed(&world.store, &subject);
        assert_eq!(after.contains(&gone), is_back);
        assert_eq!(before.difference(&after).count(), usize::from(!is_back));
    }
}

/// cosign 3 does not look at the subject of a manifest that is listed.
#[tokio::test]
async fn a_stranger_leaves_the_list_unless_cosign_takes_it() {
    let other = Digest::of(b"another image");
    for is_about_us in [true, false] {
        let mut scenario = scenario(ReferrersPolicy::Tag, Prune::Undeclared);
        scenario.left_behind = vec![left(0, 0)];
        let world = World::new(&scenario);
        let subject = subject(&world, &scenario);
        let about = if is_about_us { &subject } else { &other };
        let manifest = bundle_of(&world.store, about, &other);
        let stranger = add_to_list(&world.store, &subject, Some(manifest));
        assert_good(&world.apply().await);
        assert_eq!(listed(&world.store, &subject).contains(&stranger), is_about_us);
        assert!(is_converged(&world.plan().await.0));
    }
}

#[tokio::test]
async fn refused_deletes_are_told() {
    for (referrers, expected) in [
        (ReferrersPolicy::Tag, Ok(Done::Unlisted)),
        (ReferrersPolicy::Api, Err("registry::delete_refused".to_owned())),
    ] {
        let mut scenario = scenario(referrers, Prune::Superseded);
        scenario.left_behind = vec![left(0, 1)];
        let world = World::new(&scenario);
        let deletes = DeletePolicy::Refuse;
        world.store.set_policies(Policies { deletes, referrers, ..Policies::default() });
        let report = world.apply().await;
        let cleaned = report.targets[0].outcomes.iter().find_map(|outcome| {
            let is_clean = matches!(outcome.change, Change::Clean { .. });
            is_clean.then(|| outcome.result.clone().map_err(|it| it.code))
        });
        assert_eq!(cleaned, Some(expected));
        assert_eq!(report.totals().written, 1);
        // What left the list is gone for everybody; what did not is still to be removed.
        let (plan, _) = world.plan().await;
        assert_eq!(is_converged(&plan), referrers == ReferrersPolicy::Tag);
    }
}

/// As GitLab does: the tag of the list is answered with the image, whatever was written there.
#[tokio::test(start_paused = true)]
async fn a_registry_that_answers_the_tag_with_the_image_is_named() {
    let scenario = scenario(ReferrersPolicy::Tag, Prune::Keep);
    let world = World::new(&scenario);
    let subject = subject(&world, &scenario);
    let tag = Tag::of_referrers(&subject);
    let (image, of) = (subject.clone(), Locator::from(tag.clone()));
    world.store.before(move |store, operation| {
        let is_asked = match operation {
            Operation::Read(Read::Referrers { subject, .. }) => *subject == image,
            Operation::Read(Read::Manifest { locator, .. }) => *locator == of,
            _ => false,
        };
        if is_asked {
            store.edit(|contents| {
                let manifest = contents.repositories[&repository(0)].manifests[&image].clone();
                let tags = [tag.clone()];
                contents.push_manifest(&repository(0), &tags, &manifest.media_type, manifest.bytes);
            });
        }
    });
    let (plan, signers) = world.plan().await;
    assert_eq!(plan.summary().sign, 1);
    let report = world.apply_plan(plan, &signers).await;
    let failures: Vec<_> = report.failures().collect();
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0].code, "registry::not_listed");
    assert!(failures[0].message.contains("does not show it"), "{}", failures[0].message);
}

/// A plan asks for what is declared; who asks for a verdict is told what cosign 3 does with it.
#[tokio::test]
async fn bundles_that_hide_the_tag_are_sought_only_where_that_is_asked_for() {
    for (signer, is_hidden) in [(Some(1), true), (None, false)] {
        let mut scenario = scenario(ReferrersPolicy::Tag, Prune::Keep);
        scenario.entries[0].formats = vec![Format::SimpleSigning];
        scenario.left_behind = signer.map(|it| left(it, 0)).into_iter().collect();
        let mut world = World::new(&scenario);
        world.apply().await;
        for (seek, requests, expected) in [
            (UndeclaredBundles::Ignored, (1, 0), false),
            (UndeclaredBundles::Sought, (1 + usize::from(is_hidden), 1), is_hidden),
        ] {
            world.observe.undeclared_bundles = seek;
            world.store.forget();
            let (plan, _) = world.plan().await;
            let codes: Vec<_> = plan.warnings.iter().map(|it| it.code).collect();
            assert_eq!(codes.contains(&"format::hidden_by_bundle"), expected, "{seek:?} {codes:?}");
            let counts = world.store.counts();
            let (manifests, lists) = requests;
            assert_eq!((counts.manifests, counts.referrers), (manifests as u64, lists), "{seek:?}");
            assert!(is_converged(&plan));
        }
    }
}

/// Without conditional writes somebody may put back the list that they read before ours: the old signature is all
/// that is left then.
#[tokio::test]
async fn what_is_replaced_stays_where_its_successor_was_lost() {
    let mut scenario = scenario(ReferrersPolicy::Tag, Prune::Superseded);
    scenario.left_behind = vec![left(0, 1)];
    let world = World::new(&scenario);
    let policies = Policies { versions: VersionPolicy::Ignore, ..world.store.policies() };
    world.store.set_policies(policies);
    let subject = subject(&world, &scenario);
    let old = list(&world.store, &subject);
    let (theirs, of, seen) = (old.clone(), subject.clone(), AtomicUsize::new(0));
    world.store.before(move |store, operation| {
        let is_list =
            matches!(operation, Operation::Read(Read::Referrers { subject, .. }) if *subject == of);
        // Ours is read back once; before the next look it is gone.
        if is_list && listed(store, &of).len() == 2 && seen.fetch_add(1, Ordering::SeqCst) == 1 {
            store.edit(|contents| {
                let tag = Tag::of_referrers(&of);
                let bytes = theirs.to_bytes();
                contents.push_manifest(&repository(0), &[tag], media_type::OCI_INDEX, bytes);
            });
        }
    });
    let report = world.apply().await;
    let codes: Vec<_> = report.failures().map(|it| it.code.as_str()).collect();
    assert_eq!(codes, ["registry::lost_race"]);
    let old: BTreeSet<Digest> = old.manifests.into_iter().map(|it| it.digest).collect();
    assert_eq!(listed(&world.store, &subject), old);
    world.store.recover();
    assert_good(&world.apply().await);
    assert!(is_converged(&world.plan().await.0));
    assert!(listed(&world.store, &subject).is_disjoint(&old));
}
