//! Private keys for the fakes: made and used with the cryptographic library itself, not with code of ours.

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as lc, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A new private key.
pub enum RealKey {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl RealKey {
    /// Makes one of a kind as Vault names it: `ecdsa-p256`, `rsa-2048`, `ed25519`.
    pub fn generate(kind: &str) -> Option<Self> {
        let ecdsa = |algorithm| Self::Ecdsa(EcdsaKeyPair::generate(algorithm).unwrap());
        let rsa = |size| Self::Rsa(RsaKeyPair::generate(size).unwrap());
        Some(match kind {
            "ecdsa-p256" => ecdsa(&lc::ECDSA_P256_SHA256_ASN1_SIGNING),
            "ecdsa-p384" => ecdsa(&lc::ECDSA_P384_SHA384_ASN1_SIGNING),
            "ecdsa-p521" => ecdsa(&lc::ECDSA_P521_SHA512_ASN1_SIGNING),
            "ed25519" => Self::Ed25519(Ed25519KeyPair::generate().unwrap()),
            "rsa-2048" => rsa(KeySize::Rsa2048),
            "rsa-3072" => rsa(KeySize::Rsa3072),
            "rsa-4096" => rsa(KeySize::Rsa4096),
            _ => return None,
        })
    }

    /// PKIX PEM.
    pub fn public_pem(&self) -> String {
        let der = match self {
            Self::Ecdsa(pair) => pair.public_key().as_der().unwrap(),
            Self::Ed25519(pair) => pair.public_key().as_der().unwrap(),
            Self::Rsa(pair) => pair.public_key().as_der().unwrap(),
        };
        let body = STANDARD.encode(der.as_ref());
        let lines: Vec<_> =
            body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// PKCS#8 PEM of an RSA key, as clouds hand out keys of service accounts.
    pub fn private_pem(&self) -> Option<String> {
        let Self::Rsa(pair) = self else { return None };
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let body = STANDARD.encode(der.as_ref());
        Some(format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"))
    }

    /// The 32 bytes of an Ed25519 key.
    pub fn raw_public(&self) -> Option<Vec<u8>> {
        match self {
            Self::Ed25519(pair) => Some(pair.public_key().as_ref().to_vec()),
            _ => None,
        }
    }

    /// Signs a digest of SHA-256, 384 or 512, by its length. ECDSA as ASN.1 DER, RSA as PKCS#1 v1.5.
    pub fn sign_digest(&self, hashed: &[u8]) -> Option<Vec<u8>> {
        let hash = match hashed.len() {
            32 => &digest::SHA256,
            48 => &digest::SHA384,
            64 => &digest::SHA512,
            _ => return None,
        };
        match self {
            Self::Ecdsa(pair) => {
                // The leftmost bits of a longer digest; zeros before a shorter one.
                let natural = if *pair.algorithm() == lc::ECDSA_P256_SHA256_ASN1_SIGNING {
                    &digest::SHA256
                } else if *pair.algorithm() == lc::ECDSA_P384_SHA384_ASN1_SIGNING {
                    &digest::SHA384
                } else {
                    &digest::SHA512
                };
                let mut fitted = vec![0; natural.output_len().saturating_sub(hashed.len())];
                fitted.extend(hashed.iter().take(natural.output_len()));
                let fitted = Digest::import_less_safe(&fitted, natural).unwrap();
                Some(pair.sign_digest(&fitted).unwrap().as_ref().to_vec())
            }
            Self::Ed25519(_) => None,
            Self::Rsa(pair) => {
                let encoding: &'static dyn lc::RsaEncoding = match hashed.len() {
                    32 => &lc::RSA_PKCS1_SHA256,
                    48 => &lc::RSA_PKCS1_SHA384,
                    _ => &lc::RSA_PKCS1_SHA512,
                };
                let hashed = Digest::import_less_safe(hashed, hash).unwrap();
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign_digest(encoding, &hashed, &mut signature).unwrap();
                Some(signature)
            }
        }
    }

    /// Signs a message: hashed with `hash` first, but for Ed25519, which has none.
    pub fn sign(&self, message: &[u8], hash: &'static digest::Algorithm) -> Vec<u8> {
        match self {
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            _ => self.sign_digest(digest::digest(hash, message).as_ref()).unwrap(),
        }
    }

    /// Says whether a signature over a message is good.
    pub fn verifies(&self, message: &[u8], hash: &str, signature: &[u8]) -> bool {
        let algorithm: &dyn lc::VerificationAlgorithm = match (self, hash) {
            (Self::Ed25519(_), _) => &lc::ED25519,
            (Self::Rsa(_), "sha2-256") => &lc::RSA_PKCS1_2048_8192_SHA256,
            (Self::Rsa(_), "sha2-384") => &lc::RSA_PKCS1_2048_8192_SHA384,
            (Self::Rsa(_), _) => &lc::RSA_PKCS1_2048_8192_SHA512,
            (Self::Ecdsa(pair), "sha2-256")
                if *pair.algorithm() == lc::ECDSA_P256_SHA256_ASN1_SIGNING =>
            {
                &lc::ECDSA_P256_SHA256_ASN1
            }
            (Self::Ecdsa(pair), "sha2-384")
                if *pair.algorithm() == lc::ECDSA_P384_SHA384_ASN1_SIGNING =>
            {
                &lc::ECDSA_P384_SHA384_ASN1
            }
            (Self::Ecdsa(pair), "sha2-512")
                if *pair.algorithm() == lc::ECDSA_P521_SHA512_ASN1_SIGNING =>
            {
                &lc::ECDSA_P521_SHA512_ASN1
            }
            _ => return false,
        };
        let public = match self {
            Self::Ecdsa(pair) => pair.public_key().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            Self::Rsa(pair) => pair.public_key().as_ref().to_vec(),
        };
        lc::UnparsedPublicKey::new(algorithm, public).verify(message, signature).is_ok()
    }
}

/// A number that nobody guesses, as text.
pub fn random() -> String {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::SecureRandom::fill(&SystemRandom::new(), &mut bytes).unwrap();
    hex::encode(bytes)
}
