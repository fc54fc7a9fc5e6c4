use std::collections::BTreeMap;

use super::*;
use crate::crypto::PrivateKey;
use crate::model::Annotations;
use crate::payload::LayerId;
use crate::plan::{
    Ability, Cleaning, DiffOptions, Field, Prune, SeenReferrers, SignerProfile, SignerTrust,
    WantOrigin, diff,
};

const IDENTITY: &str = "ghcr.io/acme/api";

fn name(text: &str) -> SignerName {
    text.parse().unwrap()
}

fn environment(value: &str) -> Annotations {
    Annotations::from([("env".to_owned(), value.to_owned())])
}

/// An image that must carry a signature of `release` with `env=production`.
fn target(prune: Prune) -> Target {
    let repository: Repository = IDENTITY.parse().unwrap();
    let digest = Digest::of(b"image");
    let annotations = Arc::new(environment("production"));
    let origin = WantOrigin::Sign;
    let want = Want::sign(name("release"), &digest, IDENTITY.into(), annotations, origin);
    Target {
        subject: Subject { repository: repository.clone(), digest },
        signatures: repository,
        names: Vec::new(),
        wants: vec![want],
        signers: vec![name("release")],
        identities: Vec::new(),
        requires: Vec::new(),
        prune,
        optional: false,
        exists: true,
        children: Vec::new(),
        moved: Vec::new(),
        blocked: Vec::new(),
        immutable_tags: false,
        incomplete: false,
    }
}

/// `release`, `ci` and `old`, which is retired.
fn signers() -> Signers {
    let signers = ["ci", "old", "release"].map(|signer| {
        let profile = SignerProfile::new(name(signer), Ability::Sign);
        let profile = SignerProfile { retired: signer == "old", ..profile };
        let key = PrivateKey::generate_p256().unwrap().public_key().clone();
        (name(signer), SignerState::new(profile, SignerKey::Known(key)))
    });
    signers.into_iter().collect()
}

fn of(signer: &str) -> Verdict {
    Verdict::Signed { signer: name(signer), hash: Hash::Sha256 }
}

fn found(position: usize, verdict: Verdict, value: &str) -> Found {
    let claim = Claim {
        identity: IDENTITY.to_owned(),
        digest: Digest::of(b"image"),
        annotations: environment(value),
        other: BTreeMap::new(),
    };
    Found {
        format: Format::SimpleSigning,
        position,
        id: LayerId {
            payload: Digest::of(value.as_bytes()),
            annotations: Digest::of(&[u8::try_from(position).unwrap()]),
        },
        verdict,
        claim: Some(Arc::new(claim)),
        certificate: None,
        chain: None,
        carried: Evidence::default(),
        evidence: Evidence::default(),
        problems: Box::default(),
        proven: None,
        passed_over: None,
    }
}

fn explained(prune: Prune, found: Vec<Found>, signers: &Signers) -> Explanation {
    let target = target(prune);
    let observed = Observed::Read {
        carrier: Some(Digest::of(b"carrier")),
        referrers: SeenReferrers::default(),
        found,
    };
    let options = DiffOptions { now: Timestamp::from_seconds(0), cleaning: Cleaning::AsDeclared };
    let changes = diff(&target, &observed, signers, &options);
    explain(&target, &observed, signers, &changes, options.now)
}

#[test]
fn every_signature_is_explained_once_in_the_order_of_the_manifest() {
    // The second one counts first: it is proven to be older.
    let mut older = found(1, of("release"), "production");
    older.proven = Some(Timestamp::from_seconds(-5));
    let there = vec![
        found(0, of("release"), "production"),
        older,
        found(2, of("release"), "staging"),
        found(3, of("ci"), "production"),
        found(4, of("old"), "production"),
        found(5, Verdict::Stranger, "production"),
    ];
    let explanation = explained(Prune::Retired, there, &signers());
    let signatures = &explanation.signatures;
    let positions: Vec<usize> = signatures.iter().map(|it| it.position).collect();
    assert_eq!(positions, [0, 1, 2, 3, 4, 5]);
    assert!(explanation.unmet.is_empty());
    assert_eq!(signatures[1].counts.as_ref().unwrap().signer, name("release"));
    let reasons = |position: usize| signatures[position].counts.as_ref().unwrap_err().as_slice();
    assert_eq!(reasons(0), [Reason::Duplicate]);
    assert!(
        matches!(reasons(2), [Reason::Differs(it)] if it.len() == 1 && it[0].field == Field::Annotations)
    );
    assert_eq!(reasons(3), [Reason::NotWanted(name("ci"))]);
    assert_eq!(reasons(4), [Reason::Retired(name("old"))]);
    assert_eq!(reasons(5), [Reason::Stranger]);
    let fates: Vec<_> = signatures.iter().map(|it| (it.standing, it.goes)).collect();
    let expected = [
        (Some(Standing::Superseded), true),
        (None, false),
        (Some(Standing::Superseded), true),
        (Some(Standing::Foreign), false),
        (Some(Standing::Retired), true),
        (Some(Standing::Foreign), false),
    ];
    assert_eq!(fates, expected);
}

