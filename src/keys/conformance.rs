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
    let mut hashes = 0;
    for hash in Hash::ALL {
        for message in [b"".as_slice(), b"message", &[7; 100_000]] {
            match signer.sign(message, hash).await {
                Ok(signed) => {
                    hashes += 1;
                    verifies(&signed, expected, message, hash)?;
                }
                Err(error) if error.kind == KeyErrorKind::Unsupported => {}
                Err(error) => {
                    return Err(Violation(format!("did not sign with {hash}: {error}")));
                }
            }
        }
    }
    law(hashes > 0, || "signs with no hash at all".into())?;
    same_key(signer, expected)?;
    shows_no_secret(signer)
}

fn same_key(signer: &dyn Signer, expected: &PublicKey) -> Result<(), Violation> {
    let found = signer.public_key();
    law(found == Some(expected), || format!("has the key {found:?}, not {expected:?}"))
}

fn verifies(
    signed: &Signed,
    expected: &PublicKey,
    message: &[u8],
    hash: Hash,
) -> Result<(), Violation> {
    let (key, signature) = (&signed.public_key, &signed.signature);
    law(key == expected, || format!("says that it signed with {key:?}, not {expected:?}"))?;
    let good = key.verifies(message, signature, hash);
    law(good, || format!("a signature with {hash} does not verify"))?;
    let longer = [message, b"!"].concat();
    law(!key.verifies(&longer, signature, hash), || "another message verifies".into())?;
    for index in [0, signature.as_bytes().len() / 2, signature.as_bytes().len() - 1] {
        let mut bytes = signature.as_bytes().to_vec();
        if let Some(byte) = bytes.get_mut(index) {
            *byte ^= 1;
        }
        let flipped = SignatureBytes::new(bytes);
        law(!key.verifies(message, &flipped, hash), || {
            format!("a flipped bit at {index} verifies")
        })?;
    }
    Ok(())
}

fn shows_no_secret(signer: &dyn Signer) -> Result<(), Violation> {
    let shown = format!("{signer:?}");
    // 32 bytes of a private key are 43 characters of base64, or 64 of hex.
    let longest = shown
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '+' && c != '/')
        .map(str::len)
        .max()
        .unwrap_or(0);
    law(longest < 43 && !shown.contains("PRIVATE KEY-----"), || {
        format!("its Debug may show a secret: {shown}")
    })
}

fn law(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation(otherwise())) }
}

#[cfg(test)]
mod tests;
