//! The bytes that are signed, and the manifests that carry signatures. Pure.

mod bundle;
mod carrier;
mod dsse;
mod log_entry;
mod proto_json;
mod referrer;
mod simple_signing;
mod statement;
mod timestamp;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use bundle::{
    BUNDLE_MEDIA_TYPE, Bundle, BundleError, Material, NewBundle, envelope_json,
    statement_signed_bytes,
};
pub use carrier::{
    Addition, Carrier, CarrierBytes, CarrierError, CarrierLayer, LayerId, annotation,
};
pub use dsse::{Envelope, EnvelopeSignature, pre_authentication_encoding};
pub use log_entry::{EntryKind, InclusionProof, LogEntry, LogEntryError};
pub use referrer::{EMPTY_CONFIG, ReferrerKind, bundle_referrer, listing_of, referrer_kind};
pub use simple_signing::{Claim, ClaimError, SimpleSigning};
pub use statement::{SIGN_PREDICATE, SignStatement, Statement};
pub use timestamp::{timestamp_from_annotation, timestamp_to_annotation};

/// How a signature is written and where it is kept.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Format {
    /// cosign's claim in the manifest behind the tag `sha256-<hex>.sig`.
    SimpleSigning,
    /// A sigstore bundle in an OCI referrer.
    Bundle,
}

impl Format {
    /// How many log entries, and how many timestamps, a signature can carry.
    ///
    /// A layer of a simple signature has one annotation for each.
    pub fn most_evidence(self) -> usize {
        match self {
            Self::SimpleSigning => 1,
            Self::Bundle => usize::MAX,
        }
    }

    /// The name in a spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::SimpleSigning => "simple-signing",
            Self::Bundle => "bundle",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
