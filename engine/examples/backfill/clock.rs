//! The simulated books' clock, as the engine reads it.

use engine::clock::Clock;
use engine::http::{Pace, Rate, Spacing, Window};
use jiff::Timestamp;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Stands still until somebody waits or is called: then it is that late. Waits that overlap are
/// counted once.
pub struct SharedClock(pub simulator::clock::SimClock);

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn sleep(&self, wait: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        let until = self.now().checked_add(wait).unwrap_or(Timestamp::MAX);
        let clock = self.0.clone();
        Box::pin(async move {
            // Others go first: what they ask for now is asked for at this time, not later.
            tokio::task::yield_now().await;
            if clock.now() < until {
                clock.set(until);
            }
        })
    }
}

/// The pace that the processes of a server keep together, on this clock: the worker keeps it, too.
pub struct ServerPace {
    pub clock: Arc<SharedClock>,
    /// When the next place of an account is due, in microseconds.
    pub due: Mutex<HashMap<String, i64>>,
    pub windows: Mutex<HashMap<String, Window>>,
}

impl Pace for ServerPace {
    fn take(&self, account: &str, spacing: Spacing) -> Duration {
        let now = self.clock.now().as_microsecond();
        let mut all = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let due = all.entry(account.to_owned()).or_insert(0);
        let (at, next) = spacing.next(*due, now);
        *due = next;
        Duration::from_micros(u64::try_from(at - now).unwrap_or(0))
    }

    fn turn(&self, account: &str, rate: Rate) -> Duration {
        let now = self.clock.now().as_microsecond();
        let mut all = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.entry(account.to_owned()).or_default().next(rate, now).unwrap_or(now);
        Duration::from_micros(u64::try_from(at - now).unwrap_or(0))
    }
}
