//! One found signature against one want: in what they differ, certificates and time included.

use crate::crypto::{Certificate, Chain};
use crate::model::{Annotations, Digest, Timestamp};
use crate::payload::Format;
use crate::plan::{
    Difference, Failure, Field, Found, SignerKey, SignerState, Verdict, Want, WantOrigin,
};

/// The certificate and chain that a want asks for.
pub(crate) struct Declared<'a> {
    pub(crate) certificate: Option<&'a Certificate>,
    pub(crate) chain: Option<&'a Chain>,
}

/// Whether the declared certificate can be written now.
pub(crate) enum CertificateState {
    /// It can, or none is declared.
    Usable,
    /// It cannot, and this is why.
    Unusable(Failure),
}

/// The certificate and chain of a want: those of its attachment, else those of its signer. A bundle that is
/// attached is what it is.
pub(crate) fn declared<'a>(want: &'a Want, state: &'a SignerState) -> Declared<'a> {
    if let WantOrigin::Attach(attachment) = &want.origin
        && (attachment.certificate.is_some() || attachment.bundle.is_some())
    {
        return Declared {
            certificate: attachment.certificate.as_ref(),
            chain: attachment.chain.as_ref(),
        };
    }
    Declared {
        certificate: state.profile.certificate.as_ref(),
        chain: state.profile.chain.as_ref(),
    }
}

impl Declared<'_> {
    /// Checks the declared certificate against the key, the clock and its chain.
    pub(crate) fn state(&self, state: &SignerState, now: Timestamp) -> CertificateState {
        let Some(certificate) = self.certificate else { return CertificateState::Usable };
        let signer = &state.profile.name;
        let unusable = |code: &str, message: String, help: &str| {
            CertificateState::Unusable(Failure::error(code, message).help(help))
        };
        if state.public_key().is_some_and(|key| key != certificate.public_key()) {
            return unusable(
                "signature::certificate_mismatch",
                format!("the certificate of {signer} is for another key"),
                "give the certificate that was issued for this signer's key",
            );
        }
        if now > certificate.not_after() {
            return unusable(
                "signature::certificate_ended",
                format!("the certificate of {signer} ended on {}", certificate.not_after()),
                "renew the certificate and declare the new one",
            );
        }
        if now < certificate.not_before() {
            return unusable(
                "signature::certificate_not_yet_valid",
                format!(
                    "the certificate of {signer} is valid from {} on",
                    certificate.not_before()
                ),
                "check the clock of this machine, or declare the certificate later",
            );
        }
        match self.chain.map(|chain| chain.verify(certificate, now)) {
            Some(Err(error)) => unusable(
                "signature::certificate_chain",
                format!("the certificate chain of {signer} does not hold: {error}"),
                "give the issuing certificates in order, the root last",
            ),
            Some(Ok(())) | None => CertificateState::Usable,
        }
    }
}

