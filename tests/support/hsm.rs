//! Tokens of SoftHSM, and keys on them.

use std::fs;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::UserType;
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use super::child::is_child;
use super::tools::{self, Tool};

/// The PIN of every token.
pub const PIN: &str = "98761234";

// The names of the curves, in DER.
pub const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
pub const P384: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x22";
pub const P521: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x23";
const EDWARDS: &[u8] = b"\x13\x0cedwards25519";
pub const SECP256K1: &[u8] = b"\x06\x05\x2b\x81\x04\x00\x0a";

/// A module whose tokens lie in a folder of this test, in a process of its own.
pub struct Hsm(Pkcs11);

impl Hsm {
    /// `None` in the parent, which only starts the child and waits.
    pub fn of(test: &str) -> Option<Self> {
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

    /// The file that the module reads, in this process and in those that it starts.
    pub fn configuration(&self) -> String {
        std::env::var("SOFTHSM2_CONF").unwrap()
    }

    pub fn token(&self, label: &str) -> Slot {
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

    pub fn generate(&self, slot: Slot, label: &str, id: u8, kind: Kind, sign: Attribute) {
        let session = self.0.open_rw_session(slot).unwrap();
        // All sessions of a process are logged in together.
        match session.login(UserType::User, Some(&AuthPin::from(PIN.to_owned()))) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => panic!("{error}"),
        }
        let (mechanism, mut public) = match kind {
            Kind::Edwards => {
                (Mechanism::EccEdwardsKeyPairGen, vec![Attribute::EcParams(EDWARDS.to_vec())])
            }
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

/// What key to make.
#[derive(Clone, Copy)]
pub enum Kind {
    Curve(&'static [u8]),
    /// Ed25519.
    Edwards,
    Rsa(u64),
}
