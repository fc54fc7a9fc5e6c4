//! Who may: the challenge of a registry, and its tokens; each is fetched once, however many ask.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderValue;
use tokio::time::Instant;

use crate::store::remote::challenge::Challenge;
use crate::store::remote::failure::Failure;
use crate::store::remote::options::Intent;

/// A token that was refused although it was new is not renewed again for so long: then it is not the
/// token. (Artifactory answers 403 for each tag that does not exist.)
const FUTILE_FOR: Duration = Duration::from_secs(60);

/// What a token must allow; the later ones allow what the earlier do.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Access {
    Pull,
    Push,
    Delete,
}

impl Access {
    const ALL: [Self; 3] = [Self::Pull, Self::Push, Self::Delete];

    /// As scopes name it.
    pub(super) fn actions(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
            Self::Delete => "pull,push,delete",
        }
    }

    /// What is asked for at once, to spare a second exchange.
    fn widened(self, intent: Intent) -> Self {
        match intent {
            Intent::Read => self,
            Intent::Write => self.max(Self::Push),
        }
    }
}

/// What one registry asks for, and what it was given.
#[derive(Debug, Default)]
pub(super) struct Auth {
    challenges: Mutex<Challenges>,
    slots: Mutex<HashMap<(String, Access), Arc<Slot>>>,
    next_id: AtomicU64,
}

/// Registries that are many in one (Artifactory) name a token server for each repository.
#[derive(Debug, Default)]
struct Challenges {
    of_host: Option<Arc<Challenge>>,
    of_repository: HashMap<String, Arc<Challenge>>,
}

/// The place of one token. Whoever needs it waits for whoever fetches it.
#[derive(Debug, Default)]
struct Slot {
    finished: AtomicU64,
    state: tokio::sync::Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    failed: Option<Failure>,
    futile_since: Option<Instant>,
}

/// What goes into `Authorization`.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// Tells this one from the one before.
    pub(super) id: u64,
    pub(super) header: HeaderValue,
    /// What it was fetched for: the place that it stands in.
    access: Access,
    good_until: Option<Instant>,
}

/// A token as it was had, and how long it may be used.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) header: HeaderValue,
    pub(super) lasts: Option<Duration>,
}

impl Auth {
    /// The challenge that holds for the repository, if one is known.
    pub(super) fn challenge(&self, repository: &str) -> Option<Arc<Challenge>> {
        let challenges = self.challenges.lock().unwrap_or_else(PoisonError::into_inner);
        challenges.of_repository.get(repository).or(challenges.of_host.as_ref()).cloned()
    }

    /// Remembers a challenge: the first for the host, another one for its repository.
    pub(super) fn learn(&self, repository: &str, challenge: &Arc<Challenge>) {
        let mut challenges = self.challenges.lock().unwrap_or_else(PoisonError::into_inner);
        match &challenges.of_host {
            None => challenges.of_host = Some(Arc::clone(challenge)),
            Some(known) if same_server(known, challenge) => {}
            Some(_) => {
                challenges.of_repository.insert(repository.to_owned(), Arc::clone(challenge));
            }
        }
    }

    /// A token that allows `access`: one that is there, or what `fetch` gets, once for all who ask.
    ///
    /// `refused` is one that the registry did not take.
    pub(super) async fn token<F: Future<Output = Result<Granted, Failure>>>(
        &self,
        repository: &str,
        access: Access,
        refused: Option<&Held>,
        fetch: impl FnOnce() -> F,
    ) -> Result<Held, Failure> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry((repository.to_owned(), access)).or_default())
        };
        let before = slot.finished.load(Ordering::Acquire);
        let mut state = slot.state.lock().await;
        if let Some(held) = state.held.as_ref().filter(|it| it.is_good())
            && refused.is_none_or(|it| it.id != held.id)
        {
            return Ok(held.clone());
        }
        if slot.finished.load(Ordering::Acquire) != before
            && let Some(failure) = &state.failed
        {
            return Err(failure.clone());
        }
        let result = fetch().await.map(|granted| Held {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            header: granted.header,
            access,
            good_until: granted.lasts.map(|lasts| Instant::now() + lasts),
        });
        state.held = result.as_ref().ok().cloned();
        state.failed = result.as_ref().err().cloned();
        slot.finished.fetch_add(1, Ordering::Release);
        result
    }

    /// The widest good token that is there and allows `access`.
    pub(super) async fn held(&self, repository: &str, access: Access) -> Option<Held> {
        for wide in Access::ALL.into_iter().filter(|it| *it >= access) {
            let Some(slot) = self.slot(repository, wide) else { continue };
            let state = slot.state.lock().await;
            if let Some(held) = state.held.as_ref().filter(|it| it.is_good()) {
                return Some(held.clone());
            }
        }
        None
    }

    /// What to ask for now: more than is needed, unless that was refused before.
    pub(super) async fn to_ask(&self, repository: &str, access: Access, intent: Intent) -> Access {
        let wide = access.widened(intent);
        if wide == access {
            return access;
        }
        let Some(slot) = self.slot(repository, wide) else { return wide };
        let was_refused = slot.state.lock().await.failed.is_some();
        if was_refused { access } else { wide }
    }

    /// Says whether it is worth fetching another token in place of `held`.
    pub(super) async fn can_renew(&self, repository: &str, held: &Held) -> bool {
        let Some(slot) = self.slot(repository, held.access) else { return true };
        let state = slot.state.lock().await;
        state.futile_since.is_none_or(|at| at.elapsed() >= FUTILE_FOR)
    }

    /// The registry refused a new token as it had refused the one before.
    pub(super) async fn renewed_in_vain(&self, repository: &str, held: &Held) {
        if let Some(slot) = self.slot(repository, held.access) {
            slot.state.lock().await.futile_since = Some(Instant::now());
        }
    }

    fn slot(&self, repository: &str, access: Access) -> Option<Arc<Slot>> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.get(&(repository.to_owned(), access)).cloned()
    }
}

impl Held {
    fn is_good(&self) -> bool {
        self.good_until.is_none_or(|until| Instant::now() < until)
    }
}

/// Says whether both lead to the same place; the scope differs from request to request.
pub(super) fn same_server(one: &Challenge, other: &Challenge) -> bool {
    match (one, other) {
        (Challenge::Basic, Challenge::Basic) => true,
        (
            Challenge::Bearer { realm: one, service: one_service, .. },
            Challenge::Bearer { realm: other, service: other_service, .. },
        ) => one == other && one_service == other_service,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
