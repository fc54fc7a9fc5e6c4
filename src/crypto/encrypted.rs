//! cosign's encrypted private keys: scrypt and NaCl's secretbox around PKCS#8, in JSON, in PEM.
//!
//! It stands here, and not beside the providers, so that no function has to give a key out in the clear.
//! Source: `pkg/cosign/keys.go` of cosign, `encrypted/encrypted.go` of go-securesystemslib.

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::AeadInPlace;
use crypto_secretbox::{Key, KeyInit, Nonce, Tag, XSalsa20Poly1305};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::crypto::pem;
use crate::crypto::{PrivateKey, PrivateKeyError};
use crate::model::Secret;

const LABEL: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
// Written by cosign before 2.0; still read.
const OLD_LABEL: &str = "ENCRYPTED COSIGN PRIVATE KEY";
const KDF: &str = "scrypt";
const CIPHER: &str = "nacl/secretbox";
const TAG_LENGTH: usize = 16;

/// A private key that its password opens: the content of cosign's `cosign.key`.
#[derive(Clone, Debug)]
pub struct EncryptedKey {
    cost: ScryptCost,
    salt: Vec<u8>,
    nonce: [u8; 24],
    ciphertext: Vec<u8>,
}

/// How much work a guess at the password costs: the three that cosign reads.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum ScryptCost {
    /// N = 32,768, written by old versions.
    Legacy,
    /// N = 65,536, written by cosign today: 64 MiB and some 200 ms.
    #[default]
    Standard,
    /// N = 131,072.
    Owasp,
}

impl EncryptedKey {
    /// Reads PEM `ENCRYPTED SIGSTORE PRIVATE KEY` or `ENCRYPTED COSIGN PRIVATE KEY`. Asks for no password.
    ///
    /// # Errors
    ///
    /// Everything but [`EncryptedKeyError::WrongPassword`] and [`EncryptedKeyError::Key`].
    ///
    /// # Example
    ///
    /// ```
    /// use countersign::crypto::{EncryptedKey, EncryptedKeyError};
    ///
    /// let plain = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    /// let error = EncryptedKey::from_pem(plain).unwrap_err();
    /// assert_eq!(error, EncryptedKeyError::NotEncrypted("PRIVATE KEY".into()));
    /// ```
    pub fn from_pem(pem: &str) -> Result<Self, EncryptedKeyError> {
        let blocks = pem::blocks(pem);
        let private = blocks.iter().find(|it| it.label.ends_with("PRIVATE KEY"));
        let Some(block) = private.or(blocks.first()) else {
            return Err(EncryptedKeyError::NoPem);
        };
        match block.label {
            LABEL | OLD_LABEL => {}
            // The last is PKCS#8's own encryption, which cosign does not read either.
            "PRIVATE KEY"
            | "RSA PRIVATE KEY"
            | "EC PRIVATE KEY"
            | "OPENSSH PRIVATE KEY"
            | "ENCRYPTED PRIVATE KEY" => {
                return Err(EncryptedKeyError::NotEncrypted(block.label.to_owned()));
            }
            other => return Err(EncryptedKeyError::NoPrivateKey(other.to_owned())),
        }
        let json = block
            .decode()
            .ok_or_else(|| EncryptedKeyError::Malformed("the PEM holds no valid base64".into()))?;
        let envelope: Envelope = serde_json::from_slice(&json)
            .map_err(|error| EncryptedKeyError::Malformed(error.to_string()))?;
        Self::try_from(envelope)
    }

    /// How much work opening it costs.
    pub fn cost(&self) -> ScryptCost {
        self.cost
    }

    /// Opens the key. Takes 0.1 to 0.5 seconds of one core and up to 128 MiB: not for an async thread.
    ///
    /// # Errors
    ///
    /// [`EncryptedKeyError::WrongPassword`], which is also what a damaged file looks like;
    /// [`EncryptedKeyError::Key`] for a key of a kind that is not taken.
    pub fn decrypt(&self, password: &Secret<String>) -> Result<PrivateKey, EncryptedKeyError> {
        let secretbox = secretbox(password, &self.salt, self.cost)?;
        let (tag, sealed) = self
            .ciphertext
            .split_at_checked(TAG_LENGTH)
            .ok_or_else(|| EncryptedKeyError::Malformed("the ciphertext is too short".into()))?;
        let mut opened = Zeroizing::new(sealed.to_vec());
        secretbox
            .decrypt_in_place_detached(
                Nonce::from_slice(&self.nonce),
                b"",
                &mut opened,
                Tag::from_slice(tag),
            )
            .map_err(|_| EncryptedKeyError::WrongPassword)?;
        PrivateKey::from_pkcs8(&Secret::new(std::mem::take(&mut *opened)))
            .map_err(EncryptedKeyError::Key)
    }
}

impl PrivateKey {
    /// The key under a password, as cosign writes it: PEM `ENCRYPTED SIGSTORE PRIVATE KEY`.
    ///
    /// Salt and nonce are new each time. Costs as much as [`EncryptedKey::decrypt`]. An empty password is
    /// taken, as by cosign.
    ///
    /// # Errors
    ///
    /// When the machine gives no random numbers.
    pub fn to_encrypted_pem(&self, password: &Secret<String>) -> Result<String, EncryptedKeyError> {
        self.to_encrypted_pem_at(password, ScryptCost::Standard)
    }

