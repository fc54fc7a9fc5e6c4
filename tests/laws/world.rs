//! Worlds for the laws: a store in memory, a few signers, a spec without TOML, and what others left behind.

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign::apply::{Applier, Stop};
use countersign::crypto::{Hash, SignatureBytes};
use countersign::event::Listener;
use countersign::keys::Keyring;
use countersign::keys::memory::{MemoryEnvironment, MemorySigner};
use countersign::model::{
    Annotations, Clock, Descriptor, Digest, Glob, Index, Manifest, Repository, SignerName, Tag,
    Timestamp, media_type,
};
use countersign::observe::{ObserveOptions, Observer};
use countersign::payload::{
    Addition, Bundle, Carrier, EMPTY_CONFIG, Format, NewBundle, SignStatement, SimpleSigning,
    annotation, bundle_referrer, statement_signed_bytes,
};
use countersign::plan::{
    Ability, Change, Desired, Image, Origin, Plan, Prune, Selection, Settings, SignerProfile,
    Signers,
};
use countersign::report::Report;
use countersign::sigstore::Deployment;
use countersign::store::memory::{Policies, ReferrersPolicy, RepositoryContents};
use countersign::store::{MemoryStore, ReadStore};
use proptest::prelude::*;
use proptest::sample::subsequence;

/// The signers of every world: two that sign, one of which only the public key is here, a retired one.
pub(crate) const SIGNERS: [&str; 4] = ["alpha", "beta", "vault", "retired"];

#[derive(Debug)]
struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000)
    }
}

/// A world as plain data, so that a failing one can be read.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// Who lists referrers.
    pub(crate) referrers: ReferrersPolicy,
    /// How many images each repository has; the last of each is an index over the others.
    pub(crate) repositories: Vec<usize>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) left_behind: Vec<LeftBehind>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) repository: usize,
    pub(crate) select: Select,
    pub(crate) sign_with: Vec<usize>,
    pub(crate) formats: Vec<Format>,
    pub(crate) annotations: usize,
    pub(crate) recursive: bool,
    pub(crate) prune: Prune,
    pub(crate) identities: usize,
    pub(crate) shared_signatures: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Select {
    Digest(usize),
    Glob,
    Pinned { tag: usize, digest: usize },
    Tag(usize),
}

/// A signature that was there before.
#[derive(Clone, Debug)]
pub(crate) struct LeftBehind {
    pub(crate) repository: usize,
    pub(crate) image: usize,
    /// An index into [`SIGNERS`], or beyond it for somebody whom nobody knows.
    pub(crate) signer: usize,
    pub(crate) annotations: usize,
    pub(crate) format: Format,
    pub(crate) spelling: Spelling,
    pub(crate) shared_signatures: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Spelling {
    /// As cosign writes it.
    Exact,
    /// The same meaning in other bytes.
    Pretty,
    /// A signature over something else.
    Forged,
    /// No base64.
    Broken,
}

const SPELLINGS: [Spelling; 4] =
    [Spelling::Exact, Spelling::Pretty, Spelling::Forged, Spelling::Broken];

pub(crate) fn scenarios() -> impl Strategy<Value = Scenario> {
    let repositories = prop::collection::vec(1..4_usize, 1..3);
    let entry = (
        0..3_usize,
        prop_oneof![
            (0..4_usize).prop_map(Select::Digest),
            Just(Select::Glob),
            (0..4_usize, 0..4_usize).prop_map(|(tag, digest)| Select::Pinned { tag, digest }),
            (0..4_usize).prop_map(Select::Tag),
        ],
        subsequence(vec![0, 1], 1..=2),
        subsequence(vec![Format::SimpleSigning, Format::Bundle], 1..=2),
        0..3_usize,
        any::<bool>(),
        prop::sample::select(vec![
            Prune::Keep,
            Prune::Superseded,
            Prune::Retired,
            Prune::Undeclared,
        ]),
        0..3_usize,
        prop::bool::weighted(0.2),
    )
        .prop_map(
            |(
                repository,
                select,
                sign_with,
                formats,
                annotations,
                recursive,
                prune,
                identities,
                shared,
            )| {
                Entry {
                    repository,
                    select,
                    sign_with,
                    formats,
                    annotations,
                    recursive,
                    prune,
                    identities,
                    shared_signatures: shared,
                }
            },
        );
    let left_behind = (
        0..3_usize,
        0..4_usize,
        0..5_usize,
        0..3_usize,
        prop::sample::select(vec![Format::SimpleSigning, Format::Bundle]),
        prop::sample::select(SPELLINGS.to_vec()),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(repository, image, signer, annotations, format, spelling, shared)| {
            LeftBehind {
                repository,
                image,
                signer,
                annotations,
                format,
                spelling,
                shared_signatures: shared,
            }
        });
    let referrers = prop::sample::select(vec![ReferrersPolicy::Api, ReferrersPolicy::Tag]);
    let entries = prop::collection::vec(entry, 1..6);
    (referrers, repositories, entries, prop::collection::vec(left_behind, 0..8)).prop_map(
        |(referrers, repositories, entries, left_behind)| Scenario {
            referrers,
            repositories,
            entries,
            left_behind,
        },
    )
}

pub(crate) struct World {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) desired: Desired,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) observe: ObserveOptions,
}

