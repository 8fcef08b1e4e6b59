//! A hub in memory: records, queue, plans, intents and links.

use crate::error::{Error, Result};
use crate::model::{Entity, TenantId};
use crate::plan::{Change, GateSettings, Status};
use crate::push::store::*;
use crate::push::target::{Call, Item};
use crate::store::{Counts, Run, Step, Stream};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub generation: u64,
    pub claimed: Option<u64>,
    pub status: &'static str,
}

#[derive(Debug, Clone)]
pub struct KeptCall {
    pub call: Call,
    pub at: Timestamp,
    pub status: &'static str,
}

#[derive(Default)]
pub struct State {
    pub records: BTreeMap<(Entity, i64), Value>,
    pub queue: BTreeMap<(Entity, i64), Entry>,
    pub links: Vec<Link>,
    pub changes: BTreeMap<i32, Change>,
    pub remote: BTreeMap<i32, String>,
    pub plan: Option<KeptPlan>,
    pub calls: BTreeMap<String, KeptCall>,
    pub failures: BTreeMap<(Entity, String), Error>,
    pub conflicts: u64,
    pub blocked_by: BTreeMap<String, String>,
    pub swept: Option<Timestamp>,
    pub verify: bool,
    pub now: Timestamp,
    /// The server dies at the so many-th settlement.
    pub dies_at_settlement: Option<usize>,
    pub most_saved: usize,
}

pub struct Hub {
    pub state: Mutex<State>,
    pub threshold: u64,
}

impl Hub {
    pub fn new(threshold: u64) -> Hub {
        Hub { state: Mutex::default(), threshold }
    }

    pub fn put(&self, entity: Entity, record: Value) {
        let mut state = self.state.lock().unwrap();
        let id = record["id"].as_i64().unwrap();
        state.records.insert((entity, id), record);
        let entry = state.queue.entry((entity, id)).or_insert(Entry {
            generation: 0,
            claimed: None,
            status: "waiting",
        });
        entry.generation += 1;
    }

    pub fn order(&self, id: i64, customer: i64, total: &str) {
        self.put(
            Entity::Customers,
            json!({"id": customer, "name": format!("customer {customer}")}),
        );
        let number = id.to_string();
        let order = json!({"id": id, "number": number, "customer_id": customer, "total": total});
        self.put(Entity::Orders, order);
    }

    pub fn status_of(&self, change: i32) -> Status {
        self.state.lock().unwrap().changes[&change].status
    }
}

fn is_in_step(state: &State, root: (Entity, i64)) -> bool {
    let of_root = || state.changes.values().filter(|c| c.root == root);
    of_root().all(|c| matches!(c.status, Status::Done | Status::Skipped))
}

fn link_of(item: &Item, ack: &crate::push::target::Ack) -> Link {
    Link {
        entity: item.entity,
        hub_id: item.hub_id,
        remote_type: item.target.clone(),
        remote_id: ack.remote_id.clone(),
        remote_number: ack.number.clone(),
        version: ack.version.clone(),
        revision: item.revision + 1,
        agreed: Some(ack.agreed.to_string()),
        deleted: false,
    }
}

#[async_trait]
impl PushStore for Hub {
    async fn fold(&self, _tenant: &TenantId) -> Result<()> {
        Ok(())
    }

    async fn gate(&self, _tenant: &TenantId) -> Result<GateSettings> {
        Ok(GateSettings { threshold: self.threshold, wait: Duration::from_secs(3600) })
    }

    async fn verify_mode(&self, _stream: &Stream) -> Result<bool> {
        Ok(self.state.lock().unwrap().verify)
    }

    async fn reads_used(&self, _stream: &Stream) -> Result<u64> {
        Ok(0)
    }

    async fn last_sweep(&self, _stream: &Stream) -> Result<Option<Timestamp>> {
        Ok(self.state.lock().unwrap().swept)
    }

    async fn note_sweep(&self, _stream: &Stream, at: Timestamp) -> Result<()> {
        self.state.lock().unwrap().swept = Some(at);
        Ok(())
    }

    async fn kept_plan(&self, _run: &Run, _step: &Step) -> Result<Option<KeptPlan>> {
        Ok(self.state.lock().unwrap().plan.clone())
    }

