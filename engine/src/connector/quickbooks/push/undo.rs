//! Taking back what an earlier run wrote: what it made is voided, deleted or made inactive, what it
//! changed gets every field back. A document or record that has moved since stays as it is.

use super::documents::at_link;
use super::{Books, fields};
use crate::connector::quickbooks::ack::ack;
use crate::connector::quickbooks::kind::Kind;
use crate::connector::quickbooks::write::Ack;
use crate::error::Result;
use crate::plan::{Action, Draft, Payload};
use crate::posting::company::Company;
use crate::posting::{compare, money};
use crate::push::undo::{Done, Kept};
use jiff::civil::Date;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What QuickBooks keeps by itself: it moves without anybody's edit.
const MOVES: [&str; 12] = [
    "SyncToken",
    "MetaData",
    "domain",
    "sparse",
    "Balance",
    "HomeBalance",
    "BalanceWithJobs",
    "UnappliedAmt",
    "RemainingCredit",
    "LinkedTxn",
    "EmailStatus",
    "status",
];

impl Books {
    /// The reverses of `done`, one for each.
    pub(super) async fn reverses(&self, done: &[Done]) -> Result<Vec<Draft>> {
        let company = &self.ground()?.company;
        let there = self.records_of(done).await?;
        // Documents that go in the same undo may hang on each other.
        let going: BTreeSet<&str> = done.iter().filter_map(|d| d.remote_id.as_deref()).collect();
        let reverse = |one: &Done| {
            let now = one.remote_id.as_ref().and_then(|id| there.get(&(one.target.as_str(), id)));
            let Some(now) = now else {
                return one.stays(format!("{} is gone in QuickBooks", one.target));
            };
            match obstacle(one, now, &going, company) {
                Some(why) => one.stays(why),
                None => reverse(one, now),
            }
        };
        Ok(done.iter().map(reverse).collect())
    }

    async fn records_of<'d>(
        &self,
        done: &'d [Done],
    ) -> Result<HashMap<(&'d str, &'d String), Ack>> {
        let mut by_kind: BTreeMap<&str, BTreeSet<&String>> = BTreeMap::new();
        for one in done {
            by_kind.entry(&one.target).or_default().extend(&one.remote_id);
        }
        let mut there = HashMap::new();
        for (target, ids) in by_kind {
            let kind = super::kind(target)?;
            let list: Vec<String> = ids.iter().map(|id| (*id).clone()).collect();
            let (found, _) = self.api.by_ids(kind, &list).await?;
            let found = found.iter().filter_map(|raw| ack(kind, raw));
            for ack in found {
                if let Some(id) = ids.get(&ack.id) {
                    there.insert((target, *id), ack);
                }
            }
        }
        Ok(there)
    }
}

/// Why a record has to stay as it is.
fn obstacle(done: &Done, now: &Ack, going: &BTreeSet<&str>, company: &Company) -> Option<String> {
    let target = &done.target;
    let Some(known) = &done.now else {
        return Some(format!("how {target} was left isn't known"));
    };
    if !is_same(&known.record, &now.record) {
        return Some(format!("{target} was changed in QuickBooks since"));
    }
    let date = now.record["TxnDate"].as_str().and_then(|date| date.parse::<Date>().ok());
    if let (Some(date), Some(closed)) = (date, company.book_close_date)
        && date <= closed
    {
        return Some(format!("{target} is dated {date}, and the books are closed to {closed}"));
    }
    let links = now.record["LinkedTxn"].as_array().into_iter().flatten();
    let other = links.filter(|link| !link["TxnId"].as_str().is_some_and(|id| going.contains(id)));
    let tied = other.filter_map(|link| link["TxnType"].as_str()).next()?;
    match (tied, done.action) {
        ("Deposit", _) => Some(format!("{target} is in a bank deposit")),
        (other, Action::Create) => Some(format!("a {other} hangs on {target}")),
        _ => None,
    }
}