    /// The same at another cost than cosign's own.
    ///
    /// # Errors
    ///
    /// When the machine gives no random numbers.
    pub fn to_encrypted_pem_at(
        &self,
        password: &Secret<String>,
        cost: ScryptCost,
    ) -> Result<String, EncryptedKeyError> {
        let (mut salt, mut nonce) = ([0; 32], [0; 24]);
        for bytes in [salt.as_mut_slice(), nonce.as_mut_slice()] {
            rand::fill(bytes).map_err(|_| {
                EncryptedKeyError::Key(PrivateKeyError("there are no random numbers".into()))
            })?;
        }
        let pkcs8 = self.to_pkcs8().map_err(EncryptedKeyError::Key)?;
        let mut sealed = Zeroizing::new(pkcs8.expose().clone());
        let tag = secretbox(password, &salt, cost)?
            .encrypt_in_place_detached(Nonce::from_slice(&nonce), b"", &mut sealed)
            .map_err(|_| EncryptedKeyError::Malformed("the key cannot be sealed".into()))?;
        let envelope = Envelope {
            kdf: Kdf { name: KDF.into(), params: cost.params(), salt: STANDARD.encode(salt) },
            cipher: Cipher { name: CIPHER.into(), nonce: STANDARD.encode(nonce) },
            ciphertext: STANDARD.encode([tag.as_slice(), &sealed].concat()),
        };
        let json = serde_json::to_vec(&envelope)
            .map_err(|error| EncryptedKeyError::Malformed(error.to_string()))?;
        Ok(pem::encode(LABEL, &json))
    }
}

impl ScryptCost {
    const ALL: [Self; 3] = [Self::Legacy, Self::Standard, Self::Owasp];

    fn log_n(self) -> u8 {
        match self {
            Self::Legacy => 15,
            Self::Standard => 16,
            Self::Owasp => 17,
        }
    }

    fn params(self) -> Params {
        Params { n: 1 << self.log_n(), r: 8, p: 1 }
    }
}

fn secretbox(
    password: &Secret<String>,
    salt: &[u8],
    cost: ScryptCost,
) -> Result<XSalsa20Poly1305, EncryptedKeyError> {
    let malformed = |text: String| EncryptedKeyError::Malformed(text);
    let params = scrypt::Params::new(cost.log_n(), 8, 1).map_err(|it| malformed(it.to_string()))?;
    let mut key = Key::default();
    scrypt::scrypt(password.expose().as_bytes(), salt, &params, &mut key)
        .map_err(|it| malformed(it.to_string()))?;
    let secretbox = XSalsa20Poly1305::new(&key);
    key.as_mut_slice().zeroize();
    Ok(secretbox)
}

// The order of the fields is the order in which Go writes them.
#[derive(Deserialize, Serialize)]
struct Envelope {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Deserialize, Serialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Clone, Copy, Deserialize, Eq, PartialEq, Serialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u64,
    p: u64,
}

#[derive(Deserialize, Serialize)]
struct Cipher {
    name: String,
    nonce: String,
}

impl TryFrom<Envelope> for EncryptedKey {
    type Error = EncryptedKeyError;

    fn try_from(envelope: Envelope) -> Result<Self, EncryptedKeyError> {
        if envelope.kdf.name != KDF {
            return Err(EncryptedKeyError::UnknownKdf(envelope.kdf.name));
        }
        if envelope.cipher.name != CIPHER {
            return Err(EncryptedKeyError::UnknownCipher(envelope.cipher.name));
        }
        let params = envelope.kdf.params;
        let cost = ScryptCost::ALL
            .into_iter()
            .find(|it| it.params() == params)
            .ok_or(EncryptedKeyError::UnknownCost { n: params.n, r: params.r, p: params.p })?;
        let nonce = bytes("nonce", &envelope.cipher.nonce)?
            .try_into()
            .map_err(|_| EncryptedKeyError::Malformed("the nonce has not 24 bytes".into()))?;
        let salt = bytes("salt", &envelope.kdf.salt)?;
        let ciphertext = bytes("ciphertext", &envelope.ciphertext)?;
        if ciphertext.len() <= TAG_LENGTH {
            return Err(EncryptedKeyError::Malformed("the ciphertext is too short".into()));
        }
        Ok(Self { cost, salt, nonce, ciphertext })
    }
}

fn bytes(field: &str, base64: &str) -> Result<Vec<u8>, EncryptedKeyError> {
    STANDARD
        .decode(base64)
        .map_err(|_| EncryptedKeyError::Malformed(format!("the {field} is not base64")))
}

/// A key file that cannot be read or opened.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptedKeyError {
    /// It opened, and what is inside is no key that is taken.
    #[error("the decrypted content is no key that is taken: {0}")]
    Key(PrivateKeyError),
    /// The PEM is right, its content is not.
    #[error("the encrypted key is damaged: {0}")]
    Malformed(String),
    /// There is no PEM at all.
    #[error("this is no PEM: no `-----BEGIN {LABEL}-----`")]
    NoPem,
    /// A PEM of another kind: its label, such as `PUBLIC KEY`.
    #[error("this is a PEM `{0}`, not an encrypted private key")]
    NoPrivateKey(String),
    /// A private key that is not in cosign's format: its label.
    #[error("this private key (PEM `{0}`) is not in cosign's encrypted format")]
    NotEncrypted(String),
    /// Encrypted with another cipher than `nacl/secretbox`.
    #[error("the key is encrypted with `{0}`, not with {CIPHER}")]
    UnknownCipher(String),
    /// Not one of the three costs.
    #[error("the scrypt cost N={n}, r={r}, p={p} is not one that cosign reads")]
    UnknownCost {
        /// The cost of work and memory.
        n: u64,
        /// The block size.
        r: u64,
        /// The parallelisation.
        p: u64,
    },
    /// Derived from the password by something else than `scrypt`.
    #[error("the password is stretched with `{0}`, not with {KDF}")]
    UnknownKdf(String),
    /// The password is wrong, or the file was changed.
    #[error("the password does not open the key")]
    WrongPassword,
}

#[cfg(test)]
mod tests;
