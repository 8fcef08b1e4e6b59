//! What the engine asks of a platform. Adding one touches its folder here, its default mappings,
//! its simulator and its docs page, and [`build`].

pub mod quickbooks;
pub mod woocommerce;

use crate::error::{Error, Result};
use crate::http::HttpContext;
use crate::http::budget::Held;
use crate::mapping::{Problem, Rule};
use crate::model::{Direction, Entity, Mode, Record, RecordFailure};
use crate::push::Walk;
use crate::store::{Connection, Filters, Stream};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::sync::Arc;

/// Connectors by name, for messages and for `vocabulary`.
pub const CONNECTORS: [&str; 2] = ["woocommerce", "quickbooks"];

/// One line of `test_connection`.
#[derive(Debug, Clone)]
pub struct Check {
    pub name: &'static str,
    pub ok: bool,
    pub message: String,
    pub hint: Option<String>,
    pub duration_ms: u64,
    /// The error behind a failed check: `connect` raises the first one.
    pub error: Option<Error>,
}

/// The account behind a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Key of links and intents: the normalised site URL, the realm.
    pub key: String,
    /// What the platform calls it: the shop's title.
    pub label: String,
    /// `WooCommerce 10.2.4`
    pub platform: String,
}

impl Account {
    /// With what the platform says of itself made fit to be shown.
    pub fn new(key: String, label: &str, platform: &str) -> Account {
        Account { key, label: crate::mask::label(label), platform: crate::mask::label(platform) }
    }
}

/// One list that a pull walks: orders by id, then the trash.
#[derive(Debug, Clone, PartialEq)]
pub struct Pass {
    /// `live`, `trash`, `ids`
    pub name: &'static str,
    /// Only what was modified after this (strictly). None: everything.
    pub modified_after: Option<Timestamp>,
    pub filters: Filters,
    /// The pages cover the whole stream in id order: an id between two ends that is missing there
    /// and present in the hub may be gone, and is asked for by id.
    pub complete: bool,
    /// `remote_type` of the records that `complete` speaks of. Empty: the `ids` of pages are places
    /// in the list, by which no record is known.
    pub remote_type: &'static str,
    /// Ids only (`_fields=id`): nothing but what is missing counts.
    pub ids_only: bool,
}

/// One page as the platform gave it.
#[derive(Debug, Default)]
pub struct Page {
    /// Mapped records in dependency order, with what comes along (guests, variations).
    pub records: Vec<Record>,
    /// Records that couldn't be read.
    pub failures: Vec<RecordFailure>,
    /// Remote ids of records that the list itself tells to be gone (tombstones).
    pub gone: Vec<String>,
    /// Ids of every element of the page in its order, read or not.
    pub ids: Vec<i64>,
    /// Elements on the page.
    pub len: usize,
    /// Of those, not meant to be stored (checkout drafts).
    pub skipped: usize,
    /// Total of the list, where the platform tells it (proxies drop the header).
    pub total: Option<u64>,
    /// The platform's clock when it answered.
    pub served_at: Option<Timestamp>,
    /// Calls made for it.
    pub calls: u64,
    /// Warnings for the log, masked: what was odd and how it was read.
    pub notes: Vec<String>,
    /// It ends before what was asked for, since more would take too much memory: the next page goes
    /// on from its last element.
    pub cut: bool,
    /// Bytes of its records and failures, roughly.
    pub weight: usize,
    /// They, as far as they count in this process.
    pub held: Held,
    /// Ids of the elements that were left to the next page.
    pub left: Vec<i64>,
    /// There is no room for it ahead of its turn.
    pub crowded: bool,
}

impl Page {
    /// Takes a record.
    pub fn keep(&mut self, record: Record) {
        self.weigh(record.weight());
        self.records.push(record);
    }

    /// Takes a record that couldn't be read.
    pub fn fail(&mut self, failure: RecordFailure) {
        self.weigh(failure.weight());
        self.failures.push(failure);
    }

    /// Counts what is about to be kept.
    pub fn weigh(&mut self, bytes: usize) {
        self.weight += bytes;
        self.crowded |= !self.held.grow(bytes);
    }

    /// Takes what came along with an element: it doesn't count as one.
    pub fn add_along(&mut self, along: Page) {
        self.weigh(along.weight);
        self.records.extend(along.records);
        self.failures.extend(along.failures);
        self.calls += along.calls;
        self.notes.extend(along.notes);
    }

    /// No more elements may be taken after the first `taken`. Two always may: pages share one, and
    /// must get on.
    pub fn is_full(&self, taken: usize, most: usize) -> bool {
        taken >= 2 && (self.weight >= most || self.crowded)
    }
}

