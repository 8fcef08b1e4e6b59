//! What changed since a moment: change data capture (quickbooks.md, section 7).

use super::client::Api;
use super::kind::Kind;
use super::reply;
use crate::error::{Category, Error, Result};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Objects of one answer, of all kinds together. More are cut off without a word.
const MOST: usize = 1000;

/// How far back QuickBooks looks is 30 days; a day less, since nobody knows what it does beyond.
pub const REACH: SignedDuration = SignedDuration::from_hours(29 * 24);

/// What changed of some kinds.
#[derive(Debug, Default)]
pub struct Changes {
    pub kinds: BTreeMap<Kind, KindChanges>,
    /// QuickBooks' clock when it answered; the earliest of several answers. The next question
    /// begins some minutes before it. None: it didn't say.
    pub served_at: Option<Timestamp>,
    pub calls: u64,
    /// The answer was larger than is read.
    too_large: bool,
}

/// What changed of one kind.
#[derive(Debug, Default)]
pub struct KindChanges {
    /// Whole records, also those that we wrote ourselves.
    pub changed: Vec<Box<RawValue>>,
    /// Ids of deleted transactions.
    pub gone: Vec<String>,
    /// There may be more, changed and gone: ask by a query, and for the ids.
    pub truncated: bool,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Head {
    #[serde(rename = "Id")]
    id: Option<String>,
    status: Option<String>,
}

impl Api {
    /// Changes of `kinds` since `since`, one call for all of them unless they are too many for one
    /// answer. A kind that is too large alone comes back `truncated`. Error: `cdc_reach`
    /// (validation) where `since` is further back than QuickBooks looks.
    pub async fn changes(&self, kinds: &[Kind], since: Timestamp) -> Result<Changes> {
        if self.now().duration_since(since) > REACH {
            return Err(Error::new(
                Category::Validation,
                "cdc_reach",
                "QuickBooks tells changes of the last 30 days only",
            )
            .hint("Read everything again: easysync.trigger(..., mode => 'full')."));
        }
        let mut changes = self.ask_some_changes(kinds, since).await?;
        if changes.len() < MOST && !changes.too_large {
            return Ok(changes);
        }
        if let [kind] = kinds {
            changes.kinds.entry(*kind).or_default().truncated = true;
            return Ok(changes);
        }
        // Which of them was cut isn't told: each one alone.
        let mut all = Changes { calls: changes.calls, ..Changes::default() };
        for kind in kinds {
            let mut one = self.ask_some_changes(&[*kind], since).await?;
            let truncated = one.len() >= MOST || one.too_large;
            let mut own = one.kinds.remove(kind).unwrap_or_default();
            own.truncated = truncated;
            all.kinds.insert(*kind, own);
            all.calls += one.calls;
            all.served_at = earlier(all.served_at, one.served_at);
        }
        Ok(all)
    }

    /// None of them where the answer is larger than is read: as good as more than one answer holds.
    async fn ask_some_changes(&self, kinds: &[Kind], since: Timestamp) -> Result<Changes> {
        match self.ask_changes(kinds, since).await {
            Err(error) if error.code == "too_large" => {
                Ok(Changes { calls: 1, too_large: true, ..Changes::default() })
            }
            changes => changes,
        }
    }

    async fn ask_changes(&self, kinds: &[Kind], since: Timestamp) -> Result<Changes> {
        let names: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
        let since = Timestamp::from_second(since.as_second()).unwrap_or(since).to_string();
        let query = [("entities", names.join(",")), ("changedSince", since)];
        let query = [(query[0].0, query[0].1.as_str()), (query[1].0, query[1].1.as_str())];
        let answer = self.read("cdc", &query).await?;
        let body = answer.body()?;
        let mut changes =
            Changes { served_at: body.time(), calls: answer.calls(), ..Changes::default() };
        let list = body.get("CDCResponse").ok_or_else(no_changes)?;
        for part in reply::list(list)? {
            let members = reply::object(part.get()).ok_or_else(no_changes)?;
            refused(&members)?;
            let Some(groups) = members.get("QueryResponse") else { continue };
            for group in reply::list(groups)? {
                let group = reply::object(group.get()).ok_or_else(no_changes)?;
                refused(&group)?;
                changes.take(kinds, &group)?;
            }
        }
        Ok(changes)
    }
}

impl Changes {
    fn len(&self) -> usize {
        self.kinds.values().map(|own| own.changed.len() + own.gone.len()).sum()
    }

    /// A group holds the records of one kind, or nothing but counts.
    fn take(&mut self, kinds: &[Kind], group: &BTreeMap<String, &RawValue>) -> Result<()> {
        for kind in kinds {
            let Some(list) = group.get(kind.as_str()) else { continue };
            let own = self.kinds.entry(*kind).or_default();
            for raw in reply::list(list)? {
                let head: Head = serde_json::from_str(raw.get()).unwrap_or_default();
                match (head.status, head.id) {
                    (Some(status), Some(id)) if status.eq_ignore_ascii_case("deleted") => {
                        own.gone.push(id);
                    }
                    _ => own.changed.push(raw.to_owned()),
                }
            }
        }
        Ok(())
    }
}

fn refused(members: &BTreeMap<String, &RawValue>) -> Result<()> {
    match reply::fault_in(members) {
        Some(fault) => Err(super::errors::refusal(&fault, 200).error),
        None => Ok(()),
    }
}

fn no_changes() -> Error {
    Error::new(
        Category::Network,
        "unexpected_json",
        "QuickBooks answered a question for changes with JSON of another shape",
    )
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
