//! What the language has and this version cannot do yet: one function for each, to be deleted with the
//! change that brings it. Pure.

use crate::spec::code::Code;
use crate::spec::place::Place;
use crate::spec::problem::{Problem, Problems};
use crate::spec::section::{Section, Text};

fn refuse(what: &str, place: &Place, help: &str, problems: &mut Problems) {
    let problem = Problem::error(Code::NotYet, place, format!("this version cannot {what} yet"));
    problems.add(problem.label("not yet").help(help));
}

/// `keyless` of a signer.
pub(super) fn keyless(signer: &Section, problems: &mut Problems) {
    refuse("sign with an identity", signer.key_place("keyless"), "use a `key`", problems);
}

/// `transparency_log` of a signer, declared or by default.
pub(super) fn transparency_log(signer: &Section, name: &Text, problems: &mut Problems) {
    let (place, what) = if signer.has("transparency_log") {
        (signer.value_place("transparency_log"), "write to a transparency log")
    } else {
        (&name.place, "write to a transparency log, which is the default,")
    };
    refuse(what, place, "write: transparency_log = false", problems);
}

/// `timestamp_authorities` of a signer.
pub(super) fn timestamp_authorities(signer: &Section, problems: &mut Problems) {
    let place = signer.key_place("timestamp_authorities");
    refuse("take timestamps", place, "leave `timestamp_authorities` out", problems);
}

/// `[sigstore]`.
pub(super) fn sigstore(spec: &Section, problems: &mut Problems) {
    let help = "leave `[sigstore]` out: keys need no deployment";
    refuse("use a sigstore deployment", spec.key_place("sigstore"), help, problems);
}
