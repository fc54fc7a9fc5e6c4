//! The public keys of a run: each is asked for once, and only where something depends on it.

use std::collections::BTreeSet;

use crate::keys::{KeyError, KeyErrorKind, Keyring};
use crate::model::SignerName;
use crate::plan::{Desired, Failure, FailureClass, Prune, SignerKey, SignerState, Signers, Target};

/// Which public keys are asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opening {
    /// Those of every signer.
    All,
    /// Those that something depends on.
    Needed,
}

/// Gets the public keys of the signers that `targets` need; where something may be removed, of all.
///
/// A signature whose signer is not known must not look like a stranger's.
pub async fn open_signers(
    desired: &Desired,
    targets: &[Target],
    opening: Opening,
    keyring: &Keyring,
) -> Signers {
    let everything =
        opening == Opening::All || targets.iter().any(|target| target.prune > Prune::Keep);
    let needed: BTreeSet<&SignerName> =
        targets.iter().flat_map(|it| it.signers.iter().chain(&it.requires)).collect();
    let opening = desired.signers.iter().map(|(name, profile)| {
        let needed = everything || needed.contains(name);
        async move {
            let key = if needed { key_of(keyring, name).await } else { SignerKey::NotNeeded };
            (name.clone(), SignerState { profile: profile.clone(), key })
        }
    });
    futures::future::join_all(opening).await.into_iter().collect()
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
