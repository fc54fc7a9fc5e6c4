//! How images are named: repositories, tags, references, and subjects pinned by digest.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::model::Digest;

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

/// A tag: at most 128 letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`.
///
/// Source: OCI distribution-spec 1.1, "Pulling manifests".
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tag(Arc<str>);

impl Tag {
    /// The tag that carries simple-signing signatures of `digest`: `sha256-<hex>.sig`.
    ///
    /// Source: cosign `pkg/oci/remote/remote.go`, `SignatureTag`.
    pub fn of_signatures(digest: &Digest) -> Self {
        Self(format!("{}-{}.sig", digest.algorithm().name(), digest.hex()).into())
    }

    /// Says whether this tag is made from a digest (`sha256-<hex>`, with or without a suffix): it
    /// carries signatures, attestations or referrers and names no image of its own.
    pub fn is_of_digest(&self) -> bool {
        let Some((algorithm, rest)) = self.0.split_once('-') else { return false };
        let length = match algorithm {
            "sha256" => 64,
            "sha512" => 128,
            _ => return false,
        };
        let hex = rest.get(..length).unwrap_or_default();
        let after = rest.get(length..).unwrap_or_default();
        hex.len() == length
            && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            && (after.is_empty() || after.starts_with('.'))
    }

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let first =
            text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let rest = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
        if first && rest && text.len() <= 128 {
            Ok(Self(text.into()))
        } else {
            Err(ReferenceError {
                text: text.to_owned(),
                reason: "a tag is at most 128 letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`",
            })
        }
    }
}

impl Serialize for Tag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Which manifest of a repository is meant.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Locator {
    /// The one with this content.
    Digest(Digest),
    /// The one that this tag names now.
    Tag(Tag),
}

impl fmt::Display for Locator {
    /// As it stands in a request path: `sha256:…` or `v1.2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => digest.fmt(f),
            Self::Tag(tag) => tag.fmt(f),
        }
    }
}

impl fmt::Debug for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Digest> for Locator {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

impl From<Tag> for Locator {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

/// An image as people write it: `REPOSITORY[:TAG][@DIGEST]`, or `oci:PATH[:TAG][@DIGEST]`.
///
/// It may be a tag, so it cannot be signed: see [`Subject`]. With both, the digest is what is meant
/// and the tag is checked against it. Without either, the tag is `latest`, as every client has it.
///
/// # Example
///
/// ```
/// use countersign::model::ImageRef;
///
/// let image: ImageRef = "ghcr.io/acme/web:3.0.1".parse().unwrap();
/// assert_eq!(image.repository.to_string(), "ghcr.io/acme/web");
/// assert_eq!(image.tag.unwrap().as_str(), "3.0.1");
/// assert_eq!("alpine".parse::<ImageRef>().unwrap().to_string(), "index.docker.io/library/alpine:latest");
/// assert!("ghcr.io/Acme/web".parse::<ImageRef>().is_err());
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ImageRef {
    /// Where it is.
    pub repository: Repository,
    /// The tag, where one is written.
    pub tag: Option<Tag>,
    /// The digest, where one is written.
    pub digest: Option<Digest>,
}

impl ImageRef {
    /// What to ask the store for: the digest where there is one, else the tag.
    pub fn locator(&self) -> Option<Locator> {
        let digest = self.digest.clone().map(Locator::Digest);
        digest.or_else(|| self.tag.clone().map(Locator::Tag))
    }
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository.fmt(f)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for ImageRef {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse().map_err(|_| ReferenceError {
                    text: text.to_owned(),
                    reason: "after `@` comes a digest: `sha256:` and 64 lower-case hexadecimal digits",
                })?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        // A colon before the last slash belongs to a port or to `oci:`, not to a tag.
        let (scheme, name) = match rest.strip_prefix("oci:") {
            Some(path) => ("oci:", path),
            None => ("", rest),
        };
        let last = name.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match name.get(last..).and_then(|it| it.rfind(':')) {
            Some(colon) => {
                let tag = name.get(last + colon + 1..).unwrap_or_default();
                (name.get(..last + colon).unwrap_or_default(), Some(tag.parse()?))
            }
            None => (name, None),
        };
        let repository: Repository = format!("{scheme}{name}").parse()?;
        let implied = tag.is_none() && digest.is_none() && scheme.is_empty();
        let tag = if implied { Some("latest".parse()?) } else { tag };
        Ok(Self { repository, tag, digest })
    }
}

/// A text that names no image, repository or tag.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is not a reference: {reason}")]
pub struct ReferenceError {
    /// What was written.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// A manifest pinned by digest: the only thing that can be signed.
///
/// A tag cannot become one without a store that resolves it, so a tag is never signed by accident.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Subject {
    /// Where it is.
    pub repository: Repository,
    /// What it is.
    pub digest: Digest,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    #[test]
    fn references_are_read_as_cosign_reads_them() {
        for (text, repository, tag, digest) in [
            ("alpine", "index.docker.io/library/alpine", Some("latest"), false),
            ("docker.io/acme/api:1", "index.docker.io/acme/api", Some("1"), false),
            ("localhost/a", "localhost/a", Some("latest"), false),
            ("127.0.0.1:5000/a/b:v1", "127.0.0.1:5000/a/b", Some("v1"), false),
            ("[::1]:5000/a:v1", "[::1]:5000/a", Some("v1"), false),
            ("ghcr.io/a__b/c-d.e:x@", "", None, false),
            ("oci:./images:app", "oci:./images", Some("app"), false),
            ("oci:/tmp/a:b/images", "oci:/tmp/a:b/images", None, false),
        ] {
            let parsed = text.parse::<ImageRef>();
            if repository.is_empty() {
                assert!(parsed.is_err(), "{text}");
                continue;
            }
            let parsed = parsed.unwrap();
            assert_eq!(parsed.repository.to_string(), repository, "{text}");
            assert_eq!(parsed.tag.as_ref().map(Tag::as_str), tag, "{text}");
            assert_eq!(parsed.digest.is_some(), digest, "{text}");
        }
        let both = format!("ghcr.io/acme/web:3.0.1@{DIGEST}").parse::<ImageRef>().unwrap();
        assert_eq!(both.tag.unwrap().as_str(), "3.0.1");
        assert_eq!(both.digest.unwrap().to_string(), DIGEST);
    }

    #[test]
    fn wrong_references_are_refused() {
        for text in [
            "",
            "ghcr.io/",
            "ghcr.io/Acme/api",
            "ghcr.io/acme//api",
            "ghcr.io/acme/-api",
            "ghcr.io/a___b/c",
            "ghcr.io:port/acme/api",
            "ghcr.io/acme/api:",
            "ghcr.io/acme/api:-x",
            "ghcr.io/acme/api@sha256:12",
            "https://ghcr.io/acme/api",
            "oci:",
        ] {
            assert!(text.parse::<ImageRef>().is_err(), "{text}");
        }
    }

    #[test]
    fn tags_of_digests_are_known() {
        let digest: Digest = DIGEST.parse().unwrap();
        assert!(Tag::of_signatures(&digest).is_of_digest());
        let hex = digest.hex();
        for (tag, is) in [
            (format!("sha256-{hex}"), true),
            (format!("sha256-{hex}.att"), true),
            (format!("sha256-{hex}x"), false),
            ("sha256-abc".to_owned(), false),
            ("v1".to_owned(), false),
        ] {
            assert_eq!(tag.parse::<Tag>().unwrap().is_of_digest(), is, "{tag}");
        }
    }
}
