//! What a service gave for a digest is looked at before anybody else sees it.

use crate::crypto::{Hash, PublicKey, SignatureBytes};
use crate::keys::{KeyError, KeyErrorKind, Signed};

/// The signature, where it verifies under the key that the service itself had shown.
///
/// # Errors
///
/// [`KeyErrorKind::Mismatch`]: the key behind the reference is another one now, or the service answered wrongly.
pub(super) fn checked(
    key: &str,
    public_key: &PublicKey,
    message: &[u8],
    hash: Hash,
    signature: SignatureBytes,
) -> Result<Signed, KeyError> {
    if public_key.verifies(message, &signature, hash) {
        return Ok(Signed { signature, public_key: public_key.clone(), certificate: None });
    }
    Err(KeyError::new("sign with", key, KeyErrorKind::Mismatch)
        .because(format!(
            "the signature does not verify under its public key ({})",
            public_key.fingerprint().short()
        ))
        .advise("run again; if the key was replaced meanwhile, its new public half is taken then"))
}
