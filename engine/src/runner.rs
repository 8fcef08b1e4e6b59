//! Takes runs from the queue and carries them out, one at a time for each entity of a tenant.

use crate::clock::Clock;
use crate::connector::{Open, is_metered};
use crate::error::{Category, Error, Result};
use crate::http::HttpContext;
use crate::model::{ConnectionName, Direction};
use crate::pull::{self, Pull};
use crate::push::hub_undo::HubUndo;
use crate::push::store::{PushStore, Spent};
use crate::push::target::Target;
use crate::push::{End, Push};
use crate::store::{
    Connection, Counts, Level, LogRow, Outcome, Progress, Run, Step, Store, SyncId,
};
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Waits from so many seconds on are shown in `sync_progress`.
const SHOWN_WAIT_SECONDS: i64 = 2;

/// Runs in hand at once, whatever the number of tenants.
const MOST_RUNS: usize = 4;

/// Of one tenant, where there are others: runs that take hours leave them a place.
pub const MOST_RUNS_OF_TENANT: usize = MOST_RUNS - 1;

/// Wait after the store refused to answer: it may be restarting, or out of space.
const STORE_PAUSE: Duration = Duration::from_secs(2);

/// The worker's engine: what it works with.
#[derive(Clone)]
pub struct Runner {
    pub store: Arc<dyn Store>,
    pub http: Arc<HttpContext>,
    pub clock: Arc<dyn Clock>,
    pub open: Open,
    /// None: this host pushes nothing.
    pub pusher: Option<Pusher>,
}

/// How a run gets the account that it pushes to. The number: metered reads of this month so far.
pub type OpenTarget =
    Arc<dyn Fn(&Arc<Connection>, &Arc<HttpContext>, u64) -> Result<Arc<dyn Target>> + Send + Sync>;

/// What pushes work with.
#[derive(Clone)]
pub struct Pusher {
    pub store: Arc<dyn PushStore>,
    pub open: OpenTarget,
}

impl Runner {
    /// The worker's main loop: drains the queue at every wake-up. Never returns.
    pub async fn run(self) {
        let mut tokens: HashMap<SyncId, CancellationToken> = HashMap::new();
        let mut tasks = JoinSet::new();
        loop {
            let answered = self.start_runs(&mut tokens, &mut tasks).await;
            self.stop_runs(&tokens).await;
            if !answered {
                // Nobody wakes us when the store has come to itself.
                self.clock.sleep(STORE_PAUSE).await;
                continue;
            }
            tokio::select! {
                // In a fixed order: a simulation must be able to repeat a run.
                biased;
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => {
                    if let Ok(sync_id) = ended {
                        tokens.remove(&sync_id);
                    }
                }
                () = self.store.woken() => {}
            }
        }
    }

