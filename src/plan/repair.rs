//! What is wrong with the index behind a referrers tag, which clients keep. Pure.

use std::fmt;

use crate::model::{Descriptor, Digest};

/// One entry of the index behind a referrers tag that is not as it should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IndexFault {
    /// Its manifest is not there.
    Dangling(Digest),
    /// It does not have the artifact type and annotations of its manifest: this is how it should be.
    Described(Box<Descriptor>),
    /// Its manifest is about another subject.
    Stranger(Digest),
}

impl IndexFault {
    /// Which entry.
    pub fn digest(&self) -> &Digest {
        match self {
            Self::Dangling(digest) | Self::Stranger(digest) => digest,
            Self::Described(entry) => &entry.digest,
        }
    }

    /// Says whether mending it takes the entry away.
    pub fn removes(&self) -> bool {
        matches!(self, Self::Dangling(_) | Self::Stranger(_))
    }
}

impl fmt::Display for IndexFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = self.digest().short();
        match self {
            Self::Dangling(_) => write!(f, "{digest} is listed and not there"),
            Self::Described(_) => {
                write!(f, "{digest} is listed without the artifact type or annotations that it has")
            }
            Self::Stranger(_) => write!(f, "{digest} is listed and about something else"),
        }
    }
}
