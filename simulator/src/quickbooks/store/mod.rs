//! A company's records in memory: by type and id, with an index of names and document numbers and
//! the tombstones of what was deleted.

mod index;
mod record;

use super::kind::Kind;
use super::money;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};

pub use index::{Index, NUMBERS, scope};
pub use record::{DELETED, Effects, Key, Record, plain_name, reference, text};

/// A deleted or merged record, as change data capture tells of it.
#[derive(Debug, Clone)]
pub struct Tombstone {
    pub key: Key,
    pub at: Timestamp,
}

/// All records of a company.
#[derive(Debug, Clone, Default)]
pub struct Store {
    records: BTreeMap<Kind, BTreeMap<u64, Record>>,
    pub index: Index,
    pub tombstones: Vec<Tombstone>,
    /// By document: who paid or used it up, and how much.
    applied: HashMap<Key, BTreeMap<Key, Decimal>>,
    last_transaction: u64,
    last_name: u64,
}

impl Store {
    /// The records of one type, in the order of ids.
    pub fn all(&self, kind: Kind) -> impl DoubleEndedIterator<Item = (u64, &Record)> {
        self.records.get(&kind).into_iter().flatten().map(|(id, record)| (*id, record))
    }

    pub fn get(&self, (kind, id): Key) -> Option<&Record> {
        self.records.get(&kind)?.get(&id)
    }

    /// For changes that move neither name nor number.
    pub fn get_mut(&mut self, (kind, id): Key) -> Option<&mut Record> {
        self.records.get_mut(&kind)?.get_mut(&id)
    }

    /// By the id's text.
    pub fn find(&self, kind: Kind, id: &str) -> Option<(Key, &Record)> {
        let key = (kind, id.parse().ok()?);
        Some((key, self.get(key)?))
    }

    /// The next id: transactions count in one sequence, everything else in another.
    pub fn next_id(&mut self, kind: Kind) -> u64 {
        let counter = match kind.is_transaction() {
            true => &mut self.last_transaction,
            false => &mut self.last_name,
        };
        *counter += 1;
        *counter
    }

    /// Puts a record in the place of what was there, without its effects.
    pub fn put(&mut self, key: Key, record: Record) {
        if let Some(old) = self.get(key) {
            let names = index::names(key.0, &old.data);
            self.index.remove(key, names);
        }
        self.index.add(key, index::names(key.0, &record.data));
        // Class ids are huge in real companies; they must not drag the counter along.
        if key.1 < 1 << 40 {
            let counter = match key.0.is_transaction() {
                true => &mut self.last_transaction,
                false => &mut self.last_name,
            };
            *counter = (*counter).max(key.1);
        }
        self.records.entry(key.0).or_default().insert(key.1, record);
    }

    /// Takes a record away and leaves a tombstone.
    pub fn remove(&mut self, key: Key, now: Timestamp) -> Option<Record> {
        let record = self.records.get_mut(&key.0)?.remove(&key.1)?;
        self.index.remove(key, index::names(key.0, &record.data));
        self.applied.remove(&key);
        self.tombstones.push(Tombstone { key, at: now });
        Some(record)
    }

    /// How much of a document was paid or used up.
    pub fn applied_to(&self, target: Key) -> Decimal {
        self.applied.get(&target).map(|by| by.values().sum()).unwrap_or_default()
    }

    /// The same, without what `payer` did.
    pub fn applied_by_others(&self, target: Key, payer: Key) -> Decimal {
        let by = self.applied.get(&target).into_iter().flatten();
        by.filter(|(key, _)| **key != payer).map(|(_, amount)| *amount).sum()
    }

    /// Who paid or used up a document.
    pub fn appliers(&self, target: Key) -> Vec<Key> {
        self.applied.get(&target).into_iter().flatten().map(|(key, _)| *key).collect()
    }

    /// Carries out or takes back what `from` does to others; the answer names the documents whose
    /// balance moved.
    pub fn apply(&mut self, from: Key, effects: &Effects, undo: bool) -> Vec<Key> {
        let sign = if undo { Decimal::NEGATIVE_ONE } else { Decimal::ONE };
        for (item, quantity) in &effects.quantities {
            self.add_to((Kind::Item, *item), "QtyOnHand", *quantity * sign);
        }
        for (account, amount) in &effects.postings {
            self.add_to((Kind::Account, *account), "CurrentBalance", *amount * sign);
            self.add_to((Kind::Account, *account), "CurrentBalanceWithSubAccounts", *amount * sign);
        }
        if let Some(party) = effects.party {
            self.add_to(party, "Balance", effects.open * sign);
            if party.0 == Kind::Customer {
                self.add_to(party, "BalanceWithJobs", effects.open * sign);
            }
        }
        for (target, amount) in &effects.applied {
            let by = self.applied.entry(*target).or_default();
            match undo {
                true => by.remove(&from),
                false => by.insert(from, *amount),
            };
        }
        effects.applied.iter().map(|(target, _)| *target).collect()
    }

    fn add_to(&mut self, key: Key, field: &str, amount: Decimal) {
        let Some(record) = self.get_mut(key) else { return };
        let sum = money::of(&record.data, field) + amount;
        record.data.insert(field.into(), money::json(sum));
    }

    /// A reference as answers show it, with the name.
    pub fn named_reference(&self, kind: Kind, id: &str) -> Value {
        let name = self.find(kind, id).map(|(_, record)| display_name(&record.data));
        match name {
            Some(name) if !name.is_empty() => json!({ "value": id, "name": name }),
            _ => json!({ "value": id }),
        }
    }

    /// Gives the reference under `key`, if there, the name of what it refers to.
    pub fn name_reference(&self, data: &mut Map<String, Value>, key: &str, kind: Kind) {
        if let Some(id) = reference(data, key) {
            let named = self.named_reference(kind, id);
            data.insert(key.to_owned(), named);
        }
    }
}

fn display_name(data: &Map<String, Value>) -> &str {
    ["FullyQualifiedName", "DisplayName", "Name"]
        .into_iter()
        .map(|key| text(data, key))
        .find(|name| !name.is_empty())
        .unwrap_or_default()
}
