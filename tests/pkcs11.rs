//! `pkcs11:` keys on the tokens of SoftHSM.
#![cfg(feature = "pkcs11")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use countersign::crypto::{Hash, KeyAlgorithm};
use countersign::keys::memory::MemoryEnvironment;
use countersign::keys::{
    KeyError, KeyErrorKind, KeyReference, OpenOptions, PasswordSource, Signer, conformance, open,
};
use cryptoki::object::Attribute;
use support::hsm::{Hsm, Kind, P256, P384, P521, PIN, SECP256K1};
use support::judge::{JUDGES, Judge};
use support::tools::{self, Tool};

fn options(environment: MemoryEnvironment) -> OpenOptions {
    OpenOptions::new(Arc::new(environment))
}

fn module() -> String {
    format!("module-path={}", Tool::SoftHsm.path().display())
}

async fn opened(rest: &str, options: &OpenOptions) -> Result<Arc<dyn Signer>, KeyError> {
    let text = format!("pkcs11:{rest}");
    open(&KeyReference::parse(&text, Path::new(""))?, options).await
}

#[tokio::test]
async fn every_algorithm_conforms_and_cosign_verifies_it() {
    let test = "every_algorithm_conforms_and_cosign_verifies_it";
    let Some(hsm) = Hsm::of(test) else { return };
    let slot = hsm.token("sig nal");
    let judge = if tools::have(JUDGES) { Some(Judge::new().await) } else { None };
    let kinds = [
        ("p256", Kind::Curve(P256), KeyAlgorithm::EcdsaP256),
        ("p384", Kind::Curve(P384), KeyAlgorithm::EcdsaP384),
        ("p521", Kind::Curve(P521), KeyAlgorithm::EcdsaP521),
        ("rsa2048", Kind::Rsa(2048), KeyAlgorithm::Rsa(2048)),
        ("ed25519", Kind::Edwards, KeyAlgorithm::Ed25519),
        ("rsa3072", Kind::Rsa(3072), KeyAlgorithm::Rsa(3072)),
        ("rsa4096", Kind::Rsa(4096), KeyAlgorithm::Rsa(4096)),
    ];
    let environment = options(MemoryEnvironment::default().with_variable("COSIGN_PKCS11_PIN", PIN));
    for (id, (name, kind, algorithm)) in (1..).zip(kinds) {
        hsm.generate(slot, name, id, kind, Attribute::Sign(true));
        let reference = format!("token=sig%20nal;object={name}?{}", module());
        let signer = opened(&reference, &environment).await.unwrap();
        let public_key = signer.public_key().unwrap().clone();
        assert_eq!(public_key.algorithm(), algorithm);
        conformance::signer(signer.as_ref(), &public_key).await.unwrap();
        if let Some(judge) = &judge {
            // Raw digests: the token signs any hash, so the one that plain `cosign verify` takes.
            judge.verify(signer.as_ref(), Hash::Sha256).await;
        }
        // The same key by its id, in the numbered slot, while the first session is open.
        let reference = format!("slot-id={};id=%0{id}?{}", slot.id(), module());
        let again = opened(&reference, &environment).await.unwrap();
        assert_eq!(again.public_key(), Some(&public_key));
    }
}

#[tokio::test]
async fn many_tasks_sign_with_one_session() {
    let Some(hsm) = Hsm::of("many_tasks_sign_with_one_session") else { return };
    let slot = hsm.token("a");
    hsm.generate(slot, "k", 1, Kind::Curve(P256), Attribute::Sign(true));
    let environment = options(MemoryEnvironment::default().with_answer(PIN));
    let signer = opened(&format!("token=a;object=k?{}", module()), &environment).await.unwrap();
    let signatures = (0..200_u32).map(|it| {
        let signer = Arc::clone(&signer);
        tokio::spawn(async move { signer.sign(&it.to_be_bytes(), Hash::Sha256).await.unwrap() })
    });
    for signature in signatures.collect::<Vec<_>>() {
        signature.await.unwrap();
    }
}

