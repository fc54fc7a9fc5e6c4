//! Reads the files of a spec: several of them, what they include, and the variables. Pure.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::model::Glob;
use crate::spec::access::{Access, MAX_SMALL, MAX_SPEC, clean, reason, unreadable};
use crate::spec::code::Code;
use crate::spec::language::SPEC;
use crate::spec::place::{Folders, Place, Quoting, SourceFile};
use crate::spec::problem::{Problem, Problems};
use crate::spec::raw::Reader;
use crate::spec::section::{Section, Text};
use crate::spec::validate;
use crate::spec::variables::{Expander, parse_file};
use crate::spec::{Spec, Untrusted};

/// How deep files may include files.
const MAX_DEPTH: usize = 32;

/// A file whose keys and types are right.
pub(super) struct LoadedFile {
    /// What stands in it.
    pub(super) section: Section,
    /// The file that includes it, by its number.
    pub(super) parent: Option<usize>,
}

struct Loader<'a> {
    access: &'a Access<'a>,
    expander: Option<Expander<'a>>,
    problems: Problems,
    loaded: Vec<LoadedFile>,
    /// Every file that was opened, resolved.
    opened: Vec<PathBuf>,
    /// The files that led to the one that is being read, resolved.
    stack: Vec<PathBuf>,
}

/// A file that is about to be read.
struct Next<'t> {
    path: PathBuf,
    folders: Folders,
    parent: Option<usize>,
    /// Where it is included; nothing for the command line.
    named: Option<&'t Text>,
}

/// Reads the files at `paths` and everything that they include, and makes a spec of them.
pub(super) fn load(paths: &[&Path], access: &Access<'_>) -> Result<Spec, Problems> {
    let mut loader = Loader {
        access,
        expander: None,
        problems: Problems::default(),
        loaded: Vec::new(),
        opened: Vec::new(),
        stack: Vec::new(),
    };
    for path in paths {
        loader.named_on_command_line(path);
    }
    let Loader { expander, mut problems, loaded, .. } = loader;
    if let Some(expander) = &expander {
        expander.warn_unused(&mut problems);
    }
    let made = validate::spec(&loaded, access, &mut problems);
    problems.sort();
    if problems.has_errors() {
        return Err(problems);
    }
    Ok(Spec { warnings: problems, ..made })
}

impl<'a> Loader<'a> {
    fn named_on_command_line(&mut self, path: &Path) {
        let folder = clean(path.parent().unwrap_or(Path::new("")));
        let Ok(root) = self.access.files.canonical(&folder) else {
            let message = format!("{} cannot be read: there is no such file", path.display());
            self.problems.add(Problem::without_place(Code::Unreadable, message));
            return;
        };
        let folders = Folders { folder, root };
        self.file(Next { path: path.to_owned(), folders, parent: None, named: None });
    }

    fn file(&mut self, next: Next<'_>) {
        let Some(real) = self.resolve(&next) else { return };
        if self.opened.contains(&real) {
            self.read_twice(&next, &real);
            return;
        }
        let content = match self.access.files.read(&real, MAX_SPEC) {
            Ok(content) => content,
            Err(error) => return self.cannot_read(&next, error.kind()),
        };
        self.opened.push(real.clone());
        self.stack.push(real);
        self.content(next, content);
        self.stack.pop();
    }

    /// The real path, where the file may be read: a link must not lead out of the folder of a spec that
    /// is not to be trusted, even if the spec itself is the link.
    fn resolve(&mut self, next: &Next<'_>) -> Option<PathBuf> {
        let real = match self.access.files.canonical(&next.path) {
            Ok(real) => real,
            Err(error) => {
                self.cannot_read(next, error.kind());
                return None;
            }
        };
        if self.access.options.untrusted == Untrusted::No || real.starts_with(&next.folders.root) {
            return Some(real);
        }
        let message = format!(
            "{} leads out of the spec's folder, which is refused with `--untrusted-spec`",
            next.path.display()
        );
        self.problems.refuse(match next.named {
            Some(text) => Problem::error(Code::Untrusted, &text.place, message),
            None => Problem::without_place(Code::Untrusted, message),
        })
    }

