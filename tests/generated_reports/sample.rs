//! A plan with every kind of change, made by hand; some of it comes from a hostile registry.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use countersign::crypto::{Certificate, Hash, PublicKey, SignatureBytes};
use countersign::model::{Annotations, Digest, SignerName, Subject, Timestamp};
use countersign::payload::{Claim, Format, LayerId};
use countersign::plan::{
    Attachment, Change, Difference, Evidence, Failure, FailureClass, Field, Found, Moved, Name,
    Origin, Plan, Prune, SignerFingerprints, Standing, Target, TargetPlan, Unresolved, Verdict,
    Want, WantOrigin, Warning,
};
use countersign::report::{Done, Outcome, Report, TargetReport};

/// What a hostile registry puts wherever it can.
pub(crate) const HOSTILE: &str = "\u{1b}[2J\u{1b}[1;1Hall good\r\n\u{9b}31m\u{202e}deretsiger";

/// Made with `openssl ca -startdate 20260101000000Z -enddate 20261231235959Z`, for code signing.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBejCCASCgAwIBAgIBATAKBggqhkjOPQQDAjASMRAwDgYDVQQDDAdyZWxlYXNl
MB4XDTI2MDEwMTAwMDAwMFoXDTI2MTIzMTIzNTk1OVowEjEQMA4GA1UEAwwHcmVs
ZWFzZTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABAxLSpV4JcypO03J1WqfgRZx
UcxJBSjZzpOHdN2G1c1TXT8D2SSnNW2Y3Y4zp0ed8bkfAT3G0PwnzVxBDpWbupCj
ZzBlMA4GA1UdDwEB/wQEAwIHgDATBgNVHSUEDDAKBggrBgEFBQcDAzAfBgNVHREE
GDAWgRRyZWxlYXNlQGFjbWUuZXhhbXBsZTAdBgNVHQ4EFgQUsNjXH3PXgtgGKIDl
pEHdUR4v880wCgYIKoZIzj0EAwIDSAAwRQIgUqAX2DkMqwF2YzR3hvEqeyP975Ka
xRumCssWBWsxB4cCIQC2po+XFspHTsH7/rxsruNLOeMW6yuFFfs6P0z9ke9tZg==
-----END CERTIFICATE-----
";

/// A moment at which the certificate is valid.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_seconds(1_790_000_000)
}

pub(crate) fn certificate() -> Certificate {
    Certificate::from_pem(CERTIFICATE).unwrap()
}

/// The key that the certificate is for.
pub(crate) fn key() -> PublicKey {
    certificate().public_key().clone()
}

pub(crate) fn signer(name: &str) -> SignerName {
    name.parse().unwrap()
}

