//! When a token is renewed: never in a short run, and in a long one before it ends.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Most runs end before. No token that a person or a pipeline is given ends sooner.
const FIRST: Duration = Duration::from_secs(60);
/// A token at the end of its longest life is given ever shorter ones.
const SHORTEST: Duration = Duration::from_secs(5);

/// The moment of the next renewal; none where somebody is at it, or the token cannot be renewed.
#[derive(Debug)]
pub(super) struct Renewal(Mutex<Option<Instant>>);

impl Renewal {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Some(Instant::now() + FIRST)))
    }

    /// Says whether it is time, to one of all who ask; that one then calls [`Self::after`].
    pub(super) fn is_due(&self) -> bool {
        let now = Instant::now();
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        next.take_if(|it| *it <= now).is_some()
    }

    /// Notes how long the token lasts from now on; without it, it is not renewed again.
    pub(super) fn after(&self, lifetime: Option<Duration>) {
        let next = lifetime.map(|it| Instant::now() + (it / 2).max(SHORTEST));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
}
