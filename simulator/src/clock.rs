//! The simulated clock: it ticks like the real one, from a moment that tests may choose and move.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The recorded shop holds refunds dated a few days ahead of the recording; before this moment they
/// would lie in the future. 2026-11-24T00:00:00Z.
const RECORDING_ENDS: i64 = 1_795_478_400;

#[derive(Debug)]
struct State {
    ahead: SignedDuration,
    /// Nobody chose the time.
    by_default: bool,
    frozen_at: Option<Timestamp>,
}

/// Shared by all platforms. Cloning gives another handle to the same clock.
#[derive(Clone, Debug)]
pub struct SimClock(Arc<Mutex<State>>);

impl SimClock {
    /// Starts at `start`, or else at the later of now and 2026-11-24.
    pub fn starting_at(start: Option<Timestamp>) -> Self {
        let real = Timestamp::now();
        let floor = Timestamp::from_second(RECORDING_ENDS).unwrap_or(real);
        let by_default = start.is_none();
        let start = start.unwrap_or_else(|| real.max(floor));
        let ahead = start.duration_since(real);
        SimClock(Arc::new(Mutex::new(State { ahead, by_default, frozen_at: None })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The simulated time.
    pub fn now(&self) -> Timestamp {
        let state = self.state();
        state.frozen_at.unwrap_or_else(|| clamped(Timestamp::now(), state.ahead))
    }

    /// True while nobody chose the time: it is ahead of the real one only because of what was
    /// recorded, not to simulate a machine whose clock is wrong.
    pub fn is_default(&self) -> bool {
        self.state().by_default
    }

    /// Jumps to `now`; a frozen clock stays frozen there.
    pub fn set(&self, now: Timestamp) {
        let mut state = self.state();
        state.by_default = false;
        state.ahead = now.duration_since(Timestamp::now());
        if state.frozen_at.is_some() {
            state.frozen_at = Some(now);
        }
    }

    /// Moves on (or back, when negative).
    pub fn advance(&self, by: SignedDuration) {
        let target = clamped(self.now(), by);
        self.set(target);
    }

    /// Stops or restarts the ticking.
    pub fn freeze(&self, frozen: bool) {
        let now = self.now();
        let mut state = self.state();
        state.ahead = now.duration_since(Timestamp::now());
        state.frozen_at = frozen.then_some(now);
    }

    /// `{"now": ..., "frozen": ...}`.
    pub fn to_json(&self) -> Value {
        let frozen = self.state().frozen_at.is_some();
        json!({ "now": self.now().to_string(), "frozen": frozen })
    }
}

fn clamped(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.checked_add(by).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_starts_before_the_recording_ends() {
        let clock = SimClock::starting_at(None);
        assert!(clock.now().as_second() >= RECORDING_ENDS);
    }

    #[test]
    fn a_frozen_clock_moves_only_when_told() {
        let start: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
        let clock = SimClock::starting_at(Some(start));
        clock.freeze(true);
        clock.set(start);
        assert_eq!(clock.now(), start);
        clock.advance(SignedDuration::from_secs(90));
        assert_eq!(clock.now().to_string(), "2027-01-01T00:01:30Z");
    }
}
