//! A pace that several processes keep together: a session that previews and the worker that pushes
//! call the same account, each with a bucket of its own.

use super::limits::Rate;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

/// Where the processes of a host agree on the places of an account's calls.
pub trait Pace: Send + Sync {
    /// Takes the next place of `account` and says how long it is until then.
    fn take(&self, account: &str, spacing: Spacing) -> Duration;

    /// Takes the next place of `account` in a window of `rate`, and says how long it is until then:
    /// for a lane of few and large calls, all of which may go at once. Zero: nobody keeps count.
    fn turn(&self, _account: &str, _rate: Rate) -> Duration {
        Duration::ZERO
    }
}

/// When the last places of an account were taken: as many as one window holds. Those who take
/// places wait for nobody, and one that goes away in the middle leaves nothing locked.
#[derive(Debug)]
pub struct Window {
    taken: AtomicU64,
    /// Microseconds of a clock that all share; 0: nobody has taken it.
    times: [AtomicI64; Window::PLACES],
}

impl Window {
    /// Calls of one window, at the most.
    pub const PLACES: usize = 64;

    pub fn new() -> Window {
        Window { taken: AtomicU64::new(0), times: std::array::from_fn(|_| AtomicI64::new(0)) }
    }

    /// When the next call may go, at `now` or later: a window after the call that has as many behind
    /// it as the rate allows. None: the rate allows more than is counted.
    pub fn next(&self, rate: Rate, now: i64) -> Option<i64> {
        let calls = u64::try_from(rate.calls).ok()?;
        if rate.calls == 0 || rate.calls > Window::PLACES {
            return None;
        }
        let per = i64::try_from(rate.per.as_micros()).unwrap_or(i64::MAX);
        let place = self.taken.fetch_add(1, AcqRel) % calls;
        let taken = self.times.get(usize::try_from(place).unwrap_or(0))?;
        let at = match taken.load(Acquire) {
            0 => now,
            earlier => now.max(earlier.saturating_add(per)),
        };
        taken.store(at, Release);
        Some(at)
    }
}

impl Default for Window {
    fn default() -> Window {
        Window::new()
    }
}

/// Places at equal distances, some of which may be taken ahead of their time. One number is all
/// that has to be shared: when the next place is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spacing {
    /// Microseconds from one place to the next.
    pub interval: i64,
    /// How many places may be taken before they are due.
    pub ahead: i64,
}

impl Spacing {
    /// The closest that keeps all the rates: a third of the tightest one at once, the rest evenly.
    /// None: there is no rate to keep.
    pub fn of(rates: &[Rate]) -> Option<Spacing> {
        let count = |rate: &Rate| i64::try_from(rate.calls).unwrap_or(i64::MAX);
        let rates = || rates.iter().filter(|rate| rate.calls > 0);
        let ahead = rates().map(|rate| (count(rate) - 1) / 3).min()?;
        // In a stretch of `per`, the places that are due and those taken ahead come to `calls`.
        let interval = |rate: &Rate| {
            let per = i64::try_from(rate.per.as_micros()).unwrap_or(i64::MAX);
            per.div_euclid(count(rate) - ahead) + 1
        };
        Some(Spacing { interval: rates().map(interval).max()?, ahead })
    }

    /// From when the next place is due, and `now`, in microseconds: when this call may go, and when
    /// the place after it is due.
    pub fn next(&self, due: i64, now: i64) -> (i64, i64) {
        let at = due.saturating_sub(self.ahead.saturating_mul(self.interval)).max(now);
        (at, due.max(now).saturating_add(self.interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Rate = Rate { calls: 500, per: Duration::from_secs(60) };
    const SECOND: Rate = Rate { calls: 10, per: Duration::from_secs(1) };

    #[test]
    fn no_window_holds_more_calls_than_any_rate_allows() {
        let spacing = Spacing::of(&[MINUTE, SECOND]).unwrap();
        let mut due = 0;
        let mut times: Vec<i64> = vec![];
        for call in 0..1_500_i64 {
            // Everybody at once, a pause, and then everybody again.
            let now = if call < 700 { 0 } else { 400_000_000 };
            let (at, next) = spacing.next(due, now);
            due = next;
            times.push(at);
        }
        for rate in [MINUTE, SECOND] {
            for (i, end) in times.iter().enumerate().skip(rate.calls) {
                let per = i64::try_from(rate.per.as_micros()).unwrap();
                assert!(end - times[i - rate.calls] >= per, "{rate:?} at call {i}");
            }
        }
    }

    #[test]
    fn a_window_lets_all_its_calls_go_at_once_and_never_more_in_any_of_its_length() {
        let forty = Rate { calls: 40, per: Duration::from_secs(60) };
        let window = Window::new();
        let mut times: Vec<i64> = vec![];
        for call in 0..200_i64 {
            // A process goes away in mid window, and the next one takes up where it left off.
            let now = if call < 55 { 1_000_000 } else { 31_000_000 };
            times.push(window.next(forty, now).unwrap());
        }
        assert!(times[..40].iter().all(|time| *time == 1_000_000), "all at once");
        for (i, end) in times.iter().enumerate().skip(40) {
            assert!(end - times[i - 40] >= 60_000_000, "call {i}");
        }
        assert_eq!(window.next(Rate { calls: 65, ..forty }, 0), None, "more than is counted");
    }

    #[test]
    fn some_calls_go_at_once_and_the_others_evenly() {
        let spacing = Spacing::of(&[SECOND]).unwrap();
        let mut due = 0;
        let mut times = vec![];
        for _ in 0..6 {
            let (at, next) = spacing.next(due, 1_000_000);
            due = next;
            times.push((at - 1_000_000) / 1000);
        }
        assert_eq!(times, [0, 0, 0, 0, 142, 285]);
    }

    #[test]
    fn an_account_without_a_rate_has_no_pace() {
        assert_eq!(Spacing::of(&[]), None);
        let one = Rate { calls: 1, per: Duration::from_secs(10) };
        assert_eq!(Spacing::of(&[one]), Some(Spacing { interval: 10_000_001, ahead: 0 }));
    }
}
