//! What is wrong with a spec, for people: each problem with its line, underlined.

use std::io::{self, Write};

use countersign::spec::Problems;
use miette::{GraphicalReportHandler, GraphicalTheme};

use super::terminal::Paint;

/// Columns that a page has, as those of the library.
const WIDTH: usize = 100;

/// Writes every problem, then how many there are.
pub(crate) fn write(problems: &Problems, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    let theme = match paint {
        Paint::Colored => GraphicalTheme::unicode(),
        Paint::Plain => GraphicalTheme::unicode_nocolor(),
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(WIDTH).with_links(false);
    for problem in problems {
        let mut page = String::new();
        handler.render_report(&mut page, problem).map_err(io::Error::other)?;
        writeln!(out, "{}", page.trim_end())?;
        writeln!(out)?;
    }
    let warnings = problems.iter().filter(|problem| problem.is_warning()).count();
    let errors = problems.len() - warnings;
    let mut counts = Vec::new();
    if errors > 0 {
        counts.push(paint.error(&count(errors, "error")));
    }
    if warnings > 0 {
        counts.push(count(warnings, "warning"));
    }
    if counts.is_empty() { Ok(()) } else { writeln!(out, "{}", counts.join(", ")) }
}

/// `1 error`, `2 errors`.
pub(crate) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
