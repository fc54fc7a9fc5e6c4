//! What the language has and this version cannot do yet: one function for each, to be deleted with the
//! change that brings it. Pure.

use crate::spec::code::Code;
use crate::spec::place::Place;
use crate::spec::problem::{Problem, Problems};
use crate::spec::section::Section;

fn refuse(what: &str, place: &Place, help: &str, problems: &mut Problems) {
    let problem = Problem::error(Code::NotYet, place, format!("this version cannot {what} yet"));
    problems.add(problem.label("not yet").help(help));
}

/// `bundle` of an attachment.
pub(super) fn bundle_attachment(attachment: &Section, problems: &mut Problems) {
    let help = "attach a simple-signing signature with `payload` and `signature`";
    refuse("attach bundles", attachment.key_place("bundle"), help, problems);
}
