//! What refers to a subject, and who keeps the list: the registry, or its clients behind a tag. Pure.

use std::collections::BTreeSet;

use serde_json::Map;

use crate::model::{Descriptor, Digest, Index, Manifest, media_type};
use crate::payload::listing_of;
use crate::store::{Fetched, StoreError, StoreErrorKind};

/// More referrers than any image has; a longer list is an attack.
pub(crate) const MOST_REFERRERS: usize = 10_000;

/// What refers to a subject.
///
/// An entry is only a claim: its manifest tells what it is, and whether it is about this subject.
#[derive(Clone, Debug, Default)]
pub struct Referrers {
    /// The entries in the order of their digests, each digest once.
    pub entries: Vec<Descriptor>,
    /// Who keeps the list.
    pub listing: Listing,
}

/// Who keeps the list of referrers.
#[derive(Clone, Debug, Default)]
pub enum Listing {
    /// The store does: a manifest with a subject is listed when it is there.
    #[default]
    Store,
    /// Whoever writes a referrer: the index behind the tag `sha256-<hex>`; none where there is none yet.
    ///
    /// Source: OCI distribution-spec 1.1, "Referrers Tag Schema".
    Tag(Option<Box<TagIndex>>),
}

/// The index behind a referrers tag, as it was found; without entries where the tag names the subject.
#[derive(Clone, Debug)]
pub struct TagIndex {
    /// Its digest.
    pub digest: Digest,
    /// What the store calls this version, for [`Expected::Version`](crate::store::Expected::Version).
    pub version: Option<String>,
    /// What it says.
    pub index: Index,
}

/// Whether a store said that it lists a referrer that it was given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Listed {
    /// It did (`OCI-Subject`).
    Said,
    /// It did not say: the list must be looked at.
    Unsaid,
}

impl Referrers {
    /// What the store itself lists.
    pub fn of_store(entries: Vec<Descriptor>) -> Self {
        Self { entries: in_order(entries), listing: Listing::Store }
    }

    /// What the tag says: `found` is what reading it gave.
    ///
    /// A tag that names the subject itself lists nothing: GitLab answers so where there is no such tag, and
    /// `cosign copy` writes it. A list takes its place.
    ///
    /// # Errors
    ///
    /// What reading gave, where that is not "absent"; a tag that names something else than an index.
    pub fn of_tag(
        subject: &Digest,
        target: impl FnOnce() -> String,
        found: Result<Fetched, StoreError>,
    ) -> Result<Self, StoreError> {
        let none = Self { entries: Vec::new(), listing: Listing::Tag(None) };
        let found = match found {
            Ok(found) if found.descriptor.digest == *subject => {
                let (digest, version) = (found.descriptor.digest, found.version);
                let index = TagIndex { digest, version, index: empty_index() };
                return Ok(Self { listing: Listing::Tag(Some(Box::new(index))), ..none });
            }
            Ok(found) => found,
            Err(error) if error.kind.is_absent() => return Ok(none),
            Err(error) => return Err(error),
        };
        let wrong = |kind, detail: String| StoreError::new("read", target(), kind).detail(detail);
        if !media_type::is_index(&found.descriptor.media_type) {
            let detail = format!("`{}` is no index of referrers", found.descriptor.media_type);
            return Err(wrong(StoreErrorKind::InvalidAnswer, detail));
        }
        let index = match Index::parse(&found.bytes) {
            Ok(index) => index,
            Err(error) => return Err(wrong(StoreErrorKind::InvalidAnswer, error.to_string())),
        };
        if index.manifests.len() > MOST_REFERRERS {
            let detail = format!("it lists more than {MOST_REFERRERS} referrers");
            return Err(wrong(StoreErrorKind::TooLarge, detail));
        }
        let entries = in_order(index.manifests.clone());
        let index = TagIndex { digest: found.descriptor.digest, version: found.version, index };
        Ok(Self { entries, listing: Listing::Tag(Some(Box::new(index))) })
    }

    /// The digests that are listed.
    pub fn digests(&self) -> BTreeSet<Digest> {
        self.entries.iter().map(|it| it.digest.clone()).collect()
    }
}

/// An index without entries, as a referrers tag names it.
pub(crate) fn empty_index() -> Index {
    Index {
        schema_version: 2,
        media_type: Some(media_type::OCI_INDEX.to_owned()),
        manifests: Vec::new(),
        annotations: None,
        subject: None,
        artifact_type: None,
        extra: Map::new(),
    }
}

/// The entry of a manifest in the list of `subject`; none where it is about something else.
pub(crate) fn entry_of(
    descriptor: Descriptor,
    bytes: &[u8],
    subject: &Digest,
) -> Option<Descriptor> {
    let manifest = Manifest::parse(bytes).ok()?;
    let is_ours = manifest.subject.as_ref().is_some_and(|it| it.digest == *subject);
    is_ours.then(|| listing_of(&descriptor, &manifest))
}

fn in_order(mut entries: Vec<Descriptor>) -> Vec<Descriptor> {
    entries.sort_by(|one, other| one.digest.cmp(&other.digest));
    entries.dedup_by(|one, other| one.digest == other.digest);
    entries
}
