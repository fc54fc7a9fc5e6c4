//! The diff on worlds made by hand: every mark, every reason, every form of `prune`.

mod bundles;
mod certificates;
mod evidence;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::crypto::{Hash, PrivateKey};
use crate::model::{Annotations, Subject};
use crate::payload::{Claim, Format, LayerId};
use crate::plan::{Ability, Evidence, Name, Origin, SignerKey, SignerProfile, signer_warnings};

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86_400;

/// A world with one image and the signers `release`, `ci`, `old` (retired) and `vault` (public key only).
struct World {
    target: Target,
    found: Vec<Found>,
    referrers: SeenReferrers,
    signers: Signers,
    options: DiffOptions,
}

fn world() -> World {
    let digest = Digest::of(b"image");
    let repository: crate::model::Repository = "registry.example/acme/api".parse().unwrap();
    let signers = ["ci", "old", "release", "vault"].map(|name| {
        let ability = if name == "vault" { Ability::VerifyOnly } else { Ability::Sign };
        let profile = SignerProfile::new(name.parse().unwrap(), ability);
        let profile = SignerProfile { retired: name == "old", ..profile };
        let key = PrivateKey::generate_p256().unwrap().public_key().clone();
        let state = SignerState::new(profile, SignerKey::Known(key));
        (name.parse().unwrap(), state)
    });
    let target = Target {
        subject: Subject { repository: repository.clone(), digest },
        signatures: repository,
        names: vec![Name {
            text: "registry.example/acme/api:1".into(),
            origin: Origin { file: "countersign.toml".into(), line: 1 },
        }],
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
    World {
        target,
        found: Vec::new(),
        referrers: SeenReferrers::default(),
        signers: signers.into_iter().collect(),
        options: DiffOptions { now: Timestamp::from_seconds(NOW), cleaning: Cleaning::AsDeclared },
    }
}

impl World {
    fn wants(mut self, signer: &str, annotations: &[(&str, &str)]) -> Self {
        let origin = if signer == "vault" { WantOrigin::Owed } else { WantOrigin::Sign };
        let want = Want::sign(
            signer.parse().unwrap(),
            &self.target.subject.digest,
            "registry.example/acme/api".into(),
            Arc::new(pairs(annotations)),
            origin,
        );
        self.target.want(want);
        self
    }

    fn has(mut self, signer: &str, annotations: &[(&str, &str)]) -> Self {
        let position = self.found.len();
        let verdict = match signer {
            "stranger" => Verdict::Stranger,
            _ => Verdict::Signed { signer: signer.parse().unwrap(), hash: Hash::Sha256 },
        };
        let claim = Claim {
            identity: "registry.example/acme/api".to_owned(),
            digest: self.target.subject.digest.clone(),
            annotations: pairs(annotations),
            other: std::collections::BTreeMap::new(),
        };
        self.found.push(Found {
            format: Format::SimpleSigning,
            position,
            id: LayerId {
                payload: Digest::of(format!("{annotations:?}").as_bytes()),
                annotations: Digest::of(format!("{position}").as_bytes()),
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
        });
        self
    }

    fn with(mut self, edit: impl FnOnce(&mut Self)) -> Self {
        edit(&mut self);
        self
    }

    fn prune(self, prune: Prune) -> Self {
        self.with(|world| world.target.prune = prune)
    }

    fn profile(self, signer: &str, edit: impl FnOnce(&mut SignerProfile)) -> Self {
        self.with(|world| {
            let state = world.signers.get_mut(&signer.parse::<SignerName>().unwrap()).unwrap();
            edit(Arc::make_mut(&mut state.profile));
        })
    }

    fn diff(&self) -> Vec<Change> {
        let carrier = (!self.found.is_empty()).then(|| Digest::of(b"carrier"));
        let observed = Observed::Read {
            carrier,
            referrers: self.referrers.clone(),
            found: self.found.clone(),
        };
        diff(&self.target, &observed, &self.signers, &self.options)
    }

    /// The changes as `mark signer [note]`.
    fn lines(&self) -> Vec<String> {
        let lines = self.diff().into_iter().map(|change| {
            let signer = change.signer().map(ToString::to_string).unwrap_or_default();
            let note = match &change {
                Change::Attach { to: Some(_), .. } => "certificate".to_owned(),
                Change::Blocked { reason, .. } => reason.code.clone(),
                Change::Clean { standing, .. } | Change::Foreign { standing, .. } => {
                    standing.word().to_owned()
                }
                Change::Resign { differences, .. } => {
                    let fields: Vec<_> = differences.iter().map(|it| it.field.name()).collect();
                    fields.join(",")
                }
                _ => String::new(),
            };
            format!("{} {signer} {note}", change.action().mark()).trim_end().replace("  ", " ")
        });
        lines.collect()
    }
}

fn pairs(annotations: &[(&str, &str)]) -> Annotations {
    annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn one_more_is_made_whatever_is_there() {
    let world = world().wants("release", &[]).has("release", &[]).prune(Prune::Superseded);
    assert_eq!(world.lines()[0], "= release");
    let more = world.with(|world| world.target.wants[0].making = Making::OneMore);
    let marks: Vec<_> = more.diff().iter().map(Change::action).collect();
    assert_eq!(marks[0], crate::plan::Action::Sign);
}

#[test]
fn what_is_missing_is_signed_and_what_is_there_is_kept() {
    assert_eq!(world().wants("release", &[]).lines(), ["+ release"]);
    assert_eq!(world().wants("release", &[]).has("release", &[]).lines(), ["= release"]);
    let both = world().wants("release", &[]).wants("ci", &[]).has("ci", &[]);
    assert_eq!(both.lines(), ["+ release", "= ci"]);
}

#[test]
fn a_signature_that_does_not_verify_never_counts() {
    let forged = world().wants("release", &[]).has("stranger", &[]);
    assert_eq!(forged.lines(), ["+ release", "? foreign"]);
}

#[test]
fn what_differs_is_signed_anew_and_the_old_one_goes_as_prune_says() {
    let changed = || world().wants("release", &[("build", "2")]).has("release", &[("build", "1")]);
    assert_eq!(changed().lines(), ["~ release annotations", "? release superseded"]);
    assert_eq!(
        changed().prune(Prune::Superseded).lines(),
        ["~ release annotations", "- release superseded"]
    );
    let changes = changed().diff();
    let Change::Resign { differences, .. } = &changes[0] else { panic!("{changes:?}") };
    assert_eq!(differences[0].to_string(), "annotations: build=1 → build=2");
}

#[test]
fn a_hash_that_verifiers_do_not_take_is_a_difference() {
    let sha384 = world().wants("release", &[]).has("release", &[]).with(|world| {
        world.found[0].verdict =
            Verdict::Signed { signer: "release".parse().unwrap(), hash: Hash::Sha384 };
    });
    assert_eq!(sha384.lines(), ["~ release hash", "? release superseded"]);
}

#[test]
fn duplicates_are_superseded_and_the_first_is_kept() {
    let twice = world().wants("release", &[]).has("release", &[]).has("release", &[]);
    assert_eq!(twice.lines(), ["= release", "? release superseded"]);
    let changes = twice.prune(Prune::Superseded).diff();
    assert_eq!(changes[0].found().unwrap().position, 0);
    assert_eq!((changes[1].action().mark(), changes[1].found().unwrap().position), ('-', 1));
}

#[test]
fn the_earliest_proven_signature_is_taken() {
    let second = world().wants("release", &[]).has("release", &[]).has("release", &[]);
    let second = second.with(|world| world.found[1].proven = Some(Timestamp::from_seconds(5)));
    assert_eq!(second.diff()[0].found().unwrap().position, 1);
}

#[test]
fn each_form_of_prune_takes_what_it_says() {
    let all = |prune| {
        world()
            .wants("release", &[])
            .has("release", &[])
            .has("release", &[("old", "1")])
            .has("old", &[])
            .has("ci", &[])
            .has("stranger", &[])
            .prune(prune)
            .lines()
    };
    assert_eq!(
        all(Prune::Keep),
        ["= release", "? release superseded", "? old retired", "? ci foreign", "? foreign"]
    );
    assert_eq!(
        all(Prune::Superseded),
        ["= release", "- release superseded", "? old retired", "? ci foreign", "? foreign"]
    );
    assert_eq!(
        all(Prune::Retired),
        ["= release", "- release superseded", "- old retired", "? ci foreign", "? foreign"]
    );
    assert_eq!(
        all(Prune::Undeclared),
        ["= release", "- release superseded", "- old retired", "- ci foreign", "- foreign"]
    );
}

#[test]
fn nothing_is_cleaned_while_something_is_not_known_or_not_in_place() {
    let base = || {
        world().wants("release", &[]).has("release", &[]).has("old", &[]).prune(Prune::Undeclared)
    };
    assert_eq!(base().lines(), ["= release", "- old retired"]);
    let unknown = Failure::error("key::unavailable", "the KMS is down");
    let key = base().with(|world| {
        let state = world.signers.get_mut(&"ci".parse::<SignerName>().unwrap()).unwrap();
        state.key = SignerKey::Unknown(unknown.clone());
    });
    assert_eq!(key.lines(), ["= release", "? old retired"]);
    assert_eq!(base().wants("vault", &[]).lines().last().unwrap(), "? old retired");
    assert_eq!(base().with(|it| it.target.incomplete = true).lines()[1], "? old retired");
    assert_eq!(base().with(|it| it.options.cleaning = Cleaning::Never).lines()[1], "? old retired");
    let unreadable = base().has("ci", &[]).with(|world| {
        world.found[2].verdict = Verdict::Unreadable(unknown);
    });
    assert_eq!(unreadable.lines(), ["= release", "? old retired", "x key::unavailable"]);
}

#[test]
fn a_key_that_cannot_be_opened_blocks_its_wants_only() {
    let down = world().wants("release", &[]).wants("ci", &[]).with(|world| {
        let state = world.signers.get_mut(&"ci".parse::<SignerName>().unwrap()).unwrap();
        state.key = SignerKey::Unknown(Failure::error("key::not_found", "gone"));
    });
    assert_eq!(down.lines(), ["+ release", "x ci key::not_found"]);
}

#[test]
fn a_signature_made_elsewhere_is_owed_until_it_is_there() {
    assert_eq!(world().wants("vault", &[]).lines(), ["x vault signature::owed"]);
    assert_eq!(world().wants("vault", &[]).has("vault", &[]).lines(), ["= vault"]);
}

#[test]
fn a_countersignature_waits_for_what_it_requires() {
    let requires =
        |world: World| world.with(|world| world.target.requires = vec!["ci".parse().unwrap()]);
    let missing = requires(world().wants("release", &[]));
    assert_eq!(missing.lines(), ["x release signature::requires"]);
    let there = requires(world().wants("release", &[]).has("ci", &[("any", "thing")]));
    assert_eq!(there.lines(), ["+ release", "? ci foreign"]);
}

#[test]
fn a_registry_that_never_overwrites_tags_takes_the_first_write_only() {
    let immutable = |world: World| world.with(|world| world.target.immutable_tags = true);
    assert_eq!(immutable(world().wants("release", &[])).lines(), ["+ release"]);
    let second = immutable(world().wants("release", &[]).has("stranger", &[]));
    assert_eq!(second.lines(), ["x release registry::immutable_tag", "? foreign"]);
}

#[test]
fn another_identity_in_a_shared_signature_repository_is_not_ours() {
    let shared = world()
        .wants("release", &[])
        .has("release", &[])
        .has("release", &[])
        .prune(Prune::Undeclared)
        .with(|world| {
            world.target.signatures = "registry.example/signatures".parse().unwrap();
            let claim = Arc::make_mut(world.found[1].claim.as_mut().unwrap());
            claim.identity = "registry.example/acme/web".to_owned();
        });
    assert_eq!(shared.lines(), ["= release", "? release foreign"]);
}

#[test]
fn the_signature_of_another_image_in_a_shared_place_is_not_signed_again() {
    let shared = world().wants("release", &[]).has("release", &[]).with(|world| {
        world.target.signatures = "registry.example/signatures".parse().unwrap();
        let claim = Arc::make_mut(world.found[0].claim.as_mut().unwrap());
        claim.identity = "registry.example/acme/web".to_owned();
    });
    assert_eq!(shared.lines(), ["+ release", "? release foreign"]);
}

#[test]
fn a_subject_that_is_missing_is_blocked_unless_it_is_optional() {
    let world = world().wants("release", &[]);
    let missing =
        |target: &Target| diff(target, &Observed::Missing, &world.signers, &world.options);
    let changes = missing(&world.target);
    assert!(
        matches!(&changes[0], Change::Blocked { reason, .. } if reason.code == "image::not_found")
    );
    assert!(missing(&Target { optional: true, ..world.target.clone() }).is_empty());
}