    fn cannot_read(&mut self, next: &Next<'_>, kind: std::io::ErrorKind) {
        self.problems.add(match next.named {
            Some(text) => unreadable(&text.place, kind),
            None => {
                let message = format!("{} cannot be read: {}", next.path.display(), reason(kind));
                Problem::without_place(Code::Unreadable, message)
            }
        });
    }

    fn read_twice(&mut self, next: &Next<'_>, real: &PathBuf) {
        let path = next.path.display();
        let message = if self.stack.contains(real) {
            format!("{path} includes itself")
        } else {
            format!("{path} is read twice")
        };
        self.problems.add(match next.named {
            Some(text) => Problem::error(Code::IncludeCycle, &text.place, message)
                .label("read already")
                .help("include every file once"),
            None => Problem::without_place(Code::IncludeCycle, message),
        });
    }

    fn content(&mut self, next: Next<'_>, content: Vec<u8>) {
        let name: Arc<str> = next.path.display().to_string().into();
        let order = u32::try_from(self.opened.len()).unwrap_or(u32::MAX);
        let Ok(text) = String::from_utf8(content) else {
            let file = SourceFile::new(name, order, String::new(), next.folders);
            let place = Place::new(&Arc::new(file), &(0..0));
            self.problems.add(Problem::error(Code::Syntax, &place, "the file is not UTF-8 text"));
            return;
        };
        let file = Arc::new(SourceFile::new(name, order, text, next.folders.clone()));
        let (toml, errors) = DeTable::parse_recoverable(&file.text);
        // Even where the rest is broken, it is meant as a spec then, and its lines may be shown.
        let version = toml.get_ref().get("version").and_then(|it| it.get_ref().as_integer());
        if version.is_some_and(|it| it.as_str() == "1") {
            file.set_quoting(Quoting::Quoted);
        }
        let broken = self.syntax(&file, &errors);
        if broken || !self.has_version(&file, toml.get_ref()) {
            return;
        }
        self.toml(&next, &file, toml.into_inner());
    }

    /// Reports what is wrong with the syntax, and says whether the rest can be read nevertheless.
    ///
    /// Of a file that may be no spec only the first place is told: all of them would show its shape.
    fn syntax(&mut self, file: &Arc<SourceFile>, errors: &[toml::de::Error]) -> bool {
        let quoted = file.quoting() == Quoting::Quoted;
        let mut broken = false;
        for error in errors.iter().take(if quoted { usize::MAX } else { 1 }) {
            let place = Place::new(file, &error.span().unwrap_or(0..0));
            let twice = error.message() == "duplicate key";
            broken |= !(twice && quoted);
            self.problems.add(if twice && quoted {
                let message = format!("`{}` is defined twice", place.written());
                let problem = Problem::error(Code::DefinedTwice, &place, message);
                problem.label("defined again").help("take one of them out, or give it another name")
            } else {
                let problem = Problem::error(Code::Syntax, &place, "this is not TOML");
                problem.label(error.message())
            });
        }
        broken
    }

    /// Checks the version before anything else: another version is another language, and a file without
    /// one may be no spec at all, of which nothing must be told.
    fn has_version(&mut self, file: &Arc<SourceFile>, toml: &DeTable<'_>) -> bool {
        if file.quoting() == Quoting::Quoted {
            return true;
        }
        let place = toml.get("version").map_or(0..0, Spanned::span);
        let problem = Problem::error(
            Code::Version,
            &Place::new(file, &place),
            "the file does not say `version = 1`, so it is not read as a spec",
        );
        self.problems.add(problem.help("begin the file with: version = 1"));
        false
    }

