//! The page of a report: what came of a plan.

use std::io::{self, Write};

use crate::plan::{Action, Change, FailureClass, Standing};
use crate::render::Style;
use crate::render::human::lines::{self, Line};
use crate::render::human::sections::{self, Section, Tally, count};
use crate::render::style::{Pen, bold, plain};
use crate::report::{Done, Outcome, Report, RunVerdict, TargetReport};

/// Writes what came of a plan: failures in full, the rest as counts.
///
/// # Errors
///
/// Those of `out`.
pub fn report(report: &Report, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mut pen = Pen::new(style, out);
    let images: Vec<Section<'_>> = report.targets.iter().map(section).collect();
    sections::write(&mut pen, &images)?;
    sections::write_unresolved(&mut pen, &report.unresolved)?;
    sections::write_warnings(&mut pen, &report.warnings)?;
    let totals = report.totals();
    let counts = format!(
        "{} written, {} removed, {} kept; {} as declared, {} failed",
        totals.written,
        totals.removed,
        totals.kept,
        count(totals.converged, "image"),
        totals.failed
    );
    pen.line(0, &[bold("Apply: "), plain(counts)])?;
    let next = match report.verdict() {
        RunVerdict::Good => return Ok(()),
        RunVerdict::Only(FailureClass::Interrupted) => {
            "Next: run again; what was under way was finished, the rest was not begun."
        }
        RunVerdict::Only(FailureClass::Permission) => {
            "Next: mend the credentials or permissions, and run again; what is done is kept."
        }
        RunVerdict::Only(FailureClass::Stale) => {
            "Next: make a new plan, review it, and apply that; what is done is kept."
        }
        RunVerdict::Only(FailureClass::Temporary) => "Next: run again; what is done is kept.",
        RunVerdict::Only(FailureClass::Error) | RunVerdict::Mixed => {
            "Next: mend what failed, and run again; what is done is kept."
        }
    };
    pen.line(0, &[plain(next)])
}

fn section(report: &TargetReport) -> Section<'_> {
    let target = &*report.target;
    let mut tally = Tally::default();
    for Outcome { change, result } in &report.outcomes {
        match (result, change) {
            (Ok(Done::Written), _) => tally.written += 1,
            (Ok(Done::Removed | Done::Unlisted), _) => tally.removed += 1,
            (Ok(_), Change::Foreign { standing: Standing::Unexamined, .. }) => {
                tally.unexamined += 1;
            }
            (Ok(Done::AlreadyDone), _) => tally.kept += 1,
            (Ok(Done::Nothing), _) => {
                tally.kept += usize::from(change.action() == Action::Keep);
            }
            (Err(_), _) => {}
        }
    }
    let line = |outcome: &Outcome| of_outcome(outcome, target);
    let told = |it: &Outcome| {
        let is_told = !matches!(it.change.action(), Action::Foreign | Action::Moved);
        let is_done = it.result.as_ref().is_ok_and(|done| *done != Done::Unlisted);
        is_done && is_told || lines::is_quiet(&it.change)
    };
    Section {
        target,
        lines: report.outcomes.iter().map(line).collect(),
        quiet: report.outcomes.iter().all(told),
        tally,
    }
}

fn of_outcome(outcome: &Outcome, target: &crate::plan::Target) -> Line {
    let planned = lines::of_change(&outcome.change, &target.subject.repository);
    let writes = outcome.change.action().writes();
    match &outcome.result {
        Ok(done) if writes => Line { what: done.word().to_owned(), notes: Vec::new(), ..planned },
        Ok(_) => planned,
        Err(reason) => {
            let what = if writes {
                format!("{} failed: {}", outcome.change.action().word(), reason.code)
            } else {
                reason.code.clone()
            };
            Line { mark: 'x', what, notes: lines::of_failure(reason), ..planned }
        }
    }
}
