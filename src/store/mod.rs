//! The engine's store over SPI. Each call is one job on the worker's thread: one short transaction.

mod changes;
mod claim;
mod copy;
mod diff;
mod housekeeping;
mod hub;
mod identity;
mod lines;
mod links;
mod logs;
mod look;
mod lookup;
mod page;
mod push;
mod rest;
mod row;
mod rows;
mod runs;
mod schedules;
mod spi;
mod statistics;
mod steps;
mod undo;
mod webhooks;

use crate::error::DbResult;
use crate::host::{self, Bridge};
use crate::shmem;
use async_trait::async_trait;
use engine::model::Entity;
use engine::store::{
    Connection, Counts, Cursor, LogRow, Outcome, PageWrite, Progress, Run, Step, Store, Stream,
    SyncId,
};
use engine::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use changes::{hub_is_pushed, note_changes, note_truncate};
pub use hub::{FOREIGN_HUB, query as hub_query};
pub use identity::{as_worker, extension_exists, extension_is_gone, extension_version};
pub use look::LookStore;
use page::Locked;
pub use page::{change_origin, changes_suppressed};
pub use push::Vault;
pub use rest::time_away;
pub use runs::filters_of;
// pgrx's own `Spi::get_one` counts as a write: a transaction that only asks would get a number, and a
// standby refuse it.
pub use spi::one as read_one;
pub use steps::pull_streams;
pub use webhooks::Watched;

/// How long a job that met a lock is tried again: an application may hold its rows for a while.
const LOCK_PATIENCE: Duration = Duration::from_secs(300);
/// How long a page gives way as a whole to sessions that hold rows of it, before those rows are set
/// aside and the rest is written.
const PAGE_PATIENCE: Duration = Duration::from_secs(3);
const LOCK_PAUSE: Duration = Duration::from_millis(50);
const LOCK_PAUSE_MOST: Duration = Duration::from_secs(2);

/// The store of one worker.
pub struct PgStore {
    bridge: Arc<Bridge>,
    /// Tells this worker's claims from those of one that went away.
    epoch: i64,
    /// The safety net under the wake-ups: commits of prepared transactions wake nobody.
    poll_interval: Duration,
    /// What can't be taken, why, and what helps, as it was last told.
    problems: tokio::sync::Mutex<BTreeMap<&'static str, (String, String)>>,
    /// Whose run was taken last.
    turn: Arc<claim::Turn>,
}

impl PgStore {
    pub fn new(bridge: Arc<Bridge>, epoch: i64, poll_interval: Duration) -> Self {
        PgStore { bridge, epoch, poll_interval, problems: Default::default(), turn: Arc::default() }
    }

    /// Does it work for a session, in that session's transaction?
    fn in_session(&self) -> bool {
        self.bridge.is_session()
    }

    /// Waits for the tenant's turn at its hub: one whose triggers took long leaves time to the others.
    pub(crate) async fn turn_of(&self, tenant: &str) {
        tokio::time::sleep(host::fair::wait_of(tenant)).await;
    }

    /// Carries out a job with the rights of `easysync_worker`; one that met a lock is tried again:
    /// the worker is the one that waits.
    pub(crate) async fn job<R: Send + 'static>(
        &self,
        work: impl Fn() -> DbResult<R> + Send + Sync + 'static,
    ) -> Result<R> {
        let work = Arc::new(work);
        let started = Instant::now();
        let mut pause = LOCK_PAUSE;
        loop {
            let once = Arc::clone(&work);
            match self.bridge.call(move || identity::as_worker(|| once())).await {
                Err(error) if error.is_transient() && started.elapsed() < LOCK_PATIENCE => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LOCK_PAUSE_MOST);
                }
                other => return other.map_err(Error::from),
            }
        }
    }
}

/// How often the worker looks after retention.
const HOUSEKEEPING: Duration = Duration::from_secs(3600);
/// Between two lots the main thread belongs to the syncs.
const HOUSEKEEPING_PAUSE: Duration = Duration::from_millis(20);

impl PgStore {
    /// Drops what is old, for ever: a lot is a short transaction, and other work comes between. A
    /// failure is logged by Postgres and tried again the next time; it stops no other kind.
    pub async fn keep_house(&self) {
        loop {
            if let Ok(true) = self.job(housekeeping::begin).await {
                for statement in housekeeping::LOTS {
                    while let Ok(1..) = self.job(move || housekeeping::lot(statement)).await {
                        tokio::time::sleep(HOUSEKEEPING_PAUSE).await;
                    }
                }
            }
            tokio::time::sleep(HOUSEKEEPING).await;
        }
    }
}

