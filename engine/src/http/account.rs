//! What belongs to an account, whoever calls it.

use super::breaker::{Breaker, BreakerPolicy, Circuit};
use super::limits::{Bucket, Limits, Steady, lock, until};
use jiff::Timestamp;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;

/// What all clients of an account share, over runs: places, tokens, the circuit, the platform's
/// wish to be left alone.
pub(super) struct AccountState {
    limits: Mutex<Limits>,
    places: Mutex<Arc<Semaphore>>,
    bucket: Mutex<Bucket>,
    held_until: Mutex<Option<Timestamp>>,
    pub breaker: Arc<Breaker>,
}

impl AccountState {
    pub fn new(limits: &Limits, breaker: BreakerPolicy) -> Self {
        AccountState {
            limits: Mutex::new(limits.clone()),
            places: Mutex::new(Arc::new(Semaphore::new(limits.in_flight.max(1)))),
            bucket: Mutex::new(Bucket::new(&limits.rates)),
            held_until: Mutex::new(None),
            breaker: Arc::new(Breaker::new(breaker)),
        }
    }

    /// Takes over changed settings; unchanged ones keep the tokens that were taken.
    pub fn configure(&self, limits: &Limits, breaker: BreakerPolicy) {
        self.breaker.set_policy(breaker);
        let mut current = lock(&self.limits);
        if current.in_flight != limits.in_flight {
            *lock(&self.places) = Arc::new(Semaphore::new(limits.in_flight.max(1)));
        }
        if current.rates != limits.rates {
            *lock(&self.bucket) = Bucket::new(&limits.rates);
        }
        *current = limits.clone();
    }

    pub fn circuit(&self, steady: &Steady) -> Circuit {
        self.breaker.view(steady.now())
    }

    /// No call before `then`: the platform asked for it.
    pub fn hold(&self, then: Timestamp) {
        let mut hold = lock(&self.held_until);
        *hold = Some(hold.map_or(then, |held| held.max(then)));
    }

    pub fn held(&self, now: Timestamp) -> Duration {
        lock(&self.held_until).map_or(Duration::ZERO, |then| until(now, then))
    }

    /// Calls under way take a place each.
    pub fn places(&self) -> Arc<Semaphore> {
        lock(&self.places).clone()
    }

    /// How long to wait for the token that is taken by this.
    pub fn take_token(&self, now: Timestamp) -> Duration {
        lock(&self.bucket).take(now)
    }
}