/// Records asked for by id: those that came, and those that the platform says are gone.
#[derive(Debug, Default)]
pub struct ById {
    pub records: Vec<Record>,
    pub failures: Vec<RecordFailure>,
    pub gone: Vec<String>,
    pub calls: u64,
    pub notes: Vec<String>,
    /// Ids that are to be asked for again: more records would take too much memory at a time.
    pub rest: Vec<String>,
}

/// A webhook of the platform that delivers to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// What it tells of: `order.updated`.
    pub topic: String,
    pub webhook_id: String,
    /// As the platform says: `active`.
    pub status: String,
    /// `kept`, `created`, `repaired`
    pub action: &'static str,
    /// What was wrong with it.
    pub message: Option<String>,
}

/// A platform's account, opened.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Checks in order; a failed one may end the list.
    async fn check(&self) -> Vec<Check>;

    /// What the hub's records ask of settings and account, once [`Connector::check`] went well:
    /// everything at once, with counts and sums, before the first of them fails.
    async fn check_hub(&self, _hub: &Walk) -> Vec<Check> {
        vec![]
    }

    /// The account, asked live.
    async fn account(&self) -> Result<Account>;

    /// The lists that a pull of `entity` walks. `watermark` None: everything.
    async fn passes(
        &self,
        entity: Entity,
        mode: Mode,
        watermark: Option<Timestamp>,
        filters: &Filters,
    ) -> Result<Vec<Pass>>;

    /// A light list of all ids of an entity, to find what was deleted without a trace. None: the
    /// platform's ordinary walk shows deletes.
    fn id_walk(&self, _entity: Entity) -> Option<Pass> {
        None
    }

    /// How far the watermark stays behind the start of a walk: changes become visible late and in
    /// parts (woocommerce.md, section 6).
    fn overlap(&self) -> SignedDuration {
        SignedDuration::from_mins(5)
    }

    /// How old the last look at all ids may be before an incremental run takes another.
    fn id_walk_interval(&self) -> SignedDuration {
        SignedDuration::from_hours(24)
    }

    /// Elements of a page.
    fn page_size(&self) -> u64;

    /// Pages asked for at once.
    fn concurrency(&self) -> usize;

    /// `limit` elements of the pass from `offset` on.
    async fn page(&self, stream: &Stream, pass: &Pass, offset: u64, limit: u64) -> Result<Page>;

    /// Records by remote id, at most [`Connector::page_size`] of them.
    async fn by_ids(&self, stream: &Stream, ids: &[String]) -> Result<ById>;

    /// Metered reads since this was asked last.
    fn take_reads(&self) -> u64 {
        0
    }

    /// Makes and repairs the platform's webhooks that deliver to `url`, signed with `secret`;
    /// `resecret`: also those that are well are given the secret.
    async fn keep_webhooks(
        &self,
        _url: &str,
        _secret: &str,
        _resecret: bool,
    ) -> Result<Vec<Registration>> {
        Err(Error::argument(
            "this platform's webhooks are not made by its API",
            "Make them on the platform's own pages; docs/how-to/webhooks.md says how.",
        ))
    }
}

/// The parts of a connection's settings and credentials that can be judged without a call: every
/// problem, with the way to its cure. Also the key of its account.
pub fn validate(
    connector: &str,
    settings: &Value,
    credentials: Option<&crate::store::Secret>,
    policy: &crate::http::AddressPolicy,
) -> Result<String, Vec<Error>> {
    match connector {
        "woocommerce" => woocommerce::validate(settings, credentials, policy),
        "quickbooks" => quickbooks::check::validate(settings, credentials, policy),
        other => Err(vec![unknown(other)]),
    }
}

/// Where a connection's secrets are sent: equal for two spellings of one place, different for two
/// places. Credentials are sealed for it, so that they don't open for a call to another one.
pub fn recipient(connector: &str, settings: &Value, account: &str) -> Result<String> {
    match connector {
        "woocommerce" => woocommerce::recipient(settings),
        "quickbooks" => quickbooks::settings::recipient(settings, account),
        other => Err(unknown(other)),
    }
}

/// Is the changed address the same account, reached in a safer way (a shop that moves from http to
/// https)? Then its credentials may follow without a person.
pub fn is_safer_way(connector: &str, before: &Value, after: &Value) -> bool {
    match connector {
        "woocommerce" => woocommerce::is_safer_way(before, after),
        _ => false,
    }
}

/// Is there a token among the credentials that ends soon, or has ended?
pub fn has_aged(connector: &str, credentials: &crate::store::Secret, now: Timestamp) -> bool {
    match connector {
        "quickbooks" => quickbooks::auth::TokenSet::from_secret(credentials)
            .is_some_and(|tokens| !tokens.is_fresh(now)),
        _ => false,
    }
}

/// Metered reads that an account has for a month. None: nothing is metered there.
pub fn reads_budget(
    connector: &str,
    settings: &Value,
    policy: &crate::http::AddressPolicy,
) -> Option<u64> {
    match connector {
        "quickbooks" => quickbooks::check::reads_budget(settings, policy),
        _ => None,
    }
}

