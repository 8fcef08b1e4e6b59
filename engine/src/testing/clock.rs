//! Simulated time.

use crate::clock::Clock;
use jiff::Timestamp;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::Instant;

/// A clock on tokio's time. In a runtime built with `start_paused` that time stands still while
/// anything can run and then jumps to the next wait, so hours pass in no time and in a fixed order;
/// [`SimClock::advance`] moves it by hand.
#[derive(Debug, Clone, Copy)]
pub struct SimClock {
    start: Timestamp,
    origin: Instant,
}

impl SimClock {
    /// A clock that shows `start` now.
    pub fn new(start: Timestamp) -> Self {
        SimClock { start, origin: Instant::now() }
    }

    /// Lets time pass at once; waits that end meanwhile end.
    pub async fn advance(&self, by: Duration) {
        tokio::time::advance(by).await;
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.start.checked_add(self.origin.elapsed()).unwrap_or(Timestamp::MAX)
    }

    fn sleep(&self, wait: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        Box::pin(tokio::time::sleep(wait))
    }
}
