//! The public half of a key on a token: tokens keep it in one of four places.

use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use der::Decode as _;
use der::asn1::OctetStringRef;

use crate::crypto::{Certificate, PublicKey};
use crate::keys::pkcs11::reference::Reference;
use crate::keys::spki;

/// The public key of `private`: what stands in it, in the public key beside it, or in the certificate beside it.
///
/// "Beside" is the same `CKA_ID`, or the same label where the key has no id. The first signature shows whether they
/// belong together.
pub(super) fn of(
    session: &Session,
    private: ObjectHandle,
    reference: &Reference,
) -> Result<Result<PublicKey, String>, Error> {
    let own = session.get_attributes(private, WANTED)?;
    if let Some(key) = from_attributes(&own) {
        return Ok(key);
    }
    let id = own.iter().find_map(|it| match it {
        Attribute::Id(id) if !id.is_empty() => Some(Attribute::Id(id.clone())),
        _ => None,
    });
    let label = reference.object.clone().map(|it| Attribute::Label(it.into_bytes()));
    let Some(beside) = id.or(label) else {
        return Ok(Err("the private key has no CKA_ID, so its public half cannot be found".into()));
    };
    for class in [ObjectClass::PUBLIC_KEY, ObjectClass::CERTIFICATE] {
        for found in session.find_objects(&[Attribute::Class(class), beside.clone()])? {
            let attributes = session.get_attributes(found, WANTED)?;
            let key = match class {
                ObjectClass::CERTIFICATE => from_certificate(&attributes),
                _ => from_attributes(&attributes),
            };
            if let Some(key) = key {
                return Ok(key);
            }
        }
    }
    Ok(Err(
        "the token has neither a public key nor a certificate with the CKA_ID of the private key"
            .into(),
    ))
}

const WANTED: &[AttributeType] = &[
    AttributeType::Id,
    AttributeType::PublicKeyInfo,
    AttributeType::EcParams,
    AttributeType::EcPoint,
    AttributeType::Modulus,
    AttributeType::PublicExponent,
    AttributeType::Value,
];

fn from_certificate(attributes: &[Attribute]) -> Option<Result<PublicKey, String>> {
    let value = attributes.iter().find_map(|it| match it {
        Attribute::Value(value) => Some(value),
        _ => None,
    })?;
    let certificate = Certificate::from_der(value).map_err(|error| error.to_string());
    Some(certificate.map(|it| it.public_key().clone()))
}

fn from_attributes(attributes: &[Attribute]) -> Option<Result<PublicKey, String>> {
    let (mut curve, mut point, mut modulus, mut exponent) = (None, None, None, None);
    for attribute in attributes {
        match attribute {
            Attribute::PublicKeyInfo(der) if !der.is_empty() => {
                return Some(PublicKey::from_der(der).map_err(|error| error.to_string()));
            }
            Attribute::EcParams(it) if !it.is_empty() => curve = Some(it),
            Attribute::EcPoint(it) if !it.is_empty() => point = Some(it),
            Attribute::Modulus(it) if !it.is_empty() => modulus = Some(it),
            Attribute::PublicExponent(it) if !it.is_empty() => exponent = Some(it),
            _ => {}
        }
    }
    Some(match (curve, point, modulus, exponent) {
        (Some(curve), Some(point), ..) => elliptic(curve, point),
        (_, _, Some(modulus), Some(exponent)) => spki::rsa(modulus, exponent),
        _ => return None,
    })
}

/// `CKA_EC_POINT` is an `OCTET STRING` around the point; some tokens give the point alone.
fn elliptic(curve: &[u8], point: &[u8]) -> Result<PublicKey, String> {
    let point = OctetStringRef::from_der(point).map_or(point, |it| it.as_bytes());
    match ED25519_NAMES.contains(&curve) {
        true => spki::ed25519(point),
        false => spki::elliptic(curve, point),
    }
}

/// The curve as PKCS#11 3.0 has it, as RFC 8410 has it, and as drafts had it.
const ED25519_NAMES: [&[u8]; 3] = [
    b"\x13\x0cedwards25519",
    b"\x06\x03\x2b\x65\x70",
    b"\x06\x09\x2b\x06\x01\x04\x01\xda\x47\x0f\x01",
];
