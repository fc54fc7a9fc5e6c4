//! `[[images_from]]`. Pure.

use std::sync::Arc;

use crate::model::Repository;
use crate::plan::{Image, Selection};
use crate::spec::access::MAX_SPEC;
use crate::spec::code::Code;
use crate::spec::images_from::{self, ListFormat};
use crate::spec::problem::{Problem, Problems};
use crate::spec::section::Section;
use crate::spec::validate::Context;
use crate::spec::validate::images::Entry;

/// The images in a list: one for each reference, in the order of the file.
///
/// Nothing of the file is quoted: it may be any file.
pub(super) fn read(
    section: &Section,
    entry: &Entry<'_>,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Vec<Image> {
    let (Some(file), Some(format)) = (section.text("file"), section.text("format")) else {
        return Vec::new();
    };
    let Some(content) = context.access.read_text(file, MAX_SPEC, problems) else {
        return Vec::new();
    };
    let format = ListFormat::named(format.value());
    let references = match images_from::parse(&content, format) {
        Ok(references) => references,
        Err(errors) => {
            for error in errors {
                let message = format!("the list of images cannot be used: {}", error.reason);
                let problem = Problem::error(Code::ImagesFrom, &file.place, message);
                problems.add(problem.label("in this file").help(format.help()));
            }
            return Vec::new();
        }
    };
    if references.is_empty() && !entry.may_be_empty() {
        let problem = Problem::error(Code::ImagesFromEmpty, &file.place, "the list names no image");
        let problem = problem.label("names none");
        problems.add(problem.help("if it may be empty, write: allow_empty = true"));
    }
    let images = references.into_iter().map(|reference| image(reference, entry, problems));
    let mut images: Vec<Image> = images.collect();
    attach(&mut images, entry);
    images
}

fn image(reference: images_from::Listed, entry: &Entry<'_>, problems: &mut Problems) -> Image {
    let selection = match reference.tag {
        Some(tag) => Selection::Pinned { tag, digest: reference.digest },
        None => Selection::Digests(vec![reference.digest]),
    };
    entry.image(Repository::Remote(reference.repository), selection, problems)
}

/// Gives each attachment to the images that its payload names; one that names none of them goes to the
/// first, where the plan will decide: it may be for a child of an index.
fn attach(images: &mut [Image], entry: &Entry<'_>) {
    for attachment in &entry.attachments {
        let mut placed = false;
        for image in images.iter_mut() {
            let digest = match &image.selection {
                Selection::Digests(digests) => digests.first(),
                Selection::Pinned { digest, .. } => Some(digest),
                Selection::Tags { .. } => None,
            };
            if digest == Some(&attachment.claim.digest) {
                image.attachments.push(Arc::clone(attachment));
                placed = true;
            }
        }
        if let Some(first) = images.first_mut().filter(|_| !placed) {
            first.attachments.push(Arc::clone(attachment));
        }
    }
}
