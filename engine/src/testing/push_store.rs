//! A [`PushStore`] without a database: records, queue, plans, intents and links.

use crate::error::{Error, Result};
use crate::model::{Entity, TenantId};
use crate::plan::{Change, GateSettings, Status};
use crate::push::hub_undo::HubReverse;
use crate::push::store::{
    Bundle, Candidate, Dependency, HubPlace, ItemOutcome, KeptPlan, Link, OpenCall, PushStore,
    Root, Scope, Settled, Spent, Told,
};
use crate::push::target::{Call, Item};
use crate::push::undo::Done;
use crate::store::{Counts, Run, Step, Stream};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An entry of the queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueEntry {
    /// Moves with each change of the record.
    pub generation: u64,
    /// The generation that a run has claimed.
    pub claimed: Option<u64>,
    /// `waiting`, `claimed` or `failed`.
    pub status: &'static str,
}

/// An intent.
#[derive(Debug, Clone)]
pub struct KeptCall {
    pub call: Call,
    /// When it was stored.
    pub at: Timestamp,
    /// `intended`, `unknown`, `failed` or `done`.
    pub status: &'static str,
}

/// Everything that is kept.
#[derive(Default)]
pub struct PushState {
    /// The hub's rows as JSON; an order's lines under `lines`.
    pub records: BTreeMap<(Entity, i64), Value>,
    pub queue: BTreeMap<(Entity, i64), QueueEntry>,
    /// By hub record.
    pub links: BTreeMap<(Entity, i64), Vec<Link>>,
    /// The plan of the run.
    pub changes: BTreeMap<i32, Change>,
    /// What the changes made.
    pub remote: BTreeMap<i32, String>,
    pub plan: Option<KeptPlan>,
    pub calls: BTreeMap<String, KeptCall>,
    pub failures: BTreeMap<(Entity, String), Error>,
    pub conflicts: u64,
    /// Labels of changes that wait, and of those that they wait for.
    pub blocked_by: BTreeMap<String, String>,
    pub swept: Option<Timestamp>,
    /// What the run that is undone did.
    pub done: Vec<Done>,
    /// Every create asks first.
    pub verify: bool,
    /// The time that intents get.
    pub now: Timestamp,
    /// The server dies at the so many-th settlement.
    pub dies_at_settlement: Option<usize>,
    /// The largest page of changes so far.
    pub most_saved: usize,
}

/// A hub in memory, for one connection that is pushed to.
pub struct MemHub {
    pub state: Mutex<PushState>,
    /// Plans of more writes wait for a person.
    pub threshold: u64,
}

impl MemHub {
    /// An empty one.
    pub fn new(threshold: u64) -> MemHub {
        MemHub { state: Mutex::default(), threshold }
    }

    /// What is kept; whole also after a test has panicked with it.
    pub fn state(&self) -> MutexGuard<'_, PushState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record as an application writes it, with its key under `id`: new or changed, and queued.
    pub fn put(&self, entity: Entity, record: Value) {
        let mut state = self.state();
        let id = record["id"].as_i64().unwrap_or_default();
        state.records.insert((entity, id), record);
        let entry = state.queue.entry((entity, id)).or_insert(QueueEntry {
            generation: 0,
            claimed: None,
            status: "waiting",
        });
        entry.generation += 1;
    }
}

/// Records with a change that was not done.
fn out_of_step(state: &PushState) -> BTreeSet<(Entity, i64)> {
    let left = state.changes.values();
    let left = left.filter(|c| !matches!(c.status, Status::Done | Status::Skipped));
    left.map(|c| c.root).collect()
}

