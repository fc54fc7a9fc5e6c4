//! Where a run gets its trust and its services from: opened once, when something first depends on it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::OnceCell;

use crate::plan::Failure;
use crate::sigstore::SigningConfig;
use crate::trust::TrustedRoot;

/// Trust and services, as they were at the beginning of a run.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Whom to trust.
    pub root: Arc<TrustedRoot>,
    /// The services that sign; none where the deployment only verifies.
    pub config: Option<Arc<SigningConfig>>,
}

/// Gets trust and services: from files that were read, or from the public instance through TUF.
#[async_trait]
pub trait DeploymentSource: fmt::Debug + Send + Sync {
    /// Gets them. Asked at most once a run.
    ///
    /// # Errors
    ///
    /// Why they could not be had: of class [`Temporary`](crate::plan::FailureClass::Temporary) for an outage.
    async fn open(&self) -> Result<Opened, Failure>;
}

/// The sigstore deployment of a run: whoever asks first opens it, the others wait for that.
///
/// What could not be opened is not tried again: every image hears the same reason.
#[derive(Debug)]
pub struct Deployment {
    source: Arc<dyn DeploymentSource>,
    opened: OnceCell<Result<Opened, Failure>>,
    opens: AtomicUsize,
}

impl Deployment {
    /// The deployment that `source` gives. Opens nothing.
    pub fn new(source: Arc<dyn DeploymentSource>) -> Self {
        Self { source, opened: OnceCell::new(), opens: AtomicUsize::new(0) }
    }

    /// A deployment whose files have been read.
    pub fn of(opened: Opened) -> Self {
        Self::new(Arc::new(Given(opened)))
    }

    /// No deployment at all: whatever needs one fails with `sigstore::none`.
    pub fn none() -> Self {
        Self::new(Arc::new(Nothing))
    }

    /// Trust and services, opened if that was not done yet.
    ///
    /// # Errors
    ///
    /// Those of the source, the same for all who ask.
    pub async fn opened(&self) -> Result<Opened, Failure> {
        let open = || async {
            self.opens.fetch_add(1, Ordering::Relaxed);
            self.source.open().await
        };
        self.opened.get_or_init(open).await.clone()
    }

    /// How often the source was asked in this run: 0 or 1.
    pub fn opens(&self) -> usize {
        self.opens.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Given(Opened);

#[async_trait]
impl DeploymentSource for Given {
    async fn open(&self) -> Result<Opened, Failure> {
        Ok(self.0.clone())
    }
}

#[derive(Debug)]
struct Nothing;

#[async_trait]
impl DeploymentSource for Nothing {
    async fn open(&self) -> Result<Opened, Failure> {
        let message =
            "there is no trusted root to verify log entries, timestamps and identities with";
        Err(Failure::error("sigstore::none", message)
            .help("declare one: [sigstore] trusted_root = \"trusted_root.json\""))
    }
}
