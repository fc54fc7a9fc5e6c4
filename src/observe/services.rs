//! What the services of a signing config put into the signatures of a signer. Pure.

use crate::model::Timestamp;
use crate::payload::Format;
use crate::plan::{Failure, ServiceUse, Services, SignerProfile};
use crate::sigstore::{SigningConfig, no_config};

/// What every new signature of the signer takes from services at `now`, or why it cannot.
pub(super) fn services_of(
    profile: &SignerProfile,
    config: Option<&SigningConfig>,
    now: Timestamp,
) -> Services {
    let of = |format| use_of(profile, config, format, now);
    Services { simple_signing: of(Format::SimpleSigning), bundle: of(Format::Bundle) }
}

fn use_of(
    profile: &SignerProfile,
    config: Option<&SigningConfig>,
    format: Format,
    now: Timestamp,
) -> Result<ServiceUse, Failure> {
    let is_identity = profile.identity.is_some();
    let mut used = ServiceUse { certificate: is_identity, ..ServiceUse::default() };
    let mut log_proves_time = false;
    if is_identity {
        named(config, profile)?.certificate_authority(now).map_err(|it| Failure::from(&it))?;
    }
    if profile.transparency_log {
        let logs = named(config, profile)?.logs(format, now);
        let logs = logs.map_err(|it| no_log(format, &Failure::from(&it)))?;
        used.log_entries = logs.len();
        // Rekor v2 signs no time.
        log_proves_time = logs.iter().any(|it| it.version < 2);
    }
    used.timestamps = match &profile.timestamp_authorities {
        Some(authorities) => authorities.len(),
        None if is_identity => {
            let authorities = named(config, profile)?.timestamp_authorities(now);
            authorities.map_err(|it| Failure::from(&it))?.len()
        }
        None => 0,
    };
    if is_identity && used.timestamps == 0 && !log_proves_time {
        let message = format!(
            "nothing would prove when {} signed, and its certificates end in minutes",
            profile.name
        );
        let help = "name a timestamp authority in the signing config or in `timestamp_authorities`; a log proves the time only with Rekor v1";
        return Err(Failure::error("sigstore::no_proof_of_time", message).help(help));
    }
    Ok(used)
}

fn named<'a>(
    config: Option<&'a SigningConfig>,
    profile: &SignerProfile,
) -> Result<&'a SigningConfig, Failure> {
    config.ok_or_else(|| no_config(&profile.name))
}

/// A simple signature keeps the promise of a log and no proof: cosign 3.1 writes an entry of Rekor v2 there
/// without either, which nothing verifies.
fn no_log(format: Format, reason: &Failure) -> Failure {
    let reason = reason.clone();
    match format {
        Format::Bundle => reason,
        Format::SimpleSigning => reason.help(
            "write `formats = [\"bundle\"]`, name a log of Rekor v1 in the signing config, or write `transparency_log = false`",
        ),
    }
}
