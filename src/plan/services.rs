//! What services put into new signatures, and what of it becomes public. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::SignerName;
use crate::payload::Format;
use crate::plan::{Change, Failure, Plan};

/// What one new signature takes from services.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ServiceUse {
    /// Whether it carries a short-lived certificate of an identity.
    pub certificate: bool,
    /// How many entries in transparency logs are made for it.
    pub log_entries: usize,
    /// How many timestamps are made for it.
    pub timestamps: usize,
}

/// What the services do for one signer, in each format; or why they cannot.
#[derive(Clone, Debug)]
pub struct Services {
    /// For a signature at the tag.
    pub simple_signing: Result<ServiceUse, Failure>,
    /// For a bundle.
    pub bundle: Result<ServiceUse, Failure>,
}

impl Default for Services {
    /// Nothing: a signer that needs no service.
    fn default() -> Self {
        Self { simple_signing: Ok(ServiceUse::default()), bundle: Ok(ServiceUse::default()) }
    }
}

impl Services {
    /// Nothing can be made, for the same reason in both formats.
    pub fn refused(reason: Failure) -> Self {
        Self { simple_signing: Err(reason.clone()), bundle: Err(reason) }
    }

    /// What is done for a signature in `format`.
    ///
    /// # Errors
    ///
    /// Why the services cannot do what the signer asks for.
    pub fn of(&self, format: Format) -> Result<ServiceUse, &Failure> {
        match format {
            Format::Bundle => self.bundle.as_ref().copied(),
            Format::SimpleSigning => self.simple_signing.as_ref().copied(),
        }
    }
}

/// What an apply would publish: nobody can take an entry of a public log back.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Publishes {
    /// Entries in a transparency log.
    pub log_entries: usize,
    /// Certificates of an identity: at least so many; a run that outlives one makes another.
    pub certificates: usize,
    /// Timestamps: their authorities see digests of signatures, and publish nothing.
    #[serde(default)]
    pub timestamps: usize,
    /// What those who read the logs learn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discloses: Vec<String>,
}

impl Plan {
    /// What an apply would publish, and ask of services.
    ///
    /// Each signature that is made counts; what is attached brings its own evidence.
    pub fn publishes(&self) -> Publishes {
        let mut publishes = Publishes::default();
        let mut logged: BTreeMap<&SignerName, usize> = BTreeMap::new();
        let mut certified: BTreeSet<&SignerName> = BTreeSet::new();
        for change in self.targets.iter().flat_map(|it| &it.changes) {
            let (Change::Sign { want } | Change::Resign { want, .. }) = change else { continue };
            let services = self.signers.get(&want.signer).map(|it| &it.services);
            let Some(Ok(used)) = services.map(|it| it.of(want.format)) else { continue };
            publishes.log_entries += used.log_entries;
            publishes.timestamps += used.timestamps;
            if used.log_entries > 0 {
                *logged.entry(&want.signer).or_default() += 1;
            }
            if used.certificate {
                certified.insert(&want.signer);
            }
        }
        publishes.certificates = certified.len();
        let identities = certified.iter().map(|name| {
            let identity = self.signers.get(*name).and_then(|it| it.identity.as_deref());
            format!("the identity of {name}: {}", identity.unwrap_or("unknown"))
        });
        let keys = logged.keys().filter(|name| !certified.contains(*name));
        let keys = keys.map(|name| format!("the public key of {name}"));
        let digests = (!logged.is_empty())
            .then(|| "the digest of each payload that is signed, and the time".to_owned());
        publishes.discloses = identities.chain(keys).chain(digests).collect();
        publishes
    }
}
