//! Copying: an image with everything that is attached to it, between registries and layouts.

mod attached;
mod content;
mod joined;

use std::collections::BTreeSet;
use std::path::PathBuf;

pub use attached::Attached;

use crate::model::{Descriptor, Digest, Index, Locator, Repository, Tag, media_type};
use crate::observe::failure_of;
use crate::plan::Failure;
use crate::store::{Expected, Fetched, Store};

/// How deep an index may be nested.
const MAX_DEPTH: usize = 8;

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
    /// Only the image of an index that is for this platform: `linux/arm64`, of any variant.
    pub platform: Option<String>,
    /// What is copied with it.
    pub with: Vec<Attached>,
    /// Whether what is there may be replaced.
    pub overwrite: Overwrite,
    /// A folder for blobs that are too large for memory, while they are on their way.
    pub spool: PathBuf,
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
    /// what is there. Of a large blob only a piece is in memory at any time.
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
        let root = match &self.platform {
            Some(platform) => self.of_platform(store, root, platform).await?,
            None => root,
        };
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

    /// The image of an index that is for `platform`; an image is taken as it is.
    async fn of_platform(
        &self,
        store: &dyn Store,
        root: Fetched,
        platform: &str,
    ) -> Result<Fetched, Failure> {
        if !media_type::is_index(&root.descriptor.media_type) {
            return Ok(root);
        }
        let name = format!("{}@{}", self.from, root.descriptor.digest);
        let of_it = |it: &Descriptor| it.platform.as_ref().is_some_and(|it| it.is(platform));
        let found = children(&root)?.into_iter().find(of_it).ok_or_else(|| {
            let text = format!("{name} has no image for {platform}");
            Failure::error("image::platform_missing", text)
                .help("look at the platforms that it has, and name one of those")
        })?;
        let read = read(store, &self.from, &Locator::Digest(found.digest)).await?;
        read.ok_or_else(|| {
            Failure::error("image::not_found", format!("{name} names what is missing"))
                .help("push the index with all of its images")
        })
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
}

fn children(manifest: &Fetched) -> Result<Vec<Descriptor>, Failure> {
    if !media_type::is_index(&manifest.descriptor.media_type) {
        return Ok(Vec::new());
    }
    let index = Index::parse(&manifest.bytes).map_err(|error| unreadable(&error))?;
    Ok(index.manifests)
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
