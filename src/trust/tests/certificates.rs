//! Lies about certificates.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair,
};
use serde_json::json;

use crate::crypto::{Certificate, Chain, PublicKey, SignatureBytes};
use crate::model::Timestamp;
use crate::trust::tests::fixtures::{later, root, root_with, sample, text};
use crate::trust::{CertificateIdentity, TrustedRoot};

#[test]
fn every_lie_about_a_certificate_is_found() {
    let leaf = sample("bundle-keyless-v2").certificate.unwrap();
    let at = sample("bundle-keyless-v2").prove(&root()).earliest.unwrap();
    let other_key = PublicKey::from_pem(&text("other-ct.pub")).unwrap();
    let other_key = SignatureBytes::new(other_key.as_der().to_vec()).to_base64();
    let strangers = Chain::from_pem(&text("other-f-chain.pem")).unwrap();
    let window = || json!({ "start": "2024-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z" });
    for (name, root, at, expected) in [
        ("ended", root(), later(), "trust::certificate_not_valid"),
        ("not yet", root(), Timestamp::from_seconds(0), "trust::certificate_not_valid"),
        (
            "no authority",
            root_with(|it| it["certificateAuthorities"] = json!([])),
            at,
            "trust::certificate_untrusted",
        ),
        (
            "another authority",
            root_with(|it| it["certificateAuthorities"] = json!([]))
                .with_certificate_authority(strangers),
            at,
            "trust::certificate_untrusted",
        ),
        (
            "an authority that has ended",
            root_with(|it| it["certificateAuthorities"][0]["validFor"] = window()),
            at,
            "trust::certificate_untrusted",
        ),
        ("no log", root_with(|it| it["ctlogs"] = json!([])), at, "trust::certificate_log_unknown"),
        (
            "another key",
            root_with(|it| it["ctlogs"][0]["publicKey"]["rawBytes"] = json!(other_key)),
            at,
            "trust::certificate_log_wrong",
        ),
        (
            "a log that has ended",
            root_with(|it| it["ctlogs"][0]["publicKey"]["validFor"] = window()),
            at,
            "trust::certificate_log_wrong",
        ),
    ] {
        let error = root.identity_of(&leaf, None, at).unwrap_err();
        assert_eq!(error.code, expected, "{name}: {error}");
    }
}

#[test]
fn a_certificate_must_be_logged_be_for_signing_and_name_somebody() {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let chain = Chain::from_pem(&authority.self_signed(&key).unwrap().pem()).unwrap();
    let root = root().with_certificate_authority(chain);
    let issuer = Issuer::new(authority, key);
    let code_of = |names: &[&str], usages: &[ExtendedKeyUsagePurpose], not_logged: bool| {
        let names: Vec<String> = names.iter().map(|it| (*it).to_owned()).collect();
        let mut leaf = CertificateParams::new(names).unwrap();
        leaf.extended_key_usages = usages.to_vec();
        if !not_logged {
            // An empty list, in an octet string.
            let oid = [1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];
            leaf.custom_extensions =
                vec![CustomExtension::from_oid_content(&oid, vec![4, 2, 0, 0])];
        }
        let key = KeyPair::generate().unwrap();
        let leaf = Certificate::from_pem(&leaf.signed_by(&key, &issuer).unwrap().pem()).unwrap();
        root.identity_of(&leaf, None, later()).unwrap_err().code
    };
    let signing = [ExtendedKeyUsagePurpose::CodeSigning];
    assert_eq!(code_of(&["ci"], &signing, true), "trust::certificate_not_logged");
    assert_eq!(code_of(&["ci"], &signing, false), "trust::certificate_not_logged");
    assert_eq!(code_of(&["ci"], &[], true), "trust::certificate_use");
    let server = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::Any];
    assert_eq!(code_of(&["ci"], &server, true), "trust::certificate_use");
    let nobody = CertificateIdentity::read(issuer_certificate(&root)).unwrap_err();
    assert_eq!(nobody.code, "trust::no_identity");
}

fn issuer_certificate(root: &TrustedRoot) -> &Certificate {
    root.certificate_authorities[0].chain.certificates().last().unwrap()
}
