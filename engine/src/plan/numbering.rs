//! Gives drafts their places in a plan.

use super::change::{Change, Draft, Key, Status};
use crate::model::Entity;
use std::collections::HashMap;

/// The places given so far. It remembers a key and a place for each change that others may need:
/// some tens of bytes a record, whatever the size of the records.
#[derive(Debug, Default)]
pub struct Numbering {
    last: i32,
    places: HashMap<Key, (i32, i16)>,
}

impl Numbering {
    /// Goes on behind `last`, the last place that another plan of the same run took.
    pub fn after(last: i32) -> Numbering {
        Numbering { last, places: HashMap::new() }
    }

    /// Numbers the drafts of one record, which come in the order of their dependencies. A key that
    /// was planned before (the customer of two orders) is not planned twice.
    pub fn number(&mut self, root: (Entity, i64), drafts: Vec<Draft>) -> Vec<Change> {
        drafts.into_iter().filter_map(|draft| self.place(root, draft)).collect()
    }

    /// The last place that was given.
    pub fn last(&self) -> i32 {
        self.last
    }

    fn place(&mut self, root: (Entity, i64), mut draft: Draft) -> Option<Change> {
        if self.places.contains_key(&draft.key) {
            return None;
        }
        let needed: Vec<(&Key, (i32, i16))> =
            draft.needs.iter().filter_map(|key| Some((key, *self.places.get(key)?))).collect();
        let wave = needed.iter().map(|(_, (_, wave))| wave + 1).max().unwrap_or(0);
        let mut depends_on: Vec<i32> = needed.iter().map(|(_, (id, _))| *id).collect();
        depends_on.sort_unstable();
        depends_on.dedup();
        if let Some(payload) = &mut draft.payload {
            payload.refs = needed.iter().map(|(key, (id, _))| ((*key).clone(), *id)).collect();
        }
        self.last += 1;
        self.places.insert(draft.key.clone(), (self.last, wave));
        let status = match (&draft.error, draft.is_work()) {
            (Some(_), _) => Status::Failed,
            (None, true) => Status::Planned,
            (None, false) => Status::Skipped,
        };
        Some(Change { change_id: self.last, draft, depends_on, wave, root, status })
    }
}
