//! What every signer must keep to: run it over yours.

use crate::crypto::{Hash, PublicKey, SignatureBytes};
use crate::keys::{KeyErrorKind, Signed, Signer};

/// A law that a signer broke.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct Violation(pub String);

/// Checks a signer whose public key is `expected`.
///
/// - its key is `expected`, before and after it signed;
/// - what it signs verifies with the hash that was asked for, also an empty and a long message;
/// - with one flipped bit, in the signature or the message, it does not;
/// - a hash that it does not sign with is refused as [`KeyErrorKind::Unsupported`], and one is not;
/// - `Debug` shows nothing that may be a secret.
///
/// # Errors
///
/// The first law that it breaks.
pub async fn signer(signer: &dyn Signer, expected: &PublicKey) -> Result<(), Violation> {
    same_key(signer, expected)?;
    let mut signatures = 0;
    for hash in Hash::ALL {
        for message in [b"".as_slice(), b"message", &[7; 100_000]] {
            match signer.sign(message, hash).await {
                Ok(signed) => {
                    signatures += 1;
                    verifies(&signed, expected, message, hash)?;
                }
                Err(error) if error.kind == KeyErrorKind::Unsupported => {}
                Err(error) => return broken(format!("did not sign with {hash}: {error}")),
            }
        }
    }
    if signatures == 0 {
        return broken("signs with no hash at all");
    }
    same_key(signer, expected)?;
    shows_no_secret(signer)
}

fn same_key(signer: &dyn Signer, expected: &PublicKey) -> Result<(), Violation> {
    match signer.public_key() {
        Some(found) if found == expected => Ok(()),
        found => broken(format!("has the key {found:?}, not {expected:?}")),
    }
}

fn verifies(
    signed: &Signed,
    expected: &PublicKey,
    message: &[u8],
    hash: Hash,
) -> Result<(), Violation> {
    let (key, signature) = (&signed.public_key, &signed.signature);
    if key != expected {
        return broken(format!("says that it signed with {key:?}, not {expected:?}"));
    }
    if !key.verifies(message, signature, hash) {
        return broken(format!("a signature with {hash} does not verify"));
    }
    if key.verifies(&[message, b"!"].concat(), signature, hash) {
        return broken("another message verifies");
    }
    let length = signature.as_bytes().len();
    for index in [0, length / 2, length.saturating_sub(1)] {
        let mut bytes = signature.as_bytes().to_vec();
        if let Some(byte) = bytes.get_mut(index) {
            *byte ^= 1;
        }
        if key.verifies(message, &SignatureBytes::new(bytes), hash) {
            return broken(format!("a flipped bit at {index} verifies"));
        }
    }
    Ok(())
}

fn shows_no_secret(signer: &dyn Signer) -> Result<(), Violation> {
    let shown = format!("{signer:?}");
    // 32 bytes of a private key are 43 characters of base64, or 64 of hex; paths and names have shorter words.
    let words = shown.split(|c: char| !c.is_ascii_alphanumeric() && c != '+');
    match words.map(str::len).max() {
        Some(longest) if longest >= 32 => broken(format!("its Debug may show a secret: {shown}")),
        _ => Ok(()),
    }
}

fn broken(law: impl Into<String>) -> Result<(), Violation> {
    Err(Violation(law.into()))
}

#[cfg(test)]
mod tests;
