//! Runs and steps of the store in memory.

use super::MemStore;
use super::state::{RunState, State, StepState};
use crate::model::{ConnectionName, Entity, Mode};
use crate::store::{Filters, Outcome, Run, Step, SyncId};
use std::collections::{BTreeMap, BTreeSet};

impl MemStore {
    /// What `easysync.trigger` does.
    pub fn trigger(&self, entity: Entity, mode: Mode, ids: Option<Vec<String>>) -> SyncId {
        let sync_id =
            self.transaction(|state| Ok(state.trigger(entity, mode, ids))).unwrap_or_default();
        self.wake();
        sync_id
    }

    /// What `easysync.trigger(dry_run => true)` does.
    pub fn try_out(&self, entity: Entity, mode: Mode, ids: Option<Vec<String>>) -> SyncId {
        let queue = |state: &mut State| {
            let sync_id = state.trigger(entity, mode, ids);
            if let Some(run) = state.runs.get_mut(&sync_id) {
                run.run.dry_run = true;
            }
            Ok(sync_id)
        };
        let sync_id = self.transaction(queue).unwrap_or_default();
        self.wake();
        sync_id
    }

    /// What `easysync.cancel` does.
    pub fn cancel(&self, sync_id: SyncId) {
        let mark = |state: &mut State| {
            if let Some(run) = state.runs.get_mut(&sync_id) {
                run.cancel = true;
            }
            Ok(())
        };
        self.transaction(mark).unwrap_or_default();
        self.wake();
    }

    pub fn run(&self, sync_id: SyncId) -> Option<RunState> {
        self.look(|state| state.runs.get(&sync_id).cloned())
    }
}

impl State {
    fn trigger(&mut self, entity: Entity, mode: Mode, ids: Option<Vec<String>>) -> SyncId {
        let sync_id = self.runs.keys().last().copied().unwrap_or(0) + 1;
        let tenant = self.streams.first().map_or("default".into(), |s| s.connection.tenant.clone());
        let filters = Filters::default();
        let run = Run {
            sync_id,
            tenant,
            entity,
            mode,
            connection: None,
            ids,
            filters,
            resumed: false,
            dry_run: false,
            undoes: None,
            agreed: false,
        };
        self.runs.insert(
            sync_id,
            RunState {
                run,
                epoch: None,
                outcome: None,
                cancel: false,
                steps: BTreeMap::new(),
                resumes: 0,
            },
        );
        sync_id
    }

    /// The oldest run that may start: in the order of asking, one at a time for each entity.
    pub(super) fn claim(&mut self) -> Option<Run> {
        let epoch = self.epoch;
        let mut held: BTreeSet<Entity> = BTreeSet::new();
        let open = |run: &&mut RunState| run.outcome.is_none();
        for run in self.runs.values_mut().filter(open).filter(|r| r.epoch == Some(epoch)) {
            held.extend(run.run.entity.brings());
        }
        for run in self.runs.values_mut().filter(open).filter(|r| r.epoch != Some(epoch)) {
            let needs = run.run.entity.brings();
            let free = needs.iter().all(|need| !held.contains(need));
            held.extend(needs);
            if !free {
                continue;
            }
            if run.cancel {
                run.outcome = Some(Outcome::Cancelled);
                continue;
            }
            let resumed = run.epoch.is_some();
            run.resumes += u64::from(resumed);
            run.epoch = Some(epoch);
            return Some(Run { resumed, ..run.run.clone() });
        }
        None
    }

    pub(super) fn plan(&mut self, run: &Run) -> Vec<Step> {
        let entities: Vec<Entity> = match run.mode {
            Mode::Ids if run.entity == Entity::Orders => vec![Entity::Orders, Entity::Refunds],
            Mode::Ids => vec![run.entity],
            _ => run.entity.brings().to_vec(),
        };
        let Some(state) = self.runs.get_mut(&run.sync_id) else { return vec![] };
        let mut steps = vec![];
        for entity in entities {
            for stream in self.streams.iter().filter(|s| s.entity == entity) {
                let name = &stream.connection.name;
                if self.suspended.contains(name) {
                    continue;
                }
                let known =
                    |(_, s): &(&i32, &StepState)| s.entity == entity && s.connection == *name;
                let step = match state.steps.iter().find(known) {
                    Some((number, _)) => *number,
                    None => add_step(&mut state.steps, entity, name),
                };
                let finished = state.steps.get(&step).is_some_and(|s| s.outcome.is_some());
                steps.push(Step { step, stream: stream.clone(), finished });
            }
        }
        steps
    }

    pub(super) fn end_step(&mut self, sync_id: SyncId, step: i32, outcome: Outcome) {
        let step = self.runs.get_mut(&sync_id).and_then(|run| run.steps.get_mut(&step));
        if let Some(step) = step {
            step.outcome = Some(outcome);
        }
    }

    pub(super) fn end_run(&mut self, sync_id: SyncId, outcome: Outcome) {
        if let Some(run) = self.runs.get_mut(&sync_id) {
            run.outcome.get_or_insert(outcome);
        }
    }

    pub(super) fn stop_requests(&self) -> Vec<SyncId> {
        let stop =
            |run: &&RunState| run.cancel && run.outcome.is_none() && run.epoch == Some(self.epoch);
        self.runs.values().filter(stop).map(|run| run.run.sync_id).collect()
    }
}

fn add_step(
    steps: &mut BTreeMap<i32, StepState>,
    entity: Entity,
    connection: &ConnectionName,
) -> i32 {
    let number = steps.keys().last().copied().unwrap_or(0) + 1;
    let step = StepState {
        entity,
        connection: connection.clone(),
        outcome: None,
        counts: Default::default(),
        records_done: 0,
        api_calls: 0,
    };
    steps.insert(number, step);
    number
}
