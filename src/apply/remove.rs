//! Removing a carrier of which nothing is left.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use futures::stream;
use tokio::sync::OnceCell;

use crate::model::{Digest, Locator, Repository, Tag};
use crate::observe::failure_of;
use crate::plan::{Failure, FailureClass};
use crate::store::{Store, StoreErrorKind};

/// How many tags of a repository are looked up side by side.
const LOOK_UPS: usize = 16;

type Tags = BTreeMap<Digest, Vec<Tag>>;

/// The tags of one repository, once somebody has asked for them.
type Answer = Arc<OnceCell<Result<Arc<Tags>, Failure>>>;

/// Which tags name which digest, asked for once a run and repository: a delete takes every tag with it.
#[derive(Debug, Default)]
pub(super) struct TagsByDigest {
    repositories: Mutex<HashMap<Repository, Answer>>,
}

impl TagsByDigest {
    /// The tags of `digest` other than `own`.
    async fn others(
        &self,
        store: &dyn Store,
        repository: &Repository,
        digest: &Digest,
        own: &Tag,
    ) -> Result<Vec<Tag>, Failure> {
        let cell = {
            let mut repositories = self.repositories.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(repositories.entry(repository.clone()).or_default())
        };
        let tags = cell.get_or_init(|| look_up(store, repository)).await.clone()?;
        let named = tags.get(digest).into_iter().flatten();
        Ok(named.filter(|tag| *tag != own).cloned().collect())
    }
}

async fn look_up(store: &dyn Store, repository: &Repository) -> Result<Arc<Tags>, Failure> {
    let tags = store.tags(repository).await.map_err(|error| failure_of(&error))?;
    let looked: Vec<_> = stream::iter(tags.iter().cloned())
        .map(
            |tag| async move { (tag.clone(), store.resolve(repository, &Locator::Tag(tag)).await) },
        )
        .buffer_unordered(LOOK_UPS)
        .collect()
        .await;
    let mut found = Tags::new();
    for (tag, resolved) in looked {
        match resolved {
            Ok(descriptor) => found.entry(descriptor.digest).or_default().push(tag),
            Err(error) if error.kind.is_absent() => {}
            Err(error) => return Err(failure_of(&error)),
        }
    }
    for tags in found.values_mut() {
        tags.sort();
    }
    Ok(Arc::new(found))
}

/// Deletes the manifest behind `tag`, if no other tag names it, and makes sure that it is gone.
pub(super) async fn delete(
    store: &dyn Store,
    tags: &TagsByDigest,
    repository: &Repository,
    digest: &Digest,
    tag: &Tag,
) -> Result<(), Failure> {
    let others = tags.others(store, repository, digest, tag).await?;
    if let Some(other) = others.first() {
        return Err(Failure::error(
            "registry::delete_refused",
            format!("{repository}:{tag} is the same manifest as {repository}:{other}: deleting it would delete that tag too"),
        )
        .help("remove the other tag first"));
    }
    if let Err(error) = store.delete_manifest(repository, digest).await {
        let failure = failure_of(&error);
        let refused = matches!(error.kind, StoreErrorKind::Refused | StoreErrorKind::Forbidden);
        return Err(if refused {
            Failure { code: "registry::delete_refused".to_owned(), ..failure }
                .help("allow deletes in the registry, or remove the tag there by hand")
        } else {
            failure
        });
    }
    let locator = Locator::Tag(tag.clone());
    let mut there = store.resolve(repository, &locator).await;
    // Some registries keep a tag whose manifest is gone; those delete tags too.
    if there.as_ref().is_ok_and(|it| it.digest == *digest)
        && store.delete_tag(repository, tag).await.is_ok()
    {
        there = store.resolve(repository, &locator).await;
    }
    match there {
        Err(error) if error.kind.is_absent() => Ok(()),
        Err(error) => Err(failure_of(&error)),
        Ok(_) => Err(Failure::new(
            "registry::delete_refused",
            format!("{repository}:{tag} is still there after it was deleted"),
            FailureClass::Temporary,
        )),
    }
}
