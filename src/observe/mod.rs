//! Looking: from what is declared to subjects, and from subjects to the signatures that they carry.
//!
//! Reads only, by type. First every tag and index is resolved, because the wants of several entries may
//! meet on one digest; then the signatures of each digest are read, side by side.

mod evidence;
mod examine;
mod given;
mod judge;
mod reach;
mod referrers;
mod resolve;
mod services;
mod signers;
mod stored;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream;

pub(crate) use examine::{ReadCarrier, look, read_carrier, reads};
pub use examine::{examine, examine_closely, place};
pub use given::Given;
use referrers::seek_bundles;
pub(crate) use referrers::{read_bundle, read_referrers};
pub use resolve::{Resolved, resolve};
pub(crate) use signers::failure_of as key_failure;
pub use signers::{Openers, Opening, open_signers};
pub use stored::{Stored, StoredAt, StoredSignatures, stored};

use crate::crypto::PublicKey;
use crate::keys::Keyring;
use crate::model::{Clock, Glob, Repository};
use crate::plan::{
    Change, Cleaning, Desired, DiffOptions, Explanation, Failure, Making, Observed, Plan,
    SeenReferrers, SignerFingerprints, Signers, Target, TargetPlan, Unresolved, bundle_warnings,
    diff, explain, hold_parents, identity_text, signer_warnings,
};
use crate::sigstore::Deployment;
use crate::store::{ReadStore, RegistryRule, StoreError};

/// How to look.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ObserveOptions {
    /// How many images are looked at side by side; the store limits the requests to each host.
    pub jobs: usize,
    /// Only images of which a name matches one of these; empty for all. Then nothing is cleaned.
    pub targets: Vec<Glob>,
    /// Only this part of the images.
    pub shard: Option<Shard>,
    /// Repositories whose registry refuses to overwrite tags.
    pub immutable: Immutable,
    /// Whether signatures that are there already are enough.
    pub making: Making,
    /// Signatures made elsewhere, for whichever image owes them.
    pub given: Given,
    /// Whether to look for bundles where none is declared: they hide the tag from cosign 3.
    pub undeclared_bundles: UndeclaredBundles,
}

/// Whether to look for bundles where none is declared.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum UndeclaredBundles {
    /// They are not looked for: an image costs one request.
    #[default]
    Ignored,
    /// They are looked for: one request more, and one for each referrer until a bundle is found.
    Sought,
}

impl Default for ObserveOptions {
    fn default() -> Self {
        Self {
            jobs: 64,
            targets: Vec::new(),
            shard: None,
            immutable: Immutable::default(),
            making: Making::IfMissing,
            given: Given::default(),
            undeclared_bundles: UndeclaredBundles::default(),
        }
    }
}

/// Which registries refuse to overwrite tags: as the longest rule that matches a host says.
#[derive(Clone, Debug, Default)]
pub struct Immutable(Vec<RegistryRule>);

impl Immutable {
    /// What `rules` say; their credentials are not kept.
    pub fn new(rules: &[RegistryRule]) -> Self {
        let bare = rules.iter().map(|rule| RegistryRule {
            credentials: None,
            token: None,
            ..rule.clone()
        });
        Self(bare.collect())
    }

    /// Says whether tags of `repository` cannot be overwritten.
    pub fn holds(&self, repository: &Repository) -> bool {
        let rule = repository.host().and_then(|host| RegistryRule::of(&self.0, host));
        rule.is_some_and(|rule| rule.immutable_tags)
    }
}

/// One part of `of` parts, by a hash of signature repository and digest; `index` from 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Shard {
    /// Which part.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

impl Shard {
    /// Says whether `target` belongs to this part.
    pub fn holds(self, target: &Target) -> bool {
        let place = format!("{}@{}", target.signatures, target.subject.digest);
        let digest = crate::model::Digest::of(place.as_bytes());
        let number =
            digest.as_bytes().iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
        number % u64::from(self.of.max(1)) == u64::from(self.index)
    }
}

