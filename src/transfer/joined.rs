//! What is joined with what the destination has, and never replaces it: signatures and referrers.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::model::{Descriptor, Digest, Index, Locator, Manifest, Repository, Tag, media_type};
use crate::observe::failure_of;
use crate::payload::{Addition, Carrier, listing_of};
use crate::plan::{Failure, FailureClass};
use crate::store::referrers::empty_index;
use crate::store::{Expected, Fetched, Listed, Listing, Referrers, Store, StoreErrorKind};
use crate::transfer::{Copied, Copy, read, unreadable};

/// How often a tag that others write at the same time is merged again.
const ATTEMPTS: usize = 8;

/// How deep referrers of referrers are followed: a signature of an SBOM of an image.
const MAX_DEPTH: usize = 4;

/// What is to be behind a tag, and the blob that it needs besides those that were copied.
struct Next {
    media_type: String,
    manifest: Bytes,
    config: Option<Bytes>,
}

impl Copy {
    /// Copies signatures, and keeps those that the destination has.
    pub(super) async fn signatures(
        &self,
        store: &dyn Store,
        digest: &Digest,
        copied: &mut Copied,
    ) -> Result<(), Failure> {
        let tag = Tag::of_signatures(digest);
        let locator = Locator::Tag(tag.clone());
        let Some(found) = read(store, &self.from, &locator).await? else { return Ok(()) };
        // GitLab answers such a tag with the image itself.
        if found.descriptor.digest == *digest {
            return Ok(());
        }
        let source = Carrier::parse(&found.bytes).map_err(|error| unreadable(&error))?;
        let there = read(store, &self.to, &locator).await?;
        let there = there.and_then(|it| Carrier::parse(&it.bytes).ok());
        if there.is_some_and(|there| missing(&source, &there).is_empty()) {
            return Ok(());
        }
        self.blobs(store, &found, copied).await?;
        self.join(store, &tag, copied, |there| {
            let Some(there) = there else {
                return Ok(Some(Next {
                    media_type: found.descriptor.media_type.clone(),
                    manifest: found.bytes.clone(),
                    config: None,
                }));
            };
            let there = Carrier::parse(&there.bytes).map_err(|error| unreadable(&error))?;
            let missing = missing(&source, &there);
            if missing.is_empty() {
                return Ok(None);
            }
            let joined = there.edit(&[], missing);
            let bytes = joined.to_bytes();
            Ok(Some(Next {
                media_type: joined.media_type().to_owned(),
                manifest: bytes.manifest.into(),
                config: Some(bytes.config.into()),
            }))
        })
        .await
    }

    /// Copies what refers to `digest`, and what refers to that; where the destination does not keep the list
    /// itself, what was copied is added to it.
    pub(super) async fn referrers(
        &self,
        store: &dyn Store,
        digest: &Digest,
        copied: &mut Copied,
    ) -> Result<(), Failure> {
        let (mut pending, mut seen) = (vec![(digest.clone(), 0)], BTreeSet::new());
        while let Some((subject, depth)) = pending.pop() {
            if depth >= MAX_DEPTH || !seen.insert(subject.clone()) {
                continue;
            }
            let found = listed(store, &self.from, &subject).await?;
            if found.entries.is_empty() {
                continue;
            }
            let there = listed(store, &self.to, &subject).await?;
            let known = there.digests();
            let (mut added, mut said) = (Vec::new(), Listed::Said);
            for entry in &found.entries {
                let locator = Locator::Digest(entry.digest.clone());
                // A list may name what is gone, and what is about something else.
                let Some(read) = read(store, &self.from, &locator).await? else { continue };
                let Some(own) = own_entry(&read, &subject) else { continue };
                pending.push((entry.digest.clone(), depth + 1));
                if known.contains(&entry.digest) {
                    continue;
                }
                let mut tree = self.tree(store, read).await?;
                let Some(read) = tree.pop() else { continue };
                for child in &tree {
                    self.manifest(store, child, copied).await?;
                }
                self.blobs(store, &read, copied).await?;
                let media_type = &read.descriptor.media_type;
                let put = store.put_referrer(&self.to, media_type, read.bytes.clone()).await;
                if put.map_err(|error| failure_of(&error))? == Listed::Unsaid {
                    said = Listed::Unsaid;
                }
                copied.manifests += 1;
                added.push(own);
            }
            match there.listing {
                Listing::Tag(_) if !added.is_empty() => {
                    self.list(store, &subject, &added, copied).await?;
                }
                Listing::Store if said == Listed::Unsaid => {
                    self.is_listed(store, &subject, &added).await?;
                }
                Listing::Store | Listing::Tag(_) => {}
            }
        }
        Ok(())
    }

