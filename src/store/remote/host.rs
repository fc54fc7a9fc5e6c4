//! One host and everything that is remembered of it; one exchange with it, tried again as needed.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Response, StatusCode};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};
use url::Url;

use crate::model::{Clock, SystemClock};
use crate::store::StoreErrorKind;
use crate::store::remote::answer::Answer;
use crate::store::remote::auth::Auth;
use crate::store::remote::count::{Counted, Counts};
use crate::store::remote::failure::{self, Failure, Purpose};
use crate::store::remote::file::{self, Body};
use crate::store::remote::limit::{Limiter, Load, Outage, Refusal};
use crate::store::remote::options::{RegistryRule, RemoteOptions, RetryPolicy};
use crate::store::remote::referrers::Support;
use crate::store::remote::{authority, client, retry};

/// Answers that are no success are read up to here, in bytes.
const LARGEST_ERROR: u64 = 64 << 10;

/// One origin: scheme, host and port.
#[derive(Debug)]
pub(super) struct Host {
    /// `https://ghcr.io/`
    pub(super) origin: Url,
    client: Client,
    limiter: Limiter,
    policy: RetryPolicy,
    clock: Arc<dyn Clock>,
    counts: Arc<Counts>,
    /// Challenges and tokens of its repositories.
    pub(super) auth: Auth,
    /// It does not take a blob in one POST.
    pub(super) no_single_post: AtomicBool,
    /// It names the versions of manifests, so it may check them.
    pub(super) has_etags: AtomicBool,
    /// Whether it has the referrers API, once that is known.
    pub(super) referrers: OnceCell<Support>,
}

/// One request, which may be sent more than once.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Body>,
    /// The largest body that a success may have, in bytes.
    pub(super) largest: u64,
    /// Where the body of a success goes, instead of into the answer.
    pub(super) into: Option<Arc<Path>>,
    /// How long it may take; else what the options say.
    pub(super) timeout: Option<Duration>,
    pub(super) counted: Counted,
}

impl Request {
    pub(super) fn new(method: Method, url: Url, largest: u64) -> Self {
        let counted = Counted::of(&method);
        let (headers, body, into, timeout) = (HeaderMap::new(), None, None, None);
        Self { method, url, headers, body, largest, into, timeout, counted }
    }

    fn load(&self) -> Load {
        match self.counted {
            Counted::Delete | Counted::Post | Counted::Put => Load::Write,
            Counted::Get | Counted::Head | Counted::Token => Load::Read,
        }
    }
}

/// One try that did not give an answer worth keeping.
#[derive(Debug)]
enum Miss {
    Final(Failure),
    Throttled(Failure),
    Truncated(Failure),
    Unavailable(Failure),
    Unreachable(Failure),
}

impl Host {
    pub(super) fn new(
        options: &RemoteOptions,
        rule: Option<&RegistryRule>,
        origin: Url,
        counts: Arc<Counts>,
    ) -> Result<Self, Failure> {
        let concurrency = rule.and_then(|it| it.concurrency).unwrap_or(options.concurrency);
        Ok(Self {
            client: client::client(options, rule, &origin)?,
            origin,
            limiter: Limiter::new(
                concurrency,
                rule.and_then(|it| it.requests_per_second),
                rule.and_then(|it| it.writes_per_second),
            ),
            policy: options.retry,
            clock: Arc::new(SystemClock),
            counts,
            auth: Auth::default(),
            no_single_post: AtomicBool::new(false),
            has_etags: AtomicBool::new(false),
            referrers: OnceCell::new(),
        })
    }

