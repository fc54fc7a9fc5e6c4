//! Public keys from the numbers that services and tokens give. Pure.
//!
//! Source: RFC 5280 §4.1.2.7 (`SubjectPublicKeyInfo`), RFC 3279, RFC 5480, RFC 8410.

use der::Encode as _;
use der::asn1::{Any, BitString, UintRef};
use x509_cert::spki::{AlgorithmIdentifierOwned, ObjectIdentifier, SubjectPublicKeyInfoOwned};

use crate::crypto::PublicKey;

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// A key on the curve that `curve` names in DER; the point is uncompressed.
#[cfg(any(feature = "azure-key-vault", feature = "pkcs11"))]
pub(super) fn elliptic(curve: &[u8], point: &[u8]) -> Result<PublicKey, String> {
    use der::Decode as _;
    key(EC, Any::from_der(curve).map(Some), point)
}

/// The 32 bytes of an Ed25519 key.
#[cfg(any(feature = "pkcs11", feature = "vault"))]
pub(super) fn ed25519(raw: &[u8]) -> Result<PublicKey, String> {
    key(ED25519, Ok(None), raw)
}

/// Modulus and public exponent, the first byte first.
#[cfg(any(feature = "azure-key-vault", feature = "pkcs11"))]
pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<PublicKey, String> {
    let numbers = UintRef::new(modulus)
        .and_then(|modulus| [modulus, UintRef::new(exponent)?].to_der())
        .map_err(unwritten)?;
    key(RSA, Ok(Some(Any::null())), &numbers)
}

fn key(
    oid: ObjectIdentifier,
    parameters: der::Result<Option<Any>>,
    key: &[u8],
) -> Result<PublicKey, String> {
    let written = parameters.and_then(|parameters| {
        SubjectPublicKeyInfoOwned {
            algorithm: AlgorithmIdentifierOwned { oid, parameters },
            subject_public_key: BitString::from_bytes(key)?,
        }
        .to_der()
    });
    PublicKey::from_der(&written.map_err(unwritten)?).map_err(|error| error.0)
}

fn unwritten(error: der::Error) -> String {
    format!("the public key cannot be read: {error}")
}
