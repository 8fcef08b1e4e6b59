//! What was called and written, so that tests can hold it against what should have been.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

/// Calls of a company by kind, and how its writes went.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// Reads by id, queries and change data capture: metered.
    pub reads: u64,
    /// Creates, updates, deletes and voids, one a call.
    pub writes: u64,
    pub batches: u64,
    /// Operations inside batches.
    pub batch_items: u64,
    /// Exchanges and refreshes of tokens.
    pub oauth: u64,
    /// Answers repeated for a `requestid` that was used before.
    pub replayed: u64,
    /// 429s.
    pub throttled: u64,
    /// Writes and batches that came without a `requestid`.
    pub without_request_id: u64,
}

/// One write as it was asked for and answered.
#[derive(Debug, Clone, Serialize)]
pub struct Note {
    pub at: Timestamp,
    pub entity: &'static str,
    /// `create`, `update`, `delete`, `void`, or `batch` for the call around its items.
    pub operation: &'static str,
    pub request_id: Option<String>,
    /// The item's `bId` inside a batch.
    pub batch_id: Option<String>,
    /// What was written; absent when it was refused.
    pub id: Option<String>,
    pub doc_number: Option<String>,
    /// The code of the refusal.
    pub code: Option<String>,
    /// True when an earlier answer was repeated and nothing done.
    pub replayed: bool,
}

/// All writes and counts of a company since its start or the last reset.
#[derive(Debug, Clone, Default)]
pub struct Journal {
    counts: Counts,
    notes: Vec<Note>,
    /// The calendar month that is metered, as `2026-11`, and its successful reads.
    month: (String, u64),
}

impl Journal {
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    pub fn counts_mut(&mut self) -> &mut Counts {
        &mut self.counts
    }

    pub fn count_oauth(&mut self) {
        self.counts.oauth += 1;
    }

    pub fn note(&mut self, note: Note) {
        self.notes.push(note);
    }

    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Metered reads of the month that `now` is in.
    pub fn reads_this_month(&self, now: Timestamp) -> u64 {
        if self.month.0 == month(now) { self.month.1 } else { 0 }
    }

    /// Meters a read that succeeded.
    pub fn meter(&mut self, now: Timestamp) {
        let month = month(now);
        if self.month.0 != month {
            self.month = (month, 0);
        }
        self.month.1 += 1;
    }

    /// Starts counting anew; the meter goes on.
    pub fn reset(&mut self) {
        self.counts = Counts::default();
        self.notes.clear();
    }

    /// Counts for the control API.
    pub fn to_json(&self, now: Timestamp) -> Value {
        let mut all = serde_json::to_value(&self.counts).unwrap_or_default();
        all["reads_this_month"] = json!(self.reads_this_month(now));
        let calls = &self.counts;
        all["calls"] = json!(calls.reads + calls.writes + calls.batches);
        all
    }
}

fn month(now: Timestamp) -> String {
    now.strftime("%Y-%m").to_string()
}