    /// Adds entries to the index behind the referrers tag; those of others stay as and where they are.
    async fn list(
        &self,
        store: &dyn Store,
        subject: &Digest,
        added: &[Descriptor],
        copied: &mut Copied,
    ) -> Result<(), Failure> {
        self.join(store, &Tag::of_referrers(subject), copied, |there| {
            let there = there.filter(|it| it.descriptor.digest != *subject);
            let mut joined = match there {
                None => empty_index(),
                Some(there) => Index::parse(&there.bytes).map_err(|error| unreadable(&error))?,
            };
            let known: BTreeSet<Digest> =
                joined.manifests.iter().map(|it| it.digest.clone()).collect();
            let missing = added.iter().filter(|it| !known.contains(&it.digest)).cloned();
            let before = joined.manifests.len();
            joined.manifests.extend(missing);
            let is_more = joined.manifests.len() > before;
            Ok(is_more.then(|| Next {
                media_type: media_type::OCI_INDEX.to_owned(),
                manifest: joined.to_bytes().into(),
                config: None,
            }))
        })
        .await
    }

    /// Makes sure that a registry that keeps the list itself has what was written.
    async fn is_listed(
        &self,
        store: &dyn Store,
        subject: &Digest,
        added: &[Descriptor],
    ) -> Result<(), Failure> {
        let listed = listed(store, &self.to, subject).await?.digests();
        if added.iter().all(|it| listed.contains(&it.digest)) {
            return Ok(());
        }
        Err(Failure::new(
            "registry::not_listed",
            format!("the registry does not list what was copied about {}@{subject}", self.to),
            FailureClass::Temporary,
        )
        .help("run again: what is done is kept"))
    }

    /// Writes what `next` makes of what is behind `tag`, until nobody has written between.
    async fn join(
        &self,
        store: &dyn Store,
        tag: &Tag,
        copied: &mut Copied,
        next: impl Fn(Option<&Fetched>) -> Result<Option<Next>, Failure> + Send + Sync,
    ) -> Result<(), Failure> {
        let locator = Locator::Tag(tag.clone());
        for _ in 0..ATTEMPTS {
            let there = read(store, &self.to, &locator).await?;
            let Some(Next { media_type, manifest, config }) = next(there.as_ref())? else {
                return Ok(());
            };
            if let Some(config) = config {
                store.put_blob(&self.to, config).await.map_err(|it| failure_of(&it))?;
            }
            let expected = match there {
                None => Expected::Absent,
                Some(Fetched { version: Some(version), .. }) => Expected::Version(version),
                Some(_) => Expected::Anything,
            };
            let written = Digest::of(&manifest);
            let put = store.put_manifest(&self.to, &locator, &media_type, manifest, &expected);
            match put.await {
                Ok(_) => {}
                Err(error) if error.kind == StoreErrorKind::Precondition => continue,
                Err(error) => return Err(failure_of(&error)),
            }
            let back = read(store, &self.to, &locator).await?;
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

/// What refers to `subject`; nothing where there is no such repository.
async fn listed(
    store: &dyn Store,
    repository: &Repository,
    subject: &Digest,
) -> Result<Referrers, Failure> {
    match store.referrers(repository, subject).await {
        Ok(found) => Ok(found),
        Err(error) if error.kind.is_absent() => Ok(Referrers::default()),
        Err(error) => Err(failure_of(&error)),
    }
}

/// How a list names what was read, where it is about `subject`.
fn own_entry(read: &Fetched, subject: &Digest) -> Option<Descriptor> {
    if media_type::is_index(&read.descriptor.media_type) {
        let index = Index::parse(&read.bytes).ok()?;
        let entry = Descriptor {
            artifact_type: index.artifact_type,
            annotations: index.annotations,
            ..read.descriptor.clone()
        };
        return index.subject.filter(|it| it.digest == *subject).map(|_| entry);
    }
    let manifest = Manifest::parse(&read.bytes).ok()?;
    let is_own = manifest.subject.as_ref().is_some_and(|it| it.digest == *subject);
    is_own.then(|| listing_of(&read.descriptor, &manifest))
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