#[test]
fn what_could_not_be_seen_is_said_and_never_goes() {
    let mut signers = signers();
    let down = Failure::error("key::unavailable", "the vault is down");
    signers.get_mut(&name("ci")).unwrap().key = SignerKey::Unknown(down.clone());
    let unreadable = Failure::error("registry::unavailable", "down");
    let there = vec![
        found(0, of("release"), "production"),
        found(1, Verdict::Stranger, "production"),
        found(2, Verdict::Unexamined, "production"),
        found(3, Verdict::Unreadable(unreadable.clone()), "production"),
    ];
    let explanation = explained(Prune::Undeclared, there, &signers);
    let reasons = |at: usize| explanation.signatures[at].counts.as_ref().unwrap_err().as_slice();
    assert!(explanation.signatures[0].counts.is_ok());
    assert_eq!(reasons(1), [Reason::Stranger, Reason::KeyUnknown(name("ci"), down)]);
    assert_eq!(reasons(2), [Reason::Unexamined]);
    assert_eq!(reasons(3), [Reason::Unreadable(unreadable.clone())]);
    assert_eq!(explanation.failures, [unreadable]);
    assert!(explanation.signatures.iter().all(|it| !it.goes));
}

#[test]
fn a_signature_about_another_image_never_counts() {
    let elsewhere = |signer: Verdict| {
        let found = found(0, signer, "production");
        let claim = Claim {
            digest: Digest::of(b"another image"),
            ..found.claim.as_deref().unwrap().clone()
        };
        Found { claim: Some(Arc::new(claim)), ..found }
    };
    let other = Digest::of(b"another image");
    for (verdict, told) in [
        (of("ci"), vec![Reason::NotWanted(name("ci")), Reason::OtherImage(other.clone())]),
        (Verdict::Stranger, vec![Reason::Stranger, Reason::OtherImage(other)]),
    ] {
        let explanation = explained(Prune::Keep, vec![elsewhere(verdict)], &signers());
        assert_eq!(explanation.signatures[0].counts.as_ref().unwrap_err(), &told);
        assert_eq!(explanation.unmet.len(), 1);
        assert_eq!(explanation.unmet[0].want.signer, name("release"));
    }
    let own = explained(Prune::Keep, vec![elsewhere(of("release"))], &signers());
    let reasons = own.signatures[0].counts.as_ref().unwrap_err().as_slice();
    assert!(matches!(reasons, [Reason::Differs(it)] if it[0].field == Field::Digest));
}

#[test]
fn evidence_that_could_not_be_checked_is_no_fault() {
    let mut signers = signers();
    let down = Failure::error("tuf::unavailable", "no mirror answers");
    let release = signers.get_mut(&name("release")).unwrap();
    release.trust = SignerTrust::Unknown(down.clone());
    Arc::make_mut(&mut release.profile).transparency_log = true;
    let ci = signers.get_mut(&name("ci")).unwrap();
    (ci.key, ci.trust) = (SignerKey::Identity, SignerTrust::Unknown(down.clone()));
    let there =
        vec![found(0, of("release"), "production"), found(1, Verdict::Stranger, "production")];
    let explanation = explained(Prune::Undeclared, there, &signers);
    let reasons = |at: usize| explanation.signatures[at].counts.as_ref().unwrap_err().as_slice();
    assert_eq!(reasons(0), [Reason::EvidenceUnknown(name("release"), down.clone())]);
    assert_eq!(reasons(1), [Reason::Stranger, Reason::EvidenceUnknown(name("ci"), down)]);
    assert!(explanation.signatures.iter().all(|it| !it.goes));
}
