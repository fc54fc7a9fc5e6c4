//! Writing a manifest into a layout.

use bytes::Bytes;

use crate::model::{Descriptor, Digest, Locator};
use crate::store::layout::delete::is_named;
use crate::store::layout::fetch;
use crate::store::layout::folder::{Fault, Folder};
use crate::store::layout::index::LayoutIndex;
use crate::store::layout::shape::{parts, subject_of};
use crate::store::{Expected, StoreErrorKind};

/// A manifest on its way into a layout.
pub(super) struct NewManifest {
    pub(super) locator: Locator,
    pub(super) media_type: String,
    pub(super) content: Bytes,
    pub(super) expected: Expected,
}

impl NewManifest {
    pub(super) fn write(self, folder: Folder<'_>) -> Result<Digest, Fault> {
        let digest = match &self.locator {
            Locator::Digest(digest) => digest.clone(),
            Locator::Tag(_) => Digest::of(&self.content),
        };
        if !digest.matches(&self.content) {
            let detail = format!("the content has the digest {}", Digest::of(&self.content));
            return Err(Fault::new(StoreErrorKind::WrongDigest, detail));
        }
        folder.create()?;
        let lock = folder.lock()?;
        let before = folder.index()?;
        self.check_expected(folder, &before)?;
        self.check_parts(folder)?;
        folder.write_blob(&digest, &self.content)?;

        let descriptor = Descriptor {
            digest: digest.clone(),
            ..Descriptor::of(&self.media_type, &self.content)
        };
        let mut after = before.clone();
        match &self.locator {
            Locator::Tag(tag) => after.set(tag, &descriptor),
            Locator::Digest(_) if is_named(folder, &before, &digest) => {}
            Locator::Digest(_) => after.add(&descriptor, subject_of(&self.content).as_ref()),
        }
        if after != before {
            folder.write_index(&lock, &after)?;
        }
        Ok(digest)
    }

    fn check_expected(&self, folder: Folder<'_>, index: &LayoutIndex) -> Result<(), Fault> {
        let now = match fetch(folder, index, &self.locator) {
            _ if self.expected == Expected::Anything => return Ok(()),
            Ok(found) => found.version,
            Err(fault) if fault.kind.is_absent() => None,
            Err(fault) => return Err(fault),
        };
        let fits = match &self.expected {
            Expected::Absent => now.is_none(),
            Expected::Anything => true,
            Expected::Version(version) => now.as_ref() == Some(version),
        };
        if fits {
            return Ok(());
        }
        let detail = match now {
            Some(now) => format!("somebody else has written {now} meanwhile"),
            None => "somebody else has deleted it meanwhile".to_owned(),
        };
        Err(Fault::new(StoreErrorKind::Precondition, detail))
    }

    /// Checks that what the manifest names is there, as registries do.
    fn check_parts(&self, folder: Folder<'_>) -> Result<(), Fault> {
        let refused = |detail: String| Err(Fault::new(StoreErrorKind::Refused, detail));
        let parts = match parts(&self.media_type, &self.content) {
            Ok(parts) => parts,
            Err(error) => return refused(error.to_string()),
        };
        let is_missing =
            |part: &&Descriptor| !part.extra.contains_key("urls") && !folder.has_blob(&part.digest);
        match parts.iter().find(is_missing) {
            Some(part) => refused(format!("{} is not there", part.digest)),
            None => Ok(()),
        }
    }
}
