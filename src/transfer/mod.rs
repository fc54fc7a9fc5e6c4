//! Copying: an image with everything that is attached to it, between registries and layouts.

mod attached;

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _, stream};

pub use attached::Attached;

use crate::model::{Descriptor, Digest, Index, Locator, Manifest, Repository, Tag, media_type};
use crate::observe::failure_of;
use crate::payload::{Addition, Carrier};
use crate::plan::Failure;
use crate::store::{Expected, Fetched, Mounted, Store, StoreError};

/// How many blobs are copied side by side.
const BLOBS: usize = 4;

/// How deep an index may be nested.
const MAX_DEPTH: usize = 8;

/// How often a tag that others write at the same time is merged again.
const ATTEMPTS: usize = 8;

/// Whether what is at the destination may be replaced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Overwrite {
    /// It stays, and the copy fails.
    Never,
    /// It is replaced. Signatures and referrers are joined all the same, never lost.
    Allowed,
}

/// Where an image is copied from and to.
#[derive(Clone, Debug)]
pub struct Copy {
    /// The repository or layout that has it.
    pub from: Repository,
    /// Which image.
    pub locator: Locator,
    /// The repository or layout that gets it.
    pub to: Repository,
    /// The tag that it gets there.
    pub tag: Option<Tag>,
    /// What is copied with it.
    pub with: Vec<Attached>,
    /// Whether what is there may be replaced.
    pub overwrite: Overwrite,
}

/// What was copied.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Copied {
    /// Manifests and indexes that were written, attached ones included.
    pub manifests: usize,
    /// Blobs that were sent.
    pub sent: usize,
    /// Blobs that the registry took from its other repository.
    pub mounted: usize,
}

impl Copy {
    /// Copies. Children come before their index, content before what names it, the tag last: whoever reads the
    /// destination meanwhile sees nothing that is broken.
    ///
    /// Copying again writes only what is missing. A tag of signatures, and the list of referrers, are joined with
    /// what is there. A blob is held in memory while it is copied.
    ///
    /// # Errors
    ///
    /// `copy::exists` where the destination holds something else, and what the stores say.
    pub async fn run(&self, store: &dyn Store) -> Result<Copied, Failure> {
        let mut copied = Copied::default();
        let root = read(store, &self.from, &self.locator).await?;
        let root = root.ok_or_else(|| {
            let text = format!("there is no {} in {}", self.locator, self.from);
            Failure::error("image::not_found", text).help("check the reference, and log in")
        })?;
        let mut tag = self.tag.clone().map(Locator::Tag);
        if let (Some(Locator::Tag(name)), Some(locator)) = (&tag, &tag) {
            self.may_write(store, name, &root.descriptor.digest).await?;
            if self.is_there(store, locator, &root).await? {
                tag = None;
            }
        }
        let tree = self.tree(store, root).await?;
        for manifest in &tree {
            self.manifest(store, manifest, &mut copied).await?;
        }
        if let (Some(locator), Some(root)) = (&tag, tree.last()) {
            self.put(store, locator, root, &Expected::Anything).await?;
        }
        for manifest in &tree {
            for attached in &self.with {
                let digest = &manifest.descriptor.digest;
                match attached {
                    Attached::Signatures => self.signatures(store, digest, &mut copied).await?,
                    Attached::Referrers => self.referrers(store, digest, &mut copied).await?,
                    _ => self.plain(store, attached.tag(digest)?, &mut copied).await?,
                }
            }
        }
        Ok(copied)
    }

    /// The manifests below and with `root`, children first, each once.
    async fn tree(&self, store: &dyn Store, root: Fetched) -> Result<Vec<Fetched>, Failure> {
        let (mut found, mut pending) = (Vec::new(), vec![(root, 0)]);
        let mut seen = BTreeSet::new();
        while let Some((next, depth)) = pending.pop() {
            for child in children(&next)? {
                if depth >= MAX_DEPTH {
                    let text = format!("{} is nested too deep", next.descriptor.digest);
                    return Err(Failure::error("copy::unreadable", text));
                }
                let locator = Locator::Digest(child.digest.clone());
                let read = read(store, &self.from, &locator).await?.ok_or_else(|| {
                    let text = format!("{}@{} is missing", self.from, child.digest);
                    Failure::error("image::not_found", text)
                        .help("push the index with all of its images")
                })?;
                pending.push((read, depth + 1));
            }
            found.push(next);
        }
        // Parents were found before their children; of one that is reached twice the last place counts.
        found.reverse();
        found.retain(|it| seen.insert(it.descriptor.digest.clone()));
        Ok(found)
    }

