//! The public keys of a run: each is asked for once, and only where something depends on it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::keys::{KeyError, KeyErrorKind, Keyring};
use crate::model::{SignerName, Timestamp};
use crate::observe::services::services_of;
use crate::payload::Format;
use crate::plan::{
    Ability, Desired, Failure, FailureClass, Prune, Services, SignerKey, SignerProfile,
    SignerState, SignerTrust, Signers, Target,
};
use crate::sigstore::Deployment;
use crate::trust::TrustedRoot;

/// Which public keys are asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opening {
    /// Those of every signer.
    All,
    /// Those that something depends on.
    Needed,
}

/// What the keys and the trust of signers come from.
#[derive(Clone, Copy, Debug)]
pub struct Openers<'a> {
    /// The keys.
    pub keyring: &'a Keyring,
    /// The trusted root and the services.
    pub deployment: &'a Deployment,
    /// The time now: services are valid for a time.
    pub now: Timestamp,
}

/// Gets the public keys of the signers that `targets` need, and what vouches for their evidence; where
/// something may be removed, of all.
///
/// A signature whose signer is not known must not look like a stranger's. The deployment is opened at
/// most once, and only where a signer has an identity or declares log entries or timestamps.
pub async fn open_signers(
    desired: &Desired,
    targets: &[Target],
    opening: Opening,
    openers: Openers<'_>,
) -> Signers {
    let Openers { keyring, deployment, now } = openers;
    let everything =
        opening == Opening::All || targets.iter().any(|target| target.prune > Prune::Keep);
    let needed: BTreeSet<&SignerName> =
        targets.iter().flat_map(|it| it.signers.iter().chain(&it.requires)).collect();
    let is_needed = |name: &SignerName| everything || needed.contains(name);
    let trusting =
        |name: &SignerName, profile: &SignerProfile| is_needed(name) && needs_trust(profile);
    let opened = match desired.signers.iter().any(|(name, profile)| trusting(name, profile)) {
        true => Some(deployment.opened().await),
        false => None,
    };
    let opened = opened.as_ref();
    let opening = desired.signers.iter().map(|(name, profile)| {
        let needed = is_needed(name);
        let trust = match opened {
            Some(Ok(opened)) => SignerTrust::Known(trust_of(profile, &opened.root)),
            Some(Err(reason)) if trusting(name, profile) => SignerTrust::Unknown(reason.clone()),
            Some(Err(_)) | None if profile.timestamps(Format::Bundle) > 0 => {
                SignerTrust::Known(trust_of(profile, &Arc::default()))
            }
            Some(Err(_)) | None => SignerTrust::NotNeeded,
        };
        let config = opened.and_then(|it| it.as_ref().ok()?.config.as_deref());
        let services = match profile.ability {
            Ability::Sign if needed => services_of(profile, config, now),
            _ => Services::default(),
        };
        async move {
            let key = match profile.ability {
                Ability::Sign | Ability::VerifyOnly if profile.identity.is_some() => {
                    SignerKey::Identity
                }
                Ability::AttachOnly => SignerKey::Unchecked,
                Ability::Sign | Ability::VerifyOnly if needed => key_of(keyring, name).await,
                Ability::Sign | Ability::VerifyOnly => SignerKey::NotNeeded,
            };
            (name.clone(), SignerState { profile: Arc::clone(profile), key, trust, services })
        }
    });
    futures::future::join_all(opening).await.into_iter().collect()
}

/// Says whether something that is declared of the signer is verified with the root of the deployment.
fn needs_trust(profile: &SignerProfile) -> bool {
    let authorities = profile.timestamp_authorities.iter().flatten();
    profile.identity.is_some()
        || profile.transparency_log
        || authorities.into_iter().any(|it| it.chain.is_none())
}

/// The root with the timestamp authorities that the signer names itself.
fn trust_of(profile: &SignerProfile, root: &Arc<TrustedRoot>) -> Arc<TrustedRoot> {
    let authorities = profile.timestamp_authorities.iter().flatten();
    let mut chains = authorities.filter_map(|it| it.chain.as_ref()).peekable();
    if chains.peek().is_none() {
        return Arc::clone(root);
    }
    let root = TrustedRoot::clone(root);
    Arc::new(chains.fold(root, TrustedRoot::with_timestamp_authority))
}

async fn key_of(keyring: &Keyring, name: &SignerName) -> SignerKey {
    match keyring.public_key(name).await {
        Ok(key) => SignerKey::Known(key),
        Err(error) => SignerKey::Unknown(failure_of(&error)),
    }
}

/// What a key said, as the reason of a blocked change.
pub(crate) fn failure_of(error: &KeyError) -> Failure {
    let class = match error.kind {
        _ if error.is_transient() => FailureClass::Temporary,
        KeyErrorKind::NoPassword | KeyErrorKind::Permission | KeyErrorKind::WrongPassword => {
            FailureClass::Permission
        }
        _ => FailureClass::Error,
    };
    let mut message = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(below) = cause {
        message = format!("{message}: {below}");
        cause = below.source();
    }
    let failure = Failure::new(error.code(), message, class);
    match error.help() {
        Some(help) => failure.help(help),
        None => failure,
    }
}
