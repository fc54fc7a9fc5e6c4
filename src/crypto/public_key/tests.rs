use super::*;
use crate::crypto::fixtures::fixture;

const PAYLOAD: &[u8] = include_bytes!("../../../tests/fixtures/keys/payload.json");
const KEYS: [(&str, KeyAlgorithm); 7] = [
    ("p256", KeyAlgorithm::EcdsaP256),
    ("p384", KeyAlgorithm::EcdsaP384),
    ("p521", KeyAlgorithm::EcdsaP521),
    ("ed25519", KeyAlgorithm::Ed25519),
    ("rsa2048", KeyAlgorithm::Rsa(2048)),
    ("rsa3072", KeyAlgorithm::Rsa(3072)),
    ("rsa4096", KeyAlgorithm::Rsa(4096)),
];

fn key(name: &str) -> PublicKey {
    PublicKey::from_pem(fixture(&format!("{name}.pub"))).unwrap()
}

fn signature(name: &str) -> SignatureBytes {
    SignatureBytes::from_base64(fixture(name)).unwrap()
}

#[test]
fn every_algorithm_is_read_and_written_as_it_was() {
    for (name, algorithm) in KEYS {
        let text = fixture(&format!("{name}.pub"));
        let key = PublicKey::from_pem(text).unwrap();
        assert_eq!(key.algorithm(), algorithm);
        assert_eq!(key.to_pem(), text);
        assert_eq!(PublicKey::from_der(key.as_der()).unwrap(), key);
    }
}

#[test]
fn keys_in_other_forms_are_the_same_keys() {
    assert_eq!(key("rsa2048.pkcs1"), key("rsa2048"));
    assert_eq!(key("p256.compressed"), key("p256"));
    let crlf = fixture("p256.pub").replace('\n', "\r\n");
    assert_eq!(PublicKey::from_pem(&crlf).unwrap(), key("p256"));
    assert_ne!(key("rsa2048"), key("p256"));
}

/// cosign 2 signs with SHA-256 on every curve; pure Ed25519.
#[test]
fn signatures_of_cosign_2_verify_with_the_default_hash() {
    for (name, _) in KEYS {
        let signature = signature(&format!("{name}.cosign2.sig"));
        assert!(key(name).verifies(PAYLOAD, &signature, Hash::Sha256), "{name}");
        let found = key(name).verifying_hash(PAYLOAD, &signature, Hash::Sha256);
        assert_eq!(found, Some(Hash::Sha256), "{name}");
    }
}

/// cosign 3 takes the hash of the curve's size.
#[test]
fn signatures_of_cosign_3_verify_with_the_hash_that_they_have() {
    for (name, expected) in [
        ("p256", Hash::Sha256),
        ("p384", Hash::Sha384),
        ("p521", Hash::Sha512),
        ("rsa2048", Hash::Sha256),
        ("rsa3072", Hash::Sha256),
        ("rsa4096", Hash::Sha256),
    ] {
        let signature = signature(&format!("{name}.cosign3.sig"));
        for preferred in Hash::ALL {
            let found = key(name).verifying_hash(PAYLOAD, &signature, preferred);
            assert_eq!(found, Some(expected), "{name} {preferred}");
        }
    }
}

#[test]
fn signatures_of_openssl_verify_with_every_hash_and_only_with_it() {
    for (name, algorithm) in KEYS {
        let hashes: &[Hash] =
            if algorithm == KeyAlgorithm::Ed25519 { &[Hash::Sha256] } else { &Hash::ALL };
        for hash in hashes {
            let signature = signature(&format!("{name}.openssl.{hash}.sig"));
            let found = key(name).verifying_hash(PAYLOAD, &signature, Hash::Sha256);
            assert_eq!(found, Some(*hash), "{name}");
            let good: Vec<Hash> = Hash::ALL
                .into_iter()
                .filter(|it| key(name).verifies(PAYLOAD, &signature, *it))
                .collect();
            let expected =
                if algorithm == KeyAlgorithm::Ed25519 { Hash::ALL.to_vec() } else { vec![*hash] };
            assert_eq!(good, expected, "{name}");
        }
    }
}

