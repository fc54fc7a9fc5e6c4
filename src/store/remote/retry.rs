//! When to try again, by the policy of the store.

use std::time::Duration;

use crate::store::remote::options::RetryPolicy;
use crate::wire;

pub(super) use crate::wire::retry_after;

/// The wait before try number `failures + 1`: doubling, less up to half at random.
pub(super) fn backoff(policy: &RetryPolicy, failures: u32) -> Duration {
    wire::backoff(policy.first_delay, policy.longest_delay, failures)
}
