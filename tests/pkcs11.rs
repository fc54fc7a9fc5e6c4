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
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::UserType;
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use support::child::is_child;
use support::judge::{JUDGES, Judge};
use support::tools::{self, Tool};

const PIN: &str = "98761234";

// The names of the curves, in DER.
const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x22";
const P521: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x23";
const SECP256K1: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x0a";

/// A module whose tokens lie in a folder of this test, in a process of its own.
struct Hsm(Pkcs11);

impl Hsm {
    /// `None` in the parent, which only starts the child and waits.
    fn of(test: &str) -> Option<Self> {
        if !tools::have(&[Tool::SoftHsm]) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tokens")).unwrap();
        let configuration = folder.path().join("softhsm2.conf");
        let tokens = format!("directories.tokendir = {}/tokens\n", folder.path().display());
        fs::write(&configuration, tokens).unwrap();
        if !is_child(test, &[("SOFTHSM2_CONF", configuration.as_os_str())]) {
            return None;
        }
        let module = Pkcs11::new(Tool::SoftHsm.path()).unwrap();
        module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
        Some(Self(module))
    }

    fn token(&self, label: &str) -> Slot {
        let slot = *self.0.get_all_slots().unwrap().last().unwrap();
        let so = AuthPin::from("4321".to_owned());
        self.0.init_token(slot, &so, label).unwrap();
        // The new token has a slot of its own from here on.
        let slots = self.0.get_slots_with_token().unwrap();
        let is_it = |slot: &&Slot| self.0.get_token_info(**slot).unwrap().label() == label;
        let slot = *slots.iter().find(is_it).unwrap();
        let session = self.0.open_rw_session(slot).unwrap();
        session.login(UserType::So, Some(&so)).unwrap();
        session.init_pin(&AuthPin::from(PIN.to_owned())).unwrap();
        slot
    }

    fn generate(&self, slot: Slot, label: &str, id: u8, kind: Kind, sign: Attribute) {
        let session = self.0.open_rw_session(slot).unwrap();
        // All sessions of a process are logged in together.
        match session.login(UserType::User, Some(&AuthPin::from(PIN.to_owned()))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => panic!("{error}"),
        }
        let (mechanism, mut public) = match kind {
            Kind::Curve(oid) => (Mechanism::EccKeyPairGen, vec![Attribute::EcParams(oid.to_vec())]),
            Kind::Rsa(bits) => (
                Mechanism::RsaPkcsKeyPairGen,
                vec![Attribute::ModulusBits(bits.into()), Attribute::PublicExponent(vec![1, 0, 1])],
            ),
        };
        let common =
            [Attribute::Token(true), Attribute::Label(label.into()), Attribute::Id(vec![id])];
        public.extend(common.clone());
        let mut private = common.to_vec();
        private.extend([sign, Attribute::Private(true), Attribute::Sensitive(true)]);
        session.generate_key_pair(&mechanism, &public, &private).unwrap();
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Curve(&'static [u8]),
    Rsa(u64),
}

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
        ("rsa3072", Kind::Rsa(3072), KeyAlgorithm::Rsa(3072)),
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
