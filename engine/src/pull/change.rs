//! What a pull changes in the hub.

use crate::model::Entity;
use crate::plan::Action;
use serde_json::{Map, Value};

/// One record of the hub that a pull changes, as a row of the view `sync_changes`.
#[derive(Debug, Clone, PartialEq)]
pub struct HubChange {
    pub entity: Entity,
    pub hub_id: i64,
    /// Id where it was born, else the hub id.
    pub record_id: String,
    /// What people call it: order number, SKU, masked e-mail.
    pub label: String,
    /// The hub's table.
    pub target: &'static str,
    pub action: Action,
    /// Why, where the fields don't say it.
    pub reason: Option<String>,
    /// `{"path": {"old": ..., "new": ...}}`: every column that differs; a line's under
    /// `lines[its id there].column`. Amounts are texts, times are in UTC. The old values put the
    /// record back as it was.
    pub fields: Map<String, Value>,
}

impl HubChange {
    /// Takes something away that the hub held: the row itself, not a mark on it.
    pub fn is_destructive(&self) -> bool {
        self.action.is_destructive()
    }
}
