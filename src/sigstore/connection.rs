//! The connection to one service: an address, a limit of requests at once, and what became of the last one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::StatusCode;
use tokio::sync::Semaphore;
use url::Url;

use crate::model::{Environment, SafeUrl};
use crate::sigstore::{Service, ServiceError, ServiceErrorKind};
use crate::wire::http::{Answer, Call, Http, HttpFailure, HttpFailureKind};
use crate::wire::tls::Tls;

/// Longer than a log takes for an entry under load.
const TIMEOUT: Duration = Duration::from_secs(60);
// Longer than the quota window of most services, one minute.
const PATIENCE: Duration = Duration::from_secs(90);

/// How services are reached: proxies, and how long they are asked again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Network {
    /// The environment, for the proxies.
    pub environment: Arc<dyn Environment>,
    /// How long a service that limits requests or fails on its side is asked again; one that cannot be reached, a
    /// sixth of it.
    pub patience: Duration,
}

impl Network {
    /// The proxies of `environment`, and 90 seconds of patience.
    pub fn new(environment: Arc<dyn Environment>) -> Self {
        Self { environment, patience: PATIENCE }
    }

    /// The same with another patience.
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }
}

/// A service at one address.
pub(super) struct Connection {
    service: Service,
    base: Url,
    http: Http,
    permits: Semaphore,
    /// The last request wore out the patience: the next are sent once each, until one is answered.
    is_failing: AtomicBool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({})", self.service, self.at())
    }
}

impl Connection {
    /// Makes ready to talk to `service` at `url`, with at most `at_once` requests at a time. Sends nothing.
    pub(super) fn new(
        service: Service,
        url: &str,
        at_once: usize,
        network: &Network,
    ) -> Result<Self, ServiceError> {
        let wrong = |said: &str| {
            let kind = ServiceErrorKind::Refused;
            ServiceError::new(service, "use the address", url, kind, said)
        };
        let base = Url::parse(url).map_err(|error| wrong(&error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(wrong("it is no http or https URL"));
        }
        let environment = &*network.environment;
        let http = Http::new(&base, Tls::default(), TIMEOUT, network.patience, environment);
        let at = SafeUrl::new(base.clone());
        let http =
            http.map_err(|failure| ServiceError::of_http(service, "talk to", &at, &failure))?;
        let permits = Semaphore::new(at_once);
        Ok(Self { service, base, http, permits, is_failing: AtomicBool::new(false) })
    }

    /// The address of `path` below that of the service: `/api/v1/log`; empty for the address itself.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        if path.is_empty() {
            return url;
        }
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// The address, fit to print.
    pub(super) fn at(&self) -> SafeUrl {
        SafeUrl::new(self.base.clone())
    }

    /// Sends a request, and again where that may help; one at a time where the service has failed for long.
    pub(super) async fn send(&self, call: &Call) -> Result<Answer, HttpFailure> {
        // The semaphore is never closed; were it, one request more would do no harm.
        let _permit = self.permits.acquire().await.ok();
        let answer = if self.is_failing.load(Ordering::Relaxed) {
            self.http.send_within(Duration::ZERO, call).await
        } else {
            self.http.send(call).await
        };
        let failed = answer.as_ref().is_err_and(|failure| {
            let passing = [HttpFailureKind::Throttled, HttpFailureKind::Unavailable];
            passing.contains(&failure.kind) && failure.status != Some(StatusCode::NOT_IMPLEMENTED)
        });
        self.is_failing.store(failed, Ordering::Relaxed);
        answer
    }

    /// Sends a request once: whoever asks can do without the answer.
    pub(super) async fn ask(&self, call: &Call) -> Result<Answer, HttpFailure> {
        let _permit = self.permits.acquire().await.ok();
        self.http.send_within(Duration::ZERO, call).await
    }

    /// Says what could not be done.
    pub(super) fn failed(&self, operation: &'static str, failure: &HttpFailure) -> ServiceError {
        ServiceError::of_http(self.service, operation, &self.at(), failure)
    }

    /// Says that what came does not hold.
    pub(super) fn untrusted(&self, operation: &'static str, said: impl AsRef<str>) -> ServiceError {
        let kind = ServiceErrorKind::Untrusted;
        ServiceError::new(self.service, operation, self.at(), kind, said)
    }

    /// Says that it does not take what would be asked.
    pub(super) fn refused(&self, operation: &'static str, said: impl AsRef<str>) -> ServiceError {
        let kind = ServiceErrorKind::Refused;
        ServiceError::new(self.service, operation, self.at(), kind, said)
    }
}
