//! A platform that is down is left alone for a while, then tried by one call.
//!
//! Own code: the crates for it (`failsafe`, `recloser`) read the machine's clock, so that a seeded
//! simulation couldn't run them.

use super::limits::{after, lock, until};
use jiff::Timestamp;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// When a circuit opens and how long it stays so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Attempts that fail in a row (the network, or a platform that says it is down).
    pub failures: u32,
    /// How long the first opening lasts. Each failed trial doubles it.
    pub open_for: Duration,
    pub open_for_max: Duration,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        BreakerPolicy {
            failures: 8,
            open_for: Duration::from_secs(30),
            open_for_max: Duration::from_secs(300),
        }
    }
}

/// State of an account's circuit, as `connection_health` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circuit {
    pub state: CircuitState,
    /// Attempts that failed in a row.
    pub failures: u32,
    /// Until when no call is made; only while open.
    pub open_until: Option<Timestamp>,
    /// Code of the last failure (`connection_refused`, `http_503`, ...).
    pub last_code: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitState {
    /// Calls are made.
    Closed,
    /// No call is made.
    Open,
    /// One call tries whether the platform is back.
    HalfOpen,
}

impl CircuitState {
    /// The word of the SQL surface.
    pub fn as_str(self) -> &'static str {
        match self {
            CircuitState::Closed => "closed",
            CircuitState::Open => "open",
            CircuitState::HalfOpen => "half_open",
        }
    }
}

pub(super) struct Breaker {
    state: Mutex<Inner>,
}

struct Inner {
    policy: BreakerPolicy,
    failures: u32,
    /// None: closed.
    open_until: Option<Timestamp>,
    open_for: Duration,
    trial: bool,
    last_code: Option<String>,
}

/// Leave to make one attempt. Given back without a verdict (cancelled), it counts as none was made.
pub(super) struct Permit {
    breaker: Arc<Breaker>,
    trial: bool,
}

impl Breaker {
    pub fn new(policy: BreakerPolicy) -> Self {
        Breaker {
            state: Mutex::new(Inner {
                policy,
                failures: 0,
                open_until: None,
                open_for: policy.open_for,
                trial: false,
                last_code: None,
            }),
        }
    }

    pub fn set_policy(&self, policy: BreakerPolicy) {
        lock(&self.state).policy = policy;
    }

    /// How long there is no leave for an attempt, if so.
    pub fn check(self: &Arc<Self>, now: Timestamp) -> Result<(), Duration> {
        let inner = lock(&self.state);
        match inner.open_until {
            Some(then) if now < then => Err(until(now, then)),
            Some(_) if inner.trial => Err(Duration::from_secs(1)),
            _ => Ok(()),
        }
    }

    /// Leave for an attempt, or how long there is none. A trial under way says one second: its
    /// outcome isn't known before.
    pub fn admit(self: &Arc<Self>, now: Timestamp) -> Result<Permit, Duration> {
        self.check(now)?;
        let mut inner = lock(&self.state);
        // Between the check and here another call may have become the trial.
        let trial = inner.open_until.is_some();
        if trial && inner.trial {
            return Err(Duration::from_secs(1));
        }
        inner.trial |= trial;
        Ok(Permit { breaker: self.clone(), trial })
    }

    pub fn view(&self, now: Timestamp) -> Circuit {
        let inner = lock(&self.state);
        let state = match inner.open_until {
            None => CircuitState::Closed,
            Some(then) if now < then => CircuitState::Open,
            Some(_) => CircuitState::HalfOpen,
        };
        Circuit {
            state,
            failures: inner.failures,
            open_until: inner.open_until.filter(|_| state == CircuitState::Open),
            last_code: inner.last_code.clone(),
        }
    }
}

impl Permit {
    /// The platform answered, if only with a refusal.
    pub fn answered(self) {
        let mut inner = lock(&self.breaker.state);
        inner.failures = 0;
        inner.open_until = None;
        inner.open_for = inner.policy.open_for;
        inner.last_code = None;
    }

    /// The platform can't be reached or says that it is down.
    pub fn failed(self, now: Timestamp, code: &str) {
        let mut inner = lock(&self.breaker.state);
        inner.failures = inner.failures.saturating_add(1);
        inner.last_code = Some(code.to_owned());
        if self.trial {
            inner.open_for = (inner.open_for * 2).min(inner.policy.open_for_max);
            inner.open_until = Some(after(now, inner.open_for));
        } else if inner.open_until.is_none() && inner.failures >= inner.policy.failures {
            inner.open_for = inner.policy.open_for;
            inner.open_until = Some(after(now, inner.open_for));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.trial {
            lock(&self.breaker.state).trial = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn breaker() -> Arc<Breaker> {
        Arc::new(Breaker::new(BreakerPolicy {
            failures: 3,
            open_for: Duration::from_secs(10),
            open_for_max: Duration::from_secs(35),
        }))
    }

    fn fail(breaker: &Arc<Breaker>, now: Timestamp) {
        breaker.admit(now).ok().unwrap().failed(now, "timeout");
    }

    fn open(breaker: &Arc<Breaker>) {
        (0..3).for_each(|_| fail(breaker, at(0)));
    }

    #[test]
    fn failures_in_a_row_open_the_circuit_and_an_answer_between_them_does_not() {
        let breaker = breaker();
        fail(&breaker, at(0));
        fail(&breaker, at(0));
        breaker.admit(at(0)).ok().unwrap().answered();
        fail(&breaker, at(0));
        fail(&breaker, at(0));
        assert_eq!(breaker.view(at(0)).state, CircuitState::Closed);
        fail(&breaker, at(0));
        let view = breaker.view(at(1));
        assert_eq!(view.state, CircuitState::Open);
        assert_eq!(view.open_until, Some(at(10)));
        assert_eq!(view.last_code.as_deref(), Some("timeout"));
        assert_eq!(breaker.admit(at(1)).err(), Some(Duration::from_secs(9)));
    }

    #[test]
    fn one_call_tries_an_open_circuit_and_its_answer_closes_it() {
        let breaker = breaker();
        open(&breaker);
        let trial = breaker.admit(at(10)).ok().unwrap();
        assert_eq!(breaker.view(at(10)).state, CircuitState::HalfOpen);
        assert!(breaker.admit(at(10)).is_err(), "a second call waits for the trial");
        trial.answered();
        assert_eq!(breaker.view(at(10)).state, CircuitState::Closed);
        assert!(breaker.admit(at(10)).is_ok());
    }

    #[test]
    fn each_failed_trial_doubles_the_time_up_to_its_end() {
        let breaker = breaker();
        open(&breaker);
        let mut now = 10;
        for opened in [20, 35, 35] {
            fail(&breaker, at(now));
            assert_eq!(breaker.view(at(now)).open_until, Some(at(now + opened)));
            now += opened;
        }
        breaker.admit(at(now)).ok().unwrap().answered();
        open(&breaker);
        assert_eq!(breaker.view(at(0)).open_until, Some(at(10)), "and an answer forgets it");
    }

    #[test]
    fn a_trial_that_was_cancelled_leaves_room_for_the_next_one() {
        let breaker = breaker();
        open(&breaker);
        drop(breaker.admit(at(10)).ok().unwrap());
        assert!(breaker.admit(at(10)).is_ok());
    }

    #[test]
    fn a_late_failure_of_a_call_from_before_does_not_prolong_the_opening() {
        let breaker = breaker();
        let slow = breaker.admit(at(0)).ok().unwrap();
        open(&breaker);
        slow.failed(at(9), "timeout");
        assert_eq!(breaker.view(at(9)).open_until, Some(at(10)));
    }
}
