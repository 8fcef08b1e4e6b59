//! The store in memory: what the worker's does over SPI, with the same rules, one page a
//! transaction, and failures where they are asked for.

mod apply;
mod gone;
mod runs;
mod snapshot;
mod state;

use super::dice::Dice;
use super::trace::Trace;
use crate::clock::Clock;
use crate::error::{Category, Error, Result};
use crate::model::{Entity, RecordFailure};
use crate::store::{
    Connection, Counts, Cursor, LogRow, Outcome, PageWrite, Progress, Run, Step, Store, Stream,
    SyncId,
};
use async_trait::async_trait;
use std::collections::BTreeMap;

pub use snapshot::Snapshot;
pub use state::{HubRow, RunState, State, Stored};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// What goes wrong, in percent of calls.
#[derive(Debug, Clone, Default)]
pub struct StoreFaults {
    /// Nothing was written.
    pub errors: u64,
    /// All was written and nobody was told.
    pub lost_answers: u64,
    /// Remote ids that this database refuses, as by an application's CHECK.
    pub refused: Vec<String>,
}

/// A [`Store`] without a database.
pub struct MemStore {
    state: Mutex<State>,
    faults: Mutex<StoreFaults>,
    clock: Arc<dyn Clock>,
    dice: Dice,
    trace: Trace,
    woken: Notify,
    changed: Notify,
    /// What dry runs would have made of the state.
    looks: Mutex<BTreeMap<SyncId, Arc<MemStore>>>,
}

impl MemStore {
    /// A store that holds the connection of `streams`, and nothing else.
    pub fn new(streams: Vec<Stream>, clock: Arc<dyn Clock>, dice: Dice, trace: Trace) -> Arc<Self> {
        Arc::new(MemStore {
            state: Mutex::new(State::new(streams)),
            faults: Mutex::default(),
            clock,
            dice,
            trace,
            woken: Notify::new(),
            changed: Notify::new(),
            looks: Mutex::default(),
        })
    }

    pub fn set_faults(&self, faults: StoreFaults) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// The worker is another one from here on: runs of the old one may be taken over.
    pub fn restart(&self) {
        self.transaction(|state| {
            state.epoch += 1;
            Ok(())
        })
        .unwrap_or_default();
    }

    /// Work for the worker, as after a commit.
    pub fn wake(&self) {
        self.woken.notify_one();
    }

    /// Resolves when the state fits; looked at after every transaction.
    pub async fn until(&self, fits: impl Fn(&State) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.look(&fits) {
                return;
            }
            changed.await;
        }
    }

    /// The store as a dry run would have left it.
    pub fn looked(&self, sync_id: SyncId) -> Option<Arc<MemStore>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).get(&sync_id).cloned()
    }

    /// Changes the state as somebody else does: an application, a restored backup.
    pub fn edit(&self, edit: impl FnOnce(&mut State)) {
        edit(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Gives the streams other mapping rules, as `easysync.set_mapping` will.
    pub fn set_rules(&self, rules: impl Fn(Entity) -> Option<serde_json::Value>) {
        self.edit(|state| {
            state.streams.iter_mut().for_each(|stream| stream.rules = rules(stream.entity));
        });
    }

    /// Looks at the state, for checks.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn transaction<T>(&self, work: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let done = work(&mut state)?;
        self.changed.notify_waiters();
        Ok(done)
    }

    /// A job on the database: it takes its turn, may fail before it began or after it was
    /// committed, and whoever waits may be gone at any of these points.
    async fn job<T>(&self, what: &str, work: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.pause().await;
        if self.dice.chance(faults.errors) {
            self.trace.note(format_args!("store {what}: failed"));
            return Err(lost());
        }
        let done = self.transaction(work);
        self.trace.note(format_args!("store {what}"));
        self.pause().await;
        // A claim and its answer live and die in one process: a run that was claimed and forgotten
        // is taken over by the next worker, not by this one.
        if done.is_ok() && what != "claim" && self.dice.chance(faults.lost_answers) {
            self.trace.note(format_args!("store {what}: answer lost"));
            return Err(lost());
        }
        done
    }

    async fn pause(&self) {
        for _ in 0..self.dice.below(0..3) {
            tokio::task::yield_now().await;
        }
    }
}

fn lost() -> Error {
    Error::new(Category::Internal, "57P01", "the server is going down").retryable(true)
}

/// A record that this database refuses.
fn refusal(record: &crate::model::Record, code: &str) -> RecordFailure {
    let waits = code == "23502" && record.needs_another();
    RecordFailure {
        entity: record.entity,
        remote_id: record.remote_id.clone(),
        label: record.label.clone(),
        error: Error::new(Category::Validation, code, "a constraint refused the row")
            .retryable(waits),
        raw: record.raw.clone(),
    }
}

