//! A store in memory: the reference for every other, and a double for tests that counts and fails on demand.

mod contents;
mod fault;
mod operation;
mod policy;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

pub use contents::{Contents, RepositoryContents, StoredManifest};
pub use operation::{Counts, Operation, Read, Write};
pub use policy::{DeletePolicy, Policies, ReferrersPolicy, TagPolicy, VersionPolicy};

use crate::model::{Descriptor, Digest, Locator, Repository, Tag};
use crate::store::referrers::entry_of;
use crate::store::{
    Expected, Fetched, Listed, ReadStore, Referrers, Store, StoreError, StoreErrorKind,
};
use contents::missing_part;
use fault::Faults;

/// A store in memory that holds any [`Repository`], layouts too.
///
/// It is as strict as a registry: a manifest is taken only when what it names is there. The same
/// requests in the same order give the same contents. Each operation yields once to the runtime, so that tasks
/// interleave as they do over a network, and happens at one moment. Nothing is kept between calls: `tags`
/// tells what is there now.
///
/// For tests it counts requests, keeps a log of the writes that happened, and fails on demand. What
/// [`edit`](Self::edit) does by the back door is neither counted nor logged and never fails.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use countersign::store::{MemoryStore, ReadStore, StoreErrorKind};
///
/// let store = MemoryStore::new();
/// let repository = "ghcr.io/acme/api".parse().unwrap();
/// let tag: countersign::model::Tag = "1.4.2".parse().unwrap();
/// let digest = store.edit(|it| it.push_image(&repository, &[tag.clone()], &[b"layer"]));
/// let found = store.resolve(&repository, &tag.clone().into()).await.unwrap();
/// assert_eq!(found.digest, digest);
///
/// store.fail_next(StoreErrorKind::Throttled);
/// let error = store.resolve(&repository, &tag.into()).await.unwrap_err();
/// assert_eq!(error.kind, StoreErrorKind::Throttled);
/// assert_eq!(store.counts().resolves, 2);
/// assert!(store.writes().is_empty());
/// # }
/// ```
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    faults: Mutex<Faults>,
}

#[derive(Default)]
struct State {
    contents: Contents,
    policies: Policies,
    counts: Counts,
    writes: Vec<Write>,
}

impl MemoryStore {
    /// An empty store that allows everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store that holds `contents`: what another one's [`contents`](Self::contents) gave.
    pub fn with(contents: Contents) -> Self {
        let store = Self::default();
        store.state().contents = contents;
        store
    }

    /// A copy of everything in it; compare two, or print one.
    pub fn contents(&self) -> Contents {
        self.state().contents.clone()
    }

    /// Changes the contents by the back door: for the initial world, and for what other people do.
    pub fn edit<T>(&self, edit: impl FnOnce(&mut Contents) -> T) -> T {
        edit(&mut self.state().contents)
    }

    /// How many requests arrived, since the beginning or the last [`forget`](Self::forget).
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// The writes that happened, in order; those that changed nothing too, those that failed not.
    pub fn writes(&self) -> Vec<Write> {
        self.state().writes.clone()
    }

    /// Sets the counts to zero and empties the log.
    pub fn forget(&self) {
        let mut state = self.state();
        state.counts = Counts::default();
        state.writes.clear();
    }

    /// Runs one operation: the hook, the faults, then `act` at one moment.
    async fn run<T>(
        &self,
        operation: Operation,
        act: impl FnOnce(&mut State) -> Result<T, Refusal>,
    ) -> Result<T, StoreError> {
        tokio::task::yield_now().await;
        let (hooks, rules) = self.faults().callbacks();
        hooks.iter().for_each(|hook| hook(self, &operation));
        let failed = rules.iter().find_map(|rule| rule(&operation));

        let error = |refusal: Refusal| {
            let error = StoreError::new(operation.verb(), operation.target(), refusal.kind);
            StoreError { detail: refusal.detail, ..error }
        };
        let mut state = self.state();
        state.counts.count(&operation);
        if let Some(kind) = self.faults().strike().or(failed) {
            return Err(error(kind.into()));
        }
        let result = act(&mut state).map_err(error)?;
        let lost = self.faults().happened(&operation);
        if let Operation::Write(write) = operation.clone() {
            state.writes.push(write);
        }
        match lost {
            Some(kind) => Err(error(kind.into())),
            None => Ok(result),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let State { contents, counts, .. } = &*self.state();
        f.debug_struct("MemoryStore")
            .field("repositories", &contents.repositories.len())
            .field("counts", counts)
            .finish_non_exhaustive()
    }
}

/// Why an operation fails, before it is known which one.
struct Refusal {
    kind: StoreErrorKind,
    detail: Option<String>,
}

impl From<StoreErrorKind> for Refusal {
    fn from(kind: StoreErrorKind) -> Self {
        Self { kind, detail: None }
    }
}

impl State {
    fn repository(&self, repository: &Repository) -> Result<&RepositoryContents, Refusal> {
        let found = self.contents.repositories.get(repository);
        found.ok_or(StoreErrorKind::RepositoryUnknown.into())
    }