#[tokio::test]
async fn the_pin_comes_from_reference_file_variable_or_terminal() {
    let Some(hsm) = Hsm::of("the_pin_comes_from_reference_file_variable_or_terminal") else {
        return;
    };
    let slot = hsm.token("a");
    hsm.generate(slot, "k", 1, Kind::Curve(P256), Attribute::Sign(true));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pin");
    fs::write(&file, format!("{PIN}\n")).unwrap();
    let reference = format!("token=a;object=k?{}", module());
    let none = MemoryEnvironment::default;
    for (text, environment) in [
        (format!("{reference}&pin-value={PIN}"), none()),
        (format!("{reference}&pin-source=file:{}", file.display()), none()),
        (reference.clone(), none().with_variable("COSIGN_PKCS11_PIN", PIN).with_answer("x")),
        (reference.clone(), none().with_answer(PIN)),
        // The module, too, may come from the environment.
        (
            "token=a;object=k".into(),
            none()
                .with_variable("COSIGN_PKCS11_PIN", PIN)
                .with_variable("COSIGN_PKCS11_MODULE_PATH", Tool::SoftHsm.path().to_str().unwrap()),
        ),
    ] {
        let signer = opened(&text, &options(environment)).await.unwrap();
        assert!(!format!("{signer:?}").contains(PIN));
    }
    let named = options(MemoryEnvironment::default()).with_password(PasswordSource::File(file));
    opened(&reference, &named).await.unwrap();
}

#[tokio::test]
async fn what_fails_says_why_and_shows_no_pin() {
    let Some(hsm) = Hsm::of("what_fails_says_why_and_shows_no_pin") else { return };
    let slot = hsm.token("a");
    let yes = Attribute::Sign(true);
    hsm.generate(slot, "k", 1, Kind::Curve(P256), yes.clone());
    hsm.generate(slot, "twice", 2, Kind::Curve(P256), yes.clone());
    hsm.generate(slot, "twice", 3, Kind::Curve(P256), yes.clone());
    hsm.generate(slot, "idle", 4, Kind::Curve(P256), Attribute::Sign(false));
    hsm.generate(slot, "koblitz", 5, Kind::Curve(SECP256K1), yes);
    hsm.token("b");
    let with = |rest: &str| format!("{rest}?{}&pin-value={PIN}", module());
    let none = format!("token=a;object=k?module-path=/nowhere/m.so&pin-value={PIN}");
    for (text, kind, cause, help) in [
        (with("token=c;object=k"), KeyErrorKind::NotFound, "no token matches", "`a` in slot"),
        (with("token=a;object=x"), KeyErrorKind::NotFound, "the label `x`", "`k`"),
        (with("token=a;id=%09"), KeyErrorKind::NotFound, "the id 09", "`k`"),
        (with("token=a;object=twice"), KeyErrorKind::Malformed, "2 private keys", "id=%XX"),
        (with("token=a;object=idle"), KeyErrorKind::Permission, "CKA_SIGN", "`sign`"),
        (with("token=a;object=koblitz"), KeyErrorKind::Unsupported, "secp256k1", ""),
        (with("object=k"), KeyErrorKind::Malformed, "names no token", "pkcs11:token="),
        (none, KeyErrorKind::NotFound, "/nowhere/m.so", "module-path"),
        ("token=a;object=k".into(), KeyErrorKind::NotFound, "no PKCS#11 library", "MODULE_PATH"),
        (
            format!("token=a;object=k?{}", module()),
            KeyErrorKind::NoPassword,
            "no terminal",
            "COSIGN_PKCS11_PIN",
        ),
        (
            format!("token=a;object=k?{}&pin-value=5678", module()),
            KeyErrorKind::WrongPassword,
            "PIN",
            "check the PIN",
        ),
    ] {
        let error = opened(&text, &options(MemoryEnvironment::default())).await.unwrap_err();
        let source = error.source.as_ref().map(ToString::to_string).unwrap_or_default();
        assert_eq!(error.kind, kind, "{text}: {source}");
        assert!(source.contains(cause), "{text}: {source}");
        assert!(error.help().unwrap_or_default().contains(help), "{text}: {:?}", error.help());
        let shown = format!("{error} {error:?} {source}");
        assert!(!shown.contains(PIN) && !shown.contains("5678"), "{shown}");
    }
}
