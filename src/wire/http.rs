//! HTTP to services: one TLS stack, bounded answers, and patience with what may pass.

use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, NoProxy, Proxy, Response, StatusCode};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use url::{Host, Url};

use crate::model::{Clock, Environment, SafeUrl, Secret, SystemClock};
use crate::wire::tls::{Tls, no_tls};
use crate::wire::{Cause, backoff, cause_of, innermost, one_line, retry_after};

/// The largest answer, in bytes: a key is some kilobytes, a secret of Kubernetes at most 1 MiB, in base64.
const LARGEST_ANSWER: usize = 2 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(15);

/// A client for one service.
#[derive(Debug)]
pub(crate) struct Http {
    client: Client,
    patience: Duration,
}

/// One request, which may be sent more than once.
pub(crate) struct Call {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<Secret<Vec<u8>>>,
}

/// A success. The body may hold a secret.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Secret<Vec<u8>>,
}

/// What went wrong, before it is said what it was for.
#[derive(Clone)]
pub(crate) struct HttpFailure {
    pub(crate) kind: HttpFailureKind,
    /// The status, where there was an answer.
    pub(crate) status: Option<StatusCode>,
    /// What the service said, fit to print.
    pub(crate) said: String,
    /// The `error` of OAuth 2.0, where the answer has one: `authorization_pending`.
    pub(crate) oauth_error: Option<String>,
    headers: Box<HeaderMap>,
}

/// Shows no headers, which may hold secrets.
impl fmt::Debug for HttpFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.said)
    }
}

/// The kinds of failure, one for each way out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum HttpFailureKind {
    /// It is there already.
    Conflict,
    /// What was to be sent, or what came, has no form that is taken.
    Malformed,
    /// It is not there.
    NotFound,
    /// The credentials are missing, wrong or not enough.
    Permission,
    /// The service is limiting requests: try again.
    Throttled,
    /// TLS cannot be set up, or the certificate is not trusted.
    Tls,
    /// No answer, or a failure on the side of the service: try again.
    Unavailable,
    /// The service does not take the request.
    Unsupported,
}

impl Call {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: None }
    }

    /// The same with a header whose value no log shows.
    ///
    /// # Errors
    ///
    /// When `value` is no value of a header, as with a line break in a token. It is not shown.
    pub(crate) fn secret_header(
        mut self,
        name: &str,
        value: &Secret<String>,
    ) -> Result<Self, HttpFailure> {
        let wrong = || {
            let said =
                format!("the value for the header `{name}` has characters that none may have");
            HttpFailure::new(HttpFailureKind::Malformed, said)
        };
        let name = HeaderName::try_from(name).map_err(|_| wrong())?;
        let mut value = HeaderValue::try_from(value.expose()).map_err(|_| wrong())?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    /// The same with a header.
    pub(crate) fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    /// The same with a form as body, as OAuth 2.0 wants it. Its values are secrets.
    pub(crate) fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        self.body = Some(Secret::new(form.finish().into_bytes()));
        self.header("content-type", "application/x-www-form-urlencoded")
    }

    /// The same with a body of bytes.
    pub(crate) fn bytes(mut self, media_type: &'static str, body: Vec<u8>) -> Self {
        self.body = Some(Secret::new(body));
        self.header("content-type", media_type)
    }

    /// The same with a JSON body.
    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = Some(Secret::new(body.to_string().into_bytes()));
        self.header("content-type", "application/json")
    }
}

/// Shows neither headers nor body.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, SafeUrl::new(self.url.clone()))
    }
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// [`HttpFailureKind::Unavailable`] where it is none: something else than the service has answered.
    pub(crate) fn json(&self) -> Result<Value, HttpFailure> {
        // The parser's error could quote a secret.
        serde_json::from_slice(self.body.expose()).map_err(|_| {
            let said = "the answer is not JSON: something else than the service has answered";
            HttpFailure {
                status: Some(self.status),
                ..HttpFailure::new(HttpFailureKind::Unavailable, said)
            }
        })
    }
}

