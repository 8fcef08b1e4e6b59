//! How fast an account may be called. Waiting is the clock's, so that a simulation waits at once.

use crate::clock::Clock;
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// At most `calls` in any stretch of `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub calls: usize,
    pub per: Duration,
}

/// What an account takes. The platforms' published limits, or a shop's setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// All of them hold at once (QuickBooks: 500 a minute and 10 a second). None: no limit.
    pub rates: Vec<Rate>,
    /// Calls under way at once.
    pub in_flight: usize,
}

impl Default for Limits {
    /// No rate, four calls at once.
    fn default() -> Self {
        Limits { rates: vec![], in_flight: 4 }
    }
}

/// Time that never goes back, whatever the machine's clock does: a step back of an hour must not
/// hold an account for an hour.
pub(super) struct Steady {
    clock: Arc<dyn Clock>,
    state: Mutex<(Timestamp, SignedDuration)>,
}

impl Steady {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let now = clock.now();
        Steady { clock, state: Mutex::new((now, SignedDuration::ZERO)) }
    }

    pub fn now(&self) -> Timestamp {
        let (last, offset) = &mut *lock(&self.state);
        let read = self.clock.now();
        let now = read.checked_add(*offset).unwrap_or(read);
        if now < *last {
            *offset += last.duration_since(now);
        } else {
            *last = now;
        }
        *last
    }
}

/// A token bucket of the strict kind: each of the `calls` tokens comes back `per` after it was
/// taken. So no window of that length ever holds more calls, wherever the platform's begins, and
/// the full rate is still used.
///
/// Own code: `governor` answers only yes or no (callers that wait would race for the next token,
/// in an order that isn't reproducible), lets a burst and its refill fall into one window, and
/// waits by its own timer, not by ours.
pub(super) struct Bucket {
    rates: Vec<(Rate, VecDeque<Timestamp>)>,
}

impl Bucket {
    pub fn new(rates: &[Rate]) -> Self {
        let rates = rates.iter().filter(|rate| rate.calls > 0);
        Bucket { rates: rates.map(|rate| (*rate, VecDeque::new())).collect() }
    }

    /// Takes the next free place and says how long it is until then. Places are given in the order
    /// of asking.
    pub fn take(&mut self, now: Timestamp) -> Duration {
        let at = self.rates.iter().fold(now, |at, (rate, taken)| {
            match taken.len().checked_sub(rate.calls).and_then(|i| taken.get(i)) {
                Some(oldest) => at.max(after(*oldest, rate.per)),
                None => at,
            }
        });
        for (rate, taken) in &mut self.rates {
            taken.push_back(at);
            while taken.len() > rate.calls {
                taken.pop_front();
            }
        }
        until(now, at)
    }
}

/// `time` and `wait` on top, at the end of time at the latest.
pub(super) fn after(time: Timestamp, wait: Duration) -> Timestamp {
    time.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// How long it is from `now` to `then`; zero when that is past.
pub(super) fn until(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO)
}

/// The guarded value, also after another thread panicked with it: every one here is whole at any
/// time.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap()
    }

    /// When each of `count` calls may go, all asked for at once, in milliseconds.
    fn times(rates: &[Rate], count: usize) -> Vec<i64> {
        let mut bucket = Bucket::new(rates);
        (0..count).map(|_| bucket.take(at(0)).as_millis() as i64).collect()
    }

    const TEN_A_SECOND: Rate = Rate { calls: 10, per: Duration::from_secs(1) };
    const FIFTY_A_MINUTE: Rate = Rate { calls: 50, per: Duration::from_secs(60) };

    #[test]
    fn no_window_ever_holds_more_calls_than_its_rate_allows() {
        let rates = [TEN_A_SECOND, FIFTY_A_MINUTE];
        let times = times(&rates, 400);
        for rate in rates {
            for (i, end) in times.iter().enumerate().skip(rate.calls) {
                let start = times[i - rate.calls];
                assert!(end - start >= rate.per.as_millis() as i64, "{rate:?}: {start} to {end}");
            }
        }
    }

    #[test]
    fn the_whole_of_the_tightest_rate_is_used() {
        let times = times(&[TEN_A_SECOND, FIFTY_A_MINUTE], 400);
        assert_eq!(times[399], 7 * 60_000 + 4_000);
    }

    #[test]
    fn a_bucket_left_alone_fills_again_but_not_beyond_its_rate() {
        let mut bucket = Bucket::new(&[TEN_A_SECOND]);
        assert_eq!(bucket.take(at(0)), Duration::ZERO);
        let later: Vec<_> = (0..11).map(|_| bucket.take(at(3_600_000)).as_millis()).collect();
        assert_eq!(later[..10], [0; 10]);
        assert_eq!(later[10], 1000);
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        assert!(times(&[], 1000).iter().all(|wait| *wait == 0));
        let never = Rate { calls: 0, per: Duration::from_secs(1) };
        assert!(times(&[never], 10).iter().all(|wait| *wait == 0), "a rate of 0 is no rate");
    }

    struct Stepping(Mutex<Timestamp>);
    impl Clock for Stepping {
        fn now(&self) -> Timestamp {
            *lock(&self.0)
        }
        fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
            Box::pin(async {})
        }
    }

    #[test]
    fn a_machine_clock_that_steps_back_stops_no_account() {
        let clock = Arc::new(Stepping(Mutex::new(at(0))));
        let steady = Steady::new(clock.clone());
        *lock(&clock.0) = at(5_000);
        assert_eq!(steady.now(), at(5_000));
        *lock(&clock.0) = at(-3_600_000);
        assert_eq!(steady.now(), at(5_000));
        *lock(&clock.0) = at(-3_600_000 + 200);
        assert_eq!(steady.now(), at(5_200));
    }
}