    /// False: the store could not say what there is to do. It has told people so.
    async fn start_runs(
        &self,
        tokens: &mut HashMap<SyncId, CancellationToken>,
        tasks: &mut JoinSet<SyncId>,
    ) -> bool {
        while tasks.len() < MOST_RUNS {
            match self.store.claim_run().await {
                Ok(Some(run)) => {
                    let token = CancellationToken::new();
                    tokens.insert(run.sync_id, token.clone());
                    let runner = self.clone();
                    tasks.spawn(async move { runner.supervise(run, token).await });
                }
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        true
    }

    async fn stop_runs(&self, tokens: &HashMap<SyncId, CancellationToken>) {
        if tokens.is_empty() {
            return;
        }
        // An answer that doesn't come is asked for again at the next wake-up.
        for sync_id in self.store.stop_requests().await.unwrap_or_default() {
            if let Some(token) = tokens.get(&sync_id) {
                token.cancel();
            }
        }
    }

    /// A panic in a run ends that run, not the worker.
    async fn supervise(&self, run: Run, cancel: CancellationToken) -> SyncId {
        let sync_id = run.sync_id;
        let (runner, task_run) = (self.clone(), run.clone());
        let task = tokio::spawn(async move { runner.carry_out(&task_run, &cancel).await });
        let end = match AbortOnDrop(task).join().await {
            Ok(Ok((outcome, error))) => (outcome, error),
            Ok(Err(error)) if error.is_cancelled() => (Outcome::Cancelled, None),
            Ok(Err(error)) => (Outcome::Failed, Some(error)),
            Err(panic) => (Outcome::Failed, Some(Error::internal(format!("a run died: {panic}")))),
        };
        // The end of a run must be told: until it is, nobody may start another one.
        while self.store.end_run(&run, end.0, end.1.clone()).await.is_err() {
            self.clock.sleep(STORE_PAUSE).await;
        }
        sync_id
    }

    /// All steps of a run, in order.
    pub async fn carry_out(
        &self,
        run: &Run,
        cancel: &CancellationToken,
    ) -> Result<(Outcome, Option<Error>)> {
        let steps = self.store.plan_steps(run).await?;
        let mut tally = StepTally::default();
        // A dry run that was interrupted begins anew: its later steps build on what the earlier
        // ones would have written.
        let store = match run.dry_run {
            true => self.store.look(run).await?,
            false => Arc::clone(&self.store),
        };
        for step in steps.iter().filter(|step| !step.finished || run.dry_run) {
            let connection = &step.stream.connection.name;
            if tally.stopped.contains(connection) {
                self.store.end_step(run, step, Outcome::Skipped, None).await?;
                continue;
            }
            self.store.begin_step(run, step).await?;
            let started = self.clock.now();
            let result = self.carry_out_step(run, step, &store, cancel).await;
            self.settle(run, step, started, result, &mut tally).await?;
            if tally.cancelled {
                return Ok((Outcome::Cancelled, None));
            }
        }
        Ok(tally.outcome())
    }

    async fn carry_out_step(
        &self,
        run: &Run,
        step: &Step,
        store: &Arc<dyn Store>,
        cancel: &CancellationToken,
    ) -> Result<End> {
        if step.stream.direction == Direction::Pull && run.undoes.is_some() {
            return self.undo_in_hub(run, step, cancel).await;
        }
        let http = self.http.with_cancel(cancel.clone());
        if step.stream.direction == Direction::Push {
            let push = self.push(run, step, cancel, &http).await?;
            let show = self.show_waits(run.sync_id, step.step, "sending", &http);
            return tokio::select! {
                result = push.carry_out() => result,
                never = show => match never {},
            };
        }
        let reads = self.reads_used(step).await?;
        let connector = (self.open)(&step.stream.connection, &http, reads)?;
        let show = self.show_waits(run.sync_id, step.step, "fetching", &http);
        let pull = Pull {
            store: Arc::clone(store),
            connector: Arc::clone(&connector),
            clock: Arc::clone(&self.clock),
            cancel: cancel.clone(),
            run: run.clone(),
            step: step.clone(),
        };
        let result = tokio::select! {
            result = pull.carry_out() => result.map(End::Done),
            never = show => match never {},
        };
        // Also reads of a pull that failed were made.
        let spent = Spent { reads: connector.take_reads(), calls: 0 };
        if let (Some(pusher), true) = (&self.pusher, spent.reads > 0) {
            pusher.store.spent(run, step, spent).await?;
        }
        result
    }

    async fn undo_in_hub(&self, run: &Run, step: &Step, cancel: &CancellationToken) -> Result<End> {
        let Some(pusher) = &self.pusher else {
            return Err(Error::internal("this host takes nothing back"));
        };
        let undo = HubUndo {
            store: Arc::clone(&pusher.store),
            clock: Arc::clone(&self.clock),
            cancel: cancel.clone(),
            run: run.clone(),
            step: step.clone(),
        };
        undo.carry_out().await
    }

    /// Metered reads of this month so far.
    async fn reads_used(&self, step: &Step) -> Result<u64> {
        match &self.pusher {
            Some(pusher) if is_metered(&step.stream.connection.connector) => {
                pusher.store.reads_used(&step.stream).await
            }
            _ => Ok(0),
        }
    }

    async fn push(
        &self,
        run: &Run,
        step: &Step,
        cancel: &CancellationToken,
        http: &Arc<HttpContext>,
    ) -> Result<Push> {
        let Some(pusher) = &self.pusher else {
            return Err(Error::internal("this host pushes nothing"));
        };
        let reads = self.reads_used(step).await?;
        Ok(Push {
            store: Arc::clone(&pusher.store),
            target: (pusher.open)(&step.stream.connection, http, reads)?,
            clock: Arc::clone(&self.clock),
            cancel: cancel.clone(),
            run: run.clone(),
            step: step.clone(),
            replan: AtomicBool::new(false),
        })
    }

    /// Shows what the step's calls wait for, where it is long enough to be seen.
    async fn show_waits(
        &self,
        sync_id: SyncId,
        step: i32,
        working: &'static str,
        http: &HttpContext,
    ) -> Infallible {
        let mut waiting = http.meter.waiting();
        let mut shown = false;
        loop {
            let now = self.clock.now();
            let wait = waiting
                .borrow_and_update()
                .filter(|w| w.until.duration_since(now).as_secs() >= SHOWN_WAIT_SECONDS);
            if wait.is_some() || shown {
                shown = wait.is_some();
                let progress = Progress {
                    sync_id,
                    step,
                    phase: if shown { "throttled" } else { working },
                    wait_until: wait.map(|w| w.until),
                };
                // It is for people to look at; the next change is shown again.
                let _ = self.store.progress(progress).await;
            }
            if waiting.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Tells the store how a step ended, and decides what that means for the run.
    async fn settle(
        &self,
        run: &Run,
        step: &Step,
        started: Timestamp,
        result: Result<End>,
        tally: &mut StepTally,
    ) -> Result<()> {
        let message = match &result {
            Ok(End::Done(counts)) => told(run, step, counts),
            Ok(End::Waits) => format!("{}: the plan waits for a confirmation", step.stream.entity),
            Err(error) => error.message.clone(),
        };
        let (outcome, error) = match result {
            Ok(End::Done(counts)) if counts.failed > 0 => (Outcome::Partial, None),
            Ok(End::Done(_)) => (Outcome::Succeeded, None),
            Ok(End::Waits) => (Outcome::AwaitsConfirmation, None),
            Err(error) if error.is_cancelled() => (Outcome::Cancelled, None),
            Err(error) => (Outcome::Failed, Some(error)),
        };
        tally.add(outcome);
        self.log_step(run, step, started, outcome, message, error.clone()).await?;
        if let Some(error) = &error {
            let connection = &step.stream.connection;
            if error.category == Category::Authentication {
                self.store.suspend_connection(connection, error).await?;
            }
            // What is wrong with the connection is wrong for its other steps, too.
            if matches!(
                error.category,
                Category::Authentication | Category::Network | Category::RateLimit
            ) {
                tally.stopped.insert(connection.name.clone());
            }
            tally.error.get_or_insert_with(|| error.clone());
        }
        self.store.end_step(run, step, outcome, error).await
    }

    async fn log_step(
        &self,
        run: &Run,
        step: &Step,
        started: Timestamp,
        outcome: Outcome,
        message: String,
        error: Option<Error>,
    ) -> Result<()> {
        let (level, result) = match outcome {
            Outcome::Failed => (Level::Error, "failed"),
            Outcome::Partial => (Level::Warn, "failed"),
            Outcome::Cancelled | Outcome::Skipped | Outcome::AwaitsConfirmation => {
                (Level::Info, "skipped")
            }
            Outcome::Succeeded => (Level::Info, "ok"),
        };
        let took = self.clock.now().duration_since(started).as_millis();
        let row = LogRow {
            level,
            result,
            message,
            duration_ms: u64::try_from(took).ok(),
            error,
            ..pull::log_row(run, &step.stream, step.stream.direction.as_str())
        };
        self.store.log(vec![row]).await
    }
}

/// What a step did, in a line.
fn told(run: &Run, step: &Step, counts: &Counts) -> String {
    format!(
        "{}{}: {} created, {} updated, {} deleted, {} unchanged, {} failed",
        if run.dry_run { "dry run, " } else { "" },
        step.stream.entity,
        counts.created,
        counts.updated,
        counts.deleted,
        counts.unchanged,
        counts.failed
    )
}

#[derive(Default)]
struct StepTally {
    well: usize,
    partly: usize,
    failed: usize,
    cancelled: bool,
    waits: bool,
    stopped: HashSet<ConnectionName>,
    error: Option<Error>,
}

impl StepTally {
    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Succeeded => self.well += 1,
            Outcome::Partial => self.partly += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Cancelled => self.cancelled = true,
            Outcome::AwaitsConfirmation => self.waits = true,
            Outcome::Skipped => {}
        }
    }

    fn outcome(self) -> (Outcome, Option<Error>) {
        if self.waits {
            return (Outcome::AwaitsConfirmation, None);
        }
        match (self.well + self.partly, self.partly + self.failed) {
            (_, 0) => (Outcome::Succeeded, None),
            (0, _) => (Outcome::Failed, self.error),
            _ => (Outcome::Partial, self.error),
        }
    }
}

/// A task that ends with whoever waits for it.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> AbortOnDrop<T> {
    async fn join(mut self) -> Result<T, tokio::task::JoinError> {
        (&mut self.0).await
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
