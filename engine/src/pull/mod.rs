//! A pull: walks the lists of one stream page by page, in id order, and hands what it reads to the
//! store together with the cursor. A crash between pages loses nothing and repeats nothing.
//!
//! Lists of a live shop shift while they are read. Each page therefore begins with the last
//! element of the one before; where it doesn't, rows have left the list and the walk steps back
//! ([`walk`]). What a complete walk doesn't show although the hub has it is asked for by id
//! ([`deletes`]), never believed gone on the absence alone.

mod change;
mod course;
mod deletes;
mod feed;
mod walk;

pub use change::HubChange;

use crate::clock::Clock;
use crate::connector::{ById, Connector, Pass};
use crate::error::{Error, Result};
use crate::limits::{self, PAGE_BYTES};
use crate::model::{Cell, ColumnKind, Entity, Mode, Record};
use crate::store::{
    Counts, Cursor, Filters, Level, LogRow, PageWrite, Run, Step, Store, Stream, Walk,
};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Records of one transaction, at the most: a few pages of a fast shop go together.
const BATCH: usize = 500;

/// Pages that may wait, read and mapped, for the store, as a multiple of those asked for at once.
const PAGES_AHEAD: usize = 3;

/// Everything a pull of one step works with.
pub struct Pull {
    pub store: Arc<dyn Store>,
    pub connector: Arc<dyn Connector>,
    pub clock: Arc<dyn Clock>,
    pub cancel: CancellationToken,
    pub run: Run,
    pub step: Step,
}

/// What a step has done: the counts, and what the store hasn't been told yet.
#[derive(Debug, Default)]
struct Tally {
    counts: Counts,
    /// Calls since the last write.
    calls: u64,
    /// Records looked at since the last write.
    done: u64,
    /// Records of the list, as far as the platform tells.
    total: Option<u64>,
}

impl Pull {
    /// Carries out the step. Records that fail are counted, not returned as an error; an error
    /// means that the walk itself could not go on.
    pub async fn carry_out(&self) -> Result<Counts> {
        let stream = &self.step.stream;
        let mut tally = Tally::default();
        if let (Mode::Ids, Some(ids)) = (self.run.mode, &self.run.ids) {
            let mut ids = ids.clone();
            // Ids of orders, asked of refunds, mean their refunds: most have none, or none that is new.
            if stream.entity == Entity::Refunds && self.run.entity == Entity::Orders {
                ids = self.store.with_new_refunds(stream, ids).await?;
            }
            self.fetch_by_id(&ids, &mut tally).await?;
            return Ok(tally.counts);
        }
        let mut cursor = self.store.cursor(stream).await?;
        self.retry_failures(&mut tally).await?;
        // Filters of the run are about what it was asked for, not about what comes along.
        let filters = match stream.entity == self.run.entity {
            true => merged(&stream.filters, &self.run.filters),
            false => stream.filters.clone(),
        };
        let walk = self.open_walk(&cursor, &filters);
        let mut passes = self
            .connector
            .passes(
                stream.entity,
                walk.mode,
                cursor.watermark.filter(|_| walk.mode == Mode::Incremental),
                &filters,
            )
            .await?;
        passes.extend(self.due_id_walk(&cursor, walk.mode, &filters));
        cursor.walk = Some(walk);
        self.walk_passes(&passes, &mut cursor, &mut tally).await?;
        self.close_walk(cursor, &passes, &mut tally).await?;
        Ok(tally.counts)
    }

    /// The walk of this run: the interrupted one, or a new one. The first incremental run has no
    /// watermark and is full.
    fn open_walk(&self, cursor: &Cursor, filters: &Filters) -> Walk {
        if let Some(walk) = cursor.walk.as_ref().filter(|w| w.sync_id == self.run.sync_id) {
            return walk.clone();
        }
        let first = cursor.watermark.is_none() && filters.is_empty();
        Walk {
            sync_id: self.run.sync_id,
            mode: if first { Mode::Full } else { self.run.mode },
            pass: 0,
            offset: 0,
            last_id: 0,
            started_at: self.clock.now(),
        }
    }

