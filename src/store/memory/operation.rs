//! What is asked of a store: the words of its log, its counts and its faults. Pure.

use std::fmt;

use crate::model::{Digest, Locator, Repository};
use crate::store::place::place;

/// One request to a store.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Operation {
    /// It changes nothing.
    Read(Read),
    /// It may change something.
    Write(Write),
}

/// A request that changes nothing.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Read {
    /// A blob is read.
    Blob {
        /// Where.
        repository: Repository,
        /// Which one.
        digest: Digest,
    },
    /// A manifest is read.
    Manifest {
        /// Where.
        repository: Repository,
        /// Which one.
        locator: Locator,
    },
    /// Referrers are listed.
    Referrers {
        /// Where.
        repository: Repository,
        /// Of what.
        subject: Digest,
    },
    /// A tag or digest is resolved.
    Resolve {
        /// Where.
        repository: Repository,
        /// Which one.
        locator: Locator,
    },
    /// The tags are listed.
    Tags {
        /// Where.
        repository: Repository,
    },
}

/// A request that may change something.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Write {
    /// A blob is written.
    Blob {
        /// Where.
        repository: Repository,
        /// What.
        digest: Digest,
    },
    /// A manifest is deleted, with its tags.
    Deletion {
        /// Where.
        repository: Repository,
        /// Which one.
        digest: Digest,
    },
    /// A manifest is written.
    Manifest {
        /// Where.
        repository: Repository,
        /// Under which tag or digest.
        locator: Locator,
        /// What.
        digest: Digest,
    },
}

impl Operation {
    /// Where it happens.
    pub fn repository(&self) -> &Repository {
        match self {
            Self::Read(read) => read.repository(),
            Self::Write(write) => write.repository(),
        }
    }

    /// Says whether it may change something.
    pub fn is_write(&self) -> bool {
        matches!(self, Self::Write(_))
    }

    /// The verb of [`StoreError::operation`](crate::store::StoreError::operation).
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Read(Read::Blob { .. } | Read::Manifest { .. }) => "read",
            Self::Read(Read::Resolve { .. }) => "resolve",
            Self::Read(Read::Referrers { .. }) => "list the referrers of",
            Self::Read(Read::Tags { .. }) => "list the tags of",
            Self::Write(Write::Blob { .. } | Write::Manifest { .. }) => "write",
            Self::Write(Write::Deletion { .. }) => "delete",
        }
    }

    /// The place it is about: `REPOSITORY:TAG`, `REPOSITORY@DIGEST` or the repository.
    pub fn target(&self) -> String {
        match self {
            Self::Read(
                Read::Manifest { repository, locator } | Read::Resolve { repository, locator },
            )
            | Self::Write(Write::Manifest { repository, locator, .. }) => {
                place(repository, locator)
            }
            Self::Read(
                Read::Blob { repository, digest } | Read::Referrers { repository, subject: digest },
            )
            | Self::Write(
                Write::Blob { repository, digest } | Write::Deletion { repository, digest },
            ) => {
                format!("{repository}@{digest}")
            }
            Self::Read(Read::Tags { repository }) => repository.to_string(),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb(), self.target())
    }
}

impl Read {
    /// Where it happens.
    pub fn repository(&self) -> &Repository {
        match self {
            Self::Blob { repository, .. }
            | Self::Manifest { repository, .. }
            | Self::Referrers { repository, .. }
            | Self::Resolve { repository, .. }
            | Self::Tags { repository } => repository,
        }
    }
}

impl Write {
    /// Where it happens.
    pub fn repository(&self) -> &Repository {
        match self {
            Self::Blob { repository, .. }
            | Self::Deletion { repository, .. }
            | Self::Manifest { repository, .. } => repository,
        }
    }
}

/// How many requests of each kind arrived, failed ones too.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Counts {
    /// Blobs read.
    pub blobs: u64,
    /// Manifests read.
    pub manifests: u64,
    /// Lists of referrers.
    pub referrers: u64,
    /// Tags and digests resolved.
    pub resolves: u64,
    /// Lists of tags.
    pub tag_lists: u64,
    /// Blobs written.
    pub blob_writes: u64,
    /// Manifests deleted.
    pub deletions: u64,
    /// Manifests written.
    pub manifest_writes: u64,
}

impl Counts {
    /// All requests that change nothing.
    pub fn reads(&self) -> u64 {
        self.blobs + self.manifests + self.referrers + self.resolves + self.tag_lists
    }

    /// All requests that may change something.
    pub fn writes(&self) -> u64 {
        self.blob_writes + self.deletions + self.manifest_writes
    }

    pub(super) fn count(&mut self, operation: &Operation) {
        let counter = match operation {
            Operation::Read(Read::Blob { .. }) => &mut self.blobs,
            Operation::Read(Read::Manifest { .. }) => &mut self.manifests,
            Operation::Read(Read::Referrers { .. }) => &mut self.referrers,
            Operation::Read(Read::Resolve { .. }) => &mut self.resolves,
            Operation::Read(Read::Tags { .. }) => &mut self.tag_lists,
            Operation::Write(Write::Blob { .. }) => &mut self.blob_writes,
            Operation::Write(Write::Deletion { .. }) => &mut self.deletions,
            Operation::Write(Write::Manifest { .. }) => &mut self.manifest_writes,
        };
        *counter += 1;
    }
}
