//! What a push asks of the place where the hub, the queue, plans, intents and links are kept. The
//! worker implements it over SPI, the tests in memory. Every call is one short transaction; none is
//! ever open across a network call.

use super::hub_undo::HubReverse;
use super::target::{Ack, Call, Item};
use super::undo::Done;
use crate::error::{Error, Result};
use crate::model::{Entity, TenantId};
use crate::plan::{Change, GateSettings, PlanSummary, Status};
use crate::store::{Counts, Run, Step, Stream};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Which hub records a plan looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// What is queued for the connection.
    Queue,
    /// Every record.
    Walk,
    /// These, by the id where they were born; the hub id for those born here.
    Ids(Vec<String>),
    /// The orders of these refunds.
    OrdersOfRefunds(Vec<String>),
}

/// One kind of record that a plan begins with. What these need comes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    pub entity: Entity,
    /// Only records that the account has already: others reach it when something needs them.
    pub linked_only: bool,
}

/// A record that a plan looks at, in the order of roots and hub ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Candidate {
    /// Index of its root.
    pub root: usize,
    pub hub_id: i64,
}

/// What is known of a record on the account.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    pub entity: Entity,
    pub hub_id: i64,
    /// `SalesReceipt`, `Customer`, ...
    pub remote_type: String,
    pub remote_id: String,
    pub remote_number: Option<String>,
    /// QuickBooks: `SyncToken`.
    pub version: Option<String>,
    /// Acknowledged writes.
    pub revision: i64,
    /// What both sides agreed on: `{"sent": ..., "answered": ...}`.
    pub agreed: Option<String>,
    /// Gone there.
    pub deleted: bool,
}

/// Where a walk over a run's changes of the hub stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HubPlace {
    /// Below this `change_id`; None: at the last one.
    Changed(Option<i32>),
    /// Below this place among the records that it made; None: at the last one.
    Created(Option<i64>),
}

impl Default for HubPlace {
    fn default() -> HubPlace {
        HubPlace::Changed(None)
    }
}

/// A record with everything that its rendering needs. Records are the hub's rows as JSON, an
/// order's and a refund's lines under `lines`.
#[derive(Debug, Clone, Default)]
pub struct Bundle {
    pub entity: Option<Entity>,
    pub hub_id: i64,
    /// Id where it was born, else the hub id.
    pub record_id: String,
    /// Key of the account where it was born (the shop's address); empty for records born here.
    pub source_account: String,
    /// None: gone from the hub.
    pub record: Option<String>,
    /// An order's refunds.
    pub refunds: Vec<String>,
    /// An order's customer; a bill's vendor.
    pub customer: Option<String>,
    /// The products of an order's or a bill's lines; the parent of a variation.
    pub products: Vec<String>,
    /// Links of all of these on the account.
    pub links: Vec<Link>,
    /// Ids of refunds that somebody asked for by name.
    pub asked_refunds: Vec<String>,
    /// Why the record could not be read, where it couldn't; all else is empty then.
    pub unreadable: Option<Error>,
}

/// A plan as the store keeps it with the step.
#[derive(Debug, Clone, PartialEq)]
pub struct KeptPlan {
    pub hash: String,
    pub summary: PlanSummary,
    /// Confirmations that a person gave to a plan of this hash.
    pub confirmed: u32,
    /// The hash that the confirmations were given to.
    pub confirmed_hash: Option<String>,
    /// All changes are stored and the gate let it through.
    pub released: bool,
}

/// A record of which something is told, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub entity: Entity,
    pub hub_id: i64,
    /// Its id where it was born. Not unique: a row that was born here has its hub id.
    pub record_id: String,
}

/// How a change stands that another one depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Dependency {
    pub status: Status,
    pub remote_id: Option<String>,
    pub label: String,
    pub target: String,
    pub entity: Entity,
    pub hub_id: i64,
}

/// An intent whose outcome isn't known: its worker went away, or no answer came.
#[derive(Debug, Clone)]
pub struct OpenCall {
    pub call: Call,
    /// When it was last sent, or meant to be.
    pub at: Timestamp,
}

/// What became of one item.
#[allow(clippy::large_enum_variant)] // one a write, moved once, never kept in numbers
#[derive(Debug, Clone)]
pub enum ItemOutcome {
    /// It is there, and this is how. `problem`: but not as it was meant (its total differs).
    Done { ack: Ack, problem: Option<Error> },
    /// Refused; `conflict` holds the fields of a clash, agreed, local and platform.
    Failed { error: Error, conflict: Option<Map<String, Value>> },
    /// Nobody knows whether it was done.
    Unknown(Error),
    /// Nothing was done: the change goes back to planned.
    Planned,
}

/// How a call ended: committed in one transaction, links and queue with it.
#[derive(Debug, Clone)]
pub struct Settled {
    pub request_id: String,
    pub http_status: Option<u16>,
    /// The platform's own id of the call.
    pub trace: Option<String>,
    pub items: Vec<(Item, ItemOutcome)>,
}

/// Calls made and reads spent since the last report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    pub calls: u64,
    /// Of those, metered.
    pub reads: u64,
}

