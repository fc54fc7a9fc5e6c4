//! What refers to a subject in a layout: what `index.json` names, and what `cosign save` left unnamed.

use std::collections::BTreeMap;

use crate::model::{Descriptor, Digest, Manifest, media_type};
use crate::payload::bundle_layer;
use crate::store::layout::MAX_MANIFEST;
use crate::store::layout::folder::{Fault, Folder};
use crate::store::layout::index::LayoutIndex;
use crate::store::referrers::entry_of;

/// A referrer that carries a bundle has less than a kilobyte.
const MAX_REFERRER: u64 = 64 * 1024;

/// `cosign save` names one image, its signatures and its attestations, and we add a few bundles. A layout that
/// names more was made by others, and is not searched.
const MOST_ENTRIES: usize = 16;

/// The manifests whose subject is `subject`.
///
/// Source: OCI image-spec 1.1, image-layout.md; oras-go reads `index.json` so. cosign 3 writes bundles as blobs
/// that nothing names, and finds them by looking at every blob.
pub(super) fn referrers(
    folder: Folder<'_>,
    index: &LayoutIndex,
    subject: &Digest,
) -> Result<Vec<Descriptor>, Fault> {
    let mut found = BTreeMap::new();
    let mut number = 0;
    for entry in index.entries() {
        number += 1;
        if media_type::is_index(&entry.media_type) {
            continue;
        }
        // An entry without its blob is told where it is asked for.
        let Some(bytes) = folder.blob(&entry.digest, MAX_MANIFEST)? else { continue };
        add(&mut found, entry.digest, &bytes, subject);
    }
    if number > MOST_ENTRIES {
        return Ok(found.into_values().collect());
    }
    for digest in folder.small_blobs(MAX_REFERRER)? {
        // Blobs of all kinds lie there: what is damaged or gone is told where it is asked for.
        let Ok(Some(bytes)) = folder.blob(&digest, MAX_REFERRER) else { continue };
        if Manifest::parse(&bytes).is_ok_and(|it| bundle_layer(&it).is_some()) {
            add(&mut found, digest, &bytes, subject);
        }
    }
    Ok(found.into_values().collect())
}

fn add(found: &mut BTreeMap<Digest, Descriptor>, digest: Digest, bytes: &[u8], subject: &Digest) {
    let descriptor =
        Descriptor { digest: digest.clone(), ..Descriptor::of(media_type::OCI_MANIFEST, bytes) };
    if let Some(entry) = entry_of(descriptor, bytes, subject) {
        found.insert(digest, entry);
    }
}
