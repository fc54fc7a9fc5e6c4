//! The blobs of one manifest, on their way.

use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::model::{Descriptor, Manifest, media_type};
use crate::observe::failure_of;
use crate::plan::Failure;
use crate::store::{Fetched, Mounted, Store, StoreError};
use crate::transfer::{Copied, Copy, unreadable};

/// How many blobs are copied side by side.
const BLOBS: usize = 4;

/// What is larger goes over the disk, in bytes.
const SMALL: u64 = 8 << 20;

impl Copy {
    /// Copies what `manifest` names: mounted where the registry can, else sent.
    pub(super) async fn blobs(
        &self,
        store: &dyn Store,
        manifest: &Fetched,
        copied: &mut Copied,
    ) -> Result<(), Failure> {
        if media_type::is_index(&manifest.descriptor.media_type) {
            return Ok(());
        }
        let parsed = Manifest::parse(&manifest.bytes).map_err(|error| unreadable(&error))?;
        let named = std::iter::once(parsed.config).chain(parsed.layers);
        // What lies elsewhere (`urls`) no registry has.
        let blobs = named.filter(|it| !it.extra.contains_key("urls"));
        let moved: Vec<Moved> = stream::iter(blobs)
            .map(|blob| self.blob(store, blob))
            .buffer_unordered(BLOBS)
            .try_collect()
            .await
            .map_err(|error| failure_of(&error))?;
        let number = |how| moved.iter().filter(|it| **it == how).count();
        copied.mounted += number(Moved::Mounted);
        copied.sent += number(Moved::Sent);
        Ok(())
    }

    async fn blob(&self, store: &dyn Store, blob: Descriptor) -> Result<Moved, StoreError> {
        if store.mount_blob(&self.to, &blob.digest, &self.from).await? == Mounted::Yes {
            return Ok(Moved::Mounted);
        }
        if store.has_blob(&self.to, &blob.digest).await? {
            return Ok(Moved::Nothing);
        }
        if blob.size <= SMALL {
            let content = store.blob(&self.from, &blob).await?;
            store.put_blob(&self.to, content).await?;
            return Ok(Moved::Sent);
        }
        let spooled = tempfile::Builder::new().prefix("countersign-").tempfile_in(&self.spool);
        let spooled = spooled.map_err(|error| StoreError::of_file("write", &self.spool, error))?;
        store.blob_to_file(&self.from, &blob, spooled.path()).await?;
        store.put_blob_file(&self.to, &blob, spooled.path()).await?;
        Ok(Moved::Sent)
    }
}

/// How a blob came to the destination.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Moved {
    Mounted,
    Nothing,
    Sent,
}
