//! When a failed attempt is made again, and after how long.

use std::time::Duration;

/// How often and how long one call is tried. Only attempts that can't do harm are repeated:
/// see [`super::Request::idempotent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all; 1: no retry.
    pub attempts: u32,
    /// Upper end of the first wait; it doubles with each attempt.
    pub base: Duration,
    /// Upper end of every wait.
    pub cap: Duration,
    /// The longest `Retry-After` that is waited for inside a call. A longer one ends it with an
    /// error that carries `retry_after`, and the run decides.
    pub max_retry_after: Duration,
}

impl Default for RetryPolicy {
    /// Five attempts, about 15 s of waits at most; `Retry-After` up to a minute.
    fn default() -> Self {
        RetryPolicy {
            attempts: 5,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(20),
            max_retry_after: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// One attempt and no wait: where a person waits for the answer.
    pub const NONE: RetryPolicy = RetryPolicy {
        attempts: 1,
        base: Duration::ZERO,
        cap: Duration::ZERO,
        max_retry_after: Duration::ZERO,
    };

    /// The wait after attempt `attempt` (from 1 on): "full jitter", anything between nothing and a
    /// doubling end, so that callers who failed together don't come back together.
    ///
    /// Own code: `backon` adds its jitter on top of the doubling wait (never below it), and its
    /// retry loop knows neither `Retry-After` nor a breaker.
    pub(super) fn backoff(&self, attempt: u32, random: f64) -> Duration {
        let doubling = 1u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(doubling).min(self.cap).mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_jitter_takes_the_whole_range() {
        let policy = RetryPolicy::default();
        let ends: Vec<_> = (1..8).map(|n| policy.backoff(n, 1.0).as_secs()).collect();
        assert_eq!(ends, [1, 2, 4, 8, 16, 20, 20]);
        assert_eq!(policy.backoff(4, 0.0), Duration::ZERO);
        assert_eq!(policy.backoff(4, 0.5), Duration::from_secs(4));
        assert_eq!(policy.backoff(200, 1.0), policy.cap);
    }
}