/// Everything that a run looks with.
#[derive(Clone, Debug)]
pub struct Observer {
    /// Where the images are.
    pub store: Arc<dyn ReadStore>,
    /// The signers, with their public keys.
    pub keyring: Arc<Keyring>,
    /// Whom to trust besides, and the services that sign.
    pub deployment: Arc<Deployment>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How to look.
    pub options: ObserveOptions,
}

/// Sees how far the looking has come.
pub trait Progress: Send + Sync {
    /// So many subjects are to be looked at.
    fn total(&self, targets: usize);
    /// One more has been looked at.
    fn advance(&self);
}

impl Progress for () {
    fn total(&self, _targets: usize) {}
    fn advance(&self) {}
}

impl Observer {
    /// Plans: resolves what is declared, reads the signatures, and compares.
    ///
    /// Never fails: what could not be read is in the plan as blocked. The plan is in the order of the
    /// spec whatever the order of the answers.
    pub async fn plan(&self, desired: &Desired, progress: &dyn Progress) -> (Plan, Arc<Signers>) {
        let mut resolved = resolve(desired, &self.store, &self.options).await;
        if let Some(shard) = self.options.shard {
            resolved.targets.retain(|target| shard.holds(target));
        }
        let signers =
            open_signers(desired, &resolved.targets, Opening::Needed, self.openers()).await;
        let signers = Arc::new(signers);
        progress.total(resolved.targets.len());
        let options = self.diff_options();
        let undeclared_bundles = self.options.undeclared_bundles;
        let jobs = self.options.jobs.max(1);
        let mut plans: Vec<(usize, TargetPlan)> = Vec::with_capacity(resolved.targets.len());
        let mut looking = stream::iter(resolved.targets.into_iter().map(Arc::new).enumerate())
            .map(|(index, target)| {
                let (store, signers) = (Arc::clone(&self.store), Arc::clone(&signers));
                let looked = tokio::spawn(async move {
                    let mut observed = examine(&target, &*store, &signers, options.now).await;
                    if undeclared_bundles == UndeclaredBundles::Sought {
                        seek_bundles(&target, &*store, &mut observed).await;
                    }
                    plan_target(&target, &observed, &signers, &options)
                });
                async move { (index, looked.await) }
            })
            .buffer_unordered(jobs);
        let mut lost = Vec::new();
        while let Some((index, plan)) = looking.next().await {
            match plan {
                Ok(plan) => plans.push((index, plan)),
                Err(error) => lost.push(error),
            }
            progress.advance();
        }
        drop(looking);
        // A task ends early only by a panic, which is a defect: let it be seen as one.
        if let Some(error) = lost.pop().filter(tokio::task::JoinError::is_panic) {
            std::panic::resume_unwind(error.into_panic());
        }
        plans.sort_by_key(|(index, _)| *index);
        let mut plans: Vec<TargetPlan> = plans.into_iter().map(|(_, plan)| plan).collect();
        hold_parents(&mut plans);
        let mut warnings = signer_warnings(&signers, options.now);
        warnings.extend(bundle_warnings(&plans, &signers));
        let plan = Plan {
            targets: plans,
            unresolved: resolved.unresolved,
            warnings,
            signers: fingerprints(&signers),
        };
        (plan, signers)
    }

