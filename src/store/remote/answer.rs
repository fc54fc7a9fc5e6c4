//! One whole answer of a host, and what its headers say. Pure.

use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::HeaderMap;

/// Status, headers and body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) retry_after: Option<Duration>,
}

impl Answer {
    /// The header called `name`, where it is text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The media type without parameters.
    pub(super) fn media_type(&self) -> Option<&str> {
        let value = self.header("content-type")?;
        value.split(';').next().map(str::trim).filter(|it| !it.is_empty())
    }

    /// The length of the body as announced, which is all that HEAD tells.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.header("content-length")?.trim().parse().ok()
    }

    /// The name of this version, for `If-Match`; weak ones cannot be used there (RFC 9110 §13.1.1).
    pub(super) fn etag(&self) -> Option<&str> {
        self.header("etag").filter(|it| it.starts_with('"'))
    }

    /// Says whether a registry, not only some web server, wrote this.
    pub(super) fn is_from_registry(&self) -> bool {
        self.headers.contains_key("docker-distribution-api-version")
    }
}
