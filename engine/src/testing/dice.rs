//! The one source of chance of a simulation.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// A seeded generator that all parts of a simulation share.
#[derive(Clone)]
pub struct Dice(Arc<Mutex<fastrand::Rng>>);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))))
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A number of the range; its start where the range is empty.
    pub fn below(&self, range: Range<u64>) -> u64 {
        if range.is_empty() { range.start } else { self.draw(|rng| rng.u64(range)) }
    }

    /// True in about `percent` of a hundred throws.
    pub fn chance(&self, percent: u64) -> bool {
        self.below(0..100) < percent
    }

    /// One of the items; none of none.
    pub fn pick<T: Copy>(&self, items: &[T]) -> Option<T> {
        let index = self.below(0..items.len() as u64);
        items.get(usize::try_from(index).ok()?).copied()
    }
}

/// Burns down with every event of a simulation; whoever waits for its end is interrupted there.
#[derive(Clone, Default)]
pub struct Fuse(Arc<FuseState>);

#[derive(Default)]
struct FuseState {
    left: Mutex<Option<u64>>,
    burnt: tokio::sync::Notify,
}

impl Fuse {
    /// Lights it for that many events; None puts it out.
    pub fn light(&self, events: Option<u64>) {
        *self.0.left.lock().unwrap_or_else(PoisonError::into_inner) = events;
    }

    /// One event.
    pub(super) fn burn(&self) {
        let mut left = self.0.left.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(events) = left.as_mut() {
            *events = events.saturating_sub(1);
            if *events == 0 {
                *left = None;
                self.0.burnt.notify_one();
            }
        }
    }

    /// Resolves when it has burnt down.
    pub async fn burnt(&self) {
        self.0.burnt.notified().await;
    }
}
