//! Batches: up to 30 writes in one call, each with an outcome of its own. They are not a
//! transaction, run in any order, and can't see each other (quickbooks.md, section 6): never put a
//! record and what it needs into one batch, nor two writes of one record.

use super::ack;
use super::limits::BATCH_ITEMS;
use super::reply::{self, Body};
use super::request_id::RequestId;
use super::write::{Outcome, Sent, Write};
use crate::error::{Error, Result};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Writes that go together. The composition is kept with the intents: a repetition must be the
/// same, in the same order.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    items: Vec<Write>,
}

/// A batch, sent: the outcomes stand in the order of its items.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchSent {
    pub outcomes: Vec<Outcome>,
    pub status: Option<u16>,
    /// `intuit_tid` of the answer.
    pub trace: Option<String>,
    pub calls: u64,
}

impl Batch {
    /// Error: none, more than 30, a write that can only go alone, or two of one record.
    pub fn new(items: Vec<Write>) -> Result<Batch> {
        if items.is_empty() || items.len() > BATCH_ITEMS {
            return Err(Error::internal(format!("a batch of {} items", items.len())));
        }
        if !items.iter().all(Write::fits_batch) {
            return Err(Error::internal("a write that goes alone stands in a batch"));
        }
        let target = |write: &Write| {
            let id = write.body().get("Id")?.as_str()?;
            Some((write.kind(), id.to_owned()))
        };
        let mut targets: Vec<_> = items.iter().filter_map(target).collect();
        let all = targets.len();
        targets.sort();
        targets.dedup();
        if targets.len() < all {
            return Err(Error::internal("a batch writes one record twice"));
        }
        Ok(Batch { items })
    }

    pub fn items(&self) -> &[Write] {
        &self.items
    }

    /// The id of this composition. `ids`: those of the items, in order.
    pub fn request_id(account: &str, ids: &[RequestId]) -> RequestId {
        RequestId::of_batch(account, ids)
    }

    /// Within ten characters, as a batch with a request id demands.
    fn b_id(index: usize) -> String {
        format!("b{}", index + 1)
    }

    pub(super) fn body(&self) -> Value {
        let items = self.items.iter().enumerate();
        let items: Vec<Value> = items.map(|(i, write)| write.item(&Batch::b_id(i))).collect();
        json!({ "BatchItemRequest": items })
    }

    /// Reads the answer: matched by `bId`, never by place. An item without an answer is unknown.
    pub(super) fn read(&self, body: &Body<'_>, heard: Sent) -> BatchSent {
        let status = heard.status.unwrap_or(200);
        let list = body.get("BatchItemResponse").and_then(|raw| reply::list(raw).ok());
        let mut answers: BTreeMap<String, BTreeMap<String, &RawValue>> = BTreeMap::new();
        for raw in list.unwrap_or_default() {
            let Some(members) = reply::object(raw.get()) else { continue };
            let id = members.get("bId").and_then(|raw| serde_json::from_str(raw.get()).ok());
            if let Some(id) = id {
                answers.insert(id, members);
            }
        }
        let outcomes = self.items.iter().enumerate().map(|(i, write)| {
            let Some(members) = answers.get(&Batch::b_id(i)) else {
                return Outcome::Unknown(reply::without("an answer to this item", status));
            };
            match reply::fault_in(members) {
                Some(fault) => ack::refused(&fault, status),
                None => ack::done(write, members.get(write.kind().as_str()).copied(), status),
            }
        });
        let outcomes = outcomes.collect();
        BatchSent { outcomes, status: heard.status, trace: heard.trace, calls: heard.calls }
    }

    /// One outcome for all: the call as a whole.
    pub(super) fn told(&self, sent: Sent) -> BatchSent {
        BatchSent {
            outcomes: vec![sent.outcome; self.items.len()],
            status: sent.status,
            trace: sent.trace,
            calls: sent.calls,
        }
    }

    pub(super) fn all(&self, outcome: Outcome) -> BatchSent {
        self.told(Sent { outcome, status: None, trace: None, calls: 0 })
    }
}
