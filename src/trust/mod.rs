//! Whom a trusted root vouches for: log entries, timestamps, certificates of identities. Pure; time is an argument.
//!
//! Evidence comes from strangers. It counts only where a key or an authority of the root has signed it, over these
//! very bytes, while the root trusted it; what it says of itself counts for nothing.

mod body;
mod certificate_log;
mod error;
mod identity;
mod log;
mod policy;
mod proof;
mod root;
mod timestamp;
mod timestamp_info;

pub use error::{EvidenceProblem, TrustError};
pub use identity::{CertificateIdentity, GithubClaims};
pub use policy::{IdentityPolicy, Matcher, MatcherError, Mismatch};
pub use proof::{Content, Proof, Signed, Verifier};
pub use root::TrustedRoot;

#[cfg(test)]
mod tests;
