//! Registries: the conversation of OCI distribution 1.1 over one pool of connections for each host.
//!
//! Read from the top: a [`RemoteStore`] turns each method into a call of [`content`], [`referrers`],
//! [`tags`] or [`upload`]; `session` gives it a token and follows redirects; `host` sends it, waits and tries again.

mod answer;
mod auth;
mod authority;
mod challenge;
mod client;
mod content;
mod count;
mod credentials;
mod docker_config;
mod failure;
mod file;
mod helper;
mod host;
mod limit;
mod options;
mod referrers;
mod retry;
mod session;
mod tags;
mod tls;
mod token;
mod upload;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::OnceCell;
use url::Url;

pub use count::RequestCounts;
pub use options::{
    Intent, ProcessEnvironment, Proxies, RegistryRule, RemoteOptions, RetryPolicy, credential_files,
};

use crate::model::{Descriptor, Digest, Locator, RemoteRepository, Repository, Tag};
use crate::store::remote::count::Counts;
use crate::store::remote::credentials::CredentialSource;
use crate::store::remote::failure::Failure;
use crate::store::remote::host::Host;
use crate::store::{
    Expected, Fetched, Listed, Mounted, ReadStore, Referrers, Store, StoreError, StoreErrorKind,
};

/// Images in registries.
///
/// One store keeps one pool of connections, one set of limits and one token for each repository, for
/// every host; share it. It asks no registry anything before it is asked, and pings none.
///
/// Loopback hosts are spoken to over HTTP, unless their rule names a `ca_file`, a client certificate
/// or `skip_tls_verify`; every other host over HTTPS, unless its rule says `plain_http`.
///
/// # Errors
///
/// A tag list that could not be had is not asked for again by the same store.
///
/// Every method: `Credentials`, `Forbidden`, `InvalidAnswer`, `Redirect`, `Throttled`, `Tls`,
/// `TooLarge`, `Unauthorized`, `Unavailable`. Reading: `NotFound`, `RepositoryUnknown`, `WrongDigest`.
/// Writing: `ImmutableTag`, `Precondition`, `Refused`, `RepositoryUnknown`, `WrongDigest`.
pub struct RemoteStore {
    shared: Shared,
    tags: Mutex<HashMap<RemoteRepository, Arc<TagList>>>,
}

type TagList = OnceCell<Result<Arc<BTreeSet<Tag>>, Failure>>;

impl RemoteStore {
    /// A store that talks to registries as `options` say. Costs no request.
    pub fn new(options: RemoteOptions) -> Self {
        Self { shared: Shared::new(options), tags: Mutex::default() }
    }

    /// How many requests were sent so far.
    pub fn requests(&self) -> RequestCounts {
        self.shared.counts.now()
    }

    /// A repository that was written to exists, whatever its tag list said before.
    fn forget_absence(&self, repository: &RemoteRepository) {
        let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        if tags.get(repository).and_then(|it| it.get()).is_some_and(Result::is_err) {
            tags.remove(repository);
        }
    }
}

impl fmt::Debug for RemoteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteStore").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

#[async_trait]
impl ReadStore for RemoteStore {
    async fn resolve(
        &self,
        repository: &Repository,
        locator: &Locator,
    ) -> Result<Descriptor, StoreError> {
        let at = At("resolve", repository, Some(locator));
        content::resolve(&self.shared, at.remote()?, locator).await.map_err(|it| at.error(it))
    }

    async fn manifest(
        &self,
        repository: &Repository,
        locator: &Locator,
    ) -> Result<Fetched, StoreError> {
        let at = At("read", repository, Some(locator));
        content::manifest(&self.shared, at.remote()?, locator).await.map_err(|it| at.error(it))
    }

    async fn blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<Bytes, StoreError> {
        let locator = Locator::Digest(descriptor.digest.clone());
        let at = At("read", repository, Some(&locator));
        content::blob(&self.shared, at.remote()?, descriptor).await.map_err(|it| at.error(it))
    }