#[test]
fn a_changed_signature_message_or_key_does_not_verify() {
    for (name, _) in KEYS {
        let good = signature(&format!("{name}.cosign2.sig"));
        let bad = |signature: &SignatureBytes, message: &[u8]| {
            key(name).verifying_hash(message, signature, Hash::Sha256).is_none()
        };
        let changed = |index: usize| {
            let mut bytes = good.as_bytes().to_vec();
            bytes[index] ^= 1;
            SignatureBytes::new(bytes)
        };
        let length = good.as_bytes().len();
        for index in (0..length).step_by(7).chain([length - 1]) {
            assert!(bad(&changed(index), PAYLOAD), "{name} {index}");
        }
        let with_more = SignatureBytes::new([good.as_bytes(), &[0]].concat());
        assert!(bad(&with_more, PAYLOAD), "{name}");
        assert!(bad(&SignatureBytes::new(Vec::new()), PAYLOAD), "{name}");
        assert!(bad(&good, &PAYLOAD[1..]), "{name}");
        for (other, _) in KEYS.iter().filter(|(other, _)| *other != name) {
            assert!(!key(other).verifies(PAYLOAD, &good, Hash::Sha256), "{name} {other}");
        }
    }
}

#[test]
fn other_kinds_of_keys_are_refused_by_name() {
    for (name, expected) in [
        ("explicit", "the elliptic curve is not given by its name"),
        ("p224", "the curve P-224 is not taken: use P-256, P-384 or P-521"),
        ("secp256k1", "the curve secp256k1 is not taken: use P-256, P-384 or P-521"),
        ("rsa1024", "an RSA key of 1024 bits is not taken: use 2048, 3072 or 4096 bits"),
        ("rsa2560", "an RSA key of 2560 bits is not taken: use 2048, 3072 or 4096 bits"),
        (
            "rsa-pss",
            "the key algorithm RSASSA-PSS is not taken: use ECDSA P-256, P-384 or P-521, RSA or Ed25519",
        ),
        (
            "x25519",
            "the key algorithm X25519 is not taken: use ECDSA P-256, P-384 or P-521, RSA or Ed25519",
        ),
    ] {
        let error = PublicKey::from_pem(fixture(&format!("refused/{name}.pub"))).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_pem_of_another_kind_is_called_by_its_name() {
    for (text, expected) in [
        ("", "this is no PEM: no `-----BEGIN PUBLIC KEY-----`"),
        (&pem::encode("CERTIFICATE", b"abc"), "this is a certificate, not a public key"),
        (&pem::encode("EC PRIVATE KEY", b"abc"), "this is a private key (EC PRIVATE KEY)"),
        (fixture("p256.key"), "this is a private key (ENCRYPTED SIGSTORE PRIVATE KEY)"),
        (&pem::encode("PGP PUBLIC KEY BLOCK", b"abc"), "this is a PEM `PGP PUBLIC KEY BLOCK`"),
        (&pem::encode("PUBLIC KEY", b"abc"), "this is no PKIX public key: "),
    ] {
        let error = PublicKey::from_pem(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn der_with_something_behind_it_or_in_ber_form_is_refused() {
    let der = key("p256").as_der().to_vec();
    assert!(PublicKey::from_der(&[der.as_slice(), &[0]].concat()).is_err());
    assert!(PublicKey::from_der(&der[..der.len() - 1]).is_err());
    // The same sequence with its length in two bytes.
    assert_eq!(der[..2], [0x30, 0x59]);
    let ber = [&[0x30, 0x81, 0x59], &der[2..]].concat();
    assert!(PublicKey::from_der(&ber).is_err());
    // A point that is not on the curve.
    let mut off = der.clone();
    *off.last_mut().unwrap() ^= 1;
    assert!(PublicKey::from_der(&off).is_err());
}

#[test]
fn authorities_may_have_rsa_keys_of_other_sizes() {
    let der = |name: &str| pem::blocks(fixture(name))[0].decode().unwrap();
    let odd = PublicKey::of_authority(&der("refused/rsa2560.pub")).unwrap();
    assert_eq!(odd.algorithm(), KeyAlgorithm::Rsa(2560));
    assert!(PublicKey::of_authority(&der("refused/rsa1024.pub")).is_err());
    assert!(PublicKey::of_authority(&der("refused/p224.pub")).is_err());
}

proptest::proptest! {
    #[test]
    fn no_input_makes_it_panic(noise in ".*", at in 0usize..600, byte: u8) {
        let _ = PublicKey::from_pem(&noise);
        let _ = PublicKey::from_pem(&format!("-----BEGIN PUBLIC KEY-----{noise}-----END PUBLIC KEY-----"));
        for name in ["p256.pub", "rsa4096.pub", "ed25519.pub"] {
            let mut der = pem::blocks(fixture(name))[0].decode().unwrap();
            let length = der.len();
            der[at % length] = byte;
            if let Ok(key) = PublicKey::from_der(&der) {
                // Whatever is read has one form.
                proptest::prop_assert_eq!(PublicKey::from_der(key.as_der()).unwrap(), key);
            }
        }
    }
}