/// Everything that a push keeps. Time-outs and retries of lock conflicts are the store's affair.
#[async_trait]
pub trait PushStore: Send + Sync + 'static {
    /// Folds noted hub changes into the queues of the tenant's connections. Those of their own
    /// origin are left out.
    async fn fold(&self, tenant: &TenantId) -> Result<()>;

    async fn gate(&self, tenant: &TenantId) -> Result<GateSettings>;

    /// Verify mode: since when intents and links may be lost. Every create asks the platform first
    /// then. (After a failover, until the stream was walked.)
    async fn verify_since(&self, stream: &Stream) -> Result<Option<Timestamp>>;

    /// Metered reads of the connection this month.
    async fn reads_used(&self, stream: &Stream) -> Result<u64>;

    /// When all records of the stream were last compared; None: never.
    async fn last_sweep(&self, stream: &Stream) -> Result<Option<Timestamp>>;

    async fn note_sweep(&self, stream: &Stream, at: Timestamp) -> Result<()>;

    /// The plan that an interrupted or a waiting run left with the step.
    async fn kept_plan(&self, run: &Run, step: &Step) -> Result<Option<KeptPlan>>;

    /// Drops what was planned and not sent, before it is planned anew. Returns the highest
    /// `change_id` that stays, of any step of the run.
    async fn begin_plan(&self, run: &Run, step: &Step) -> Result<i32>;

    /// The next records after a place, in the order of roots and hub ids. Their queue entries are
    /// claimed (a lease, never a lock), but for a dry run, which only looks.
    async fn candidates(
        &self,
        run: &Run,
        stream: &Stream,
        roots: &[Root],
        scope: &Scope,
        after: Option<Candidate>,
        limit: usize,
    ) -> Result<Vec<Candidate>>;

    /// Changes that the run which this one undoes made on the account, the last first, below
    /// `before`.
    async fn done_changes(
        &self,
        run: &Run,
        stream: &Stream,
        before: Option<i32>,
        limit: usize,
    ) -> Result<Vec<Done>>;

    /// The reverses of what pulls of the undone run changed in the hub, from the step's connection,
    /// behind a place, and where the next page begins: what was changed, the last first, then what
    /// was made, what refers to others first. None: that was all.
    async fn hub_reverses(
        &self,
        run: &Run,
        step: &Step,
        place: HubPlace,
        limit: usize,
    ) -> Result<Option<(Vec<HubReverse>, HubPlace)>>;

    /// Carries out planned reverses of hub rows, each for itself, in one transaction with what
    /// became of them; how many.
    async fn undo_in_hub(&self, run: &Run, step: &Step, limit: usize) -> Result<usize>;

    /// The records with all that belongs to them; one for each candidate, in their order.
    async fn bundles(
        &self,
        stream: &Stream,
        roots: &[Root],
        candidates: &[Candidate],
    ) -> Result<Vec<Bundle>>;

    /// Stores changes of a plan. Failed ones become failed records when the plan is released.
    async fn save_changes(&self, run: &Run, step: &Step, changes: Vec<Change>) -> Result<()>;

    /// These records are as they should be: nothing is told of them any more, but for amounts that
    /// came out otherwise there.
    async fn in_step(&self, run: &Run, records: Vec<Told>, step: &Step) -> Result<()>;

    /// The plan is complete. `released`: it may be sent; else it waits for a person until `until`.
    async fn close_plan(
        &self,
        run: &Run,
        step: &Step,
        plan: &KeptPlan,
        until: Option<Timestamp>,
    ) -> Result<()>;

    /// Changes yet to be sent, by wave and place.
    async fn unsent(&self, run: &Run, step: &Step, limit: usize) -> Result<Vec<Change>>;

    async fn dependencies(&self, run: &Run, ids: Vec<i32>) -> Result<HashMap<i32, Dependency>>;

    /// Changes that can't be sent because of another: failed, with the one that they wait for.
    async fn block(&self, run: &Run, step: &Step, blocked: Vec<(Change, Dependency)>)
    -> Result<()>;

    /// Was a call of this id refused: settled, with nothing done?
    async fn was_refused(&self, stream: &Stream, request_id: &str) -> Result<bool>;

    /// Commits an intent, durably, before it is sent.
    async fn intend(&self, run: &Run, step: &Step, call: &Call) -> Result<()>;

    /// Commits what became of a call. A change that another call has done meanwhile (the same write
    /// on a newer version) stays done, whatever is unknown of this one.
    async fn settle(&self, run: &Run, step: &Step, settled: &Settled, spent: Spent) -> Result<()>;

    /// Intents of the account whose outcome isn't known.
    async fn open_calls(&self, stream: &Stream) -> Result<Vec<OpenCall>>;

    /// The link of a remote record.
    async fn link(&self, stream: &Stream, entity: Entity, remote_id: &str) -> Result<Option<Link>>;

    /// The remote record is gone, by whomever: its link counts no more. False: there was none.
    async fn unlink(&self, stream: &Stream, entity: Entity, remote_id: &str) -> Result<bool>;

    /// Adds calls and reads that no settlement told of.
    async fn spent(&self, run: &Run, step: &Step, spent: Spent) -> Result<()>;

    /// Ends the step's work on the queue: entries whose record is in step leave it (only where
    /// their generation is the claimed one), the others wait, are blocked or have failed.
    async fn finish(&self, run: &Run, step: &Step) -> Result<Counts>;

    /// Gives claimed entries back untouched: the plan waits, or the step could not go on.
    async fn release(&self, run: &Run, step: &Step) -> Result<()>;
}
