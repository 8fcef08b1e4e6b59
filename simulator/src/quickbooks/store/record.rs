//! One record, and what it does to others.

use crate::quickbooks::kind::Kind;
use crate::quickbooks::times;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

/// A record's identity within a company.
pub type Key = (Kind, u64);

/// What a transaction does to other records; undone when it changes or goes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effects {
    /// Quantity on hand by item.
    pub quantities: Vec<(u64, Decimal)>,
    /// The customer or vendor whose balance it is part of.
    pub party: Option<Key>,
    /// Its part of that balance; negative for credits.
    pub open: Decimal,
    /// Account balances, in the account's currency.
    pub postings: Vec<(u64, Decimal)>,
    /// Documents that it pays or uses up, with the amounts.
    pub applied: Vec<(Key, Decimal)>,
}

/// A record as kept.
#[derive(Debug, Clone)]
pub struct Record {
    /// All fields but `Id`, `SyncToken`, `MetaData`, `domain` and `sparse`.
    pub data: Map<String, Value>,
    pub token: u64,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub effects: Effects,
    /// The deposit that it lies in.
    pub deposit: Option<u64>,
    /// Matched with the bank's statement: reconciled.
    pub matched: bool,
}

impl Record {
    /// A new record of the moment `now`.
    pub fn new(data: Map<String, Value>, now: Timestamp) -> Self {
        Record {
            data,
            token: 0,
            created: now,
            updated: now,
            effects: Effects::default(),
            deposit: None,
            matched: false,
        }
    }

    /// As clients see it.
    pub fn render(&self, id: u64, zone: &TimeZone) -> Value {
        let mut all = self.data.clone();
        all.insert("domain".into(), json!("QBO"));
        all.insert("sparse".into(), json!(false));
        all.insert("Id".into(), json!(id.to_string()));
        all.insert("SyncToken".into(), json!(self.token.to_string()));
        let meta = json!({
            "CreateTime": times::stamp(self.created, zone),
            "LastUpdatedTime": times::stamp(self.updated, zone),
        });
        all.insert("MetaData".into(), meta);
        Value::Object(all)
    }

    /// The text under `key`, empty when absent.
    pub fn text(&self, key: &str) -> &str {
        text(&self.data, key)
    }

    /// False only when the record says so.
    pub fn is_active(&self) -> bool {
        self.data.get("Active") != Some(&json!(false))
    }
}

/// The text under `key`, empty when absent.
pub fn text<'a>(data: &'a Map<String, Value>, key: &str) -> &'a str {
    data.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The `value` of the reference under `key`.
pub fn reference<'a>(data: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    data.get(key).and_then(|r| r["value"].as_str()).filter(|v| !v.is_empty())
}

/// What inactivation appends to a name.
pub const DELETED: &str = " (deleted)";

/// A name as it was before inactivation.
pub fn plain_name(name: &str) -> &str {
    name.strip_suffix(DELETED).unwrap_or(name)
}
