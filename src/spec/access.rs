//! What a spec may reach: files and environment variables, each asked for at one place, so that a spec
//! that somebody else wrote can neither read nor send what it was not given. Pure.

use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use crate::keys::Environment;
use crate::model::{Glob, Secret};
use crate::spec::code::Code;
use crate::spec::place::{Place, SourceFile};
use crate::spec::problem::{Problem, Problems};
use crate::spec::section::Text;
use crate::spec::{Files, LoadOptions, Untrusted};

/// The largest spec or list of images: 100,000 entries take a fifth of it.
pub(super) const MAX_SPEC: u64 = 64 << 20;
/// The largest key, certificate, payload or signature.
pub(super) const MAX_SMALL: u64 = 1 << 20;

/// Files and environment, as far as the options allow.
pub(super) struct Access<'a> {
    pub(super) files: &'a dyn Files,
    pub(super) environment: &'a dyn Environment,
    pub(super) options: &'a LoadOptions,
}

impl Access<'_> {
    /// Says whether the spec was written by somebody who must not be trusted.
    pub(super) fn is_untrusted(&self) -> bool {
        self.options.untrusted == Untrusted::Yes
    }

    /// Reports `what`, where the spec is not to be trusted.
    pub(super) fn refuse_untrusted(&self, what: &str, place: &Place, problems: &mut Problems) {
        if self.is_untrusted() {
            let message = format!("{what} is refused with `--untrusted-spec`");
            problems.add(
                Problem::error(Code::Untrusted, place, message)
                    .label("not from a spec that is not trusted"),
            );
        }
    }

    /// The value of an environment variable that the command line allows by its bare name.
    pub(super) fn variable(
        &self,
        name: &str,
        place: &Place,
        problems: &mut Problems,
    ) -> Option<String> {
        self.allowed(name, None, place, problems)?;
        self.set_variable(name, place, problems).map(|value| value.expose().clone())
    }

    /// The value of an environment variable that is allowed for just this pattern of registry hosts.
    ///
    /// The pattern must be allowed as it is written: were `*` good for a variable that is allowed for
    /// one host, a spec could send it anywhere.
    pub(super) fn credential(
        &self,
        name: &Text,
        host: &str,
        problems: &mut Problems,
    ) -> Option<Secret<String>> {
        self.allowed(name.value(), Some(host), &name.place, problems)?;
        self.set_variable(name.value(), &name.place, problems)
    }

    /// Checks that the command line allows to name an environment variable, and does not look at it.
    pub(super) fn allowed(
        &self,
        name: &str,
        host: Option<&str>,
        place: &Place,
        problems: &mut Problems,
    ) -> Option<()> {
        if self.options.allow_env.iter().any(|it| it.name == name && it.host.as_deref() == host) {
            return Some(());
        }
        let elsewhere = self.options.allow_env.iter().any(|it| it.name == name);
        let here = if elsewhere { " here" } else { "" };
        let message = format!("the environment variable `{name}` is not allowed{here}");
        let help = match host {
            None => format!("if this spec may have it, add: --allow-env {name}"),
            Some(host) if Glob::is_pattern(host) => format!(
                "name one registry instead of a pattern; if every host that matches may have it, add: --allow-env '{name}@{host}'"
            ),
            Some(host) => format!("if {host} may have it, add: --allow-env {name}@{host}"),
        };
        let problem = Problem::error(Code::EnvNotAllowed, place, message);
        problems.refuse(problem.label("names an environment variable").help(help))
    }

    fn set_variable(
        &self,
        name: &str,
        place: &Place,
        problems: &mut Problems,
    ) -> Option<Secret<String>> {
        let value = self.environment.variable(name).filter(|value| !value.expose().is_empty());
        value.or_else(|| {
            let message = format!("the environment variable `{name}` is not set, or empty");
            problems.refuse(Problem::error(Code::EnvUnset, place, message).label("has no value"))
        })
    }

    /// The path that `text` means: relative to the file that names it, links resolved where the spec is
    /// not to be trusted, and then inside its folder.
    pub(super) fn path(&self, text: &Text, problems: &mut Problems) -> Option<PathBuf> {
        self.path_of(text.value(), text, problems)
    }

    /// The same for `path`, which is a part of `text`.
    pub(super) fn path_of(
        &self,
        path: &str,
        text: &Text,
        problems: &mut Problems,
    ) -> Option<PathBuf> {
        if path.is_empty() {
            let problem = Problem::error(Code::Empty, &text.place, "a path is empty");
            return problems.refuse(problem.label("names no file"));
        }
        let joined = clean(&text.place.file.folder.join(path));
        self.inside(joined, &text.place, &text.place.file, problems)
    }

    /// Resolves `path` and checks that it is inside the folder of the spec, where that is asked.
    pub(super) fn inside(
        &self,
        path: PathBuf,
        place: &Place,
        named_by: &SourceFile,
        problems: &mut Problems,
    ) -> Option<PathBuf> {
        if !self.is_untrusted() {
            return Some(path);
        }
        match self.resolved(&path) {
            Ok(real) if real.starts_with(&named_by.root) => Some(real),
            Ok(_) => {
                let message = "a path outside the spec's folder is refused with `--untrusted-spec`";
                let problem = Problem::error(Code::Untrusted, place, message);
                problems.refuse(problem.label("leads out of the folder"))
            }
            Err(error) => problems.refuse(unreadable(place, error.kind())),
        }
    }

    /// `path` without links; of a file that is not there, its folder without links and its name.
    fn resolved(&self, path: &Path) -> io::Result<PathBuf> {
        let error = match self.files.canonical(path) {
            Ok(real) => return Ok(real),
            Err(error) => error,
        };
        match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) if error.kind() == ErrorKind::NotFound => {
                let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
                Ok(self.files.canonical(folder)?.join(name))
            }
            _ => Err(error),
        }
    }

    /// Checks that the file is there, without reading it.
    pub(super) fn existing(&self, text: &Text, problems: &mut Problems) -> Option<PathBuf> {
        let path = self.path(text, problems)?;
        match self.files.canonical(&path) {
            Ok(_) => Some(path),
            Err(error) => problems.refuse(unreadable(&text.place, error.kind())),
        }
    }

    /// The content of a file, at most `limit` bytes.
    pub(super) fn read(&self, text: &Text, limit: u64, problems: &mut Problems) -> Option<Vec<u8>> {
        let path = self.path(text, problems)?;
        match self.files.read(&path, limit) {
            Ok(content) => Some(content),
            Err(error) => problems.refuse(unreadable(&text.place, error.kind())),
        }
    }

    /// The content of a file as text. What is no UTF-8 becomes text that no parser takes.
    pub(super) fn read_text(
        &self,
        text: &Text,
        limit: u64,
        problems: &mut Problems,
    ) -> Option<String> {
        let content = self.read(text, limit, problems)?;
        Some(String::from_utf8_lossy(&content).into_owned())
    }
}

/// A file that cannot be read, with the reason.
pub(super) fn unreadable(place: &Place, kind: ErrorKind) -> Problem {
    let problem = Problem::error(
        Code::Unreadable,
        place,
        format!("the file cannot be read: {}", reason(kind)),
    );
    let problem = problem.label(reason(kind));
    match kind {
        ErrorKind::NotFound => problem.help("paths are relative to the file that names them"),
        _ => problem,
    }
}

/// Why a file cannot be read. The words of the machine are not used: they differ between machines.
pub(super) fn reason(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::FileTooLarge => "it is too large",
        ErrorKind::IsADirectory => "it is a folder",
        ErrorKind::NotFound => "there is no such file",
        ErrorKind::PermissionDenied => "no permission",
        _ => "it is not a file that can be read",
    }
}

/// The path without `.` in it; `..` stays, since a link may stand before it.
pub(super) fn clean(path: &Path) -> PathBuf {
    let parts = path.components().filter(|part| !matches!(part, Component::CurDir));
    let cleaned: PathBuf = parts.collect();
    if cleaned.as_os_str().is_empty() { PathBuf::from(".") } else { cleaned }
}
