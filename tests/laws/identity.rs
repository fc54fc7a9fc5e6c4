//! The laws again, in worlds with an identity: with log entries and certificates that hold, and that do not.

use std::sync::Arc;

use async_trait::async_trait;
use countersign::apply::{Applier, Stop};
use countersign::crypto::{Hash, PrivateKey, SignatureBytes};
use countersign::event::Listener;
use countersign::keys::Keyring;
use countersign::keys::memory::MemoryEnvironment;
use countersign::model::{
    Annotations, Clock, Descriptor, Digest, SignerName, Timestamp, media_type,
};
use countersign::observe::{ObserveOptions, Observer};
use countersign::payload::{
    Addition, Format, NewBundle, SignStatement, SimpleSigning, annotation, statement_signed_bytes,
};
use countersign::plan::{
    Ability, Action, Change, Failure, FailureClass, Plan, Prune, SignerProfile, Signers,
};
use countersign::report::Report;
use countersign::sigstore::{
    Called, Deployment, DeploymentSource, Log, Opened, Witness, Witnesses,
};
use countersign::trust::{Content, GithubClaims, IdentityPolicy, Matcher, Signed, Verifier};
use proptest::prelude::*;

use crate::sigstore::{ISSUER, MemoryLog, Promise, Sigstore, Somebody};
use crate::world::{World, append, block_on, digests, is_converged, repository};
use crate::{cases, json, simple};

const WHO: &str = "ci@example.com";
const NOW: i64 = 1_800_000_000;
const DAY: i64 = 24 * 60 * 60;

#[derive(Debug)]
struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(NOW)
    }
}

/// What somebody left on an image.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Left {
    /// As it should be; the certificate has not ended.
    Good,
    /// The certificate has ended, and the log entry proves that the signature is older.
    Proven,
    /// The same without the log entry.
    Ended,
    /// Not ended, and without the log entry.
    Unlogged,
    /// The log entry is that of another signature.
    EntryOfAnother,
    /// Another key has signed the log entry.
    EntryOfStranger,
    /// The log entry was taken after the certificate's end.
    EntryTooLate,
    /// The certificate names somebody else.
    SomebodyElse,
    /// No log has promised to take the certificate.
    Unpromised,
    /// The promise is over another certificate.
    PromiseOfAnother,
    /// The authority is not the one that is trusted.
    OtherAuthority,
    /// The signature is over something else.
    Forged,
}

impl Left {
    const ALL: [Self; 12] = [
        Self::Good,
        Self::Proven,
        Self::Ended,
        Self::Unlogged,
        Self::EntryOfAnother,
        Self::EntryOfStranger,
        Self::EntryTooLate,
        Self::SomebodyElse,
        Self::Unpromised,
        Self::PromiseOfAnother,
        Self::OtherAuthority,
        Self::Forged,
    ];

    fn counts(self) -> bool {
        matches!(self, Self::Good | Self::Proven)
    }

    /// Whether it is a signature of the signer, though nobody would take it.
    fn is_known(self) -> bool {
        let known = [
            Self::Ended,
            Self::Unlogged,
            Self::EntryOfAnother,
            Self::EntryOfStranger,
            Self::EntryTooLate,
        ];
        self.counts() || known.contains(&self)
    }
}

#[derive(Clone, Debug)]
struct Scenario {
    images: usize,
    formats: Vec<Format>,
    prune: Prune,
    left: Vec<(usize, Format, Left)>,
}

fn scenarios() -> impl Strategy<Value = Scenario> {
    let format = || prop::sample::select(vec![Format::SimpleSigning, Format::Bundle]);
    let prunes = vec![Prune::Keep, Prune::Superseded, Prune::Undeclared];
    let left = (0..3_usize, format(), prop::sample::select(Left::ALL.to_vec()));
    (
        1..3_usize,
        prop::sample::subsequence(vec![Format::SimpleSigning, Format::Bundle], 1..=2),
        prop::sample::select(prunes),
        prop::collection::vec(left, 0..5),
    )
        .prop_map(|(images, formats, prune, left)| Scenario { images, formats, prune, left })
}

struct Identities {
    world: World,
    sigstore: Arc<Sigstore>,
    deployment: Arc<Deployment>,
}

fn who() -> SignerName {
    "alpha".parse().unwrap()
}

impl Identities {
    fn new(scenario: &Scenario) -> Self {
        let mut entries = simple(scenario.images, scenario.prune);
        entries.entries[0].formats.clone_from(&scenario.formats);
        let mut world = World::new(&entries);
        let exact = |text: &str| Matcher::Exact(text.to_owned());
        let policy = IdentityPolicy {
            issuer: exact(ISSUER),
            identity: exact(WHO),
            github: GithubClaims::default(),
        };
        let profile = SignerProfile {
            identity: Some(Arc::new(policy)),
            transparency_log: true,
            ..SignerProfile::new(who(), Ability::Sign)
        };
        world.desired.signers = [(who(), Arc::new(profile))].into();
        let sigstore = Arc::new(Sigstore::new());
        let signer = Somebody { sigstore: Arc::clone(&sigstore), email: WHO, now: Now.now() };
        let keyring = Keyring::new([], Arc::new(MemoryEnvironment::default()));
        world.keyring = Arc::new(keyring.with_signer(who(), Arc::new(signer)));
        let images = digests(&entries, &world.store);
        for (image, format, left) in &scenario.left {
            leave(&world, &sigstore, &images[0][image % images[0].len()], *format, *left);
        }
        let deployment = Arc::new(Deployment::of(sigstore.opened()));
        Self { world, sigstore, deployment }
    }

