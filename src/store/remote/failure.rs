//! From what went wrong to [`StoreError`]: statuses, error envelopes, lost connections. Pure.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;
use url::Url;

use crate::model::SafeUrl;
use crate::store::remote::answer::Answer;
use crate::store::{StoreError, StoreErrorKind};
use crate::wire::{Cause, cause_of, innermost, one_line};

/// What went wrong, before it is said of which image. Many requests may share one.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) kind: StoreErrorKind,
    pub(super) detail: Option<String>,
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    pub(super) fn new(kind: StoreErrorKind, detail: impl AsRef<str>) -> Self {
        Self { kind, detail: one_line(detail.as_ref()), retry_after: None }
    }

    /// Says what was being done, and to what.
    pub(super) fn at(self, operation: &'static str, target: impl ToString) -> StoreError {
        let mut error = StoreError::new(operation, target, self.kind);
        error.detail = self.detail;
        error.retry_after = self.retry_after;
        error
    }
}

/// What a request was for, as far as it changes what an answer means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    /// Deleting a manifest.
    Delete,
    /// Reading anything.
    Read,
    /// Writing a tag on a condition (`If-Match`, `If-None-Match`).
    TagIf,
    /// Writing a tag.
    Tag,
    /// Writing a blob, or a manifest by digest.
    Write,
}

/// What an answer that is no success means.
pub(super) fn of_answer(answer: &Answer, purpose: Purpose) -> Failure {
    let envelope = Envelope::read(&answer.body);
    let writes_tag = matches!(purpose, Purpose::Tag | Purpose::TagIf);
    let is_html = is_html(&answer.headers);
    let is_write = writes_tag || purpose == Purpose::Write;
    let kind = match answer.status {
        StatusCode::TOO_MANY_REQUESTS => StoreErrorKind::Throttled,
        StatusCode::REQUEST_TIMEOUT => StoreErrorKind::Unavailable,
        StatusCode::UNAUTHORIZED => StoreErrorKind::Unauthorized,
        status if writes_tag && status.is_client_error() && envelope.says_immutable() => {
            StoreErrorKind::ImmutableTag
        }
        StatusCode::PRECONDITION_FAILED if purpose == Purpose::TagIf => {
            StoreErrorKind::Precondition
        }
        StatusCode::PRECONDITION_FAILED if writes_tag => StoreErrorKind::ImmutableTag,
        StatusCode::FORBIDDEN => StoreErrorKind::Forbidden,
        status
            if is_write
                && status.is_client_error()
                && envelope.has_code("MANIFEST_BLOB_UNKNOWN") =>
        {
            StoreErrorKind::BlobUnknown
        }
        // A web server that is no registry has no say in what exists.
        StatusCode::NOT_FOUND if is_html && !answer.is_from_registry() => {
            StoreErrorKind::InvalidAnswer
        }
        StatusCode::NOT_FOUND if envelope.has_code("NAME_UNKNOWN") => {
            StoreErrorKind::RepositoryUnknown
        }
        StatusCode::NOT_FOUND => StoreErrorKind::NotFound,
        StatusCode::PAYLOAD_TOO_LARGE => StoreErrorKind::TooLarge,
        StatusCode::NOT_IMPLEMENTED => StoreErrorKind::Refused,
        status if status.is_server_error() => StoreErrorKind::Unavailable,
        status if status.is_redirection() => StoreErrorKind::Redirect,
        status if status.is_client_error() && !(is_html && purpose == Purpose::Read) => {
            StoreErrorKind::Refused
        }
        _ => StoreErrorKind::InvalidAnswer,
    };
    let mut said = answer.status.as_u16().to_string();
    if let Some(text) = envelope.text() {
        said = format!("{said} {text}");
    } else if is_html {
        said.push_str(" with a web page, not a registry's answer");
    } else if answer.status == StatusCode::BAD_REQUEST
        && answer.body.starts_with(b"Client sent an HTTP request")
    {
        said.push_str(": it speaks TLS; name its authority with `ca_file` in [registries]");
    } else if let Some(reason) = answer.status.canonical_reason() {
        said = format!("{said} {reason}");
    }
    Failure { retry_after: answer.retry_after, ..Failure::new(kind, said) }
}

