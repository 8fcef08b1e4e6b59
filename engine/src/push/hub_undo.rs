//! Undoing a pull: rows of the hub get back what they held, rows that it made go.

use super::planning::submit;
use super::preview::too_large;
use super::store::{HubPlace, KeptPlan, PushStore};
use super::{End, Preview};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::plan::{Change, Draft, Gate, Key, Numbering, Payload, PlanHash, PlanSummary};
use crate::pull::HubChange;
use crate::store::{Run, Step};
use serde_json::Value;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Everything that taking back a run's pulls from one connection works with.
pub struct HubUndo {
    pub store: Arc<dyn PushStore>,
    pub clock: Arc<dyn Clock>,
    pub cancel: CancellationToken,
    pub run: Run,
    pub step: Step,
}

/// A change of the hub, taken back; or why it can't be.
#[derive(Debug)]
pub struct HubReverse {
    /// What is to be done now.
    pub change: HubChange,
    pub stays: Option<String>,
}

/// Records of one transaction.
const PAGE: usize = 200;

impl HubUndo {
    /// Plans, asks the gate, and writes. Rows that can't be written are counted as failed.
    pub async fn carry_out(&self) -> Result<End> {
        let kept = self.store.kept_plan(&self.run, &self.step).await?;
        let released = kept.as_ref().is_some_and(|plan| plan.released);
        if !released && !self.plan_and_gate(kept).await? {
            return Ok(End::Waits);
        }
        if !self.run.dry_run {
            loop {
                self.check_cancel()?;
                if self.store.undo_in_hub(&self.run, &self.step, PAGE).await? == 0 {
                    break;
                }
            }
        }
        Ok(End::Done(self.store.finish(&self.run, &self.step).await?))
    }

    async fn plan_and_gate(&self, kept: Option<KeptPlan>) -> Result<bool> {
        let last = self.store.begin_plan(&self.run, &self.step).await?;
        let mut numbering = Numbering::after(last);
        let mut plan = Plan::of(&self.step);
        let mut place = HubPlace::default();
        while let Some(changes) = self.page(&mut place, &mut numbering, &mut plan).await? {
            if !changes.is_empty() {
                self.store.save_changes(&self.run, &self.step, changes).await?;
            }
        }
        let (store, clock) = (&*self.store, &*self.clock);
        let planned = (plan.hash.finish(), plan.summary);
        submit(store, clock, (&self.run, &self.step), kept, planned).await
    }

    /// Plans for the session that asks; keeps nothing.
    pub async fn preview(&self, records: u64) -> Result<Preview> {
        let settings = self.store.gate(&self.run.tenant).await?;
        let mut numbering = Numbering::default();
        let mut plan = Plan::of(&self.step);
        let mut place = HubPlace::default();
        let mut changes = vec![];
        while let Some(page) = self.page(&mut place, &mut numbering, &mut plan).await? {
            if plan.summary.records > records {
                return Err(too_large(records));
            }
            changes.extend(page);
        }
        let gate = Gate::of(&plan.summary, &settings);
        Ok(Preview { changes, hash: plan.hash.finish(), summary: plan.summary, gate })
    }

    async fn page(
        &self,
        place: &mut HubPlace,
        numbering: &mut Numbering,
        plan: &mut Plan,
    ) -> Result<Option<Vec<Change>>> {
        self.check_cancel()?;
        let found = self.store.hub_reverses(&self.run, &self.step, *place, PAGE).await?;
        let Some((reverses, next)) = found else { return Ok(None) };
        *place = next;
        let mut changes = vec![];
        for reverse in reverses {
            plan.summary.records += 1;
            let root = (reverse.change.entity, reverse.change.hub_id);
            changes.extend(numbering.number(root, vec![draft(reverse, numbering.last())]));
        }
        for change in &changes {
            plan.hash.add(change);
            plan.summary.add(change);
        }
        Ok(Some(changes))
    }

    fn check_cancel(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(Error::cancelled()) } else { Ok(()) }
    }
}

struct Plan {
    hash: PlanHash,
    summary: PlanSummary,
}

impl Plan {
    fn of(step: &Step) -> Plan {
        Plan { hash: PlanHash::new(&step.stream.connection), summary: PlanSummary::default() }
    }
}

/// One record may have been changed several times: `place` keeps their keys apart.
fn draft(reverse: HubReverse, place: i32) -> Draft {
    let HubReverse { change, stays } = reverse;
    let key = Key(format!("undo:{}:{}:{place}", change.target, change.hub_id));
    let skip = Draft::skip(key.clone(), change.entity, change.hub_id, change.target, String::new());
    let skip = Draft { record_id: change.record_id, label: change.label, ..skip };
    match stays {
        Some(why) => Draft { reason: Some(why), ..skip },
        None => Draft {
            action: change.action,
            reason: Some("undone".into()),
            fields: change.fields,
            payload: Some(Payload::new(key, Value::Null, Value::Null)),
            ..skip
        },
    }
}