impl HttpFailure {
    pub(crate) fn new(kind: HttpFailureKind, said: impl AsRef<str>) -> Self {
        let said = one_line(said.as_ref()).unwrap_or_else(|| "it said nothing".into());
        Self { kind, status: None, said, oauth_error: None, headers: Box::default() }
    }

    /// A header of the answer that failed.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn of_status(status: StatusCode, body: &[u8]) -> Self {
        let kind = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => HttpFailureKind::Permission,
            StatusCode::NOT_FOUND => HttpFailureKind::NotFound,
            StatusCode::TOO_MANY_REQUESTS => HttpFailureKind::Throttled,
            StatusCode::REQUEST_TIMEOUT => HttpFailureKind::Unavailable,
            StatusCode::CONFLICT => HttpFailureKind::Conflict,
            status if status.is_server_error() => HttpFailureKind::Unavailable,
            _ => HttpFailureKind::Unsupported,
        };
        let said = message_in(body).or_else(|| status.canonical_reason().map(str::to_owned));
        let said = format!("{} {}", status.as_u16(), said.unwrap_or_default());
        Self { status: Some(status), oauth_error: oauth_error(body), ..Self::new(kind, said) }
    }
}

/// Source: RFC 6749 §5.2.
fn oauth_error(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    one_line(value.get("error")?.as_str()?)
}

/// What an error answer says, wherever the services put it.
fn message_in(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(inner) => {
            inner.get("message").or_else(|| inner.get("code"))?.as_str().map(str::to_owned)
        }
        _ => None,
    };
    if let Some(Value::Array(errors)) = value.get("errors") {
        let all: Vec<_> = errors.iter().take(8).filter_map(text).collect();
        return Some(all.join("; ")).filter(|it| !it.is_empty());
    }
    let names = ["message", "error_description", "error", "Message"];
    names.iter().find_map(|name| text(value.get(name)?))
}

impl Http {
    /// A client for the origin of `url`, with the proxies of the environment; loopback needs none.
    ///
    /// # Errors
    ///
    /// [`HttpFailureKind::Tls`] for a certificate that cannot be used, [`HttpFailureKind::Malformed`] for a proxy.
    pub(crate) fn new(
        url: &Url,
        tls: Tls,
        timeout: Duration,
        patience: Duration,
        environment: &dyn Environment,
    ) -> Result<Self, HttpFailure> {
        let malformed = |error: String| HttpFailure::new(HttpFailureKind::Malformed, error);
        let tls = if url.scheme() == "http" { no_tls() } else { tls.config() };
        let tls = tls.map_err(|error| HttpFailure::new(HttpFailureKind::Tls, error.0))?;
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .tcp_nodelay(true)
            .no_proxy();
        if let Some(proxy) = proxy(url, environment).map_err(malformed)? {
            builder = builder.proxy(proxy);
        }
        let client = builder.build().map_err(|error| malformed(error.to_string()))?;
        Ok(Self { client, patience })
    }

