//! How much is asked of one host: requests at once, requests a second, pauses, outages.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

/// While a host is unreachable, one request in this time asks whether it is back; the others fail at once.
const PROBE_EVERY: Duration = Duration::from_secs(10);

/// The gate before one host.
///
/// Many requests that are told to slow down at once are one reason to pause, not many: each carries the
/// epoch in which it was let in, and only the first of an epoch opens the next.
#[derive(Debug)]
pub(super) struct Limiter {
    permits: Semaphore,
    requests: Option<Pace>,
    writes: Option<Pace>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    epoch: u64,
    /// Epochs since the host last took a request; the next pause grows with it.
    pauses: u32,
    paused_until: Option<Instant>,
    last_answer: Option<Instant>,
    outage: Option<Down>,
}

#[derive(Debug)]
struct Down {
    how: Outage,
    said: String,
    next_probe: Instant,
}

/// How a host is down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outage {
    /// It answers nothing but failures, or too late. Each request is tried once.
    Failing,
    /// It cannot be connected to. Few requests are tried, the others fail at once.
    Unreachable,
}

/// What a request does, as far as the limits care.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Load {
    Read,
    Write,
}

/// The right to send one request; given back when dropped.
#[derive(Debug)]
pub(super) struct Admission<'a> {
    epoch: u64,
    /// It finds out whether the host is back, and is not tried again.
    pub(super) is_probe: bool,
    _permit: Option<SemaphorePermit<'a>>,
}

/// Why a request may not be sent now.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The host was found down a moment ago, and said this.
    Down(String),
    /// The host wants to be left alone for longer than the request can wait.
    Paused(Duration),
}

impl Limiter {
    pub(super) fn new(
        concurrency: NonZeroU32,
        requests_per_second: Option<f64>,
        writes_per_second: Option<f64>,
    ) -> Self {
        let permits = usize::try_from(concurrency.get()).unwrap_or(1).min(Semaphore::MAX_PERMITS);
        Self {
            permits: Semaphore::new(permits),
            requests: requests_per_second.and_then(Pace::new),
            writes: writes_per_second.and_then(Pace::new),
            state: Mutex::default(),
        }
    }

    /// Waits until a request may be sent, but for no pause that ends after `deadline`.
    pub(super) async fn admit(
        &self,
        load: Load,
        deadline: Instant,
    ) -> Result<Admission<'_>, Refusal> {
        loop {
            self.wait_out_pause(deadline).await?;
            let permit = self.permits.acquire().await.ok();
            if let Some(pace) = &self.requests {
                pace.wait().await;
            }
            if let Some(pace) = self.writes.as_ref().filter(|_| load == Load::Write) {
                pace.wait().await;
            }
            let mut state = self.state();
            let now = Instant::now();
            if state.paused_until.is_some_and(|until| until > now) {
                continue;
            }
            let is_probe = match &mut state.outage {
                None => false,
                Some(outage) if outage.how == Outage::Failing => true,
                Some(outage) if now >= outage.next_probe => {
                    outage.next_probe = now + PROBE_EVERY;
                    true
                }
                Some(outage) => return Err(Refusal::Down(outage.said.clone())),
            };
            return Ok(Admission { epoch: state.epoch, is_probe, _permit: permit });
        }
    }

    /// The host answered; whatever it said, it is there.
    pub(super) fn answered(&self) {
        let mut state = self.state();
        state.last_answer = Some(Instant::now());
        state.outage = None;
        state.pauses = 0;
    }

    /// The host wants less: pauses all requests to it, once for all that were under way.
    ///
    /// `pause` tells the length from the number of pauses in a row.
    pub(super) fn slow_down(&self, told: &Admission<'_>, pause: impl FnOnce(u32) -> Duration) {
        let mut state = self.state();
        if state.epoch != told.epoch {
            return;
        }
        state.epoch += 1;
        state.pauses = state.pauses.saturating_add(1);
        let until = Instant::now() + pause(state.pauses);
        state.paused_until = Some(state.paused_until.map_or(until, |before| before.max(until)));
    }

    /// A request that began at `since` gave up. If the host answered nobody since, it is down.
    pub(super) fn gave_up(&self, since: Instant, how: Outage, said: &str) {
        let mut state = self.state();
        if state.last_answer.is_some_and(|at| at >= since) {
            return;
        }
        let next_probe = Instant::now() + PROBE_EVERY;
        state.outage = Some(Down { how, said: said.to_owned(), next_probe });
    }

    async fn wait_out_pause(&self, deadline: Instant) -> Result<(), Refusal> {
        loop {
            let until = self.state().paused_until.filter(|until| *until > Instant::now());
            match until {
                None => return Ok(()),
                Some(until) if until > deadline => {
                    return Err(Refusal::Paused(until.saturating_duration_since(Instant::now())));
                }
                // Not all in the same instant.
                Some(until) => {
                    sleep_until(until + Duration::from_millis(fastrand::u64(..20))).await
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So many a second, evenly, without bursts.
#[derive(Debug)]
struct Pace {
    interval: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// No pace, if `per_second` is no positive number.
    fn new(per_second: f64) -> Option<Self> {
        let interval = Duration::try_from_secs_f64(1.0 / per_second).ok()?;
        (per_second > 0.0).then_some(Self { interval, next: Mutex::default() })
    }

    async fn wait(&self) {
        let slot = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let slot = next.map_or(now, |next| next.max(now));
            *next = Some(slot + self.interval);
            slot
        };
        sleep_until(slot).await;
    }
}

#[cfg(test)]
mod tests;
