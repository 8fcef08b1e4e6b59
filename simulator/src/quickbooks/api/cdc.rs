//! Change data capture: everything that changed since a time, deleted records last.

use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{self, Checked, validation};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::params::Params;
use crate::quickbooks::rules::OldCdc;
use crate::quickbooks::times;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// More are cut off without a word.
const MOST: usize = 1000;
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(30 * 24);

/// `GET /cdc?entities=A,B&changedSince=T`.
///
/// Errors: 2020, 4001 for an entity that isn't covered or a time before the last 30 days.
pub fn read(company: &Company, params: &Params, now: Timestamp) -> Checked<Value> {
    let names = params.get("entities").ok_or_else(|| fault::missing("entities"))?;
    let since = params.get("changedSince").ok_or_else(|| fault::missing("changedSince"))?;
    let wrong = |why: String| validation("4001", "Invalid query", why, "");
    let since = times::read(since, &company.zone)
        .ok_or_else(|| wrong(format!("changedSince is no time: {since}")))?;
    let oldest = now.checked_sub(LOOK_BACK).unwrap_or(Timestamp::MIN);
    if since < oldest && company.rules.old_cdc == OldCdc::Error {
        return Err(wrong("changedSince must lie within the last 30 days".to_owned()));
    }
    let mut left = MOST;
    let mut groups = vec![];
    for name in names.split(',').map(str::trim) {
        let kind = Kind::named(name).filter(|kind| kind.in_cdc());
        let kind = kind.ok_or_else(|| wrong(format!("CDC is not supported for entity {name}")))?;
        let rows = changed(company, kind, since.max(oldest));
        let rows: Vec<Value> = rows.into_iter().take(left).collect();
        left -= rows.len();
        groups.push(group(kind, rows));
    }
    Ok(json!({ "CDCResponse": [{ "QueryResponse": groups }] }))
}

fn group(kind: Kind, rows: Vec<Value>) -> Value {
    if rows.is_empty() {
        return json!({});
    }
    let count = rows.len();
    let mut group = Map::new();
    group.insert(kind.name().into(), Value::Array(rows));
    group.insert("startPosition".into(), json!(1));
    group.insert("maxResults".into(), json!(count));
    group.insert("totalCount".into(), json!(count));
    Value::Object(group)
}

fn changed(company: &Company, kind: Kind, since: Timestamp) -> Vec<Value> {
    // Times are shown in whole seconds, and a client may only know those.
    let since = Timestamp::from_second(since.as_second()).unwrap_or(since);
    let mut alive: Vec<_> =
        company.store.all(kind).filter(|(_, record)| record.updated >= since).collect();
    alive.sort_by_key(|(id, record)| (record.updated, *id));
    let alive = alive.into_iter().map(|(id, record)| record.render(id, &company.zone));
    let mut gone: Vec<_> = company
        .store
        .tombstones
        .iter()
        .filter(|stone| stone.key.0 == kind && stone.at >= since)
        .collect();
    gone.sort_by_key(|stone| stone.at);
    let gone = gone.into_iter().map(|stone| {
        json!({
            "domain": "QBO", "status": "Deleted", "Id": stone.key.1.to_string(),
            "MetaData": { "LastUpdatedTime": times::stamp(stone.at, &company.zone) },
        })
    });
    alive.chain(gone).collect()
}
