//! Everything that the store in memory holds.

use crate::error::{Error, Result};
use crate::model::{Cell, ConnectionName, Entity, RecordFailure, TableId};
use crate::store::{Counts, Cursor, Outcome, Run, Stream, SyncId};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One tenant with one account: keys begin where tenant and account would end.
#[derive(Clone, Default)]
pub struct State {
    pub(super) streams: Vec<Stream>,
    pub(super) suspended: BTreeSet<ConnectionName>,
    pub(super) epoch: i64,
    pub runs: BTreeMap<SyncId, RunState>,
    /// Cursors as JSON, as the database has them.
    pub(super) cursors: BTreeMap<(ConnectionName, Entity), String>,
    pub links: BTreeMap<(Entity, String), Link>,
    pub rows: BTreeMap<i64, Arc<HubRow>>,
    pub failures: BTreeMap<(Entity, String), Failed>,
    pub(super) last_id: i64,
    /// Rows that were inserted, changed or marked, over all time.
    pub written: u64,
}

/// A run and what became of it.
#[derive(Debug, Clone)]
pub struct RunState {
    pub run: Run,
    pub(super) epoch: Option<i64>,
    pub outcome: Option<Outcome>,
    pub(super) cancel: bool,
    pub steps: BTreeMap<i32, StepState>,
    pub resumes: u64,
}

#[derive(Debug, Clone)]
pub struct StepState {
    pub entity: Entity,
    pub connection: ConnectionName,
    pub outcome: Option<Outcome>,
    pub counts: Counts,
    pub records_done: u64,
    pub api_calls: u64,
}

#[derive(Debug, Clone)]
pub struct Link {
    pub hub_id: i64,
    pub remote_type: &'static str,
    pub hash: Vec<u8>,
    pub refs_pending: bool,
    pub deleted: bool,
}

/// A row of the hub with its lines.
#[derive(Debug, Clone, PartialEq)]
pub struct HubRow {
    pub table: TableId,
    pub source_id: String,
    pub cells: Vec<Stored>,
    pub lines: Vec<HubLine>,
    /// `deleted_at` is set.
    pub deleted: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct HubLine {
    pub id: i64,
    pub source_id: String,
    pub cells: Vec<Stored>,
}

/// A value of a column: as it came, or the hub id that a reference led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Stored {
    Value(Cell),
    Id(Option<i64>),
}

#[derive(Debug, Clone)]
pub struct Failed {
    pub failure: RecordFailure,
    pub attempts: u32,
    /// None: only a person or a change brings it back.
    pub next_attempt: Option<Timestamp>,
}

impl State {
    pub(super) fn new(streams: Vec<Stream>) -> Self {
        State { streams, epoch: 1, ..State::default() }
    }

    pub(super) fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }

    pub(super) fn cursor(&self, stream: &Stream) -> Result<Cursor> {
        let key = (stream.connection.name.clone(), stream.entity);
        match self.cursors.get(&key) {
            None => Ok(Cursor::default()),
            Some(json) => serde_json::from_str(json).map_err(|e| Error::internal(e.to_string())),
        }
    }

    pub(super) fn set_cursor(&mut self, stream: &Stream, cursor: &Cursor) -> Result<()> {
        let json = serde_json::to_string(cursor).map_err(|e| Error::internal(e.to_string()))?;
        self.cursors.insert((stream.connection.name.clone(), stream.entity), json);
        Ok(())
    }

    /// Numeric remote ids that the hub holds as present, in order.
    pub(super) fn present_ids(
        &self,
        stream: &Stream,
        remote_type: &str,
        after: i64,
        until: Option<i64>,
        limit: usize,
    ) -> Vec<i64> {
        let mut ids: Vec<i64> = self
            .links
            .iter()
            .filter(|((entity, _), link)| {
                *entity == stream.entity && link.remote_type == remote_type && !link.deleted
            })
            .filter_map(|((_, id), _)| id.parse().ok())
            .filter(|id| *id > after && until.is_none_or(|until| *id <= until))
            .collect();
        ids.sort_unstable();
        ids.truncate(limit);
        ids
    }

    pub(super) fn failures_due(&self, stream: &Stream, now: Timestamp) -> Vec<String> {
        self.failures
            .iter()
            .filter(|((entity, _), failed)| {
                *entity == stream.entity && failed.next_attempt.is_some_and(|at| at <= now)
            })
            .map(|((_, id), _)| id.clone())
            .collect()
    }

    /// Hub id of a remote record whose row is there.
    pub(super) fn resolve(&self, entity: Entity, remote_id: &str) -> Option<i64> {
        let link = self.links.get(&(entity, remote_id.to_owned()))?;
        self.rows.contains_key(&link.hub_id).then_some(link.hub_id)
    }
}