/// In what `found` differs from `want`; none at all where it is another signer's or in another format.
pub(crate) fn differences(
    found: &Found,
    want: &Want,
    state: &SignerState,
    digest: &Digest,
    now: Timestamp,
) -> Option<Vec<Difference>> {
    let Verdict::Signed { signer, hash } = &found.verdict else { return None };
    if *signer != want.signer || found.format != want.format {
        return None;
    }
    let mut differences = Vec::new();
    let mut differ = |field, before: String, after: String| {
        differences.push(Difference { field, before, after });
    };
    match &found.claim {
        None => differ(Field::Digest, "none: not a claim".to_owned(), digest.to_string()),
        Some(claim) if want.is_said_by(claim, digest) => {}
        Some(claim) => {
            if claim.digest != *digest {
                differ(Field::Digest, claim.digest.to_string(), digest.to_string());
            }
            if claim.identity != *want.identity {
                differ(Field::ContainerIdentity, claim.identity.clone(), want.identity.to_string());
            }
            if claim.annotations != *want.annotations || !claim.other.is_empty() {
                let mut before = claim.annotations.clone();
                before.extend(claim.other.clone());
                differ(Field::Annotations, list(&before), list(&want.annotations));
            }
        }
    }
    if let Some(form) = found.passed_over {
        differ(
            Field::Bundle,
            format!("{form}, which cosign 3.1 passes over"),
            "version 0.3".to_owned(),
        );
    }
    if *hash != state.profile.hash {
        differ(Field::Hash, hash.to_string(), state.profile.hash.to_string());
    }
    let declared = declared(want, state);
    let same = match (declared.certificate, &found.certificate) {
        (Some(after), before) if before.as_ref() != Some(after) => {
            differ(Field::Certificate, describe(before.as_ref()), describe(Some(after)));
            false
        }
        (after, _) => after.is_some(),
    };
    if let Some(chain) = declared.chain
        && found.format != Format::Bundle
        && found.chain.as_ref() != Some(chain)
    {
        let count = |chain: Option<&Chain>| match chain.map(|it| it.certificates().len()) {
            None | Some(0) => "none".to_owned(),
            Some(1) => "1 certificate".to_owned(),
            Some(count) => format!("{count} certificates"),
        };
        differ(Field::CertificateChain, count(found.chain.as_ref()), count(Some(chain)));
    }
    let (carried, held) = (found.carried, found.evidence);
    if state.profile.transparency_log && held.log_entries == 0 {
        let before = witnesses(carried.log_entries, 0, faults(found, |code| !is_of_time(code)));
        differ(Field::LogEntry, before, "1".to_owned());
    }
    let timestamps = state.profile.timestamps(want.format);
    if usize::from(held.timestamps) < timestamps {
        let before = witnesses(carried.timestamps, held.timestamps, faults(found, is_of_time));
        differ(Field::Timestamp, before, timestamps.to_string());
    }
    if let Some(certificate) = &found.certificate
        && !is_proven(found, certificate)
    {
        let ended = now > certificate.not_after();
        let due = now.after(state.profile.renew_before) > certificate.not_after();
        // A declared certificate that is due but not ended is a warning: there is no later one to take.
        if ended || (due && !same) {
            let after = match (declared.certificate, &state.key) {
                (Some(certificate), _) => certificate.not_after().to_string(),
                (None, SignerKey::Identity) => "a new certificate".to_owned(),
                (None, _) => "no certificate".to_owned(),
            };
            differ(Field::Expiry, certificate.not_after().to_string(), after);
        }
    }
    Some(differences)
}

/// Says whether others may build upon `found`: the log entries and timestamps that its signer declares hold, and the
/// certificate of an identity is valid, or was at a proven time.
pub(crate) fn is_witnessed(found: &Found, state: &SignerState, now: Timestamp) -> bool {
    let (profile, held) = (&state.profile, found.evidence);
    let enough = usize::from(held.log_entries) >= usize::from(profile.transparency_log)
        && usize::from(held.timestamps) >= profile.timestamps(found.format);
    let lasts = |it: &Certificate| is_proven(found, it) || now <= it.not_after();
    enough && (profile.identity.is_none() || found.certificate.as_ref().is_some_and(lasts))
}

fn is_proven(found: &Found, certificate: &Certificate) -> bool {
    found
        .proven
        .is_some_and(|time| certificate.not_before() <= time && time <= certificate.not_after())
}

/// How many log entries or timestamps hold, and what is wrong with the others.
fn witnesses(carried: u16, held: u16, faults: String) -> String {
    match (carried, held) {
        (0, _) => "none".to_owned(),
        (_, 0) => format!("none that holds{faults}"),
        (_, held) => format!("{held}{faults}"),
    }
}

/// The faults of which the code is asked for, after a colon.
fn faults(found: &Found, asked: fn(&str) -> bool) -> String {
    let faults = found.problems.iter().filter(|it| asked(&it.code)).map(ToString::to_string);
    let faults: Vec<String> = faults.collect();
    if faults.is_empty() { String::new() } else { format!(": {}", faults.join("; ")) }
}

fn is_of_time(code: &str) -> bool {
    code.contains("::time")
}

fn list(annotations: &Annotations) -> String {
    if annotations.is_empty() {
        return "none".to_owned();
    }
    let pairs: Vec<String> =
        annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(", ")
}

fn describe(certificate: Option<&Certificate>) -> String {
    certificate.map_or_else(
        || "none".to_owned(),
        |it| {
            format!(
                "{} (until {}, {})",
                it.names().join(", "),
                it.not_after(),
                it.fingerprint().short()
            )
        },
    )
}
