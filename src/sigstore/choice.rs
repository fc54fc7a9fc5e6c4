//! Which services the new signatures of a signer use.

use crate::model::{SignerName, Timestamp};
use crate::payload::Format;
use crate::plan::{Failure, SignerProfile};
use crate::sigstore::{Endpoint, SigningConfig};

/// The services that a run has for the signatures of one signer.
pub(crate) struct Choice<'a> {
    pub(crate) profile: &'a SignerProfile,
    /// The services that there are; none where nothing names any.
    pub(crate) config: Option<&'a SigningConfig>,
    pub(crate) now: Timestamp,
}

/// A signer needs services, and there is no signing config.
pub fn no_config(signer: &SignerName) -> Failure {
    let message = format!("{signer} needs services, and no signing config names any");
    Failure::error("sigstore::no_signing_config", message)
        .help("declare one: [sigstore] signing_config = \"signing_config.json\"")
}

/// Says whether somebody bears witness to the signatures of such a signer.
pub(super) fn needs_witness(profile: &SignerProfile) -> bool {
    profile.identity.is_some() || profile.transparency_log || profile.timestamps(Format::Bundle) > 0
}

/// Says whether the services for such a signer stand in a signing config.
pub(super) fn needs_config(profile: &SignerProfile) -> bool {
    profile.identity.is_some() || profile.transparency_log
}

impl Choice<'_> {
    /// The logs for signatures of `format`, as many as they can carry entries of; none where the signer wants none.
    pub(crate) fn logs(&self, format: Format) -> Result<Vec<Endpoint>, Failure> {
        if !self.profile.transparency_log {
            return Ok(Vec::new());
        }
        let chosen = self.config()?.logs(format, self.now);
        let chosen = chosen.map_err(|error| Failure::from(&error))?;
        Ok(chosen.into_iter().take(format.most_evidence()).collect())
    }

    /// The authorities that the signer names itself; for an identity else those of the signing config. As many as a
    /// signature of `format` can carry timestamps of.
    pub(crate) fn authorities(&self, format: Format) -> Result<Vec<String>, Failure> {
        let urls: Vec<String> = match &self.profile.timestamp_authorities {
            Some(named) => named.iter().map(|it| it.url.clone()).collect(),
            None if self.profile.identity.is_none() => Vec::new(),
            None => {
                let chosen = self.config()?.timestamp_authorities(self.now);
                let chosen = chosen.map_err(|error| Failure::from(&error))?;
                chosen.into_iter().map(|it| it.url).collect()
            }
        };
        Ok(urls.into_iter().take(format.most_evidence()).collect())
    }

    pub(crate) fn config(&self) -> Result<&SigningConfig, Failure> {
        self.config.ok_or_else(|| no_config(&self.profile.name))
    }
}
