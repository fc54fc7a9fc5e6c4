//! How many requests were sent.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Method;

/// Requests sent by a store so far, by method; every try counts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct RequestCounts {
    /// Deletions.
    pub delete: u64,
    /// Reads.
    pub get: u64,
    /// Reads without a body.
    pub head: u64,
    /// Uploads begun, or done at once.
    pub post: u64,
    /// Manifests written, and uploads ended.
    pub put: u64,
    /// Token exchanges, whatever their method.
    pub token: u64,
    /// How many of all these were tries after the first.
    pub retried: u64,
}

impl RequestCounts {
    /// Every request.
    pub fn total(&self) -> u64 {
        self.reads() + self.writes() + self.token
    }

    /// Requests that read.
    pub fn reads(&self) -> u64 {
        self.get + self.head
    }

    /// Requests that write.
    pub fn writes(&self) -> u64 {
        self.delete + self.post + self.put
    }
}

/// As what a request is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Counted {
    Delete,
    Get,
    Head,
    Post,
    Put,
    Token,
}

impl Counted {
    pub(super) fn of(method: &Method) -> Self {
        match *method {
            Method::DELETE => Self::Delete,
            Method::HEAD => Self::Head,
            Method::POST => Self::Post,
            Method::PUT => Self::Put,
            _ => Self::Get,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    delete: AtomicU64,
    get: AtomicU64,
    head: AtomicU64,
    post: AtomicU64,
    put: AtomicU64,
    token: AtomicU64,
    retried: AtomicU64,
}

impl Counts {
    pub(super) fn add(&self, counted: Counted) {
        let counter = match counted {
            Counted::Delete => &self.delete,
            Counted::Get => &self.get,
            Counted::Head => &self.head,
            Counted::Post => &self.post,
            Counted::Put => &self.put,
            Counted::Token => &self.token,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn retried(&self) {
        self.retried.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> RequestCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RequestCounts {
            delete: read(&self.delete),
            get: read(&self.get),
            head: read(&self.head),
            post: read(&self.post),
            put: read(&self.put),
            token: read(&self.token),
            retried: read(&self.retried),
        }
    }
}
