//! Deleting transactions: for good, and only when nothing hangs on them.

use super::{Draft, With, current, deposit, documents};
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{self, Checked};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::store::Key;
use crate::quickbooks::webhooks::Event;
use serde_json::{Value, json};

/// `Id` and `SyncToken` of a body, texts or numbers.
pub(super) fn identity(body: &Value) -> Checked<(String, Option<String>)> {
    let text = |key: &str| match &body[key] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    Ok((text("Id").ok_or_else(|| fault::missing("Id"))?, text("SyncToken")))
}

/// Deletes a transaction; the answer is what QuickBooks shows of it.
///
/// Errors: 500 for lists, 5010, 6000 while payments hang on it, 6210, 6540.
pub fn delete(company: &mut Company, kind: Kind, body: &Value, with: With) -> Checked<Value> {
    if !kind.is_transaction() {
        return Err(fault::unsupported("delete"));
    }
    let (id, token) = identity(body)?;
    let (key, record) = current(company, kind, &id, token.as_deref())?;
    documents::check_changeable(company, &record)?;
    if !company.store.appliers(key).is_empty() {
        return Err(fault::business(
            "You can't delete this transaction because other transactions are linked to it. \
             Remove the links first.",
        ));
    }
    remove(company, key, with);
    Ok(json!({ "status": "Deleted", "domain": "QBO", "Id": id }))
}

/// Takes a transaction out of the books.
pub(super) fn remove(company: &mut Company, key: Key, with: With) {
    let Some(record) = company.store.remove(key, with.now) else { return };
    let moved = company.store.apply(key, &record.effects, true);
    deposit::mark(company, key);
    company.events.push(Event::new(key, "deleted", with.now));
    documents::rebalance(company, moved, with.now);
}

impl Draft {
    /// A change of a stored record that the server itself makes.
    pub(super) fn of(company: &Company, key: Key, with: With) -> Option<Draft> {
        let old = company.store.get(key)?.clone();
        Some(Draft {
            key: Some(key),
            kind: key.0,
            data: old.data.clone(),
            sent: serde_json::Map::new(),
            old: Some(old),
            with,
            effects: Default::default(),
        })
    }
}
