//! What costs no request: the diff over 10,000 images, payload bytes, local signatures.
//!
//! `cargo bench --bench decisions`. Signatures are measured beside the crypto library's own, in the same
//! run: the ratio is what counts (DESIGN, "Budgets": at least 90 %).
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench")]

use std::hint::black_box;
use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use countersign::crypto::{Hash, PrivateKey};
use countersign::model::{Annotations, Digest, Repository, SignerName, Subject, Timestamp};
use countersign::payload::{Claim, Format, LayerId, SimpleSigning};
use countersign::plan::{
    Ability, Cleaning, DiffOptions, Evidence, Found, Name, Observed, Origin, Prune, SignerKey,
    SignerProfile, SignerState, Signers, Target, Verdict, Want, WantOrigin, diff,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const IMAGES: usize = 10_000;

fn signer() -> SignerName {
    "release".parse().unwrap()
}

/// One image in place, and every tenth changed.
fn world(number: usize, annotations: &Arc<Annotations>) -> (Target, Observed) {
    let digest = Digest::of(&number.to_le_bytes());
    let repository: Repository =
        format!("registry.example/team/image-{}", number % 100).parse().unwrap();
    let identity: Arc<str> = repository.to_string().into();
    let want = Want::sign(
        signer(),
        &digest,
        Arc::clone(&identity),
        Arc::clone(annotations),
        WantOrigin::Sign,
    );
    let claim = Claim {
        identity: identity.to_string(),
        digest: digest.clone(),
        annotations: if number.is_multiple_of(10) {
            Annotations::new()
        } else {
            (**annotations).clone()
        },
        other: std::collections::BTreeMap::new(),
    };
    let found = Found {
        format: Format::SimpleSigning,
        position: 0,
        id: LayerId { payload: want.payload.clone(), annotations: Digest::of(b"layer") },
        verdict: Verdict::Signed { signer: signer(), hash: Hash::Sha256 },
        claim: Some(Arc::new(claim)),
        certificate: None,
        chain: None,
        carried: Evidence::default(),
        evidence: Evidence::default(),
        problems: Box::default(),
        proven: None,
        passed_over: None,
    };
    let origin = Origin { file: "countersign.toml".into(), line: 1 };
    let target = Target {
        subject: Subject { repository: repository.clone(), digest },
        signatures: repository,
        names: vec![Name { text: identity, origin }],
        wants: vec![want],
        signers: vec![signer()],
        identities: Vec::new(),
        requires: Vec::new(),
        prune: Prune::Superseded,
        optional: false,
        exists: true,
        children: Vec::new(),
        moved: Vec::new(),
        blocked: Vec::new(),
        immutable_tags: false,
        incomplete: false,
    };
    let carrier = Some(Digest::of(b"carrier"));
    (target, Observed::Read { carrier, referrers: Default::default(), found: vec![found] })
}

fn signers(key: &PrivateKey) -> Signers {
    let profile = SignerProfile::new(signer(), Ability::Sign);
    let state = SignerState::new(profile, SignerKey::Known(key.public_key().clone()));
    Signers::from([(signer(), state)])
}

fn decisions(criterion: &mut Criterion) {
    let key = PrivateKey::generate_p256().unwrap();
    let annotations =
        Arc::new(Annotations::from([("com.acme.build".to_owned(), "8812".to_owned())]));
    let worlds: Vec<_> = (0..IMAGES).map(|number| world(number, &annotations)).collect();
    let signers = signers(&key);
    let options =
        DiffOptions { now: Timestamp::from_seconds(1_800_000_000), cleaning: Cleaning::AsDeclared };
    let mut group = criterion.benchmark_group("diff");
    group.throughput(Throughput::Elements(IMAGES as u64));
    group.bench_function("10,000 images", |bencher| {
        bencher.iter(|| {
            for (target, observed) in &worlds {
                black_box(diff(target, observed, &signers, &options));
            }
        });
    });
    group.finish();

    let digest = Digest::of(b"manifest");
    let payload =
        SimpleSigning { identity: "ghcr.io/acme/api", digest: &digest, annotations: &annotations };
    criterion
        .bench_function("payload bytes", |bencher| bencher.iter(|| black_box(payload.to_bytes())));

    let message = payload.to_bytes();
    let mut group = criterion.benchmark_group("P-256 signature");
    group.throughput(Throughput::Elements(1));
    group.bench_function("countersign", |bencher| {
        bencher.iter(|| black_box(key.sign(&message, Hash::Sha256).unwrap()));
    });
    let random = SystemRandom::new();
    let bare = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    group.bench_function("aws-lc-rs alone", |bencher| {
        bencher.iter(|| black_box(bare.sign(&random, &message).unwrap()));
    });
    group.finish();

    let signature = key.sign(&message, Hash::Sha256).unwrap();
    criterion.bench_function("P-256 verification", |bencher| {
        bencher.iter(|| assert!(key.public_key().verifies(&message, &signature, Hash::Sha256)));
    });
}

criterion_group!(benches, decisions);
criterion_main!(benches);
