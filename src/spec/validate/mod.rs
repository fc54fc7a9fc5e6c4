//! From shape to meaning: one file for each section of the language. Everything wrong is collected. Pure.

mod attachments;
mod duplicates;
mod evidence;
mod identity;
mod images;
mod lists;
mod pem;
mod registries;
mod selection;
mod settings;
mod signer_key;
mod signers;
mod sigstore;

use crate::plan::Desired;
use crate::spec::Spec;
use crate::spec::access::Access;
use crate::spec::code::Code;
use crate::spec::load::LoadedFile;
use crate::spec::problem::{Problem, Problems};
use crate::spec::validate::images::Images;
use crate::spec::validate::settings::Layer;
use crate::spec::validate::signers::Signers;

/// What every section is checked with.
struct Context<'a> {
    access: &'a Access<'a>,
    signers: &'a Signers,
}

/// Makes a spec of the files, in their order. Where something is wrong, what is left is not to be used.
pub(super) fn spec(files: &[LoadedFile], access: &Access<'_>, problems: &mut Problems) -> Spec {
    let first = files.first().map(|file| &file.section);
    let sigstore = first.and_then(|it| sigstore::read(it, access, problems));
    let registries = first.map(|it| registries::read(it, access, problems)).unwrap_or_default();
    let signers = Signers::read(files, access, problems);
    if first.is_some_and(sigstore::only_verifies) {
        signers.need_services(problems);
    }
    let context = Context { access, signers: &signers };
    let mut layers: Vec<Layer> = Vec::with_capacity(files.len());
    let mut images = Images::default();
    for file in files {
        let own = file.section.section("defaults");
        let own = own.map(|it| Layer::defaults(it, &context, problems)).unwrap_or_default();
        // A file comes after the one that includes it, so the parent's layer is there.
        let layer = match file.parent.and_then(|parent| layers.get(parent)) {
            Some(parent) => own.over(parent),
            None => own,
        };
        images.read(&file.section, &layer, &context, problems);
        layers.push(layer);
    }
    if let Some(section) = first.filter(|_| images.is_empty() && !problems.has_errors()) {
        let message = "the spec names no image, so there is nothing to do";
        let problem = Problem::warning_without_place(Code::NoImages, message);
        let first_file = &section.place.file.name;
        problems.add(problem.help(format!("add [[images]] to {first_file}")));
    }
    // Beside errors this would be noise: the use may be what is wrong.
    if !problems.has_errors() {
        signers.warn_unused(problems);
    }
    let Signers { profiles, keyring, .. } = signers;
    let desired = Desired { signers: profiles, images: images.into_images() };
    Spec { desired, keyring, sigstore, registries, warnings: Problems::default() }
}
