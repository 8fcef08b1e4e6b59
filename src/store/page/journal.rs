//! What a page changes in records that the hub held before, as it is written.

use crate::store::diff::Fields;
use engine::model::{Entity, Record, TableId, label};
use engine::plan::Action;
use engine::pull::HubChange;
use engine::store::SyncId;

pub struct Journal {
    /// The run: links of what it creates carry it.
    pub sync_id: SyncId,
    pub changes: Vec<HubChange>,
}

impl Journal {
    pub fn of(sync_id: SyncId) -> Self {
        Journal { sync_id, changes: vec![] }
    }

    /// A record of the page. One in which nothing differs is no change.
    pub fn record(&mut self, record: &Record, hub_id: i64, action: Action, fields: Fields) {
        self.add(HubChange {
            entity: record.entity,
            hub_id,
            record_id: record.remote_id.clone(),
            label: record.label.clone(),
            target: record.row.table.table().name,
            action,
            reason: None,
            fields,
        });
    }

    /// A row of the hub that goes with what happened to another, or is gone there.
    pub fn row(&mut self, entity: Entity, row: HubRow, action: Action, reason: &str) {
        let Some((table, _)) = TableId::of(entity) else { return };
        self.add(HubChange {
            entity,
            hub_id: row.hub_id,
            label: label(entity, row.called.as_deref(), &row.record_id),
            record_id: row.record_id,
            target: table.table().name,
            action,
            reason: Some(reason.to_owned()),
            fields: row.fields,
        });
    }

    fn add(&mut self, change: HubChange) {
        if !change.fields.is_empty() {
            self.changes.push(change);
        }
    }
}

/// A row of the hub that a page marks, or takes away.
pub struct HubRow {
    pub hub_id: i64,
    pub record_id: String,
    /// What people call it, where it has such a thing.
    pub called: Option<String>,
    pub fields: Fields,
}