    async fn begin_plan(&self, _run: &Run, _step: &Step) -> Result<i32> {
        let mut state = self.state.lock().unwrap();
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
        let mut state = self.state.lock().unwrap();
        let mut found = vec![];
        for (i, root) in roots.iter().enumerate() {
            for (entity, hub_id) in state.records.keys().copied() {
                let candidate = Candidate { root: i, hub_id };
                let linked = state.links.iter().any(|l| l.entity == entity && l.hub_id == hub_id);
                let wanted = match scope {
                    Scope::Walk => true,
                    Scope::Queue => state.queue.contains_key(&(entity, hub_id)),
                    Scope::Ids(ids) => ids.contains(&hub_id.to_string()),
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

    async fn bundles(
        &self,
        _stream: &Stream,
        roots: &[Root],
        candidates: &[Candidate],
    ) -> Result<Vec<Bundle>> {
        let state = self.state.lock().unwrap();
        Ok(candidates
            .iter()
            .map(|c| {
                let entity = roots[c.root].entity;
                let record = state.records.get(&(entity, c.hub_id));
                let customer = record
                    .and_then(|r| r.get("customer_id")?.as_i64())
                    .and_then(|id| state.records.get(&(Entity::Customers, id)));
                Bundle {
                    entity: Some(entity),
                    hub_id: c.hub_id,
                    record_id: c.hub_id.to_string(),
                    record: record.map(Value::to_string),
                    customer: customer.map(Value::to_string),
                    links: state.links.clone(),
                    ..Bundle::default()
                }
            })
            .collect())
    }

    async fn save_changes(&self, _run: &Run, _step: &Step, changes: Vec<Change>) -> Result<()> {
        let mut state = self.state.lock().unwrap();
        state.most_saved = state.most_saved.max(changes.len());
        state.changes.extend(changes.into_iter().map(|change| (change.change_id, change)));
        Ok(())
    }

    async fn close_plan(
        &self,
        _run: &Run,
        _step: &Step,
        plan: &KeptPlan,
        _until: Option<Timestamp>,
    ) -> Result<()> {
        self.state.lock().unwrap().plan = Some(plan.clone());
        Ok(())
    }

    async fn unsent(&self, _run: &Run, _step: &Step, limit: usize) -> Result<Vec<Change>> {
        let state = self.state.lock().unwrap();
        let planned = state.changes.values().filter(|c| c.status == Status::Planned);
        let mut planned: Vec<Change> = planned.cloned().collect();
        planned.sort_by_key(|c| (c.wave, c.change_id));
        planned.truncate(limit);
        Ok(planned)
    }

    async fn dependencies(&self, _run: &Run, ids: Vec<i32>) -> Result<HashMap<i32, Dependency>> {
        let state = self.state.lock().unwrap();
        let known = ids.into_iter().filter_map(|id| {
            let change = state.changes.get(&id)?;
            let dependency = Dependency {
                status: change.status,
                remote_id: state.remote.get(&id).cloned(),
                label: change.draft.label.clone(),
                target: change.draft.target.clone(),
                entity: change.draft.entity,
                record_id: change.draft.record_id.clone(),
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
        let mut state = self.state.lock().unwrap();
        for (change, dependency) in blocked {
            state.blocked_by.insert(change.draft.label, dependency.label);
            if let Some(change) = state.changes.get_mut(&change.change_id) {
                change.status = Status::Failed;
            }
        }
        Ok(())
    }

    async fn was_refused(&self, _stream: &Stream, id: &str) -> Result<bool> {
        let state = self.state.lock().unwrap();
        Ok(state.calls.get(id).is_some_and(|kept| kept.status == "failed"))
    }

    async fn intend(&self, _run: &Run, _step: &Step, call: &Call) -> Result<()> {
        let mut state = self.state.lock().unwrap();
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
        let mut state = self.state.lock().unwrap();
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
                    state
                        .links
                        .retain(|l| (l.entity, &l.remote_id) != (link.entity, &link.remote_id));
                    state.links.push(link);
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
            if let Some(change) = state.changes.get_mut(&item.change_id) {
                change.status = status;
            }
        }
        Ok(())
    }

    async fn open_calls(&self, _stream: &Stream) -> Result<Vec<OpenCall>> {
        let state = self.state.lock().unwrap();
        let open = state.calls.values().filter(|kept| !matches!(kept.status, "done" | "failed"));
        Ok(open.map(|kept| OpenCall { call: kept.call.clone(), at: kept.at }).collect())
    }

    async fn link(&self, _stream: &Stream, entity: Entity, id: &str) -> Result<Option<Link>> {
        let state = self.state.lock().unwrap();
        Ok(state.links.iter().find(|l| l.entity == entity && l.remote_id == id).cloned())
    }

    async fn spent(&self, _run: &Run, _step: &Step, _spent: Spent) -> Result<()> {
        Ok(())
    }

    async fn finish(&self, run: &Run, _step: &Step) -> Result<Counts> {
        let mut state = self.state.lock().unwrap();
        let mut counts = Counts::default();
        for change in state.changes.values() {
            match change.status {
                Status::Done => counts.created += 1,
                Status::Failed | Status::Unknown => counts.failed += 1,
                _ => {}
            }
        }
        let roots: Vec<_> = state.queue.keys().copied().collect();
        for root in roots.into_iter().filter(|_| !run.dry_run) {
            let in_step = is_in_step(&state, root);
            let entry = state.queue.get_mut(&root).unwrap();
            match (entry.claimed == Some(entry.generation), in_step) {
                (true, true) => drop(state.queue.remove(&root)),
                (_, true) => entry.status = "waiting",
                (_, false) => entry.status = "failed",
            }
        }
        Ok(counts)
    }

    async fn release(&self, _run: &Run, _step: &Step) -> Result<()> {
        let mut state = self.state.lock().unwrap();
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
