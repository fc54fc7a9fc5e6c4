//! Manifests and indexes: read without losing a member, written as Go writes them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::{Digest, go_json};

/// Annotations, ordered by key in bytes as Go's JSON writes them.
pub type Annotations = BTreeMap<String, String>;

/// The media types that the crate reads and writes.
pub mod media_type {
    /// An OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An OCI image configuration.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A Docker schema 2 manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// A Docker schema 2 manifest list.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// The payload of a cosign signature.
    pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

    /// Says whether `media_type` is an index of either kind.
    pub fn is_index(media_type: &str) -> bool {
        matches!(media_type, OCI_INDEX | DOCKER_INDEX)
    }

    /// Says whether `media_type` is an image manifest of either kind.
    pub fn is_manifest(media_type: &str) -> bool {
        matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
    }
}

/// The platform of an image in an index: `linux/arm64/v8`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Platform {
    /// CPU architecture, as Go names it.
    pub architecture: String,
    /// Operating system, as Go names it.
    pub os: String,
    /// Variant of the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What else stood there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Platform {
    /// Says whether `wanted` means it: `linux/arm64` means every variant, `linux/arm64/v8` only that one.
    pub fn is(&self, wanted: &str) -> bool {
        let own = self.to_string();
        own == wanted || own.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// A pointer to content: media type, size in bytes, digest.
///
/// Members that this crate does not know are kept in `extra` and written back.
///
/// Source: OCI image-spec 1.1, descriptor.md; member order of go-containerregistry `v1.Descriptor`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    #[serde(default)]
    pub media_type: String,
    /// How long it is, in bytes.
    pub size: u64,
    /// Its content address.
    pub digest: Digest,
    /// Annotations of this pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// Which platform an entry of an index is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What kind of artifact it points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What else stood there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Descriptor {
    /// Points to `content`, hashed with SHA-256.
    pub fn of(media_type: &str, content: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            size: u64::try_from(content.len()).unwrap_or(u64::MAX),
            digest: Digest::of(content),
            annotations: None,
            platform: None,
            artifact_type: None,
            extra: Map::new(),
        }
    }

    /// The annotation called `key`.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }
}

/// An image manifest, OCI or Docker schema 2.
///
/// Source: OCI image-spec 1.1, manifest.md; member order of go-containerregistry `v1.Manifest`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// What kind of manifest this is; OCI lets it be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, in order.
    #[serde(default)]
    pub layers: Vec<Descriptor>,
    /// Annotations of the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// What this manifest is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// What kind of artifact this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What else stood there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An image index or a Docker manifest list.
///
/// Source: OCI image-spec 1.1, image-index.md; member order of go-containerregistry `v1.IndexManifest`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// What kind of index this is; OCI lets it be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The entries, in order.
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
    /// Annotations of the index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// What this index is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// What kind of artifact this is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// What else stood there.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Bytes that are no manifest of the kind that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("not {expected}")]
pub struct ManifestError {
    /// What was expected: "an image manifest" or "an image index".
    pub expected: &'static str,
    /// What is wrong.
    #[source]
    pub source: serde_json::Error,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    ///
    /// When the bytes are no JSON object with a configuration and layers.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        serde_json::from_slice(bytes)
            .map_err(|source| ManifestError { expected: "an image manifest", source })
    }

    /// The bytes as Go writes them: compact, without a newline at the end.
    pub fn to_bytes(&self) -> Vec<u8> {
        go_json::to_vec(self)
    }
}

impl Index {
    /// Reads an index.
    ///
    /// # Errors
    ///
    /// When the bytes are no JSON object with entries.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        serde_json::from_slice(bytes)
            .map_err(|source| ManifestError { expected: "an image index", source })
    }

    /// The bytes as Go writes them: compact, without a newline at the end.
    pub fn to_bytes(&self) -> Vec<u8> {
        go_json::to_vec(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_members_survive() {
        let text = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","odd":[1]},"layers":[{"mediaType":"x","size":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","annotations":{"a":"1"},"urls":["u"]}],"strange":{"b":1,"a":2}}"#;
        let manifest = Manifest::parse(text.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(manifest.to_bytes()).unwrap(), text);
    }
}
