//! What a manifest in a layout is, by its content. Pure.

use serde::Deserialize;

use crate::model::{Descriptor, Digest, Index, Manifest, ManifestError, media_type};

/// How the media type of a manifest is known.
pub(super) enum Source {
    /// It says so itself.
    Member,
    /// It looks like one.
    Shape,
}

/// The media type of a manifest by its content; `None` where it is none.
pub(super) fn media_type_of(bytes: &[u8]) -> Option<(Source, String)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Said {
        schema_version: u32,
        media_type: Option<String>,
    }
    let said: Said = serde_json::from_slice(bytes).ok()?;
    if let (2, Some(media_type)) = (said.schema_version, said.media_type) {
        return Some((Source::Member, media_type));
    }
    let looks_like = if Manifest::parse(bytes).is_ok() {
        media_type::OCI_MANIFEST
    } else if Index::parse(bytes).is_ok() {
        media_type::OCI_INDEX
    } else {
        return None;
    };
    Some((Source::Shape, looks_like.to_owned()))
}

/// What a manifest or an index names.
pub(super) fn parts(media_type: &str, content: &[u8]) -> Result<Vec<Descriptor>, ManifestError> {
    if media_type::is_index(media_type) {
        return Ok(Index::parse(content)?.manifests);
    }
    let Manifest { config, mut layers, .. } = Manifest::parse(content)?;
    layers.push(config);
    Ok(layers)
}

/// What a manifest refers to.
pub(super) fn subject_of(content: &[u8]) -> Option<Digest> {
    Manifest::parse(content).ok()?.subject.map(|it| it.digest)
}
