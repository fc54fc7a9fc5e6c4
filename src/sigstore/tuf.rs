//! Trusted roots and signing configs from a TUF repository: sigstore's public instance, a mirror of it, or another.
//!
//! The `sigstore-tuf` crate is the client; here are the connection, the folder, and when which of them is asked.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use sigstore_tuf::transport::FetchFuture;
use sigstore_tuf::{
    Error as TufError, FileStore, MetadataStore as _, Repository, StoreRepository, Updater,
    UpdaterConfig,
};
use tokio::sync::OnceCell;
use url::Url;

use crate::model::{Environment, SafeUrl, Timestamp};
use crate::sigstore::{Service, ServiceError, ServiceErrorKind};
use crate::trust::TrustedRoot;
use crate::wire::http::{Call, Http, HttpFailure, HttpFailureKind};
use crate::wire::tls::Tls;

/// Sigstore's public instance.
const PUBLIC: &str = "https://tuf-repo-cdn.sigstore.dev";

/// The root that trust in the public instance begins with, number 16: from it every later one is reached.
const PUBLIC_ROOT: &[u8] = include_bytes!("tuf_root.json");

const TRUSTED_ROOT: &str = "trusted_root.json";
const SIGNING_CONFIG: &str = "signing_config.v0.2.json";

/// When the repository was last asked, in seconds: our own file beside those of the client.
const ASKED: &str = "countersign-asked";

/// How long what was asked is not asked again, in seconds. The metadata itself ends after about a week.
const FRESH: i64 = 24 * 60 * 60;

const TIMEOUT: Duration = Duration::from_secs(30);

/// The largest file of trust, in bytes: the client's own limit is fifty megabytes.
const LARGEST_TARGET: u64 = 1 << 20;

/// Which repository, where trust in it begins, and where it is kept.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct TufOptions {
    /// The address of the repository; `None`: sigstore's public instance.
    pub mirror: Option<String>,
    /// The first `root.json` to trust; `None`: that of the public instance, which a mirror of it has too.
    pub root: Option<Vec<u8>>,
    /// The folder to keep verified files in, for other runs and for times without a network; `None`: nothing is kept.
    pub folder: Option<PathBuf>,
}

/// What a repository gives, verified.
#[derive(Clone, Debug)]
pub struct TrustMaterial {
    /// Whom to trust.
    pub trusted_root: Arc<TrustedRoot>,
    /// `signing_config.v0.2.json`: which services to use. JSON; `None` where the repository has none.
    pub signing_config: Option<Vec<u8>>,
}

/// A TUF repository, which is asked once a run.
pub struct Tuf {
    options: TufOptions,
    environment: Arc<dyn Environment>,
    patience: Duration,
    loaded: OnceCell<TrustMaterial>,
}

impl fmt::Debug for Tuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tuf({})", self.options.mirror.as_deref().unwrap_or(PUBLIC))
    }
}

impl Tuf {
    /// Makes ready to ask the repository; sends nothing. `environment` is for the proxies; a mirror that fails is
    /// asked again for `patience`.
    pub fn new(options: TufOptions, environment: Arc<dyn Environment>, patience: Duration) -> Self {
        Self { options, environment, patience, loaded: OnceCell::new() }
    }

    /// The verified trusted root and signing config.
    ///
    /// The first call of a run loads them, and others wait for it; a failure is not kept. What the folder holds is
    /// used, after it was verified anew, where it was asked for within a day, or where the repository cannot be
    /// reached; the metadata must not have ended. Several processes may share the folder.
    ///
    /// # Errors
    ///
    /// `tuf::unavailable`, `tuf::throttled`, `tuf::tls`: there is no answer, and nothing in the folder that still
    /// holds. `tuf::untrusted`: something is not signed as the root wants it, has ended, or went back.
    /// `tuf::refused`: the repository has no such files.
    pub async fn load(&self, now: Timestamp) -> Result<&TrustMaterial, ServiceError> {
        self.loaded.get_or_try_init(|| self.fetch(now)).await
    }

    async fn fetch(&self, now: Timestamp) -> Result<TrustMaterial, ServiceError> {
        let store = self.folder().map(FileStore::new);
        if let Some(store) = store.as_ref().filter(|store| is_fresh(store, now)) {
            match self.material(self.stored(store)?, now).await {
                Ok(material) => return Ok(material),
                Err(error) => tracing::debug!(%error, "tuf.stored"),
            }
        }
        let failure = match self.ask(store.as_ref(), now).await {
            Ok(material) => return Ok(material),
            Err(failure) => failure,
        };
        let Some(store) = store.filter(|_| is_out_of_reach(&failure)) else { return Err(failure) };
        match self.material(self.stored(&store)?, now).await {
            Ok(material) => {
                tracing::warn!(%failure, "trusted roots were kept from before");
                Ok(material)
            }
            Err(error) => {
                tracing::debug!(%error, "tuf.stored");
                Err(failure)
            }
        }
    }

    async fn ask(
        &self,
        store: Option<&FileStore>,
        now: Timestamp,
    ) -> Result<TrustMaterial, ServiceError> {
        let mut updater = self.updater(self.mirror()?)?;
        if let Some(store) = store {
            updater = updater.with_store(store.clone());
        }
        let material = self.material(updater, now).await?;
        if let Some(store) = store {
            let stamp = now.as_seconds().to_string();
            // Without the stamp the next run asks again.
            store.store(ASKED, stamp.as_bytes()).ok();
        }
        Ok(material)
    }