    /// An incremental run looks for hard deletes when the last look is old.
    fn due_id_walk(&self, cursor: &Cursor, mode: Mode, filters: &Filters) -> Option<Pass> {
        let last = cursor.last_id_walk_at.or(cursor.last_full_at)?;
        let age = self.clock.now().duration_since(last);
        if mode != Mode::Incremental
            || !filters.is_empty()
            || age < self.connector.id_walk_interval()
        {
            return None;
        }
        self.connector.id_walk(self.step.stream.entity)
    }

    /// The walk is complete: only now the watermark moves, and only if nothing was left out.
    async fn close_walk(
        &self,
        mut cursor: Cursor,
        passes: &[Pass],
        tally: &mut Tally,
    ) -> Result<()> {
        // The walk stays in the cursor, at its end: a worker that dies before the step is told to
        // have ended must not send the next one over the whole list again.
        let Some(walk) = &cursor.walk else { return Ok(()) };
        if self.run.filters.is_empty() {
            let started = walk.started_at;
            // A shop whose clock was set back stamps changes before the watermark: no run may ask by
            // it any more, the next one looks at all.
            let set_back = cursor.watermark.is_some_and(|mark| started < mark);
            let mark = started.checked_sub(self.connector.overlap()).ok();
            if walk.mode == Mode::Full {
                cursor.last_full_at = Some(started);
            }
            if passes.iter().any(|pass| pass.complete) {
                cursor.last_id_walk_at = Some(started);
            }
            cursor.watermark = mark.filter(|_| walk.mode == Mode::Full || !set_back);
        }
        self.write(PageWrite { cursor: Some(cursor), ..self.empty_page(tally) }, tally).await
    }

    /// Failed records that are due come first: they are older than anything the walk will show.
    async fn retry_failures(&self, tally: &mut Tally) -> Result<()> {
        let due = self.store.failures_due(&self.step.stream).await?;
        self.fetch_by_id(&due, tally).await
    }

    async fn fetch_by_id(&self, ids: &[String], tally: &mut Tally) -> Result<()> {
        let chunk = usize::try_from(self.connector.page_size()).unwrap_or(100).max(1);
        for ids in ids.chunks(chunk) {
            let mut ids = ids.to_vec();
            while !ids.is_empty() {
                self.check_cancel()?;
                let found = self.by_ids(&ids).await?;
                tally.calls += found.calls;
                tally.done += (ids.len() - found.rest.len()) as u64;
                let mut page = self.empty_page(tally);
                page.records = self.referred_to(&found.records, tally).await?;
                page.records.extend(found.records);
                page.failures = found.failures;
                self.note_unknown(&found.gone).await?;
                page.gone = found.gone;
                self.write(page, tally).await?;
                ids = found.rest;
            }
        }
        Ok(())
    }

    /// What records asked for by name refer to and the hub lacks: nothing else brings it in this
    /// run. In a walk the customers and products came before.
    async fn referred_to(&self, records: &[Record], tally: &mut Tally) -> Result<Vec<Record>> {
        let mut wanted: BTreeMap<Entity, BTreeSet<String>> = BTreeMap::new();
        for row in records.iter().flat_map(|r| std::iter::once(&r.row).chain(&r.lines)) {
            for (column, cell) in row.table.table().columns.iter().zip(&row.cells) {
                if let (ColumnKind::Ref(entity), Cell::Ref(id)) = (column.kind, cell)
                    && entity != self.step.stream.entity
                {
                    wanted.entry(entity).or_default().insert(id.clone());
                }
            }
        }
        let here: BTreeSet<(Entity, &str)> =
            records.iter().map(|r| (r.entity, r.remote_id.as_str())).collect();
        let mut found = vec![];
        for (entity, mut ids) in wanted {
            ids.retain(|id| !here.contains(&(entity, id.as_str())));
            let ids = ids.into_iter().collect();
            let missing = self.store.missing(&self.step.stream, entity, ids).await?;
            let stream = Stream { entity, ..self.step.stream.clone() };
            let chunk = usize::try_from(self.connector.page_size()).unwrap_or(100).max(1);
            for ids in missing.chunks(chunk) {
                let mut ids = ids.to_vec();
                while !ids.is_empty() {
                    let answer = self.ask(&stream, &ids).await?;
                    tally.calls += answer.calls;
                    found.extend(answer.records);
                    ids = answer.rest;
                    // They come before those that refer to them in any case.
                    if found.iter().map(Record::weight).sum::<usize>() >= PAGE_BYTES {
                        let records = std::mem::take(&mut found);
                        self.write(PageWrite { records, ..self.empty_page(tally) }, tally).await?;
                    }
                }
            }
        }
        Ok(found)
    }

