//! Where something stands: a file that was read, and a range of its bytes. Pure.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::plan::Origin;

/// Whether the lines of a file may stand in an error.
///
/// A spec that somebody else wrote can include any file that the run can read; what is no spec may hold
/// secrets, so nothing of it is shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Quoting {
    /// The file says that it is a spec.
    Quoted,
    /// Not known to be a spec: only the place is told.
    Withheld,
}

/// A file of a spec.
pub(super) struct SourceFile {
    /// As it was named.
    pub(super) name: Arc<str>,
    /// Its place among the files, in the order in which they were read.
    pub(super) order: u32,
    /// The content.
    pub(super) text: String,
    /// The folder that relative paths begin at.
    pub(super) folder: PathBuf,
    /// The resolved folder of the spec that (through includes) led here: see `--untrusted-spec`.
    pub(super) root: PathBuf,
    line_starts: Vec<u32>,
    quoting: OnceLock<Quoting>,
}

impl SourceFile {
    /// Takes the content of the file called `name`.
    pub(super) fn new(name: Arc<str>, order: u32, text: String, folders: Folders) -> Self {
        let starts = text.bytes().zip(1_u32..).filter(|(byte, _)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(starts.map(|(_, next)| next)).collect();
        let Folders { folder, root } = folders;
        Self { name, order, text, folder, root, line_starts, quoting: OnceLock::new() }
    }

    /// Whether its lines may be shown; not, until it is known.
    pub(super) fn quoting(&self) -> Quoting {
        self.quoting.get().copied().unwrap_or(Quoting::Withheld)
    }

    /// Tells whether its lines may be shown. Only the first time counts.
    pub(super) fn set_quoting(&self, quoting: Quoting) {
        self.quoting.get_or_init(|| quoting);
    }

    /// Line and column of a byte, both from 1; the column counts characters.
    pub(super) fn position(&self, offset: u32) -> (u32, u32) {
        let line = self.line_starts.partition_point(|start| *start <= offset).max(1);
        let start = self.line_starts.get(line - 1).copied().unwrap_or_default();
        let before = self.text.get(start as usize..offset as usize).unwrap_or_default();
        let column = before.chars().count() + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }
}

/// Where a file is.
#[derive(Clone, Debug)]
pub(super) struct Folders {
    /// The folder that relative paths begin at.
    pub(super) folder: PathBuf,
    /// The resolved folder of the spec that led to the file.
    pub(super) root: PathBuf,
}

impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceFile({})", self.name)
    }
}

/// A range of a file.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The file.
    pub(super) file: Arc<SourceFile>,
    start: u32,
    end: u32,
}

impl Place {
    /// The bytes `range` of `file`.
    pub(super) fn new(file: &Arc<SourceFile>, range: &Range<usize>) -> Self {
        let short = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { file: Arc::clone(file), start: short(range.start), end: short(range.end) }
    }

    /// The bytes.
    pub(super) fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The text as it stands in the file.
    pub(super) fn written(&self) -> &str {
        self.file.text.get(self.range()).unwrap_or_default()
    }

    /// The part of this place where `text` stands; the whole where it stands nowhere.
    pub(super) fn part(&self, text: &str) -> Self {
        let Some(found) = self.written().find(text) else { return self.clone() };
        let start = self.range().start + found;
        Self::new(&self.file, &(start..start + text.len()))
    }

    /// Line and column of its beginning, both from 1.
    pub(super) fn position(&self) -> (u32, u32) {
        self.file.position(self.start)
    }

    /// For reports: file and line.
    pub(super) fn origin(&self) -> Origin {
        Origin { file: Arc::clone(&self.file.name), line: self.position().0 }
    }

    /// What problems are sorted by.
    pub(super) fn order(&self) -> (u32, u32) {
        (self.file.order, self.start)
    }
}