    async fn plan(&self) -> (Plan, Arc<Signers>) {
        let observer = Observer {
            store: Arc::clone(&self.world.store) as _,
            keyring: Arc::clone(&self.world.keyring),
            deployment: Arc::clone(&self.deployment),
            clock: Arc::new(Now),
            options: ObserveOptions::default(),
        };
        observer.plan(&self.world.desired, &()).await
    }

    async fn apply(&self) -> Report {
        let (plan, signers) = self.plan().await;
        let log: Arc<dyn Log> = Arc::new(MemoryLog(Arc::clone(&self.sigstore), Now.now()));
        let called = Called { logs: vec![log], authorities: Vec::new() };
        let root = self.sigstore.root();
        let witness = Witness::new(Ok(called.clone()), Ok(called), root, Arc::new(Now));
        let applier = Applier {
            store: Arc::clone(&self.world.store) as _,
            keyring: Arc::clone(&self.world.keyring),
            witnesses: Arc::new(Witnesses::default().with(who(), witness)),
            clock: Arc::new(Now),
            jobs: 2,
            stop: Stop::default(),
        };
        let listener: Arc<dyn Listener> = Arc::new(());
        applier.apply(plan, &signers, &listener).await
    }
}

/// Leaves a signature of `left`'s kind.
fn leave(world: &World, sigstore: &Sigstore, digest: &Digest, format: Format, left: Left) {
    let before = Timestamp::from_seconds(match left {
        Left::Ended | Left::EntryTooLate | Left::Proven => NOW - DAY,
        _ => NOW - 60,
    });
    let late = Timestamp::from_seconds(before.as_seconds() + 3600);
    let email = if left == Left::SomebodyElse { "cd@example.com" } else { WHO };
    let promise = match left {
        Left::Unpromised => Promise::None,
        Left::PromiseOfAnother => Promise::Wrong,
        _ => Promise::Right,
    };
    let other = Sigstore::new();
    let authority = if left == Left::OtherAuthority { &other } else { sigstore };
    let (key, certificate) = authority.certificate(email, before, promise);
    let annotations = Annotations::new();
    let identity = repository(0).to_string();
    let payload = match format {
        Format::Bundle => SignStatement { digest, annotations: &annotations }.to_bytes(),
        _ => SimpleSigning { identity: &identity, digest, annotations: &annotations }.to_bytes(),
    };
    let signed = match format {
        _ if left == Left::Forged => b"another".to_vec(),
        Format::Bundle => statement_signed_bytes(&payload),
        _ => payload.clone(),
    };
    let signature: SignatureBytes = key.sign(&signed, Hash::Sha256).unwrap();
    let another = key.sign(b"another", Hash::Sha256).unwrap();
    let content = match format {
        Format::Bundle => Content::Statement(&payload),
        _ => Content::Message(&payload),
    };
    let verifier = Verifier::Certificate(&certificate);
    let over = if left == Left::EntryOfAnother { &another } else { &signature };
    let signed = Signed { content, signature: over, verifier };
    let entry = match left {
        Left::Ended | Left::Unlogged => None,
        Left::EntryTooLate => Some(sigstore.entry(&signed, late)),
        Left::EntryOfStranger => {
            let stranger = PrivateKey::generate_p256().unwrap();
            Some(sigstore.entry_signed_by(&stranger, &signed, before))
        }
        _ => Some(sigstore.entry(&signed, before)),
    };
    let place = repository(0);
    match format {
        Format::Bundle => {
            let entries: Vec<_> = entry.into_iter().collect();
            let bundle = NewBundle {
                key: certificate.public_key(),
                certificate: Some(&certificate),
                statement: &payload,
                signature: &signature,
                log_entries: &entries,
                timestamps: &[],
            };
            crate::world::refer_bundle(&world.store, &place, digest, bundle.to_bytes());
        }
        _ => {
            let mut beside = Annotations::from([
                (annotation::SIGNATURE.to_owned(), signature.to_base64()),
                (annotation::CERTIFICATE.to_owned(), certificate.to_pem()),
                (annotation::CHAIN.to_owned(), sigstore.chain().to_pem()),
            ]);
            let entry = entry.and_then(|it| it.to_annotation());
            beside.extend(entry.map(|it| (annotation::BUNDLE.to_owned(), it)));
            let payload_of = Descriptor::of(media_type::SIMPLE_SIGNING, &payload);
            let addition = Addition { payload: payload_of, annotations: beside };
            append(&world.store, &place, digest, (addition, payload));
        }
    }
}

