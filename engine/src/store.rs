//! What the engine asks of the place where runs, cursors, links and hub rows are kept. The worker
//! implements it over SPI, the tests in memory. Every call is one short transaction; none is ever
//! open across a network call.

use crate::error::{Error, Result};
use crate::model::{ConnectionName, Direction, Entity, Mode, Record, RecordFailure, TenantId};
use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// `sync_id` of a run.
pub type SyncId = i64;

/// One account on a platform, as a run needs it. Its `Debug` shows no secret.
#[derive(Clone)]
pub struct Connection {
    pub tenant: TenantId,
    pub name: ConnectionName,
    /// `woocommerce`, `quickbooks`, `supabase`
    pub connector: String,
    /// Key of the remote account (site URL, realm): links belong to it, not to the connection's
    /// name, so that they outlive a reconnect.
    pub account: String,
    pub settings: serde_json::Value,
    pub credentials: Secret,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("tenant", &self.tenant)
            .field("name", &self.name)
            .field("connector", &self.connector)
            .finish_non_exhaustive()
    }
}

/// Credentials of a connection: a JSON object that can't be printed by accident.
#[derive(Clone, Default)]
pub struct Secret(Arc<serde_json::Map<String, serde_json::Value>>);

impl Secret {
    pub fn new(fields: serde_json::Map<String, serde_json::Value>) -> Self {
        Secret(Arc::new(fields))
    }

