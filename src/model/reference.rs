//! How images are named: tags, references, and subjects pinned by digest.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::model::{Digest, Repository};

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

    /// The tag that lists the referrers of `digest` where a registry does not: `sha256-<hex>`.
    ///
    /// Source: OCI distribution-spec 1.1, "Referrers Tag Schema": at most 64 characters of the hash.
    pub fn of_referrers(digest: &Digest) -> Self {
        let hex = digest.hex();
        Self(format!("{}-{}", digest.algorithm().name(), hex.get(..64).unwrap_or(&hex)).into())
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
