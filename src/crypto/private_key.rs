//! Private keys in memory.

use std::fmt;

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self as lc, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use der::asn1::{ContextSpecific, ObjectIdentifier, OctetStringRef};
use der::{Decode, Reader, SliceReader, TagNumber};
use x509_cert::spki::AlgorithmIdentifierRef;

use crate::crypto::pem;
use crate::crypto::public_key::{ALGORITHM_EC, ALGORITHM_ED25519, ALGORITHM_RSA, curve_algorithm};
use crate::crypto::{Hash, KeyAlgorithm, PublicKey, SignatureBytes};
use crate::model::Secret;

/// A private key that is open. It cannot be printed, and leaves only in encrypted form.
pub struct PrivateKey {
    public: PublicKey,
    pair: Pair,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl PrivateKey {
    /// Reads PKCS#8 DER, as Go and OpenSSL write it.
    ///
    /// # Errors
    ///
    /// When it is no PKCS#8, or a key of another kind than [`KeyAlgorithm`] names.
    pub fn from_pkcs8(der: &Secret<Vec<u8>>) -> Result<Self, PrivateKeyError> {
        let der = der.expose();
        let (algorithm, curve) = pkcs8_algorithm(der)
            .map_err(|error| PrivateKeyError(format!("this is no PKCS#8: {error}")))?;
        let rejected = |kind: &str| PrivateKeyError(format!("this is no valid {kind} private key"));
        match algorithm {
            ALGORITHM_EC => {
                let curve = curve.ok_or_else(|| rejected("ECDSA"))?;
                let curve = curve_algorithm(curve).map_err(|error| PrivateKeyError(error.0))?;
                let pair = EcdsaKeyPair::from_pkcs8(ecdsa(curve), der)
                    .map_err(|_| rejected(&curve.to_string()))?;
                Self::from_ecdsa(pair)
            }
            ALGORITHM_ED25519 => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
                    .map_err(|_| rejected("Ed25519"))?;
                Self::new(pair.public_key().as_der(), Pair::Ed25519(pair.clone()))
            }
            ALGORITHM_RSA => {
                let pair = RsaKeyPair::from_pkcs8(der).map_err(|_| rejected("RSA"))?;
                Self::new(pair.public_key().as_der(), Pair::Rsa(pair.clone()))
            }
            other => Err(PrivateKeyError(format!(
                "the key algorithm {other} is not taken: use ECDSA P-256, P-384 or P-521, RSA or Ed25519"
            ))),
        }
    }

    /// Reads an unencrypted PEM: PKCS#8 (`PRIVATE KEY`), PKCS#1 (`RSA PRIVATE KEY`) or SEC 1 (`EC PRIVATE KEY`).
    ///
    /// # Errors
    ///
    /// When there is no such block, it is encrypted, or its key is not one that [`KeyAlgorithm`] names.
    pub fn from_pem(text: &Secret<String>) -> Result<Self, PrivateKeyError> {
        let blocks = pem::blocks(text.expose());
        // OpenSSL writes `EC PARAMETERS` before the key.
        let private = blocks.iter().find(|it| it.label.ends_with("PRIVATE KEY"));
        let Some(block) = private.or(blocks.first()) else {
            return Err(PrivateKeyError("this is no PEM".into()));
        };
        if text.expose().contains("Proc-Type: 4,ENCRYPTED") {
            return Err(PrivateKeyError(format!("this PEM `{}` is encrypted", block.label)));
        }
        let der = block.decode().map(Secret::new).ok_or_else(|| {
            PrivateKeyError(format!("the PEM `{}` holds no valid base64", block.label))
        });
        match block.label {
            "PRIVATE KEY" => Self::from_pkcs8(&der?),
            "RSA PRIVATE KEY" => Self::from_pkcs1(&der?),
            "EC PRIVATE KEY" => Self::from_sec1(&der?),
            label => Err(PrivateKeyError(format!("this is a PEM `{label}`, which is not taken"))),
        }
    }

    fn from_pkcs1(der: &Secret<Vec<u8>>) -> Result<Self, PrivateKeyError> {
        let pair = RsaKeyPair::from_der(der.expose())
            .map_err(|_| PrivateKeyError("this is no valid RSA private key".into()))?;
        Self::new(pair.public_key().as_der(), Pair::Rsa(pair.clone()))
    }

