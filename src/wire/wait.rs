//! When to try again: backoff with jitter, and `Retry-After`. Pure but for the dice.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::HeaderMap;

use crate::model::Timestamp;

/// The wait before try number `failures + 1`: doubling from `first` to `longest`, less up to half at random.
pub(crate) fn backoff(first: Duration, longest: Duration, failures: u32) -> Duration {
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(20));
    doubled.min(longest).mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// What `Retry-After` asks for: seconds, or a date.
///
/// Source: RFC 9110 §10.2.3. A date in the past asks for no wait.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    // HTTP dates end in `GMT`, which RFC 2822 knows as an obsolete zone.
    let at = DateTimeParser::new().relaxed_weekday(true).parse_timestamp(value).ok()?;
    let seconds = at.as_second().saturating_sub(now.as_seconds());
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        [("retry-after".parse().unwrap(), value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // 1994-11-06T08:49:37Z
        let now = Timestamp::from_seconds(784_111_747);
        let wait = |value: &str| retry_after(&headers(value), now).map(|it| it.as_secs());
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait(" 0 "), Some(0));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(30));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        for wrong in ["", "soon", "-1", "1.5", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(wait(wrong), None, "{wrong}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let (first, most) = (Duration::from_millis(100), Duration::from_secs(1));
        for (failures, longest) in [(1, 100), (2, 200), (4, 800), (5, 1000), (4_000_000, 1000)] {
            let wait = backoff(first, most, failures);
            let longest = Duration::from_millis(longest);
            assert!(wait <= longest && wait >= longest / 2, "{failures}: {wait:?}");
        }
    }
}