    fn toml(&mut self, next: &Next<'_>, file: &Arc<SourceFile>, toml: DeTable<'_>) {
        let expander = match self.expander.take() {
            Some(expander) => expander,
            None => Expander::new(self.variables(file, &toml), self.access),
        };
        let place = Place::new(file, &(0..0));
        let mut reader = Reader { file, expander: &expander, problems: &mut self.problems };
        let section = reader.section(toml, place, &SPEC);
        self.expander = Some(expander);
        let first = self.loaded.is_empty() && next.parent.is_none();
        for key in ["variables", "registries", "sigstore"] {
            if !first && section.has(key) {
                let message = format!("`[{key}]` may stand only in the first file");
                let place = section.key_place(key);
                let problem = Problem::error(Code::FirstFileOnly, place, message);
                self.problems.add(problem.label("not in this file"));
            }
        }
        let includes = section.texts("include").unwrap_or_default().to_vec();
        let number = self.loaded.len();
        self.loaded.push(LoadedFile { section, parent: next.parent });
        for text in &includes {
            self.include(number, text, &next.folders.root);
        }
    }

    /// The variables: defaults of the first file, then files of variables, then single ones.
    fn variables(
        &mut self,
        file: &Arc<SourceFile>,
        toml: &DeTable<'_>,
    ) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        let field = SPEC.field("variables");
        if let (Some(field), Some(DeValue::Table(table))) =
            (field, toml.get("variables").map(Spanned::get_ref))
        {
            let expander = Expander::new(BTreeMap::new(), self.access);
            let mut reader = Reader { file, expander: &expander, problems: &mut self.problems };
            for (name, value) in reader.pairs(field, table) {
                variables.insert(name.value().to_owned(), value.value().to_owned());
            }
        }
        for path in &self.access.options.variable_files {
            variables.extend(self.variable_file(path));
        }
        let single = self.access.options.variables.iter();
        variables.extend(single.map(|(name, value)| (name.clone(), value.clone())));
        variables
    }

    fn variable_file(&mut self, path: &Path) -> BTreeMap<String, String> {
        let wrong = |why: &str| {
            let message = format!("the file of variables {} cannot be read: {why}", path.display());
            let problem = Problem::without_place(Code::Variable, message);
            problem.help("write one variable on each line: NAME = \"value\"")
        };
        let content = match self.access.files.read(path, MAX_SMALL) {
            Ok(content) => content,
            Err(error) => {
                self.problems.add(wrong(reason(error.kind())));
                return BTreeMap::new();
            }
        };
        parse_file(&String::from_utf8_lossy(&content)).unwrap_or_else(|| {
            self.problems.add(wrong("it is not TOML with nothing but strings"));
            BTreeMap::new()
        })
    }

    fn include(&mut self, parent: usize, text: &Text, root: &Path) {
        if self.stack.len() >= MAX_DEPTH {
            let problem =
                Problem::error(Code::IncludeCycle, &text.place, "files include files too deeply");
            self.problems.add(problem.label(format!("deeper than {MAX_DEPTH}")));
            return;
        }
        for path in self.included(text) {
            let folder = clean(path.parent().unwrap_or(Path::new("")));
            let folders = Folders { folder, root: root.to_owned() };
            self.file(Next { path, folders, parent: Some(parent), named: Some(text) });
        }
    }

    /// The files that an item of `include` names.
    fn included(&mut self, text: &Text) -> Vec<PathBuf> {
        let folder = &text.place.file.folder;
        if !Glob::is_pattern(text.value()) {
            return vec![clean(&folder.join(text.value()))];
        }
        let pattern = Path::new(text.value());
        let leaves =
            pattern.is_absolute() || pattern.components().any(|it| it == Component::ParentDir);
        if leaves && self.access.is_untrusted() {
            self.access.refuse_untrusted(
                "a pattern outside the spec's folder",
                &text.place,
                &mut self.problems,
            );
            return Vec::new();
        }
        let found = match self.access.files.glob(folder, text.value()) {
            Ok(found) => found,
            Err(error) => {
                self.problems.add(unreadable(&text.place, error.kind()));
                return Vec::new();
            }
        };
        if found.is_empty() {
            let problem =
                Problem::error(Code::IncludeEmpty, &text.place, "the pattern matches no file");
            self.problems.add(
                problem
                    .label("matches nothing")
                    .help("patterns are relative to the file that names them"),
            );
        }
        found.iter().map(|path| clean(path)).collect()
    }
}