    /// Sends `request` and reads the whole answer, trying again what may pass.
    ///
    /// Everything that is sent here is idempotent, uploads included: a blob is named by its content, and
    /// an upload that was begun twice is forgotten once.
    pub(super) async fn exchange(
        &self,
        request: &Request,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, Failure> {
        let since = Instant::now();
        let (mut failures, mut truncated) = (0, 0);
        loop {
            let deadline = since + self.policy.throttled_for;
            let admission = self.limiter.admit(request.load(), deadline).await.map_err(refused)?;
            let miss = match self.once(request, authorization).await {
                Ok(answer) => {
                    self.limiter.answered();
                    return Ok(answer);
                }
                Err(miss) => miss,
            };
            failures += 1;
            let wait = retry::backoff(&self.policy, failures);
            let (failure, outage, tries_for, wait) = match miss {
                Miss::Final(failure) => return Err(failure),
                Miss::Throttled(failure) => {
                    let asked = failure.retry_after;
                    self.limiter.slow_down(&admission, |pauses| {
                        asked.unwrap_or_else(|| retry::backoff(&self.policy, pauses))
                    });
                    // The limiter waits: the pause is everybody's.
                    (failure, None, self.policy.throttled_for, Duration::ZERO)
                }
                Miss::Truncated(failure) => {
                    truncated += 1;
                    if truncated > self.policy.truncated_times {
                        return Err(failure);
                    }
                    (failure, None, self.policy.unavailable_for, wait)
                }
                Miss::Unavailable(failure) => {
                    let wait = failure.retry_after.unwrap_or(wait);
                    (failure, Some(Outage::Failing), self.policy.unavailable_for, wait)
                }
                Miss::Unreachable(failure) => {
                    (failure, Some(Outage::Unreachable), self.policy.unreachable_for, wait)
                }
            };
            let asked = failure.retry_after.unwrap_or(wait);
            if since.elapsed() + asked >= tries_for || admission.is_probe {
                if let Some(outage) = outage {
                    let said = failure.detail.as_deref().unwrap_or_default();
                    self.limiter.gave_up(since, outage, said);
                }
                return Err(failure);
            }
            drop(admission);
            self.counts.retried();
            tracing::debug!(
                failure = failure.detail.as_deref().unwrap_or_default(),
                failures,
                wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                "registry.retry"
            );
            sleep(wait).await;
        }
    }

    async fn once(
        &self,
        request: &Request,
        authorization: Option<&HeaderValue>,
    ) -> Result<Answer, Miss> {
        let started = Instant::now();
        let mut sent = self.client.request(request.method.clone(), request.url.clone());
        sent = sent.headers(request.headers.clone());
        if let Some(authorization) = authorization {
            sent = sent.header(AUTHORIZATION, authorization);
        }
        if let Some(body) = &request.body {
            sent = sent.body(body.open().await.map_err(Miss::Final)?);
        }
        if let Some(timeout) = request.timeout {
            sent = sent.timeout(timeout);
        }
        self.counts.add(request.counted);
        let result = match sent.send().await {
            Ok(response) => self.read(request, response).await,
            Err(error) => Err(missed(&error, &request.url)),
        };
        let status = result.as_ref().map_or(0, |it| it.status.as_u16());
        tracing::debug!(
            method = %request.method,
            host = %authority::of(&request.url),
            path = request.url.path(),
            status,
            ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "registry.request"
        );
        let answer = result?;
        tracing::trace!(headers = ?Redacted(&answer.headers), "registry.answer");
        let status = answer.status;
        // 501 says that it never will.
        let may_pass = status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::REQUEST_TIMEOUT
            || status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
        if !may_pass {
            return Ok(answer);
        }
        let failure = failure::of_answer(&answer, Purpose::Read);
        // 503 with a time to come back is how some gateways throttle.
        let is_throttled = status == StatusCode::TOO_MANY_REQUESTS
            || status == StatusCode::SERVICE_UNAVAILABLE && answer.retry_after.is_some();
        Err(if is_throttled { Miss::Throttled(failure) } else { Miss::Unavailable(failure) })
    }

    async fn read(&self, request: &Request, response: Response) -> Result<Answer, Miss> {
        let status = response.status();
        let headers = response.headers().clone();
        let retry_after = retry::retry_after(&headers, self.clock.now());
        let largest = if status.is_success() { request.largest } else { LARGEST_ERROR };
        let into = request.into.as_deref().filter(|_| status.is_success());
        let body = match into {
            _ if request.method == Method::HEAD => Ok(Bytes::new()),
            Some(path) => file::save(response, path, largest).await.map(|()| Bytes::new()),
            None => read_body(response, largest, status).await,
        };
        let body = body.map_err(|error| match error {
            Ok(failure) => Miss::Final(failure),
            Err(error) => missed(&error, &request.url),
        })?;
        if status.is_success() && headers.contains_key("etag") {
            self.has_etags.store(true, Ordering::Relaxed);
        }
        Ok(Answer { status, headers, body, retry_after })
    }
}

/// Reads the body up to `largest`; what is longer is cut in an error, and too large in a success.
async fn read_body(
    mut response: Response,
    largest: u64,
    status: StatusCode,
) -> Result<Bytes, Result<Failure, reqwest::Error>> {
    let too_large = || {
        let detail = format!("the answer is larger than {largest} bytes");
        Ok(Failure::new(StoreErrorKind::TooLarge, detail))
    };
    if status.is_success() && response.content_length().is_some_and(|it| it > largest) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    let mut first = None;
    while let Some(chunk) = response.chunk().await.map_err(Err)? {
        let length = body.len() + first.as_ref().map_or(0, Bytes::len) + chunk.len();
        if u64::try_from(length).unwrap_or(u64::MAX) > largest {
            if status.is_success() {
                return Err(too_large());
            }
            break;
        }
        // Nearly every answer is one chunk, which needs no copy.
        match first.take() {
            None if body.is_empty() => first = Some(chunk),
            before => {
                body.extend_from_slice(&before.unwrap_or_default());
                body.extend_from_slice(&chunk);
            }
        }
    }
    Ok(first.unwrap_or_else(|| body.freeze()))
}

fn missed(error: &reqwest::Error, url: &Url) -> Miss {
    let failure = failure::of_transport(error, url);
    match failure.kind {
        StoreErrorKind::InvalidAnswer => Miss::Truncated(failure),
        StoreErrorKind::Unavailable if error.is_connect() => Miss::Unreachable(failure),
        StoreErrorKind::Unavailable => Miss::Unavailable(failure),
        _ => Miss::Final(failure),
    }
}

fn refused(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::Down(said) => {
            let detail = format!("it could not be reached a moment ago: {said}");
            Failure::new(StoreErrorKind::Unavailable, detail)
        }
        Refusal::Paused(wait) => Failure {
            retry_after: Some(wait),
            ..Failure::new(
                StoreErrorKind::Throttled,
                format!("it asked for a pause that lasts {} s more", wait.as_secs().max(1)),
            )
        },
    }
}

/// Headers as a log may show them.
struct Redacted<'a>(&'a HeaderMap);

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().map(|(name, value)| {
            // Cookies and signed locations are credentials.
            let is_secret =
                matches!(name.as_str(), "authorization" | "location" | "set-cookie" | "link");
            (name, if is_secret { "…" } else { value.to_str().unwrap_or("…") })
        });
        f.debug_map().entries(shown).finish()
    }
}
