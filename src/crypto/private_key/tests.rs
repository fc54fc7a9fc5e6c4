use super::*;
use crate::crypto::EncryptedKey;
use crate::crypto::fixtures::fixture;

const NAMES: [&str; 7] = ["p256", "p384", "p521", "ed25519", "rsa2048", "rsa3072", "rsa4096"];

fn open(name: &str) -> PrivateKey {
    let text = fixture(&format!("{name}.key"));
    EncryptedKey::from_pem(text).unwrap().decrypt(&Secret::new("test".into())).unwrap()
}

#[test]
fn every_algorithm_signs_with_every_hash_and_the_signature_has_that_hash() {
    for name in NAMES {
        let key = open(name);
        for hash in Hash::ALL {
            let signature = key.sign(b"message", hash).unwrap();
            let found = key.public_key().verifying_hash(b"message", &signature, hash);
            assert_eq!(found, Some(hash), "{name}");
            assert!(key.public_key().verifies(b"message", &signature, hash), "{name} {hash}");
            assert!(!key.public_key().verifies(b"massage", &signature, hash), "{name} {hash}");
            if key.public_key().algorithm() != KeyAlgorithm::Ed25519 {
                let others = Hash::ALL.into_iter().filter(|it| *it != hash);
                for other in others {
                    assert!(!key.public_key().verifies(b"message", &signature, other));
                }
            }
        }
    }
}

#[test]
fn a_key_that_is_written_and_read_is_the_same_key() {
    for name in NAMES {
        let key = open(name);
        let again = PrivateKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
        assert_eq!(again.public_key(), key.public_key(), "{name}");
    }
}

#[test]
fn generated_keys_differ_and_seeded_keys_do_not() {
    let [one, two] = [(); 2].map(|()| PrivateKey::generate_p256().unwrap());
    assert_ne!(one.public_key(), two.public_key());
    assert_eq!(one.public_key().algorithm(), KeyAlgorithm::EcdsaP256);
    let seeded = |byte| PrivateKey::p256_from_scalar(&Secret::new([byte; 32])).unwrap();
    assert_eq!(seeded(7).public_key(), seeded(7).public_key());
    assert_ne!(seeded(7).public_key(), seeded(8).public_key());
    let signature = seeded(7).sign(b"message", Hash::Sha256).unwrap();
    assert!(seeded(7).public_key().verifies(b"message", &signature, Hash::Sha256));
    // Zero, and a number beyond the order of the group, are no keys.
    assert!(PrivateKey::p256_from_scalar(&Secret::new([0; 32])).is_err());
    assert!(PrivateKey::p256_from_scalar(&Secret::new([0xff; 32])).is_err());
}

#[test]
fn what_is_no_key_is_refused_without_showing_it() {
    for der in [vec![], b"secret".to_vec(), vec![0x30, 0x00]] {
        let error = PrivateKey::from_pkcs8(&Secret::new(der)).unwrap_err().to_string();
        assert!(error.starts_with("this is no PKCS#8"), "{error}");
    }
    let good = open("p256").to_pkcs8().unwrap();
    let mut other_curve = good.expose().clone();
    // prime256v1 ends in 07; 06 is prime239v3.
    let oid = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let at = other_curve.windows(8).position(|it| it == oid).unwrap();
    other_curve[at + 7] = 0x06;
    let error = PrivateKey::from_pkcs8(&Secret::new(other_curve)).unwrap_err().to_string();
    assert_eq!(error, "the curve 1.2.840.10045.3.1.6 is not taken: use P-256, P-384 or P-521");
    let mut truncated = good.expose().clone();
    truncated.truncate(40);
    assert!(PrivateKey::from_pkcs8(&Secret::new(truncated)).is_err());
}

fn import(name: &str) -> Result<PrivateKey, PrivateKeyError> {
    let path = format!("{}/tests/fixtures/keys/import/{name}.pem", env!("CARGO_MANIFEST_DIR"));
    PrivateKey::from_pem(&Secret::new(std::fs::read_to_string(path).unwrap()))
}

#[test]
fn keys_of_openssl_are_read_in_all_three_forms() {
    for name in ["ed25519.pkcs8", "p256.pkcs8", "p256.sec1", "p521.sec1", "rsa2048.pkcs1"] {
        let key = import(name).unwrap();
        let path = format!("{}/tests/fixtures/keys/import/{name}.pub", env!("CARGO_MANIFEST_DIR"));
        let public = PublicKey::from_pem(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(key.public_key(), &public, "{name}");
        let signature = key.sign(b"message", Hash::Sha256).unwrap();
        assert!(public.verifies(b"message", &signature, Hash::Sha256), "{name}");
        // What is read is written as PKCS#8, which is read again.
        let again = PrivateKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
        assert_eq!(again.public_key(), &public, "{name}");
    }
}

#[test]
fn what_is_not_taken_for_import_is_told_without_showing_it() {
    for (name, expected) in [
        ("rsa1024.pkcs1", "RSA private key"),
        ("secp256k1.sec1", "secp256k1"),
        ("p256.encrypted", "is encrypted"),
    ] {
        let error = import(name).unwrap_err().0;
        assert!(error.contains(expected), "{error}");
    }
    for (text, expected) in [
        ("hunter2", "no PEM"),
        ("-----BEGIN PUBLIC KEY-----\naHVudGVyMg==\n-----END PUBLIC KEY-----", "`PUBLIC KEY`"),
        ("-----BEGIN EC PRIVATE KEY-----\naHVudGVyMg==\n-----END EC PRIVATE KEY-----", "SEC 1"),
        ("-----BEGIN RSA PRIVATE KEY-----\naHVudGVyMg==\n-----END RSA PRIVATE KEY-----", "RSA"),
        ("-----BEGIN PRIVATE KEY-----\n%%%%\n-----END PRIVATE KEY-----", "base64"),
    ] {
        let error = PrivateKey::from_pem(&Secret::new(text.to_owned())).unwrap_err().0;
        assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
    }
}