pub(crate) fn annotations(pairs: &[(&str, &str)]) -> Annotations {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A subject that an entry at `line` reaches as `names`.
pub(crate) fn target(repository: &str, content: &str, names: &[&str], line: u32) -> Target {
    let digest = Digest::of(content.as_bytes());
    let origin = Origin { file: "countersign.toml".into(), line };
    let name =
        |text: &&str| Name { text: format!("{repository}{text}").into(), origin: origin.clone() };
    let repository: countersign::model::Repository = repository.parse().unwrap();
    Target {
        subject: Subject { repository: repository.clone(), digest },
        signatures: repository,
        names: names.iter().map(name).collect(),
        wants: Vec::new(),
        identities: Vec::new(),
        signers: Vec::new(),
        requires: Vec::new(),
        prune: Prune::Retired,
        optional: false,
        exists: true,
        children: Vec::new(),
        moved: Vec::new(),
        blocked: Vec::new(),
        immutable_tags: false,
        incomplete: false,
    }
}

/// A signature of `name` that `target` should carry.
pub(crate) fn want(target: &Target, name: &str, pairs: &[(&str, &str)]) -> Want {
    Want::sign(
        signer(name),
        &target.subject.digest,
        target.subject.repository.to_string().into(),
        Arc::new(annotations(pairs)),
        WantOrigin::Sign,
    )
}

/// A signature that is there: of `name`, or of nobody who is known.
pub(crate) fn found(target: &Target, position: usize, name: Option<&str>) -> Found {
    let claim = Claim {
        identity: target.subject.repository.to_string(),
        digest: target.subject.digest.clone(),
        annotations: Annotations::new(),
        other: BTreeMap::new(),
    };
    Found {
        format: Format::SimpleSigning,
        position,
        id: LayerId {
            payload: Digest::of(format!("payload {position}").as_bytes()),
            annotations: Digest::of(format!("annotations {position}").as_bytes()),
        },
        verdict: name.map_or(Verdict::Stranger, |name| Verdict::Signed {
            signer: signer(name),
            hash: Hash::Sha256,
        }),
        claim: Some(Arc::new(claim)),
        certificate: None,
        chain: None,
        passed_over: None,
        carried: Evidence::default(),
        evidence: Evidence::default(),
        problems: Box::default(),
        proven: None,
    }
}

fn attachment(target: &Target) -> Arc<Attachment> {
    let claim = Claim {
        identity: "registry.acme.example/web".to_owned(),
        digest: target.subject.digest.clone(),
        annotations: annotations(&[("room", "4")]),
        other: BTreeMap::new(),
    };
    Arc::new(Attachment {
        origin: Origin { file: "countersign.toml".into(), line: 30 },
        signer: signer("vault-room"),
        path: PathBuf::from("out/web.payload.json"),
        payload: b"{}".to_vec(),
        claim,
        signature: SignatureBytes::new(vec![1, 2, 3]),
        certificate: None,
        chain: None,
        bundle: None,
        rekor_bundle: None,
        timestamp: None,
    })
}

fn planned(target: Target, changes: Vec<Change>) -> TargetPlan {
    let carrier = Some(Digest::of(b"carrier"));
    TargetPlan { target: Arc::new(target), carrier, referrers: Default::default(), changes }
}

pub(crate) fn throttled() -> Failure {
    let message = format!("cannot read ghcr.io/acme/web:sha256-ab.sig: {HOSTILE}");
    Failure::new("registry::throttled", message, FailureClass::Temporary)
        .help("run again later, or set `requests_per_second` under [registries]")
}

/// A plan with every kind of change.
pub(crate) fn plan() -> Plan {
    let digest = |text: &str| Digest::of(text.as_bytes());
    let mut targets = Vec::new();
    for (platform, line) in [("linux/amd64", 12), ("linux/arm64", 12)] {
        let target = target("ghcr.io/acme/api", platform, &[&format!(":1.4.1 {platform}")], line);
        let mut unread = found(&target, 1, None);
        unread.verdict = Verdict::Unexamined;
        let changes = vec![
            Change::Keep {
                want: want(&target, "release", &[]),
                found: found(&target, 0, Some("release")),
            },
            Change::Foreign { found: unread, standing: Standing::Unexamined },
        ];
        targets.push(planned(target, changes));
    }
    let api = target("ghcr.io/acme/api", "api", &[":1.4.2", ":1.4", ":1", ":latest"], 12);
    let changes = vec![
        Change::Sign { want: want(&api, "release", &[("build", "8812"), ("env", "production")]) },
        Change::Resign {
            want: want(&api, "ci", &[("env", "production")]),
            found: found(&api, 0, Some("ci")),
            differences: vec![
                Difference {
                    field: Field::Annotations,
                    before: format!("env={HOSTILE}"),
                    after: "env=production".to_owned(),
                },
                Difference {
                    field: Field::Hash,
                    before: "sha512".to_owned(),
                    after: "sha256".to_owned(),
                },
            ],
        },
        Change::Keep { want: want(&api, "audit", &[]), found: found(&api, 1, Some("audit")) },
        Change::Clean { found: found(&api, 0, Some("ci")), standing: Standing::Superseded },
        Change::Clean { found: found(&api, 2, Some("release-2024")), standing: Standing::Retired },
        Change::Foreign { found: found(&api, 3, None), standing: Standing::Foreign },
    ];
    targets.push(planned(api, changes));
    let pinned = target(
        "ghcr.io/acme/api",
        "pinned",
        &[&format!("@{}", digest("pinned")), &format!(":2 {HOSTILE}")],
        20,
    );
    let moved = Moved { tag: "ghcr.io/acme/api:2".into(), actual: Some(digest("other")) };
    let gone = Moved { tag: "ghcr.io/acme/api:2-old".into(), actual: None };
    let changes = vec![
        Change::Moved(moved),
        Change::Moved(gone),
        Change::Keep {
            want: want(&pinned, "release", &[]),
            found: found(&pinned, 0, Some("release")),
        },
    ];
    targets.push(planned(pinned, changes));
    let absent = Target { optional: true, ..target("ghcr.io/acme/api", "absent", &[":3"], 24) };
    targets.push(planned(absent, Vec::new()));

    let mut web = target("ghcr.io/acme/web", "web", &[":3.0.1"], 28);
    web.signatures = "ghcr.io/acme/signatures".parse().unwrap();
    let mut certified = found(&web, 0, Some("release"));
    certified.certificate = Some(certificate());
    let changes = vec![
        Change::Attach { want: Want::attach(&attachment(&web)), to: None },
        Change::Attach { want: want(&web, "release", &[]), to: Some(certified) },
        Change::Blocked { want: Some(want(&web, "ci", &[])), reason: throttled() },
        Change::Blocked {
            want: None,
            reason: Failure::error("image::child_type", "ghcr.io/acme/web:3.0.1 has a child"),
        },
    ];
    targets.push(planned(web, changes));
    let known = SignerFingerprints {
        key: Some(key().fingerprint()),
        certificate: Some(certificate().fingerprint()),
        ..SignerFingerprints::default()
    };
    let ci = SignerFingerprints { key: Some(digest("ci")), ..SignerFingerprints::default() };
    Plan {
        targets,
        unresolved: vec![Unresolved {
            name: Name {
                text: "ghcr.io/acme/web:9".into(),
                origin: Origin { file: "countersign.toml".into(), line: 31 },
            },
            reason: Failure::error("image::not_found", "ghcr.io/acme/web:9 does not exist")
                .help("push the image first, or mark the entry `optional = true`"),
        }],
        warnings: vec![Warning {
            code: "signature::certificate_ends",
            message: "the certificate of release ends on 2026-12-31T23:59:59Z: replace it".into(),
        }],
        signers: BTreeMap::from([(signer("release"), known), (signer("ci"), ci)]),
    }
}

/// What came of that plan, in part.
pub(crate) fn report() -> Report {
    let plan = plan();
    let targets = plan.targets.into_iter().map(|plan| TargetReport {
        target: plan.target,
        outcomes: plan.changes.into_iter().map(outcome).collect(),
    });
    Report { targets: targets.collect(), unresolved: plan.unresolved, warnings: plan.warnings }
}

fn outcome(change: Change) -> Outcome {
    let result = match &change {
        Change::Attach { to: Some(_), .. } => Ok(Done::AlreadyDone),
        Change::Attach { .. } | Change::Sign { .. } => Ok(Done::Written),
        Change::Blocked { reason, .. } => Err(reason.clone()),
        Change::Clean { standing: Standing::Retired, .. } => Err(Failure::new(
            "registry::delete_refused",
            format!("cannot delete: {HOSTILE}"),
            FailureClass::Permission,
        )
        .help("allow deletes in the registry, or remove the tag there by hand")),
        Change::Clean { .. } => Ok(Done::Removed),
        Change::Resign { .. } => Err(throttled()),
        _ => Ok(Done::Nothing),
    };
    Outcome { change, result }
}