    fn manifest(&self, repository: &Repository, locator: &Locator) -> Result<Fetched, Refusal> {
        let contents = self.repository(repository)?;
        let digest = contents.digest(locator).ok_or(StoreErrorKind::NotFound)?;
        let stored = contents.manifests.get(digest).ok_or(StoreErrorKind::NotFound)?;
        if !digest.matches(&stored.bytes) {
            return Err(StoreErrorKind::WrongDigest.into());
        }
        let descriptor = Descriptor {
            digest: digest.clone(),
            ..Descriptor::of(&stored.media_type, &stored.bytes)
        };
        let version = match self.policies.versions {
            VersionPolicy::Check => Some(digest.to_string()),
            VersionPolicy::Ignore => None,
        };
        Ok(Fetched { descriptor, bytes: stored.bytes.clone(), version })
    }

    /// What the referrers API answers.
    fn referrers(&self, repository: &Repository, subject: &Digest) -> Vec<Descriptor> {
        let manifests = self.contents.repositories.get(repository).map(|it| it.manifests.iter());
        let manifests = manifests.into_iter().flatten().filter_map(|(digest, stored)| {
            let descriptor = Descriptor {
                digest: digest.clone(),
                ..Descriptor::of(&stored.media_type, &stored.bytes)
            };
            entry_of(descriptor, &stored.bytes, subject)
        });
        manifests.collect()
    }

    fn check_expected(
        &self,
        repository: &Repository,
        locator: &Locator,
        expected: &Expected,
    ) -> Result<(), Refusal> {
        if self.policies.versions == VersionPolicy::Ignore {
            return Ok(());
        }
        let now = self.contents.digest(repository, locator);
        let fits = match expected {
            Expected::Absent => now.is_none(),
            Expected::Anything => true,
            Expected::Version(version) => now.is_some_and(|it| it.to_string() == *version),
        };
        if fits { Ok(()) } else { Err(StoreErrorKind::Precondition.into()) }
    }
}

#[async_trait]
impl ReadStore for MemoryStore {
    async fn resolve(
        &self,
        repository: &Repository,
        locator: &Locator,
    ) -> Result<Descriptor, StoreError> {
        let read = Read::Resolve { repository: repository.clone(), locator: locator.clone() };
        let act = |state: &mut State| Ok(state.manifest(repository, locator)?.descriptor);
        self.run(Operation::Read(read), act).await
    }

    async fn manifest(
        &self,
        repository: &Repository,
        locator: &Locator,
    ) -> Result<Fetched, StoreError> {
        let read = Read::Manifest { repository: repository.clone(), locator: locator.clone() };
        let act = |state: &mut State| state.manifest(repository, locator);
        self.run(Operation::Read(read), act).await
    }

    async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<Bytes, StoreError> {
        let Descriptor { digest, size, .. } = descriptor;
        let read = Read::Blob { repository: repository.clone(), digest: digest.clone() };
        let act = |state: &mut State| {
            let found = state.repository(repository)?.blobs.get(digest);
            let blob = found.ok_or(StoreErrorKind::NotFound)?;
            if u64::try_from(blob.len()) != Ok(*size) || !digest.matches(blob) {
                return Err(StoreErrorKind::WrongDigest.into());
            }
            Ok(blob.clone())
        };
        self.run(Operation::Read(read), act).await
    }

