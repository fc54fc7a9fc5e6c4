//! Bundles: unread ones block, lists are mended as `prune` allows, forms that cosign passes over do not count.

use super::*;
use crate::model::{Descriptor, media_type};
use crate::plan::{IndexFault, hidden_by_bundle};

/// `release` in a bundle.
fn bundled() -> World {
    world().with(|world| {
        let annotations = Arc::new(Annotations::new());
        let digest = world.target.subject.digest.clone();
        let signer = "release".parse().unwrap();
        world.target.want(Want::bundle(signer, &digest, annotations, WantOrigin::Sign));
    })
}

/// The last that was found is in a bundle.
fn in_bundle(world: &mut World) {
    let found = world.found.last_mut().unwrap();
    found.format = Format::Bundle;
    let mut claim = Claim::clone(found.claim.as_ref().unwrap());
    claim.identity = String::new();
    found.claim = Some(Arc::new(claim));
}

fn actions(world: &World) -> Vec<&'static str> {
    world.diff().iter().map(|it| it.action().word()).collect()
}

#[test]
fn a_bundle_counts_for_a_want_of_bundles_alone() {
    assert_eq!(actions(&bundled().has("release", &[]).with(in_bundle)), ["keep"]);
    let at_tag = bundled().has("release", &[]);
    assert_eq!(actions(&at_tag), ["sign", "foreign"]);
    // The old format goes in the same plan, which writes the new one first.
    assert_eq!(actions(&at_tag.prune(Prune::Superseded)), ["sign", "clean"]);
}

#[test]
fn a_bundle_that_could_not_be_read_blocks() {
    let unread = |world: &mut World| {
        let reason = Failure::error("registry::throttled", "too many requests");
        world.found.last_mut().unwrap().verdict = Verdict::Unreadable(reason);
    };
    let world = bundled().has("stranger", &[]).with(in_bundle).with(unread);
    assert_eq!(actions(&world.prune(Prune::Undeclared)), ["blocked", "blocked"]);
}

#[test]
fn what_cosign_passes_over_does_not_count() {
    let passed_over = |world: &mut World| {
        world.found.last_mut().unwrap().passed_over = Some("a `keyid`");
    };
    let world = bundled().has("release", &[]).with(in_bundle).with(passed_over);
    let changes = world.diff();
    let Change::Resign { differences, .. } = &changes[0] else { panic!("{changes:?}") };
    assert_eq!(differences[0].field, Field::Bundle);
}

#[test]
fn what_cosign_2_tried_is_named_and_stays() {
    let experimental = |world: &mut World| {
        let signer = Some("release".parse().unwrap());
        world.found.last_mut().unwrap().verdict = Verdict::Experimental { signer };
    };
    let world = bundled().has("release", &[]).with(experimental).prune(Prune::Undeclared);
    assert_eq!(actions(&world), ["sign", "foreign"]);
}

#[test]
fn entries_leave_a_list_only_where_something_may_be_removed() {
    let faults = |world: &mut World| {
        let right = Box::new(Descriptor::of(media_type::OCI_MANIFEST, b"right"));
        world.referrers.faults = vec![
            IndexFault::Dangling(Digest::of(b"gone")),
            IndexFault::Described(right),
            IndexFault::Stranger(Digest::of(b"stranger")),
        ];
    };
    let mended = |world: &World| {
        let changes = world.diff();
        let repair = changes.into_iter().find_map(|change| match change {
            Change::Repair { faults } => Some(faults.len()),
            _ => None,
        });
        repair.unwrap_or(0)
    };
    let world = bundled().has("release", &[]).with(in_bundle).with(faults);
    assert_eq!(mended(&world), 1);
    assert_eq!(mended(&world.prune(Prune::Superseded)), 3);
    // What is not there would keep a bundle from being listed.
    assert_eq!(mended(&bundled().with(faults)), 2);
    // Where no bundles are declared, the list is not ours.
    let at_tag = super::world().wants("release", &[]).has("release", &[]).with(faults);
    assert_eq!(mended(&at_tag.prune(Prune::Superseded)), 0);
}

#[test]
fn the_keys_that_a_bundle_hides_are_named() {
    let hidden = |world: &World| {
        let plan = crate::plan::TargetPlan {
            target: Arc::new(world.target.clone()),
            carrier: None,
            referrers: world.referrers.clone(),
            changes: world.diff(),
        };
        hidden_by_bundle(&plan).into_iter().map(|it| it.to_string()).collect::<Vec<_>>()
    };
    let at_tag = world().wants("release", &[]).has("release", &[]);
    assert!(hidden(&at_tag).is_empty());
    let beside = at_tag.with(|world| world.referrers.bundles = 1);
    assert_eq!(hidden(&beside), ["release"]);
    // A bundle of `ci` that is only planned hides it too; one of its own does not.
    let planned = bundled().wants("ci", &[]);
    assert_eq!(hidden(&planned), ["ci"]);
    assert!(hidden(&bundled().wants("release", &[])).is_empty());
}
