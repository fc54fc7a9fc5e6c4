//! The laws (DESIGN, "The laws"), as properties over worlds in memory.
//!
//! Each law names its mechanism; break that, and the law must fail (docs/laws.md tells how each was tried).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod explain;
mod identity;
mod sigstore;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use countersign::keys::KeyErrorKind;
use countersign::model::{Digest, Locator, Tag};
use countersign::payload::{Bundle, Format, Statement};
use countersign::plan::{Action, Change, Failure, Plan, Prune, narrow};
use countersign::report::Done;
use countersign::store::memory::{Operation, Read, ReferrersPolicy, Write};
use countersign::store::{MemoryStore, StoreErrorKind};
use proptest::prelude::*;
use world::{
    Entry, LeftBehind, Scenario, Select, Spelling, World, addition, append, block_on, bundles_of,
    digests, is_converged, layers, repository, scenarios, signer_name,
};

fn cases() -> ProptestConfig {
    ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() }
}

fn json(plan: &Plan) -> String {
    serde_json::to_string(&plan.to_file()).unwrap()
}

/// One entry that wants `alpha` on every image of one repository.
fn simple(images: usize, prune: Prune) -> Scenario {
    Scenario {
        referrers: ReferrersPolicy::Tag,
        repositories: vec![images],
        entries: vec![Entry {
            repository: 0,
            select: Select::Glob,
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

fn left(signer: usize, image: usize, annotations: usize) -> LeftBehind {
    LeftBehind {
        repository: 0,
        image,
        signer,
        annotations,
        format: Format::SimpleSigning,
        spelling: Spelling::Exact,
        shared_signatures: false,
    }
}

proptest! {
    #![proptest_config(cases())]

    /// Law 1. The types see to it; this sees that they do.
    #[test]
    fn observing_and_planning_write_nothing(scenario in scenarios()) {
        block_on(async {
            let world = World::new(&scenario);
            let before = world.store.contents();
            world.plan().await;
            assert_eq!(world.store.counts().writes(), 0);
            assert_eq!(world.store.contents(), before);
        });
    }

    /// Law 2.
    #[test]
    fn after_an_apply_nothing_is_left_to_do(scenario in scenarios()) {
        block_on(async {
            let world = World::new(&scenario);
            let report = world.apply().await;
            assert_eq!(report.failures().collect::<Vec<_>>(), Vec::<&Failure>::new());
            let (plan, _) = world.plan().await;
            assert!(is_converged(&plan), "{}", json(&plan));
            world.store.forget();
            world.apply().await;
            assert_eq!(world.store.counts().writes(), 0);
        });
    }

    /// Law 3.
    #[test]
    fn the_same_world_gives_the_same_plan(scenario in scenarios()) {
        block_on(async {
            let (mut one, mut two) = (World::new(&scenario), World::new(&scenario));
            two.store = Arc::new(MemoryStore::with(one.store.contents()));
            two.store.set_policies(one.store.policies());
            one.observe.jobs = 1;
            let ((one, _), (two, _)) = (one.plan().await, two.plan().await);
            assert_eq!(json(&one), json(&two));
            assert_eq!(one.fingerprint(), two.fingerprint());
        });
    }

    /// Law 4: the layers after an apply are those before, less what the plan cleans, plus what it writes.
    #[test]
    fn an_apply_writes_nothing_that_the_plan_does_not_say(scenario in scenarios()) {
        block_on(async {
            let world = World::new(&scenario);
            let before = layers(&world.store);
            let (plan, signers) = world.plan().await;
            let mut expected: BTreeMap<(String, Digest), i64> = BTreeMap::new();
            for (place, payload, _) in &before {
                *expected.entry((place.clone(), payload.clone())).or_default() += 1;
            }
            for target in &plan.targets {
                let digest = &target.target.subject.digest;
                let signatures = &target.target.signatures;
                for change in &target.changes {
                    let format = change.want().map(|it| it.format);
                    let place = match format.or(change.found().map(|it| it.format)) {
                        Some(Format::Bundle) => bundles_of(signatures, digest),
                        _ => format!("{signatures}:{}", Tag::of_signatures(digest)),
                    };
                    let payload = match change {
                        Change::Clean { found, .. } => (found.id.payload.clone(), -1),
                        Change::Repair { .. } => continue,
                        change if change.action().writes() => (change.payload().unwrap().clone(), 1),
                        _ => continue,
                    };
                    *expected.entry((place.clone(), payload.0)).or_default() += payload.1;
                }
            }
            expected.retain(|_, count| *count != 0);
            let pending: Vec<_> = plan.targets.iter().filter(|target| {
                target.changes.iter().any(|change| change.action().writes())
            }).flat_map(|target| {
                let digest = &target.target.subject.digest;
                [Tag::of_signatures(digest), Tag::of_referrers(digest)].map(|it| it.to_string())
            }).collect();
            world.apply_plan(plan, &signers).await;
            let mut after: BTreeMap<(String, Digest), i64> = BTreeMap::new();
            for (place, payload, _) in layers(&world.store) {
                *after.entry((place, payload)).or_default() += 1;
            }
            assert_eq!(after, expected);
            for write in world.store.writes() {
                if let Write::Manifest { locator: locator @ Locator::Tag(_), .. } = write {
                    assert!(pending.contains(&locator.to_string()), "{locator} was not planned");
                }
            }
        });
    }

    /// Law 5: what one repository refuses does not touch the others.
    #[test]
    fn a_failure_stops_only_its_own_image(scenario in scenarios(), broken in 0..2_usize) {
        block_on(async {
            let whole = World::new(&scenario);
            let bad = repository(broken);
            whole.store.fail_when({
                let bad = bad.clone();
                move |operation: &Operation| {
                    (*operation.repository() == bad && operation.is_write())
                        .then_some(StoreErrorKind::Forbidden)
                }
            });
            let report = whole.apply().await;
            for target in &report.targets {
                if target.target.signatures != bad {
                    assert!(target.is_converged(), "{}", target.target.subject);
                } else {
                    let refused = |it: &Failure| it.code == "registry::forbidden" || it.code == "image::child_failed";
                    assert!(target.failures().all(refused));
                }
            }
        });
    }

    /// Law 6: whatever request is the last, the next run converges: no duplicate, nothing lost.
    #[test]
    fn a_crash_leaves_a_world_that_the_next_run_converges(scenario in scenarios(), writes in 0..12_usize) {
        block_on(async {
            let undisturbed = World::new(&scenario);
            undisturbed.apply().await;
            let world = World::new(&scenario);
            world.store.crash_after(writes);
            world.apply().await;
            world.store.recover();
            let report = world.apply().await;
            assert_eq!(report.failures().collect::<Vec<_>>(), Vec::<&Failure>::new());
            let (plan, _) = world.plan().await;
            assert!(is_converged(&plan), "{}", json(&plan));
            let payloads = |world: &World| {
                let mut found: Vec<_> =
                    layers(&world.store).into_iter().map(|(place, it, _)| (place, it)).collect();
                found.sort();
                found
            };
            assert_eq!(payloads(&world), payloads(&undisturbed));
        });
    }

    /// Law 7: while one key cannot be opened, nothing is removed anywhere.
    #[test]
    fn what_cannot_be_seen_is_never_pruned(scenario in scenarios(), hidden in 0..4_usize) {
        block_on(async {
            let mut world = World::new(&scenario);
            world.keyring = Arc::new(world::keyring(&[hidden]));
            let before = layers(&world.store);
            let (plan, _) = world.plan().await;
            assert_eq!(plan.summary().clean, 0, "{}", json(&plan));
            world.apply().await;
            let after = layers(&world.store);
            assert!(before.iter().all(|layer| after.contains(layer)));
        });
    }

    /// Law 7, for what the registry does not tell: a payload that cannot be read keeps its carrier whole.
    #[test]
    fn what_cannot_be_read_is_never_pruned(scenario in scenarios()) {
        block_on(async {
            let world = World::new(&scenario);
            world.store.fail_when(|operation: &Operation| {
                matches!(operation, Operation::Read(Read::Blob { .. }))
                    .then_some(StoreErrorKind::Unavailable)
            });
            let (plan, _) = world.plan().await;
            for target in &plan.targets {
                let unread = target.changes.iter().any(|change| {
                    matches!(change, Change::Blocked { reason, .. } if reason.code == "registry::unavailable")
                });
                let cleaned = target.changes.iter().any(|it| it.action() == Action::Clean);
                assert!(!(unread && cleaned), "{}", json(&plan));
            }
        });
    }

    /// Law 8: what is kept verifies, over the payload that is wanted, under the signer's own key.
    #[test]
    fn a_signature_that_does_not_verify_never_counts(scenario in scenarios()) {
        block_on(async {
            let world = World::new(&scenario);
            let (plan, signers) = world.plan().await;
            let there = layers(&world.store);
            for target in &plan.targets {
                for change in &target.changes {
                    let Change::Keep { want, found } = change else { continue };
                    if found.format == Format::Bundle {
                        let place = bundles_of(&target.target.signatures, &target.target.subject.digest);
                        let key = signers[&want.signer].public_key().unwrap();
                        let contents = world.store.contents();
                        let statement = want.payload_bytes(&target.target.subject.digest);
                        let good = |(at, payload, text): &(String, Digest, String)| {
                            let Some(signature) = world::signature(text) else { return false };
                            let bundle = contents.repositories[&target.target.signatures].blobs.values()
                                .filter_map(|it| Bundle::parse(it).ok())
                                .find(|it| it.signature() == Some(&signature));
                            let Some(bundle) = bundle else { return false };
                            *at == place && *payload == found.id.payload
                                && key.verifies(&bundle.envelope.signed_bytes(), &signature, countersign::crypto::Hash::Sha256)
                                && Statement::parse(&bundle.envelope.payload).unwrap().claim(&target.target.subject.digest)
                                    == Statement::parse(&statement).unwrap().claim(&target.target.subject.digest)
                        };
                        assert!(there.iter().any(good), "a bundle that does not verify was kept");
                        continue;
                    }
                    let tag = Tag::of_signatures(&target.target.subject.digest);
                    let place = format!("{}:{tag}", target.target.signatures);
                    let layer = there.iter().filter(|it| it.0 == place).nth(found.position).unwrap();
                    let contents = world.store.contents();
                    let payload = &contents.repositories[&target.target.signatures].blobs[&layer.1];
                    let signature = world::signature(&layer.2).expect("a broken signature was kept");
                    let key = signers[&want.signer].public_key().unwrap();
                    assert!(key.verifies(payload, &signature, countersign::crypto::Hash::Sha256));
                }
            }
        });
    }

    /// Law 9: however many entries and tags lead to a digest, equal wants are one.
    #[test]
    fn an_image_is_signed_once_however_it_is_reached(scenario in scenarios()) {
        block_on(async {
            let world = World::new(&scenario);
            let (plan, _) = world.plan().await;
            let mut places: Vec<_> = plan
                .targets
                .iter()
                .map(|it| (it.target.signatures.clone(), it.target.subject.digest.clone()))
                .collect();
            let all = places.len();
            places.sort();
            places.dedup();
            assert_eq!(places.len(), all, "a digest has two targets");
            for target in &plan.targets {
                let wants = &target.target.wants;
                for (at, want) in wants.iter().enumerate() {
                    assert!(wants.iter().skip(at + 1).all(|other| !want.is_same(other)));
                }
            }
        });
    }

    /// Law 10: a writer that comes between any two requests loses nothing, and we lose nothing to it.
    #[test]
    fn writers_do_not_lose_each_others_signatures(scenario in scenarios(), moment in 0..40_usize, image in 0..4_usize, bundle in any::<bool>()) {
        block_on(async {
            let world = World::new(&scenario);
            let digest = digests(&scenario, &world.store)[0][image % (scenario.repositories[0] + 1)].clone();
            let format = if bundle { Format::Bundle } else { Format::SimpleSigning };
            let theirs = LeftBehind { format, ..left(9, image, 0) };
            let text = Arc::new(std::sync::Mutex::new(String::new()));
            let seen = AtomicUsize::new(0);
            let undeclared = scenario.entries.iter().any(|entry| entry.prune == Prune::Undeclared);
            world.store.before({
                let (digest, theirs, text) = (digest.clone(), theirs.clone(), Arc::clone(&text));
                move |store: &MemoryStore, _: &Operation| {
                    if seen.fetch_add(1, Ordering::Relaxed) == moment {
                        let identity = "somebody.example/else";
                        let left = world::leave(store, &repository(0), &digest, &theirs, identity);
                        *text.lock().unwrap() = left;
                    }
                }
            });
            let report = world.apply().await;
            world.store.recover();
            assert_eq!(report.failures().collect::<Vec<_>>(), Vec::<&Failure>::new());
            // Theirs may go only where the spec owns the image alone.
            let came = world.store.counts().reads() + world.store.counts().writes() > moment as u64;
            let text = text.lock().unwrap().clone();
            let there = layers(&world.store).iter().any(|(_, _, it)| *it == text);
            assert!(there || undeclared || !came, "their signature is lost");
            let (plan, _) = world.plan().await;
            let missing = plan.summary();
            assert_eq!((missing.sign, missing.resign, missing.attach), (0, 0, 0), "{}", json(&plan));
        });
    }

    /// A saved plan of the same world changes nothing about an apply; done twice, nothing is written.
    #[test]
    fn a_saved_plan_that_still_fits_is_applied_whole(scenario in scenarios()) {
        block_on(async {
            let world = World::new(&scenario);
            let (plan, signers) = world.plan().await;
            let saved = plan.to_file();
            let narrowed = narrow(plan.clone(), &saved);
            assert_eq!(json(&narrowed), json(&plan));
            world.apply_plan(narrowed, &signers).await;
            let (again, _) = world.plan().await;
            let again = narrow(again, &saved);
            assert!(is_converged(&again), "what is done counts as done: {}", json(&again));
        });
    }
}

/// Law 5, at size: one broken image of many is one named failure.
#[test]
fn of_many_images_one_broken_is_one_failure() {
    block_on(async {
        let world = World::new(&simple(300, Prune::Keep));
        let digest = digests(&simple(300, Prune::Keep), &world.store)[0][7].clone();
        let tag = Tag::of_signatures(&digest).to_string();
        world.store.fail_when(move |operation: &Operation| {
            operation.target().contains(&tag).then_some(StoreErrorKind::Unavailable)
        });
        let report = world.apply().await;
        let failed: Vec<_> = report.targets.iter().filter(|it| !it.is_converged()).collect();
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0].target.subject.digest, digest);
        assert_eq!(report.totals().converged, 300);
    });
}

/// Law 9, on the writes: ten tags, one signature.
#[test]
fn ten_tags_of_one_image_are_one_signature() {
    block_on(async {
        let world = World::new(&simple(1, Prune::Keep));
        let digest = digests(&simple(1, Prune::Keep), &world.store)[0][0].clone();
        world.store.edit(|contents| {
            for number in 0..10 {
                contents.tag(&repository(0), &format!("more-{number}").parse().unwrap(), &digest);
            }
        });
        let report = world.apply().await;
        assert_eq!(report.totals().written, 2);
        let own = Tag::of_signatures(&digest).to_string();
        assert_eq!(layers(&world.store).iter().filter(|it| it.0.ends_with(&own)).count(), 1);
    });
}

/// A saved plan never authorises: what it does not say is refused, and the other images go on.
#[test]
fn a_saved_plan_refuses_what_it_does_not_say() {
    block_on(async {
        let scenario = simple(3, Prune::Undeclared);
        let world = World::new(&scenario);
        let digests = digests(&scenario, &world.store);
        let (plan, _) = world.plan().await;
        let saved = plan.to_file();
        // Somebody signs one image after the plan was saved: removing that was never reviewed.
        world::leave_behind(&world.store, &digests, &left(9, 1, 0));
        let (fresh, signers) = world.plan().await;
        let narrowed = narrow(fresh, &saved);
        let report = world.apply_plan(narrowed, &signers).await;
        let failed: Vec<_> = report.failures().map(|it| it.code.clone()).collect();
        assert_eq!(failed, ["plan::stale"]);
        assert_eq!(report.totals().converged, 3);
    });
}

/// A signature that verifies under nobody's key, of a signer that is down, stays blocked, not foreign.
#[test]
fn a_missing_key_is_told_by_its_kind() {
    block_on(async {
        let mut world = World::new(&simple(1, Prune::Keep));
        world.keyring = Arc::new(world::keyring(&[0, 1, 2, 3]));
        let error = world.keyring.public_key(&signer_name(0)).await.unwrap_err();
        assert_eq!(error.kind, KeyErrorKind::NotFound);
        let (plan, _) = world.plan().await;
        assert_eq!(plan.summary().blocked, 2);
    });
}

/// What others did meanwhile counts as done, not as a failure.
/// Law 7, where chance seldom leads: signatures that may go, beside one that cannot be read.
#[test]
fn beside_what_cannot_be_read_nothing_goes() {
    block_on(async {
        // Twice the wanted one, whose payload nobody asks for, and another.
        let left_behind = vec![left(0, 0, 0), left(0, 0, 0), left(0, 0, 1)];
        let world = World::new(&Scenario { left_behind, ..simple(1, Prune::Superseded) });
        let cleaned = |plan: &Plan| {
            let changes = plan.targets.iter().flat_map(|it| &it.changes);
            changes.filter(|it| it.action() == Action::Clean).count()
        };
        let (plan, _) = world.plan().await;
        assert_eq!(cleaned(&plan), 2, "{}", json(&plan));
        world.store.fail_when(|operation: &Operation| {
            matches!(operation, Operation::Read(Read::Blob { .. }))
                .then_some(StoreErrorKind::Unavailable)
        });
        let (plan, _) = world.plan().await;
        assert_eq!(cleaned(&plan), 0, "{}", json(&plan));
    });
}

#[test]
fn what_somebody_else_did_meanwhile_is_not_done_again() {
    block_on(async {
        let scenario = simple(1, Prune::Keep);
        let world = World::new(&scenario);
        let (plan, signers) = world.plan().await;
        world.apply().await;
        let before = layers(&world.store);
        let report = world.apply_plan(plan, &signers).await;
        assert_eq!(layers(&world.store), before);
        let results: Vec<_> =
            report.targets.iter().flat_map(|it| &it.outcomes).map(|it| it.result.clone()).collect();
        assert!(results.iter().all(|it| *it == Ok(Done::AlreadyDone)), "{results:?}");
    });
}

/// Applies to one image while somebody else adds a signature of theirs, once, where `moment` says so;
/// both must be there in the end.
fn somebody_signs_when(moment: fn(&MemoryStore, &Operation, &Tag) -> Moment) {
    somebody_signs(Looks::Once, moment);
}

/// How often what was written is looked at.
#[derive(Clone, Copy)]
enum Looks {
    Once,
    Twice,
}

fn somebody_signs(
    looks: Looks,
    moment: impl Fn(&MemoryStore, &Operation, &Tag) -> Moment + Send + Sync + 'static,
) {
    block_on(async move {
        // A signature is there already, so that there is a version to check.
        let scenario = Scenario { left_behind: vec![left(3, 0, 0)], ..simple(1, Prune::Keep) };
        let world = World::new(&scenario);
        let digest = digests(&scenario, &world.store)[0][0].clone();
        let tag = Tag::of_signatures(&digest);
        let theirs = addition(&left(9, 0, 0), "somebody.example/else", &digest);
        let text = theirs.0.annotations.values().next().unwrap().clone();
        let came = Arc::new(AtomicUsize::new(0));
        world.store.before({
            let (tag, came) = (tag.clone(), Arc::clone(&came));
            move |store: &MemoryStore, operation: &Operation| {
                let moment = moment(store, operation, &tag);
                if moment == Moment::NotNow || came.fetch_add(1, Ordering::Relaxed) > 0 {
                    return;
                }
                if moment == Moment::Overwrite {
                    store.edit(|contents| contents.untag(&repository(0), &tag));
                }
                append(store, &repository(0), &digest, theirs.clone());
            }
        });
        let (plan, signers) = world.plan().await;
        let report = match looks {
            Looks::Once => world.apply_plan(plan, &signers).await,
            Looks::Twice => world.apply_for_good(plan, &signers).await,
        };
        world.store.recover();
        assert!(came.load(Ordering::Relaxed) > 0, "nobody came");
        assert_eq!(report.failures().count(), 0);
        let there = layers(&world.store);
        assert!(there.iter().any(|(_, _, it)| *it == text), "theirs is lost");
        let (plan, _) = world.plan().await;
        assert!(is_converged(&plan), "ours is lost: {}", json(&plan));
    });
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Moment {
    /// They add theirs to what is there.
    Append,
    NotNow,
    /// They write what they had read before, plus theirs: what came meanwhile is gone.
    Overwrite,
}

/// Law 10, between our last read and our write: the write must not take effect.
#[test]
fn a_writer_between_our_read_and_our_write_is_not_overwritten() {
    somebody_signs_when(|_, operation, tag| match operation {
        Operation::Write(Write::Manifest { locator, .. })
            if locator.to_string() == tag.as_str() =>
        {
            Moment::Append
        }
        _ => Moment::NotNow,
    });
}

/// Law 10, for a writer without manners: it read before our write, and writes after it.
#[test]
fn a_writer_that_overwrites_ours_does_not_win() {
    somebody_signs_when(|store, operation, tag| {
        let ours = layers(store).iter().filter(|it| it.0.ends_with(tag.as_str())).count() > 1;
        match operation {
            Operation::Read(Read::Manifest { locator, .. })
                if ours && locator.to_string() == tag.as_str() =>
            {
                Moment::Overwrite
            }
            _ => Moment::NotNow,
        }
    });
}

/// Law 10, for one that is slower still: it read before our write, and writes after we have read back.
#[test]
fn a_writer_that_overwrites_ours_later_does_not_win_where_that_is_looked_at() {
    let reads = AtomicUsize::new(0);
    somebody_signs(Looks::Twice, move |store, operation, tag| {
        let ours = layers(store).iter().filter(|it| it.0.ends_with(tag.as_str())).count() > 1;
        match operation {
            Operation::Read(Read::Manifest { locator, .. })
                if ours
                    && locator.to_string() == tag.as_str()
                    && reads.fetch_add(1, Ordering::Relaxed) == 1 =>
            {
                Moment::Overwrite
            }
            _ => Moment::NotNow,
        }
    });
}