    /// Copies one manifest by digest, and the blobs that it names.
    async fn manifest(
        &self,
        store: &dyn Store,
        manifest: &Fetched,
        copied: &mut Copied,
    ) -> Result<(), Failure> {
        let locator = Locator::Digest(manifest.descriptor.digest.clone());
        match store.resolve(&self.to, &locator).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind.is_absent() => {}
            Err(error) => return Err(failure_of(&error)),
        }
        self.blobs(store, manifest, copied).await?;
        self.put(store, &locator, manifest, &Expected::Anything).await?;
        copied.manifests += 1;
        Ok(())
    }

    async fn blobs(
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
        let moved: Vec<Mounted> = stream::iter(blobs)
            .map(|blob| self.blob(store, blob))
            .buffer_unordered(BLOBS)
            .try_collect()
            .await
            .map_err(|error| failure_of(&error))?;
        let mounted = moved.iter().filter(|it| **it == Mounted::Yes).count();
        copied.mounted += mounted;
        copied.sent += moved.len() - mounted;
        Ok(())
    }

    async fn blob(&self, store: &dyn Store, blob: Descriptor) -> Result<Mounted, StoreError> {
        let mounted = store.mount_blob(&self.to, &blob.digest, &self.from).await?;
        if mounted == Mounted::No {
            let content = store.blob(&self.from, &blob).await?;
            store.put_blob(&self.to, content).await?;
        }
        Ok(mounted)
    }

    async fn put(
        &self,
        store: &dyn Store,
        locator: &Locator,
        manifest: &Fetched,
        expected: &Expected,
    ) -> Result<(), Failure> {
        let kind = &manifest.descriptor.media_type;
        let content = manifest.bytes.clone();
        let put = store.put_manifest(&self.to, locator, kind, content, expected).await;
        put.map(|_| ()).map_err(|error| failure_of(&error))
    }

    /// Says whether the destination has this very manifest there.
    async fn is_there(
        &self,
        store: &dyn Store,
        locator: &Locator,
        manifest: &Fetched,
    ) -> Result<bool, Failure> {
        let there = read(store, &self.to, locator).await?;
        Ok(there.is_some_and(|it| it.descriptor.digest == manifest.descriptor.digest))
    }

    /// Fails where `tag` names something else and may not be moved.
    async fn may_write(&self, store: &dyn Store, tag: &Tag, new: &Digest) -> Result<(), Failure> {
        match store.resolve(&self.to, &Locator::Tag(tag.clone())).await {
            Ok(found) if found.digest == *new || self.overwrite == Overwrite::Allowed => Ok(()),
            Ok(_) => Err(Failure::error(
                "copy::exists",
                format!("{}:{tag} exists already, and is another image", self.to),
            )
            .help("add --force to replace it")),
            Err(error) if error.kind.is_absent() => Ok(()),
            Err(error) => Err(failure_of(&error)),
        }
    }

    /// Copies a tag as it is.
    async fn plain(&self, store: &dyn Store, tag: Tag, copied: &mut Copied) -> Result<(), Failure> {
        let locator = Locator::Tag(tag.clone());
        let Some(found) = read(store, &self.from, &locator).await? else { return Ok(()) };
        if self.is_there(store, &locator, &found).await? {
            return Ok(());
        }
        self.may_write(store, &tag, &found.descriptor.digest).await?;
        self.blobs(store, &found, copied).await?;
        self.put(store, &locator, &found, &Expected::Anything).await?;
        copied.manifests += 1;
        Ok(())
    }

    /// Copies signatures, and keeps those that the destination has.
    async fn signatures(
        &self,
        store: &dyn Store,
        digest: &Digest,
        copied: &mut Copied,
    ) -> Result<(), Failure> {
        let locator = Locator::Tag(Tag::of_signatures(digest));
        let Some(found) = read(store, &self.from, &locator).await? else { return Ok(()) };
        let source = Carrier::parse(&found.bytes).map_err(|error| unreadable(&error))?;
        let there = read(store, &self.to, &locator).await?;
        let there = there.and_then(|it| Carrier::parse(&it.bytes).ok());
        if there.is_some_and(|there| missing(&source, &there).is_empty()) {
            return Ok(());
        }
        self.blobs(store, &found, copied).await?;
        self.join(store, &locator, copied, |there| {
            let Some(there) = there else { return Ok(Some(found.clone())) };
            let there = Carrier::parse(&there.bytes).map_err(|error| unreadable(&error))?;
            let missing = missing(&source, &there);
            if missing.is_empty() {
                return Ok(None);
            }
            let joined = there.edit(&[], missing);
            Ok(Some(Fetched {
                descriptor: Descriptor::of(joined.media_type(), &[]),
                bytes: joined.to_bytes().manifest.into(),
                version: None,
            }))
        })
        .await
    }

    /// Copies what the index behind `sha256-…` lists, and joins the lists.
    async fn referrers(
        &self,
        store: &dyn Store,
        digest: &Digest,
        copied: &mut Copied,
    ) -> Result<(), Failure> {
        let locator = Locator::Tag(Attached::Referrers.tag(digest)?);
        let Some(found) = read(store, &self.from, &locator).await? else { return Ok(()) };
        // Some registries answer this tag with the image itself, and cosign's copy wrote it so.
        if found.descriptor.digest == *digest {
            return Ok(());
        }
        let Ok(source) = Index::parse(&found.bytes) else { return Ok(()) };
        for entry in &source.manifests {
            let locator = Locator::Digest(entry.digest.clone());
            // A list may name what is gone: then there is nothing to copy.
            if let Some(referrer) = read(store, &self.from, &locator).await? {
                self.manifest(store, &referrer, copied).await?;
            }
        }
        self.join(store, &locator, copied, |there| {
            let there = there.filter(|it| it.descriptor.digest != *digest);
            let Some(there) = there else { return Ok(Some(found.clone())) };
            let mut joined = Index::parse(&there.bytes).map_err(|error| unreadable(&error))?;
            let known: BTreeSet<Digest> =
                joined.manifests.iter().map(|it| it.digest.clone()).collect();
            let missing: Vec<Descriptor> =
                source.manifests.iter().filter(|it| !known.contains(&it.digest)).cloned().collect();
            if missing.is_empty() {
                return Ok(None);
            }
            joined.manifests.extend(missing);
            Ok(Some(Fetched {
                descriptor: Descriptor::of(media_type::OCI_INDEX, &[]),
                bytes: joined.to_bytes().into(),
                version: None,
            }))
        })
        .await
    }

    /// Writes what `next` makes of what is behind `locator`, until nobody has written between.
    async fn join(
        &self,
        store: &dyn Store,
        locator: &Locator,
        copied: &mut Copied,
        next: impl Fn(Option<&Fetched>) -> Result<Option<Fetched>, Failure> + Send + Sync,
    ) -> Result<(), Failure> {
        for _ in 0..ATTEMPTS {
            let there = read(store, &self.to, locator).await?;
            let Some(next) = next(there.as_ref())? else { return Ok(()) };
            if let Ok(carrier) = Carrier::parse(&next.bytes)
                && next.descriptor.digest != Digest::of(&next.bytes)
                && !media_type::is_index(&next.descriptor.media_type)
            {
                let config = carrier.to_bytes().config;
                store.put_blob(&self.to, config.into()).await.map_err(|it| failure_of(&it))?;
            }
            let expected = match &there {
                None => Expected::Absent,
                Some(Fetched { version: Some(version), .. }) => Expected::Version(version.clone()),
                Some(_) => Expected::Anything,
            };
            let written = Digest::of(&next.bytes);
            let kind = &next.descriptor.media_type;
            let content = next.bytes.clone();
            let put = store.put_manifest(&self.to, locator, kind, content, &expected).await;
            match put {
                Ok(_) => {}
                Err(error) if error.kind == crate::store::StoreErrorKind::Precondition => continue,
                Err(error) => return Err(failure_of(&error)),
            }
            let back = read(store, &self.to, locator).await?;
            if back.is_some_and(|it| it.descriptor.digest == written) {
                copied.manifests += 1;
                return Ok(());
            }
        }
        Err(Failure::error(
            "registry::lost_race",
            format!("others kept writing {}:{locator} at the same time", self.to),
        )
        .help("run again: what is done is kept"))
    }
}

