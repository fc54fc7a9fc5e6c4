//! One digest with everything that the spec wants of it.

use std::fmt;
use std::sync::Arc;

use crate::model::{Annotations, Digest, Repository, SignerName, Subject};
use crate::payload::{Claim, Format, SignStatement, SimpleSigning};
use crate::plan::{Attachment, Failure, Making, Origin, Prune};

/// A subject and what all entries that reach it want of it, joined.
///
/// There is one for each digest and signature repository, however many tags and entries lead to it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The image.
    pub subject: Subject,
    /// Where its signatures are: the image's repository, or the declared `signature_repository`.
    pub signatures: Repository,
    /// How the spec reached it, in the order of the spec.
    pub names: Vec<Name>,
    /// The signatures that it must carry, in the order of the spec; no two are equal.
    pub wants: Vec<Want>,
    /// The image's own signers, those of its attachments included.
    pub signers: Vec<SignerName>,
    /// The container identities that are declared for it, in whatever format.
    pub identities: Vec<Arc<str>>,
    /// Who must have signed it before it is signed.
    pub requires: Vec<SignerName>,
    /// What may be removed: the most careful of all entries.
    pub prune: Prune,
    /// Whether its absence is no failure.
    pub optional: bool,
    /// Whether it is known to exist.
    pub exists: bool,
    /// The digests that must be signed first: the images of an index.
    pub children: Vec<Digest>,
    /// Tags that no longer name it.
    pub moved: Vec<Moved>,
    /// Why nothing may be decided about it.
    pub blocked: Vec<Failure>,
    /// Whether the registry refuses to overwrite tags.
    pub immutable_tags: bool,
    /// Whether something that could not be read might want more of it: then nothing is cleaned.
    pub incomplete: bool,
}

/// A name by which the spec reached a subject.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Name {
    /// `ghcr.io/acme/api:1.4.2`, or with a platform for the image of an index.
    pub text: Arc<str>,
    /// The entry of the spec.
    pub origin: Origin,
}

/// A tag that names another digest than the declared one.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Moved {
    /// The tag, with its repository.
    pub tag: Arc<str>,
    /// What it names now; none where it is gone.
    pub actual: Option<Digest>,
}

/// One signature that should exist.
#[derive(Clone, Debug)]
pub struct Want {
    /// Whose.
    pub signer: SignerName,
    /// In which format.
    pub format: Format,
    /// The container identity of the payload; empty in a bundle, which has none.
    pub identity: Arc<str>,
    /// The annotations of the payload.
    pub annotations: Arc<Annotations>,
    /// The digest of the payload that would be written.
    pub payload: Digest,
    /// Where the signature comes from.
    pub origin: WantOrigin,
    /// Whether one that is there already is enough.
    pub making: Making,
}

/// Where a wanted signature comes from when it is missing.
#[derive(Clone, Debug)]
pub enum WantOrigin {
    /// It was made elsewhere and is attached.
    Attach(Arc<Attachment>),
    /// It must be made elsewhere, and was not given yet.
    Owed,
    /// It is made here.
    Sign,
}

impl Want {
    /// A signature of `signer` on `digest`, to be made here or owed.
    pub fn sign(
        signer: SignerName,
        digest: &Digest,
        identity: Arc<str>,
        annotations: Arc<Annotations>,
        origin: WantOrigin,
    ) -> Self {
        let payload = SimpleSigning { identity: &identity, digest, annotations: &annotations };
        let payload = Digest::of(&payload.to_bytes());
        let (format, making) = (Format::SimpleSigning, Making::IfMissing);
        Self { signer, format, identity, annotations, payload, origin, making }
    }

    /// A signature of `signer` on `digest` in a bundle, to be made here or owed.
    pub fn bundle(
        signer: SignerName,
        digest: &Digest,
        annotations: Arc<Annotations>,
        origin: WantOrigin,
    ) -> Self {
        let payload = SignStatement { digest, annotations: &annotations };
        let payload = Digest::of(&payload.to_bytes());
        let (format, making) = (Format::Bundle, Making::IfMissing);
        Self { signer, format, identity: "".into(), annotations, payload, origin, making }
    }

    /// A signature that is attached: everything comes from its payload.
    pub fn attach(attachment: &Arc<Attachment>) -> Self {
        Self {
            signer: attachment.signer.clone(),
            format: attachment.format(),
            identity: attachment.claim.identity.as_str().into(),
            annotations: Arc::new(attachment.claim.annotations.clone()),
            payload: Digest::of(&attachment.payload),
            origin: WantOrigin::Attach(Arc::clone(attachment)),
            making: Making::IfMissing,
        }
    }

    /// The bytes that are signed.
    pub fn payload_bytes(&self, digest: &Digest) -> Vec<u8> {
        match &self.origin {
            WantOrigin::Attach(attachment) => attachment.payload.clone(),
            WantOrigin::Owed | WantOrigin::Sign if self.format == Format::Bundle => {
                SignStatement { digest, annotations: &self.annotations }.to_bytes()
            }
            WantOrigin::Owed | WantOrigin::Sign => {
                SimpleSigning { identity: &self.identity, digest, annotations: &self.annotations }
                    .to_bytes()
            }
        }
    }

    /// Says whether two wants ask for the same signature, wherever it comes from.
    pub fn is_same(&self, other: &Self) -> bool {
        self.signer == other.signer
            && self.format == other.format
            && self.identity == other.identity
            && self.annotations == other.annotations
    }

    /// Says whether `claim` is what this want asks to be said about `digest`.
    pub fn is_said_by(&self, claim: &Claim, digest: &Digest) -> bool {
        match &self.origin {
            WantOrigin::Attach(attachment) => *claim == attachment.claim,
            WantOrigin::Owed | WantOrigin::Sign => claim.says(&SimpleSigning {
                identity: &self.identity,
                digest,
                annotations: &self.annotations,
            }),
        }
    }
}

impl Target {
    /// A subject of which nothing is wanted and nothing is removed, with its signatures in `signatures`.
    pub fn bare(subject: Subject, signatures: Repository) -> Self {
        Self {
            subject,
            signatures,
            names: Vec::new(),
            wants: Vec::new(),
            identities: Vec::new(),
            signers: Vec::new(),
            requires: Vec::new(),
            prune: Prune::Keep,
            optional: false,
            exists: false,
            children: Vec::new(),
            moved: Vec::new(),
            blocked: Vec::new(),
            immutable_tags: false,
            incomplete: false,
        }
    }

    /// The first name: how a person knows it.
    pub fn name(&self) -> &str {
        self.names.first().map_or("", |name| &name.text)
    }

    /// Adds `want` unless an equal one is there; a given signature takes the place of an owed one.
    pub fn want(&mut self, want: Want) {
        if !self.signers.contains(&want.signer) {
            self.signers.push(want.signer.clone());
        }
        match self.wants.iter_mut().find(|other| other.is_same(&want)) {
            Some(other) if matches!(want.origin, WantOrigin::Attach(_)) => *other = want,
            Some(_) => {}
            None => self.wants.push(want),
        }
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.signer, self.format)
    }
}