pub(crate) fn repository(index: usize) -> Repository {
    format!("registry.example/team/image-{index}").parse().unwrap()
}

pub(crate) fn shared_signatures() -> Repository {
    "registry.example/signatures".parse().unwrap()
}

pub(crate) fn signer_name(index: usize) -> SignerName {
    SIGNERS[index].parse().unwrap()
}

fn annotations(index: usize) -> Annotations {
    match index {
        0 => Annotations::new(),
        other => Annotations::from([("build".to_owned(), other.to_string())]),
    }
}

pub(crate) fn digests(scenario: &Scenario, store: &MemoryStore) -> Vec<Vec<Digest>> {
    let images = scenario.repositories.iter().enumerate().map(|(at, count)| {
        let repository = repository(at);
        (0..=*count)
            .map(|image| {
                let tag: Tag = format!("t{image}").parse().unwrap();
                store.contents().digest(&repository, &tag.into()).unwrap()
            })
            .collect()
    });
    images.collect()
}

impl World {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let store = MemoryStore::new();
        store.set_policies(Policies { referrers: scenario.referrers, ..Policies::default() });
        for (at, count) in scenario.repositories.iter().enumerate() {
            let repository = repository(at);
            store.edit(|contents| {
                let mut children = Vec::new();
                for image in 0..*count {
                    let tags: Vec<Tag> = [format!("t{image}"), format!("again-{image}")]
                        .map(|it| it.parse().unwrap())
                        .into();
                    let layer = format!("{at} {image}");
                    children.push(contents.push_image(&repository, &tags, &[layer.as_bytes()]));
                }
                let tag: Tag = format!("t{count}").parse().unwrap();
                let children: Vec<(&str, &Digest)> =
                    children.iter().map(|digest| ("linux/amd64", digest)).collect();
                contents.push_index(&repository, &[tag], &children);
            });
        }
        let digests = digests(scenario, &store);
        for left in &scenario.left_behind {
            leave_behind(&store, &digests, left);
        }
        Self {
            store: Arc::new(store),
            desired: desired(scenario, &digests),
            keyring: Arc::new(keyring(&[])),
            observe: ObserveOptions::default(),
        }
    }

    pub(crate) fn observer(&self) -> Observer {
        Observer {
            store: Arc::clone(&self.store) as Arc<dyn ReadStore>,
            keyring: Arc::clone(&self.keyring),
            deployment: Arc::new(Deployment::none()),
            clock: Arc::new(FixedClock),
            options: self.observe.clone(),
        }
    }

    pub(crate) async fn plan(&self) -> (Plan, Arc<Signers>) {
        self.observer().plan(&self.desired, &()).await
    }

    pub(crate) async fn apply_plan(&self, plan: Plan, signers: &Arc<Signers>) -> Report {
        let applier = Applier {
            store: Arc::clone(&self.store) as _,
            keyring: Arc::clone(&self.keyring),
            witnesses: Arc::default(),
            clock: Arc::new(FixedClock),
            jobs: 8,
            stop: Stop::default(),
        };
        let listener: Arc<dyn Listener> = Arc::new(());
        applier.apply(plan, signers, &listener).await
    }

    pub(crate) async fn apply(&self) -> Report {
        let (plan, signers) = self.plan().await;
        self.apply_plan(plan, &signers).await
    }
}

