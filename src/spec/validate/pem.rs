//! Public keys and certificates in files that the spec names. Pure.

use crate::crypto::{Certificate, CertificateError, Chain, PublicKey};
use crate::model::Timestamp;
use crate::spec::access::{Access, MAX_SMALL};
use crate::spec::code::Code;
use crate::spec::problem::{Problem, Problems};
use crate::spec::section::{Section, Text};

/// The public key in a file.
pub(super) fn public_key(
    text: &Text,
    access: &Access<'_>,
    problems: &mut Problems,
) -> Option<PublicKey> {
    let pem = access.read_text(text, MAX_SMALL, problems)?;
    PublicKey::from_pem(&pem).map_err(|_| {
        let message = "the file holds no public key that cosign takes";
        let problem = Problem::error(Code::PublicKey, &text.place, message);
        problems.add(problem.label("no public key").help(
            "name a PEM file with ECDSA P-256, P-384 or P-521, RSA with 2048 to 4096 bits, or Ed25519; \
             of a key file: cosign public-key --key cosign.key",
        ));
    }).ok()
}

/// The certificate in a file.
fn certificate(text: &Text, access: &Access<'_>, problems: &mut Problems) -> Option<Certificate> {
    let pem = access.read_text(text, MAX_SMALL, problems)?;
    Certificate::from_pem(&pem)
        .map_err(|_| {
            let problem =
                Problem::error(Code::Certificate, &text.place, "the file holds no certificate");
            problems.add(
                problem
                    .label("no certificate")
                    .help("name a PEM file: -----BEGIN CERTIFICATE-----"),
            );
        })
        .ok()
}

/// The certificates in a file.
pub(super) fn chain(text: &Text, access: &Access<'_>, problems: &mut Problems) -> Option<Chain> {
    let pem = access.read_text(text, MAX_SMALL, problems)?;
    Chain::from_pem(&pem)
        .map_err(|_| {
            let problem = Problem::error(
                Code::Certificate,
                &text.place,
                "the file holds no chain of certificates",
            );
            problems
                .add(problem.label("no certificates").help("name a PEM file with the root last"));
        })
        .ok()
}

/// `certificate` and `certificate_chain` of a signer or an attachment.
///
/// Only the structure of the chain is checked: whether it is valid now is decided by the plan, which
/// has a clock.
pub(super) fn certificates(
    section: &Section,
    access: &Access<'_>,
    problems: &mut Problems,
) -> (Option<Certificate>, Option<Chain>) {
    let leaf = section.text("certificate").and_then(|it| certificate(it, access, problems));
    let chain_text = section.text("certificate_chain");
    if chain_text.is_some() && !section.has("certificate") {
        let place = section.key_place("certificate_chain");
        let message = "`certificate_chain` needs `certificate` beside it";
        let problem = Problem::error(Code::Conflict, place, message);
        problems.add(problem.label("a chain above nothing").help("add `certificate`"));
    }
    let above = chain_text.and_then(|it| chain(it, access, problems));
    if let (Some(leaf), Some(above), Some(text)) = (&leaf, &above, chain_text) {
        let latest = above.certificates().iter().map(Certificate::not_before);
        let at: Timestamp = latest.fold(leaf.not_before(), Ord::max);
        if let Err(CertificateError::Untrusted(_) | CertificateError::Malformed(_)) =
            above.verify(leaf, at)
        {
            let message = "the certificate does not chain to the last certificate of the chain";
            let problem = Problem::error(Code::Chain, &text.place, message);
            let problem = problem.label("does not lead there");
            let problem = problem.help("put the certificates above it in order, the root last");
            problems.add(problem.and(section.value_place("certificate"), "the certificate"));
        }
    }
    (leaf, above)
}
