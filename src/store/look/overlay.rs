//! What a tried run would have changed so far, over what the tables hold: later pages of the same
//! run see it as they would see what was written. Some tens of bytes a record, whatever its size.

use crate::store::links::Link;
use engine::model::{Entity, Record};
use engine::plan::Action;
use engine::pull::HubChange;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// Stands in the place of the hub id of a record that isn't there yet.
const ID_OF: &str = "id of";

#[derive(Default)]
pub struct Overlay {
    links: HashMap<(Entity, String), Link>,
    rows: HashMap<(Entity, i64), RowState>,
    /// Lines of orders by their id on the platform.
    lines: HashMap<i64, HashMap<String, i64>>,
    /// Ids below zero stand for rows that the run would make: what they are called, and the change
    /// that makes them.
    names: HashMap<i64, (String, i32)>,
    places: HashMap<(Entity, i64), i32>,
    /// Places that are given and not filled yet.
    reserved: HashSet<i32>,
    last_id: i64,
    last_place: i32,
    /// Planned since it was taken last.
    planned: Vec<Planned>,
    /// Of orders of this run: the refunds that they name.
    refunds: HashMap<String, Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowState {
    Present,
    /// Marked with `deleted_at`.
    Gone,
    /// Taken away.
    Removed,
}

/// A change in its place in the plan.
#[derive(Debug, Clone)]
pub struct Planned {
    pub change_id: i32,
    pub change: HubChange,
    pub depends_on: Vec<i32>,
    /// What was planned for the record before.
    pub earlier: Earlier,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Earlier {
    None,
    /// It is replaced: this one compares with the hub as it is.
    Replaced,
    /// It stands, and these fields come on top.
    Extended,
}

impl Overlay {
    pub fn link(&self, entity: Entity, remote_id: &str) -> Option<&Link> {
        self.links.get(&(entity, remote_id.to_owned()))
    }

    pub fn set_link(&mut self, entity: Entity, remote_id: &str, link: Link) {
        self.links.insert((entity, remote_id.to_owned()), link);
    }

    pub fn row(&self, entity: Entity, hub_id: i64) -> Option<RowState> {
        self.rows.get(&(entity, hub_id)).copied()
    }

    pub fn set_row(&mut self, entity: Entity, hub_id: i64, state: RowState) {
        self.rows.insert((entity, hub_id), state);
    }

    /// Rows of an entity that were taken away.
    pub fn removed(&self, entity: Entity) -> Vec<i64> {
        let of_entity =
            self.rows.iter().filter(|((e, _), s)| *e == entity && **s == RowState::Removed);
        of_entity.map(|((_, id), _)| *id).collect()
    }

    /// An id for a row that the run would make.
    pub fn new_id(&mut self) -> i64 {
        self.last_id -= 1;
        self.last_id
    }

    /// The place of a record that would be made: others refer to it before its change is told.
    pub fn reserve(&mut self, record: &Record, hub_id: i64) -> i32 {
        let place = match self.places.get(&(record.entity, hub_id)) {
            Some(place) => *place,
            None => {
                let place = self.next_place(record.entity, hub_id);
                self.reserved.insert(place);
                place
            }
        };
        let name = format!("{ID_OF} {} {}", record.entity, record.remote_id);
        self.names.insert(hub_id, (name, place));
        place
    }

    fn next_place(&mut self, entity: Entity, hub_id: i64) -> i32 {
        self.last_place += 1;
        self.places.insert((entity, hub_id), self.last_place);
        self.last_place
    }

    /// The lines that an order would have; `known`: ids of those that it has.
    pub fn set_lines(&mut self, record: &Record, hub_id: i64, known: &HashMap<(i64, String), i64>) {
        let place = self.places.get(&(record.entity, hub_id)).copied().unwrap_or_default();
        let mut lines = HashMap::new();
        for row in &record.lines {
            let engine::model::Cell::Text(source) = row.cell("source_id") else { continue };
            let id = known.get(&(hub_id, source.clone())).copied().unwrap_or_else(|| {
                let id = self.new_id();
                let name = format!("{ID_OF} {} {} line {source}", record.entity, record.remote_id);
                self.names.insert(id, (name, place));
                id
            });
            lines.insert(source.clone(), id);
        }
        self.lines.insert(hub_id, lines);
    }

    pub fn lines(&self, order: i64) -> Option<&HashMap<String, i64>> {
        self.lines.get(&order)
    }

    pub fn set_refunds(&mut self, order: &str, refunds: Vec<String>) {
        self.refunds.insert(order.to_owned(), refunds);
    }

    pub fn refunds(&self, order: &str) -> Option<&Vec<String>> {
        self.refunds.get(order)
    }

    /// Gives a change its place. `extends`: it says only what else happens to the record; without,
    /// it tells all that differs from the hub as it is.
    pub fn plan(&mut self, mut change: HubChange, extends: bool) {
        let key = (change.entity, change.hub_id);
        let earlier = match self.places.get(&key) {
            Some(place) if self.reserved.remove(place) => Earlier::None,
            Some(_) if extends => Earlier::Extended,
            Some(_) => Earlier::Replaced,
            None => Earlier::None,
        };
        if change.fields.is_empty() && earlier == Earlier::None {
            return;
        }
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None => self.next_place(change.entity, change.hub_id),
        };
        let depends_on = self.name_references(&mut change, place);
        self.planned.push(Planned { change_id: place, change, depends_on, earlier });
    }

    /// Something that isn't written, with the reason.
    pub fn skip(&mut self, change: HubChange) {
        self.last_place += 1;
        let change_id = self.last_place;
        self.planned.push(Planned {
            change_id,
            change,
            depends_on: vec![],
            earlier: Earlier::None,
        });
    }

    /// Puts names in the place of ids that stand for rows to be made; the changes that make them.
    fn name_references(&self, change: &mut HubChange, own: i32) -> Vec<i32> {
        let mut needs = vec![];
        for (path, value) in &mut change.fields {
            let virtual_id = value["new"].as_i64().filter(|id| *id < 0 && path.ends_with("_id"));
            if let Some((name, place)) = virtual_id.and_then(|id| self.names.get(&id)) {
                value["new"] = json!(name);
                needs.push(*place);
            }
        }
        needs.retain(|place| *place != own);
        needs.sort_unstable();
        needs.dedup();
        needs
    }

    pub fn take(&mut self) -> Vec<Planned> {
        std::mem::take(&mut self.planned)
    }
}

impl Planned {
    /// As `dry_run` shows it.
    pub fn shown(&self, connection: &str) -> Value {
        let change = &self.change;
        json!({
            "change_id": self.change_id,
            "connection": connection,
            "direction": "pull",
            "entity": change.entity.as_str(),
            "record_id": change.record_id,
            "label": engine::mask::label(&change.label),
            "target": change.target,
            "action": change.action.as_str(),
            "destructive": change.is_destructive(),
            "reason": change.reason,
            "fields": change.fields,
            "depends_on": self.depends_on,
        })
    }

    /// Nothing differs any more from what the hub holds.
    pub fn is_empty(&self) -> bool {
        self.change.fields.is_empty() && self.change.action != Action::Skip
    }

    /// Takes up what came after it.
    pub fn follow(&mut self, later: Planned) {
        if later.earlier == Earlier::Extended {
            let mut fields = std::mem::take(&mut self.change.fields);
            fields.extend(later.change.fields.clone());
            let action = later.change.action;
            self.change = HubChange { fields, action, ..later.change };
        } else {
            self.change = later.change;
        }
        self.depends_on.extend(later.depends_on);
        self.depends_on.sort_unstable();
        self.depends_on.dedup();
    }
}