    async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Referrers, StoreError> {
        let locator = Locator::Digest(subject.clone());
        let at = At("list the referrers of", repository, Some(&locator));
        let listed = referrers::list(&self.shared, at.remote()?, subject).await;
        if let Some(entries) = listed.map_err(|it| at.error(it))? {
            return Ok(Referrers::of_store(entries));
        }
        let tag = Tag::of_referrers(subject);
        let mut found = self.manifest(repository, &tag.clone().into()).await;
        let is_refused = |error: &StoreError| {
            matches!(error.kind, StoreErrorKind::Forbidden | StoreErrorKind::Unauthorized)
        };
        // Artifactory refuses tags that do not exist; what is not in the list does not.
        if let Err(error) = &mut found
            && is_refused(error)
            && self.tags(repository).await.is_ok_and(|tags| !tags.contains(&tag))
        {
            error.kind = StoreErrorKind::NotFound;
        }
        Referrers::of_tag(subject, || format!("{repository}:{tag}"), found)
    }

    async fn blob_to_file(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        path: &Path,
    ) -> Result<(), StoreError> {
        let locator = Locator::Digest(descriptor.digest.clone());
        let at = At("read", repository, Some(&locator));
        let read = content::blob_to_file(&self.shared, at.remote()?, descriptor, path).await;
        read.map_err(|it| at.error(it))
    }

    async fn tags(&self, repository: &Repository) -> Result<Arc<BTreeSet<Tag>>, StoreError> {
        let at = At("list the tags of", repository, None);
        let remote = at.remote()?;
        let cell = {
            let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tags.entry(remote.clone()).or_default())
        };
        let list = async || tags::list(&self.shared, remote).await.map(Arc::new);
        cell.get_or_init(list).await.clone().map_err(|it| at.error(it))
    }
}

#[async_trait]
impl Store for RemoteStore {
    async fn put_blob(
        &self,
        repository: &Repository,
        content: Bytes,
    ) -> Result<Digest, StoreError> {
        let at = At("write a blob to", repository, None);
        upload::blob(&self.shared, at.remote()?, content).await.map_err(|it| at.error(it))
    }

    async fn put_blob_file(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        path: &Path,
    ) -> Result<(), StoreError> {
        let at = At("write a blob to", repository, None);
        let written = upload::blob_file(&self.shared, at.remote()?, descriptor, path).await;
        written.map_err(|it| at.error(it))
    }

    async fn has_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool, StoreError> {
        let at = At("look for a blob in", repository, None);
        content::has_blob(&self.shared, at.remote()?, digest).await.map_err(|it| at.error(it))
    }

    async fn mount_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
        from: &Repository,
    ) -> Result<Mounted, StoreError> {
        let at = At("write a blob to", repository, None);
        let remote = at.remote()?;
        match from {
            Repository::Remote(from) if from.host() == remote.host() && from != remote => {
                upload::mount(&self.shared, remote, digest, from).await.map_err(|it| at.error(it))
            }
            Repository::Remote(_) | Repository::Layout(_) => Ok(Mounted::No),
        }
    }

    async fn put_manifest(
        &self,
        repository: &Repository,
        locator: &Locator,
        media_type: &str,
        content: Bytes,
        expected: &Expected,
    ) -> Result<Digest, StoreError> {
        let at = At("write", repository, Some(locator));
        let remote = at.remote()?;
        let result =
            upload::manifest(&self.shared, remote, locator, media_type, content, expected).await;
        if result.is_ok() {
            self.forget_absence(remote);
        }
        result.map_err(|it| at.error(it))
    }

    async fn put_referrer(
        &self,
        repository: &Repository,
        media_type: &str,
        content: Bytes,
    ) -> Result<Listed, StoreError> {
        let at = At("write a referrer to", repository, None);
        upload::referrer(&self.shared, at.remote()?, media_type, content)
            .await
            .map_err(|it| at.error(it))
    }

    async fn delete_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(), StoreError> {
        let locator = Locator::Digest(digest.clone());
        let at = At("delete", repository, Some(&locator));
        upload::delete(&self.shared, at.remote()?, &locator).await.map_err(|it| at.error(it))
    }

    async fn delete_tag(&self, repository: &Repository, tag: &Tag) -> Result<(), StoreError> {
        let locator = Locator::Tag(tag.clone());
        let at = At("delete", repository, Some(&locator));
        upload::delete(&self.shared, at.remote()?, &locator).await.map_err(|it| at.error(it))
    }
}

