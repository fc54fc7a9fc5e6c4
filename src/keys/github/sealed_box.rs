//! Sealed boxes of libsodium: only the recipient can open them, and nobody can say who made them.
//!
//! Source: libsodium, `crypto_box_seal`: an ephemeral X25519 key and, to the two keys' secret, XSalsa20-Poly1305, with
//! BLAKE2b of both public keys as nonce.

use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::rand::SystemRandom;
use blake2::digest::consts::{U10, U24};
use blake2::{Blake2b, Digest as _};
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use crypto_secretbox::{Nonce, XSalsa20Poly1305};
use zeroize::Zeroizing;

/// Whose box it is.
pub(super) struct Recipient([u8; 32]);

impl Recipient {
    /// An X25519 public key: 32 bytes.
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        key.try_into().ok().map(Self)
    }

    /// Seals `message`; `None` where the recipient's key is none, or the machine gives no random numbers.
    pub(super) fn seal(&self, message: &[u8]) -> Option<Vec<u8>> {
        let own = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).ok()?;
        let public = own.compute_public_key().ok()?;
        let recipient = UnparsedPublicKey::new(&X25519, &self.0);
        // A key of small order would give a secret that everybody knows: the library refuses it.
        let key = agree_ephemeral(own, recipient, (), |shared| derived(shared).ok_or(())).ok()?;
        let nonce = Blake2b::<U24>::new().chain_update(public.as_ref()).chain_update(self.0);
        let cipher = XSalsa20Poly1305::new_from_slice(key.as_slice()).ok()?;
        let sealed = cipher.encrypt(Nonce::from_slice(&nonce.finalize()), message).ok()?;
        Some([public.as_ref(), &sealed].concat())
    }
}

/// `crypto_box_beforenm`: HSalsa20 of the shared secret.
fn derived(shared: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let shared = <[u8; 32]>::try_from(shared).ok()?;
    let key = salsa20::hsalsa::<U10>(&shared.into(), &[0; 16].into());
    Some(Zeroizing::new(key.into()))
}
