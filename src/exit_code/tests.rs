use std::sync::Arc;

use super::*;
use crate::model::{Annotations, Digest, Repository, Subject, Timestamp};
use crate::plan::{
    Change, Moved, Name, Origin, Prune, Target, TargetPlan, Unresolved, Want, WantOrigin, verify,
};
use crate::report::{Done, Outcome, TargetReport};

use FailureClass::{Error, Interrupted, Permission, Stale, Temporary};

fn failure(class: FailureClass) -> Failure {
    Failure::new("test::failure", "something happened", class)
}

fn target() -> Arc<Target> {
    let repository: Repository = "ghcr.io/acme/api".parse().unwrap();
    Arc::new(Target {
        subject: Subject { repository: repository.clone(), digest: Digest::of(b"") },
        signatures: repository,
        names: Vec::new(),
        wants: Vec::new(),
        signers: Vec::new(),
        identities: Vec::new(),
        requires: Vec::new(),
        prune: Prune::Keep,
        optional: false,
        exists: true,
        children: Vec::new(),
        moved: Vec::new(),
        blocked: Vec::new(),
        immutable_tags: false,
        incomplete: false,
    })
}

fn sign() -> Change {
    let annotations = Arc::new(Annotations::new());
    let signer = "release".parse().unwrap();
    let identity = "ghcr.io/acme/api".into();
    let want = Want::sign(signer, &Digest::of(b""), identity, annotations, WantOrigin::Sign);
    Change::Sign { want }
}

fn moved() -> Change {
    Change::Moved(Moved { tag: "ghcr.io/acme/api:1".into(), actual: None })
}

fn unresolved(class: FailureClass) -> Unresolved {
    let origin = Origin { file: "countersign.toml".into(), line: 1 };
    Unresolved { name: Name { text: "ghcr.io/acme/api:1".into(), origin }, reason: failure(class) }
}

/// A plan with these changes, and a blocked one for each of `classes`.
fn plan(changes: Vec<Change>, classes: &[FailureClass]) -> Plan {
    let blocked =
        classes.iter().map(|class| vec![Change::Blocked { want: None, reason: failure(*class) }]);
    let targets = std::iter::once(changes).chain(blocked).map(|changes| TargetPlan {
        target: target(),
        carrier: None,
        referrers: Default::default(),
        changes,
    });
    Plan { targets: targets.collect(), ..Plan::default() }
}

/// A report with one image that converged, and a failure for each of `classes`.
fn report(classes: &[FailureClass]) -> Report {
    let outcome = |result| TargetReport {
        target: target(),
        outcomes: vec![Outcome { change: sign(), result }],
    };
    let failed = classes.iter().map(|class| outcome(Err(failure(*class))));
    let targets = std::iter::once(outcome(Ok(Done::Written))).chain(failed);
    Report { targets: targets.collect(), ..Report::default() }
}

#[test]
fn the_numbers_are_public() {
    let numbers: Vec<u8> = ExitCode::ALL.iter().map(|it| it.number()).collect();
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 64, 65, 75, 77, 130, 143]);
}

/// What failed, and how `plan` or `verify`, and `apply`, end for it.
const FAILURES: &[(&[FailureClass], ExitCode, ExitCode)] = &[
    (&[], ExitCode::Good, ExitCode::Good),
    (&[Error], ExitCode::Error, ExitCode::Partial),
    (&[Error, Error], ExitCode::Error, ExitCode::Partial),
    (&[Temporary], ExitCode::Temporary, ExitCode::Temporary),
    (&[Temporary, Temporary], ExitCode::Temporary, ExitCode::Temporary),
    (&[Permission, Permission], ExitCode::Permission, ExitCode::Permission),
    (&[Stale], ExitCode::Stale, ExitCode::Stale),
    (&[Stale, Temporary], ExitCode::Error, ExitCode::Partial),
    (&[Temporary, Permission], ExitCode::Error, ExitCode::Partial),
    (&[Temporary, Error, Temporary], ExitCode::Error, ExitCode::Partial),
];

#[test]
fn one_kind_of_failure_has_its_own_code_and_several_do_not() {
    for (classes, reading, applying) in FAILURES {
        for changes in [vec![], vec![sign()], vec![moved()]] {
            let plan = plan(changes, classes);
            assert_eq!(ExitCode::of_plan(&plan), *reading, "plan {classes:?}");
        }
        assert_eq!(ExitCode::of_report(&report(classes)), *applying, "apply {classes:?}");
    }
}

#[test]
fn pending_changes_are_told_only_where_nothing_failed() {
    for (classes, reading, _) in FAILURES {
        let expected = if classes.is_empty() { ExitCode::Pending } else { *reading };
        assert_eq!(ExitCode::of_plan_detailed(&plan(vec![sign()], classes)), expected);
        assert_eq!(ExitCode::of_plan_detailed(&plan(vec![], classes)), *reading);
        // A moved tag is a warning: nothing would be written for it.
        assert_eq!(ExitCode::of_plan_detailed(&plan(vec![moved()], classes)), *reading);
    }
}

#[test]
fn an_image_that_is_not_as_declared_is_told_only_where_nothing_failed() {
    let now = Timestamp::from_seconds(0);
    for (classes, reading, _) in FAILURES {
        for (changes, faulty) in [(vec![], false), (vec![sign()], true), (vec![moved()], true)] {
            let plan = plan(changes, classes);
            let expected =
                if faulty && classes.is_empty() { ExitCode::NotAsDeclared } else { *reading };
            assert_eq!(ExitCode::of_verification(&verify(&plan, now)), expected, "{classes:?}");
        }
    }
}

#[test]
fn entries_that_were_not_resolved_are_failures() {
    let plan = Plan { unresolved: vec![unresolved(Temporary)], ..plan(vec![sign()], &[]) };
    assert_eq!(ExitCode::of_plan_detailed(&plan), ExitCode::Temporary);
    let verification = verify(&plan, Timestamp::from_seconds(0));
    assert_eq!(ExitCode::of_verification(&verification), ExitCode::Temporary);
    let report = Report { unresolved: vec![unresolved(Permission)], ..report(&[]) };
    assert_eq!(ExitCode::of_report(&report), ExitCode::Permission);
    let mixed = Report { unresolved: vec![unresolved(Permission)], ..self::report(&[Temporary]) };
    assert_eq!(ExitCode::of_report(&mixed), ExitCode::Partial);
}

#[test]
fn a_signal_wins() {
    for classes in [&[Interrupted][..], &[Error, Interrupted], &[Interrupted, Temporary]] {
        assert_eq!(ExitCode::of_report(&report(classes)), ExitCode::Interrupted, "{classes:?}");
    }
}

#[test]
fn one_failure_ends_a_command() {
    assert_eq!(ExitCode::of_failure(&failure(Permission)), ExitCode::Permission);
    assert_eq!(ExitCode::of_failure(&failure(Error)), ExitCode::Error);
}

#[test]
fn a_guard_has_a_code_of_its_own() {
    let guarded = Guarded::Clean { cleans: 9, place: String::new(), limit: String::new() };
    assert_eq!(ExitCode::from(&guarded), ExitCode::Guarded);
}
