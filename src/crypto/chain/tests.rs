use rcgen::{
    BasicConstraints as Basic, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, date_time_ymd,
};

use super::*;

type Authority = (rcgen::Certificate, Issuer<'static, KeyPair>);

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2027, 1, 1);
    params
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(Basic::Unconstrained);
    params
}

fn root_of(params: CertificateParams, key: KeyPair) -> Authority {
    (params.self_signed(&key).unwrap(), Issuer::new(params, key))
}

fn root() -> Authority {
    root_of(authority_params("root"), KeyPair::generate().unwrap())
}

fn below(parent: &Authority, params: CertificateParams) -> Authority {
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, &parent.1).unwrap(), Issuer::new(params, key))
}

fn leaf_params() -> CertificateParams {
    let mut params = params("leaf");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    params
}

fn leaf(parent: &Authority) -> Certificate {
    certificate(&below(parent, leaf_params()))
}

fn certificate(made: &Authority) -> Certificate {
    Certificate::from_pem(&made.0.pem()).unwrap()
}

fn chain(made: &[&Authority]) -> Chain {
    let pem: String = made.iter().map(|it| it.0.pem()).collect();
    Chain::from_pem(&pem).unwrap()
}

/// 2026-06-01.
fn june() -> Timestamp {
    Timestamp::from_seconds(1_780_272_000)
}

fn refusal(chain: &Chain, leaf: &Certificate) -> String {
    match chain.verify(leaf, june()).unwrap_err() {
        CertificateError::Untrusted(why) => why,
        other => panic!("{other}"),
    }
}

#[test]
fn a_leaf_stands_on_a_root_directly_and_through_others() {
    let root = root();
    let one = below(&root, authority_params("one"));
    let two = below(&one, authority_params("two"));
    assert_eq!(chain(&[&root]).verify(&leaf(&root), june()), Ok(()));
    assert_eq!(chain(&[&one, &root]).verify(&leaf(&one), june()), Ok(()));
    let signer = leaf(&two);
    assert_eq!(chain(&[&two, &one, &root]).verify(&signer, june()), Ok(()));
    // The order of those between does not matter; they need not all be used.
    assert_eq!(chain(&[&one, &two, &root]).verify(&signer, june()), Ok(()));
    assert_eq!(chain(&[&two, &one, &root]).verify(&leaf(&root), june()), Ok(()));
}

#[test]
fn every_algorithm_of_an_authority_is_taken() {
    for algorithm in [&PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let root = root_of(authority_params("root"), key);
        assert_eq!(chain(&[&root]).verify(&leaf(&root), june()), Ok(()));
    }
}

#[test]
fn another_root_a_missing_link_and_a_root_that_is_not_last_are_refused() {
    let (root, other) = (root(), root());
    let one = below(&root, authority_params("one"));
    let signer = leaf(&one);
    assert_eq!(refusal(&chain(&[&root]), &signer), "an issuer is not in the chain");
    // The other root has the same name and another key.
    assert_eq!(
        refusal(&chain(&[&one, &other]), &signer),
        "a signature is not by the key of the issuer that it names"
    );
    // Then the intermediate would be the root; Go takes that, and so does cosign.
    assert_eq!(chain(&[&root, &one]).verify(&signer, june()), Ok(()));
}

#[test]
fn the_one_that_is_not_valid_is_named() {
    let root = root();
    let mut short = authority_params("short");
    short.not_after = date_time_ymd(2026, 3, 1);
    let short = below(&root, short);
    let whole = leaf(&short);
    let february = Timestamp::from_seconds(1_769_904_000);
    let links = chain(&[&short, &root]);
    assert_eq!(links.verify(&whole, february), Ok(()));
    let error = links.verify(&whole, june()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the certificate of short is valid from 2026-01-01T00:00:00Z to 2026-03-01T00:00:00Z only"
    );
    let before = Timestamp::from_seconds(0);
    let error = links.verify(&whole, before).unwrap_err().to_string();
    assert!(error.starts_with("the certificate of leaf is valid"), "{error}");
}

#[test]
fn the_first_and_the_last_moment_are_valid() {
    let root = root();
    let (signer, links) = (leaf(&root), chain(&[&root]));
    let second = |at: Timestamp, by: i64| Timestamp::from_seconds(at.as_seconds() + by);
    for (at, good) in [
        (signer.not_before(), true),
        (signer.not_after(), true),
        (second(signer.not_before(), -1), false),
        (second(signer.not_after(), 1), false),
    ] {
        assert_eq!(links.verify(&signer, at).is_ok(), good, "{at}");
    }
}

/// As `cosign verify-blob --certificate-chain` decided in a trial with versions 2.5.0 and 3.1.1.
#[test]
fn extended_key_usages_are_taken_as_cosign_takes_them() {
    let root = root();
    for (usages, good) in [
        (vec![ExtendedKeyUsagePurpose::CodeSigning], true),
        (vec![], true),
        (vec![ExtendedKeyUsagePurpose::Any], true),
        (vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::CodeSigning], true),
        (vec![ExtendedKeyUsagePurpose::ServerAuth], false),
    ] {
        let mut params = leaf_params();
        params.extended_key_usages = usages.clone();
        let signer = certificate(&below(&root, params));
        assert_eq!(chain(&[&root]).verify(&signer, june()).is_ok(), good, "{usages:?}");
        let mut own = authority_params("root");
        own.extended_key_usages = usages.clone();
        let own = root_of(own, KeyPair::generate().unwrap());
        assert_eq!(chain(&[&own]).verify(&leaf(&own), june()).is_ok(), good, "{usages:?}");
    }
}

