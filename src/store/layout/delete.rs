//! Deleting from a layout, and what in it still names a manifest.

use std::collections::BTreeSet;

use crate::model::{Digest, Index, media_type};
use crate::store::layout::folder::{Fault, Folder};
use crate::store::layout::index::LayoutIndex;
use crate::store::layout::{MAX_DEPTH, MAX_MANIFEST};

/// Takes a manifest's entries away, and then its blob where nothing names it.
pub(super) fn delete(folder: Folder<'_>, digest: &Digest) -> Result<(), Fault> {
    let lock = folder.lock()?;
    let before = folder.index()?;
    let mut after = before.clone();
    after.remove(digest);
    if after != before {
        folder.write_index(&lock, &after)?;
    }
    if is_named(folder, &after, digest) { Ok(()) } else { folder.delete_blob(digest) }
}

/// Says whether `index.json`, or an index that it leads to, names the manifest.
///
/// Where that cannot be told, because an index cannot be read, it counts as named.
pub(super) fn is_named(folder: Folder<'_>, index: &LayoutIndex, digest: &Digest) -> bool {
    let mut pending: Vec<(Digest, String, usize)> =
        index.entries().map(|entry| (entry.digest, entry.media_type, 0)).collect();
    let mut seen = BTreeSet::new();
    while let Some((named, media_type, depth)) = pending.pop() {
        if named == *digest {
            return true;
        }
        if !media_type::is_index(&media_type) || !seen.insert(named.clone()) {
            continue;
        }
        let read = folder.blob(&named, MAX_MANIFEST);
        let index = read.ok().flatten().and_then(|bytes| Index::parse(&bytes).ok());
        let Some(index) = index.filter(|_| depth < MAX_DEPTH) else { return true };
        let children = index.manifests.into_iter();
        pending.extend(children.map(|it| (it.digest, it.media_type, depth + 1)));
    }
    false
}
