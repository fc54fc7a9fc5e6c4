//! The same image written twice with the same settings: one of the two is a mistake. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::Repository;
use crate::plan::Image;
use crate::spec::code::Code;
use crate::spec::place::Place;
use crate::spec::problem::{Problem, Problems};

/// Every name of an image that was seen, with the entries that have it.
#[derive(Default)]
pub(super) struct Duplicates {
    seen: HashMap<Key, Vec<Seen>>,
}

#[derive(Eq, Hash, PartialEq)]
struct Key {
    file: Arc<str>,
    repository: Repository,
    name: String,
}

struct Seen {
    /// The number of the entry.
    image: usize,
    place: Place,
}

impl Duplicates {
    /// Compares the next image, which has the number `images.len()`, with those before it.
    pub(super) fn check(
        &mut self,
        next: &Image,
        names: Vec<(String, Place)>,
        images: &[Image],
        problems: &mut Problems,
    ) {
        for (name, place) in names {
            let file = Arc::clone(&next.origin.file);
            let repository = next.repository.clone();
            let seen = self.seen.entry(Key { file, repository, name }).or_default();
            let same =
                |it: &&Seen| images.get(it.image).is_some_and(|image| are_alike(image, next));
            if let Some(first) = seen.iter().find(same) {
                // As it is written: the value of a variable may be a secret.
                let written = place.written().trim_matches(['"', '\'']);
                let message = format!("`{written}` is written twice");
                let problem = Problem::error(Code::Duplicate, &place, message);
                let problem = problem.label("again, with the same settings");
                problems.add(problem.help("take one of them out").and(&first.place, "first"));
            }
            seen.push(Seen { image: images.len(), place });
        }
    }
}

/// Says whether two entries of one repository ask for the same. Wants are joined, so different settings
/// for one image are no mistake.
fn are_alike(one: &Image, other: &Image) -> bool {
    one.settings == other.settings
        && one.container_identity == other.container_identity
        && one.signature_repository == other.signature_repository
        && one.platforms == other.platforms
        && one.attachments.is_empty()
        && other.attachments.is_empty()
}
