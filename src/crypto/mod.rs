//! Keys, signatures and certificates as values: parse, sign, verify. Pure: no file, no network, no clock.

mod authorities;
mod certificate;
mod chain;
mod encrypted;
#[cfg(test)]
mod fixtures;
mod identity;
mod pem;
mod private_key;
mod public_key;
mod scheme;
mod signature;

pub use authorities::Authorities;
pub use certificate::{Certificate, CertificateError};
pub use chain::Chain;
pub use encrypted::{EncryptedKey, EncryptedKeyError, ScryptCost};
pub use identity::{IdentityPattern, TextPattern, Workflow};
pub use private_key::{PrivateKey, PrivateKeyError};
pub use public_key::{PublicKey, PublicKeyError};
pub use scheme::{Hash, KeyAlgorithm};
pub use signature::{SignatureBytes, SignatureError};