/// A record with its customer, its products and the links of all of them.
fn bundle(state: &PushState, entity: Entity, hub_id: i64) -> Bundle {
    let record = state.records.get(&(entity, hub_id));
    let id = |record: &Value, field: &str| record.get(field).and_then(Value::as_i64);
    let customer = record.and_then(|r| id(r, "customer_id"));
    let lines = record.and_then(|r| r.get("lines")).and_then(Value::as_array);
    let products: BTreeSet<i64> =
        lines.into_iter().flatten().filter_map(|line| id(line, "product_id")).collect();
    let text = |entity, id: i64| state.records.get(&(entity, id)).map(Value::to_string);
    let mut keys = vec![(entity, hub_id)];
    keys.extend(customer.map(|id| (Entity::Customers, id)));
    keys.extend(products.iter().map(|id| (Entity::Products, *id)));
    Bundle {
        entity: Some(entity),
        hub_id,
        record_id: hub_id.to_string(),
        record: record.map(Value::to_string),
        customer: customer.and_then(|id| text(Entity::Customers, id)),
        products: products.iter().filter_map(|id| text(Entity::Products, *id)).collect(),
        links: keys.iter().filter_map(|key| state.links.get(key)).flatten().cloned().collect(),
        ..Bundle::default()
    }
}

fn link_of(item: &Item, ack: &crate::push::target::Ack) -> Link {
    Link {
        entity: item.entity,
        hub_id: item.hub_id,
        remote_type: ack.stays.clone().unwrap_or_else(|| item.target.clone()),
        remote_id: ack.remote_id.clone(),
        remote_number: ack.number.clone(),
        version: ack.version.clone(),
        revision: item.revision + 1,
        agreed: Some(ack.agreed.to_string()),
        deleted: false,
    }
}

#[async_trait]
impl PushStore for MemHub {
    async fn fold(&self, _tenant: &TenantId) -> Result<()> {
        Ok(())
    }

    async fn gate(&self, _tenant: &TenantId) -> Result<GateSettings> {
        Ok(GateSettings { threshold: self.threshold, wait: Duration::from_secs(3600) })
    }

    async fn verify_since(&self, _stream: &Stream) -> Result<Option<Timestamp>> {
        let state = self.state();
        Ok(state.verify.then_some(state.now))
    }

    async fn reads_used(&self, _stream: &Stream) -> Result<u64> {
        Ok(0)
    }

    async fn last_sweep(&self, _stream: &Stream) -> Result<Option<Timestamp>> {
        Ok(self.state().swept)
    }

    async fn note_sweep(&self, _stream: &Stream, at: Timestamp) -> Result<()> {
        self.state().swept = Some(at);
        Ok(())
    }

    async fn kept_plan(&self, _run: &Run, _step: &Step) -> Result<Option<KeptPlan>> {
        Ok(self.state().plan.clone())
    }

    async fn begin_plan(&self, _run: &Run, _step: &Step) -> Result<i32> {
        let mut state = self.state();
        state.changes.retain(|_, change| change.status == Status::Done);
        Ok(state.changes.keys().next_back().copied().unwrap_or(0))
    }

    async fn candidates(
        &self,
        run: &Run,
        _stream: &Stream,
        roots: &[Root],
        scope: &Scope,
        after: Option<Candidate>,
        limit: usize,
    ) -> Result<Vec<Candidate>> {
        let mut state = self.state();
        let mut found = vec![];
        for (i, root) in roots.iter().enumerate() {
            for (entity, hub_id) in state.records.keys().copied() {
                let candidate = Candidate { root: i, hub_id };
                let linked = state.links.contains_key(&(entity, hub_id));
                let wanted = match scope {
                    Scope::Walk => true,
                    Scope::Queue => state.queue.contains_key(&(entity, hub_id)),
                    Scope::Ids(ids) => ids.contains(&hub_id.to_string()),
                    Scope::OrdersOfRefunds(_) => false,
                };
                if entity == root.entity
                    && wanted
                    && (linked || !root.linked_only)
                    && after.is_none_or(|after| candidate > after)
                {
                    found.push(candidate);
                }
            }
        }
        found.sort();
        found.truncate(limit);
        if !run.dry_run {
            for entry in state.queue.values_mut() {
                entry.claimed = Some(entry.generation);
                entry.status = "claimed";
            }
        }
        Ok(found)
    }

    async fn done_changes(
        &self,
        _run: &Run,
        _stream: &Stream,
        before: Option<i32>,
        limit: usize,
    ) -> Result<Vec<Done>> {
        let mut done = self.state().done.clone();
        done.retain(|one| before.is_none_or(|before| one.change_id < before));
        done.sort_by_key(|one| std::cmp::Reverse(one.change_id));
        done.truncate(limit);
        Ok(done)
    }

