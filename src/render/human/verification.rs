//! The page of a verification: what a verifier would miss.

use std::io::{self, Write};

use crate::plan::{Action, Change, Finding, TargetVerification, Verification};
use crate::render::Style;
use crate::render::human::lines::{self, Line};
use crate::render::human::sections::{self, Section, Tally, count};
use crate::render::style::{Pen, bold, plain};

/// Writes what a verifier would miss; images that are as declared are counted.
///
/// # Errors
///
/// Those of `out`.
pub fn verification(
    verification: &Verification<'_>,
    style: &Style,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut pen = Pen::new(style, out);
    let images: Vec<Section<'_>> = verification.targets.iter().map(section).collect();
    sections::write(&mut pen, &images)?;
    sections::write_unresolved(&mut pen, verification.unresolved())?;
    sections::write_warnings(&mut pen, &verification.plan.warnings)?;
    let totals = verification.totals();
    let mut counts = format!(
        "{} as declared, {} not as declared, {} not known",
        count(totals.good, "image"),
        totals.faulty,
        totals.unknown
    );
    if totals.due > 0 {
        counts = format!("{counts}; {} due", count(totals.due, "renewal"));
    }
    pen.line(0, &[bold("Verify: "), plain(counts)])?;
    let next = match (totals.unknown, totals.faulty, totals.due) {
        (0, 0, 0) => return Ok(()),
        (0, 0, _) => "Next: run `countersign apply` before what is due has ended.",
        (0, _, _) => "Next: run `countersign plan` to see what would mend it.",
        _ => "Next: mend what could not be read, and run again.",
    };
    pen.line(0, &[plain(next)])
}

fn section<'a>(verification: &TargetVerification<'a>) -> Section<'a> {
    let target = &*verification.plan.target;
    let kept = |change: &&Change| change.action() == Action::Keep;
    let line = |(change, finding): (&Change, Finding)| Line {
        what: what(change, finding)
            .unwrap_or_else(|| lines::of_change(change, &target.subject.repository).what),
        ..lines::of_change(change, &target.subject.repository)
    };
    let unremarkable =
        |change: &Change| matches!(change.action(), Action::Clean | Action::Foreign | Action::Keep);
    let all_unremarkable = verification.plan.changes.iter().all(unremarkable);
    Section {
        target,
        lines: verification.changes().map(line).collect(),
        quiet: all_unremarkable && verification.worst() == Finding::Good,
        tally: Tally {
            kept: verification.plan.changes.iter().filter(kept).count(),
            ..Tally::default()
        },
    }
}

/// The words of a verifier, where a plan has others.
fn what(change: &Change, finding: Finding) -> Option<String> {
    let text = match (change, finding) {
        (Change::Attach { .. } | Change::Resign { .. }, Finding::Due) => {
            "good, and to be renewed".to_owned()
        }
        (Change::Attach { to: None, .. } | Change::Sign { .. }, _) => "missing".to_owned(),
        (Change::Attach { to: Some(_), .. }, _) => {
            "the declared certificate is missing, and what is there no longer serves".to_owned()
        }
        (Change::Clean { standing, .. }, _) => {
            format!("there, and not wanted: {}", standing.word())
        }
        (Change::Resign { .. }, _) => "not as declared".to_owned(),
        _ => return None,
    };
    Some(text)
}