    async fn material(
        &self,
        mut updater: Updater,
        now: Timestamp,
    ) -> Result<TrustMaterial, ServiceError> {
        let moment = jiff::Timestamp::from_second(now.as_seconds()).unwrap_or_default();
        updater.refresh(moment).await.map_err(|error| self.failed(&error))?;
        let root = updater.get_target(TRUSTED_ROOT, moment).await;
        let root = root.map_err(|error| self.failed(&error))?;
        let trusted_root = TrustedRoot::parse(&root).map_err(|error| {
            self.error(ServiceErrorKind::Untrusted, &format!("{TRUSTED_ROOT}: {error}"))
        })?;
        let signing_config = match updater.get_target(SIGNING_CONFIG, moment).await {
            Ok(config) => Some(config),
            Err(TufError::TargetNotFound(_)) => None,
            Err(error) => return Err(self.failed(&error)),
        };
        Ok(TrustMaterial { trusted_root: Arc::new(trusted_root), signing_config })
    }

    fn stored(&self, store: &FileStore) -> Result<Updater, ServiceError> {
        let updater = self.updater(StoreRepository::new(store.clone()))?;
        Ok(updater.with_store(store.clone()))
    }

    fn updater(&self, repository: impl Repository + 'static) -> Result<Updater, ServiceError> {
        let root = self.options.root.as_deref().unwrap_or(PUBLIC_ROOT);
        let updater = Updater::new(repository, root).map_err(|error| self.failed(&error))?;
        let mut config = UpdaterConfig::default();
        config.target_max_length = LARGEST_TARGET;
        Ok(updater.with_config(config))
    }

    fn mirror(&self) -> Result<Mirror, ServiceError> {
        let refused = |said: &str| self.error(ServiceErrorKind::Refused, said);
        let mut url = Url::parse(self.address()).map_err(|error| refused(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
            return Err(refused("it is no http or https URL"));
        }
        url.set_path(&format!("{}/", url.path().trim_end_matches('/')));
        let at = SafeUrl::new(url.clone());
        let http = Http::new(&url, Tls::default(), TIMEOUT, self.patience, &*self.environment);
        let http = http.map_err(|it| ServiceError::of_http(Service::Tuf, OPERATION, &at, &it))?;
        Ok(Mirror { http, base: url })
    }

    fn address(&self) -> &str {
        self.options.mirror.as_deref().unwrap_or(PUBLIC)
    }

    /// A folder of its own for each repository.
    fn folder(&self) -> Option<PathBuf> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        let address = self.address().trim_end_matches('/');
        let name: String = address.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        let name = name.trim_start_matches('.');
        Some(self.options.folder.as_deref()?.join(Path::new(name)))
    }

    fn failed(&self, error: &TufError) -> ServiceError {
        if let TufError::Transport { source: Some(source), .. } = error
            && let Some(Sent(failure)) = source.downcast_ref::<Sent>()
        {
            let at = Url::parse(self.address()).map(SafeUrl::new);
            return match at {
                Ok(at) => ServiceError::of_http(Service::Tuf, OPERATION, &at, failure),
                Err(_) => self.error(ServiceErrorKind::Refused, &failure.said),
            };
        }
        let kind = match error {
            TufError::Transport { .. } | TufError::TargetNotFound(_) => ServiceErrorKind::Refused,
            TufError::Io { .. } => ServiceErrorKind::Unavailable,
            _ => ServiceErrorKind::Untrusted,
        };
        let mut said = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            said = format!("{said}: {error}");
            cause = error.source();
        }
        self.error(kind, &said)
    }

    fn error(&self, kind: ServiceErrorKind, said: &str) -> ServiceError {
        let at = Url::parse(self.address()).map(SafeUrl::new);
        let at = at.map_or_else(|_| self.address().to_owned(), |it| it.to_string());
        ServiceError::new(Service::Tuf, OPERATION, at, kind, said)
    }
}

const OPERATION: &str = "load trusted roots from";

fn is_out_of_reach(failure: &ServiceError) -> bool {
    use ServiceErrorKind::{Throttled, Tls, Unavailable};
    matches!(failure.kind, Throttled | Tls | Unavailable)
}

fn is_fresh(store: &FileStore, now: Timestamp) -> bool {
    let read = || {
        let stamp = store.load(ASKED).ok()??;
        std::str::from_utf8(&stamp).ok()?.trim().parse::<i64>().ok()
    };
    read().is_some_and(|asked| (0..FRESH).contains(&now.as_seconds().saturating_sub(asked)))
}

/// The repository behind an address.
struct Mirror {
    http: Http,
    base: Url,
}

impl Mirror {
    async fn get(&self, name: &str, longest: u64) -> Result<Option<Vec<u8>>, TufError> {
        let url =
            self.base.join(name).ok().filter(|it| it.as_str().starts_with(self.base.as_str()));
        let url =
            url.ok_or_else(|| TufError::transport(format!("`{name}` is no name of a file")))?;
        let answer = self.http.send(&Call::new(Method::GET, url)).await;
        match answer {
            Ok(answer) if answer.body.expose().len() as u64 > longest => {
                Err(TufError::transport(format!("`{name}` is larger than {longest} bytes")))
            }
            Ok(answer) => Ok(Some(answer.body.expose().clone())),
            // Object stores say "forbidden" of what is not there.
            Err(HttpFailure {
                kind: HttpFailureKind::NotFound | HttpFailureKind::Permission,
                ..
            }) => Ok(None),
            Err(failure) => {
                let said = failure.said.clone();
                Err(TufError::transport_with_source(said, Sent(failure)))
            }
        }
    }
}

impl Repository for Mirror {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        Box::pin(self.get(name, max_length))
    }

    fn fetch_target<'a>(&'a self, path: &'a str, max_length: u64) -> FetchFuture<'a> {
        Box::pin(async move { self.get(&format!("targets/{path}"), max_length).await })
    }
}

/// Carries a failure of the connection through the client.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.said)]
struct Sent(HttpFailure);
