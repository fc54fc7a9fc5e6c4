//! The images of a page, by repository: those that ask for attention in full, the others as a count.

use std::collections::HashMap;
use std::io;

use crate::model::Repository;
use crate::plan::{Target, Unresolved, Warning};
use crate::render::human::lines::{self, Line};
use crate::render::style::{Detail, Paint, Pen, bold, dim, plain};
use crate::render::{elsewhere, places};

/// So many names or places stand in a line.
const MOST: usize = 3;

/// One image of a page.
#[derive(Debug)]
pub(super) struct Section<'a> {
    pub(super) target: &'a Target,
    pub(super) lines: Vec<Line>,
    /// Nothing in it asks for attention.
    pub(super) quiet: bool,
    pub(super) tally: Tally,
}

/// What is counted of images that are not shown in full.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) kept: usize,
    pub(super) written: usize,
    pub(super) removed: usize,
    pub(super) unexamined: usize,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.kept += other.kept;
        self.written += other.written;
        self.removed += other.removed;
        self.unexamined += other.unexamined;
    }
}

/// Writes the images, by repository in the order in which these first come.
pub(super) fn write(pen: &mut Pen<'_>, sections: &[Section<'_>]) -> io::Result<()> {
    let mut groups: Vec<(&Target, Vec<&Section<'_>>)> = Vec::new();
    let mut places: HashMap<(&Repository, &Repository), usize> = HashMap::new();
    for section in sections {
        let target = section.target;
        let place = (&target.subject.repository, &target.signatures);
        let index = *places.entry(place).or_insert(groups.len());
        match groups.get_mut(index) {
            Some((_, group)) => group.push(section),
            None => groups.push((target, vec![section])),
        }
    }
    for (target, group) in groups {
        let beside = elsewhere(target);
        let beside = beside.map(|it| format!("  (signatures in {it})")).unwrap_or_default();
        pen.line(0, &[bold(target.subject.repository.to_string()), dim(beside)])?;
        let everything = pen.detail() == Detail::Everything;
        for section in group.iter().filter(|it| everything || !it.quiet) {
            write_section(pen, section)?;
        }
        if !everything {
            write_rest(pen, &group)?;
        }
        pen.blank()?;
    }
    Ok(())
}

fn write_section(pen: &mut Pen<'_>, section: &Section<'_>) -> io::Result<()> {
    let target = section.target;
    let digest = match pen.detail() {
        Detail::Changes => target.subject.digest.short(),
        Detail::Everything => target.subject.digest.to_string(),
    };
    let names = short_names(target);
    let mut spans = vec![];
    if !names.is_empty() {
        spans.push(bold(some(&names)));
        spans.push(plain("  "));
    }
    spans.push(plain(digest));
    spans.push(dim(format!("  {}", some(&places(target)))));
    pen.line(2, &spans)?;
    if section.lines.is_empty() {
        pen.line(4, &[dim("optional, and not there yet")])?;
    }
    lines::write(pen, 4, &section.lines)
}

/// One line for the images that need none of their own.
fn write_rest(pen: &mut Pen<'_>, group: &[&Section<'_>]) -> io::Result<()> {
    let (mut images, mut absent, mut tally) = (0, 0, Tally::default());
    for section in group.iter().filter(|it| it.quiet) {
        if section.lines.is_empty() {
            absent += 1;
        } else {
            images += 1;
            tally.add(section.tally);
        }
    }
    if images > 0 {
        let counts = [
            (tally.kept, "kept"),
            (tally.written, "written"),
            (tally.removed, "removed"),
            (tally.unexamined, "not looked at"),
        ];
        let counts: Vec<String> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        let text = format!("{} as declared: {}", count(images, "image"), counts.join(", "));
        pen.line(2, &[dim("= "), plain(text)])?;
    }
    if absent > 0 {
        pen.line(2, &[dim(format!("{} not there yet", count(absent, "optional image")))])?;
    }
    Ok(())
}

/// Names without the repository that stands above them, and without the digest that stands beside them.
fn short_names(target: &Target) -> Vec<String> {
    let repository = target.subject.repository.to_string();
    let mut names = Vec::new();
    for name in &target.names {
        let short = match name.text.strip_prefix(repository.as_str()) {
            Some(rest) if rest.starts_with(':') => rest.trim_start_matches(':').to_owned(),
            Some(rest) if rest.starts_with('@') => match rest.split_once(' ') {
                Some((_, platform)) => platform.to_owned(),
                None => continue,
            },
            _ => name.text.to_string(),
        };
        if !names.contains(&short) {
            names.push(short);
        }
    }
    names
}

/// The first few, and how many more.
fn some(texts: &[String]) -> String {
    let shown: Vec<&str> = texts.iter().take(MOST).map(String::as_str).collect();
    let shown = shown.join(", ");
    match texts.len().saturating_sub(MOST) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// `1 image`, `2 images`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Writes the entries that could not be resolved.
pub(super) fn write_unresolved(pen: &mut Pen<'_>, unresolved: &[Unresolved]) -> io::Result<()> {
    if unresolved.is_empty() {
        return Ok(());
    }
    pen.line(0, &[bold("Not resolved")])?;
    for Unresolved { name, reason } in unresolved {
        let spans = [
            (Paint::Red, "x ".into()),
            bold(&*name.text),
            plain(format!("  {}", reason.code)),
            dim(format!("  {}", name.origin)),
        ];
        pen.line(2, &spans)?;
        lines::write_notes(pen, 6, &lines::of_failure(reason))?;
    }
    pen.blank()
}

/// Writes what a person should know.
pub(super) fn write_warnings(pen: &mut Pen<'_>, warnings: &[Warning]) -> io::Result<()> {
    if warnings.is_empty() {
        return Ok(());
    }
    pen.line(0, &[bold("Warnings")])?;
    for Warning { code, message } in warnings {
        let text = format!("{message} ({code})");
        pen.prose(2, (Paint::Yellow, "! ".into()), &text)?;
    }
    pen.blank()
}
