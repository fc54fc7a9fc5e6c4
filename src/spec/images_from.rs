//! Lists of images that builds write: lines, buildx metadata, ko, apko. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::model::{Digest, ImageRef, RemoteRepository, Repository, Tag};

/// How a list is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ListFormat {
    /// What `docker buildx build --metadata-file` or `docker buildx bake --metadata-file` writes.
    Buildx,
    /// `repository[:tag]@digest` on each line: also what ko and apko write.
    Lines,
}

impl ListFormat {
    /// The format by its name in the spec, which the reader has checked.
    pub(super) fn named(name: &str) -> Self {
        // `ko build` and `ko build --image-refs` write one reference a line, and so does
        // `apko publish --image-refs`, the index before the images of its platforms.
        if name == "buildx" { Self::Buildx } else { Self::Lines }
    }

    /// What the file must look like.
    pub(super) fn help(self) -> &'static str {
        match self {
            Self::Buildx => {
                "write it with: docker buildx build --push --tag REPOSITORY:TAG --metadata-file FILE"
            }
            Self::Lines => {
                "write REPOSITORY@DIGEST or REPOSITORY:TAG@DIGEST on each line; `#` begins a comment"
            }
        }
    }
}

/// An image of a list. A build knows its digest, so there always is one.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Listed {
    pub(super) repository: RemoteRepository,
    pub(super) tag: Option<Tag>,
    pub(super) digest: Digest,
}

/// What is wrong with a list. It says where, and nothing of what stands there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ListError {
    pub(super) reason: String,
}

/// At most so many errors are told of one list: what is no list at all has one in every line.
const MAX_ERRORS: usize = 20;

/// The images of a list, in its order, each once.
pub(super) fn parse(text: &str, format: ListFormat) -> Result<Vec<Listed>, Vec<ListError>> {
    let found = match format {
        ListFormat::Buildx => buildx(text),
        ListFormat::Lines => lines(text),
    };
    let (mut listed, mut errors, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for result in found {
        match result {
            Ok(image) if seen.insert(image.clone()) => listed.push(image),
            Ok(_) => {}
            Err(reason) => errors.push(ListError { reason }),
        }
    }
    errors.truncate(MAX_ERRORS);
    if errors.is_empty() { Ok(listed) } else { Err(errors) }
}

fn lines(text: &str) -> Vec<Result<Listed, String>> {
    let lines = (1..).zip(text.trim_start_matches('\u{feff}').lines());
    let lines = lines.map(|(number, line): (usize, _)| (number, without_comment(line)));
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(number, line)| reference(line).map_err(|reason| format!("line {number} {reason}")))
        .collect()
}

/// A `#` begins a comment at the start of a line or after a space; no reference has one.
fn without_comment(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with('#') {
        return "";
    }
    line.split_once(" #")
        .or_else(|| line.split_once("\t#"))
        .map_or(line, |(before, _)| before)
        .trim_end()
}

fn reference(text: &str) -> Result<Listed, &'static str> {
    let parsed: ImageRef = text.parse().map_err(|_| "is no reference")?;
    let Repository::Remote(repository) = parsed.repository else {
        return Err("names a layout, which only the spec itself may do");
    };
    let digest = parsed.digest.ok_or("has no digest")?;
    Ok(Listed { repository, tag: parsed.tag, digest })
}

/// One build writes an object; `bake` writes one for each target.
///
/// Source: docker buildx documentation, `--metadata-file` of build and bake.
fn buildx(text: &str) -> Vec<Result<Listed, String>> {
    let Ok(object) = serde_json::from_str::<Map<String, Value>>(text) else {
        return vec![Err("it is no JSON object".to_owned())];
    };
    if object.contains_key("containerimage.digest") {
        return build(&object, "the build");
    }
    let targets = (1_usize..).zip(object.values());
    let objects = targets.filter_map(|(number, it)| it.as_object().map(|it| (number, it)));
    // Targets without a digest were not made into images, and `buildx.build.…` are not targets.
    let built = objects.filter(|(_, it)| it.contains_key("containerimage.digest"));
    built.flat_map(|(number, it)| build(it, &format!("target {number}"))).collect()
}

fn build(object: &Map<String, Value>, what: &str) -> Vec<Result<Listed, String>> {
    let text = |key| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let digest: Digest = match text("containerimage.digest").parse() {
        Ok(digest) => digest,
        Err(_) => return vec![Err(format!("`containerimage.digest` of {what} is no digest"))],
    };
    let names: Vec<&str> =
        text("image.name").split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
    if names.is_empty() {
        return vec![Err(format!("{what} has no `image.name`: it was pushed under no name"))];
    }
    let references = names.into_iter().map(|name| {
        let name = name.split_once('@').map_or(name, |(name, _)| name);
        reference(&format!("{name}@{digest}"))
            .map_err(|reason| format!("`image.name` of {what} {reason}"))
    });
    references.collect()
}

#[cfg(test)]
mod tests;
