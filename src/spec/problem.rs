//! What is wrong with a spec, at its place, with a help text; all of it in one error. Pure.

use std::fmt;
use std::sync::Arc;

use miette::{
    Diagnostic, LabeledSpan, MietteError, Severity, SourceCode, SourceSpan, SpanContents,
};
use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use crate::spec::code::Code;
use crate::spec::place::{Place, Quoting, SourceFile};

/// One thing that is wrong with a spec, or only worth a warning.
///
/// It renders through `miette` with the line underlined. As JSON it is an object with `code`,
/// `severity`, `message`, `label`, `help`, `file`, `line` and `column` (from 1).
#[derive(Clone, Debug)]
pub struct Problem {
    code: Code,
    severity: Severity,
    message: String,
    label: Option<String>,
    help: Option<String>,
    place: Option<Place>,
    other: Option<(Place, &'static str)>,
}

impl Problem {
    /// Something that makes the spec unusable.
    pub(super) fn error(code: Code, place: &Place, message: impl Into<String>) -> Self {
        let place = Some(place.clone());
        Self { place, ..Self::without_place(code, message) }
    }

    /// Something that is probably not meant.
    pub(super) fn warning(code: Code, place: &Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, place, message) }
    }

    /// An error that stands in no file of the spec.
    pub(super) fn without_place(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        let severity = Severity::Error;
        Self { code, severity, message, label: None, help: None, place: None, other: None }
    }

    /// A warning that stands in no file of the spec.
    pub(super) fn warning_without_place(code: Code, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::without_place(code, message) }
    }

    /// Writes `label` under the place.
    pub(super) fn label(self, label: impl Into<String>) -> Self {
        Self { label: Some(label.into()), ..self }
    }

    /// Says how to mend it.
    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// Points at a second place as well: what the first collides with.
    pub(super) fn and(self, place: &Place, label: &'static str) -> Self {
        Self { other: Some((place.clone(), label)), ..self }
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Says whether this only warns.
    pub fn is_warning(&self) -> bool {
        self.severity == Severity::Warning
    }

    /// What is wrong, in one sentence without a full stop.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// How to mend it.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The file, as it was named.
    pub fn file(&self) -> Option<&str> {
        self.place.as_ref().map(|place| &*place.file.name)
    }

    /// Line and column in that file, both from 1; the column counts characters.
    pub fn position(&self) -> Option<(u32, u32)> {
        self.place.as_ref().map(Place::position)
    }

    /// The place whose file may be shown.
    fn quoted(&self) -> Option<&Place> {
        self.place.as_ref().filter(|place| place.file.quoting() == Quoting::Quoted)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let (None, Some(place)) = (self.quoted(), &self.place) {
            let (line, column) = place.position();
            write!(f, " ({}, line {line}, column {column})", place.file.name)?;
        }
        if let (Some((other, label)), Some(place)) = (&self.other, &self.place)
            && !Arc::ptr_eq(&other.file, &place.file)
        {
            write!(f, " ({label}: {})", other.origin())?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.quoted().map(|place| &*place.file as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.quoted()?;
        let main = LabeledSpan::new_primary_with_span(
            Some(self.label.clone().unwrap_or_else(|| "here".to_owned())),
            place.range(),
        );
        let other = self.other.iter().filter(|(it, _)| Arc::ptr_eq(&it.file, &place.file));
        let other = other
            .map(|(it, label)| LabeledSpan::new_with_span(Some((*label).to_owned()), it.range()));
        Some(Box::new(std::iter::once(main).chain(other)))
    }
}

impl SourceCode for SourceFile {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let found = self.text.read_span(span, before, after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.name.to_string(),
            found.data(),
            *found.span(),
            found.line(),
            found.column(),
            found.line_count(),
        )))
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (line, column) = self.position().unzip();
        let mut object = serializer.serialize_struct("Problem", 8)?;
        object.serialize_field("code", self.code.as_str())?;
        object.serialize_field("severity", if self.is_warning() { "warning" } else { "error" })?;
        object.serialize_field("message", &self.to_string())?;
        object.serialize_field("label", &self.label)?;
        object.serialize_field("help", &self.help)?;
        object.serialize_field("file", &self.file())?;
        object.serialize_field("line", &line)?;
        object.serialize_field("column", &column)?;
        object.end()
    }
}

/// Everything that is wrong with a spec, in the order of its files and lines.
///
/// As an error it renders each problem with its own snippet. It may hold warnings beside errors.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one more.
    pub(super) fn add(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Adds what is wrong and forgets the value that could not be made.
    pub(super) fn refuse<T>(&mut self, problem: Problem) -> Option<T> {
        self.0.push(problem);
        None
    }

    /// Puts them into the order of the files: those that stand in none come first.
    pub(super) fn sort(&mut self) {
        self.0.sort_by_key(|problem| problem.place.as_ref().map(Place::order));
    }

    /// Says whether there is an error among them.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|problem| !problem.is_warning())
    }

    /// How many there are, warnings included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Says whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.iter().filter(|problem| !problem.is_warning()).count();
        let plural = if errors == 1 { "" } else { "s" };
        write!(f, "the spec has {errors} error{plural}")
    }
}

impl std::error::Error for Problems {}

impl Diagnostic for Problems {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(self.iter().map(|problem| problem as &dyn Diagnostic)))
    }
}
