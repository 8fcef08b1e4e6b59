//! The simulated books' clock, as the engine reads it.

use engine::clock::Clock;
use jiff::Timestamp;
use std::future::Future;
use std::pin::Pin;
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
