//! What is attached to an image behind tags.

use crate::model::{Digest, Tag};
use crate::plan::Failure;

/// What is attached to an image, by the tag or list that leads to it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Attached {
    /// `sha256-….att`
    Attestations,
    /// What the index behind the tag `sha256-…` lists: bundles, SBOMs of other tools.
    Referrers,
    /// `sha256-….sbom`
    Sboms,
    /// `sha256-….sig`
    Signatures,
}

impl Attached {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Signatures, Self::Attestations, Self::Sboms, Self::Referrers];

    /// The tag of `digest` that leads to it.
    pub fn tag(self, digest: &Digest) -> Result<Tag, Failure> {
        let suffix = match self {
            Self::Attestations => ".att",
            Self::Referrers => "",
            Self::Sboms => ".sbom",
            Self::Signatures => ".sig",
        };
        let text = format!("{}-{}{suffix}", digest.algorithm().name(), digest.hex());
        text.parse().map_err(|error| {
            Failure::error("copy::unreadable", format!("{digest} makes no tag: {error}"))
        })
    }
}
