//! What a store in memory holds, and how images get there by the back door. Pure.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde_json::{Map, json};

use crate::model::{
    Descriptor, Digest, Index, Locator, Manifest, Platform, Repository, Tag, go_json, media_type,
};

/// Everything in a [`MemoryStore`](crate::store::MemoryStore): a value to copy, compare and print.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Contents {
    /// The repositories, by name.
    pub repositories: BTreeMap<Repository, RepositoryContents>,
}

/// Everything in one repository.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RepositoryContents {
    /// The blobs.
    pub blobs: BTreeMap<Digest, Bytes>,
    /// The manifests and indexes.
    pub manifests: BTreeMap<Digest, StoredManifest>,
    /// Which manifest each tag names.
    pub tags: BTreeMap<Tag, Digest>,
}

/// A manifest or an index as it was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredManifest {
    /// The media type it was written with.
    pub media_type: String,
    /// The bytes.
    pub bytes: Bytes,
}

impl RepositoryContents {
    /// The digest that `locator` names now; `None` where nothing is there.
    pub fn digest(&self, locator: &Locator) -> Option<&Digest> {
        match locator {
            Locator::Digest(digest) => self.manifests.get_key_value(digest).map(|(key, _)| key),
            Locator::Tag(tag) => self.tags.get(tag),
        }
    }
}

impl Contents {
    /// Puts a blob into `repository`.
    pub fn push_blob(&mut self, repository: &Repository, content: impl Into<Bytes>) -> Digest {
        let content = content.into();
        let digest = Digest::of(&content);
        self.repository(repository).blobs.insert(digest.clone(), content);
        digest
    }

    /// Puts any bytes as a manifest into `repository` and lets `tags` name it; nothing is checked.
    pub fn push_manifest(
        &mut self,
        repository: &Repository,
        tags: &[Tag],
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        let contents = self.repository(repository);
        let manifest = StoredManifest { media_type: media_type.to_owned(), bytes };
        contents.manifests.insert(digest.clone(), manifest);
        contents.tags.extend(tags.iter().map(|tag| (tag.clone(), digest.clone())));
        digest
    }

    /// Puts an image of these layers into `repository` and lets `tags` name it.
    ///
    /// The same layers give the same digest.
    pub fn push_image(
        &mut self,
        repository: &Repository,
        tags: &[Tag],
        layers: &[&[u8]],
    ) -> Digest {
        let layers: Vec<Descriptor> = layers
            .iter()
            .map(|layer| {
                self.push_blob(repository, layer.to_vec());
                Descriptor::of("application/vnd.oci.image.layer.v1.tar", layer)
            })
            .collect();
        let config = go_json::to_vec(&json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {
                "type": "layers",
                "diff_ids": layers.iter().map(|it| it.digest.to_string()).collect::<Vec<_>>(),
            },
        }));
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(media_type::OCI_MANIFEST.to_owned()),
            config: Descriptor::of(media_type::OCI_CONFIG, &config),
            layers,
            annotations: None,
            subject: None,
            artifact_type: None,
            extra: Map::new(),
        };
        self.push_blob(repository, config);
        self.push_manifest(repository, tags, media_type::OCI_MANIFEST, manifest.to_bytes())
    }

    /// Puts an index into `repository` and lets `tags` name it.
    ///
    /// `children` are digests with their platforms (`linux/arm64/v8`; empty for none). A child that
    /// is not in the repository is named as an image manifest of no bytes: an index with a hole.
    pub fn push_index(
        &mut self,
        repository: &Repository,
        tags: &[Tag],
        children: &[(&str, &Digest)],
    ) -> Digest {
        let manifests = children
            .iter()
            .map(|(platform, digest)| {
                let found = self.repository(repository).manifests.get(*digest);
                let mut entry = match found {
                    Some(manifest) => Descriptor::of(&manifest.media_type, &manifest.bytes),
                    None => Descriptor::of(media_type::OCI_MANIFEST, b""),
                };
                entry.digest = (*digest).clone();
                entry.platform = read_platform(platform);
                entry
            })
            .collect();
        let index = Index {
            schema_version: 2,
            media_type: Some(media_type::OCI_INDEX.to_owned()),
            manifests,
            annotations: None,
            subject: None,
            artifact_type: None,
            extra: Map::new(),
        };
        self.push_manifest(repository, tags, media_type::OCI_INDEX, index.to_bytes())
    }

    /// Lets `tag` name `digest`, whether it is there or not.
    pub fn tag(&mut self, repository: &Repository, tag: &Tag, digest: &Digest) {
        self.repository(repository).tags.insert(tag.clone(), digest.clone());
    }

    /// Takes `tag` away; what it named stays.
    pub fn untag(&mut self, repository: &Repository, tag: &Tag) {
        self.repository(repository).tags.remove(tag);
    }

    /// Takes a manifest or blob away, with every tag that names it.
    pub fn remove(&mut self, repository: &Repository, digest: &Digest) {
        let contents = self.repository(repository);
        contents.blobs.remove(digest);
        contents.manifests.remove(digest);
        contents.tags.retain(|_, named| named != digest);
    }

    /// Replaces the bytes behind a digest by others: what a broken or hostile registry holds.
    pub fn corrupt(&mut self, repository: &Repository, digest: &Digest, content: impl Into<Bytes>) {
        let content = content.into();
        let contents = self.repository(repository);
        if let Some(blob) = contents.blobs.get_mut(digest) {
            *blob = content.clone();
        }
        if let Some(manifest) = contents.manifests.get_mut(digest) {
            manifest.bytes = content;
        }
    }

    /// The contents of `repository`, which begins to exist.
    pub fn repository(&mut self, repository: &Repository) -> &mut RepositoryContents {
        self.repositories.entry(repository.clone()).or_default()
    }

    /// The digest that `locator` names in `repository` now; `None` where nothing is there.
    pub fn digest(&self, repository: &Repository, locator: &Locator) -> Option<Digest> {
        self.repositories.get(repository)?.digest(locator).cloned()
    }
}

