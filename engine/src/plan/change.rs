//! One planned write, before and after it has its place in a plan.

use crate::error::Error;
use crate::model::Entity;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// What a change does on the platform, as `action` of the view `sync_changes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Create,
    Update,
    Void,
    Inactivate,
    Delete,
    /// Nothing is written; the change's reason says why. With a payload the record is there already
    /// and gets a link.
    Skip,
}

impl Action {
    pub const ALL: [Action; 6] = [
        Action::Create,
        Action::Update,
        Action::Void,
        Action::Inactivate,
        Action::Delete,
        Action::Skip,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Update => "update",
            Action::Void => "void",
            Action::Inactivate => "inactivate",
            Action::Delete => "delete",
            Action::Skip => "skip",
        }
    }

    /// The action of that word, as it was stored.
    pub fn parse(word: &str) -> Option<Action> {
        Action::ALL.into_iter().find(|action| action.as_str() == word)
    }

    /// Takes something away on the platform.
    pub fn is_destructive(self) -> bool {
        matches!(self, Action::Void | Action::Delete)
    }
}

/// What a planned write is about, unique in a plan: `customers:17`, `customers:17:EUR`,
/// `orders:175:Payment`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(pub String);

/// Stands in a body where the id of a record belongs that isn't on the platform yet.
const PLACEHOLDER: &str = "easysync-id-of ";

impl Key {
    /// `part` tells several remote records of one hub record apart; it may be empty.
    pub fn new(entity: Entity, hub_id: i64, part: &str) -> Key {
        match part {
            "" => Key(format!("{entity}:{hub_id}")),
            part => Key(format!("{entity}:{hub_id}:{part}")),
        }
    }

    /// What a body holds in the place of the id, until the record has one. Only as the `value` of a
    /// reference: other texts are left alone.
    pub fn placeholder(&self) -> String {
        format!("{PLACEHOLDER}{}", self.0)
    }

    /// The key that a reference's value stands for.
    pub fn of_placeholder(value: &str) -> Option<Key> {
        value.strip_prefix(PLACEHOLDER).map(|key| Key(key.to_owned()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is sent, but for ids that aren't known yet.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Payload {
    pub key: Key,
    /// The platform's JSON, with [`Key::placeholder`]s.
    pub body: Value,
    /// The record that is written to; None: a new one.
    #[serde(default)]
    pub remote_id: Option<String>,
    /// Its version as we know it (QuickBooks: `SyncToken`).
    #[serde(default)]
    pub version: Option<String>,
    /// Acknowledged writes of the record so far: part of the request id.
    #[serde(default)]
    pub revision: i64,
    /// The document's number: by it the platform is asked after an unknown outcome.
    #[serde(default)]
    pub number: Option<String>,
    /// What the answer's total must be, in the document's currency.
    #[serde(default)]
    pub total: Option<Decimal>,
    /// The changes that give the ids for the placeholders.
    #[serde(default)]
    pub refs: BTreeMap<Key, i32>,
    /// The connector's own notes, for the link.
    #[serde(default)]
    pub memo: Value,
}

impl Payload {
    /// A new record, without number and total.
    pub fn new(key: Key, body: Value, memo: Value) -> Payload {
        Payload {
            key,
            body,
            remote_id: None,
            version: None,
            revision: 0,
            number: None,
            total: None,
            refs: BTreeMap::new(),
            memo,
        }
    }
}

/// A body holds personal data.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload").field("key", &self.key).finish_non_exhaustive()
    }
}

/// One change that a connector plans for a record.
#[derive(Debug, Clone)]
pub struct Draft {
    pub key: Key,
    pub entity: Entity,
    pub hub_id: i64,
    /// Id where the record was born, else the hub id.
    pub record_id: String,
    /// What people call it: order number, SKU, masked e-mail.
    pub label: String,
    /// The platform's type: `SalesReceipt`.
    pub target: String,
    pub action: Action,
    /// Counts as destructive beyond what the action says: overwrites the source of truth.
    pub destructive: bool,
    /// Why, or why not.
    pub reason: Option<String>,
    /// `{"path": {"old": ..., "new": ...}}`; amounts are texts.
    pub fields: Map<String, Value>,
    /// What must be on the platform before. Keys that no draft of the plan has are there already.
    pub needs: Vec<Key>,
    /// None: nothing is written.
    pub payload: Option<Payload>,
    /// The record can't be sent: it waits for a person or for a change of settings.
    pub error: Option<Error>,
    /// A document's, for the summary of large plans.
    pub booked: Option<Booked>,
}

/// When and in what a document counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booked {
    pub on: jiff::civil::Date,
    /// ISO 4217
    pub currency: String,
    /// With tax, in that currency.
    pub total: Decimal,
}

impl Draft {
    /// A record that isn't meant to be sent, with the reason.
    pub fn skip(key: Key, entity: Entity, hub_id: i64, target: &str, reason: String) -> Draft {
        Draft {
            key,
            entity,
            hub_id,
            record_id: hub_id.to_string(),
            label: String::new(),
            target: target.to_owned(),
            action: Action::Skip,
            destructive: false,
            reason: Some(reason),
            fields: Map::new(),
            needs: vec![],
            payload: None,
            error: None,
            booked: None,
        }
    }

    /// Is anything sent?
    pub fn is_write(&self) -> bool {
        self.is_work() && self.action != Action::Skip
    }

    /// Is anything to be done: a write, or a link to what is there already?
    pub fn is_work(&self) -> bool {
        self.payload.is_some() && self.error.is_none()
    }
}

/// Where a change stands, as `status` of the view `sync_changes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    Planned,
    Sent,
    Done,
    Failed,
    /// Sent, and nobody knows whether it was done.
    Unknown,
    Skipped,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Planned => "planned",
            Status::Sent => "sent",
            Status::Done => "done",
            Status::Failed => "failed",
            Status::Unknown => "unknown",
            Status::Skipped => "skipped",
        }
    }

    /// The status of that word, as it was stored.
    pub fn parse(word: &str) -> Option<Status> {
        use Status::{Done, Failed, Planned, Sent, Skipped, Unknown};
        [Planned, Sent, Done, Failed, Unknown, Skipped].into_iter().find(|s| s.as_str() == word)
    }
}

/// A change in its place in a plan.
#[derive(Debug, Clone)]
pub struct Change {
    /// Order in the plan, from 1.
    pub change_id: i32,
    pub draft: Draft,
    /// Changes that must be done before.
    pub depends_on: Vec<i32>,
    /// Changes of one wave don't depend on each other: 0 needs nothing.
    pub wave: i16,
    /// The record whose queue entry waits for this change: an order for its customer's creation.
    pub root: (Entity, i64),
    pub status: Status,
}
