//! `[[images]]`. Pure.

use std::sync::Arc;

use crate::model::Repository;
use crate::payload::Format;
use crate::plan::{Attachment, Image, Origin, Selection, Settings};
use crate::spec::code::Code;
use crate::spec::problem::{Problem, Problems};
use crate::spec::section::Section;
use crate::spec::validate::Context;
use crate::spec::validate::attachments;
use crate::spec::validate::duplicates::Duplicates;
use crate::spec::validate::lists;
use crate::spec::validate::selection;
use crate::spec::validate::settings::{Layer, refuse_repeated};

/// The images of all files.
#[derive(Default)]
pub(super) struct Images {
    images: Vec<Image>,
    duplicates: Duplicates,
    /// The settings of the last entry: most entries have the same, and share them.
    last: Option<Arc<Settings>>,
}

/// What an entry says besides which images it means.
pub(super) struct Entry<'s> {
    section: &'s Section,
    origin: Origin,
    layer: Layer,
    settings: Arc<Settings>,
    container_identity: Vec<String>,
    pub(super) attachments: Vec<Arc<Attachment>>,
}

impl Images {
    /// Reads the entries of one file, in its order.
    pub(super) fn read(
        &mut self,
        file: &Section,
        layer: &Layer,
        context: &Context<'_>,
        problems: &mut Problems,
    ) {
        let written = file.sections("images").iter().map(|it| (it, false));
        let listed = file.sections("images_from").iter().map(|it| (it, true));
        let mut entries: Vec<_> = written.chain(listed).collect();
        entries.sort_by_key(|(section, _)| section.place.order());
        for (section, is_list) in entries {
            let entry = self.entry(section, layer, context, problems);
            if is_list {
                let images = lists::read(section, &entry, context, problems);
                self.images.extend(images);
            } else {
                self.one(&entry, context, problems);
            }
        }
    }

    /// Says whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// Gives them all.
    pub(super) fn into_images(self) -> Vec<Image> {
        self.images
    }

    fn entry<'s>(
        &mut self,
        section: &'s Section,
        layer: &Layer,
        context: &Context<'_>,
        problems: &mut Problems,
    ) -> Entry<'s> {
        let layer = Layer::read(section, context, problems).over(layer);
        if layer.sign_with.is_none() {
            let problem =
                Problem::error(Code::MissingKey, &section.place, "nobody signs this image");
            let problem = problem.label("`sign_with` is missing");
            problems.add(
                problem.help("add `sign_with` here or to [defaults]: sign_with = [\"release\"]"),
            );
        }
        let settings = layer.settings();
        let settings = match self.last.take().filter(|last| **last == settings) {
            Some(last) => last,
            None => Arc::new(settings),
        };
        self.last = Some(Arc::clone(&settings));
        Entry {
            section,
            origin: section.place.origin(),
            layer,
            settings,
            container_identity: container_identity(section, problems),
            attachments: attachments::read(section, context, problems),
        }
    }

    fn one(&mut self, entry: &Entry<'_>, context: &Context<'_>, problems: &mut Problems) {
        let Some(selected) = selection::read(entry.section, context.access, problems) else {
            return;
        };
        let image = entry.image(selected.repository, selected.selection, problems);
        let attachments = entry.attachments.clone();
        let image = Image { attachments, ..image };
        self.duplicates.check(&image, selected.names, &self.images, problems);
        self.images.push(image);
    }
}

impl Entry<'_> {
    /// An image of this entry, without attachments.
    pub(super) fn image(
        &self,
        repository: Repository,
        selection: Selection,
        problems: &mut Problems,
    ) -> Image {
        self.check_digest(&selection, problems);
        if let Repository::Layout(_) = repository {
            self.check_layout(problems);
        }
        Image {
            origin: self.origin.clone(),
            repository,
            selection,
            platforms: self.layer.platforms(),
            settings: Arc::clone(&self.settings),
            container_identity: self.container_identity.clone(),
            signature_repository: self.layer.signature_repository(),
            optional: self.layer.is_optional(),
            allow_empty: self.layer.may_be_empty(),
            attachments: Vec::new(),
        }
    }

    /// Says whether the entry may yield nothing.
    pub(super) fn may_be_empty(&self) -> bool {
        self.layer.may_be_empty()
    }

    fn check_digest(&self, selection: &Selection, problems: &mut Problems) {
        if !self.layer.needs_digests() || !matches!(selection, Selection::Tags { .. }) {
            return;
        }
        let key = if self.section.has("tags") { "tags" } else { "reference" };
        let message = "`digests_only` asks for a digest, and this image has none";
        let problem = Problem::error(Code::DigestNeeded, self.section.value_place(key), message);
        let problem = problem.label("only a tag");
        problems.add(problem.help("write REPOSITORY:TAG@DIGEST as `reference`, or `digests`"));
    }

    fn check_layout(&self, problems: &mut Problems) {
        let formats = &self.settings.formats;
        if formats.contains(&Format::SimpleSigning) && !self.section.has("container_identity") {
            let message = "an image in a layout has no name that its payload could give";
            let problem = Problem::error(Code::LayoutIdentity, &self.section.place, message);
            let problem = problem.label("`container_identity` is missing");
            problems.add(problem.help(
                "add the name that verifiers will see: container_identity = \"registry.example.com/app\"",
            ));
        }
        if self.layer.signature_repository().is_some() {
            let place = self.section.key_place("signature_repository");
            let message = "`signature_repository` goes with images of a registry";
            let problem = Problem::error(Code::Conflict, place, message);
            problems.add(
                problem.label("not for a layout").help("signatures of a layout are kept in it"),
            );
        }
    }
}

fn container_identity(section: &Section, problems: &mut Problems) -> Vec<String> {
    let Some(texts) = section.texts("container_identity") else { return Vec::new() };
    if texts.is_empty() || texts.iter().any(|text| text.value().is_empty()) {
        let place = section.value_place("container_identity");
        let problem = Problem::error(Code::Empty, place, "`container_identity` names nothing");
        problems.add(problem.label("empty").help("leave it out: the default is the repository"));
    }
    refuse_repeated(texts, problems);
    texts.iter().map(|text| text.value().to_owned()).collect()
}