    async fn tags(&self, repository: &Repository) -> Result<Arc<BTreeSet<Tag>>, StoreError> {
        let read = Read::Tags { repository: repository.clone() };
        let act = |state: &mut State| {
            Ok(Arc::new(state.repository(repository)?.tags.keys().cloned().collect()))
        };
        self.run(Operation::Read(read), act).await
    }

    async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Referrers, StoreError> {
        let read = Read::Referrers { repository: repository.clone(), subject: subject.clone() };
        let tag = Tag::of_referrers(subject);
        let act = |state: &mut State| match state.policies.referrers {
            ReferrersPolicy::Api => Ok(Ok(state.referrers(repository, subject))),
            ReferrersPolicy::Tag => match state.manifest(repository, &tag.clone().into()) {
                Err(refusal) if !refusal.kind.is_absent() => Err(refusal),
                found => Ok(Err(found.ok())),
            },
        };
        match self.run(Operation::Read(read), act).await? {
            Ok(entries) => Ok(Referrers::of_store(entries)),
            Err(found) => {
                let target = || format!("{repository}:{tag}");
                let absent = || StoreError::new("read", target(), StoreErrorKind::NotFound);
                Referrers::of_tag(subject, target, found.ok_or_else(absent))
            }
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn put_blob(
        &self,
        repository: &Repository,
        content: Bytes,
    ) -> Result<Digest, StoreError> {
        let digest = Digest::of(&content);
        let write = Write::Blob { repository: repository.clone(), digest };
        let act = |state: &mut State| Ok(state.contents.push_blob(repository, content));
        self.run(Operation::Write(write), act).await
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        locator: &Locator,
        media_type: &str,
        content: Bytes,
        expected: &Expected,
    ) -> Result<Digest, StoreError> {
        let digest = match locator {
            Locator::Digest(digest) => digest.clone(),
            Locator::Tag(_) => Digest::of(&content),
        };
        let write = Write::Manifest {
            repository: repository.clone(),
            locator: locator.clone(),
            digest: digest.clone(),
        };
        let act = |state: &mut State| {
            if !digest.matches(&content) {
                return Err(StoreErrorKind::WrongDigest.into());
            }
            state.check_expected(repository, locator, expected)?;
            let immutable = state.policies.tags == TagPolicy::Immutable;
            let contents = state.contents.repositories.get(repository);
            if let Some(detail) = missing_part(contents, media_type, &content) {
                return Err(Refusal { kind: StoreErrorKind::Refused, detail: Some(detail) });
            }
            if let Locator::Tag(tag) = locator {
                let named = contents.and_then(|it| it.tags.get(tag));
                if immutable && named.is_some_and(|named| *named != digest) {
                    return Err(StoreErrorKind::ImmutableTag.into());
                }
                state.contents.tag(repository, tag, &digest);
            }
            let stored = StoredManifest { media_type: media_type.to_owned(), bytes: content };
            state.contents.repository(repository).manifests.insert(digest.clone(), stored);
            Ok(digest)
        };
        self.run(Operation::Write(write), act).await
    }

    async fn put_referrer(
        &self,
        repository: &Repository,
        media_type: &str,
        content: Bytes,
    ) -> Result<Listed, StoreError> {
        let locator = Locator::Digest(Digest::of(&content));
        self.put_manifest(repository, &locator, media_type, content, &Expected::Anything).await?;
        Ok(match self.state().policies.referrers {
            ReferrersPolicy::Api => Listed::Said,
            ReferrersPolicy::Tag => Listed::Unsaid,
        })
    }

    async fn delete_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(), StoreError> {
        let write = Write::Deletion { repository: repository.clone(), digest: digest.clone() };
        let act = |state: &mut State| {
            if state.policies.deletes == DeletePolicy::Refuse {
                return Err(StoreErrorKind::Refused.into());
            }
            if let Some(contents) = state.contents.repositories.get_mut(repository) {
                contents.manifests.remove(digest);
                contents.tags.retain(|_, named| named != digest);
            }
            Ok(())
        };
        self.run(Operation::Write(write), act).await
    }
}

#[cfg(test)]
mod tests;