    /// Sends `call` until there is an answer that stays, and gives the success.
    ///
    /// 429, 5xx and lost connections are tried again, with `Retry-After` obeyed: whatever is asked of a
    /// service here may be asked twice.
    ///
    /// # Errors
    ///
    /// Every status but 2xx; no answer.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, HttpFailure> {
        self.send_within(self.patience, call).await
    }

    /// The same with another patience.
    pub(crate) async fn send_within(
        &self,
        patience: Duration,
        call: &Call,
    ) -> Result<Answer, HttpFailure> {
        let since = Instant::now();
        let mut failures = 0;
        loop {
            let (failure, asked) = match self.once(call).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            failures += 1;
            let may_pass =
                matches!(failure.kind, HttpFailureKind::Throttled | HttpFailureKind::Unavailable)
                    && failure.status != Some(StatusCode::NOT_IMPLEMENTED);
            let wait = asked.unwrap_or_else(|| backoff(FIRST_DELAY, LONGEST_DELAY, failures));
            // Where nothing listens, waiting long helps little.
            let patience = match failure.status {
                Some(_) => patience,
                None => patience / 6,
            };
            if !may_pass || since.elapsed() + wait > patience {
                return Err(failure);
            }
            tracing::debug!(
                failure = failure.said,
                failures,
                wait_ms = wait.as_millis(),
                "http.retry"
            );
            sleep(wait).await;
        }
    }

    async fn once(&self, call: &Call) -> Result<Answer, (HttpFailure, Option<Duration>)> {
        let mut request = self.client.request(call.method.clone(), call.url.clone());
        request = request.headers(call.headers.clone());
        if let Some(body) = &call.body {
            request = request.body(body.expose().clone());
        }
        let lost = |error: reqwest::Error| (of_transport(&error, &call.url), None);
        let response = request.send().await.map_err(lost)?;
        let (status, headers) = (response.status(), response.headers().clone());
        tracing::debug!(
            method = %call.method,
            host = call.url.host_str().unwrap_or_default(),
            path = call.url.path(),
            status = status.as_u16(),
            "http.request"
        );
        if status.is_redirection() {
            let to = headers.get("location").and_then(|it| it.to_str().ok());
            let to = to.and_then(|it| call.url.join(it).ok()).map(SafeUrl::new);
            let to = to.map_or_else(|| "elsewhere".into(), |it| it.to_string());
            let said = format!(
                "{} the service sends to {to}, where credentials are not sent: name that address",
                status.as_u16()
            );
            let failure = HttpFailure::new(HttpFailureKind::Unsupported, said);
            return Err((HttpFailure { status: Some(status), ..failure }, None));
        }
        let body = read(response).await.map_err(lost)?;
        let Some(body) = body else {
            let said = format!("the answer is larger than {LARGEST_ANSWER} bytes");
            let failure = HttpFailure::new(HttpFailureKind::Malformed, said);
            return Err((HttpFailure { status: Some(status), ..failure }, None));
        };
        if status.is_success() {
            return Ok(Answer { status, body });
        }
        let asked = retry_after(&headers, SystemClock.now());
        let failure = HttpFailure::of_status(status, body.expose());
        Err((HttpFailure { headers: Box::new(headers), ..failure }, asked))
    }
}

/// The body; `None` where it is too large.
async fn read(mut response: Response) -> Result<Option<Secret<Vec<u8>>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(Secret::new(body)))
}

fn of_transport(error: &reqwest::Error, url: &Url) -> HttpFailure {
    let mut origin = url.clone();
    origin.set_path("");
    origin.set_query(None);
    let origin = SafeUrl::new(origin);
    if let Cause::Tls(text) = cause_of(error) {
        // Trying again changes no certificate.
        return HttpFailure::new(HttpFailureKind::Tls, format!("TLS with {origin}: {text}"));
    }
    let said = match (error.is_timeout(), error.is_connect()) {
        (true, true) => format!("no connection in time to {origin}"),
        (true, false) => format!("no answer in time from {origin}"),
        (false, _) => format!("{origin}: {}", innermost(error)),
    };
    HttpFailure::new(HttpFailureKind::Unavailable, said)
}

fn proxy(url: &Url, environment: &dyn Environment) -> Result<Option<Proxy>, String> {
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let set = |name: &&str| environment.variable(name).filter(|it| !it.expose().is_empty());
    let either = |names: [&str; 2]| names.iter().find_map(set);
    let names = if url.scheme() == "http" {
        ["http_proxy", "HTTP_PROXY"]
    } else {
        ["https_proxy", "HTTPS_PROXY"]
    };
    let Some(proxy) = either(names).filter(|_| !is_loopback) else { return Ok(None) };
    let except = either(["no_proxy", "NO_PROXY"]);
    let except = except.and_then(|it| NoProxy::from_string(it.expose()));
    let wrong = |error: reqwest::Error| format!("cannot use the proxy: {}", error.without_url());
    Ok(Some(Proxy::all(proxy.expose().clone()).map_err(wrong)?.no_proxy(except)))
}

#[cfg(test)]
mod tests;