/// How a run gets the connector of a connection; a simulation brings its own. The number: metered
/// reads of this month so far.
pub type Open = Arc<
    dyn Fn(&Arc<Connection>, &Arc<HttpContext>, u64) -> Result<Arc<dyn Connector>> + Send + Sync,
>;

/// Is the account one for trials, as far as its settings tell? A sandbox takes no other. A shop's
/// address doesn't tell.
pub fn check_for_trials(
    connector: &str,
    settings: &Value,
    policy: &crate::http::AddressPolicy,
) -> Result<()> {
    match connector {
        "quickbooks" => quickbooks::check::check_for_trials(settings, policy),
        _ => Ok(()),
    }
}

/// Does the platform count reads against a budget?
pub fn is_metered(connector: &str) -> bool {
    connector == "quickbooks"
}

/// Opens the connector of a connection, for a worker: access is shared by its runs, and renewed.
pub fn build_shared(
    connection: &Arc<Connection>,
    http: &Arc<HttpContext>,
    reads: u64,
    accounts: &quickbooks::push::Accounts,
) -> Result<Arc<dyn Connector>> {
    match connection.connector.as_str() {
        "quickbooks" => {
            let access = accounts.of(connection, reads)?;
            Ok(Arc::new(quickbooks::check::QuickBooks::with(access, http)))
        }
        _ => build(connection, http),
    }
}

/// Opens the connector of a connection, for a session.
pub fn build(connection: &Arc<Connection>, http: &Arc<HttpContext>) -> Result<Arc<dyn Connector>> {
    match connection.connector.as_str() {
        "woocommerce" => Ok(Arc::new(woocommerce::WooCommerce::open(connection, http)?)),
        "quickbooks" => Ok(Arc::new(quickbooks::check::QuickBooks::open(connection, http)?)),
        other => Err(unknown(other)),
    }
}

/// The mapping rules in force on an entity under an account's changes (as `set_mapping` takes them;
/// None: the defaults). The error lists every problem, as `validate_mapping` shows them.
pub fn mapping_rules(
    connector: &str,
    entity: Entity,
    direction: Direction,
    changes: Option<&Value>,
) -> Result<Vec<Rule>, Vec<Problem>> {
    match (connector, direction) {
        ("woocommerce", Direction::Pull) => {
            woocommerce::defaults::programs(entity, changes)?;
            woocommerce::defaults::in_force(entity, changes)
        }
        ("quickbooks", Direction::Pull) => {
            quickbooks::defaults::program(entity, changes)?;
            quickbooks::defaults::in_force(entity, changes)
        }
        _ => Err(vec![Problem::error(
            "no_mapping",
            format!("{connector} has no mapping to {} {entity}", direction.as_str()),
            "SELECT connection, entity, direction FROM easysync.streams;",
        )]),
    }
}

/// What the rules make of a record's JSON, as JSON: nothing is stored. `currency` is the shop's, or
/// the order's, for records that don't name one.
pub fn preview_mapping(
    connector: &str,
    entity: Entity,
    changes: Option<&Value>,
    sample: &str,
    currency: Option<&str>,
) -> Result<String> {
    match connector {
        "woocommerce" => woocommerce::preview(entity, changes, sample, currency),
        "quickbooks" => quickbooks::preview(entity, changes, sample, currency),
        other => Err(unknown(other)),
    }
}

/// Opens the account that a connection is pushed to. `reads`: metered reads of this month so far.
pub fn open_target(
    connection: &Arc<Connection>,
    http: &Arc<HttpContext>,
    reads: u64,
    accounts: &quickbooks::push::Accounts,
) -> Result<Arc<dyn crate::push::target::Target>> {
    match connection.connector.as_str() {
        "quickbooks" => Ok(Arc::new(accounts.of(connection, reads)?.books(http))),
        other => Err(not_pushed_to(other)),
    }
}

/// As [`open_target`], for a session: it renews no token.
pub fn open_session_target(
    connection: &Arc<Connection>,
    http: &Arc<HttpContext>,
) -> Result<Arc<dyn crate::push::target::Target>> {
    match connection.connector.as_str() {
        "quickbooks" => Ok(Arc::new(quickbooks::push::of_session(connection, http)?.books(http))),
        other => Err(not_pushed_to(other)),
    }
}

fn not_pushed_to(connector: &str) -> Error {
    Error::argument(
        format!("{connector} is not pushed to"),
        "Set the stream's direction to pull with easysync.set_stream.",
    )
}

fn unknown(connector: &str) -> Error {
    Error::argument(
        format!("unknown connector \"{connector}\""),
        format!("Connectors: {}.", CONNECTORS.join(", ")),
    )
}
