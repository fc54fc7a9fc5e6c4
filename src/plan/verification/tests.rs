use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::crypto::{Certificate, Hash};
use crate::model::{Annotations, Digest, Repository, Subject};
use crate::payload::{Format, LayerId};
use crate::plan::{
    Evidence, Moved, Prune, SignerFingerprints, Standing, Target, Verdict, WantOrigin,
};

const NOW: i64 = 1_790_000_000;
const DAY: i64 = 86_400;

/// A certificate that is valid from `from` until `until` days from now.
fn certificate(from: i64, until: i64) -> Certificate {
    let at = |days: i64| {
        let seconds = u64::try_from(NOW + days * DAY).unwrap();
        rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds)
    };
    let mut parameters = CertificateParams::default();
    parameters.not_before = at(from);
    parameters.not_after = at(until);
    let made = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap();
    Certificate::from_der(made.der()).unwrap()
}

fn want() -> Want {
    let annotations = Arc::new(Annotations::new());
    let signer = "release".parse().unwrap();
    Want::sign(signer, &Digest::of(b""), "ghcr.io/acme/api".into(), annotations, WantOrigin::Sign)
}

fn found(certificate: Option<Certificate>) -> Found {
    Found {
        format: Format::SimpleSigning,
        position: 0,
        id: LayerId { payload: Digest::of(b"payload"), annotations: Digest::of(b"annotations") },
        verdict: Verdict::Signed { signer: "release".parse().unwrap(), hash: Hash::Sha256 },
        claim: None,
        certificate,
        chain: None,
        carried: Evidence::default(),
        evidence: Evidence::default(),
        problems: Box::default(),
        proven: None,
        passed_over: None,
    }
}

fn resign(fields: &[Field], found: Found) -> Change {
    let difference = |field: &Field| Difference {
        field: *field,
        before: "before".to_owned(),
        after: "after".to_owned(),
    };
    Change::Resign { want: want(), found, differences: fields.iter().map(difference).collect() }
}

fn plan(changes: Vec<Change>) -> Plan {
    let repository: Repository = "ghcr.io/acme/api".parse().unwrap();
    let target = Target {
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
    };
    let target = TargetPlan {
        target: Arc::new(target),
        carrier: None,
        referrers: Default::default(),
        changes,
    };
    Plan { targets: vec![target], ..Plan::default() }
}

/// What `verify` says of one change, where the signer's key is that of the found certificate.
fn finding_of(change: Change) -> Finding {
    let mut plan = plan(vec![change]);
    let carried = plan.targets[0].changes[0].found().and_then(|it| it.certificate.clone());
    let key = carried.map(|it| it.public_key().fingerprint());
    let fingerprints = SignerFingerprints { key, ..SignerFingerprints::default() };
    plan.signers.insert("release".parse().unwrap(), fingerprints);
    verify(&plan, Timestamp::from_seconds(NOW)).targets[0].worst()
}

#[test]
fn what_a_verifier_would_miss_is_a_fault() {
    let moved = Moved { tag: "ghcr.io/acme/api:1".into(), actual: None };
    let reason = Failure::error("registry::unavailable", "down");
    for (change, expected) in [
        (Change::Keep { want: want(), found: found(None) }, Finding::Good),
        (Change::Clean { found: found(None), standing: Standing::Retired }, Finding::Good),
        (Change::Foreign { found: found(None), standing: Standing::Foreign }, Finding::Good),
        (Change::Sign { want: want() }, Finding::Fault),
        (Change::Attach { want: want(), to: None }, Finding::Fault),
        (Change::Moved(moved), Finding::Fault),
        (Change::Blocked { want: None, reason }, Finding::Unknown),
    ] {
        assert_eq!(finding_of(change.clone()), expected, "{change:?}");
    }
}

#[test]
fn a_signature_that_says_something_else_is_a_fault_whatever_its_certificate() {
    for field in [Field::Annotations, Field::ContainerIdentity, Field::Digest, Field::Hash] {
        for fields in [&[field][..], &[Field::Certificate, field]] {
            let change = resign(fields, found(Some(certificate(-10, 10))));
            assert_eq!(finding_of(change), Finding::Fault, "{fields:?}");
        }
    }
}

#[test]
fn a_renewal_is_only_due_while_the_certificate_that_is_there_serves() {
    let fields = [Field::Certificate, Field::CertificateChain, Field::Expiry];
    let changes = |found: Found| {
        let to = Change::Attach { want: want(), to: Some(found.clone()) };
        [resign(&fields, found), to]
    };
    let proven = |days: i64, certificate| Found {
        proven: Some(Timestamp::from_seconds(NOW + days * DAY)),
        ..found(Some(certificate))
    };
    for (found, expected) in [
        (found(Some(certificate(-10, 10))), Finding::Due),
        (found(Some(certificate(-10, -1))), Finding::Fault),
        (found(Some(certificate(1, 10))), Finding::Fault),
        (found(None), Finding::Fault),
        // Proof of time outlives the certificate; proof of another time is none.
        (proven(-5, certificate(-10, -1)), Finding::Due),
        (proven(-11, certificate(-10, -1)), Finding::Fault),
    ] {
        for change in changes(found.clone()) {
            assert_eq!(finding_of(change), expected, "{found:?}");
        }
    }
}

#[test]
fn a_certificate_for_another_key_never_serves() {
    let mut plan =
        plan(vec![Change::Attach { want: want(), to: Some(found(Some(certificate(-10, 10)))) }]);
    let other = certificate(-10, 10).public_key().fingerprint();
    let fingerprints = SignerFingerprints { key: Some(other), ..SignerFingerprints::default() };
    plan.signers.insert("release".parse().unwrap(), fingerprints);
    let verification = verify(&plan, Timestamp::from_seconds(NOW));
    assert_eq!(verification.targets[0].worst(), Finding::Fault);
}

#[test]
fn the_worst_finding_is_that_of_the_image() {
    let reason = Failure::error("registry::unavailable", "down");
    let due = Change::Attach { want: want(), to: Some(found(Some(certificate(-10, 10)))) };
    let keep = Change::Keep { want: want(), found: found(None) };
    let blocked = Change::Blocked { want: None, reason };
    let now = Timestamp::from_seconds(NOW);
    for (changes, worst, good) in [
        (vec![], Finding::Good, true),
        (vec![keep.clone(), due.clone()], Finding::Due, true),
        (vec![due.clone(), Change::Sign { want: want() }, keep], Finding::Fault, false),
        (vec![blocked, Change::Sign { want: want() }, due], Finding::Unknown, false),
    ] {
        let plan = plan(changes);
        let verification = verify(&plan, now);
        assert_eq!(verification.targets[0].worst(), worst);
        assert_eq!(verification.is_good(), good);
        let totals = verification.totals();
        assert_eq!(totals.due, usize::from(worst == Finding::Due));
        assert_eq!(totals.good + totals.faulty + totals.unknown, 1);
    }
}
