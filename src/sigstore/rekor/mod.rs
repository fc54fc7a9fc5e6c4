//! Rekor: transparency logs, in which every signature can be found.

mod entry;
mod tiles;
mod v1;
mod v2;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::crypto::Hash;
use crate::model::SafeUrl;
use crate::payload::LogEntry;
use crate::sigstore::{Endpoint, Network, ServiceError};
use crate::trust::{Signed, TrustedRoot};

pub use entry::Recorded;
pub use v1::RekorV1;
pub use v2::RekorV2;

pub(super) const RECORD: &str = "record a signature in";

/// A transparency log.
#[async_trait]
pub trait Log: fmt::Debug + Send + Sync {
    /// Where it is.
    fn at(&self) -> SafeUrl;

    /// Records a signature, and gives the entry. Nothing of it is verified.
    ///
    /// An entry that is there already is fetched: twice is the same as once.
    ///
    /// # Errors
    ///
    /// Codes of the area `rekor`; `rekor::refused` where the log has no form for such a key or hash.
    async fn record(&self, signed: &Signed<'_>, hash: Hash) -> Result<LogEntry, ServiceError>;

    /// Why the log has no form for signatures of this kind; none where it has. Sends nothing.
    fn refuses(&self, signed: &Signed<'_>, hash: Hash) -> Option<ServiceError>;

    /// The signatures over what has this SHA-256 that the log finds, the newest first. Nothing of them is verified.
    ///
    /// Empty where the log cannot search, or does not answer: what was recorded then is recorded again.
    async fn find(&self, digest: &[u8; 32]) -> Vec<Recorded>;
}

/// The log at an address of a signing config, by its version. Sends nothing.
///
/// # Errors
///
/// `rekor::refused` for what is no URL; `rekor::tls`.
pub(super) fn open(
    endpoint: &Endpoint,
    trust: &TrustedRoot,
    network: &Network,
) -> Result<Arc<dyn Log>, ServiceError> {
    Ok(match endpoint.version {
        1 => Arc::new(RekorV1::new(&endpoint.url, network)?),
        _ => Arc::new(RekorV2::new(&endpoint.url, trust.log_ids(), network)?),
    })
}
