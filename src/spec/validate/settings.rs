//! `[defaults]`, and the keys of an image that override them. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Annotations, Repository, SignerName};
use crate::payload::Format;
use crate::plan::{Prune, Settings};
use crate::spec::code::Code;
use crate::spec::problem::{Problem, Problems};
use crate::spec::section::{Section, Text};
use crate::spec::validate::Context;

/// What one table says. What it does not say is taken from the table below.
#[derive(Clone, Debug, Default)]
pub(super) struct Layer {
    pub(super) sign_with: Option<Vec<SignerName>>,
    requires: Option<Vec<SignerName>>,
    formats: Option<Vec<Format>>,
    annotations: Annotations,
    recursive: Option<bool>,
    prune: Option<Prune>,
    platforms: Option<Vec<String>>,
    signature_repository: Option<Repository>,
    optional: Option<bool>,
    allow_empty: Option<bool>,
    digests_only: Option<bool>,
}

impl Layer {
    /// Reads `[defaults]`.
    pub(super) fn defaults(
        section: &Section,
        context: &Context<'_>,
        problems: &mut Problems,
    ) -> Self {
        let digests_only = section.flag("digests_only");
        Self { digests_only, ..Self::read(section, context, problems) }
    }

    /// Reads the keys that `[defaults]` and images share.
    pub(super) fn read(section: &Section, context: &Context<'_>, problems: &mut Problems) -> Self {
        Self {
            sign_with: signers(section, "sign_with", context, problems),
            requires: signers(section, "requires", context, problems),
            formats: formats(section, problems),
            annotations: annotations(section, problems),
            recursive: section.flag("recursive"),
            prune: section.text("prune").map(|it| prune(it.value())),
            platforms: platforms(section, problems),
            signature_repository: signature_repository(section, problems),
            optional: section.flag("optional"),
            allow_empty: section.flag("allow_empty"),
            digests_only: None,
        }
    }

    /// This table, and below it `base`. Annotations are added; the same name overrides.
    pub(super) fn over(self, base: &Self) -> Self {
        let mut annotations = base.annotations.clone();
        annotations.extend(self.annotations);
        Self {
            sign_with: self.sign_with.or_else(|| base.sign_with.clone()),
            requires: self.requires.or_else(|| base.requires.clone()),
            formats: self.formats.or_else(|| base.formats.clone()),
            annotations,
            recursive: self.recursive.or(base.recursive),
            prune: self.prune.or(base.prune),
            platforms: self.platforms.or_else(|| base.platforms.clone()),
            signature_repository: self
                .signature_repository
                .or_else(|| base.signature_repository.clone()),
            optional: self.optional.or(base.optional),
            allow_empty: self.allow_empty.or(base.allow_empty),
            digests_only: self.digests_only.or(base.digests_only),
        }
    }

    pub(super) fn settings(&self) -> Settings {
        Settings {
            sign_with: self.sign_with.clone().unwrap_or_default(),
            requires: self.requires.clone().unwrap_or_default(),
            formats: self.formats.clone().unwrap_or_else(|| vec![Format::SimpleSigning]),
            annotations: Arc::new(self.annotations.clone()),
            recursive: self.recursive.unwrap_or_default(),
            prune: self.prune.unwrap_or_default(),
        }
    }

    pub(super) fn platforms(&self) -> Vec<String> {
        self.platforms.clone().unwrap_or_default()
    }

    pub(super) fn signature_repository(&self) -> Option<Repository> {
        self.signature_repository.clone()
    }

    pub(super) fn is_optional(&self) -> bool {
        self.optional.unwrap_or_default()
    }

    pub(super) fn may_be_empty(&self) -> bool {
        self.allow_empty.unwrap_or_default()
    }

    pub(super) fn needs_digests(&self) -> bool {
        self.digests_only.unwrap_or_default()
    }
}