fn key(index: usize) -> MemorySigner {
    let name = SIGNERS.get(index).copied().unwrap_or("nobody");
    MemorySigner::p256(name).unwrap()
}

/// The signers of the world, all of them but `hidden`.
pub(crate) fn keyring(hidden: &[usize]) -> Keyring {
    let empty = Keyring::new([], Arc::new(MemoryEnvironment::default()));
    (0..SIGNERS.len())
        .filter(|at| !hidden.contains(at))
        .fold(empty, |keyring, at| keyring.with_signer(signer_name(at), Arc::new(key(at))))
}

pub(crate) fn profile(index: usize) -> SignerProfile {
    let ability = if SIGNERS[index] == "vault" { Ability::VerifyOnly } else { Ability::Sign };
    let profile = SignerProfile::new(signer_name(index), ability);
    SignerProfile { retired: SIGNERS[index] == "retired", ..profile }
}

fn desired(scenario: &Scenario, digests: &[Vec<Digest>]) -> Desired {
    let signers: BTreeMap<_, _> =
        (0..SIGNERS.len()).map(|at| (signer_name(at), Arc::new(profile(at)))).collect();
    let images = scenario.entries.iter().enumerate().map(|(line, entry)| {
        let at = entry.repository % digests.len();
        let digest = |index: usize| digests[at][index % digests[at].len()].clone();
        let tag =
            |index: usize| -> Tag { format!("t{}", index % digests[at].len()).parse().unwrap() };
        let selection = match entry.select {
            Select::Digest(index) => Selection::Digests(vec![digest(index)]),
            Select::Glob => Selection::Tags {
                names: Vec::new(),
                globs: vec!["*".parse::<Glob>().unwrap()],
                exclude: vec!["again-0".parse::<Glob>().unwrap()],
            },
            Select::Pinned { tag: index, digest: other } => {
                Selection::Pinned { tag: tag(index), digest: digest(other) }
            }
            Select::Tag(index) => {
                Selection::Tags { names: vec![tag(index)], globs: Vec::new(), exclude: Vec::new() }
            }
        };
        Image {
            origin: Origin { file: "law.toml".into(), line: u32::try_from(line).unwrap() },
            repository: repository(at),
            selection,
            platforms: Vec::new(),
            settings: Arc::new(Settings {
                sign_with: entry.sign_with.iter().map(|it| signer_name(*it)).collect(),
                requires: Vec::new(),
                formats: entry.formats.clone(),
                annotations: Arc::new(annotations(entry.annotations)),
                recursive: entry.recursive,
                prune: entry.prune,
            }),
            container_identity: match entry.identities {
                0 => Vec::new(),
                1 => vec!["mirror.example/image".to_owned()],
                _ => vec!["mirror.example/image".to_owned(), repository(at).to_string()],
            },
            signature_repository: entry.shared_signatures.then(shared_signatures),
            optional: false,
            allow_empty: false,
            attachments: Vec::new(),
        }
    });
    Desired { signers, images: images.collect() }
}

/// Puts a signature where somebody else might have left it.
pub(crate) fn leave_behind(store: &MemoryStore, digests: &[Vec<Digest>], left: &LeftBehind) {
    let at = left.repository % digests.len();
    let digest = &digests[at][left.image % digests[at].len()];
    let place = if left.shared_signatures { shared_signatures() } else { repository(at) };
    leave(store, &place, digest, left, &repository(at).to_string());
}

