//! `keyless`: whom the certificates of a signer must name. Pure.

use crate::spec::code::Code;
use crate::spec::problem::{Problem, Problems};
use crate::spec::section::{Section, Text};
use crate::spec::validate::signer_key::web_address;
use crate::trust::{GithubClaims, IdentityPolicy, Matcher};

/// Whom the certificates of a signer must name: `keyless`, checked with what stands beside it.
///
/// None where there is none, or not enough of it is right.
pub(super) fn read(signer: &Section, problems: &mut Problems) -> Option<IdentityPolicy> {
    for other in ["key", "public_key", "certificate"] {
        if signer.has("keyless") && signer.has(other) {
            let message = format!("`keyless` and `{other}` exclude each other");
            let problem = Problem::error(Code::Conflict, signer.key_place(other), message);
            let problem = problem.label("a key").help("make two signers of them");
            problems.add(problem.and(signer.key_place("keyless"), "an identity"));
        }
    }
    let section = signer.section("keyless")?;
    if let Some(issuer) = section.text("issuer") {
        web_address(issuer, problems);
    }
    let issuer = matcher(section, ["issuer", "issuer_regexp"], problems);
    let identity = matcher(section, ["identity", "identity_regexp"], problems);
    let github = section.section("github").map(|it| github(it, problems)).unwrap_or_default();
    Some(IdentityPolicy { issuer: issuer?, identity: identity?, github })
}

/// The exact text or the pattern, of which exactly one must be there.
fn matcher(
    section: &Section,
    [exact, pattern]: [&str; 2],
    problems: &mut Problems,
) -> Option<Matcher> {
    one_of(section, exact, pattern, problems);
    if let Some(text) = section.text(exact) {
        return filled(text, problems).map(Matcher::Exact);
    }
    let text = section.text(pattern)?;
    match Matcher::pattern(text.value()) {
        Ok(matcher) => filled(text, problems).map(|_| matcher),
        Err(_) => {
            let message = format!("{text} is no regular expression that is taken");
            let problem = Problem::error(Code::Regexp, &text.place, message);
            let help = "write it in RE2's syntax, as cosign takes it; it must match the whole text";
            problems.refuse(problem.label("no regular expression").help(help))
        }
    }
}

/// The claims that the certificate of a GitHub workflow must have.
fn github(section: &Section, problems: &mut Problems) -> GithubClaims {
    let mut claim = |key: &str| section.text(key).and_then(|it| filled(it, problems));
    GithubClaims {
        trigger: claim("trigger"),
        sha: claim("sha"),
        name: claim("name"),
        repository: claim("repository"),
        reference: claim("ref"),
    }
}

/// The text, unless it is empty: an empty one would match what says nothing.
fn filled(text: &Text, problems: &mut Problems) -> Option<String> {
    if !text.value().is_empty() {
        return Some(text.value().to_owned());
    }
    let problem = Problem::error(Code::Empty, &text.place, "an identity is empty");
    problems.refuse(problem.label("names nobody"))
}

/// Exactly one of the two must be there.
fn one_of(section: &Section, exact: &str, pattern: &str, problems: &mut Problems) {
    match (section.has(exact), section.has(pattern)) {
        (true, false) | (false, true) => {}
        (true, true) => {
            let message = format!("`{exact}` and `{pattern}` exclude each other");
            let problem = Problem::error(Code::Conflict, section.key_place(pattern), message);
            let problem = problem.label("a pattern").help("keep one of the two");
            problems.add(problem.and(section.key_place(exact), "an exact text"));
        }
        (false, false) => {
            let message = format!("`keyless` needs `{exact}` or `{pattern}`");
            let problem = Problem::error(Code::MissingKey, &section.place, message);
            problems.add(
                problem
                    .label(format!("`{exact}` is missing"))
                    .help(format!("add `{exact}`: anybody's signature would do without it")),
            );
        }
    }
}
