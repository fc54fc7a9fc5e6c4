//! The requests that a registry was asked, to be counted.

/// A request, as the registry logged it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    pub method: String,
    /// Without query.
    pub path: String,
    pub query: Option<String>,
    pub status: u16,
    pub user_agent: String,
}

impl Request {
    /// A request for `target` (a path, with or without query) that was not answered yet.
    pub fn new(method: String, target: &str) -> Self {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        Self { method, path: path.to_owned(), query, status: 0, user_agent: String::new() }
    }

    /// Says whether it may have changed something.
    pub fn is_write(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD")
    }
}

/// Requests, to be counted: `requests.method("PUT").on("/manifests/").len()`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Requests(pub Vec<Request>);

impl Requests {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Request> {
        self.0.iter()
    }

    /// Those of one method.
    pub fn method(&self, method: &str) -> Self {
        self.only(|it| it.method == method)
    }

    /// Those whose path contains `part`.
    pub fn on(&self, part: &str) -> Self {
        self.only(|it| it.path.contains(part))
    }

    /// Those that were answered with `status`.
    pub fn answered(&self, status: u16) -> Self {
        self.only(|it| it.status == status)
    }

    /// Those that may have changed something.
    pub fn writes(&self) -> Self {
        self.only(Request::is_write)
    }

    fn only(&self, keep: impl Fn(&Request) -> bool) -> Self {
        Self(self.0.iter().filter(|it| keep(it)).cloned().collect())
    }
}
