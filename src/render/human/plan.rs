//! The page of a plan.

use std::io::{self, Write};

use crate::plan::{Action, Change, Plan, Publishes, Standing, TargetPlan};
use crate::render::human::lines;
use crate::render::human::sections::{self, Section, Tally};
use crate::render::style::{Pen, bold, dim, plain};
use crate::render::{Style, human};

/// Writes a plan for review, and what to run next.
///
/// # Errors
///
/// Those of `out`.
pub fn plan(plan: &Plan, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    human::changes(plan, style, out)?;
    let mut pen = Pen::new(style, out);
    let summary = plan.summary();
    let next = if summary.is_pending() {
        let expect = format!("countersign apply --expect {}", plan.fingerprint());
        pen.line(
            0,
            &[plain("Next: "), bold("countersign apply"), plain(", or exactly this plan:")],
        )?;
        pen.line(2, &[bold(expect)])?;
        (summary.blocked > 0).then_some("What is blocked stays as it is until it is mended.")
    } else if summary.blocked > 0 {
        Some("Next: mend what is blocked, then plan again.")
    } else {
        Some("Nothing to do: every image is as declared.")
    };
    match next {
        Some(next) => pen.line(0, &[plain(next)]),
        None => Ok(()),
    }
}

/// Writes a plan for review, without what to run next: what `apply` shows before it asks.
///
/// # Errors
///
/// Those of `out`.
pub fn changes(plan: &Plan, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let mut pen = Pen::new(style, out);
    let images: Vec<Section<'_>> = plan.targets.iter().map(section).collect();
    sections::write(&mut pen, &images)?;
    sections::write_unresolved(&mut pen, &plan.unresolved)?;
    sections::write_warnings(&mut pen, &plan.warnings)?;
    write_signers(&mut pen, plan)?;
    let summary = plan.summary();
    let moved =
        if summary.moved > 0 { format!(", {} moved", summary.moved) } else { String::new() };
    let counts = format!(
        "{} to sign, {} to resign, {} to attach, {} to clean, {} kept, {} foreign, {} blocked{moved}",
        summary.sign,
        summary.resign,
        summary.attach,
        summary.clean,
        summary.keep,
        summary.foreign,
        summary.blocked,
    );
    pen.line(0, &[bold("Plan: "), plain(counts)])?;
    write_publishes(&mut pen, &plan.publishes())?;
    pen.line(0, &[bold("Fingerprint: "), plain(plan.fingerprint().to_string())])
}

/// What becomes public, and what that tells.
fn write_publishes(pen: &mut Pen<'_>, publishes: &Publishes) -> io::Result<()> {
    let Publishes { log_entries, certificates, timestamps, discloses } = publishes;
    let mut parts = Vec::new();
    match (log_entries, certificates) {
        (0, 0) => parts.push("nothing (no log entry, no certificate)".to_owned()),
        (entries, 0) => parts.push(format!("{}, for good", counted(*entries, ENTRY))),
        (entries, certificates) => {
            let entries = counted(*entries, ENTRY);
            let certificates = counted(*certificates, ["certificate", "certificates"]);
            parts.push(format!("{entries} and at least {certificates}, for good"));
        }
    }
    if *timestamps > 0 {
        parts.push(format!("asks for {}", counted(*timestamps, ["timestamp", "timestamps"])));
    }
    pen.line(0, &[bold("Publishes: "), plain(parts.join("; "))])?;
    for disclosed in discloses {
        pen.line(2, &[dim("- "), plain(disclosed.as_str())])?;
    }
    Ok(())
}

const ENTRY: [&str; 2] = ["log entry", "log entries"];

/// A number with its noun: `1 log entry`, `2 log entries`.
fn counted(number: usize, [one, more]: [&str; 2]) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

/// Who the signers are: what a reviewer approves besides the changes.
fn write_signers(pen: &mut Pen<'_>, plan: &Plan) -> io::Result<()> {
    let writing = |change: &&Change| change.action().writes() && change.want().is_some();
    let all = plan.targets.iter().flat_map(|it| &it.changes);
    let names: std::collections::BTreeSet<_> =
        all.filter(writing).filter_map(Change::signer).collect();
    let known = names.into_iter().filter_map(|name| Some((name, plan.signers.get(name)?)));
    for (name, fingerprints) in known {
        let mut text = String::new();
        if let Some(key) = &fingerprints.key {
            text = format!("key {key}");
        }
        if let Some(identity) = &fingerprints.identity {
            text = format!("identity {identity}");
        }
        if let Some(certificate) = &fingerprints.certificate {
            text = format!("{text}, certificate {}", certificate.short());
        }
        pen.line(0, &[bold("Signer "), plain(name.as_str()), bold(": "), dim(text)])?;
    }
    Ok(())
}

fn section(plan: &TargetPlan) -> Section<'_> {
    let target = &*plan.target;
    let repository = &target.subject.repository;
    let mut tally = Tally::default();
    for change in &plan.changes {
        match change {
            Change::Foreign { standing: Standing::Unexamined, .. } => tally.unexamined += 1,
            _ => tally.kept += usize::from(change.action() == Action::Keep),
        }
    }
    Section {
        target,
        lines: plan.changes.iter().map(|it| lines::of_change(it, repository)).collect(),
        quiet: plan.changes.iter().all(lines::is_quiet),
        tally,
    }
}