proptest! {
    #![proptest_config(cases())]

    /// Law 2.
    #[test]
    fn after_an_apply_with_an_identity_nothing_is_left_to_do(scenario in scenarios()) {
        block_on(async {
            let world = Identities::new(&scenario);
            let (plan, _) = world.plan().await;
            let (planned, before) = (plan.publishes(), world.sigstore.recorded());
            let report = world.apply().await;
            assert_eq!(report.failures().collect::<Vec<_>>(), Vec::<&Failure>::new());
            // The plan said how many entries there would be.
            let made = world.sigstore.recorded() - before;
            assert_eq!(made, u64::try_from(planned.log_entries).unwrap());
            let (plan, _) = world.plan().await;
            assert!(is_converged(&plan), "{}", json(&plan));
            assert_eq!(plan.publishes(), countersign::plan::Publishes::default());
            world.world.store.forget();
            world.apply().await;
            assert_eq!(world.world.store.counts().writes(), 0);
        });
    }

    /// Law 3.
    #[test]
    fn the_same_world_with_an_identity_gives_the_same_plan(scenario in scenarios()) {
        block_on(async {
            let world = Identities::new(&scenario);
            let ((one, _), (two, _)) = (world.plan().await, world.plan().await);
            assert_eq!(json(&one), json(&two));
            assert_eq!(one.fingerprint(), two.fingerprint());
            assert_eq!(world.deployment.opens(), 1);
        });
    }

    /// Law 7: where it is not known whom to trust, nothing is signed, and nothing goes.
    #[test]
    fn without_a_trusted_root_nothing_is_signed_and_nothing_goes(scenario in scenarios()) {
        block_on(async {
            let mut world = Identities::new(&scenario);
            world.deployment = Arc::new(Deployment::new(Arc::new(Down)));
            let (plan, _) = world.plan().await;
            let changes = plan.targets.iter().flat_map(|it| &it.changes);
            assert!(changes.clone().all(|it| !it.action().writes() || it.action() == Action::Repair));
            assert!(plan.failures().all(|it| it.class == FailureClass::Temporary));
            assert!(changes.clone().all(|it| it.action() != Action::Keep), "{}", json(&plan));
            let blocked = changes.filter(|it| matches!(it, Change::Blocked { want: Some(_), .. }));
            let wants: usize = plan.targets.iter().map(|it| it.target.wants.len()).sum();
            assert_eq!(blocked.count(), wants);
        });
    }
}

/// Law 8, and the rest of what can be said of one signature alone.
#[test]
fn a_signature_of_an_identity_counts_only_where_everything_holds() {
    for format in [Format::SimpleSigning, Format::Bundle] {
        for left in Left::ALL {
            let scenario = Scenario {
                images: 1,
                formats: vec![format],
                prune: Prune::Keep,
                left: vec![(0, format, left)],
            };
            let world = Identities::new(&scenario);
            let (plan, _) = block_on(world.plan());
            let changes: Vec<&Change> =
                plan.targets[0].changes.iter().filter(|it| it.action() != Action::Repair).collect();
            let actions: Vec<Action> = changes.iter().map(|it| it.action()).collect();
            let expected = match (left.counts(), left.is_known()) {
                (true, _) => vec![Action::Keep],
                (false, true) => vec![Action::Resign, Action::Foreign],
                (false, false) => vec![Action::Sign, Action::Foreign],
            };
            assert_eq!(actions, expected, "{format} {left:?}: {}", json(&plan));
            let told = changes.last().and_then(|it| it.found()).unwrap();
            let codes: Vec<&str> = told.problems.iter().map(|it| it.code.as_str()).collect();
            let code = match left {
                Left::Good | Left::Proven | Left::Ended | Left::Unlogged | Left::Forged => vec![],
                Left::EntryOfAnother => vec!["trust::entry_of_another"],
                // A bundle carries the proof of inclusion too, which is looked at first.
                Left::EntryOfStranger if format == Format::Bundle => {
                    vec!["trust::checkpoint_wrong"]
                }
                Left::EntryOfStranger => vec!["trust::promise_wrong"],
                Left::EntryTooLate => vec!["trust::time_outside_certificate"],
                Left::SomebodyElse => vec!["signature::other_identity"],
                Left::Unpromised => vec!["trust::certificate_not_logged"],
                Left::PromiseOfAnother => vec!["trust::certificate_log_wrong"],
                Left::OtherAuthority => vec!["trust::certificate_untrusted"],
            };
            assert_eq!(codes, code, "{format} {left:?}");
        }
    }
}

/// A repository of trusted roots that does not answer.
#[derive(Debug)]
struct Down;

#[async_trait]
impl DeploymentSource for Down {
    async fn open(&self) -> Result<Opened, Failure> {
        Err(Failure::new("tuf::unavailable", "nobody answers", FailureClass::Temporary))
    }
}
