//! Signing configs: which services there are, and which of them a signature uses. Pure; time is an argument.

use sigstore_trust_root::signing_config::{
    ServiceConfiguration, ServiceEndpoint, ServiceSelector, SigningConfig as ConfigFile,
};

use crate::model::Timestamp;
use crate::payload::Format;
use crate::plan::Failure;

/// The services of a `signing_config.json` (version 0.2).
#[derive(Clone, Debug)]
pub struct SigningConfig(ConfigFile);

/// A service that was chosen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// Its address.
    pub url: String,
    /// The major version of its API.
    pub version: u32,
    /// Who runs it.
    pub operator: String,
}

/// A signing config that cannot be read, or that has no service for what is asked.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SigningConfigError {
    /// It is no signing config.
    #[error("the signing config cannot be read: {0}")]
    Malformed(String),
    /// There is none, or not as many as it says itself.
    #[error("the signing config has {0}")]
    NoService(String),
}

/// Fulcio speaks both of its APIs wherever it says 1.
const FULCIO_VERSIONS: &[u32] = &[1];
/// What simple signatures can carry: an entry with the promise of its log.
const LOG_VERSIONS_FOR_SIMPLE_SIGNING: &[u32] = &[1];
const LOG_VERSIONS: &[u32] = &[2, 1];
const AUTHORITY_VERSIONS: &[u32] = &[1];
const ISSUER_VERSIONS: &[u32] = &[1];

impl SigningConfig {
    /// Reads a `signing_config.json`.
    ///
    /// # Errors
    ///
    /// [`SigningConfigError::Malformed`]: it is none, or of another version than 0.2.
    pub fn parse(json: &[u8]) -> Result<Self, SigningConfigError> {
        let text = std::str::from_utf8(json)
            .map_err(|_| SigningConfigError::Malformed("it is no text in UTF-8".into()))?;
        let file = ConfigFile::from_json(text);
        file.map(Self).map_err(|error| SigningConfigError::Malformed(error.to_string()))
    }

    /// The certification authority: valid at `now`, the newest of the highest version.
    ///
    /// # Errors
    ///
    /// [`SigningConfigError::NoService`].
    pub fn certificate_authority(&self, now: Timestamp) -> Result<Endpoint, SigningConfigError> {
        newest(&self.0.ca_urls, FULCIO_VERSIONS, now, "certification authority")
    }

    /// The issuer of identity tokens: valid at `now`, the newest of the highest version.
    ///
    /// # Errors
    ///
    /// [`SigningConfigError::NoService`].
    pub fn issuer(&self, now: Timestamp) -> Result<Endpoint, SigningConfigError> {
        newest(&self.0.oidc_urls, ISSUER_VERSIONS, now, "issuer of identity tokens")
    }

    /// The transparency logs for signatures of `format`, as many as the selector says; never none.
    ///
    /// # Errors
    ///
    /// [`SigningConfigError::NoService`]; so for simple signatures where there is Rekor v2 alone, whose entries they
    /// cannot carry.
    pub fn logs(
        &self,
        format: Format,
        now: Timestamp,
    ) -> Result<Vec<Endpoint>, SigningConfigError> {
        let (versions, what) = match format {
            Format::SimpleSigning => (
                LOG_VERSIONS_FOR_SIMPLE_SIGNING,
                "transparency log (Rekor v1; a simple signature cannot carry an entry of Rekor v2)",
            ),
            Format::Bundle => (LOG_VERSIONS, "transparency log"),
        };
        select(&self.0.rekor_tlog_urls, &self.0.rekor_tlog_config, versions, now, what)
    }

    /// The timestamp authorities, as many as the selector says; none where the config has none at all.
    ///
    /// # Errors
    ///
    /// [`SigningConfigError::NoService`]: it has some, and not as many that can be used as it says.
    pub fn timestamp_authorities(
        &self,
        now: Timestamp,
    ) -> Result<Vec<Endpoint>, SigningConfigError> {
        if self.0.tsa_urls.is_empty() {
            return Ok(Vec::new());
        }
        let (urls, config) = (&self.0.tsa_urls, &self.0.tsa_config);
        select(urls, config, AUTHORITY_VERSIONS, now, "timestamp authority")
    }
}

/// Those that are valid at `now`, of the highest version that there is, the newest first, one for each operator.
///
/// Source: sigstore's protobuf-specs, `sigstore_trustroot.proto`, `SigningConfig`.
fn usable(services: &[ServiceEndpoint], versions: &[u32], now: Timestamp) -> Vec<Endpoint> {
    let is_valid = |service: &ServiceEndpoint| {
        let (start, end) = (service.valid_for.start, service.valid_for.end);
        start.as_second() <= now.as_seconds()
            && end.is_none_or(|end| now.as_seconds() <= end.as_second())
    };
    let mut valid: Vec<_> = services
        .iter()
        .filter(|it| versions.contains(&it.major_api_version) && is_valid(it))
        .collect();
    let highest = valid.iter().map(|it| it.major_api_version).max();
    valid.retain(|it| Some(it.major_api_version) == highest);
    // Stable: of two that begin together the one that is named first.
    valid.sort_by_key(|it| std::cmp::Reverse(it.valid_for.start));
    let mut chosen: Vec<Endpoint> = Vec::new();
    for service in valid {
        let operator = service.operator.clone().unwrap_or_default();
        if chosen.iter().all(|it| it.operator != operator) {
            let (url, version) = (service.url.clone(), service.major_api_version);
            chosen.push(Endpoint { url, version, operator });
        }
    }
    chosen
}

fn newest(
    services: &[ServiceEndpoint],
    versions: &[u32],
    now: Timestamp,
    what: &str,
) -> Result<Endpoint, SigningConfigError> {
    let found = usable(services, versions, now).into_iter().next();
    found.ok_or_else(|| SigningConfigError::NoService(format!("no {what} that is valid now")))
}

fn select(
    services: &[ServiceEndpoint],
    config: &ServiceConfiguration,
    versions: &[u32],
    now: Timestamp,
    what: &str,
) -> Result<Vec<Endpoint>, SigningConfigError> {
    let mut found = usable(services, versions, now);
    let wanted = match (config.selector, config.count) {
        (ServiceSelector::All, _) => found.len().max(1),
        // The first, so that one run does as the other.
        (ServiceSelector::Any, _) => 1,
        (ServiceSelector::Exact, Some(count)) if count > 0 => {
            usize::try_from(count).unwrap_or(usize::MAX)
        }
        _ => {
            let selector = format!("no selector for a {what} that says how many to use");
            return Err(SigningConfigError::NoService(selector));
        }
    };
    if found.len() < wanted {
        let (there, plural) =
            (found.len(), if wanted == 1 { "" } else { "s of different operators" });
        return Err(SigningConfigError::NoService(match there {
            0 => format!("no {what} that is valid now"),
            _ => format!("{there} {what} that is valid now, and asks for {wanted}{plural}"),
        }));
    }
    found.truncate(wanted);
    Ok(found)
}

impl From<&SigningConfigError> for Failure {
    fn from(error: &SigningConfigError) -> Self {
        match error {
            SigningConfigError::Malformed(_) => {
                Self::error("sigstore::signing_config", error.to_string())
                    .help("give a `signing_config.json` of version 0.2, as `cosign signing-config create` writes it")
            }
            SigningConfigError::NoService(_) => {
                Self::error("sigstore::no_service", error.to_string())
                    .help("add the service to the signing config, or declare what does without it")
            }
        }
    }
}

#[cfg(test)]
mod tests;
