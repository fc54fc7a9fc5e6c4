//! Which services the new signatures of a signer use.

use std::sync::Arc;

use crate::model::{Clock, Timestamp};
use crate::payload::Format;
use crate::plan::{Failure, ServiceUse, Services, SignerProfile};
use crate::sigstore::{Endpoint, Opened, ServiceError, SigningConfig, Witness, WitnessPool};
use crate::trust::TrustedRoot;

/// Says whether somebody bears witness to the signatures of such a signer.
pub(super) fn needs_witness(profile: &SignerProfile) -> bool {
    profile.identity.is_some() || profile.transparency_log || profile.timestamps() > 0
}

impl Opened {
    /// What services put into each new signature of a signer, or why they cannot.
    pub fn services(&self, profile: &SignerProfile, now: Timestamp) -> Services {
        let used = |format| {
            let certificate = profile.identity.is_some();
            if certificate {
                self.signing()?
                    .certificate_authority(now)
                    .map_err(|error| Failure::from(&error))?;
            }
            Ok(ServiceUse {
                certificate,
                log_entries: self.logs(profile, format, now)?.len(),
                timestamps: self.authorities(profile, now)?.len(),
            })
        };
        Services { simple_signing: used(Format::SimpleSigning), bundle: used(Format::Bundle) }
    }

    /// Who bears witness to the new signatures of a signer, with `trust`, which vouches for them.
    pub(super) fn witness(
        &self,
        profile: &SignerProfile,
        trust: &Arc<TrustedRoot>,
        pool: &mut WitnessPool,
        clock: &Arc<dyn Clock>,
    ) -> Witness {
        let now = clock.now();
        let failed = |error: ServiceError| Failure::from(&error);
        let mut logs = |format| {
            let endpoints = self.logs(profile, format, now)?;
            pool.logs(&endpoints).map_err(failed)
        };
        let (simple, bundle) = (logs(Format::SimpleSigning), logs(Format::Bundle));
        let authorities = self
            .authorities(profile, now)
            .and_then(|urls| pool.authorities(urls.iter().map(String::as_str)).map_err(failed));
        Witness::new(simple, bundle, authorities, Arc::clone(trust), Arc::clone(clock))
    }

    fn logs(
        &self,
        profile: &SignerProfile,
        format: Format,
        now: Timestamp,
    ) -> Result<Vec<Endpoint>, Failure> {
        if !profile.transparency_log {
            return Ok(Vec::new());
        }
        self.signing()?.logs(format, now).map_err(|error| Failure::from(&error))
    }

    /// Those that the signer names itself; for an identity else those of the signing config.
    fn authorities(&self, profile: &SignerProfile, now: Timestamp) -> Result<Vec<String>, Failure> {
        match &profile.timestamp_authorities {
            Some(named) => Ok(named.iter().map(|it| it.url.clone()).collect()),
            None if profile.identity.is_none() => Ok(Vec::new()),
            None => {
                let chosen = self.signing()?.timestamp_authorities(now);
                let chosen = chosen.map_err(|error| Failure::from(&error))?;
                Ok(chosen.into_iter().map(|it| it.url).collect())
            }
        }
    }

    fn signing(&self) -> Result<&SigningConfig, Failure> {
        self.signing.as_deref().map_err(Clone::clone)
    }
}
