use rcgen::{
    CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384,
    PKCS_ED25519, SanType, date_time_ymd,
};

use super::*;
use crate::crypto::KeyAlgorithm;

fn made(edit: impl Fn(&mut CertificateParams)) -> Certificate {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "release");
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2060, 12, 31);
    edit(&mut params);
    let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    Certificate::from_pem(&signed.pem()).unwrap()
}

#[test]
fn a_certificate_is_read_and_written_as_it_was() {
    let certificate = made(|_| {});
    assert_eq!(Certificate::from_pem(&certificate.to_pem()).unwrap(), certificate);
    assert_eq!(Certificate::from_der(certificate.as_der()).unwrap(), certificate);
    assert_eq!(certificate.fingerprint(), Digest::of(certificate.as_der()));
    assert_eq!(certificate.not_before().to_string(), "2026-01-01T00:00:00Z");
    // After 2049 the time has another form in DER.
    assert_eq!(certificate.not_after().to_string(), "2060-12-31T00:00:00Z");
    assert_ne!(made(|_| {}), certificate);
}

#[test]
fn the_key_is_the_one_that_is_certified() {
    for (algorithm, expected) in [
        (&PKCS_ECDSA_P256_SHA256, KeyAlgorithm::EcdsaP256),
        (&PKCS_ECDSA_P384_SHA384, KeyAlgorithm::EcdsaP384),
        (&PKCS_ED25519, KeyAlgorithm::Ed25519),
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let signed = CertificateParams::default().self_signed(&key).unwrap();
        let certificate = Certificate::from_pem(&signed.pem()).unwrap();
        let expected_key = PublicKey::from_pem(&key.public_key_pem()).unwrap();
        assert_eq!(certificate.public_key(), &expected_key);
        assert_eq!(expected_key.algorithm(), expected);
    }
}

#[test]
fn names_are_the_alternative_ones_in_the_order_of_cosign() {
    let certificate = made(|params| {
        params.subject_alt_names = vec![
            SanType::URI("https://ci.example/run".try_into().unwrap()),
            SanType::IpAddress("10.0.0.1".parse().unwrap()),
            SanType::IpAddress("2001:db8::1".parse().unwrap()),
            SanType::Rfc822Name("a@b.example".try_into().unwrap()),
            SanType::DnsName("b.example".try_into().unwrap()),
        ];
    });
    let expected =
        ["b.example", "a@b.example", "10.0.0.1", "2001:db8::1", "https://ci.example/run"];
    assert_eq!(certificate.names(), expected);
}

#[test]
fn fulcio_user_names_are_names() {
    let user = "user!example.org";
    let certificate = made(|params| {
        let oid = vec![1, 3, 6, 1, 4, 1, 57264, 1, 7];
        params.subject_alt_names = vec![SanType::OtherName((oid, user.into()))];
    });
    assert_eq!(certificate.names(), [user]);
}

#[test]
fn without_alternative_names_the_subject_is_the_name() {
    assert_eq!(made(|_| {}).names(), ["release"]);
    let unnamed = made(|params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Acme");
    });
    assert_eq!(unnamed.names(), ["O=Acme"]);
}

#[test]
fn what_is_no_certificate_is_told() {
    for (text, expected) in [
        (String::new(), "not a certificate: there is no PEM `-----BEGIN CERTIFICATE-----`"),
        (pem::encode("PUBLIC KEY", b"abc"), "not a certificate: this is a PEM `PUBLIC KEY`"),
    ] {
        assert_eq!(Certificate::from_pem(&text).unwrap_err().to_string(), expected);
    }
    let der = made(|_| {}).as_der().to_vec();
    let longer = [der.as_slice(), &[0]].concat();
    assert!(matches!(Certificate::from_der(&longer), Err(CertificateError::Malformed(_))));
    assert!(matches!(Certificate::from_der(&der[1..]), Err(CertificateError::Malformed(_))));
}

#[test]
fn the_first_certificate_of_a_file_is_the_one() {
    let (one, two) = (made(|_| {}), made(|_| {}));
    let text = format!("Bag Attributes\n{}{}", one.to_pem(), two.to_pem());
    assert_eq!(Certificate::from_pem(&text).unwrap(), one);
}