/// What a request that got no whole answer means.
pub(super) fn of_transport(error: &reqwest::Error, url: &Url) -> Failure {
    let kind = match cause_of(error) {
        Cause::Tls(text) => {
            let help = if text.contains("corrupt message") {
                "; it seems not to speak TLS: if HTTP is meant, set `plain_http = true` for it in [registries]"
            } else if text.contains("UnknownIssuer") {
                "; name its authority with `ca_file` in [registries]"
            } else {
                ""
            };
            return Failure::new(StoreErrorKind::Tls, format!("{text}{help}"));
        }
        // Before the answer began, it is a lost connection.
        Cause::Truncated if error.is_body() || error.is_decode() => {
            return Failure::new(StoreErrorKind::InvalidAnswer, "the answer ends early");
        }
        Cause::Other | Cause::Truncated => StoreErrorKind::Unavailable,
    };
    if error.is_timeout() {
        let what = if error.is_connect() { "no connection" } else { "no answer" };
        return Failure::new(kind, format!("{what} in time from {}", SafeUrl::new(origin(url))));
    }
    Failure::new(kind, innermost(error))
}

fn origin(url: &Url) -> Url {
    let mut origin = url.clone();
    origin.set_path("");
    origin.set_query(None);
    origin
}

pub(super) fn is_html(headers: &HeaderMap) -> bool {
    let content_type = headers.get("content-type").and_then(|it| it.to_str().ok());
    content_type.is_some_and(|it| it.trim_start().to_ascii_lowercase().starts_with("text/html"))
}

/// The codes and messages of an error answer.
///
/// Source: OCI distribution-spec 1.1, "Error Codes": `{"errors":[{"code","message","detail"}]}`. Token
/// servers also write `{"error":…,"error_description":…}`, `{"details":…}` and `{"message":…}`.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    errors: Vec<(String, String)>,
}

impl Envelope {
    pub(super) fn read(body: &[u8]) -> Self {
        let Ok(Value::Object(object)) = serde_json::from_slice(body) else {
            return Self::default();
        };
        let text = |value: Option<&Value>| {
            value.and_then(Value::as_str).map(str::to_owned).unwrap_or_default()
        };
        let mut errors: Vec<_> = match object.get("errors") {
            Some(Value::Array(errors)) => errors
                .iter()
                .take(8)
                .map(|it| (text(it.get("code")), text(it.get("message"))))
                .collect(),
            _ => Vec::new(),
        };
        if errors.is_empty() {
            let message =
                ["error_description", "details", "message"].iter().find_map(|it| object.get(*it));
            errors.push((text(object.get("error")), text(message)));
        }
        errors.retain(|(code, message)| !(code.is_empty() && message.is_empty()));
        Self { errors }
    }

    pub(super) fn has_code(&self, code: &str) -> bool {
        self.errors.iter().any(|(found, _)| found == code)
    }

    /// Says whether a registry says that what was asked about is not there.
    pub(super) fn says_absent(&self) -> bool {
        self.has_code("NAME_UNKNOWN") || self.has_code("MANIFEST_UNKNOWN")
    }

    /// ECR, Harbor, Quay, GAR and Docker Hub each say it in their own way.
    fn says_immutable(&self) -> bool {
        self.has_code("TAG_INVALID")
            || self.errors.iter().any(|(code, message)| {
                let said = format!("{code} {message}").to_ascii_lowercase();
                said.contains("immutable") || said.contains("cannot be overwritten")
            })
    }

    /// Everything that was said, joined.
    pub(super) fn text(&self) -> Option<String> {
        let joined: Vec<_> = self
            .errors
            .iter()
            .map(|(code, message)| match (code.as_str(), message.as_str()) {
                ("", text) | (text, "") => text.to_owned(),
                (code, message) => format!("{code}: {message}"),
            })
            .collect();
        if joined.is_empty() { None } else { Some(joined.join("; ")) }
    }
}

#[cfg(test)]
mod tests;
