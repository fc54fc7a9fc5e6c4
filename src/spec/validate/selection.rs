//! Which images an entry means: `reference`, or `repository` with `tags` or `digests`. Pure.

use crate::model::{Digest, Glob, ImageRef, LayoutPath, Repository, Tag};
use crate::plan::Selection;
use crate::spec::access::Access;
use crate::spec::code::Code;
use crate::spec::place::Place;
use crate::spec::problem::{Problem, Problems};
use crate::spec::section::{Section, Text};
use crate::spec::validate::settings::refuse_repeated;

/// What an entry means, and where each name in it stands.
pub(super) struct Selected {
    pub(super) repository: Repository,
    pub(super) selection: Selection,
    /// Tags and digests as they are compared with other entries.
    pub(super) names: Vec<(String, Place)>,
}

/// Reads what an entry means.
pub(super) fn read(
    section: &Section,
    access: &Access<'_>,
    problems: &mut Problems,
) -> Option<Selected> {
    if section.has("repository") && section.has("reference") {
        let message = "`repository` and `reference` exclude each other";
        let problem = Problem::error(Code::Conflict, section.key_place("reference"), message);
        let problem = problem.label("names the repository too").help("make two images of them");
        problems.add(problem.and(section.key_place("repository"), "names the repository"));
        return None;
    }
    if section.has("reference") {
        for key in ["tags", "exclude_tags", "digests"].into_iter().filter(|it| section.has(it)) {
            let message = format!("`{key}` goes with `repository`, not with `reference`");
            let problem = Problem::error(Code::Conflict, section.key_place(key), message);
            let problem = problem
                .label("one too many")
                .help(format!("take `{key}` out, or write `repository` instead of `reference`"));
            problems.add(problem.and(section.key_place("reference"), "one image"));
        }
        return reference(section.text("reference")?, access, problems);
    }
    if !section.has("repository") {
        let problem = Problem::error(
            Code::MissingKey,
            &section.place,
            "an image needs `repository` or `reference`",
        );
        let problem = problem.label("which image?");
        return problems.refuse(problem.help("add: reference = \"ghcr.io/acme/web:3.0.1\""));
    }
    let repository = section.text("repository").and_then(|it| repository(it, access, problems));
    let selected = from_lists(section, problems);
    let (selection, names) = selected?;
    Some(Selected { repository: repository?, selection, names })
}

fn reference(text: &Text, access: &Access<'_>, problems: &mut Problems) -> Option<Selected> {
    let wrong = |reason: &str| {
        let problem = Problem::error(
            Code::Reference,
            &text.place,
            format!("{text} is no reference: {reason}"),
        );
        problem
            .label("no reference")
            .help("write REPOSITORY:TAG, REPOSITORY@DIGEST or REPOSITORY:TAG@DIGEST")
    };
    let parsed: ImageRef = match text.value().parse() {
        Ok(parsed) => parsed,
        Err(error) => return problems.refuse(wrong(error.reason)),
    };
    let repository = in_folder(parsed.repository, text, access, problems)?;
    let selection = match (parsed.tag, parsed.digest) {
        (Some(tag), Some(digest)) => Selection::Pinned { tag, digest },
        (None, Some(digest)) => Selection::Digests(vec![digest]),
        (Some(tag), None) => Selection::Tags {
            names: vec![image_tag(tag, text, problems)?],
            globs: vec![],
            exclude: vec![],
        },
        (None, None) => return problems.refuse(wrong("a layout holds several images: say which")),
    };
    let name = match &selection {
        Selection::Pinned { tag, digest } => format!("{tag}@{digest}"),
        Selection::Digests(digests) => digests.iter().map(Digest::to_string).collect(),
        Selection::Tags { names, .. } => names.iter().map(Tag::to_string).collect(),
    };
    Some(Selected { repository, selection, names: vec![(name, text.place.clone())] })
}

fn repository(text: &Text, access: &Access<'_>, problems: &mut Problems) -> Option<Repository> {
    match text.value().parse() {
        Ok(parsed) => in_folder(parsed, text, access, problems),
        Err(error) => {
            let message = format!("{text} is no repository: {}", error.reason);
            let problem = Problem::error(Code::Reference, &text.place, message);
            let named = text.value().parse::<ImageRef>().is_ok();
            let help = if named {
                "a tag or digest goes into `tags` or `digests`, or write `reference` instead of `repository`"
            } else {
                "write HOST/PATH, or `oci:FOLDER` for an image layout on disk"
            };
            problems.refuse(problem.label("no repository").help(help))
        }
    }
}

/// The path of a layout is relative to the file that names it.
fn in_folder(
    repository: Repository,
    text: &Text,
    access: &Access<'_>,
    problems: &mut Problems,
) -> Option<Repository> {
    let Repository::Layout(layout) = &repository else { return Some(repository) };
    let path = access.path_of(&layout.as_path().to_string_lossy(), text, problems)?;
    Some(Repository::Layout(LayoutPath::new(path)))
}