/// Leaves a signature in `place`, in the format it has.
pub(crate) fn leave(
    store: &MemoryStore,
    place: &Repository,
    digest: &Digest,
    left: &LeftBehind,
    identity: &str,
) -> String {
    match left.format {
        Format::Bundle => refer(store, place, digest, left),
        _ => {
            let addition = addition(left, identity, digest);
            let text = addition.0.annotations.values().next().unwrap().clone();
            append(store, place, digest, addition);
            text
        }
    }
}

/// Adds a bundle as cosign 3 does: by digest, and to the index behind the tag with its mistakes.
fn refer(store: &MemoryStore, place: &Repository, digest: &Digest, left: &LeftBehind) -> String {
    let annotations = annotations(left.annotations);
    let exact = SignStatement { digest, annotations: &annotations }.to_bytes();
    let statement = match left.spelling {
        Spelling::Pretty => {
            let value: serde_json::Value = serde_json::from_slice(&exact).unwrap();
            serde_json::to_vec_pretty(&value).unwrap()
        }
        _ => exact,
    };
    let signed = match left.spelling {
        Spelling::Forged => b"another".to_vec(),
        _ => statement_signed_bytes(&statement),
    };
    let key = key(left.signer);
    let signature = key.private_key().sign(&signed, Hash::Sha256).unwrap();
    let key = key.private_key().public_key();
    let mut bundle = NewBundle {
        key,
        certificate: None,
        statement: &statement,
        signature: &signature,
        log_entries: &[],
        timestamps: &[],
    }
    .to_bytes();
    if left.spelling == Spelling::Broken {
        bundle = b"%%%".to_vec();
    }
    refer_bundle(store, place, digest, bundle);
    signature.to_base64()
}

/// Adds these bytes of a bundle as cosign 3 does.
pub(crate) fn refer_bundle(
    store: &MemoryStore,
    place: &Repository,
    digest: &Digest,
    bundle: Vec<u8>,
) {
    store.edit(|contents| {
        let stored = contents.repositories.values().find_map(|it| it.manifests.get(digest)).unwrap();
        let subject = Descriptor {
            digest: digest.clone(),
            ..Descriptor::of(&stored.media_type, &stored.bytes)
        };
        let manifest = bundle_referrer(&bundle, &subject, FixedClock.now()).to_bytes();
        contents.push_blob(place, bundle.clone());
        contents.push_blob(place, EMPTY_CONFIG.to_vec());
        let mut entry = Descriptor::of(media_type::OCI_MANIFEST, &manifest);
        entry.artifact_type = Some("application/vnd.oci.empty.v1+json".to_owned());
        contents.push_manifest(place, &[], media_type::OCI_MANIFEST, manifest);
        let tag = Tag::of_referrers(digest);
        let current = contents.digest(place, &tag.clone().into());
        let mut index = match current {
            Some(digest) => Index::parse(&contents.repository(place).manifests[&digest].bytes).unwrap(),
            None => Index::parse(
                br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
            )
            .unwrap(),
        };
        index.manifests.retain(|it| it.digest != entry.digest);
        index.manifests.push(entry);
        contents.push_manifest(place, &[tag], media_type::OCI_INDEX, index.to_bytes());
    });
}

pub(crate) fn addition(left: &LeftBehind, identity: &str, digest: &Digest) -> (Addition, Vec<u8>) {
    let annotations = annotations(left.annotations);
    let exact = SimpleSigning { identity, digest, annotations: &annotations }.to_bytes();
    let payload = match left.spelling {
        Spelling::Pretty => {
            let value: serde_json::Value = serde_json::from_slice(&exact).unwrap();
            serde_json::to_vec_pretty(&value).unwrap()
        }
        _ => exact,
    };
    let signed =
        if left.spelling == Spelling::Forged { b"another".to_vec() } else { payload.clone() };
    let signature = match left.spelling {
        Spelling::Broken => "%%%".to_owned(),
        _ => key(left.signer).private_key().sign(&signed, Hash::Sha256).unwrap().to_base64(),
    };
    let addition = Addition {
        payload: Descriptor::of(media_type::SIMPLE_SIGNING, &payload),
        annotations: Annotations::from([(annotation::SIGNATURE.to_owned(), signature)]),
    };
    (addition, payload)
}

