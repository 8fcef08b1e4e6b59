//! What the intake asks of the place where deliveries are kept.

use super::{Fetch, Headers, Hint};
use crate::error::Result;
use crate::model::{ConnectionName, TenantId};
use crate::store::Secret;
use async_trait::async_trait;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// A connection as deliveries see it.
#[derive(Debug, Clone)]
pub struct Account {
    pub connection: ConnectionName,
    pub connector: String,
    /// Key of the account: the site, the realm.
    pub key: String,
    /// May it be read now?
    pub connected: bool,
    /// Are deliveries acted on?
    pub enabled: bool,
    /// None: they don't open just now (the key file is away); its deliveries wait.
    pub credentials: Option<Secret>,
}

/// A delivery that nobody has taken up yet.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub event_id: i64,
    pub tenant: TenantId,
    /// As the delivery was stored: there may be no such connection.
    pub connection: String,
    /// The error: why they can't be read.
    pub headers: std::result::Result<Headers, String>,
    pub body: String,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    pub event_id: i64,
    /// `accepted`, `rejected`, `ignored`, `processed`
    pub status: &'static str,
    pub reason: Option<String>,
    pub topic: Option<String>,
    /// The records it speaks of.
    pub hints: Vec<Hint>,
    /// Kept until its connection may be read again.
    pub kept: bool,
    /// Says just what that delivery said a moment before: it ends with it.
    pub same_as: Option<i64>,
}

/// What is to be done, as one look at the store shows it.
#[derive(Debug, Default)]
pub struct Open {
    /// Of each tenant the oldest first, and the tenants in turns.
    pub deliveries: Vec<Delivery>,
    /// There are more: not all were handed out at once.
    pub more: bool,
    /// The connections of the tenants that they were brought to.
    pub accounts: HashMap<TenantId, Vec<Account>>,
    /// The tenants that have a run in hand or queued that deliveries made.
    pub fetching: HashSet<TenantId>,
    /// How long until the next failed fetch is due again. None: there is none.
    pub next_retry: Option<Duration>,
}

/// Where deliveries are kept. Every call is one short transaction.
#[async_trait]
pub trait WebhookStore: Send + Sync + 'static {
    /// Deliveries to be looked at, a bounded number of bytes at a time: new ones, those whose fetch
    /// failed and is due again, those kept for a connection that works again; with `all`, also those
    /// that were accepted and never fetched (the worker went away in between). None while the
    /// database is fenced. Of each tenant those after a delivery only: a look goes through them all,
    /// part by part, and every part has some of each tenant that has any.
    async fn open_deliveries(&self, all: bool, after: HashMap<TenantId, i64>) -> Result<Open>;

    /// Notes what became of deliveries, and queues fetches, all or nothing.
    async fn settle(&self, settled: Vec<Settled>, fetches: Vec<Fetch>) -> Result<()>;

    /// Resolves when somebody committed something that may be a delivery, or a fetch has ended.
    async fn deliveries_changed(&self);
}
