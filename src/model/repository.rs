//! Places that hold images: repositories of registries, and layouts on disk.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::model::ReferenceError;

/// Docker Hub as the payload of a signature names it, and cosign with it.
const DOCKER_HUB: &str = "index.docker.io";

/// A repository of a registry: `HOST[:PORT]/PATH`.
///
/// A host is a first part with a dot or a colon, or `localhost`; without one it is Docker Hub, which is
/// written `index.docker.io`, and a Hub path of one part gets `library/` before it, as cosign writes
/// both. Cloning costs no allocation.
///
/// Source: distribution/reference grammar; go-containerregistry `pkg/name`.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RemoteRepository {
    name: Arc<str>,
    host_length: u16,
}

impl RemoteRepository {
    /// The registry: host and, where written, port.
    pub fn host(&self) -> &str {
        self.name.get(..usize::from(self.host_length)).unwrap_or_default()
    }

    /// What comes after the host: `acme/api`.
    pub fn path(&self) -> &str {
        self.name.get(usize::from(self.host_length) + 1..).unwrap_or_default()
    }

    /// Host and path: what a simple-signing payload names as `docker-reference`.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for RemoteRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for RemoteRepository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for RemoteRepository {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let wrong = |reason| ReferenceError { text: text.to_owned(), reason };
        let (host, path) = match text.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                (first, rest)
            }
            _ => (DOCKER_HUB, text),
        };
        let host = if host == "docker.io" { DOCKER_HUB } else { host };
        if !is_host(host) {
            return Err(wrong("the host is not a name or address with an optional port"));
        }
        let whole = if host == DOCKER_HUB && !path.contains('/') {
            format!("{host}/library/{path}")
        } else {
            format!("{host}/{path}")
        };
        if path.is_empty() || !path.split('/').all(is_path_component) {
            return Err(wrong(
                "a repository is made of lower-case letters, digits, `.`, `_`, `__`, `-` and `/`",
            ));
        }
        if whole.len() > 255 + 1 + host.len() {
            return Err(wrong("a repository is at most 255 characters long"));
        }
        let host_length = u16::try_from(host.len()).map_err(|_| wrong("the host is too long"))?;
        Ok(Self { name: whole.into(), host_length })
    }
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => {
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            ("ipv6", rest.strip_prefix(':').or(if rest.is_empty() { None } else { Some("") }))
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    let good_name = !name.is_empty()
        && name.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        });
    good_name && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(part: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if !part.bytes().next().is_some_and(alphanumeric)
        || !part.bytes().last().is_some_and(alphanumeric)
    {
        return false;
    }
    let separators = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    separators.into_iter().all(|between| {
        matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-')
    })
}

/// An OCI image layout on disk: `oci:PATH`.
///
/// Relative paths are relative to the file that names them; by the time one of these exists, they have
/// been joined to it.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LayoutPath(Arc<Path>);

impl LayoutPath {
    /// The layout in the folder `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into().into())
    }

    /// The folder.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for LayoutPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci:{}", self.0.display())
    }
}

impl fmt::Debug for LayoutPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A place that holds images: a repository of a registry, or a layout on disk.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Repository {
    /// `oci:PATH`
    Layout(LayoutPath),
    /// `HOST[:PORT]/PATH`
    Remote(RemoteRepository),
}

impl Repository {
    /// The registry host; none for a layout.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Layout(_) => None,
            Self::Remote(remote) => Some(remote.host()),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout(layout) => layout.fmt(f),
            Self::Remote(remote) => remote.fmt(f),
        }
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    /// Reads `oci:PATH` or `HOST[:PORT]/PATH`, without tag and digest.
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        match text.strip_prefix("oci:") {
            Some("") => Err(ReferenceError {
                text: text.to_owned(),
                reason: "a layout needs a folder: oci:PATH",
            }),
            Some(path) => Ok(Self::Layout(LayoutPath::new(path))),
            None => text.parse().map(Self::Remote),
        }
    }
}

impl Serialize for Repository {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
