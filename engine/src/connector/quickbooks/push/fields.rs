//! Old and new value of every field, as previews and the view `sync_changes` show them.

use crate::posting::compare::{self, FieldChange};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

/// Every field of a new record.
pub fn of_new(state: &Value) -> Map<String, Value> {
    of(compare::diff(&json!({}), state))
}

/// What differs.
pub fn of(changes: Vec<FieldChange>) -> Map<String, Value> {
    let pairs = changes
        .into_iter()
        .map(|change| (change.path, json!({"old": texts(change.old), "new": texts(change.new)})));
    pairs.collect()
}

/// Numbers as texts: a reader in JavaScript would lose cents.
fn texts(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::String(number.to_string()),
        Value::Array(list) => Value::Array(list.into_iter().map(texts).collect()),
        Value::Object(members) => {
            Value::Object(members.into_iter().map(|(key, value)| (key, texts(value))).collect())
        }
        other => other,
    }
}

/// An amount with two decimals, as people read it.
pub fn amount(amount: Decimal) -> Value {
    let mut amount = amount;
    amount.rescale(2);
    Value::String(amount.to_string())
}