    /// No pull writes into this hub.
    async fn hub_reverses(
        &self,
        _run: &Run,
        _step: &Step,
        _place: HubPlace,
        _limit: usize,
    ) -> Result<Option<(Vec<HubReverse>, HubPlace)>> {
        Ok(None)
    }

    async fn undo_in_hub(&self, _run: &Run, _step: &Step, _limit: usize) -> Result<usize> {
        Ok(0)
    }

    async fn bundles(
        &self,
        _stream: &Stream,
        roots: &[Root],
        candidates: &[Candidate],
    ) -> Result<Vec<Bundle>> {
        let state = self.state();
        Ok(candidates
            .iter()
            .filter_map(|c| Some(bundle(&state, roots.get(c.root)?.entity, c.hub_id)))
            .collect())
    }

    async fn save_changes(&self, _run: &Run, _step: &Step, changes: Vec<Change>) -> Result<()> {
        let mut state = self.state();
        state.most_saved = state.most_saved.max(changes.len());
        state.changes.extend(changes.into_iter().map(|change| (change.change_id, change)));
        Ok(())
    }

    async fn in_step(&self, _run: &Run, records: Vec<Told>, _step: &Step) -> Result<()> {
        let mut state = self.state();
        for Told { entity, record_id, .. } in records {
            state.failures.remove(&(entity, record_id));
        }
        Ok(())
    }

    async fn close_plan(
        &self,
        _run: &Run,
        _step: &Step,
        plan: &KeptPlan,
        _until: Option<Timestamp>,
    ) -> Result<()> {
        self.state().plan = Some(plan.clone());
        Ok(())
    }

    async fn unsent(&self, _run: &Run, _step: &Step, limit: usize) -> Result<Vec<Change>> {
        let state = self.state();
        let planned = state.changes.values().filter(|c| c.status == Status::Planned);
        let mut planned: Vec<&Change> = planned.collect();
        planned.sort_by_key(|c| (c.wave, c.change_id));
        Ok(planned.into_iter().take(limit).cloned().collect())
    }

    async fn dependencies(&self, _run: &Run, ids: Vec<i32>) -> Result<HashMap<i32, Dependency>> {
        let state = self.state();
        let known = ids.into_iter().filter_map(|id| {
            let change = state.changes.get(&id)?;
            let dependency = Dependency {
                status: change.status,
                remote_id: state.remote.get(&id).cloned(),
                label: change.draft.label.clone(),
                target: change.draft.target.clone(),
                entity: change.draft.entity,
                hub_id: change.draft.hub_id,
            };
            Some((id, dependency))
        });
        Ok(known.collect())
    }

    async fn block(
        &self,
        _run: &Run,
        _step: &Step,
        blocked: Vec<(Change, Dependency)>,
    ) -> Result<()> {
        let mut state = self.state();
        for (change, dependency) in blocked {
            state.blocked_by.insert(change.draft.label, dependency.label);
            if let Some(change) = state.changes.get_mut(&change.change_id) {
                change.status = Status::Failed;
            }
        }
        Ok(())
    }

    async fn was_refused(&self, _stream: &Stream, id: &str) -> Result<bool> {
        let state = self.state();
        Ok(state.calls.get(id).is_some_and(|kept| kept.status == "failed"))
    }

    async fn intend(&self, _run: &Run, _step: &Step, call: &Call) -> Result<()> {
        let mut state = self.state();
        let kept = KeptCall { call: call.clone(), at: state.now, status: "intended" };
        state.calls.insert(call.request_id.clone(), kept);
        for item in &call.items {
            if let Some(change) = state.changes.get_mut(&item.change_id) {
                change.status = Status::Sent;
            }
        }
        Ok(())
    }

