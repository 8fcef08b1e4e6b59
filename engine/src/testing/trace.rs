//! What happened, line by line: two runs of one seed must tell the same story.

use super::dice::Fuse;
use crate::clock::Clock;
use std::sync::{Arc, Mutex, PoisonError};

/// A shared list of events with their times.
#[derive(Clone)]
pub struct Trace {
    clock: Arc<dyn Clock>,
    lines: Arc<Mutex<Vec<String>>>,
    /// Burns with every line.
    pub fuse: Fuse,
}

impl Trace {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Trace { clock, lines: Arc::default(), fuse: Fuse::default() }
    }

    pub fn note(&self, event: impl std::fmt::Display) {
        let line = format!("{} {event}", self.clock.now());
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        self.fuse.burn();
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