    /// ECPrivateKey of RFC 5915, with the name of its curve.
    fn from_sec1(der: &Secret<Vec<u8>>) -> Result<Self, PrivateKeyError> {
        let curve = sec1_curve(der.expose())
            .map_err(|error| PrivateKeyError(format!("this is no SEC 1 private key: {error}")))?;
        let curve = curve
            .ok_or_else(|| PrivateKeyError("the elliptic curve is not given by its name".into()))?;
        let curve = curve_algorithm(curve).map_err(|error| PrivateKeyError(error.0))?;
        let pair = EcdsaKeyPair::from_private_key_der(ecdsa(curve), der.expose())
            .map_err(|_| PrivateKeyError(format!("this is no valid {curve} private key")))?;
        Self::from_ecdsa(pair)
    }

    /// Makes a new ECDSA key on P-256, the kind that `cosign generate-key-pair` makes.
    ///
    /// # Errors
    ///
    /// When the machine gives no random numbers.
    pub fn generate_p256() -> Result<Self, PrivateKeyError> {
        let pair = EcdsaKeyPair::generate(ecdsa(KeyAlgorithm::EcdsaP256))
            .map_err(|_| PrivateKeyError("no key could be generated".into()))?;
        Self::from_ecdsa(pair)
    }

    /// The P-256 key whose secret number is `scalar`, big-endian. NO SECURITY where others can guess it.
    pub(crate) fn p256_from_scalar(scalar: &Secret<[u8; 32]>) -> Result<Self, PrivateKeyError> {
        // ECPrivateKey of RFC 5915 without the public half, which aws-lc then computes:
        // SEQUENCE { INTEGER 1, OCTET STRING scalar, [0] { OID prime256v1 } }
        let mut der = vec![0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20];
        der.extend_from_slice(scalar.expose());
        der.extend_from_slice(&[0xa0, 0x0a, 0x06, 0x08]);
        der.extend_from_slice(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]);
        let der = Secret::new(der);
        let pair = EcdsaKeyPair::from_private_key_der(ecdsa(KeyAlgorithm::EcdsaP256), der.expose())
            .map_err(|_| PrivateKeyError("the number is no P-256 key".into()))?;
        Self::from_ecdsa(pair)
    }

    fn from_ecdsa(pair: EcdsaKeyPair) -> Result<Self, PrivateKeyError> {
        Self::new(pair.public_key().as_der(), Pair::Ecdsa(pair.clone()))
    }

    fn new(
        public: Result<
            aws_lc_rs::encoding::PublicKeyX509Der<'static>,
            aws_lc_rs::error::Unspecified,
        >,
        pair: Pair,
    ) -> Result<Self, PrivateKeyError> {
        let public =
            public.map_err(|_| PrivateKeyError("the key has no public half".to_owned()))?;
        let public = PublicKey::from_der(public.as_ref())
            .map_err(|error| PrivateKeyError(error.to_string()))?;
        Ok(Self { public, pair })
    }

    /// Its public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `message`, which is hashed here. Ed25519 signs the message itself and ignores `hash`.
    ///
    /// ASN.1 DER for ECDSA, PKCS#1 v1.5 for RSA, 64 bytes for Ed25519. Costs 20 microseconds with P-256 and
    /// some milliseconds with RSA 4096.
    ///
    /// # Errors
    ///
    /// When the cryptographic library fails, which a key that has been read gives no reason for.
    pub fn sign(&self, message: &[u8], hash: Hash) -> Result<SignatureBytes, PrivateKeyError> {
        let failed =
            |_| PrivateKeyError(format!("the {} key did not sign", self.public.algorithm()));
        let bytes = match &self.pair {
            Pair::Ecdsa(pair) => {
                let digest = fitting(pair, &digest::digest(digest_of(hash), message));
                let signature = pair.sign_digest(&digest.map_err(failed)?).map_err(failed)?;
                signature.as_ref().to_vec()
            }
            Pair::Ed25519(pair) => pair.try_sign(message).map_err(failed)?.as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(rsa(hash), &SystemRandom::new(), message, &mut signature)
                    .map_err(failed)?;
                signature
            }
        };
        Ok(SignatureBytes::new(bytes))
    }

    /// PKCS#8 DER, only for [`PrivateKey::to_encrypted_pem`].
    pub(super) fn to_pkcs8(&self) -> Result<Secret<Vec<u8>>, PrivateKeyError> {
        let failed = |_| PrivateKeyError("the key cannot be written".to_owned());
        let bytes = match &self.pair {
            Pair::Ecdsa(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                der.as_ref().to_vec()
            }
        };
        Ok(Secret::new(bytes))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(… of {:?})", self.public)
    }
}

