use super::*;
use crate::crypto::{Hash, KeyAlgorithm, PublicKey, SignatureBytes};

const KEY: &str = include_str!("../../../tests/fixtures/keys/vector.key");
const PUBLIC: &str = include_str!("../../../tests/fixtures/keys/vector.pub");

fn password(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn envelope(edit: impl Fn(&mut serde_json::Value)) -> String {
    let mut json = serde_json::from_slice(&pem::blocks(KEY)[0].decode().unwrap()).unwrap();
    edit(&mut json);
    pem::encode(LABEL, &serde_json::to_vec(&json).unwrap())
}

#[test]
fn a_key_of_cosign_opens_and_is_the_key_of_its_public_file() {
    let key = EncryptedKey::from_pem(KEY).unwrap();
    assert_eq!(key.cost(), ScryptCost::Standard);
    let opened = key.decrypt(&password("test")).unwrap();
    let public = PublicKey::from_pem(PUBLIC).unwrap();
    assert_eq!(*opened.public_key(), public);
    assert_eq!(public.hint(), "hHDiHl2jQC+aea6XxK0u2s3Ai6VMDwybnjZnlMXl4s0=");
    assert_eq!(opened.public_key().to_pem(), PUBLIC);
}

/// The payload and signature that cosign 2.5.0 made with the key above.
#[test]
fn a_signature_of_cosign_verifies() {
    let payload = r#"{"critical":{"identity":{"docker-reference":"127.0.0.1:5101/cap1"},"image":{"docker-manifest-digest":"sha256:064c95e18f31d2a21666ea7e5a2926c12c43c4da9f279b27ecc5986020865071"},"type":"cosign container image signature"},"optional":null}"#;
    let signature = "MEYCIQCcRCYuwUbDyfWZi4CP+x/FzLZ7SZYp8thjp25D3nCf6gIhAMU8o5PhLl2C1GZaaWUTZsSNXwi53m4wHVStbP2GPoJm";
    let signature = SignatureBytes::from_base64(signature).unwrap();
    let public = PublicKey::from_pem(PUBLIC).unwrap();
    assert!(public.verifies(payload.as_bytes(), &signature, Hash::Sha256));
    assert!(!public.verifies(payload.as_bytes(), &signature, Hash::Sha384));
    assert!(!public.verifies(payload.to_uppercase().as_bytes(), &signature, Hash::Sha256));
}

#[test]
fn the_old_label_is_read_too() {
    let key = EncryptedKey::from_pem(&KEY.replace(LABEL, OLD_LABEL)).unwrap();
    assert!(key.decrypt(&password("test")).is_ok());
}

#[test]
fn what_is_written_is_read_at_every_cost() {
    let key = PrivateKey::generate_p256().unwrap();
    for (cost, n) in
        [(ScryptCost::Legacy, 32_768), (ScryptCost::Standard, 65_536), (ScryptCost::Owasp, 131_072)]
    {
        let text = key.to_encrypted_pem_at(&password("pass wörd"), cost).unwrap();
        let json: serde_json::Value =
            serde_json::from_slice(&pem::blocks(&text)[0].decode().unwrap()).unwrap();
        assert_eq!(json["kdf"]["params"]["N"], n);
        let read = EncryptedKey::from_pem(&text).unwrap();
        assert_eq!(read.cost(), cost);
        let opened = read.decrypt(&password("pass wörd")).unwrap();
        assert_eq!(opened.public_key(), key.public_key());
    }
}

#[test]
fn writing_looks_as_cosign_writes_and_never_twice_the_same() {
    let key = PrivateKey::generate_p256().unwrap();
    let [one, two] =
        [(); 2].map(|()| key.to_encrypted_pem_at(&password(""), ScryptCost::Legacy).unwrap());
    assert_ne!(one, two);
    assert!(one.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"));
    assert!(one.ends_with("\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n"));
    let json = String::from_utf8(pem::blocks(&one)[0].decode().unwrap()).unwrap();
    let start = r#"{"kdf":{"name":"scrypt","params":{"N":32768,"r":8,"p":1},"salt":""#;
    assert!(json.starts_with(start), "{json}");
    assert!(json.contains(r#""},"cipher":{"name":"nacl/secretbox","nonce":""#), "{json}");
}

#[test]
fn a_wrong_password_and_a_changed_file_are_told() {
    let key = EncryptedKey::from_pem(KEY).unwrap();
    assert_eq!(key.decrypt(&password("Test")).unwrap_err(), EncryptedKeyError::WrongPassword);
    let mut damaged = key.clone();
    damaged.ciphertext[20] ^= 1;
    assert_eq!(damaged.decrypt(&password("test")).unwrap_err(), EncryptedKeyError::WrongPassword);
}

#[test]
fn each_way_to_be_no_encrypted_key_has_its_own_error() {
    let read = |text: &str| EncryptedKey::from_pem(text).unwrap_err();
    assert_eq!(read("{}"), EncryptedKeyError::NoPem);
    assert_eq!(read(PUBLIC), EncryptedKeyError::NoPrivateKey("PUBLIC KEY".into()));
    for label in ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
        let error = read(&pem::encode(label, b"abc"));
        assert_eq!(error, EncryptedKeyError::NotEncrypted(label.into()));
    }
    let kdf = read(&envelope(|it| it["kdf"]["name"] = "argon2".into()));
    assert_eq!(kdf, EncryptedKeyError::UnknownKdf("argon2".into()));
    let cipher = read(&envelope(|it| it["cipher"]["name"] = "aes".into()));
    assert_eq!(cipher, EncryptedKeyError::UnknownCipher("aes".into()));
    for (name, value) in [("N", 4), ("N", 1 << 30), ("r", 9), ("p", 2)] {
        let cost = read(&envelope(|it| it["kdf"]["params"][name] = value.into()));
        assert!(matches!(cost, EncryptedKeyError::UnknownCost { .. }), "{cost}");
    }
    for (path, value) in [("/cipher/nonce", "AAAA"), ("/kdf/salt", "%"), ("/ciphertext", "AAAA")] {
        let text = envelope(|it| *it.pointer_mut(path).unwrap() = value.into());
        assert!(matches!(read(&text), EncryptedKeyError::Malformed(_)), "{path}");
    }
}

#[test]
fn a_key_that_is_not_taken_is_told_after_it_opened() {
    let mut sealed = b"no pkcs8".to_vec();
    let key = EncryptedKey::from_pem(KEY).unwrap();
    let tag = secretbox(&password("test"), &key.salt, key.cost)
        .unwrap()
        .encrypt_in_place_detached(Nonce::from_slice(&key.nonce), b"", &mut sealed)
        .unwrap();
    let key = EncryptedKey { ciphertext: [tag.as_slice(), &sealed].concat(), ..key };
    let error = key.decrypt(&password("test")).unwrap_err();
    assert!(matches!(error, EncryptedKeyError::Key(_)), "{error}");
}

#[test]
fn nothing_of_a_key_is_printed() {
    let key = EncryptedKey::from_pem(KEY).unwrap().decrypt(&password("test")).unwrap();
    let shown = format!("{key:?}");
    assert_eq!(shown, format!("PrivateKey(… of {:?})", key.public_key()));
    assert_eq!(key.public_key().algorithm(), KeyAlgorithm::EcdsaP256);
}
