//! What is there: the signatures that were found on a subject, and what could not be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::crypto::{Certificate, Chain, Hash, PublicKey};
use crate::model::{Digest, SignerName, Timestamp};
use crate::payload::{Claim, Format, LayerId};
use crate::plan::{Failure, IndexFault, SignerProfile};

/// The signers of a run: what they declare, and their public keys or why these could not be had.
pub type Signers = BTreeMap<SignerName, SignerState>;

/// One signer of a run.
#[derive(Clone, Debug)]
pub struct SignerState {
    /// What the spec says of it.
    pub profile: Arc<SignerProfile>,
    /// Its public key.
    pub key: SignerKey,
}

impl SignerState {
    /// A signer whose evidence nothing depends on.
    pub fn new(profile: SignerProfile, key: SignerKey) -> Self {
        Self { profile: Arc::new(profile), key }
    }
}

/// Whether the public key of a signer is known.
#[derive(Clone, Debug)]
pub enum SignerKey {
    /// It is.
    Known(PublicKey),
    /// There is none: whoever holds a certificate for its identity signs with a key of their own.
    Identity,
    /// There is none: a signature is this signer's only if it is the very one that is to be attached.
    Unchecked,
    /// Nothing in this run needs it, so it was not asked for.
    NotNeeded,
    /// It could not be had, so whose signatures are whose is unknown.
    Unknown(Failure),
}

impl SignerState {
    /// The public key, where it is known.
    pub fn public_key(&self) -> Option<&PublicKey> {
        match &self.key {
            SignerKey::Known(key) => Some(key),
            SignerKey::Identity
            | SignerKey::NotNeeded
            | SignerKey::Unchecked
            | SignerKey::Unknown(_) => None,
        }
    }

    /// Who a reviewer approves: the fingerprint of the public key, where it is known.
    pub fn fingerprint(&self) -> Option<Digest> {
        self.public_key().map(PublicKey::fingerprint)
    }
}

/// What was found of one target.
#[derive(Clone, Debug)]
pub enum Observed {
    /// The subject itself does not exist.
    Missing,
    /// The signatures that were found; none is an empty list.
    Read {
        /// The digest of the manifest that carries them; none where there is no such manifest.
        carrier: Option<Digest>,
        /// What refers to the subject.
        referrers: SeenReferrers,
        /// The signatures, in the order of the manifest, then of the referrers.
        found: Vec<Found>,
    },
    /// The signatures could not be read: nothing is known.
    Unreadable(Failure),
}

/// What was seen of the referrers of a subject.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SeenReferrers {
    /// The digests that are listed; none where nothing depended on them.
    pub listed: Option<BTreeSet<Digest>>,
    /// The digest of the index behind the referrers tag, where there is one.
    pub index: Option<Digest>,
    /// How many of them cosign 3 takes for bundles, attestations included.
    pub bundles: usize,
    /// What is wrong with that index.
    pub faults: Vec<IndexFault>,
}

/// One signature that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// In which format.
    pub format: Format,
    /// Its place in the manifest, or among the referrers, from 0.
    pub position: usize,
    /// What tells it from others.
    pub id: LayerId,
    /// Whose it is, and whether it can count.
    pub verdict: Verdict,
    /// What its payload says; none where the payload was not read or is no claim.
    pub claim: Option<Arc<Claim>>,
    /// The certificate that it carries.
    pub certificate: Option<Certificate>,
    /// The chain above the certificate.
    pub chain: Option<Chain>,
    /// Whether it carries a log entry or a timestamp, which are bound to these very bytes.
    pub evidence: Evidence,
    /// The earliest moment at which it is proven to have existed.
    pub proven: Option<Timestamp>,
    /// Why cosign 3.1 passes over it though it is good: the form of its bundle.
    pub passed_over: Option<&'static str>,
}

/// What a signature carries besides a certificate.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Evidence {
    /// A log entry.
    pub log_entry: bool,
    /// A timestamp.
    pub timestamp: bool,
}

impl Evidence {
    /// Neither.
    pub fn is_none(self) -> bool {
        !self.log_entry && !self.timestamp
    }
}

/// Whose a signature is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It is kept as cosign 2's experimental referrers mode wrote it, where next to nothing reads it: it
    /// never counts, and is never removed.
    Experimental {
        /// Under whose key it verifies.
        signer: Option<SignerName>,
    },
    /// It verifies under the key of this signer, with this hash.
    Signed {
        /// Whose.
        signer: SignerName,
        /// With which hash.
        hash: Hash,
    },
    /// It verifies under no key of the spec, or is broken: it never counts.
    Stranger,
    /// Nothing depends on it, so its payload was not read.
    Unexamined,
    /// Its payload could not be read: whose it is, is unknown.
    Unreadable(Failure),
}

impl Found {
    /// The signer under whose key it verifies.
    pub fn signer(&self) -> Option<&SignerName> {
        match &self.verdict {
            Verdict::Signed { signer, .. } => Some(signer),
            Verdict::Experimental { .. }
            | Verdict::Stranger
            | Verdict::Unexamined
            | Verdict::Unreadable(_) => None,
        }
    }
}