    /// Explains: resolves what is declared, reads every payload too, and says what counts and why.
    ///
    /// Never fails: what could not be read is said. The explanations are in the order of the spec, the
    /// images of an index before it; with them come the entries that could not be resolved.
    pub async fn explain(&self, desired: &Desired) -> (Vec<Explanation>, Vec<Unresolved>) {
        let resolved = resolve(desired, &self.store, &self.options).await;
        let signers = open_signers(desired, &resolved.targets, Opening::All, self.openers()).await;
        let options = DiffOptions { cleaning: Cleaning::AsDeclared, ..self.diff_options() };
        let looked: Vec<(Observed, TargetPlan)> = stream::iter(resolved.targets)
            .map(|target| async {
                let observed = examine_closely(&target, &*self.store, &signers, options.now).await;
                let plan = plan_target(&Arc::new(target), &observed, &signers, &options);
                (observed, plan)
            })
            .buffered(self.options.jobs.max(1))
            .collect()
            .await;
        let (observed, mut plans): (Vec<Observed>, Vec<TargetPlan>) = looked.into_iter().unzip();
        hold_parents(&mut plans);
        let explained = plans.iter().zip(&observed).map(|(plan, observed)| {
            explain(&plan.target, observed, &signers, &plan.changes, options.now)
        });
        (explained.collect(), resolved.unresolved)
    }

    /// What the keys and the trust of signers come from.
    pub fn openers(&self) -> Openers<'_> {
        Openers { keyring: &self.keyring, deployment: &self.deployment, now: self.clock.now() }
    }

    fn diff_options(&self) -> DiffOptions {
        let partial = !self.options.targets.is_empty();
        DiffOptions {
            now: self.clock.now(),
            cleaning: if partial { Cleaning::Never } else { Cleaning::AsDeclared },
        }
    }
}

fn plan_target(
    target: &Arc<Target>,
    observed: &Observed,
    signers: &Signers,
    options: &DiffOptions,
) -> TargetPlan {
    let (carrier, referrers) = match observed {
        Observed::Read { carrier, referrers, .. } => (carrier.clone(), referrers.clone()),
        Observed::Missing | Observed::Unreadable(_) => (None, SeenReferrers::default()),
    };
    let mut changes = diff(target, observed, signers, options);
    slim(&mut changes);
    TargetPlan { target: Arc::clone(target), carrier, referrers, changes }
}

/// Lets go of what nothing asks for later: a fleet of 100,000 images is held as one plan.
fn slim(changes: &mut Vec<Change>) {
    for change in changes.iter_mut() {
        if let Change::Keep { found, .. } = change {
            // What is kept says what is wanted.
            found.claim = None;
        }
    }
    changes.shrink_to_fit();
}

fn fingerprints(signers: &Signers) -> BTreeMap<crate::model::SignerName, SignerFingerprints> {
    let fingerprints = signers.iter().map(|(name, state)| {
        let certificate = state.profile.certificate.as_ref().map(|it| it.fingerprint());
        let fingerprints = SignerFingerprints {
            key: state.public_key().map(PublicKey::fingerprint),
            certificate,
            identity: state.profile.identity.as_ref().map(|it| identity_text(it).into()),
            services: state.services.clone(),
        };
        (name.clone(), fingerprints)
    });
    fingerprints.collect()
}

/// What a store said, as the reason of a blocked change.
pub fn failure_of(error: &StoreError) -> Failure {
    use crate::plan::FailureClass;
    use crate::store::StoreErrorKind;
    let class = match error.kind {
        kind if kind.is_transient() => FailureClass::Temporary,
        StoreErrorKind::Credentials | StoreErrorKind::Forbidden | StoreErrorKind::Unauthorized => {
            FailureClass::Permission
        }
        _ => FailureClass::Error,
    };
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(below) = cause {
        let text = below.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = below.source();
    }
    let failure = Failure::new(error.kind.code(), message, class);
    match error.kind.help() {
        Some(help) => failure.help(help),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_rule_says_whether_tags_are_immutable() {
        let rule = |host: &str, immutable_tags| RegistryRule {
            immutable_tags,
            ..RegistryRule::new(host.parse().unwrap())
        };
        let immutable = Immutable::new(&[rule("*", true), rule("ghcr.io", false)]);
        assert!(immutable.holds(&"quay.io/acme/api".parse().unwrap()));
        assert!(!immutable.holds(&"ghcr.io/acme/api".parse().unwrap()));
        assert!(!immutable.holds(&"oci:images".parse().unwrap()));
    }
}
