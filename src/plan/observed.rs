//! What is there: the signatures that were found on a subject, and what could not be seen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::crypto::{Certificate, Chain, Hash, PublicKey};
use crate::model::{Digest, SignerName, Timestamp};
use crate::payload::{Claim, Format, LayerId};
use crate::plan::{Failure, IndexFault, Services, SignerProfile, identity_text};
use crate::trust::TrustedRoot;

/// The signers of a run: what they declare, and their public keys or why these could not be had.
pub type Signers = BTreeMap<SignerName, SignerState>;

/// One signer of a run.
#[derive(Clone, Debug)]
pub struct SignerState {
    /// What the spec says of it.
    pub profile: Arc<SignerProfile>,
    /// Its public key.
    pub key: SignerKey,
    /// What its log entries, timestamps and certificates of identities are checked with.
    pub trust: SignerTrust,
    /// What services put into its new signatures.
    pub services: Services,
}

/// Whether the keys and authorities are known that vouch for the evidence of a signer.
#[derive(Clone, Debug, Default)]
pub enum SignerTrust {
    /// Nothing in this run needs them.
    #[default]
    NotNeeded,
    /// They are.
    Known(Arc<TrustedRoot>),
    /// They could not be had, so which evidence holds is unknown.
    Unknown(Failure),
}

impl SignerState {
    /// A signer whose evidence nothing depends on.
    pub fn new(profile: SignerProfile, key: SignerKey) -> Self {
        Self {
            profile: Arc::new(profile),
            key,
            trust: SignerTrust::NotNeeded,
            services: Services::default(),
        }
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

    /// Who a reviewer approves: the fingerprint of the public key, else of what is declared of the
    /// identity; none where neither is known.
    pub fn fingerprint(&self) -> Option<Digest> {
        let identity = self.profile.identity.as_ref();
        let identity = identity.map(|it| Digest::of(identity_text(it).as_bytes()));
        self.public_key().map(PublicKey::fingerprint).or(identity)
    }

    /// The keys and authorities that its evidence is checked with, where they are known.
    pub fn root(&self) -> Option<&TrustedRoot> {
        match &self.trust {
            SignerTrust::Known(root) => Some(root),
            SignerTrust::NotNeeded | SignerTrust::Unknown(_) => None,
        }
    }

    /// Why it cannot be told which signatures are this signer's, or whether their evidence holds.
    pub fn unknown(&self) -> Option<&Failure> {
        match (&self.key, &self.trust) {
            (SignerKey::Unknown(reason), _) | (_, SignerTrust::Unknown(reason)) => Some(reason),
            _ => None,
        }
    }

    /// Says whether every signature of this signer is recognised.
    pub fn is_known(&self) -> bool {
        match (&self.key, &self.trust) {
            (_, SignerTrust::Unknown(_)) => false,
            (SignerKey::Known(_), _) | (SignerKey::Identity, SignerTrust::Known(_)) => true,
            _ => false,
        }
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
    /// The log entries and timestamps that it carries, which are bound to these very bytes.
    pub carried: Evidence,
    /// Those of them that hold.
    pub evidence: Evidence,
    /// What it carries as a proof and what does not hold: certificates, log entries, timestamps.
    pub problems: Box<[EvidenceFault]>,
    /// The earliest moment at which it is proven to have existed.
    pub proven: Option<Timestamp>,
    /// Why cosign 3.1 passes over it though it is good: the form of its bundle.
    pub passed_over: Option<&'static str>,
}

/// Something that a signature carries as a proof and that does not hold.
#[derive(
    Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, schemars::JsonSchema,
)]
pub struct EvidenceFault {
    /// The stable code: `trust::promise_wrong`. See docs/errors.md.
    pub code: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for EvidenceFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

/// What proves besides a certificate: how much of it there is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Evidence {
    /// Entries in transparency logs.
    pub log_entries: u16,
    /// Timestamps of authorities.
    pub timestamps: u16,
}

impl Evidence {
    /// So many log entries and timestamps.
    pub fn counted(log_entries: usize, timestamps: usize) -> Self {
        let count = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
        Self { log_entries: count(log_entries), timestamps: count(timestamps) }
    }

    /// Neither.
    pub fn is_none(self) -> bool {
        self.log_entries == 0 && self.timestamps == 0
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
