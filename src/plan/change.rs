//! What a plan says about one signature: keep, sign, resign, attach, clean, foreign, moved, blocked.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Digest, SignerName};
use crate::plan::{Failure, Found, IndexFault, Moved, Want};

/// One line of a plan.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Change {
    /// `+` A signature or certificate that was made elsewhere is missing.
    Attach {
        /// The signature that should exist.
        want: Want,
        /// The signature that gets the declared certificate; none where the signature itself is missing.
        to: Option<Found>,
    },
    /// `x` It cannot be decided.
    Blocked {
        /// The signature that should exist, where it is about one.
        want: Option<Want>,
        /// Why.
        reason: Failure,
    },
    /// `-` It is removed.
    Clean {
        /// What.
        found: Found,
        /// Why.
        standing: Standing,
    },
    /// `?` It is not declared; it is kept and named.
    Foreign {
        /// What.
        found: Found,
        /// What it is to this spec.
        standing: Standing,
    },
    /// `=` It is as declared.
    Keep {
        /// The signature that should exist.
        want: Want,
        /// The one that does.
        found: Found,
    },
    /// `!` The tag names another digest than the declared one.
    Moved(Moved),
    /// `~` The index behind the referrers tag is mended.
    Repair {
        /// What is wrong with it.
        faults: Vec<IndexFault>,
    },
    /// `~` It is there, but not as declared: a new one is written.
    Resign {
        /// The signature that should exist.
        want: Want,
        /// The one that is there instead.
        found: Found,
        /// In what they differ.
        differences: Vec<Difference>,
    },
    /// `+` It is missing.
    Sign {
        /// The signature that should exist.
        want: Want,
    },
}

/// The kinds of change, as programs see them.
#[derive(
    Clone,
    Copy,
    Debug,
    Deserialize,
    Eq,
    Hash,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// `+` Attach what was made elsewhere.
    Attach,
    /// `x` Cannot be decided.
    Blocked,
    /// `-` Remove.
    Clean,
    /// `?` Not declared, kept and named.
    Foreign,
    /// `=` As declared.
    Keep,
    /// `!` The tag has moved.
    Moved,
    /// `~` The list of referrers is mended.
    Repair,
    /// `~` There, but not as declared.
    Resign,
    /// `+` Missing.
    Sign,
}

impl Action {
    /// The mark in front of the line.
    pub fn mark(self) -> char {
        match self {
            Self::Attach | Self::Sign => '+',
            Self::Blocked => 'x',
            Self::Clean => '-',
            Self::Foreign => '?',
            Self::Keep => '=',
            Self::Moved => '!',
            Self::Repair | Self::Resign => '~',
        }
    }

    /// The word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Attach => "attach",
            Self::Blocked => "blocked",
            Self::Clean => "clean",
            Self::Foreign => "foreign",
            Self::Keep => "keep",
            Self::Moved => "moved",
            Self::Repair => "repair",
            Self::Resign => "resign",
            Self::Sign => "sign",
        }
    }

    /// Says whether `apply` writes something for it.
    pub fn writes(self) -> bool {
        matches!(self, Self::Attach | Self::Clean | Self::Repair | Self::Resign | Self::Sign)
    }
}

/// What a signature that matches no want is to the spec.
#[derive(
    Clone,
    Copy,
    Debug,
    Deserialize,
    Eq,
    Hash,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Nobody's whom the spec names for this image.
    Foreign,
    /// Not looked at, because nothing depended on it.
    Unexamined,
    /// Of a signer that is marked `retired`.
    Retired,
    /// Of a signer of this image, and matched by no want: an old one, or a duplicate.
    Superseded,
}

impl Standing {
    /// The word for people and programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Unexamined => "unexamined",
            Self::Retired => "retired",
            Self::Superseded => "superseded",
        }
    }
}

/// One field in which a found signature is not as declared.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Difference {
    /// Which field, by its name in the spec.
    pub field: Field,
    /// What is there.
    pub before: String,
    /// What is declared.
    pub after: String,
}

/// The fields that are compared, by their names in the spec.
#[derive(
    Clone,
    Copy,
    Debug,
    Deserialize,
    Eq,
    Hash,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The annotations of the payload.
    Annotations,
    /// The form of the bundle.
    Bundle,
    /// The certificate.
    Certificate,
    /// The chain above the certificate.
    CertificateChain,
    /// The `docker-reference` of the payload.
    ContainerIdentity,
    /// The digest that the payload names.
    Digest,
    /// The end of the certificate.
    Expiry,
    /// The hash of the signature.
    Hash,
    /// The entry in a transparency log.
    LogEntry,
    /// The timestamps.
    Timestamp,
}

impl Field {
    /// The name in the spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::Annotations => "annotations",
            Self::Bundle => "bundle",
            Self::Certificate => "certificate",
            Self::CertificateChain => "certificate_chain",
            Self::ContainerIdentity => "container_identity",
            Self::Digest => "digest",
            Self::Expiry => "expiry",
            Self::Hash => "hash",
            Self::LogEntry => "log_entry",
            Self::Timestamp => "timestamp",
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} → {}", self.field.name(), self.before, self.after)
    }
}

impl Change {
    /// Which kind it is.
    pub fn action(&self) -> Action {
        match self {
            Self::Attach { .. } => Action::Attach,
            Self::Blocked { .. } => Action::Blocked,
            Self::Clean { .. } => Action::Clean,
            Self::Foreign { .. } => Action::Foreign,
            Self::Keep { .. } => Action::Keep,
            Self::Moved(_) => Action::Moved,
            Self::Repair { .. } => Action::Repair,
            Self::Resign { .. } => Action::Resign,
            Self::Sign { .. } => Action::Sign,
        }
    }

    /// The signature that should exist, where the change is about one.
    pub fn want(&self) -> Option<&Want> {
        match self {
            Self::Attach { want, .. }
            | Self::Keep { want, .. }
            | Self::Resign { want, .. }
            | Self::Sign { want } => Some(want),
            Self::Blocked { want, .. } => want.as_ref(),
            Self::Clean { .. } | Self::Foreign { .. } | Self::Moved(_) | Self::Repair { .. } => {
                None
            }
        }
    }

    /// The signature that is there, where there is one.
    pub fn found(&self) -> Option<&Found> {
        match self {
            Self::Attach { to, .. } => to.as_ref(),
            Self::Clean { found, .. }
            | Self::Foreign { found, .. }
            | Self::Keep { found, .. }
            | Self::Resign { found, .. } => Some(found),
            Self::Blocked { .. } | Self::Moved(_) | Self::Repair { .. } | Self::Sign { .. } => None,
        }
    }

    /// Whose signature it is about.
    pub fn signer(&self) -> Option<&SignerName> {
        self.want().map(|want| &want.signer).or_else(|| self.found()?.signer())
    }

    /// The payload that it writes or removes.
    pub fn payload(&self) -> Option<&Digest> {
        self.want().map(|want| &want.payload).or_else(|| Some(&self.found()?.id.payload))
    }
}
