//! What is gone on the platform stays here, marked.

use super::state::{State, Stored};
use crate::model::{Entity, Presence, Record, TableId};
use crate::store::{DeletePolicy, Stream};
use std::sync::Arc;

/// What hangs on other rows, and by which column.
const DEPENDENTS: [(Entity, TableId, &str); 2] = [
    (Entity::Products, TableId::Products, "parent_id"),
    (Entity::Refunds, TableId::Refunds, "order_id"),
];

impl State {
    /// Marks records that the platform says are gone; returns how many rows that changed.
    pub(super) fn gone(&mut self, stream: &Stream, ids: &[String]) -> u64 {
        self.mark(stream, stream.entity, ids)
    }

    fn mark(&mut self, stream: &Stream, entity: Entity, ids: &[String]) -> u64 {
        let mut marked = 0;
        for id in ids {
            let link = self.links.get_mut(&(entity, id.clone())).filter(|link| !link.deleted);
            let Some(link) = link else { continue };
            link.deleted = true;
            let hub_id = link.hub_id;
            self.mark_dependents(stream, hub_id);
            if stream.delete_policy == DeletePolicy::Delete && !self.is_referred_to(hub_id) {
                marked += u64::from(self.rows.remove(&hub_id).is_some());
                self.written += 1;
            } else if let Some(row) = self.rows.get_mut(&hub_id).filter(|row| !row.deleted) {
                Arc::make_mut(row).deleted = true;
                marked += 1;
                self.written += 1;
            }
        }
        marked
    }

    /// What hangs on a record is gone with it: variations of a product, refunds of an order.
    fn mark_dependents(&mut self, stream: &Stream, hub_id: i64) {
        for (entity, table, column) in DEPENDENTS {
            let ids = self.dependents(table, column, hub_id);
            self.mark(stream, entity, &ids);
        }
    }

    /// What hangs on a record goes into the trash with it, and comes back with it.
    pub(super) fn follow(&mut self, stream: &Stream, hub_id: i64, record: &Record, was: bool) {
        match (was, record.presence) {
            (false, Presence::Trashed) => self.mark_dependents(stream, hub_id),
            (true, Presence::Live) => {
                let sets = record.related.iter();
                for (entity, id) in sets.flat_map(|s| s.remote_ids.iter().map(|id| (s.entity, id)))
                {
                    self.revive(entity, id);
                }
            }
            _ => {}
        }
    }

    fn revive(&mut self, entity: Entity, id: &str) {
        let link = self.links.get_mut(&(entity, id.to_owned())).filter(|link| link.deleted);
        let Some(link) = link else { return };
        let Some(row) = self.rows.get_mut(&link.hub_id) else { return };
        link.deleted = false;
        Arc::make_mut(row).deleted = false;
        self.written += 1;
    }

    /// Source ids of the rows of `table` whose `column` refers to the row and that are present.
    fn dependents(&self, table: TableId, column: &str, hub_id: i64) -> Vec<String> {
        let Some(index) = table.table().column(column) else { return vec![] };
        self.rows_of(table)
            .filter(|(_, row)| row.cells.get(index) == Some(&Stored::Id(Some(hub_id))))
            .filter(|(_, row)| !row.deleted)
            .map(|(_, row)| row.source_id.clone())
            .collect()
    }

    /// A foreign key would keep it.
    fn is_referred_to(&self, hub_id: i64) -> bool {
        let own = self.rows.get(&hub_id).map(|row| row.lines.as_slice()).unwrap_or_default();
        let points = |cell: &Stored| match cell {
            Stored::Id(Some(id)) => *id == hub_id || own.iter().any(|line| line.id == *id),
            _ => false,
        };
        self.rows.iter().filter(|(id, _)| **id != hub_id).any(|(_, row)| {
            let lines = row.lines.iter().flat_map(|line| &line.cells);
            row.cells.iter().chain(lines).any(points)
        })
    }

    /// "Of this entity, exactly these belong to the record": others that the hub holds for it are
    /// gone.
    pub(super) fn drop_unrelated(&mut self, stream: &Stream, hub_id: i64, record: &Record) {
        for set in &record.related {
            let hanging = DEPENDENTS.into_iter().find(|(entity, ..)| *entity == set.entity);
            let Some((_, table, column)) = hanging else { continue };
            let mut missing = self.dependents(table, column, hub_id);
            missing.retain(|id| !set.remote_ids.contains(id));
            self.mark(stream, set.entity, &missing);
        }
    }
}