/// Appends a signature as cosign does: reads the manifest, adds a layer, writes it under the tag.
pub(crate) fn append(
    store: &MemoryStore,
    place: &Repository,
    digest: &Digest,
    (addition, payload): (Addition, Vec<u8>),
) {
    let tag = Tag::of_signatures(digest);
    store.edit(|contents| {
        let current = contents.digest(place, &tag.clone().into());
        let carrier = current.map_or_else(Carrier::empty, |digest| {
            let stored = &contents.repository(place).manifests[&digest];
            Carrier::parse(&stored.bytes).unwrap()
        });
        let bytes = carrier.edit(&[], vec![addition]).to_bytes();
        contents.push_blob(place, payload);
        contents.push_blob(place, bytes.config);
        contents.push_manifest(place, &[tag], media_type::OCI_MANIFEST, bytes.manifest);
    });
}

/// The signatures on every carrier, then those in every bundle that is listed: place (the tag, or
/// `bundles of` the subject), payload digest and signature text.
pub(crate) fn layers(store: &MemoryStore) -> Vec<(String, Digest, String)> {
    let mut found = Vec::new();
    for (repository, contents) in &store.contents().repositories {
        for (tag, digest) in &contents.tags {
            if !tag.as_str().ends_with(".sig") {
                continue;
            }
            let carrier = Carrier::parse(&contents.manifests[digest].bytes).unwrap();
            for layer in carrier.layers() {
                let signature = layer.descriptor.annotation(annotation::SIGNATURE).unwrap();
                let place = format!("{repository}:{tag}");
                found.push((place, layer.descriptor.digest.clone(), signature.to_owned()));
            }
        }
        bundles(store, repository, contents, &mut found);
    }
    found
}

/// Where the bundles of a subject are, in [`layers`].
pub(crate) fn bundles_of(repository: &Repository, subject: &Digest) -> String {
    format!("{repository} bundles of {subject}")
}

fn bundles(
    store: &MemoryStore,
    repository: &Repository,
    contents: &RepositoryContents,
    found: &mut Vec<(String, Digest, String)>,
) {
    for (digest, stored) in &contents.manifests {
        let Ok(manifest) = Manifest::parse(&stored.bytes) else { continue };
        let Some(subject) = manifest.subject else { continue };
        if store.policies().referrers == ReferrersPolicy::Tag {
            let index = contents.digest(&Tag::of_referrers(&subject.digest).into());
            let index = index.and_then(|it| Index::parse(&contents.manifests[it].bytes).ok());
            if !index.is_some_and(|it| it.manifests.iter().any(|it| it.digest == *digest)) {
                continue;
            }
        }
        let bundle = &contents.blobs[&manifest.layers[0].digest];
        let place = bundles_of(repository, &subject.digest);
        match Bundle::parse(bundle) {
            Ok(bundle) => {
                let signature = bundle.signature().unwrap().to_base64();
                found.push((place, Digest::of(&bundle.envelope.payload), signature));
            }
            Err(_) => found.push((place, Digest::of(bundle), "%%%".to_owned())),
        }
    }
}

/// Says whether nothing of `plan` would be written and nothing is blocked.
pub(crate) fn is_converged(plan: &Plan) -> bool {
    plan.unresolved.is_empty()
        && plan.targets.iter().flat_map(|it| &it.changes).all(|change| {
            matches!(change, Change::Foreign { .. } | Change::Keep { .. } | Change::Moved(_))
        })
}

/// Runs an async law on a runtime of its own.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// Reads a signature text.
pub(crate) fn signature(text: &str) -> Option<SignatureBytes> {
    SignatureBytes::from_base64(text).ok()
}
