//! Log entries, timestamps, identities, and what vouches for them.

use super::*;
use crate::plan::{EvidenceFault, FailureClass, ServiceUse, Services, SignerTrust};
use crate::plan::{Plan, SignerFingerprints, TargetPlan, TimestampAuthority};

fn temporary() -> Failure {
    Failure::new("tuf::unavailable", "no mirror answers", FailureClass::Temporary)
}

fn trusted(world: World) -> World {
    world.with(|world| {
        for state in world.signers.values_mut() {
            state.trust = SignerTrust::Known(Arc::default());
        }
    })
}

fn logged(world: World) -> World {
    trusted(world).profile("release", |it| it.transparency_log = true)
}

fn stamped(world: World, authorities: usize) -> World {
    let of = |number| TimestampAuthority { url: format!("https://{number}.example"), chain: None };
    trusted(world).profile("release", |it| {
        it.timestamp_authorities = Some((0..authorities).map(of).collect())
    })
}

fn in_bundle(world: World) -> World {
    world.with(|world| {
        world.target.wants[0].format = Format::Bundle;
        world.found[0].format = Format::Bundle;
    })
}

fn evidence(world: World, index: usize, log_entries: u16, timestamps: u16) -> World {
    world.with(|world| {
        world.found[index].carried = Evidence { log_entries: 3, timestamps: 3 };
        world.found[index].evidence = Evidence { log_entries, timestamps };
    })
}

#[test]
fn a_declared_log_entry_or_timestamp_must_be_there_and_hold() {
    let one = || world().wants("release", &[]).has("release", &[]);
    for (made, expected) in [
        (evidence(logged(one()), 0, 1, 0), "= release"),
        // More than declared is as good.
        (evidence(logged(one()), 0, 2, 2), "= release"),
        (evidence(logged(one()), 0, 0, 1), "~ release log_entry"),
        (evidence(stamped(one(), 1), 0, 0, 1), "= release"),
        // At the tag there is room for one.
        (evidence(stamped(one(), 2), 0, 1, 1), "= release"),
        (in_bundle(evidence(stamped(one(), 2), 0, 1, 1)), "~ release timestamp"),
        (in_bundle(evidence(stamped(one(), 2), 0, 1, 2)), "= release"),
        (evidence(stamped(logged(one()), 1), 0, 0, 0), "~ release log_entry,timestamp"),
        // Nobody asks.
        (evidence(trusted(one()), 0, 0, 0), "= release"),
    ] {
        assert_eq!(made.lines()[0], expected);
    }
}

#[test]
fn the_difference_says_what_does_not_hold_by_code() {
    let fault = |code: &str| EvidenceFault { code: code.to_owned(), message: "wrong".to_owned() };
    let world = stamped(logged(world().wants("release", &[]).has("release", &[])), 1);
    let world = evidence(world, 0, 0, 0).with(|world| {
        let faults = [fault("trust::promise_wrong"), fault("trust::timestamp_wrong")];
        world.found[0].problems = faults.into();
    });
    let Change::Resign { differences, .. } = &world.diff()[0] else { panic!("resign") };
    let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "log_entry: none that holds: wrong (trust::promise_wrong) → 1",
            "timestamp: none that holds: wrong (trust::timestamp_wrong) → 1"
        ]
    );
}

#[test]
fn of_two_the_one_whose_evidence_holds_counts() {
    let two = world().wants("release", &[]).has("release", &[]).has("release", &[]);
    let world = evidence(evidence(logged(two), 0, 0, 0), 1, 1, 0).prune(Prune::Superseded);
    assert_eq!(world.lines(), ["= release", "- release superseded"]);
}

#[test]
fn only_a_signature_whose_evidence_holds_is_what_others_require() {
    let requires = |log_entries: u16| {
        let world = trusted(world().wants("release", &[]).has("ci", &[]));
        let world = world.profile("ci", |it| it.transparency_log = true);
        evidence(world, 0, log_entries, 0)
            .with(|world| world.target.requires = vec!["ci".parse().unwrap()])
    };
    assert_eq!(requires(0).lines()[0], "x release signature::requires");
    assert_eq!(requires(1).lines()[0], "+ release");
}

#[test]
fn unknown_trust_is_no_missing_entry() {
    let unknown = |signer: &'static str| {
        move |world: &mut World| {
            let state = world.signers.get_mut(&signer.parse::<SignerName>().unwrap()).unwrap();
            state.trust = SignerTrust::Unknown(temporary());
        }
    };
    let base = || evidence(logged(world().wants("release", &[]).has("release", &[])), 0, 0, 0);
    let made = base().with(unknown("release")).prune(Prune::Undeclared);
    assert_eq!(made.lines(), ["x release tuf::unavailable", "? release superseded"]);
    // What cannot be seen of another signer keeps everything in place.
    let made = evidence(base(), 0, 1, 0).has("stranger", &[]).prune(Prune::Undeclared);
    assert_eq!(made.lines(), ["= release", "- foreign"]);
    assert_eq!(made.with(unknown("ci")).lines(), ["= release", "? foreign"]);
}

