//! Certificates and time: what lasts, what is replaced, what blocks.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, SanType};

use super::*;
use crate::crypto::{Certificate, Chain};
use crate::plan::SignerTrust;
use crate::trust::{GithubClaims, IdentityPolicy, Matcher};

/// A certificate for the key of `signer`, valid from a day ago until `until` days from now.
fn certificate(world: &mut World, signer: &str, until: i64) -> (Certificate, Chain) {
    use rcgen::{BasicConstraints, IsCa, Issuer};
    let at = |seconds: i64| {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(seconds).unwrap())
    };
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    root.not_before = at(NOW - 1000 * DAY);
    root.not_after = at(NOW + 1000 * DAY);
    let root_certificate = root.self_signed(&root_key).unwrap();
    let issuer = Issuer::new(root, root_key);
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(Vec::new()).unwrap();
    leaf.subject_alt_names = vec![SanType::Rfc822Name("release@acme.example".try_into().unwrap())];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    leaf.not_before = at(NOW - 100 * DAY);
    leaf.not_after = at(NOW + until * DAY);
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let certificate = Certificate::from_pem(&leaf.pem()).unwrap();
    let state = world.signers.get_mut(&signer.parse::<SignerName>().unwrap()).unwrap();
    state.key = SignerKey::Known(certificate.public_key().clone());
    (certificate, Chain::from_pem(&root_certificate.pem()).unwrap())
}

/// A world in which `release` declares a certificate and one signature is there.
fn certified(until: i64, renew_before_days: u64) -> World {
    let mut world = world().wants("release", &[]).has("release", &[]);
    let (certificate, chain) = certificate(&mut world, "release", until);
    world.profile("release", |profile| {
        profile.certificate = Some(certificate);
        profile.chain = Some(chain);
        profile.renew_before = Duration::from_secs(renew_before_days * 86_400);
    })
}

/// Puts the declared certificate, or another one, on the signature that is there.
fn carries(world: World, other: Option<i64>) -> World {
    world.with(|world| {
        let name: SignerName = "release".parse().unwrap();
        let profile = Arc::clone(&world.signers[&name].profile);
        let key = world.signers[&name].key.clone();
        let (found, chain) = match other {
            None => (profile.certificate.clone().unwrap(), profile.chain.clone().unwrap()),
            Some(until) => certificate(world, "release", until),
        };
        world.signers.get_mut(&name).unwrap().key = key;
        world.found[0].certificate = Some(found);
        world.found[0].chain = Some(chain);
    })
}

#[test]
fn a_certificate_that_is_there_and_lasts_is_kept() {
    assert_eq!(carries(certified(30, 14), None).lines(), ["= release"]);
}

#[test]
fn a_certificate_is_added_without_a_new_signature() {
    assert_eq!(certified(30, 0).lines(), ["+ release certificate", "? release superseded"]);
    let older = carries(certified(30, 0), Some(-1));
    assert_eq!(older.lines(), ["+ release certificate", "? release superseded"]);
}

#[test]
fn a_signature_that_evidence_is_bound_to_is_made_anew() {
    let logged =
        carries(certified(30, 0), Some(-1)).with(|world| world.found[0].carried.log_entries = 1);
    assert_eq!(
        logged.lines(),
        ["~ release certificate,certificate_chain,expiry", "? release superseded"]
    );
}

#[test]
fn a_declared_certificate_that_ends_soon_warns_and_one_that_ended_blocks() {
    let due = carries(certified(5, 14), None);
    assert_eq!(due.lines(), ["= release"]);
    let warnings = signer_warnings(&due.signers, due.options.now);
    assert_eq!(warnings[0].code, "signature::certificate_ends");
    let ended = carries(certified(-1, 14), None);
    assert_eq!(ended.lines(), ["x release signature::certificate_ended", "? release superseded"]);
    assert!(signer_warnings(&ended.signers, ended.options.now).is_empty());
}

#[test]
fn proof_of_time_outlives_the_certificate() {
    let proven = carries(certified(-1, 14), None)
        .with(|world| world.found[0].proven = Some(Timestamp::from_seconds(NOW - 2 * DAY)));
    assert_eq!(proven.lines(), ["= release"]);
    let outside = carries(certified(-1, 14), None)
        .with(|world| world.found[0].proven = Some(Timestamp::from_seconds(NOW)));
    assert_eq!(outside.lines()[0], "x release signature::certificate_ended");
}

#[test]
fn an_expired_certificate_that_nobody_declared_is_replaced_by_a_signature_without_one() {
    let mut world = world().wants("release", &[]).has("release", &[]);
    let (expired, _) = certificate(&mut world, "release", -1);
    world.found[0].certificate = Some(expired);
    assert_eq!(world.lines(), ["~ release expiry", "? release superseded"]);
}

#[test]
fn a_certificate_for_another_key_and_a_chain_that_does_not_hold_block() {
    let other = certified(30, 0).with(|world| {
        let key = PrivateKey::generate_p256().unwrap().public_key().clone();
        let name: SignerName = "release".parse().unwrap();
        world.signers.get_mut(&name).unwrap().key = SignerKey::Known(key);
    });
    assert_eq!(other.lines()[0], "x release signature::certificate_mismatch");
    let mut strange = certified(30, 0);
    let key = strange.signers[&"release".parse::<SignerName>().unwrap()].key.clone();
    let (_, chain) = certificate(&mut strange, "release", 30);
    strange.signers.get_mut(&"release".parse::<SignerName>().unwrap()).unwrap().key = key;
    let strange = strange.profile("release", |profile| profile.chain = Some(chain));
    assert_eq!(strange.lines()[0], "x release signature::certificate_chain");
}

#[test]
fn an_identity_whose_certificate_ended_without_proof_is_not_what_others_require() {
    let requires = |until: i64, proven: Option<i64>| {
        let mut world = world().wants("release", &[]).has("ci", &[]);
        let (short, _) = certificate(&mut world, "ci", until);
        world.found[0].certificate = Some(short);
        world.found[0].proven = proven.map(Timestamp::from_seconds);
        let state = world.signers.get_mut(&"ci".parse::<SignerName>().unwrap()).unwrap();
        (state.key, state.trust) = (SignerKey::Identity, SignerTrust::Known(Arc::default()));
        world
            .profile("ci", |it| it.identity = Some(Arc::new(anybody())))
            .with(|world| world.target.requires = vec!["ci".parse().unwrap()])
            .lines()[0]
            .clone()
    };
    assert_eq!(requires(1, None), "+ release");
    assert_eq!(requires(-1, Some(NOW - 2 * DAY)), "+ release");
    assert_eq!(requires(-1, None), "x release signature::requires");
}

fn anybody() -> IdentityPolicy {
    let all = || Matcher::pattern("(?s).*").unwrap();
    IdentityPolicy { issuer: all(), identity: all(), github: GithubClaims::default() }
}
