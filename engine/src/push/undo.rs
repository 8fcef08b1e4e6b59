//! Undoing a push: what it wrote is taken back, last first, where nobody has gone on from it.

use super::Push;
use super::store::Link;
use crate::error::Result;
use crate::model::Entity;
use crate::plan::{Action, Change, Draft, Key, Numbering, PlanSummary};
use crate::store::SyncId;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// What a change of an earlier run did on the platform, and what has become of it.
#[derive(Clone)]
pub struct Done {
    pub change_id: i32,
    pub entity: Entity,
    pub hub_id: i64,
    pub record_id: String,
    pub label: String,
    /// The platform's type: `SalesReceipt`.
    pub target: String,
    pub action: Action,
    /// `{"path": {"old": ..., "new": ...}}`
    pub fields: Map<String, Value>,
    pub depends_on: Vec<i32>,
    /// None: nobody knows whether it was done.
    pub remote_id: Option<String>,
    /// It was there already and only got its link.
    pub found: bool,
    /// What the link held before the write. None: it made the record.
    pub before: Option<Kept>,
    /// What the link holds now.
    pub now: Option<Kept>,
    pub link: Option<Link>,
    /// A later run that has written to the record, and whether that was an undo of this one.
    pub later: Option<(SyncId, bool)>,
}

/// What a link keeps of a record.
#[derive(Clone)]
pub struct Kept {
    /// As [`Link::agreed`].
    pub agreed: Value,
    /// The platform's JSON.
    pub record: Value,
}

/// Records hold personal data.
impl std::fmt::Debug for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Done")
            .field("change_id", &self.change_id)
            .field("target", &self.target)
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

impl Done {
    /// The plan's key of its reverse.
    pub fn key(&self) -> Key {
        Key(format!("undo:{}", self.change_id))
    }

    /// A reverse without content.
    pub fn empty(&self) -> Draft {
        let draft = Draft::skip(self.key(), self.entity, self.hub_id, &self.target, String::new());
        Draft {
            record_id: self.record_id.clone(),
            label: self.label.clone(),
            reason: None,
            ..draft
        }
    }

    /// What can't be taken back.
    pub fn stays(&self, why: impl Into<String>) -> Draft {
        Draft { reason: Some(why.into()), ..self.empty() }
    }

    /// Why it stays, whatever the platform says; None: that has to be asked.
    fn obstacle(&self) -> Option<String> {
        let target = &self.target;
        let id = self.remote_id.as_deref();
        Some(match (self.action, self.later, id) {
            _ if self.found => format!("{target} was there before the sync, which only linked it"),
            (_, _, None) => format!(
                "nobody knows whether {target} was written: run the sync again, then undo that"
            ),
            (_, Some((sync, true)), _) => format!("sync {sync} has undone it already"),
            (_, Some((sync, false)), _) => {
                format!("sync {sync} has written to {target} since: undo that one first")
            }
            (Action::Void | Action::Delete, ..) => {
                format!(
                    "a {target} that was voided or deleted can't be brought back: enter it again"
                )
            }
            (Action::Update | Action::Inactivate, ..) if self.before.is_none() => {
                format!("what {target} was before isn't known")
            }
            _ => return None,
        })
    }
}

/// Where a plan that undoes stands.
#[derive(Default)]
pub(super) struct Undoing {
    before: Option<i32>,
    /// By change of the earlier run: the reverses that must be done before its own.
    needs: HashMap<i32, Vec<Key>>,
    /// By change of the earlier run: what stays, and needs it.
    stays: HashMap<i32, String>,
}

impl Push {
    /// The next page of reverses, the last change first. None: all are planned.
    pub(super) async fn undo_page(
        &self,
        undoing: &mut Undoing,
        limit: usize,
        numbering: &mut Numbering,
        summary: &mut PlanSummary,
    ) -> Result<Option<Vec<Change>>> {
        let done = self.store.done_changes(&self.run, self.stream(), undoing.before, limit).await?;
        let Some(last) = done.last() else { return Ok(None) };
        undoing.before = Some(last.change_id);
        let free: Vec<Done> = done.iter().filter(|d| d.obstacle().is_none()).cloned().collect();
        let mut reverses = self.target.undo(&free).await?.into_iter();
        let mut changes = vec![];
        for one in done {
            let reverse = match one.obstacle() {
                Some(why) => one.stays(why),
                None => reverses.next().unwrap_or_else(|| one.stays("it has no reverse")),
            };
            let reverse = undoing.place(&one, reverse);
            summary.records += 1;
            changes.extend(numbering.number((one.entity, one.hub_id), vec![reverse]));
        }
        Ok(Some(changes))
    }
}

impl Undoing {
    /// What needs a record is taken back before it; where that stays, so does the record.
    fn place(&mut self, done: &Done, mut reverse: Draft) -> Draft {
        if let Some(holder) = self.stays.get(&done.change_id)
            && reverse.is_write()
            && done.action == Action::Create
        {
            reverse = done.stays(format!("{holder}, which needs it, stays"));
        }
        if reverse.is_write() {
            reverse.needs = self.needs.remove(&done.change_id).unwrap_or_default();
            for needed in &done.depends_on {
                self.needs.entry(*needed).or_default().push(reverse.key.clone());
            }
        } else if !done.found {
            for needed in &done.depends_on {
                let name = format!("{} {}", done.target, done.label);
                self.stays.entry(*needed).or_insert(name);
            }
        }
        reverse
    }
}