    /// A field of the secret, where it is a text that isn't empty.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.get(field).and_then(|v| v.as_str()).filter(|text| !text.is_empty())
    }

    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The whole document, for sealing.
    pub fn expose(&self) -> &serde_json::Map<String, serde_json::Value> {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Which records a run or a stream takes. Keys join by AND; `since` counts, `until` doesn't.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filters {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_since: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

impl Filters {
    pub fn is_empty(&self) -> bool {
        *self == Filters::default()
    }
}

/// One run as taken from the queue.
#[derive(Debug, Clone)]
pub struct Run {
    pub sync_id: SyncId,
    pub tenant: TenantId,
    pub entity: Entity,
    pub mode: Mode,
    /// None: every enabled stream of the entity.
    pub connection: Option<ConnectionName>,
    pub ids: Option<Vec<String>>,
    pub filters: Filters,
    /// A worker had it before and went away: go on from the last committed page.
    pub resumed: bool,
    /// Plans, keeps the plan, and writes nothing.
    pub dry_run: bool,
    /// It takes back what this earlier run did.
    pub undoes: Option<SyncId>,
    /// Somebody has agreed to plans of any size beforehand (a schedule, when it was made): only what
    /// destroys something waits for a confirmation.
    pub agreed: bool,
}

/// One entity of one connection in one direction, as a run carries it.
#[derive(Debug, Clone)]
pub struct Stream {
    pub connection: Arc<Connection>,
    pub entity: Entity,
    pub direction: Direction,
    /// Standing filters of the stream.
    pub filters: Filters,
    pub delete_policy: DeletePolicy,
    /// Custom mapping rules, as `set_mapping` takes them; none: the defaults alone.
    pub rules: Option<serde_json::Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeletePolicy {
    /// The row stays, with `deleted_at`.
    #[default]
    Keep,
    Inactivate,
    Delete,
}

/// A step of a run: row of `sync_run_steps`.
#[derive(Debug, Clone)]
pub struct Step {
    pub step: i32,
    pub stream: Stream,
    /// Done before the run was interrupted.
    pub finished: bool,
}

/// Where a stream stands. Committed together with the page that it follows from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    /// The shop's time from which the next incremental run asks: start of the last complete walk
    /// less the overlap, never a `date_modified` that was seen (woocommerce.md, section 3).
    #[serde(default)]
    pub watermark: Option<Timestamp>,
    #[serde(default)]
    pub last_full_at: Option<Timestamp>,
    /// When all ids were last looked at (a full run, or an id walk).
    #[serde(default)]
    pub last_id_walk_at: Option<Timestamp>,
    /// A walk in hand: what an interrupted run goes on from.
    #[serde(default)]
    pub walk: Option<Walk>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Walk {
    pub sync_id: SyncId,
    pub mode: Mode,
    /// Index into the connector's passes.
    pub pass: usize,
    /// Where the next page of this pass begins.
    pub offset: u64,
    /// Highest id that this pass has covered.
    pub last_id: i64,
    /// The shop's time when the walk began.
    pub started_at: Timestamp,
}

/// What one transaction of a pull writes: the records whose hash moved, their links with the raw
/// JSON, failures, what is gone, and the cursor.
#[derive(Debug)]
pub struct PageWrite {
    pub sync_id: SyncId,
    pub step: i32,
    pub stream: Stream,
    pub records: Vec<Record>,
    pub failures: Vec<RecordFailure>,
    /// Remote ids of the stream's own entity that are gone there.
    pub gone: Vec<String>,
    pub cursor: Option<Cursor>,
    /// Calls made since the last page was written.
    pub api_calls: u64,
    /// Records looked at since the last page was written, without what comes along (guests,
    /// variations).
    pub records_done: u64,
    /// Records of the list, so far as known; when a step ends well the store puts `records_done`
    /// in its place.
    pub records_total: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub created: u64,
    pub updated: u64,
    pub deleted: u64,
    pub unchanged: u64,
    pub failed: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.created += other.created;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.unchanged += other.unchanged;
        self.failed += other.failed;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    Partial,
    Failed,
    Cancelled,
    Skipped,
    /// Its plan waits for a person.
    AwaitsConfirmation,
}

impl Outcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Succeeded => "succeeded",
            Outcome::Partial => "partial",
            Outcome::Failed => "failed",
            Outcome::Cancelled => "cancelled",
            Outcome::Skipped => "skipped",
            Outcome::AwaitsConfirmation => "awaiting_confirmation",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

/// One row of `sync_logs`. The text is masked by whoever makes it, and once more by the store.
#[derive(Debug, Clone)]
pub struct LogRow {
    pub tenant: TenantId,
    pub level: Level,
    pub sync_id: Option<SyncId>,
    pub connection: Option<ConnectionName>,
    pub entity: Option<Entity>,
    pub record_id: Option<String>,
    /// `fetch`, `map`, `store`, `plan`, `send`, `webhook`, `schedule`, `run`, ...
    pub operation: &'static str,
    /// `ok`, `skipped`, `failed`, `retried`
    pub result: &'static str,
    pub message: String,
    pub duration_ms: Option<u64>,
    pub error: Option<Error>,
}

/// What a run shows of itself while it works (`sync_progress`). Kept in shared memory or by the
/// store; a loss of it costs nothing.
#[derive(Debug, Clone)]
pub struct Progress {
    pub sync_id: SyncId,
    pub step: i32,
    /// `fetching`, `writing`, `throttled`
    pub phase: &'static str,
    pub wait_until: Option<Timestamp>,
}

/// Everything that a sync keeps. Times out, retries of lock conflicts and bisection of failing
/// batches are the store's own affair: what comes back as an error is meant for the run.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Take the oldest run that may start: queued, or left by a worker that went away, with none
    /// of its entities in the hands of another run of the tenant. None: nothing to do, or fenced.
    /// A run that can't be taken is ended by the store with the reason. An error: nothing can be
    /// claimed at all, which the store shows to people.
    async fn claim_run(&self) -> Result<Option<Run>>;

    /// The steps of a run, in order; made on the first call, found again after an interruption.
    async fn plan_steps(&self, run: &Run) -> Result<Vec<Step>>;

    async fn begin_step(&self, run: &Run, step: &Step) -> Result<()>;

    /// Ends a step; `error` is why it failed as a whole.
    async fn end_step(
        &self,
        run: &Run,
        step: &Step,
        outcome: Outcome,
        error: Option<Error>,
    ) -> Result<()>;

    /// Ends a run: its counts are the sums of its steps.
    async fn end_run(&self, run: &Run, outcome: Outcome, error: Option<Error>) -> Result<()>;

    /// Runs in hand that someone asked to cancel, or whose connection was disabled.
    async fn stop_requests(&self) -> Result<Vec<SyncId>>;

    async fn cursor(&self, stream: &Stream) -> Result<Cursor>;

    /// Writes one page. Records that can't be stored become failures, the rest lands.
    async fn write_page(&self, page: PageWrite) -> Result<Counts>;

    /// Remote ids of the stream's entity that the hub holds as present, numeric and in
    /// `(after, until]`; `until` None: no upper end. At most `limit`, in order.
    async fn present_ids(
        &self,
        stream: &Stream,
        remote_type: &str,
        after: i64,
        until: Option<i64>,
        limit: usize,
    ) -> Result<Vec<i64>>;

    /// Of `ids`, those of another entity on the same connection that the hub doesn't have although
    /// their stream is pulled.
    async fn missing(
        &self,
        stream: &Stream,
        entity: Entity,
        ids: Vec<String>,
    ) -> Result<Vec<String>>;

    /// Remote ids of failed records of the stream that are due for another try.
    async fn failures_due(&self, stream: &Stream) -> Result<Vec<String>>;

    /// Of these orders, those with refunds that are not stored yet, by the orders' own JSON. A store
    /// that can't tell names them all.
    async fn with_new_refunds(&self, _stream: &Stream, orders: Vec<String>) -> Result<Vec<String>> {
        Ok(orders)
    }

    async fn log(&self, rows: Vec<LogRow>) -> Result<()>;

    async fn progress(&self, progress: Progress) -> Result<()>;

    /// The platform refused the credentials or the account: the connection stops and says why.
    async fn suspend_connection(&self, connection: &Connection, error: &Error) -> Result<()>;

    /// A store on which the run can be tried: what its pulls would write is planned with the run
    /// (`sync_changes`, status `planned`), and no hub row, link or cursor is touched.
    async fn look(&self, _run: &Run) -> Result<Arc<dyn Store>> {
        Err(Error::internal("this store can't be looked through"))
    }

    /// Resolves when somebody committed something for the worker, or after the poll interval.
    async fn woken(&self);
}
