//! How fast a company may be called, and how many metered reads a month (quickbooks.md, section 3).

use crate::error::{Category, Error, Result};
use crate::http::{BreakerPolicy, ClientConfig, Limits, Rate, RetryPolicy};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a company is left alone after a 429 that names no time. Intuit: wait 60 s.
pub const THROTTLED: Duration = Duration::from_secs(60);

/// Items of one batch, at the most.
pub const BATCH_ITEMS: usize = 30;

/// Batches a minute: the lower of the two figures that Intuit publishes.
pub const BATCHES_A_MINUTE: usize = 40;

/// Rows of one query, at the most.
pub const QUERY_ROWS: u64 = 1000;

/// Bytes of one answer: a thousand records of ordinary size. A query whose answer is larger is asked
/// in parts.
pub const RESPONSE_BYTES: usize = 16 << 20;

/// The server gives a request up after 120 s: waiting longer than that, its outcome is known more
/// often.
const TIMEOUT: Duration = Duration::from_secs(125);

/// A window that is a little longer than theirs: two calls a window apart can arrive closer to
/// each other than they were sent. 2.5 % of the rate is the price.
fn window(seconds: u64) -> Duration {
    Duration::from_millis(seconds * 1025)
}

/// All calls of one company: 500 a minute, 10 a second, 10 at once.
pub fn realm() -> ClientConfig {
    ClientConfig {
        limits: Limits {
            rates: vec![Rate { calls: 500, per: window(60) }, Rate { calls: 10, per: window(1) }],
            in_flight: 10,
        },
        retry: RetryPolicy { max_retry_after: Duration::from_secs(120), ..RetryPolicy::default() },
        breaker: BreakerPolicy::default(),
        allow_http: false,
        timeout: TIMEOUT,
        max_response: RESPONSE_BYTES,
        throttle_pause: Some(THROTTLED),
    }
}

/// The lane that batches pass before they are calls like any other.
pub fn batches() -> ClientConfig {
    ClientConfig {
        limits: Limits {
            rates: vec![Rate { calls: BATCHES_A_MINUTE, per: window(60) }],
            in_flight: 10,
        },
        ..realm()
    }
}

/// Metered reads of the calendar month (UTC). Intuit counts all companies of a developer together
/// and blocks every read of them once the budget is spent, writes stay free.
#[derive(Debug)]
pub struct Reads {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// First day of the month that is counted.
    month: Date,
    used: u64,
    unreported: u64,
    budget: u64,
    /// Reads refused in a row: the first one and how many.
    refused: Option<(Timestamp, u32)>,
    blocked_until: Option<Timestamp>,
}

/// Reads refused this long and this often while nothing else says why: the month's block, which
/// doesn't end after a minute.
const BLOCK_AFTER: SignedDuration = SignedDuration::from_mins(15);
const BLOCK_REFUSALS: u32 = 3;

impl Reads {
    /// Goes on from `used` reads that were counted in the month of `now`.
    pub fn new(budget: u64, used: u64, now: Timestamp) -> Reads {
        Reads {
            state: Mutex::new(State {
                month: month_of(now),
                used,
                unreported: 0,
                budget,
                refused: None,
                blocked_until: None,
            }),
        }
    }

    /// May a metered read be made? Error: `read_budget` (rate_limit) with the date from which it
    /// may.
    pub fn check(&self, now: Timestamp) -> Result<()> {
        let mut state = self.lock(now);
        let until = match state.blocked_until {
            Some(until) if now < until => until,
            _ if state.used >= state.budget => next_month(now),
            _ => {
                state.blocked_until = None;
                return Ok(());
            }
        };
        let (used, budget) = (state.used, state.budget);
        let date = until.to_zoned(TimeZone::UTC).date();
        let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
        Err(Error::new(
            Category::RateLimit,
            "read_budget",
            format!("QuickBooks gives no more reads before {date}: {used} of {budget} are spent"),
        )
        .retry_after(wait)
        .hint("Writes go on. The budget is in easysync.connections; a paid tier of the app raises it (\"read_budget\")."))
    }

    /// A read was answered with success: only those count.
    pub fn spent(&self, now: Timestamp) {
        let mut state = self.lock(now);
        state.used += 1;
        state.unreported += 1;
        state.refused = None;
    }

    /// A read was refused with 429, its waits and retries included.
    pub fn refused(&self, now: Timestamp) {
        let mut state = self.lock(now);
        let (first, times) = state.refused.map_or((now, 1), |(first, times)| (first, times + 1));
        state.refused = Some((first, times));
        if times >= BLOCK_REFUSALS && now.duration_since(first) >= BLOCK_AFTER {
            state.blocked_until = Some(next_month(now));
            state.refused = None;
        }
    }

    /// Reads of this month, and the budget.
    pub fn used(&self, now: Timestamp) -> (u64, u64) {
        let state = self.lock(now);
        (state.used, state.budget)
    }

    /// Reads since the last call of this, for the host to add to what it keeps.
    pub fn take_unreported(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.unreported)
    }

    fn lock(&self, now: Timestamp) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let month = month_of(now);
        if month > state.month {
            state.month = month;
            state.used = 0;
            state.refused = None;
        }
        state
    }
}

fn month_of(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date().first_of_month()
}

fn next_month(now: Timestamp) -> Timestamp {
    let first = month_of(now).checked_add(jiff::Span::new().months(1)).ok();
    let midnight = first.and_then(|date| date.to_zoned(TimeZone::UTC).ok());
    midnight.map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}