    async fn by_ids(&self, ids: &[String]) -> Result<ById> {
        self.ask(&self.step.stream, ids).await
    }

    async fn ask(&self, stream: &Stream, ids: &[String]) -> Result<ById> {
        let found = self.connector.by_ids(stream, ids).await?;
        if found.rest.len() >= ids.len() {
            return Err(Error::internal("records asked for by id don't get on"));
        }
        self.note(&found.notes).await?;
        Ok(found)
    }

    fn empty_page(&self, tally: &Tally) -> PageWrite {
        PageWrite {
            sync_id: self.run.sync_id,
            step: self.step.step,
            stream: self.step.stream.clone(),
            records: Vec::new(),
            failures: Vec::new(),
            gone: Vec::new(),
            cursor: None,
            api_calls: 0,
            records_done: 0,
            records_total: tally.total,
        }
    }

    /// Writes a page, with the calls made and the records looked at since the last one.
    async fn write(&self, mut page: PageWrite, tally: &mut Tally) -> Result<()> {
        page.api_calls = std::mem::take(&mut tally.calls);
        page.records_done = std::mem::take(&mut tally.done);
        page.records_total = tally.total;
        tally.counts += self.store.write_page(page).await?;
        Ok(())
    }

    /// Somebody who asks for records by id is told of those that aren't there.
    async fn note_unknown(&self, gone: &[String]) -> Result<()> {
        if self.run.mode != Mode::Ids || gone.is_empty() {
            return Ok(());
        }
        let rows = gone.iter().map(|id| LogRow {
            level: Level::Warn,
            record_id: Some(id.clone()),
            result: "skipped",
            message: format!(
                "there are no {} {id} there: deleted, or never made",
                self.step.stream.entity
            ),
            ..log_row(&self.run, &self.step.stream, "fetch")
        });
        self.store.log(rows.collect()).await
    }

    /// What was odd about the shop's answers goes into the log.
    async fn note(&self, notes: &[String]) -> Result<()> {
        if notes.is_empty() {
            return Ok(());
        }
        let rows = notes.iter().map(|note| LogRow {
            level: Level::Warn,
            message: limits::cut_text(note).to_owned(),
            ..log_row(&self.run, &self.step.stream, "fetch")
        });
        self.store.log(rows.collect()).await
    }

    fn check_cancel(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(crate::Error::cancelled());
        }
        Ok(())
    }
}

/// A log row of a run's stream, to be filled in.
pub(crate) fn log_row(run: &Run, stream: &Stream, operation: &'static str) -> LogRow {
    LogRow {
        tenant: run.tenant.clone(),
        level: Level::Info,
        sync_id: Some(run.sync_id),
        connection: Some(stream.connection.name.clone()),
        entity: Some(stream.entity),
        record_id: None,
        operation,
        result: "ok",
        message: String::new(),
        duration_ms: None,
        error: None,
    }
}

/// Filters of the run narrow those of the stream: where both name a key, the run's counts.
fn merged(stream: &Filters, run: &Filters) -> Filters {
    let (stream, run) = (stream.clone(), run.clone());
    Filters {
        status: run.status.or(stream.status),
        created_since: later(run.created_since, stream.created_since),
        created_until: earlier(run.created_until, stream.created_until),
        modified_since: later(run.modified_since, stream.modified_since),
        modified_until: earlier(run.modified_until, stream.modified_until),
        currency: run.currency.or(stream.currency),
        customer: run.customer.or(stream.customer),
        sku: run.sku.or(stream.sku),
        kind: run.kind.or(stream.kind),
    }
}

fn later(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.max(b)
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
