//! What should be: the images of a spec and the signatures that they must carry, before any registry is read.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crypto::{Certificate, Chain, Hash, SignatureBytes};
use crate::model::{Annotations, Digest, Glob, Repository, SignerName, Tag};
use crate::payload::{Claim, Format};
use crate::trust::IdentityPolicy;

/// Everything that a spec declares, without a trace of TOML. A user of the library may build it by hand.
#[derive(Clone, Debug, Default)]
pub struct Desired {
    /// The signers by name: those that sign, those whose signatures are attached, and retired ones.
    pub signers: BTreeMap<SignerName, Arc<SignerProfile>>,
    /// The images, in the order of the spec.
    pub images: Vec<Image>,
}

/// What the signatures of one signer must look like, wherever its key is.
#[derive(Clone, Debug)]
pub struct SignerProfile {
    /// Its name in the spec.
    pub name: SignerName,
    /// Whether this run can make its signatures.
    pub ability: Ability,
    /// Whom its certificates must name, where it has no fixed key.
    pub identity: Option<Arc<IdentityPolicy>>,
    /// Its signatures may go: see [`Prune::Retired`].
    pub retired: bool,
    /// The hash that its signatures are made with.
    pub hash: Hash,
    /// The certificate that every signature carries.
    pub certificate: Option<Certificate>,
    /// The chain above the certificate, the root last.
    pub chain: Option<Chain>,
    /// Without proof of time: how long before its end a certificate is replaced.
    pub renew_before: Duration,
    /// Every signature needs an entry in a transparency log.
    pub transparency_log: bool,
    /// Who proves the time of every signature: each then needs as many timestamps. None where the
    /// signer names nobody itself: an identity then takes whom the signing config names.
    pub timestamp_authorities: Option<Vec<TimestampAuthority>>,
}

impl SignerProfile {
    /// A signer that declares nothing but its name and what it can do.
    pub fn new(name: SignerName, ability: Ability) -> Self {
        Self {
            name,
            ability,
            identity: None,
            retired: false,
            hash: Hash::default(),
            certificate: None,
            chain: None,
            renew_before: Duration::ZERO,
            transparency_log: false,
            timestamp_authorities: None,
        }
    }

    /// How many timestamps every signature must carry: those of all authorities that the signer names; a simple
    /// signature has a place for one.
    pub fn timestamps(&self, format: Format) -> usize {
        let named = self.timestamp_authorities.as_ref().map_or(0, Vec::len);
        named.min(format.most_evidence())
    }
}

/// A timestamp authority that a signer names itself (RFC 3161).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TimestampAuthority {
    /// Where to ask for a timestamp: `https://tsa.example.com/api/v1/timestamp`.
    pub url: String,
    /// Its certificates, the root last; none where the trusted root knows it.
    pub chain: Option<Chain>,
}

/// Whether signatures can be made, or only attached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ability {
    /// There is a key: missing signatures are made.
    Sign,
    /// There is only a public key: missing signatures are owed by somebody else.
    VerifyOnly,
    /// There is no key at all: signatures are attached as they are given, unchecked. No spec says this.
    AttachOnly,
}

/// Whether a signature that is there already is enough.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Making {
    /// It is: only what is missing is made. What a spec declares.
    #[default]
    IfMissing,
    /// It is not: one more is made, whatever is there. What `sign --force` asks for.
    OneMore,
}

/// One entry of a spec: which images, and what they must carry.
#[derive(Clone, Debug)]
pub struct Image {
    /// Where it stands in the spec, for reports.
    pub origin: Origin,
    /// Where the images are.
    pub repository: Repository,
    /// Which of them.
    pub selection: Selection,
    /// Only these platforms of an index: `linux/amd64`, `linux/arm64/v8`; empty for all.
    pub platforms: Vec<String>,
    /// What they must carry.
    pub settings: Arc<Settings>,
    /// What the payload names as `docker-reference`, one signature for each; empty for the repository.
    pub container_identity: Vec<String>,
    /// Where the signatures are kept, when not beside the image.
    pub signature_repository: Option<Repository>,
    /// An image that does not exist yet is no failure.
    pub optional: bool,
    /// A pattern that matches no tag is no failure.
    pub allow_empty: bool,
    /// Signatures made elsewhere.
    pub attachments: Vec<Arc<Attachment>>,
}

/// The place of an entry in a spec. Cloning costs no allocation.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Origin {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Which images of a repository are meant.
#[derive(Clone, Debug)]
pub enum Selection {
    /// These digests, whatever their tags.
    Digests(Vec<Digest>),
    /// A tag and the digest that it must name.
    Pinned {
        /// The tag.
        tag: Tag,
        /// The digest.
        digest: Digest,
    },
    /// Whatever these tags name now.
    Tags {
        /// Tags by name.
        names: Vec<Tag>,
        /// Tags by pattern.
        globs: Vec<Glob>,
        /// Patterns and names that are left out.
        exclude: Vec<Glob>,
    },
}

/// What the images of an entry must carry: the defaults and what the entry says itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Who must have signed, in the order of the spec.
    pub sign_with: Vec<SignerName>,
    /// Who must have signed before anything here is signed.
    pub requires: Vec<SignerName>,
    /// In which formats.
    pub formats: Vec<Format>,
    /// With which annotations.
    pub annotations: Arc<Annotations>,
    /// An index and every image in it.
    pub recursive: bool,
    /// What may be removed.
    pub prune: Prune,
}

/// What may be removed from an image; the first is the most careful.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Prune {
    /// Nothing.
    #[default]
    Keep,
    /// Signatures of the image's own signers that match no want.
    Superseded,
    /// Those, and the signatures of signers that are marked `retired`.
    Retired,
    /// Those, and every other signature.
    Undeclared,
}

/// A signature made elsewhere. Subject, container identity and annotations are what its payload says.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Where it stands in the spec.
    pub origin: Origin,
    /// Whose it is.
    pub signer: SignerName,
    /// The file that the payload came from, for messages.
    pub path: PathBuf,
    /// The payload.
    pub payload: Vec<u8>,
    /// What the payload says.
    pub claim: Claim,
    /// The signature over the payload.
    pub signature: SignatureBytes,
    /// The certificate to attach; else the signer's.
    pub certificate: Option<Certificate>,
    /// The chain to attach; else the signer's.
    pub chain: Option<Chain>,
    /// A log entry to attach: the JSON of the `dev.sigstore.cosign/bundle` annotation.
    pub rekor_bundle: Option<String>,
    /// A timestamp to attach: the JSON of the `dev.sigstore.cosign/rfc3161timestamp` annotation.
    pub timestamp: Option<String>,
}