#[test]
fn a_self_signed_leaf_is_its_own_chain() {
    let own = root_of(leaf_params(), KeyPair::generate().unwrap());
    assert_eq!(chain(&[&own]).verify(&certificate(&own), june()), Ok(()));
    let mut tls = leaf_params();
    tls.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let tls = root_of(tls, KeyPair::generate().unwrap());
    let why = refusal(&chain(&[&tls]), &certificate(&tls));
    assert_eq!(why, "the certificate of leaf is not for code signing");
}

#[test]
fn who_may_not_sign_certificates_is_no_authority() {
    let plain = root_of(params("plain"), KeyPair::generate().unwrap());
    let why = refusal(&chain(&[&plain]), &leaf(&plain));
    assert_eq!(why, "the certificate of plain may not sign certificates");
    let mut unfit = authority_params("root");
    unfit.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let unfit = root_of(unfit, KeyPair::generate().unwrap());
    let why = refusal(&chain(&[&unfit]), &leaf(&unfit));
    assert_eq!(why, "the certificate of root may not sign certificates");
    let root = root();
    let mut unfit = authority_params("between");
    unfit.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let unfit = below(&root, unfit);
    let why = refusal(&chain(&[&unfit, &root]), &leaf(&unfit));
    assert_eq!(why, "the certificate of between may not sign certificates");
    let between = below(&root, params("between"));
    let why = refusal(&chain(&[&between, &root]), &leaf(&between));
    assert_eq!(why, "a certificate of the chain may not sign certificates");
}

#[test]
fn a_path_that_is_longer_than_allowed_is_refused() {
    let top = root();
    let mut one = authority_params("one");
    one.is_ca = IsCa::Ca(Basic::Constrained(0));
    let one = below(&top, one);
    let two = below(&one, authority_params("two"));
    let why = refusal(&chain(&[&two, &one, &top]), &leaf(&two));
    assert_eq!(why, "an authority allows fewer certificates below it");
}

#[test]
fn pem_is_written_as_it_was_read() {
    let root = root();
    let one = below(&root, authority_params("one"));
    let text = chain(&[&one, &root]).to_pem();
    assert_eq!(text, format!("{}{}", certificate(&one).to_pem(), certificate(&root).to_pem()));
    assert_eq!(Chain::from_pem(&text).unwrap(), chain(&[&one, &root]));
    assert_eq!(chain(&[&one, &root]).certificates().len(), 2);
}

#[test]
fn what_is_no_chain_is_told_with_its_number() {
    let empty = Chain::from_pem("").unwrap_err().to_string();
    assert_eq!(empty, "not a certificate: there is no PEM `-----BEGIN CERTIFICATE-----`");
    let text = format!("{}{}", root().0.pem(), pem::encode("PUBLIC KEY", b"abc"));
    let second = Chain::from_pem(&text).unwrap_err().to_string();
    assert_eq!(second, "not a certificate: number 2 of the chain: this is a PEM `PUBLIC KEY`");
}

#[test]
fn timestamps_are_signed_with_certificates_for_them() {
    let root = root();
    let with = |usages: &[ExtendedKeyUsagePurpose]| {
        let mut params = params("leaf");
        params.extended_key_usages = usages.to_vec();
        params
    };
    let stamping = ExtendedKeyUsagePurpose::TimeStamping;
    let good = certificate(&below(&root, with(std::slice::from_ref(&stamping))));
    let chain = Chain(vec![certificate(&root)]);
    let (within, after) = (seconds(2026, 6), seconds(2028, 1));
    assert_eq!(chain.verify_timestamps(&good, within), Ok(()));
    assert!(chain.verify_timestamps(&good, after).is_err());
    for usages in [&[][..], &[ExtendedKeyUsagePurpose::CodeSigning]] {
        let other = certificate(&below(&root, with(usages)));
        let error = chain.verify_timestamps(&other, within).unwrap_err().to_string();
        assert!(error.contains("is not for timestamps"), "{usages:?}: {error}");
    }
    // An authority between that is for something else, and a root that is another's.
    let mut between = authority_params("between");
    between.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    let between = below(&root, between);
    let below_it = certificate(&below(&between, with(&[stamping])));
    let longer = Chain(vec![certificate(&between), certificate(&root)]);
    assert!(longer.verify_timestamps(&below_it, within).is_err());
    let stranger = Chain(vec![certificate(&self::root())]);
    assert!(stranger.verify_timestamps(&good, within).is_err());
}

fn seconds(year: i32, month: u8) -> Timestamp {
    Timestamp::from_seconds(date_time_ymd(year, month, 1).unix_timestamp())
}
