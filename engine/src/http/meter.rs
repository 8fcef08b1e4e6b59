//! What a run may know of its calls while they are made.

use super::limits::lock;
use jiff::Timestamp;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// Counts of one [`super::HttpContext`] (one run), and what it waits for.
pub struct Meter {
    calls: AtomicU64,
    throttled: AtomicU64,
    waiters: Mutex<Vec<(u64, Waiting)>>,
    next: AtomicU64,
    waiting: watch::Sender<Option<Waiting>>,
}

/// Why calls wait, and until when (by the context's clock).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    pub until: Timestamp,
    pub reason: WaitReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitReason {
    /// Our own limit of calls.
    Paced,
    /// The platform asked for it: 429, or 503 with `Retry-After`.
    Throttled,
    /// A failed call is tried again.
    Retry,
}

impl Default for Meter {
    fn default() -> Self {
        Meter {
            calls: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            waiters: Mutex::new(vec![]),
            next: AtomicU64::new(0),
            waiting: watch::Sender::new(None),
        }
    }
}

impl Meter {
    /// Attempts sent so far: each one counts, also one that failed.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Answers 429 so far.
    pub fn throttled(&self) -> u64 {
        self.throttled.load(Ordering::Relaxed)
    }

    /// What is waited for now: the longest wait of all calls under way. `borrow` reads it,
    /// `changed` waits for the next one.
    pub fn waiting(&self) -> watch::Receiver<Option<Waiting>> {
        self.waiting.subscribe()
    }

    pub(super) fn called(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.throttled.fetch_add(1, Ordering::Relaxed);
    }

    /// Shows a wait until the guard goes, by its end or by cancellation.
    pub(super) fn wait(&self, waiting: Waiting) -> WaitGuard<'_> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.waiters).push((id, waiting));
        self.show();
        WaitGuard { meter: self, id }
    }

    fn show(&self) {
        let longest = lock(&self.waiters).iter().map(|(_, w)| *w).max_by_key(|w| w.until);
        self.waiting.send_replace(longest);
    }
}

pub(super) struct WaitGuard<'a> {
    meter: &'a Meter,
    id: u64,
}

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        lock(&self.meter.waiters).retain(|(id, _)| *id != self.id);
        self.meter.show();
    }
}