    async fn settle(
        &self,
        _run: &Run,
        _step: &Step,
        settled: &Settled,
        _spent: Spent,
    ) -> Result<()> {
        let mut state = self.state();
        if let Some(left) = state.dies_at_settlement.as_mut() {
            if *left == 0 {
                return Err(Error::internal("the server died"));
            }
            *left -= 1;
        }
        let unknown = settled.items.iter().any(|(_, o)| matches!(o, ItemOutcome::Unknown(_)));
        if let Some(kept) = state.calls.get_mut(&settled.request_id) {
            let done = settled.items.iter().any(|(_, o)| matches!(o, ItemOutcome::Done { .. }));
            kept.status = match (unknown, done) {
                (true, _) => "unknown",
                (false, true) => "done",
                (false, false) => "failed",
            };
        }
        for (item, outcome) in &settled.items {
            let record = (item.entity, item.record_id.clone());
            let status = match outcome {
                ItemOutcome::Done { ack, problem } => {
                    let link = link_of(item, ack);
                    let of = state.links.entry((link.entity, link.hub_id)).or_default();
                    of.retain(|l| l.remote_id != link.remote_id);
                    of.push(link);
                    state.remote.insert(item.change_id, ack.remote_id.clone());
                    state.failures.remove(&record);
                    match problem {
                        Some(error) => {
                            state.failures.insert(record, error.clone());
                            Status::Failed
                        }
                        None => Status::Done,
                    }
                }
                ItemOutcome::Failed { error, conflict } => {
                    state.conflicts += u64::from(conflict.is_some());
                    state.failures.insert(record, error.clone());
                    Status::Failed
                }
                ItemOutcome::Unknown(_) => Status::Unknown,
                ItemOutcome::Planned => Status::Planned,
            };
            let forgets = matches!(status, Status::Planned | Status::Unknown);
            if let Some(change) = state.changes.get_mut(&item.change_id)
                && !(forgets && change.status == Status::Done)
            {
                change.status = status;
                if status == Status::Done {
                    // As the database keeps it: what is done is not sent again.
                    change.draft.payload = None;
                }
            }
        }
        Ok(())
    }

    async fn open_calls(&self, _stream: &Stream) -> Result<Vec<OpenCall>> {
        let state = self.state();
        let open = state.calls.values().filter(|kept| !matches!(kept.status, "done" | "failed"));
        Ok(open.map(|kept| OpenCall { call: kept.call.clone(), at: kept.at }).collect())
    }

    async fn link(&self, _stream: &Stream, entity: Entity, id: &str) -> Result<Option<Link>> {
        let state = self.state();
        let mut of = state.links.values().flatten();
        Ok(of.find(|l| l.entity == entity && l.remote_id == id).cloned())
    }

    async fn unlink(&self, _stream: &Stream, entity: Entity, remote_id: &str) -> Result<bool> {
        let mut state = self.state();
        let same = |l: &Link| l.entity == entity && l.remote_id == remote_id;
        let before: usize = state.links.values().map(Vec::len).sum();
        state.links.values_mut().for_each(|of| of.retain(|link| !same(link)));
        Ok(state.links.values().map(Vec::len).sum::<usize>() < before)
    }

    async fn spent(&self, _run: &Run, _step: &Step, _spent: Spent) -> Result<()> {
        Ok(())
    }

    async fn finish(&self, run: &Run, _step: &Step) -> Result<Counts> {
        let mut state = self.state();
        let mut counts = Counts::default();
        for change in state.changes.values() {
            match change.status {
                Status::Done => counts.created += 1,
                Status::Failed | Status::Unknown => counts.failed += 1,
                _ => {}
            }
        }
        let left = out_of_step(&state);
        if !run.dry_run {
            state.queue.retain(|root, entry| {
                let in_step = !left.contains(root);
                entry.status = if in_step { "waiting" } else { "failed" };
                !(in_step && entry.claimed == Some(entry.generation))
            });
        }
        Ok(counts)
    }

    async fn release(&self, _run: &Run, _step: &Step) -> Result<()> {
        let mut state = self.state();
        if state.dies_at_settlement == Some(0) {
            return Err(Error::internal("the server died"));
        }
        for entry in state.queue.values_mut() {
            entry.claimed = None;
            entry.status = "waiting";
        }
        Ok(())
    }
}