/// What is being done, to what.
struct At<'a>(&'static str, &'a Repository, Option<&'a Locator>);

impl At<'_> {
    fn remote(&self) -> Result<&RemoteRepository, StoreError> {
        match self.1 {
            Repository::Remote(remote) => Ok(remote),
            Repository::Layout(_) => {
                Err(self.error(Failure::new(StoreErrorKind::Refused, "it is in no registry")))
            }
        }
    }

    fn error(&self, failure: Failure) -> StoreError {
        let target = match self.2 {
            None => self.1.to_string(),
            Some(Locator::Digest(digest)) => format!("{}@{digest}", self.1),
            Some(Locator::Tag(tag)) => format!("{}:{tag}", self.1),
        };
        failure.at(self.0, target)
    }
}

/// What all requests share.
struct Shared {
    options: RemoteOptions,
    credentials: CredentialSource,
    counts: Arc<Counts>,
    /// By host as references write it.
    registries: Hosts,
    /// By origin: token servers and where redirects lead.
    hosts: Hosts,
}

impl Shared {
    fn new(options: RemoteOptions) -> Self {
        let credentials = CredentialSource::new(&options);
        Self {
            options,
            credentials,
            counts: Arc::default(),
            registries: Mutex::default(),
            hosts: Mutex::default(),
        }
    }

    /// The host of `url`.
    fn host(&self, url: &Url) -> Result<Arc<Host>, Failure> {
        let authority = authority::of(url);
        self.host_at(&format!("{}://{authority}", url.scheme()), &authority)
    }

    /// The registry that the repository is in.
    fn registry(&self, repository: &RemoteRepository) -> Result<Arc<Host>, Failure> {
        let name = repository.host();
        known(&self.registries, name, || {
            let rule = self.options.rule(name);
            let is_plain = rule.is_some_and(|it| it.plain_http)
                || authority::is_loopback(name) && !rule.is_some_and(RegistryRule::wants_tls);
            let scheme = if is_plain { "http" } else { "https" };
            self.host_at(&format!("{scheme}://{name}"), name)
        })
    }

    /// The host at `origin`, with the rule for `name`.
    fn host_at(&self, origin: &str, name: &str) -> Result<Arc<Host>, Failure> {
        known(&self.hosts, origin, || {
            let origin = Url::parse(origin).map_err(|error| {
                let detail = format!("the host `{name}` cannot stand in a URL: {error}");
                Failure::new(StoreErrorKind::Unavailable, detail)
            })?;
            let rule = self.options.rule(name);
            Host::new(&self.options, rule, origin, Arc::clone(&self.counts)).map(Arc::new)
        })
    }

    /// A place in the repository: `/v2/<path>/<rest>`.
    fn url(&self, repository: &RemoteRepository, rest: &str) -> Result<Url, Failure> {
        let mut url = self.registry(repository)?.origin.clone();
        url.set_path(&format!("v2/{}/{rest}", repository.path()));
        Ok(url)
    }
}

/// Hosts by name. One that could not be set up stays so.
type Hosts = Mutex<HashMap<String, Result<Arc<Host>, Failure>>>;

fn known(
    hosts: &Hosts,
    name: &str,
    set_up: impl FnOnce() -> Result<Arc<Host>, Failure>,
) -> Result<Arc<Host>, Failure> {
    let mut hosts = hosts.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(host) = hosts.get(name) {
        return host.clone();
    }
    let host = set_up();
    hosts.insert(name.to_owned(), host.clone());
    host
}
