//! Public keys.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature as lc;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::asn1::{ObjectIdentifier, UintRef};
use der::{Decode, Reader, SliceReader};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use crate::crypto::pem;
use crate::crypto::{Hash, KeyAlgorithm, SignatureBytes};
use crate::model::Digest;

/// A public key that has been read and whose algorithm is known.
///
/// Keys are equal when their canonical PKIX DER is. Cloning costs no allocation; the key is parsed once.
#[derive(Clone)]
pub struct PublicKey(Arc<Parsed>);

struct Parsed {
    algorithm: KeyAlgorithm,
    spki: Box<[u8]>,
    verifiers: [lc::ParsedPublicKey; 3],
}

impl PublicKey {
    /// Reads a PEM `PUBLIC KEY` (PKIX) or `RSA PUBLIC KEY` (PKCS#1), the two that cosign takes.
    ///
    /// # Errors
    ///
    /// When there is no such block (the error says what is there instead), or its key is not one that
    /// [`KeyAlgorithm`] names.
    ///
    /// # Example
    ///
    /// ```
    /// use countersign::crypto::{KeyAlgorithm, PublicKey};
    ///
    /// let key = PublicKey::from_pem(
    ///     "-----BEGIN PUBLIC KEY-----\n\
    ///      MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEDOaq6LDz+iBj/gQSORZm5UfUbYym\n\
    ///      Tg54cfZYlqw8Clmgl0uVi6OQvpvOOg4KUsl2mQb//28JqJGW/lEzOOoEJA==\n\
    ///      -----END PUBLIC KEY-----\n",
    /// )?;
    /// assert_eq!(key.algorithm(), KeyAlgorithm::EcdsaP256);
    /// assert!(PublicKey::from_pem("release.pub").is_err());
    /// # Ok::<(), countersign::crypto::PublicKeyError>(())
    /// ```
    pub fn from_pem(pem: &str) -> Result<Self, PublicKeyError> {
        let blocks = pem::blocks(pem);
        let Some(block) = blocks.iter().find(|it| is_public(it.label)).or(blocks.first()) else {
            return Err(PublicKeyError("this is no PEM: no `-----BEGIN PUBLIC KEY-----`".into()));
        };
        match block.label {
            "CERTIFICATE" => {
                return Err(PublicKeyError(
                    "this is a certificate, not a public key: give it as `certificate`, and here its key (openssl x509 -noout -pubkey)".into(),
                ));
            }
            label if label.ends_with("PRIVATE KEY") => {
                return Err(PublicKeyError(format!(
                    "this is a private key ({label}), not a public key"
                )));
            }
            label if !is_public(label) => {
                return Err(PublicKeyError(format!("this is a PEM `{label}`, not a `PUBLIC KEY`")));
            }
            _ => {}
        }
        let der = block.decode().ok_or_else(|| {
            PublicKeyError(format!("the PEM `{}` holds no valid base64", block.label))
        })?;
        match block.label {
            "RSA PUBLIC KEY" => Self::from_rsa(&der, &SIGNER_BITS),
            _ => Self::from_der(&der),
        }
    }

    /// Reads PKIX DER.
    ///
    /// # Errors
    ///
    /// When it is no DER, or a key of another kind than [`KeyAlgorithm`] names.
    pub fn from_der(der: &[u8]) -> Result<Self, PublicKeyError> {
        Self::from_spki(der, &SIGNER_BITS)
    }

    /// Reads the key of an authority or a log: the same kinds, but any RSA size that verifies.
    pub(crate) fn of_authority(der: &[u8]) -> Result<Self, PublicKeyError> {
        Self::from_spki(der, &AUTHORITY_BITS)
    }

    fn from_spki(der: &[u8], rsa: &RsaBits) -> Result<Self, PublicKeyError> {
        let info = SubjectPublicKeyInfoRef::from_der(der)
            .map_err(|error| PublicKeyError(format!("this is no PKIX public key: {error}")))?;
        match info.algorithm.oid {
            ALGORITHM_RSA => {
                let key = info.subject_public_key.as_bytes().unwrap_or_default();
                Self::from_rsa(key, rsa)
            }
            ALGORITHM_EC => {
                let curve = info.algorithm.parameters.and_then(|it| it.decode_as().ok());
                let curve = curve.ok_or_else(|| {
                    PublicKeyError("the elliptic curve is not given by its name".into())
                })?;
                let algorithm = curve_algorithm(curve)?;
                Self::parsed(algorithm, der)
            }
            ALGORITHM_ED25519 => Self::parsed(KeyAlgorithm::Ed25519, der),
            other => Err(PublicKeyError(format!(
                "the key algorithm {} is not taken: use ECDSA P-256, P-384 or P-521, RSA or Ed25519",
                algorithm_name(other)
            ))),
        }
    }

