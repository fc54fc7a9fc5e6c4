//! What the services of a signing config put into the signatures of a signer. Pure.

use crate::model::Timestamp;
use crate::payload::Format;
use crate::plan::{Failure, ServiceUse, Services, SignerProfile};
use crate::sigstore::{Choice, SigningConfig};

/// What every new signature of the signer takes from services at `now`, or why it cannot.
pub(super) fn services_of(
    profile: &SignerProfile,
    config: Option<&SigningConfig>,
    now: Timestamp,
) -> Services {
    let choice = Choice { profile, config, now };
    let of = |format| use_of(&choice, format);
    Services { simple_signing: of(Format::SimpleSigning), bundle: of(Format::Bundle) }
}

fn use_of(choice: &Choice<'_>, format: Format) -> Result<ServiceUse, Failure> {
    let is_identity = choice.profile.identity.is_some();
    if is_identity {
        let authority = choice.config()?.certificate_authority(choice.now);
        authority.map_err(|error| Failure::from(&error))?;
    }
    let logs = choice.logs(format).map_err(|reason| no_log(format, reason))?;
    let timestamps = choice.authorities(format)?.len();
    // Rekor v2 signs no time.
    let proves_time = timestamps > 0 || logs.iter().any(|it| it.version < 2);
    if is_identity && !proves_time {
        let message = format!(
            "nothing would prove when {} signed, and its certificates end in minutes",
            choice.profile.name
        );
        let help = "name a timestamp authority in the signing config or in `timestamp_authorities`; a log proves the time only with Rekor v1";
        return Err(Failure::error("sigstore::no_proof_of_time", message).help(help));
    }
    Ok(ServiceUse { certificate: is_identity, log_entries: logs.len(), timestamps })
}

/// A simple signature keeps the promise of a log and no proof: cosign 3.1 writes an entry of Rekor v2 there
/// without either, which nothing verifies.
fn no_log(format: Format, reason: Failure) -> Failure {
    match format {
        Format::Bundle => reason,
        Format::SimpleSigning => reason.help(
            "write `formats = [\"bundle\"]`, name a log of Rekor v1 in the signing config, or write `transparency_log = false`",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::plan::{Ability, TimestampAuthority};
    use crate::trust::{GithubClaims, IdentityPolicy, Matcher};

    const NOW: i64 = 1_790_000_000;

    /// A config with these logs (by version), so many authorities, and Fulcio.
    fn config(logs: &[u32], authorities: usize, logs_of: &str) -> SigningConfig {
        let service = |number: usize, version: u32| {
            format!(
                r#"{{"url":"https://{number}.example","majorApiVersion":{version},"validFor":{{"start":"2024-01-01T00:00:00Z"}},"operator":"{number}"}}"#
            )
        };
        let logs: Vec<_> = logs.iter().enumerate().map(|(at, it)| service(at, *it)).collect();
        let authorities: Vec<_> = (0..authorities).map(|at| service(at, 1)).collect();
        let json = format!(
            r#"{{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","caUrls":[{}],"oidcUrls":[],"rekorTlogUrls":[{}],"rekorTlogConfig":{{"selector":"{logs_of}"}},"tsaUrls":[{}],"tsaConfig":{{"selector":"ALL"}}}}"#,
            service(0, 1),
            logs.join(","),
            authorities.join(",")
        );
        SigningConfig::parse(json.as_bytes()).unwrap()
    }

    fn profile() -> SignerProfile {
        let log = SignerProfile::new("ci".parse().unwrap(), Ability::Sign);
        SignerProfile { transparency_log: true, ..log }
    }

    fn identity() -> SignerProfile {
        let exact = |text: &str| Matcher::Exact(text.to_owned());
        let policy = IdentityPolicy {
            issuer: exact("https://i.example"),
            identity: exact("ci@acme.com"),
            github: GithubClaims::default(),
        };
        SignerProfile { identity: Some(Arc::new(policy)), ..profile() }
    }

    fn own(count: usize, profile: SignerProfile) -> SignerProfile {
        let of = |at| TimestampAuthority { url: format!("https://own{at}.example"), chain: None };
        SignerProfile { timestamp_authorities: Some((0..count).map(of).collect()), ..profile }
    }

    /// `certificate log_entries timestamps`, or the code of the refusal; of a simple signature and a bundle.
    fn told(profile: &SignerProfile, config: Option<&SigningConfig>) -> [String; 2] {
        let services = services_of(profile, config, Timestamp::from_seconds(NOW));
        [Format::SimpleSigning, Format::Bundle].map(|format| match services.of(format) {
            Ok(it) => format!("{} {} {}", it.certificate, it.log_entries, it.timestamps),
            Err(reason) => reason.code.clone(),
        })
    }

    #[test]
    fn an_identity_takes_what_the_signing_config_has_and_a_key_its_log() {
        let (v1, v2) = (config(&[1], 1, "ANY"), config(&[2], 2, "ANY"));
        let both = config(&[1, 2], 0, "ANY");
        let many = config(&[1, 1], 0, "ALL");
        let unlogged = |profile| SignerProfile { transparency_log: false, ..profile };
        let none = "sigstore::no_service";
        let untimed = "sigstore::no_proof_of_time";
        for (profile, config, expected) in [
            (identity(), &v1, ["true 1 1", "true 1 1"]),
            // A simple signature cannot keep an entry of Rekor v2, nor two of anything.
            (identity(), &v2, [none, "true 1 2"]),
            (unlogged(identity()), &v2, ["true 0 1", "true 0 2"]),
            // Rekor v1 signs the time, v2 does not; bundles take the highest version.
            (identity(), &both, ["true 1 0", untimed]),
            (own(1, identity()), &both, ["true 1 1", "true 1 1"]),
            (own(0, identity()), &v2, [none, untimed]),
            (own(0, identity()), &v1, ["true 1 0", "true 1 0"]),
            (unlogged(identity()), &many, [untimed, untimed]),
            (profile(), &v2, [none, "false 1 0"]),
            (profile(), &many, ["false 1 0", "false 2 0"]),
            (own(3, unlogged(profile())), &v1, ["false 0 1", "false 0 3"]),
            (unlogged(profile()), &v1, ["false 0 0", "false 0 0"]),
        ] {
            assert_eq!(told(&profile, Some(config)), expected, "{profile:?} {config:?}");
        }
    }

    #[test]
    fn without_a_signing_config_only_those_sign_who_need_none() {
        let missing = "sigstore::no_signing_config";
        assert_eq!(told(&identity(), None), [missing, missing]);
        assert_eq!(told(&profile(), None), [missing, missing]);
        let unlogged = SignerProfile { transparency_log: false, ..profile() };
        assert_eq!(told(&own(1, unlogged), None), ["false 0 1", "false 0 1"]);
    }
}
