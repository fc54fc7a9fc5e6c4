//! One change as a line: mark, signer, format, what; and what stands below it.

use std::borrow::Cow;
use std::io;

use crate::model::{Annotations, Repository};
use crate::plan::{
    Action, Change, Difference, Failure, Found, Standing, Verdict, Want, WantOrigin,
};
use crate::render::style::{Paint, Pen, dim, plain};

/// A line of a page, with what stands below it.
#[derive(Debug)]
pub(super) struct Line {
    /// In front.
    pub(super) mark: char,
    /// Whose signature it is, or which tag.
    pub(super) who: String,
    /// In which format; empty where it is about no signature.
    pub(super) format: &'static str,
    /// What is done, or why not.
    pub(super) what: String,
    /// Below it.
    pub(super) notes: Vec<Note>,
}

/// What stands below a line.
#[derive(Debug)]
pub(super) enum Note {
    /// A field: before and after.
    Field(Difference),
    /// How to mend it.
    Help(String),
    /// A sentence.
    Text(String),
}

/// A change in the words of a plan.
pub(super) fn of_change(change: &Change, repository: &Repository) -> Line {
    let line = |who: String, what: String| Line {
        mark: change.action().mark(),
        who,
        format: format(change),
        what,
        notes: Vec::new(),
    };
    let whose = || change.signer().map_or_else(|| "(unknown)".to_owned(), ToString::to_string);
    let payload = || change.payload().map(|it| format!(", payload {}", it.short()));
    match change {
        Change::Attach { want, to: None } => {
            let path = match &want.origin {
                WantOrigin::Attach(it) => format!(" of {}", it.path.display()),
                WantOrigin::Owed | WantOrigin::Sign => String::new(),
            };
            line(whose(), format!("attach the signature{path}{}", says(want, repository)))
        }
        Change::Attach { to: Some(found), .. } => {
            let before = found.certificate.as_ref().map_or_else(
                || "no certificate".to_owned(),
                |it| format!("{} until {}", it.names().join(", "), it.not_after()),
            );
            let what = format!("attach the declared certificate, in place of: {before}");
            line(whose(), what)
        }
        Change::Blocked { want, reason } => {
            let who = want.as_ref().map_or_else(|| "(the image)".to_owned(), |_| whose());
            let mut line = line(who, reason.code.clone());
            line.notes = of_failure(reason);
            line
        }
        Change::Clean { standing, .. } => {
            line(whose(), format!("remove: {}{}", standing.word(), payload().unwrap_or_default()))
        }
        Change::Foreign { standing: Standing::Unexamined, .. } => {
            line("(not looked at)".to_owned(), format!("kept{}", payload().unwrap_or_default()))
        }
        Change::Foreign { standing, found } => {
            let what = format!("kept: {}{}", standing.word(), payload().unwrap_or_default());
            Line { notes: of_stranger(found), ..line(whose(), what) }
        }
        Change::Keep { .. } => line(whose(), "as declared".to_owned()),
        Change::Moved(moved) => {
            let now = moved.actual.as_ref().map_or_else(
                || "is gone".to_owned(),
                |digest| format!("names {} now", digest.short()),
            );
            line(moved.tag.to_string(), format!("{now}; the declared digest is what is signed"))
        }
        Change::Repair { faults } => {
            let mut line = line(
                "(the list of referrers)".to_owned(),
                "mend what other tools wrote".to_owned(),
            );
            line.notes = faults.iter().map(|it| Note::Text(it.to_string())).collect();
            line
        }
        Change::Resign { want, differences, .. } => {
            let mut line = line(whose(), format!("sign again{}", says(want, repository)));
            line.notes = differences.iter().cloned().map(Note::Field).collect();
            line
        }
        Change::Sign { want } => line(whose(), format!("sign{}", says(want, repository))),
    }
}

/// A failure as notes: what happened, how to mend it.
pub(super) fn of_failure(reason: &Failure) -> Vec<Note> {
    let mut notes = vec![Note::Text(reason.message.clone())];
    notes.extend(reason.help.clone().map(Note::Help));
    notes
}

/// What does not hold of a signature that would be a signer's if it did.
fn of_stranger(found: &Found) -> Vec<Note> {
    let faults = found.problems.iter().filter(|_| found.verdict == Verdict::Stranger);
    let faults = faults.filter(|it| it.code.starts_with("trust::"));
    faults.map(|it| Note::Text(it.to_string())).collect()
}

fn format(change: &Change) -> &'static str {
    let format = change.want().map(|it| it.format).or_else(|| change.found().map(|it| it.format));
    format.map_or("", |it| it.name())
}

/// What a payload says besides the digest, where that is not what everybody expects.
fn says(want: &Want, repository: &Repository) -> String {
    let mut text = String::new();
    if !want.identity.is_empty() && *want.identity != *repository.to_string() {
        text = format!(" as {}", want.identity);
    }
    if !want.annotations.is_empty() {
        text = format!("{text} with {}", pairs(&want.annotations));
    }
    text
}

/// Annotations in one line.
pub(super) fn pairs(annotations: &Annotations) -> String {
    let pairs: Vec<String> =
        annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(", ")
}

fn paint(mark: char) -> Paint {
    match mark {
        '+' => Paint::Green,
        '~' => Paint::Yellow,
        '-' | 'x' => Paint::Red,
        '!' => Paint::Magenta,
        '?' => Paint::Blue,
        _ => Paint::Dim,
    }
}

/// Writes `lines` with their columns under each other.
pub(super) fn write(pen: &mut Pen<'_>, indent: usize, lines: &[Line]) -> io::Result<()> {
    let width = |text: &str| text.chars().count();
    let tabled = || lines.iter().filter(|line| !line.format.is_empty());
    let who = tabled().map(|line| width(&line.who)).max().unwrap_or(0);
    let format = tabled().map(|line| width(line.format)).max().unwrap_or(0);
    for line in lines {
        let mark = (paint(line.mark), Cow::from(format!("{} ", line.mark)));
        let columns = if line.format.is_empty() {
            format!("{}  ", line.who)
        } else {
            format!("{:who$}  {:format$}  ", line.who, line.format)
        };
        pen.line(indent, &[mark, plain(columns), plain(line.what.as_str())])?;
        write_notes(pen, indent + 4, &line.notes)?;
    }
    Ok(())
}

/// Writes what stands below a line.
pub(super) fn write_notes(pen: &mut Pen<'_>, indent: usize, notes: &[Note]) -> io::Result<()> {
    let fields = notes.iter().filter_map(|note| match note {
        Note::Field(difference) => Some(difference.field.name().len()),
        Note::Help(_) | Note::Text(_) => None,
    });
    let name = fields.max().unwrap_or(0);
    for note in notes {
        match note {
            Note::Field(Difference { field, before, after }) => {
                let spans = [
                    dim(format!("{:name$}  ", field.name())),
                    (Paint::Red, before.into()),
                    plain(" → "),
                    (Paint::Green, after.into()),
                ];
                pen.line(indent, &spans)?;
            }
            Note::Help(help) => pen.prose(indent, dim("help: "), help)?,
            Note::Text(text) => pen.prose(indent, plain(""), text)?,
        }
    }
    Ok(())
}

/// Says whether a change is worth a line though nothing is asked of the reader.
pub(super) fn is_quiet(change: &Change) -> bool {
    match change {
        Change::Foreign { standing, .. } => *standing == Standing::Unexamined,
        _ => change.action() == Action::Keep,
    }
}