    fn from_rsa(pkcs1: &[u8], taken: &RsaBits) -> Result<Self, PublicKeyError> {
        let malformed =
            |error: der::Error| PublicKeyError(format!("this is no RSA public key: {error}"));
        let bits = modulus_bits(pkcs1).map_err(malformed)?;
        if !(taken.accepts)(bits) {
            return Err(PublicKeyError(format!(
                "an RSA key of {bits} bits is not taken: use {}",
                taken.text
            )));
        }
        let bits = u16::try_from(bits)
            .map_err(|_| PublicKeyError(format!("an RSA key of {bits} bits is too long")))?;
        Self::parsed(KeyAlgorithm::Rsa(bits), pkcs1)
    }

    /// Lets the cryptographic library read the key, and writes it down in the one canonical form.
    fn parsed(algorithm: KeyAlgorithm, encoded: &[u8]) -> Result<Self, PublicKeyError> {
        let wrong = |_| PublicKeyError(format!("this is no valid {algorithm} public key"));
        let parse = |hash| lc::ParsedPublicKey::new(verification(algorithm, hash), encoded);
        let [first, second, third] = Hash::ALL.map(parse);
        let verifiers = [first.map_err(wrong)?, second.map_err(wrong)?, third.map_err(wrong)?];
        let [first, ..] = &verifiers;
        let spki = first.as_der().map_err(|_| {
            PublicKeyError(format!("the {algorithm} public key cannot be written as PKIX"))
        })?;
        let spki = Box::from(spki.as_ref());
        Ok(Self(Arc::new(Parsed { algorithm, spki, verifiers })))
    }

    /// PEM `PUBLIC KEY`, with a newline at the end, as cosign writes it.
    pub fn to_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.0.spki)
    }

    /// PKIX DER.
    pub fn as_der(&self) -> &[u8] {
        &self.0.spki
    }

    /// The algorithm.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.0.algorithm
    }

    /// SHA-256 of the PKIX DER: who signed.
    pub fn fingerprint(&self) -> Digest {
        Digest::of(&self.0.spki)
    }

    /// The fingerprint in base64: the `hint` of a sigstore bundle.
    pub fn hint(&self) -> String {
        STANDARD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.0.spki))
    }

    /// Says whether `signature` is good over `message` with `hash`, which Ed25519 ignores.
    ///
    /// Every hash goes with every curve and RSA size, as in cosign. Costs 20 to 300 microseconds.
    pub fn verifies(&self, message: &[u8], signature: &SignatureBytes, hash: Hash) -> bool {
        let [sha256, sha384, sha512] = &self.0.verifiers;
        let verifier = match hash {
            Hash::Sha256 => sha256,
            Hash::Sha384 => sha384,
            Hash::Sha512 => sha512,
        };
        verifier.verify_sig(message, signature.as_bytes()).is_ok()
    }

    /// The hash with which the signature is good, `preferred` first; `None` where it is bad.
    ///
    /// Ed25519 has no hash of its own: a good signature is said to have the preferred one.
    pub fn verifying_hash(
        &self,
        message: &[u8],
        signature: &SignatureBytes,
        preferred: Hash,
    ) -> Option<Hash> {
        let others = match self.algorithm() {
            KeyAlgorithm::Ed25519 => [].as_slice(),
            _ => Hash::ALL.as_slice(),
        };
        let others = others.iter().copied().filter(|hash| *hash != preferred);
        std::iter::once(preferred)
            .chain(others)
            .find(|hash| self.verifies(message, signature, *hash))
    }
}

pub(super) const ALGORITHM_RSA: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
pub(super) const ALGORITHM_EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(super) const ALGORITHM_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Which RSA sizes are taken, in bits.
struct RsaBits {
    accepts: fn(usize) -> bool,
    text: &'static str,
}

// `goodkey` of Let's Encrypt, which cosign asks about a key: these three and no other.
const SIGNER_BITS: RsaBits =
    RsaBits { accepts: |bits| matches!(bits, 2048 | 3072 | 4096), text: "2048, 3072 or 4096 bits" };
