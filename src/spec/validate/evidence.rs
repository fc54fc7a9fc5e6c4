//! What every signature of a signer must carry besides: log entries and timestamps. Pure.

use crate::crypto::{KeyAlgorithm, PublicKey};
use crate::plan::TimestampAuthority;
use crate::spec::access::Access;
use crate::spec::code::Code;
use crate::spec::problem::{Problem, Problems};
use crate::spec::section::{Section, Text};
use crate::spec::validate::{pem, signer_key};

/// `transparency_log`: true by default where the signer signs, as cosign has it; retired signers want nothing.
pub(super) fn log(
    name: &Text,
    section: &Section,
    public_key: Option<&PublicKey>,
    problems: &mut Problems,
) -> bool {
    let signs = section.has("key") || section.has("keyless");
    let wanted = match section.flag("transparency_log") {
        Some(wanted) => wanted,
        // A wrong value has been reported; a log is not to be asked for on its account.
        None => signs && !section.has("transparency_log"),
    };
    if !wanted || section.flag("retired") == Some(true) {
        return false;
    }
    if public_key.is_some_and(|key| key.algorithm() == KeyAlgorithm::Ed25519) {
        let place = match section.has("transparency_log") {
            true => section.value_place("transparency_log"),
            false => &name.place,
        };
        let message = "no log takes an entry of an Ed25519 key in a form that cosign verifies";
        let problem = Problem::error(Code::Ed25519Log, place, message);
        problems.add(problem.label("an Ed25519 signer").help("write: transparency_log = false"));
    }
    true
}

/// `timestamp_authorities`, where the signer names somebody itself, or expressly nobody.
pub(super) fn authorities(
    section: &Section,
    access: &Access<'_>,
    problems: &mut Problems,
) -> Option<Vec<TimestampAuthority>> {
    if !section.has("timestamp_authorities") {
        return None;
    }
    let mut authorities: Vec<TimestampAuthority> = Vec::new();
    for authority in section.sections("timestamp_authorities") {
        let chain =
            authority.text("certificate_chain").map(|it| (it, pem::chain(it, access, problems)));
        let Some(url) = authority.text("url") else { continue };
        signer_key::web_address(url, problems);
        let place = chain.as_ref().map_or(&url.place, |(text, _)| &text.place);
        let made = TimestampAuthority {
            url: url.value().to_owned(),
            chain: chain.as_ref().and_then(|(_, chain)| chain.clone()),
        };
        let same = |it: &TimestampAuthority| {
            it.url == made.url || (it.chain.is_some() && it.chain == made.chain)
        };
        if authorities.iter().any(same) {
            let message = "the same timestamp authority is named twice";
            let problem = Problem::error(Code::Duplicate, place, message);
            let help = "keep one: a second timestamp of the same authority proves nothing more";
            problems.add(problem.label("named before").help(help));
        }
        authorities.push(made);
    }
    Some(authorities)
}

/// An identity's certificate ends in minutes: without a log entry a timestamp must prove that the
/// signature is older.
///
/// Whether the services of the signing config do is told by the plan, which knows them.
pub(super) fn proves_time(section: &Section, problems: &mut Problems) {
    let nobody = section.has("timestamp_authorities")
        && section.sections("timestamp_authorities").is_empty()
        // A wrong value has been reported.
        && section.is_list("timestamp_authorities");
    let retired = section.flag("retired") == Some(true);
    if section.has("keyless") && nobody && !retired {
        let message =
            "nothing proves when this identity signed, and its certificates end in minutes";
        let place = section.key_place("timestamp_authorities");
        let problem = Problem::error(Code::NoProofOfTime, place, message);
        let problem = problem.label("no timestamp").help(
            "leave `timestamp_authorities` out to take those of the signing config, or take a log that proves the time",
        );
        problems.add(problem.and(section.value_place("transparency_log"), "no log entry"));
    }
}
