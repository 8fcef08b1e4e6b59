//! The limits on calls: by minute, by second, by batches a minute; and the 429 that lasts a while.

use crate::quickbooks::rules::Rules;
use jiff::{SignedDuration, Timestamp};
use std::collections::{HashMap, VecDeque};

/// The calls of the last minute.
#[derive(Debug, Clone, Default)]
struct Window {
    calls: VecDeque<Timestamp>,
}

impl Window {
    fn forget(&mut self, now: Timestamp, span: SignedDuration) {
        while self.calls.front().is_some_and(|at| now.duration_since(*at) >= span) {
            self.calls.pop_front();
        }
    }

    fn within(&self, now: Timestamp, span: SignedDuration) -> usize {
        self.calls.iter().rev().take_while(|at| now.duration_since(**at) < span).count()
    }
}

const MINUTE: SignedDuration = SignedDuration::from_secs(60);
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// A call as the throttles see it.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    pub batch: bool,
    /// Calls of the app to the company under way, this one included.
    pub at_once: usize,
}

/// The throttles of one company.
#[derive(Debug, Clone, Default)]
pub struct Throttles {
    /// All calls of all apps.
    all: Window,
    by_app: HashMap<String, Window>,
    batches: HashMap<String, Window>,
    /// By app: until when everything gets 429.
    blocked: HashMap<String, Timestamp>,
    /// By app: until when batches do.
    batches_blocked: HashMap<String, Timestamp>,
}

impl Throttles {
    /// Lets a call through or says which limit it met. Refused calls don't count against limits,
    /// but a limit once met stays met for a while.
    ///
    /// Errors: the limit's text.
    pub fn admit(
        &mut self,
        app: &str,
        arrival: Arrival,
        rules: &Rules,
        now: Timestamp,
    ) -> Result<(), &'static str> {
        if !rules.throttle {
            return Ok(());
        }
        let batch = arrival.batch;
        self.check(app, arrival, rules, now)?;
        self.count(app, batch, now);
        Ok(())
    }

    fn check(
        &mut self,
        app: &str,
        Arrival { batch, at_once }: Arrival,
        rules: &Rules,
        now: Timestamp,
    ) -> Result<(), &'static str> {
        let still = |until: Option<&Timestamp>| until.is_some_and(|until| now < *until);
        if still(self.blocked.get(app)) || (batch && still(self.batches_blocked.get(app))) {
            return Err("The request limit was reached.");
        }
        let until = now
            .checked_add(SignedDuration::from_secs(rules.throttle_seconds))
            .unwrap_or(Timestamp::MAX);
        self.all.forget(now, MINUTE);
        let own = self.by_app.entry(app.to_owned()).or_default();
        own.forget(now, MINUTE);
        if self.all.calls.len() >= rules.calls_per_minute {
            self.blocked.insert(app.to_owned(), until);
            return Err("The request limit was reached: requests per minute of the company.");
        }
        if at_once > rules.calls_at_once {
            self.blocked.insert(app.to_owned(), until);
            return Err("The request limit was reached: concurrent requests of the app.");
        }
        if own.within(now, SECOND) >= rules.calls_per_second {
            self.blocked.insert(app.to_owned(), until);
            return Err("The request limit was reached: requests per second of the app.");
        }
        let batches = self.batches.entry(app.to_owned()).or_default();
        batches.forget(now, MINUTE);
        if batch && batches.calls.len() >= rules.batches_per_minute {
            self.batches_blocked.insert(app.to_owned(), until);
            return Err("The request limit was reached: batch requests per minute.");
        }
        Ok(())
    }

    fn count(&mut self, app: &str, batch: bool, now: Timestamp) {
        self.all.calls.push_back(now);
        self.by_app.entry(app.to_owned()).or_default().calls.push_back(now);
        if batch {
            self.batches.entry(app.to_owned()).or_default().calls.push_back(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Arrival = Arrival { batch: false, at_once: 1 };
    const BATCH: Arrival = Arrival { batch: true, at_once: 1 };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_795_478_400_000 + millis).unwrap()
    }

    #[test]
    fn the_eleventh_call_of_a_second_is_refused_for_a_minute() {
        let (mut throttles, rules) = (Throttles::default(), Rules::default());
        for call in 0..10 {
            assert!(throttles.admit("app", CALL, &rules, at(call * 10)).is_ok());
        }
        assert!(throttles.admit("app", CALL, &rules, at(500)).is_err());
        assert!(throttles.admit("other", CALL, &rules, at(500)).is_ok(), "per app");
        assert!(throttles.admit("app", CALL, &rules, at(60_400)).is_err(), "not yet over");
        assert!(throttles.admit("app", CALL, &rules, at(60_500)).is_ok());
    }

    #[test]
    fn five_hundred_calls_a_minute_pass_and_the_next_doesnt() {
        let (mut throttles, rules) = (Throttles::default(), Rules::default());
        for call in 0..500 {
            assert!(throttles.admit("app", CALL, &rules, at(call * 101)).is_ok(), "{call}");
        }
        assert!(throttles.admit("another", CALL, &rules, at(59_000)).is_err(), "per company");
        assert!(throttles.admit("app", CALL, &rules, at(60_102)).is_ok(), "window slides");
    }

    #[test]
    fn the_forty_first_batch_of_a_minute_is_refused_but_other_calls_pass() {
        let (mut throttles, rules) = (Throttles::default(), Rules::default());
        for batch in 0..40 {
            assert!(throttles.admit("app", BATCH, &rules, at(batch * 1_000)).is_ok());
        }
        assert!(throttles.admit("app", BATCH, &rules, at(41_000)).is_err());
        assert!(throttles.admit("app", CALL, &rules, at(42_000)).is_ok());
        assert!(throttles.admit("app", BATCH, &rules, at(100_999)).is_err());
        assert!(throttles.admit("app", BATCH, &rules, at(101_000)).is_ok());
    }

    #[test]
    fn the_eleventh_call_at_once_is_refused() {
        let (mut throttles, rules) = (Throttles::default(), Rules::default());
        let at_once = |at_once| Arrival { batch: false, at_once };
        assert!(throttles.admit("app", at_once(10), &rules, at(0)).is_ok());
        assert!(throttles.admit("app", at_once(11), &rules, at(1)).is_err());
        assert!(throttles.admit("app", at_once(1), &rules, at(59_000)).is_err());
    }
}
