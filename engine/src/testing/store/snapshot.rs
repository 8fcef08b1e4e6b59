//! What a store holds, comparable: rows by where they were born, references by what they lead to.

use super::MemStore;
use super::state::{HubRow, State, Stored};
use std::collections::BTreeMap;

/// Everything that a pull may write.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    rows: BTreeMap<String, String>,
    links: BTreeMap<String, String>,
    cursors: BTreeMap<String, String>,
    failures: BTreeMap<String, String>,
    last_id: i64,
    written: u64,
}

impl Snapshot {
    /// What it takes to get from these rows to those: by record, what was there and what is.
    pub fn until(&self, later: &Snapshot) -> BTreeMap<String, (Option<String>, Option<String>)> {
        let keys = self.rows.keys().chain(later.rows.keys());
        keys.map(|key| (key.clone(), (self.rows.get(key).cloned(), later.rows.get(key).cloned())))
            .filter(|(_, (old, new))| old != new)
            .collect()
    }
}

impl MemStore {
    pub fn snapshot(&self) -> Snapshot {
        self.look(|state| Snapshot {
            rows: state.rows.values().map(|row| (name(row), shown(state, row))).collect(),
            links: state
                .links
                .iter()
                .map(|(key, l)| (format!("{key:?}"), format!("{l:?}")))
                .collect(),
            cursors: state.cursors.iter().map(|(key, c)| (format!("{key:?}"), c.clone())).collect(),
            failures: state
                .failures
                .iter()
                .map(|(key, f)| {
                    (format!("{key:?}"), format!("{} {:?}", f.attempts, f.next_attempt))
                })
                .collect(),
            last_id: state.last_id,
            written: state.written,
        })
    }
}

fn name(row: &HubRow) -> String {
    format!("{:?} {}", row.table, row.source_id)
}

fn shown(state: &State, row: &HubRow) -> String {
    let lines = row.lines.iter().map(|l| format!("{} {}", l.source_id, cells(state, &l.cells)));
    let lines: Vec<String> = lines.collect();
    format!("deleted: {} {} lines: {}", row.deleted, cells(state, &row.cells), lines.join("; "))
}

fn cells(state: &State, cells: &[Stored]) -> String {
    let shown = cells.iter().map(|cell| match cell {
        Stored::Value(value) => format!("{value:?}"),
        Stored::Id(None) => "nothing".to_owned(),
        Stored::Id(Some(id)) => led_to(state, *id),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Numbers of rows depend on what else was written before: what they stand for doesn't.
fn led_to(state: &State, id: i64) -> String {
    if let Some(row) = state.rows.get(&id) {
        return name(row);
    }
    let of_line = state.rows.values().find_map(|row| {
        row.lines
            .iter()
            .find(|line| line.id == id)
            .map(|line| format!("{} {}", name(row), line.source_id))
    });
    of_line.unwrap_or_else(|| "a row that is gone".to_owned())
}