type Lists = (Selection, Vec<(String, Place)>);

fn from_lists(section: &Section, problems: &mut Problems) -> Option<Lists> {
    match (section.has("tags"), section.has("digests")) {
        (true, true) => {
            tags(section, problems);
            digests(section, problems);
            let message = "`tags` and `digests` exclude each other";
            let problem = Problem::error(Code::Conflict, section.key_place("digests"), message);
            let problem = problem.label("by digest").help("make two images of them");
            problems.refuse(problem.and(section.key_place("tags"), "by tag"))
        }
        (false, false) => {
            let problem = Problem::error(
                Code::MissingKey,
                &section.place,
                "an image needs `tags` or `digests`",
            );
            let problem = problem.label("which images of the repository?");
            problems.refuse(
                problem.help("add: tags = [\"1.4.2\", \"v2.*\"], or tags = [\"*\"] for all"),
            )
        }
        (true, false) => tags(section, problems),
        (false, true) => digests(section, problems),
    }
}

fn digests(section: &Section, problems: &mut Problems) -> Option<Lists> {
    if section.has("exclude_tags") && !section.has("tags") {
        let message = "`exclude_tags` goes with `tags`, not with `digests`";
        let problem = Problem::error(Code::Conflict, section.key_place("exclude_tags"), message);
        problems.add(problem.label("nothing to exclude from").help("take `exclude_tags` out"));
    }
    let texts = listed(section, "digests", problems)?;
    let digests: Vec<Digest> = texts.iter().filter_map(|text| digest(text, problems)).collect();
    let names = texts.iter().map(|it| (it.value().to_owned(), it.place.clone())).collect();
    Some((Selection::Digests(digests), names))
}

fn digest(text: &Text, problems: &mut Problems) -> Option<Digest> {
    text.value().parse().ok().or_else(|| {
        let problem = Problem::error(Code::Digest, &text.place, format!("{text} is no digest"));
        let problem = problem.label("no digest");
        problems.refuse(problem.help("write `sha256:` and 64 lower-case hexadecimal digits"))
    })
}

fn tags(section: &Section, problems: &mut Problems) -> Option<Lists> {
    let texts = listed(section, "tags", problems)?;
    let (mut names, mut globs) = (Vec::new(), Vec::new());
    for text in texts {
        if Glob::is_pattern(text.value()) {
            globs.extend(glob(text, problems));
        } else {
            names.extend(tag(text, problems));
        }
    }
    let exclude = match section.has("exclude_tags") {
        true => listed(section, "exclude_tags", problems).unwrap_or_default(),
        false => &[],
    };
    let exclude = exclude.iter().filter_map(|text| glob(text, problems)).collect();
    let places = texts.iter().map(|it| (it.value().to_owned(), it.place.clone())).collect();
    Some((Selection::Tags { names, globs, exclude }, places))
}

/// A list with something in it, and nothing twice.
fn listed<'s>(section: &'s Section, key: &str, problems: &mut Problems) -> Option<&'s [Text]> {
    let texts = section.texts(key)?;
    if texts.is_empty() {
        let problem =
            Problem::error(Code::Empty, section.value_place(key), format!("`{key}` names nothing"));
        return problems.refuse(
            problem.label("an empty list").help(format!("name something, or take `{key}` out")),
        );
    }
    refuse_repeated(texts, problems);
    Some(texts)
}

fn tag(text: &Text, problems: &mut Problems) -> Option<Tag> {
    match text.value().parse() {
        Ok(tag) => image_tag(tag, text, problems),
        Err(error) => {
            let message = format!("{text} is no tag: {}", error.reason);
            let problem = Problem::error(Code::Tag, &text.place, message);
            let help = match text.value().parse::<Digest>() {
                Ok(_) => "a digest goes into `digests`",
                Err(_) => "write a tag, or a pattern with `*`, `?` or `[…]`",
            };
            problems.refuse(problem.label("no tag").help(help))
        }
    }
}

/// A tag that names an image of its own.
fn image_tag(tag: Tag, text: &Text, problems: &mut Problems) -> Option<Tag> {
    if !tag.is_of_digest() {
        return Some(tag);
    }
    let problem = Problem::error(
        Code::SignatureTag,
        &text.place,
        format!("{text} carries signatures, it is no image"),
    );
    problems.refuse(problem.label("made from a digest").help("name the image that it belongs to"))
}

fn glob(text: &Text, problems: &mut Problems) -> Option<Glob> {
    text.value().parse().ok().or_else(|| {
        let problem = Problem::error(Code::Glob, &text.place, format!("{text} is no pattern"));
        let problem = problem.label("no pattern");
        problems.refuse(problem.help("close every `[`: \"v[0-9].*\""))
    })
}