/// `Some` where the key is there, even if it is wrong: then it does not fall back to the defaults.
fn signers(
    section: &Section,
    key: &str,
    context: &Context<'_>,
    problems: &mut Problems,
) -> Option<Vec<SignerName>> {
    if !section.has(key) {
        return None;
    }
    let texts = section.texts(key).unwrap_or_default();
    if texts.is_empty() && key == "sign_with" && section.texts(key).is_some() {
        let place = section.value_place(key);
        let problem = Problem::error(Code::Empty, place, "`sign_with` names nobody");
        let problem = problem.label("an empty list");
        problems.add(
            problem.help(
                "name at least one signer; to leave an image unsigned, take it out of the spec",
            ),
        );
    }
    refuse_repeated(texts, problems);
    Some(texts.iter().filter_map(|text| context.signers.active(text, problems)).collect())
}

/// Reports every text that stands twice in a list.
pub(super) fn refuse_repeated(texts: &[Text], problems: &mut Problems) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for text in texts {
        if !seen.insert(text.value()) {
            let first = texts.iter().find(|it| it.value() == text.value());
            let problem =
                Problem::error(Code::Duplicate, &text.place, format!("{text} is written twice"));
            let problem = problem.label("again").help("take one of them out");
            problems.add(problem.and(&first.unwrap_or(text).place, "first"));
        }
    }
}

fn formats(section: &Section, problems: &mut Problems) -> Option<Vec<Format>> {
    if !section.has("formats") {
        return None;
    }
    let texts = section.texts("formats").unwrap_or_default();
    if texts.is_empty() && section.texts("formats").is_some() {
        let problem =
            Problem::error(Code::Empty, section.value_place("formats"), "`formats` names none");
        problems.add(problem.label("an empty list").help("write: formats = [\"simple-signing\"]"));
    }
    refuse_repeated(texts, problems);
    let known = [Format::SimpleSigning, Format::Bundle].into_iter();
    Some(known.filter(|it| texts.iter().any(|text| text.value() == it.name())).collect())
}

fn annotations(section: &Section, problems: &mut Problems) -> Annotations {
    let pairs = section.pairs("annotations");
    for (key, _) in pairs.iter().filter(|(key, _)| key.value().is_empty()) {
        let problem = Problem::error(Code::Empty, &key.place, "an annotation has an empty name");
        problems.add(problem.label("no name").help("give it a name: \"com.example.environment\""));
    }
    pairs.iter().map(|(key, value)| (key.value().to_owned(), value.value().to_owned())).collect()
}

/// The reader has checked that it is one of these.
fn prune(text: &str) -> Prune {
    match text {
        "superseded" => Prune::Superseded,
        "retired" => Prune::Retired,
        "undeclared" => Prune::Undeclared,
        _ => Prune::Keep,
    }
}

fn platforms(section: &Section, problems: &mut Problems) -> Option<Vec<String>> {
    let texts = section.texts("platforms")?;
    refuse_repeated(texts, problems);
    for text in texts.iter().filter(|text| !is_platform(text.value())) {
        let problem = Problem::error(Code::Platform, &text.place, format!("{text} is no platform"));
        let problem = problem.label("no platform");
        problems.add(
            problem
                .help("write `os/architecture` or `os/architecture/variant`: \"linux/arm64/v8\""),
        );
    }
    Some(texts.iter().map(|text| text.value().to_owned()).collect())
}

fn is_platform(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let word = |part: &&str| {
        let letter = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
        };
        !part.is_empty() && part.bytes().all(letter)
    };
    matches!(parts.len(), 2 | 3) && parts.iter().all(word)
}

fn signature_repository(section: &Section, problems: &mut Problems) -> Option<Repository> {
    let text = section.text("signature_repository")?;
    match text.value().parse() {
        Ok(Repository::Remote(remote)) => Some(Repository::Remote(remote)),
        Ok(Repository::Layout(_)) => {
            let message = "`signature_repository` takes a repository of a registry";
            let problem = Problem::error(Code::Reference, &text.place, message);
            problems.refuse(
                problem
                    .label("a layout")
                    .help("signatures of a layout are kept in it: leave this out"),
            )
        }
        Err(error) => {
            let message = format!("{text} is no repository: {}", error.reason);
            let problem = Problem::error(Code::Reference, &text.place, message);
            problems.refuse(
                problem.label("no repository").help("write HOST/PATH without tag and digest"),
            )
        }
    }
}
