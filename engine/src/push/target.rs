//! What a push asks of a platform: how records are rendered there, and how writes are sent.

use super::store::{Bundle, Link, Spent};
use super::undo::Done;
use crate::error::{Error, Result};
use crate::model::Entity;
use crate::plan::{Action, Draft, Key};
use async_trait::async_trait;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

/// One write, ready to be sent: every id is known. Stored with its intent, so that the same body
/// goes out again with the same id.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub change_id: i32,
    pub key: Key,
    pub entity: Entity,
    pub hub_id: i64,
    pub record_id: String,
    pub label: String,
    /// The platform's type: `SalesReceipt`.
    pub target: String,
    pub action: Action,
    pub body: Value,
    #[serde(default)]
    pub remote_id: Option<String>,
    #[serde(default)]
    pub version: Option<String>,
    pub revision: i64,
    #[serde(default)]
    pub number: Option<String>,
    #[serde(default)]
    pub total: Option<Decimal>,
    /// The connector's own notes, for the link.
    #[serde(default)]
    pub memo: Value,
    /// Id of this write alone; a batch has one of its own beside.
    pub request_id: String,
}

/// A body holds personal data.
impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Item")
            .field("change_id", &self.change_id)
            .field("key", &self.key)
            .field("action", &self.action)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// One call: a write, or a batch of writes that don't depend on each other. Its composition never
/// changes once it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The id that the platform tells a repetition by.
    pub request_id: String,
    /// SHA-256 of what is sent, in hex.
    pub body_hash: String,
    pub items: Vec<Item>,
}

/// A record as the platform shows it after a write, or when it was looked for.
#[derive(Clone, PartialEq)]
pub struct Ack {
    pub remote_id: String,
    /// None: deleted there.
    pub version: Option<String>,
    pub number: Option<String>,
    pub total: Option<Decimal>,
    /// The platform's JSON.
    pub record: Value,
    /// What both sides agree on from now, as [`Link::agreed`] keeps it.
    pub agreed: Value,
    /// It is there, but not as it was meant.
    pub problem: Option<Error>,
    /// The platform's type, where it is another one than the item's: it was first written as that,
    /// and stays so. What else its order needs has to be planned anew.
    pub stays: Option<String>,
    /// It was there before the write that it stands for, and not by an earlier try of that.
    pub found: bool,
}

/// A record holds personal data.
impl std::fmt::Debug for Ack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ack")
            .field("remote_id", &self.remote_id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// What helps against a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cure {
    /// Nothing that a machine could do.
    None,
    /// The same again, not before.
    Retry { after: Duration },
    /// Somebody else wrote to the record: read it and compare.
    Refetch,
    /// The number or the name is taken: look whether the record is ours.
    LookUp,
    /// The record is locked there, and the change is none that anybody has to know of.
    Leave,
    /// Something that the write names is gone there, or goes by another id: look for it again.
    Reresolve,
    /// Nothing may be sent to the account before a person has acted.
    Stop,
}

/// What became of one write.
#[allow(clippy::large_enum_variant)] // one a write, moved once, never kept in numbers
#[derive(Debug, Clone)]
pub enum Answer {
    Done(Ack),
    Refused {
        error: Error,
        cure: Cure,
    },
    /// It may have been done.
    Unknown(Error),
    /// It was not done, and not looked at.
    NotSent(Error),
}

/// A call, sent: an answer for each of its items, in their order.
#[derive(Debug, Clone)]
pub struct Sent {
    pub answers: Vec<Answer>,
    pub http_status: Option<u16>,
    pub trace: Option<String>,
}

/// What was found where an item's record should be.
#[allow(clippy::large_enum_variant)] // one a write, moved once, never kept in numbers
#[derive(Debug, Clone)]
pub enum Found {
    Nothing,
    /// It is there, and ours.
    Ours(Ack),
    /// The number or name is somebody else's: what a person is told.
    Other(Error),
}

/// What a refetch after a stale version shows.
#[allow(clippy::large_enum_variant)] // one a write, moved once, never kept in numbers
#[derive(Debug, Clone)]
pub enum Refetched {
    /// Nothing that we write has moved: the same change on this version.
    Rebase {
        version: String,
        /// Members that take the place of the change's own: what it names goes by another id.
        members: Map<String, Value>,
    },
    /// It is as the change wants it: an earlier write of ours whose answer was lost.
    Already(Ack),
    /// A field that we write was changed there.
    Conflict {
        error: Error,
        fields: Map<String, Value>,
    },
    Gone(Error),
}

/// What becomes of a write that names what isn't there.
#[derive(Debug, Clone)]
pub enum Reresolved {
    /// Nothing is known to help: the refusal stands.
    Nothing,
    /// It goes by another id: the same write with this body.
    Body(Value),
    /// It is there and can't be used: which it is, in words.
    Unusable(Error),
    /// This record is gone, and its link with it: the plan was made without knowing.
    Gone { entity: Entity, remote_id: String },
}

/// An account that is pushed to.
#[async_trait]
pub trait Target: Send + Sync {
    /// Reads what planning has to know of the account, once before a plan. Error: the account or
    /// its settings don't allow any push. `lost_since`: intents and links since then may be lost
    /// ([`super::store::PushStore::verify_since`]), and what was written there since has to be known.
    async fn prepare(&self, lost_since: Option<Timestamp>) -> Result<()>;

    /// The changes that bring one record in step, with those of what it needs before them. Empty:
    /// it is in step. Errors end the plan; what is wrong with the record alone is a draft.
    async fn draft(&self, bundle: &Bundle) -> Result<Vec<Draft>>;

    /// The reverses of changes that an earlier run made, one for each, in their order. What can't be
    /// taken back is skipped with the reason. Errors end the plan.
    async fn undo(&self, done: &[Done]) -> Result<Vec<Draft>>;

    /// Writes that go in one call, at the most.
    fn batch_size(&self) -> usize;

    /// Calls that are in flight at once, at the most.
    fn concurrency(&self) -> usize;

    /// The id of a write: derived from what it is, so that the same wish has the same id.
    fn request_id(&self, item: &Item) -> String;

    /// Id and hash of a call of these items, whose own ids are set.
    fn call(&self, items: Vec<Item>) -> Call;

    /// The same call under another id, which follows from the first: what was refused is asked for
    /// anew, since the platform may repeat its refusal for as long as it remembers the id.
    fn anew(&self, call: Call) -> Call;

    async fn send(&self, call: &Call) -> Sent;

    /// Looks for the record that an item wrote, would create, or takes to be there ([`Action::Skip`]):
    /// by its id, number or natural key.
    async fn find(&self, item: &Item) -> Result<Found>;

    /// Reads the record of an item whose version was stale, and compares it with the agreed state.
    async fn refetch(&self, item: &Item, link: Option<&Link>) -> Result<Refetched>;

    /// After [`Cure::Leave`]: the record as it was, and as if the change had been made. None: nothing
    /// is known of it.
    fn left(&self, item: &Item, link: &Link) -> Option<Ack>;

    /// After [`Cure::Reresolve`]: what the item names, looked for again.
    async fn reresolve(&self, item: &Item) -> Result<Reresolved>;

    /// Must the platform be asked before this record is first created: somebody may have entered it
    /// by hand.
    fn asks_before_create(&self, item: &Item) -> bool;

    /// Must the platform be asked before this write goes out again after an unknown outcome? Where
    /// a repetition would be seen by its number or name it need not.
    fn asks_before_resend(&self, item: &Item) -> bool;

    /// Calls and reads since the last time this was asked.
    fn take_spent(&self) -> Spent;
}