/// One line a thing, sorted: for comparisons that people read.
impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (repository, contents) in &self.repositories {
            writeln!(f, "{repository}")?;
            for (tag, digest) in &contents.tags {
                writeln!(f, "  tag {tag} = {digest}")?;
            }
            for (digest, manifest) in &contents.manifests {
                let StoredManifest { media_type, bytes } = manifest;
                writeln!(f, "  manifest {digest} {media_type}, {} bytes", bytes.len())?;
            }
            for (digest, blob) in &contents.blobs {
                writeln!(f, "  blob {digest}, {} bytes", blob.len())?;
            }
        }
        Ok(())
    }
}

fn read_platform(text: &str) -> Option<Platform> {
    let (os, rest) = text.split_once('/')?;
    let (architecture, variant) = match rest.split_once('/') {
        Some((architecture, variant)) => (architecture, Some(variant.to_owned())),
        None => (rest, None),
    };
    Some(Platform {
        architecture: architecture.to_owned(),
        os: os.to_owned(),
        variant,
        extra: Map::new(),
    })
}

/// Says why `content` is no manifest, or what it names that `contents` does not have.
pub(super) fn missing_part(
    contents: Option<&RepositoryContents>,
    media_type: &str,
    content: &[u8],
) -> Option<String> {
    let (what, digests): (_, Vec<Digest>) = if media_type::is_index(media_type) {
        match Index::parse(content) {
            Ok(index) => ("manifest", index.manifests.into_iter().map(|it| it.digest).collect()),
            Err(error) => return Some(error.to_string()),
        }
    } else {
        match Manifest::parse(content) {
            Ok(Manifest { layers, config, .. }) => {
                let layers = layers.into_iter().map(|it| it.digest);
                ("blob", layers.chain([config.digest]).collect())
            }
            Err(error) => return Some(error.to_string()),
        }
    };
    let has = |digest: &Digest| {
        contents
            .is_some_and(|it| it.manifests.contains_key(digest) || it.blobs.contains_key(digest))
    };
    let missing = digests.into_iter().find(|digest| !has(digest))?;
    Some(format!("the {what} {missing} is not there"))
}
