//! Names and document numbers, without case, so that duplicates are found at once.

use super::record::{Key, plain_name, reference, text};
use crate::quickbooks::kind::Kind;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap};

/// Where a name must be unique, and the name in lower case.
pub type Name = (String, String);

/// Who bears which name.
#[derive(Debug, Clone, Default)]
pub struct Index(HashMap<Name, BTreeSet<Key>>);

impl Index {
    pub(super) fn add(&mut self, key: Key, names: Vec<Name>) {
        for name in names {
            self.0.entry(name).or_default().insert(key);
        }
    }

    pub(super) fn remove(&mut self, key: Key, names: Vec<Name>) {
        for name in names {
            if let Some(keys) = self.0.get_mut(&name) {
                keys.remove(&key);
            }
        }
    }

    /// Everybody of this name.
    pub fn bearers(&self, scope: &str, name: &str) -> impl Iterator<Item = Key> {
        let name = (scope.to_owned(), name.to_lowercase());
        self.0.get(&name).into_iter().flatten().copied()
    }
}

/// The scope of document numbers.
pub const NUMBERS: &str = "number";

/// The scope in which a record's own name must be unique.
pub fn scope(kind: Kind, data: &Map<String, Value>) -> String {
    match kind.is_name() {
        true => "name".to_owned(),
        false => format!("{}:{}", kind.name(), reference(data, "ParentRef").unwrap_or_default()),
    }
}

/// The names a record bears; an inactive one keeps the name it had.
pub(super) fn names(kind: Kind, data: &Map<String, Value>) -> Vec<Name> {
    let name = match kind.is_name() {
        true => text(data, "DisplayName"),
        false => text(data, "Name"),
    };
    let mut names = vec![];
    if !name.is_empty() {
        names.push((scope(kind, data), plain_name(name).to_lowercase()));
    }
    let number = text(data, "DocNumber");
    if !number.is_empty() {
        names.push((NUMBERS.to_owned(), number.to_lowercase()));
    }
    names
}