#[test]
fn an_identity_is_known_by_what_vouches_for_it() {
    let identity = |trust: SignerTrust| {
        move |world: &mut World| {
            let state = world.signers.get_mut(&"ci".parse::<SignerName>().unwrap()).unwrap();
            (state.key, state.trust) = (SignerKey::Identity, trust);
        }
    };
    let base = || world().wants("release", &[]).has("release", &[]).has("stranger", &[]);
    let base = || base().prune(Prune::Undeclared);
    let known = base().with(identity(SignerTrust::Known(Arc::default())));
    assert_eq!(known.lines(), ["= release", "- foreign"]);
    for trust in [SignerTrust::NotNeeded, SignerTrust::Unknown(temporary())] {
        assert_eq!(base().with(identity(trust)).lines(), ["= release", "? foreign"]);
    }
    let requires = base()
        .wants("release", &[("new", "1")])
        .with(identity(SignerTrust::Unknown(temporary())))
        .with(|world| world.target.requires = vec!["ci".parse().unwrap()]);
    assert_eq!(requires.lines()[1], "x release tuf::unavailable");
}

#[test]
fn what_services_cannot_do_is_blocked_before_anything_is_signed() {
    let refused = Failure::error("sigstore::no_service", "only Rekor v2");
    let made = world().wants("release", &[]).with(|world| {
        let state = world.signers.get_mut(&"release".parse::<SignerName>().unwrap()).unwrap();
        state.services.simple_signing = Err(refused.clone());
    });
    assert_eq!(made.lines(), ["x release sigstore::no_service"]);
    // What is there needs no service.
    assert_eq!(made.has("release", &[]).lines(), ["= release"]);
}

#[test]
fn an_ed25519_key_gets_no_log_entry() {
    let key = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let key = crate::crypto::PublicKey::from_pem(key).unwrap();
    let made = logged(world().wants("release", &[])).with(|world| {
        let state = world.signers.get_mut(&"release".parse::<SignerName>().unwrap()).unwrap();
        state.key = SignerKey::Known(key);
    });
    assert_eq!(made.lines(), ["x release signature::ed25519_log"]);
}

#[test]
fn a_plan_says_what_it_publishes() {
    let used = |certificate, log_entries, timestamps| {
        let used = ServiceUse { certificate, log_entries, timestamps };
        Services { simple_signing: Ok(used), bundle: Ok(used) }
    };
    let world = world()
        .wants("release", &[])
        .wants("ci", &[])
        .wants("ci", &[("second", "1")])
        .wants("vault", &[])
        .has("ci", &[("second", "1")]);
    let changes = world.diff();
    let target = TargetPlan {
        target: Arc::new(world.target),
        carrier: None,
        referrers: SeenReferrers::default(),
        changes,
    };
    let who = |identity: Option<&str>, services| SignerFingerprints {
        identity: identity.map(Into::into),
        services,
        ..SignerFingerprints::default()
    };
    let plan = |targets| Plan {
        targets,
        signers: [
            ("release".parse().unwrap(), who(None, used(false, 2, 0))),
            ("ci".parse().unwrap(), who(Some("ci@acme.com"), used(true, 1, 3))),
            ("vault".parse().unwrap(), who(None, used(false, 1, 1))),
        ]
        .into(),
        ..Plan::default()
    };
    // What is kept, or owed by somebody else, publishes nothing.
    let publishes = plan(vec![target.clone()]).publishes();
    assert_eq!((publishes.log_entries, publishes.certificates, publishes.timestamps), (3, 1, 3));
    assert_eq!(
        publishes.discloses,
        [
            "the identity of ci: ci@acme.com",
            "the public key of release",
            "the digest of each payload that is signed, and the time"
        ]
    );
    assert_eq!(plan(Vec::new()).publishes(), crate::plan::Publishes::default());
    let limits = |most| crate::plan::Limits::default().with_log_entries(most);
    let plan = plan(vec![target]);
    for (most, good) in [(None, true), (Some(3), true), (Some(2), false), (Some(0), false)] {
        assert_eq!(limits(most).check(&plan).is_ok(), good, "{most:?}");
    }
    let guarded = limits(Some(2)).check(&plan).unwrap_err();
    assert_eq!(
        (guarded.code(), guarded.flag()),
        ("guard::log_entries", "--max-log-entries 3".to_owned())
    );
}
