//! Time as UTC seconds, and where it comes from.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A moment, in whole seconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Timestamp(jiff::Timestamp);

impl Timestamp {
    /// A moment `seconds` after the epoch; out of the range of the calendar, the nearest end of it.
    pub fn from_seconds(seconds: i64) -> Self {
        let nearest = if seconds < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        Self(jiff::Timestamp::from_second(seconds).unwrap_or(nearest))
    }

    /// Seconds since the epoch.
    pub fn as_seconds(self) -> i64 {
        self.0.as_second()
    }

    /// The moment `duration` later.
    pub fn after(self, duration: std::time::Duration) -> Self {
        let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        Self::from_seconds(self.as_seconds().saturating_add(seconds))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339: `2026-11-22T18:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where the time comes from; tests choose it.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(jiff::Timestamp::now().as_second())
    }
}
