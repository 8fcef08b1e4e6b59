//! How soon a worker that went away is started again.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(60);
/// A worker that lived this long was well.
const WELL: Duration = Duration::from_secs(60);

/// One database's starts.
#[derive(Debug)]
pub struct Backoff {
    started: Instant,
    pause: Duration,
}

impl Backoff {
    /// When the next start may be, now that the worker is gone.
    pub fn after_exit(&self) -> (Instant, Duration) {
        let pause = if self.started.elapsed() >= WELL {
            FIRST
        } else {
            (self.pause * 2).clamp(FIRST, MOST)
        };
        (Instant::now() + pause, pause)
    }

    /// A start, after a pause of so long.
    pub fn started_after(pause: Duration) -> Self {
        Backoff { started: Instant::now(), pause }
    }
}
