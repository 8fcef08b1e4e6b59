//! What webhooks tell of.

use crate::quickbooks::store::Key;
use jiff::Timestamp;
use serde_json::{Value, json};

/// A change to a record.
#[derive(Debug, Clone)]
pub struct Event {
    pub key: Key,
    /// `created`, `updated`, `deleted`, `merged`, `void`, `emailed`.
    pub operation: &'static str,
    pub at: Timestamp,
    /// The id that a merge left over.
    pub merged_away: Option<u64>,
}

impl Event {
    /// A change of the moment `at`.
    pub fn new(key: Key, operation: &'static str, at: Timestamp) -> Self {
        Event { key, operation, at, merged_away: None }
    }

    /// `{"entity", "id", "operation", "at", "deleted_id"}` for the control API.
    pub fn to_json(&self) -> Value {
        json!({
            "entity": self.key.0.name(), "id": self.key.1.to_string(),
            "operation": self.operation, "at": self.at.to_string(),
            "deleted_id": self.merged_away.map(|id| id.to_string()),
        })
    }
}