// What webpki and aws-lc verify.
const AUTHORITY_BITS: RsaBits =
    RsaBits { accepts: |bits| matches!(bits, 2048..=8192), text: "2048 to 8192 bits" };

/// The algorithm that an `AlgorithmIdentifier` of a public or private key names; RSA without its size.
pub(super) fn curve_algorithm(curve: ObjectIdentifier) -> Result<KeyAlgorithm, PublicKeyError> {
    let name = match curve.to_string().as_str() {
        "1.2.840.10045.3.1.7" => return Ok(KeyAlgorithm::EcdsaP256),
        "1.3.132.0.34" => return Ok(KeyAlgorithm::EcdsaP384),
        "1.3.132.0.35" => return Ok(KeyAlgorithm::EcdsaP521),
        "1.3.132.0.10" => "secp256k1".into(),
        "1.3.132.0.33" => "P-224".into(),
        other => other.to_owned(),
    };
    Err(PublicKeyError(format!("the curve {name} is not taken: use P-256, P-384 or P-521")))
}

fn algorithm_name(oid: ObjectIdentifier) -> String {
    match oid.to_string().as_str() {
        "1.2.840.10040.4.1" => "DSA".into(),
        "1.2.840.113549.1.1.10" => "RSASSA-PSS".into(),
        "1.3.101.110" => "X25519".into(),
        "1.3.101.113" => "Ed448".into(),
        other => other.to_owned(),
    }
}

fn is_public(label: &str) -> bool {
    matches!(label, "PUBLIC KEY" | "RSA PUBLIC KEY")
}

fn modulus_bits(pkcs1: &[u8]) -> der::Result<usize> {
    let mut reader = SliceReader::new(pkcs1)?;
    let bits = reader.sequence(|inner| {
        let modulus = UintRef::decode(inner)?;
        let _exponent = UintRef::decode(inner)?;
        let first = modulus.as_bytes().first().map_or(8, |it| it.leading_zeros() as usize);
        Ok(modulus.as_bytes().len() * 8 - first)
    })?;
    reader.finish(bits)
}

/// aws-lc-rs verifies every curve with every hash, so no digest is handed over by itself.
fn verification(algorithm: KeyAlgorithm, hash: Hash) -> &'static dyn lc::VerificationAlgorithm {
    match (algorithm, hash) {
        (KeyAlgorithm::EcdsaP256, Hash::Sha256) => &lc::ECDSA_P256_SHA256_ASN1,
        (KeyAlgorithm::EcdsaP256, Hash::Sha384) => &lc::ECDSA_P256_SHA384_ASN1,
        (KeyAlgorithm::EcdsaP256, Hash::Sha512) => &lc::ECDSA_P256_SHA512_ASN1,
        (KeyAlgorithm::EcdsaP384, Hash::Sha256) => &lc::ECDSA_P384_SHA256_ASN1,
        (KeyAlgorithm::EcdsaP384, Hash::Sha384) => &lc::ECDSA_P384_SHA384_ASN1,
        (KeyAlgorithm::EcdsaP384, Hash::Sha512) => &lc::ECDSA_P384_SHA512_ASN1,
        (KeyAlgorithm::EcdsaP521, Hash::Sha256) => &lc::ECDSA_P521_SHA256_ASN1,
        (KeyAlgorithm::EcdsaP521, Hash::Sha384) => &lc::ECDSA_P521_SHA384_ASN1,
        (KeyAlgorithm::EcdsaP521, Hash::Sha512) => &lc::ECDSA_P521_SHA512_ASN1,
        (KeyAlgorithm::Ed25519, _) => &lc::ED25519,
        (KeyAlgorithm::Rsa(_), Hash::Sha256) => &lc::RSA_PKCS1_2048_8192_SHA256,
        (KeyAlgorithm::Rsa(_), Hash::Sha384) => &lc::RSA_PKCS1_2048_8192_SHA384,
        (KeyAlgorithm::Rsa(_), Hash::Sha512) => &lc::RSA_PKCS1_2048_8192_SHA512,
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.algorithm(), self.fingerprint().short())
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.spki == other.0.spki
    }
}
impl Eq for PublicKey {}

/// Bytes that are no public key that cosign takes.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct PublicKeyError(pub String);

#[cfg(test)]
mod tests;