fn children(manifest: &Fetched) -> Result<Vec<Descriptor>, Failure> {
    if !media_type::is_index(&manifest.descriptor.media_type) {
        return Ok(Vec::new());
    }
    let index = Index::parse(&manifest.bytes).map_err(|error| unreadable(&error))?;
    Ok(index.manifests)
}

/// The signatures of `source` that are not `there`.
fn missing(source: &Carrier, there: &Carrier) -> Vec<Addition> {
    let known: BTreeSet<_> = there.layers().map(|it| it.id()).collect();
    let missing = source.layers().filter(|it| !known.contains(&it.id()));
    let additions = missing.map(|it| Addition {
        annotations: it.descriptor.annotations.clone().unwrap_or_default(),
        payload: it.descriptor.clone(),
    });
    additions.collect()
}

/// Reads a manifest; none where there is none for sure.
async fn read(
    store: &dyn Store,
    repository: &Repository,
    locator: &Locator,
) -> Result<Option<Fetched>, Failure> {
    match store.manifest(repository, locator).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind.is_absent() => Ok(None),
        Err(error) => Err(failure_of(&error)),
    }
}

fn unreadable(error: &dyn std::error::Error) -> Failure {
    Failure::error("copy::unreadable", format!("what is to be copied cannot be read: {error}"))
}
