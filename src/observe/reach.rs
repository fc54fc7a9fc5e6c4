//! From one tag or digest to the subjects behind it: the images of an index first, then the index.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use crate::model::{Descriptor, Digest, Index, Locator, Repository, Tag, media_type};
use crate::observe::failure_of;
use crate::observe::resolve::Root;
use crate::plan::{Failure, Image, Moved};
use crate::store::{ReadStore, StoreError};

/// Deeper than this no index is followed.
const MAX_DEPTH: usize = 8;

/// A subject behind a root.
#[derive(Clone, Debug)]
pub(super) struct Reached {
    /// What it is.
    pub(super) digest: Digest,
    /// What a person calls it: the root's name, with the platform for an image of an index.
    pub(super) name: Arc<str>,
    /// The images in it, which are signed first.
    pub(super) children: Vec<Digest>,
    /// Whether its manifest has been seen.
    pub(super) exists: bool,
    /// Why it cannot be signed.
    pub(super) blocked: Vec<Failure>,
}

/// A manifest that was looked at: its digest and, for an index, its entries.
#[derive(Clone, Debug)]
struct Seen {
    descriptor: Descriptor,
    entries: Option<Arc<Vec<Descriptor>>>,
}

type Answer = Arc<OnceCell<Result<Seen, Failure>>>;

/// Reads tags and indexes, each at most once a run.
#[derive(Debug)]
pub(super) struct Reach {
    store: Arc<dyn ReadStore>,
    seen: Mutex<HashMap<(Repository, Locator, Depth), Answer>>,
}

/// How much of a manifest is read.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Depth {
    /// Only its digest: HEAD.
    Digest,
    /// The entries of an index too: GET.
    Entries,
}

impl Reach {
    pub(super) fn new(store: Arc<dyn ReadStore>) -> Self {
        Self { store, seen: Mutex::default() }
    }

    pub(super) async fn tags(
        &self,
        repository: &Repository,
    ) -> Result<Arc<BTreeSet<Tag>>, Failure> {
        self.store
            .tags(repository)
            .await
            .map_err(|error| absent_or(&error, &repository.to_string()))
    }

    /// The subjects behind `root`, the images of an index before it, and whether its tag has moved.
    pub(super) async fn root(
        &self,
        image: &Image,
        root: &Root,
    ) -> Result<(Vec<Reached>, Option<Moved>), Failure> {
        let repository = &image.repository;
        let mut moved = None;
        if let (Some(tag), Some(declared)) = (&root.tag, &root.digest) {
            let now = self.look(repository, tag.clone().into(), Depth::Digest).await;
            let actual = match now {
                Ok(seen) => Some(seen.descriptor.digest),
                Err(reason) if reason.code == "image::not_found" => None,
                Err(reason) => return Err(reason),
            };
            if actual.as_ref() != Some(declared) {
                moved = Some(Moved { tag: format!("{repository}:{tag}").into(), actual });
            }
        }
        let locator = match (&root.digest, &root.tag) {
            (Some(digest), _) => Locator::Digest(digest.clone()),
            (None, Some(tag)) => Locator::Tag(tag.clone()),
            (None, None) => return Ok((Vec::new(), None)),
        };
        let inside = image.settings.recursive || !image.platforms.is_empty();
        let top = match (&locator, inside) {
            (Locator::Digest(digest), false) => {
                let reached = Reached {
                    digest: digest.clone(),
                    name: Arc::clone(&root.name),
                    children: Vec::new(),
                    exists: false,
                    blocked: Vec::new(),
                };
                return Ok((vec![reached], moved));
            }
            (_, false) => self.look(repository, locator, Depth::Digest).await?,
            (_, true) => self.look(repository, locator, Depth::Entries).await?,
        };
        let mut reached = Vec::new();
        self.descend(image, &top, &root.name, 0, &mut reached).await;
        Ok((reached, moved))
    }