impl PgStore {
    /// Shows in `health()` and in the server's log that the worker can't take `what` (syncs,
    /// deliveries, schedules), and why; once, until it is another reason. None: it can.
    async fn note_problem(&self, what: &'static str, error: Option<&Error>) {
        let problem = error.map(|e| (e.whole(), e.hint.clone().unwrap_or_default()));
        let mut known = self.problems.lock().await;
        if known.get(what) == problem.as_ref() {
            return;
        }
        match &problem {
            Some(problem) => known.insert(what, problem.clone()),
            None => known.remove(what),
        };
        let shown = known
            .iter()
            .next_back()
            .map(|(what, (message, hint))| (format!("{what}: {message}"), hint.clone()));
        let note = move || {
            if let Some(slot) = shmem::slot(unsafe { pgrx::pg_sys::MyDatabaseId }) {
                let (text, cure) = shown.unwrap_or_default();
                slot.problem.set(&text);
                slot.cure.set(&cure);
            }
            match problem {
                Some((message, hint)) => {
                    pgrx::log!("easysync: the worker can't take {what}: {message}. {hint}");
                }
                None => pgrx::log!("easysync: the worker takes {what} again"),
            }
            Ok(())
        };
        // A worker that is stopping has nothing to say any more.
        let _ = self.bridge.call(note).await;
    }
}

#[async_trait]
impl Store for PgStore {
    async fn claim_run(&self) -> Result<Option<Run>> {
        let (epoch, turn) = (self.epoch, Arc::clone(&self.turn));
        let claimed = self.job(move || claim::claim(epoch, &turn)).await;
        self.note_problem("syncs", claimed.as_ref().err()).await;
        claimed
    }

    async fn plan_steps(&self, run: &Run) -> Result<Vec<Step>> {
        let run = run.clone();
        self.job(move || steps::plan(&run)).await?
    }

    async fn begin_step(&self, run: &Run, step: &Step) -> Result<()> {
        let (sync_id, number) = (run.sync_id, step.step);
        self.job(move || steps::begin(sync_id, number)).await
    }

    async fn end_step(
        &self,
        run: &Run,
        step: &Step,
        outcome: Outcome,
        error: Option<Error>,
    ) -> Result<()> {
        let (run, step) = (run.clone(), step.clone());
        self.job(move || steps::end(&run, &step, outcome, error.as_ref())).await
    }

    async fn end_run(&self, run: &Run, outcome: Outcome, error: Option<Error>) -> Result<()> {
        let sync_id = run.sync_id;
        self.job(move || runs::end(sync_id, outcome, error.as_ref())).await
    }

    async fn stop_requests(&self) -> Result<Vec<SyncId>> {
        let epoch = self.epoch;
        self.job(move || runs::stop_requests(epoch)).await
    }

    async fn cursor(&self, stream: &Stream) -> Result<Cursor> {
        let stream = stream.clone();
        self.job(move || steps::cursor(&stream)).await
    }

    async fn write_page(&self, page: PageWrite) -> Result<Counts> {
        let page = Arc::new(page);
        self.turn_of(page.stream.connection.tenant.as_str()).await;
        let began = Instant::now();
        self.job(move || {
            let waited = began.elapsed() > PAGE_PATIENCE;
            page::write(&page, if waited { Locked::SetAside } else { Locked::GiveWay })
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
        let (stream, remote_type) = (stream.clone(), remote_type.to_owned());
        self.job(move || links::present_ids(&stream, &remote_type, after, until, limit)).await
    }

    async fn missing(
        &self,
        stream: &Stream,
        entity: Entity,
        ids: Vec<String>,
    ) -> Result<Vec<String>> {
        let stream = stream.clone();
        self.job(move || lookup::missing(&stream, entity, &ids)).await
    }

    async fn failures_due(&self, stream: &Stream) -> Result<Vec<String>> {
        let stream = stream.clone();
        self.job(move || steps::failures_due(&stream)).await
    }

    async fn with_new_refunds(&self, stream: &Stream, orders: Vec<String>) -> Result<Vec<String>> {
        let stream = stream.clone();
        self.job(move || links::with_new_refunds(&stream, &orders)).await
    }

    async fn log(&self, rows: Vec<LogRow>) -> Result<()> {
        let rows = Arc::new(rows);
        self.job(move || logs::write(&rows)).await
    }

    async fn progress(&self, progress: Progress) -> Result<()> {
        self.job(move || steps::progress(&progress)).await
    }

    async fn suspend_connection(&self, connection: &Connection, error: &Error) -> Result<()> {
        let (connection, error) = (connection.clone(), error.clone());
        self.job(move || runs::suspend_connection(&connection, &error)).await
    }

    async fn look(&self, run: &Run) -> Result<Arc<dyn Store>> {
        self.open_look(run).await
    }

    async fn woken(&self) {
        // Both ways of ending mean the same: look again.
        let _ =
            tokio::time::timeout(self.poll_interval, self.bridge.woken.for_runs.notified()).await;
    }
}
