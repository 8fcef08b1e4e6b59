//! One page into the hub: which records are new, which have changed, what they refer to.

use super::refusal;
use super::state::{Failed, HubLine, HubRow, Link, State, Stored};
use crate::error::Result;
use crate::model::{Cell, ColumnKind, Entity, Presence, Record, RecordFailure, Row, TableId};
use crate::store::{Counts, PageWrite, Stream};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What others refer to comes first.
const ORDER: [Entity; 4] = [Entity::Customers, Entity::Products, Entity::Orders, Entity::Refunds];

impl State {
    pub(super) fn write_page(
        &mut self,
        page: &PageWrite,
        refused: &[String],
        now: Timestamp,
    ) -> Result<Counts> {
        let mut counts = Counts::default();
        let mut failed = page.failures.clone();
        for entity in ORDER {
            for record in newest(&page.records).into_iter().filter(|r| r.entity == entity) {
                let own = entity == page.stream.entity;
                if refused.contains(&record.remote_id) {
                    failed.push(refusal(record, "23514"));
                    continue;
                }
                match self.apply(&page.stream, record) {
                    Ok(change) if own => counts += change,
                    Ok(_) => {}
                    Err(failure) => failed.push(*failure),
                }
            }
        }
        counts.deleted += self.gone(&page.stream, &page.gone);
        counts.failed = failed.len() as u64;
        self.keep_failures(page, failed, now);
        if let Some(cursor) = &page.cursor {
            self.set_cursor(&page.stream, cursor)?;
        }
        let run = self.runs.get_mut(&page.sync_id);
        if let Some(step) = run.and_then(|run| run.steps.get_mut(&page.step)) {
            step.counts += counts;
            step.records_done += page.records_done;
            step.api_calls += page.api_calls;
        }
        Ok(counts)
    }

    /// One record; an error is one that the database would refuse it for.
    fn apply(&mut self, stream: &Stream, record: &Record) -> Result<Counts, Box<RecordFailure>> {
        let unchanged = Counts { unchanged: 1, ..Counts::default() };
        let key = (record.entity, record.remote_id.clone());
        let trashed = record.presence == Presence::Trashed;
        let link = self.links.get(&key).cloned();
        match &link {
            None if trashed => return Ok(Counts::default()),
            None => {}
            Some(link) => {
                let here = record.keep_existing && !link.deleted;
                if here || link.hash == record.hash.0 && link.deleted == trashed {
                    return Ok(unchanged);
                }
            }
        }
        let hub_id = link.as_ref().map_or_else(|| self.next_id(), |link| link.hub_id);
        let (hash, refs_pending) = self.settled_hash(record);
        if link.as_ref().is_some_and(|link| link.hash == hash && link.deleted == trashed) {
            return Ok(unchanged);
        }
        let row = self.hub_row(hub_id, record).ok_or_else(|| Box::new(refusal(record, "23502")))?;
        let counts = match &link {
            None => Counts { created: 1, ..Counts::default() },
            Some(link) if trashed && !link.deleted => Counts { deleted: 1, ..Counts::default() },
            Some(_) => Counts { updated: 1, ..Counts::default() },
        };
        self.rows.insert(hub_id, Arc::new(row));
        self.written += 1;
        if link.is_some() {
            self.drop_unrelated(stream, hub_id, record);
        }
        let remote_type = record.remote_type;
        self.links.insert(key, Link { hub_id, remote_type, hash, refs_pending, deleted: trashed });
        if let Some(link) = link {
            self.follow(stream, hub_id, record, link.deleted);
        }
        Ok(counts)
    }

    /// The content's hash, and behind it, where a reference leads nowhere yet, which do.
    fn settled_hash(&self, record: &Record) -> (Vec<u8>, bool) {
        let mut state = Sha256::new();
        let mut pending = false;
        for row in std::iter::once(&record.row).chain(&record.lines) {
            for (column, cell) in row.table.table().columns.iter().zip(&row.cells) {
                if let Cell::Ref(id) = cell {
                    let found = self.target(record, column.kind, id).is_some();
                    pending |= !found;
                    state.update([u8::from(found)]);
                }
            }
        }
        let mut hash = record.hash.0.to_vec();
        if pending {
            hash.extend_from_slice(&state.finalize()[..8]);
        }
        (hash, pending)
    }

