//! What a page does to the hub: told as it is written, or only planned.

use crate::error::DbResult;
use crate::store::diff::Fields;
use crate::store::hub::Relation;
use crate::store::links::{self, Link};
use crate::store::look::{Overlay, RowState};
use crate::store::rows;
use engine::model::{Entity, Record, TableId, label};
use engine::plan::Action;
use engine::pull::HubChange;
use engine::store::{Stream, SyncId};

pub struct Journal<'o> {
    /// The run: links of what it creates carry it.
    pub sync_id: SyncId,
    /// What was changed in records that the hub held before.
    pub changes: Vec<HubChange>,
    /// Nothing is written: what would be is planned here.
    pub look: Option<&'o mut Overlay>,
}

impl<'o> Journal<'o> {
    pub fn of(sync_id: SyncId) -> Self {
        Journal { sync_id, changes: vec![], look: None }
    }

    pub fn looking(sync_id: SyncId, overlay: &'o mut Overlay) -> Self {
        Journal { sync_id, changes: vec![], look: Some(overlay) }
    }

    /// Is it written?
    pub fn writes(&self) -> bool {
        self.look.is_none()
    }

    /// The links of `ids`, each in the place of its id.
    pub fn links(
        &self,
        stream: &Stream,
        entity: Entity,
        ids: &[&str],
    ) -> DbResult<Vec<Option<Link>>> {
        let mut known = links::lookup(stream, entity, ids)?;
        if let Some(overlay) = &self.look {
            for (id, link) in ids.iter().zip(&mut known) {
                if let Some(planned) = overlay.link(entity, id) {
                    *link = Some(planned.clone());
                }
            }
        }
        Ok(known)
    }

    /// Hub ids for new rows.
    pub fn new_ids(&mut self, relation: &Relation, count: usize) -> DbResult<Vec<i64>> {
        match &mut self.look {
            Some(overlay) => Ok((0..count).map(|_| overlay.new_id()).collect()),
            None => rows::new_ids(relation, count),
        }
    }

    /// How a row stands that this run has planned something for.
    pub fn row_state(&self, entity: Entity, hub_id: i64) -> Option<RowState> {
        self.look.as_ref().and_then(|overlay| overlay.row(entity, hub_id))
    }

    /// Notes that records are gone there; the hub ids of those that weren't known to be.
    pub fn mark_deleted(
        &mut self,
        stream: &Stream,
        entity: Entity,
        ids: &[String],
    ) -> DbResult<Vec<i64>> {
        if self.writes() {
            return links::mark_deleted(stream, entity, ids);
        }
        let keys: Vec<&str> = ids.iter().map(String::as_str).collect();
        let known = self.links(stream, entity, &keys)?;
        let mut marked = vec![];
        for (id, link) in keys.into_iter().zip(known) {
            if let (Some(overlay), Some(link)) = (&mut self.look, link.filter(|l| !l.deleted)) {
                marked.extend(link.hub_id);
                overlay.set_link(entity, id, Link { deleted: true, ..link });
            }
        }
        Ok(marked)
    }

    /// Notes that records are there again.
    pub fn unmark_deleted(
        &mut self,
        stream: &Stream,
        entity: Entity,
        ids: &[String],
    ) -> DbResult<()> {
        if self.writes() {
            return links::unmark_deleted(stream, entity, ids);
        }
        let keys: Vec<&str> = ids.iter().map(String::as_str).collect();
        let known = self.links(stream, entity, &keys)?;
        for (id, link) in keys.into_iter().zip(known) {
            if let (Some(overlay), Some(link)) = (&mut self.look, link) {
                overlay.set_link(entity, id, Link { deleted: false, ..link });
            }
        }
        Ok(())
    }

    /// A record of the page. One in which nothing differs is no change.
    pub fn record(&mut self, record: &Record, hub_id: i64, action: Action, fields: Fields) {
        self.add(of_record(record, hub_id, action, fields), false);
    }

    /// A record that this database would refuse.
    pub fn refuse(&mut self, record: &Record, hub_id: i64, reason: &str) {
        let change = of_record(record, hub_id, Action::Skip, Fields::new());
        if let Some(overlay) = &mut self.look {
            overlay.skip(HubChange { reason: Some(reason.to_owned()), ..change });
        }
    }

    /// A row of the hub that goes with what happened to another, or is gone there.
    pub fn row(&mut self, entity: Entity, row: HubRow, action: Action, reason: &str) {
        let Some((table, _)) = TableId::of(entity) else { return };
        let state = match action {
            Action::Delete => RowState::Removed,
            Action::Inactivate => RowState::Gone,
            _ => RowState::Present,
        };
        if let Some(overlay) = &mut self.look {
            overlay.set_row(entity, row.hub_id, state);
        }
        let change = HubChange {
            entity,
            hub_id: row.hub_id,
            label: label(entity, row.called.as_deref(), &row.record_id),
            record_id: row.record_id,
            target: table.table().name,
            action,
            reason: Some(reason.to_owned()),
            fields: row.fields,
        };
        self.add(change, action != Action::Delete);
    }

    fn add(&mut self, change: HubChange, extends: bool) {
        match &mut self.look {
            Some(overlay) => overlay.plan(change, extends),
            None if change.fields.is_empty() => {}
            None => self.changes.push(change),
        }
    }
}

fn of_record(record: &Record, hub_id: i64, action: Action, fields: Fields) -> HubChange {
    HubChange {
        entity: record.entity,
        hub_id,
        record_id: record.remote_id.clone(),
        label: record.label.clone(),
        target: record.row.table.table().name,
        action,
        reason: None,
        fields,
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