fn reverse(done: &Done, now: &Ack) -> Draft {
    let (Some(known), Ok(kind)) = (&done.now, super::kind(&done.target)) else {
        return done.stays("it has no reverse");
    };
    let before = done.before.as_ref();
    let (action, body, left) = match done.action {
        Action::Create => (taken_back(kind, now), json!({}), known),
        _ => (Action::Update, full(before.unwrap_or(known)), before.unwrap_or(known)),
    };
    let mut payload = Payload::new(done.key(), body, memo(left, action));
    payload.number.clone_from(&now.document_number);
    at_link(&mut payload, now, done.link.as_ref());
    if action == Action::Update {
        payload.total = money::from_json(&left.record["TotalAmt"]);
    }
    Draft {
        action,
        reason: Some("undone".into()),
        fields: reversed(done, action, kind, now),
        payload: Some(payload),
        ..done.empty()
    }
}

/// A trace is kept where QuickBooks can keep one. A Payment of nothing only ties others together:
/// voiding it would leave them tied.
fn taken_back(kind: Kind, now: &Ack) -> Action {
    let is_zero = now.total.is_some_and(|total| total.is_zero());
    match kind {
        Kind::Payment if is_zero => Action::Delete,
        Kind::Invoice | Kind::SalesReceipt | Kind::Payment => Action::Void,
        kind if kind.is_list() => Action::Inactivate,
        _ => Action::Delete,
    }
}

/// The whole record as it was: an update in full clears what it didn't have.
fn full(before: &Kept) -> Value {
    let mut body = before.record.as_object().cloned().unwrap_or_default();
    MOVES.iter().for_each(|name| drop(body.remove(*name)));
    body.remove("Id");
    Value::Object(body)
}

/// What the link holds once it is undone.
fn memo(left: &Kept, action: Action) -> Value {
    let agreed = &left.agreed;
    let sent = match &agreed["document"] {
        Value::Null => &agreed["sent"],
        document => &document["agreed"]["sent"],
    };
    json!({
        "role": agreed["role"],
        "currency": agreed["currency"],
        "wanted": sent,
        "sent": sent,
        "full": action == Action::Update,
    })
}

/// Old and new values, the other way round.
fn reversed(done: &Done, action: Action, kind: Kind, now: &Ack) -> Map<String, Value> {
    let mut changes = Map::new();
    match action {
        Action::Void => {
            let total = now.total.map_or(Value::Null, fields::amount);
            changes.insert("TotalAmt".into(), json!({"old": total, "new": "0.00"}));
        }
        Action::Inactivate => {
            changes.insert("Active".into(), json!({"old": true, "new": false}));
        }
        _ => {
            for (path, values) in &done.fields {
                let swapped = json!({"old": values["new"], "new": values["old"]});
                changes.insert(path.clone(), swapped);
            }
            if action == Action::Update && kind.is_list() && done.action == Action::Inactivate {
                changes.insert("Active".into(), json!({"old": false, "new": true}));
            }
        }
    }
    changes
}

/// Equal in all that somebody writes; amounts are numbers, however they are written.
fn is_same(known: &Value, now: &Value) -> bool {
    let stripped = |record: &Value| {
        let mut record = plain(record);
        if let Some(members) = record.as_object_mut() {
            MOVES.iter().for_each(|name| drop(members.remove(*name)));
        }
        record
    };
    compare::diff(&stripped(known), &stripped(now)).is_empty()
}

fn plain(value: &Value) -> Value {
    match value {
        Value::Number(_) => money::from_json(value)
            .map_or_else(|| value.clone(), |number| json!(number.normalize().to_string())),
        Value::Array(list) => Value::Array(list.iter().map(plain).collect()),
        Value::Object(members) => {
            // A reference is its id; the name beside it follows the record that it names.
            let is_reference = members.contains_key("value");
            let kept = members.iter().filter(|(key, _)| !(is_reference && *key == "name"));
            Value::Object(kept.map(|(key, value)| (key.clone(), plain(value))).collect())
        }
        other => other.clone(),
    }
}
