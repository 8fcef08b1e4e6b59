//! Writes: create, update, delete, void. Everything is checked before anything changes.

mod account;
mod bill;
mod billpayment;
mod currency;
mod customer;
mod delete;
mod deposit;
mod documents;
mod item;
mod lines;
mod lists;
mod payment;
mod sales;
mod tax_global;
mod tax_us;
mod taxservice;
mod void;

use super::company::Company;
use super::fault::{self, Checked};
use super::kind::Kind;
use super::schema;
use super::store::{Effects, Key, Record, text};
use super::webhooks::Event;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Map, Value};

pub use account::type_of;
pub use currency::reference_to as currency_reference;
pub use delete::delete;
pub use taxservice::create_tax_code;
pub use void::{Voided, void};

/// What comes with a write beside its body.
#[derive(Debug, Clone, Copy)]
pub struct With {
    pub now: Timestamp,
    /// `include=allowduplicatedocnum`.
    pub allow_duplicate_number: bool,
}

/// A record being made or changed.
struct Draft {
    /// `None`: being made.
    key: Option<Key>,
    kind: Kind,
    /// The record as it will be.
    data: Map<String, Value>,
    /// What the client sent, cleaned.
    sent: Map<String, Value>,
    old: Option<Record>,
    with: With,
    effects: Effects,
}

impl Draft {
    /// The day of the transaction, or of today.
    fn day(&self, company: &Company) -> Date {
        text(&self.data, "TxnDate")
            .parse()
            .unwrap_or_else(|_| super::times::today(self.with.now, &company.zone))
    }

    /// Takes a field from the record as it was: for what clients don't decide.
    fn keep(&mut self, field: &str) {
        if let Some(value) = self.old.as_ref().and_then(|old| old.data.get(field)) {
            self.data.insert(field.to_owned(), value.clone());
        }
    }
}

/// Creates a record, or changes the one whose `Id` the body names; the answer is its id.
///
/// Errors: every refusal of the documented validations; nothing has changed then.
pub fn save(company: &mut Company, kind: Kind, body: &Value, with: With) -> Checked<u64> {
    let mut sent = schema::check(kind, body)?;
    let id = sent.remove("Id").and_then(|id| id.as_str().map(str::to_owned));
    let token = sent.remove("SyncToken").and_then(|t| t.as_str().map(str::to_owned));
    let sparse = sent.remove("sparse") == Some(Value::Bool(true));
    let mut draft = match id.filter(|id| !id.is_empty()) {
        Some(id) => existing(company, kind, &id, token.as_deref(), sparse, sent, with)?,
        None if !kind.can_be_created() => return Err(fault::unsupported("create")),
        None => Draft {
            key: None,
            kind,
            data: sent.clone(),
            sent,
            old: None,
            with,
            effects: Effects::default(),
        },
    };
    without_empty(&mut draft.data);
    derive(company, &mut draft)?;
    Ok(commit(company, draft))
}

/// An empty text is no value: sent on its own it clears a field.
fn without_empty(data: &mut Map<String, Value>) {
    data.retain(|_, value| {
        match value {
            Value::Object(inner) => without_empty(inner),
            Value::Array(values) => {
                values.iter_mut().filter_map(Value::as_object_mut).for_each(without_empty);
            }
            _ => {}
        }
        value.as_str() != Some("")
    });
}

/// The record of this id if it is there and the token is its token.
fn current(company: &Company, kind: Kind, id: &str, token: Option<&str>) -> Checked<(Key, Record)> {
    let found = company.store.find(kind, id);
    let (key, record) = found.ok_or_else(|| fault::not_found("The object doesn't exist."))?;
    let token = token.filter(|t| !t.is_empty()).ok_or_else(|| fault::missing("SyncToken"))?;
    match token == record.token.to_string() {
        true => Ok((key, record.clone())),
        false => Err(fault::stale()),
    }
}

fn existing(
    company: &Company,
    kind: Kind,
    id: &str,
    token: Option<&str>,
    sparse: bool,
    sent: Map<String, Value>,
    with: With,
) -> Checked<Draft> {
    let (key, old) = current(company, kind, id, token)?;
    let mut data = match sparse {
        true => old.data.clone(),
        false => Map::new(),
    };
    // Sparse goes no deeper than this: a list that is sent replaces the whole list.
    data.extend(sent.clone());
    for (name, field) in schema::SCHEMA.entity(kind) {
        if let (true, Some(value)) = (field.read_only, old.data.get(name)) {
            data.insert(name.clone(), value.clone());
        }
    }
    let effects = Effects::default();
    Ok(Draft { key: Some(key), kind, data, sent, old: Some(old), with, effects })
}

/// Validates the draft and fills in what the server computes.
fn derive(company: &Company, draft: &mut Draft) -> Checked<()> {
    match draft.kind {
        Kind::Customer | Kind::Vendor | Kind::Employee => customer::derive(company, draft),
        Kind::Item => item::derive(company, draft),
        Kind::Account => account::derive(company, draft),
        Kind::Invoice | Kind::SalesReceipt | Kind::CreditMemo | Kind::RefundReceipt => {
            sales::derive(company, draft)
        }
        Kind::Payment => payment::derive(company, draft),
        Kind::Bill => bill::derive(company, draft),
        Kind::BillPayment => billpayment::derive(company, draft),
        Kind::Deposit => deposit::derive(company, draft),
        Kind::JournalEntry => Err(fault::unsupported("create")),
        _ => lists::derive(company, draft),
    }
}

fn commit(company: &mut Company, draft: Draft) -> u64 {
    let Draft { key, kind, data, old, with, effects, .. } = draft;
    let created = key.is_none();
    let key = key.unwrap_or_else(|| (kind, company.store.next_id(kind)));
    let mut record = match old {
        Some(old) => Record { data, token: old.token + 1, updated: with.now, ..old },
        None => Record::new(data, with.now),
    };
    let before = std::mem::replace(&mut record.effects, effects.clone());
    let mut moved = company.store.apply(key, &before, true);
    company.store.put(key, record);
    moved.extend(company.store.apply(key, &effects, false));
    company.events.push(Event::new(key, if created { "created" } else { "updated" }, with.now));
    documents::rebalance(company, moved, with.now);
    deposit::mark(company, key);
    key.1
}