    /// The hub id that a reference leads to.
    fn target(&self, record: &Record, kind: ColumnKind, id: &str) -> Option<i64> {
        match kind {
            ColumnKind::Ref(entity) => self.resolve(entity, id),
            ColumnKind::LineRef => {
                let Cell::Ref(order) = record.row.cell("order_id") else { return None };
                let order = self.rows.get(&self.resolve(Entity::Orders, order)?)?;
                order.lines.iter().find(|line| line.source_id == id).map(|line| line.id)
            }
            _ => None,
        }
    }

    /// The row as it will be; None where a column that must have a value has none.
    fn hub_row(&mut self, hub_id: i64, record: &Record) -> Option<HubRow> {
        let old = self.rows.get(&hub_id).cloned();
        let cells =
            self.cells(record, &record.row, old.as_ref().map(|row| row.cells.as_slice()))?;
        let mut lines = Vec::with_capacity(record.lines.len());
        for row in &record.lines {
            let source_id = match row.cell("source_id") {
                Cell::Text(id) => id.clone(),
                _ => String::new(),
            };
            let known = old.iter().flat_map(|row| &row.lines).find(|l| l.source_id == source_id);
            let cells = self.cells(record, row, known.map(|line| line.cells.as_slice()))?;
            let id = known.map(|line| line.id);
            lines.push(HubLine { id: id.unwrap_or_else(|| self.next_id()), source_id, cells });
        }
        let gone = record.row.cell("deleted_at") != &Cell::Null;
        let deleted = gone || record.presence == Presence::Trashed;
        let source_id = record.remote_id.clone();
        Some(HubRow { table: record.row.table, source_id, cells, lines, deleted })
    }

    fn cells(&self, record: &Record, row: &Row, old: Option<&[Stored]>) -> Option<Vec<Stored>> {
        let columns = row.table.table().columns;
        let mut cells = Vec::with_capacity(columns.len());
        for (index, (column, cell)) in columns.iter().zip(&row.cells).enumerate() {
            let stored = match cell {
                Cell::Ref(id) => Stored::Id(self.target(record, column.kind, id)),
                Cell::Unset => {
                    old.and_then(|old| old.get(index)).cloned().unwrap_or(Stored::Value(Cell::Null))
                }
                other => Stored::Value(other.clone()),
            };
            let empty = matches!(stored, Stored::Id(None) | Stored::Value(Cell::Null));
            if empty && column.not_null && cell != &Cell::Unset {
                return None;
            }
            cells.push(stored);
        }
        Some(cells)
    }

    /// Keeps what failed, forgets what has landed or is gone.
    fn keep_failures(&mut self, page: &PageWrite, failed: Vec<RecordFailure>, now: Timestamp) {
        let names: BTreeSet<(Entity, String)> =
            failed.iter().map(|f| (f.entity, f.remote_id.clone())).collect();
        let landed = page.records.iter().filter(|r| r.entity == page.stream.entity);
        let landed = landed.map(|r| &r.remote_id).chain(&page.gone);
        for id in landed {
            let key = (page.stream.entity, id.clone());
            if !names.contains(&key) {
                self.failures.remove(&key);
            }
        }
        for failure in failed {
            let key = (failure.entity, failure.remote_id.clone());
            let attempts = self.failures.get(&key).map_or(0, |known| known.attempts) + 1;
            let minutes = 5i64.pow((attempts - 1).min(4)).min(360);
            let next = now.checked_add(SignedDuration::from_mins(minutes)).ok();
            let next_attempt = next.filter(|_| failure.error.retryable);
            self.failures.insert(key, Failed { failure, attempts, next_attempt });
        }
    }
}

/// The last of several appearances of a record in a page counts.
fn newest(records: &[Record]) -> Vec<&Record> {
    let mut seen = BTreeSet::new();
    let mut kept: Vec<&Record> =
        records.iter().rev().filter(|r| seen.insert((r.entity, r.remote_id.as_str()))).collect();
    kept.reverse();
    kept
}

/// Rows of a table, for checks.
impl State {
    pub fn rows_of(&self, table: TableId) -> impl Iterator<Item = (i64, &HubRow)> {
        self.rows.iter().filter(move |(_, row)| row.table == table).map(|(id, row)| (*id, &**row))
    }
}