    /// Adds what is in `seen`, then `seen` itself.
    fn descend<'a>(
        &'a self,
        image: &'a Image,
        seen: &'a Seen,
        name: &'a Arc<str>,
        depth: usize,
        reached: &'a mut Vec<Reached>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let mut own = Reached {
                digest: seen.descriptor.digest.clone(),
                name: Arc::clone(name),
                children: Vec::new(),
                exists: true,
                blocked: Vec::new(),
            };
            let chosen = seen.entries.as_ref().map(|it| chosen(image, it));
            if chosen.is_some() && depth >= MAX_DEPTH {
                own.blocked.push(Failure::error(
                    "image::too_deep",
                    format!("{name} has indexes more than {MAX_DEPTH} deep"),
                ));
            } else {
                for entry in chosen.into_iter().flatten() {
                    self.entry(image, entry, name, depth, &mut own, reached).await;
                }
            }
            let whole = image.settings.recursive || seen.entries.is_none();
            if let (0, Some(_), false) = (depth, &seen.entries, image.platforms.is_empty()) {
                own.blocked.extend(missing_platforms(image, seen, name));
            }
            if whole || !own.blocked.is_empty() {
                reached.push(own);
            }
        })
    }

    /// Adds one entry of an index.
    async fn entry(
        &self,
        image: &Image,
        entry: &Descriptor,
        name: &Arc<str>,
        depth: usize,
        parent: &mut Reached,
        reached: &mut Vec<Reached>,
    ) {
        let repository = &image.repository;
        let own_name: Arc<str> = match &entry.platform {
            Some(platform) => format!("{name} {platform}").into(),
            None => format!("{name} {}", entry.digest.short()).into(),
        };
        parent.children.push(entry.digest.clone());
        let mut child = Reached {
            digest: entry.digest.clone(),
            name: Arc::clone(&own_name),
            children: Vec::new(),
            exists: false,
            blocked: Vec::new(),
        };
        if media_type::is_index(&entry.media_type) {
            let locator = Locator::Digest(entry.digest.clone());
            match self.look(repository, locator, Depth::Entries).await {
                Ok(seen) => {
                    return self.descend(image, &seen, &own_name, depth + 1, reached).await;
                }
                Err(reason) => child.blocked.push(reason),
            }
        } else if !media_type::is_manifest(&entry.media_type) {
            child.blocked.push(
                Failure::error(
                    "image::child_type",
                    format!("{own_name} has the unknown type `{}`", entry.media_type),
                )
                .help("remove it from the index, or sign the index without `recursive`"),
            );
        }
        reached.push(child);
    }

    /// Looks at a manifest, once a run however many entries lead to it.
    async fn look(
        &self,
        repository: &Repository,
        locator: Locator,
        depth: Depth,
    ) -> Result<Seen, Failure> {
        let key = (repository.clone(), locator.clone(), depth);
        let answer = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(seen.entry(key).or_default())
        };
        let looked = answer.get_or_init(|| self.look_once(repository, &locator, depth)).await;
        looked.clone()
    }

    async fn look_once(
        &self,
        repository: &Repository,
        locator: &Locator,
        depth: Depth,
    ) -> Result<Seen, Failure> {
        let separator = if matches!(locator, Locator::Tag(_)) { ':' } else { '@' };
        let name = format!("{repository}{separator}{locator}");
        if depth == Depth::Digest {
            let found = self.store.resolve(repository, locator).await;
            let descriptor = found.map_err(|error| absent_or(&error, &name))?;
            return Ok(Seen { descriptor, entries: None });
        }
        let fetched = self.store.manifest(repository, locator).await;
        let fetched = fetched.map_err(|error| absent_or(&error, &name))?;
        let entries = if media_type::is_index(&fetched.descriptor.media_type) {
            let index = Index::parse(&fetched.bytes).map_err(|error| {
                Failure::error("image::broken_index", format!("{name} cannot be read: {error}"))
            })?;
            Some(Arc::new(index.manifests))
        } else {
            None
        };
        Ok(Seen { descriptor: fetched.descriptor, entries })
    }
}

/// The entries of an index that an entry of the spec chooses.
fn chosen<'a>(image: &'a Image, entries: &'a [Descriptor]) -> impl Iterator<Item = &'a Descriptor> {
    entries.iter().filter(|entry| {
        image.platforms.is_empty()
            || media_type::is_index(&entry.media_type)
            || entry
                .platform
                .as_ref()
                .is_some_and(|platform| image.platforms.iter().any(|wanted| platform.is(wanted)))
    })
}

fn missing_platforms(image: &Image, seen: &Seen, name: &str) -> Vec<Failure> {
    let entries = seen.entries.as_deref().map(Vec::as_slice).unwrap_or_default();
    let nested = entries.iter().any(|entry| media_type::is_index(&entry.media_type));
    let missing = image.platforms.iter().filter(|wanted| {
        !nested
            && !entries.iter().any(|entry| entry.platform.as_ref().is_some_and(|it| it.is(wanted)))
    });
    let failures = missing.map(|wanted| {
        Failure::error("image::platform_missing", format!("{name} has no image for {wanted}"))
            .help("build the image for that platform, or take it out of `platforms`")
    });
    failures.collect()
}

/// What a store said: an absence that is sure gets a code of its own.
fn absent_or(error: &StoreError, name: &str) -> Failure {
    if error.kind.is_absent() {
        Failure::error("image::not_found", format!("{name} does not exist"))
            .help("push the image first, or mark the entry `optional = true`")
    } else {
        failure_of(error)
    }
}
