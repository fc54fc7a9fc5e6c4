//! JSON for programs: one document, pretty, with a newline at its end.

use std::io::{self, Write};

use serde::Serialize;

use crate::plan::{Explanation, Plan, Verification};
use crate::render::escape::escape_json;
use crate::render::explanation_file::ExplanationFile;
use crate::render::report_file::{ReportFile, Run};
use crate::render::verification_file::VerificationFile;
use crate::report::Report;

/// Writes a plan: what `plan --format json` shows and `plan --out` saves. See `schemas/plan.schema.json`.
///
/// # Errors
///
/// Those of `out`.
pub fn plan(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    document(&plan.to_file(), out)
}

/// Writes a report. See `schemas/report.schema.json`.
///
/// # Errors
///
/// Those of `out`.
pub fn report(report: &Report, run: &Run, out: &mut dyn Write) -> io::Result<()> {
    document(&ReportFile::new(report, run), out)
}

/// Writes a verification. See `schemas/verification.schema.json`.
///
/// # Errors
///
/// Those of `out`.
pub fn verification(verification: &Verification<'_>, out: &mut dyn Write) -> io::Result<()> {
    document(&VerificationFile::new(verification), out)
}

/// Writes explanations. See `schemas/explanation.schema.json`.
///
/// # Errors
///
/// Those of `out`.
pub fn explanations(explanations: &[Explanation], out: &mut dyn Write) -> io::Result<()> {
    document(&ExplanationFile::new(explanations), out)
}

fn document<T: Serialize>(value: &T, out: &mut dyn Write) -> io::Result<()> {
    let json = serde_json::to_string_pretty(value)?;
    out.write_all(escape_json(&json).as_bytes())?;
    out.write_all(b"\n")
}