/// The algorithm and, for elliptic curves, the curve.
fn pkcs8_algorithm(der: &[u8]) -> der::Result<(ObjectIdentifier, Option<ObjectIdentifier>)> {
    let mut reader = SliceReader::new(der)?;
    let found = reader.sequence(|inner| {
        let _version = u8::decode(inner)?;
        let algorithm = AlgorithmIdentifierRef::decode(inner)?;
        let _key = OctetStringRef::decode(inner)?;
        // Attributes and a second copy of the public key may follow (PKCS#8 v2).
        let rest = inner.remaining_len();
        inner.read_slice(rest)?;
        let curve = algorithm.parameters.and_then(|it| it.decode_as().ok());
        Ok((algorithm.oid, curve))
    })?;
    reader.finish(found)
}

/// The curve of an ECPrivateKey.
fn sec1_curve(der: &[u8]) -> der::Result<Option<ObjectIdentifier>> {
    let mut reader = SliceReader::new(der)?;
    let curve = reader.sequence(|inner| {
        let _version = u8::decode(inner)?;
        let _key = OctetStringRef::decode(inner)?;
        let curve = ContextSpecific::decode_explicit(inner, TagNumber::N0)?.map(|it| it.value);
        let rest = inner.remaining_len();
        inner.read_slice(rest)?;
        Ok(curve)
    })?;
    reader.finish(curve)
}

/// Fits a digest to a curve: ECDSA takes the leftmost bits of a digest that is longer than the order of
/// the group (SEC 1, §4.1.3), and a shorter one is the same number with zeros in front.
///
/// aws-lc-rs signs P-256 with SHA-256 only and P-384 with SHA-384 only; by this it signs with every hash, as
/// cosign does (SHA-256 on every curve).
fn fitting(pair: &EcdsaKeyPair, digest: &Digest) -> Result<Digest, aws_lc_rs::error::Unspecified> {
    let curve = pair.algorithm();
    let natural = if *curve == lc::ECDSA_P256_SHA256_ASN1_SIGNING {
        &digest::SHA256
    } else if *curve == lc::ECDSA_P384_SHA384_ASN1_SIGNING {
        &digest::SHA384
    } else {
        &digest::SHA512
    };
    let (length, bytes) = (natural.output_len(), digest.as_ref());
    let mut fitted = vec![0; length.saturating_sub(bytes.len())];
    fitted.extend(bytes.iter().take(length));
    Digest::import_less_safe(&fitted, natural)
}

fn digest_of(hash: Hash) -> &'static digest::Algorithm {
    match hash {
        Hash::Sha256 => &digest::SHA256,
        Hash::Sha384 => &digest::SHA384,
        Hash::Sha512 => &digest::SHA512,
    }
}

fn ecdsa(curve: KeyAlgorithm) -> &'static lc::EcdsaSigningAlgorithm {
    match curve {
        KeyAlgorithm::EcdsaP384 => &lc::ECDSA_P384_SHA384_ASN1_SIGNING,
        KeyAlgorithm::EcdsaP521 => &lc::ECDSA_P521_SHA512_ASN1_SIGNING,
        _ => &lc::ECDSA_P256_SHA256_ASN1_SIGNING,
    }
}

fn rsa(hash: Hash) -> &'static dyn lc::RsaEncoding {
    match hash {
        Hash::Sha256 => &lc::RSA_PKCS1_SHA256,
        Hash::Sha384 => &lc::RSA_PKCS1_SHA384,
        Hash::Sha512 => &lc::RSA_PKCS1_SHA512,
    }
}

/// A private key that cannot be read or used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct PrivateKeyError(pub String);

#[cfg(test)]
mod tests;
