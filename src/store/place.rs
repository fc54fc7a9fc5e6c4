//! How messages name a place in a store. Pure.

use crate::model::{ImageRef, Locator, Repository};

/// Names what `locator` means in `repository`: `REPOSITORY:TAG` or `REPOSITORY@DIGEST`.
pub(crate) fn place(repository: &Repository, locator: &Locator) -> String {
    let (tag, digest) = match locator {
        Locator::Digest(digest) => (None, Some(digest.clone())),
        Locator::Tag(tag) => (Some(tag.clone()), None),
    };
    ImageRef { repository: repository.clone(), tag, digest }.to_string()
}