#[async_trait]
impl Store for MemStore {
    async fn claim_run(&self) -> Result<Option<Run>> {
        self.job("claim", |state| Ok(state.claim())).await
    }

    async fn plan_steps(&self, run: &Run) -> Result<Vec<Step>> {
        self.job("plan", |state| Ok(state.plan(run))).await
    }

    async fn begin_step(&self, _: &Run, step: &Step) -> Result<()> {
        self.job(&format!("begin {}", step.step), |_| Ok(())).await
    }

    async fn end_step(
        &self,
        run: &Run,
        step: &Step,
        outcome: Outcome,
        _: Option<Error>,
    ) -> Result<()> {
        let what = format!("end step {} {}", step.step, outcome.as_str());
        self.job(&what, |state| {
            state.end_step(run.sync_id, step.step, outcome);
            Ok(())
        })
        .await
    }

    async fn end_run(&self, run: &Run, outcome: Outcome, _: Option<Error>) -> Result<()> {
        let what = format!("end run {} {}", run.sync_id, outcome.as_str());
        self.job(&what, |state| {
            state.end_run(run.sync_id, outcome);
            Ok(())
        })
        .await
    }

    async fn stop_requests(&self) -> Result<Vec<SyncId>> {
        self.job("stop requests", |state| Ok(state.stop_requests())).await
    }

    async fn cursor(&self, stream: &Stream) -> Result<Cursor> {
        self.job("cursor", |state| state.cursor(stream)).await
    }

    async fn write_page(&self, page: PageWrite) -> Result<Counts> {
        let refused = self.faults.lock().unwrap_or_else(PoisonError::into_inner).refused.clone();
        let now = self.clock.now();
        let what = format!(
            "write {} {} records, {} failures, {} gone",
            page.stream.entity,
            page.records.len(),
            page.failures.len(),
            page.gone.len()
        );
        self.job(&what, |state| {
            // All or nothing: a copy takes the state's place if all went well.
            let mut copy = state.clone();
            let counts = copy.write_page(&page, &refused, now)?;
            *state = copy;
            Ok(counts)
        })
        .await
    }

    async fn present_ids(
        &self,
        stream: &Stream,
        remote_type: &str,
        after: i64,
        until: Option<i64>,
        limit: usize,
    ) -> Result<Vec<i64>> {
        self.job("present ids", |state| {
            Ok(state.present_ids(stream, remote_type, after, until, limit))
        })
        .await
    }

    async fn missing(&self, _: &Stream, entity: Entity, ids: Vec<String>) -> Result<Vec<String>> {
        self.job("missing", |state| {
            let pulled = state.streams.iter().any(|s| s.entity == entity);
            let unknown = |id: &String| !state.links.contains_key(&(entity, id.clone()));
            Ok(ids.into_iter().filter(|id| pulled && unknown(id)).collect())
        })
        .await
    }

    async fn failures_due(&self, stream: &Stream) -> Result<Vec<String>> {
        let now = self.clock.now();
        self.job("failures due", |state| Ok(state.failures_due(stream, now))).await
    }

    /// A log write never fails a sync.
    async fn log(&self, rows: Vec<LogRow>) -> Result<()> {
        for row in rows {
            self.trace.note(format_args!("log {} {}", row.level.as_str(), row.message));
        }
        Ok(())
    }

    async fn progress(&self, _: Progress) -> Result<()> {
        Ok(())
    }

    async fn suspend_connection(&self, connection: &Connection, _: &Error) -> Result<()> {
        self.job("suspend", |state| {
            state.suspended.insert(connection.name.clone());
            Ok(())
        })
        .await
    }

    /// A copy, which the run may write to.
    async fn look(&self, run: &Run) -> Result<Arc<dyn Store>> {
        let state = self.look(State::clone);
        let twin = Arc::new(MemStore {
            state: Mutex::new(state),
            faults: Mutex::default(),
            clock: Arc::clone(&self.clock),
            dice: self.dice.clone(),
            trace: self.trace.clone(),
            woken: Notify::new(),
            changed: Notify::new(),
            looks: Mutex::default(),
        });
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        looks.insert(run.sync_id, Arc::clone(&twin));
        Ok(twin)
    }

    async fn woken(&self) {
        tokio::select! {
            biased;
            () = self.woken.notified() => {}
            () = self.clock.sleep(std::time::Duration::from_secs(60)) => {}
        }
    }
}
