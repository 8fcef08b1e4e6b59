//! What a sync says it changed, beside what the hub's tables show that it changed.

mod hub;
mod traces;

pub use hub::Hub;
pub use traces::Traces;

use anyhow::{Context, Result};
use postgres::Client;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Old and new value by path.
pub type Fields = BTreeMap<String, (Value, Value)>;

/// By entity and the record's id where it was born.
pub type Changes = BTreeMap<(String, String), Fields>;

/// What `sync_changes` shows of a run's pulls, one record once: what it was, what it came to be.
pub fn recorded(db: &mut Client, sync_id: i64) -> Result<Changes> {
    let rows = db
        .query(
            "select entity, record_id, action, fields from easysync.sync_changes
              where sync_id = $1 and direction = 'pull' and action <> 'skip'
              order by action = 'create', change_id",
            &[&sync_id],
        )
        .context("easysync.sync_changes")?;
    let mut changes = Changes::new();
    for row in rows {
        let fields: Value = row.get::<_, Option<Value>>(3).unwrap_or_default();
        add(&mut changes, row.get(0), row.get(1), row.get(2), &fields)?;
    }
    Ok(settled(changes))
}

/// What a dry run in this session says that pulls would change. `arguments`: those of `trigger`.
pub fn said(db: &mut Client, arguments: &str) -> Result<Changes> {
    let query = format!(
        "select entity, record_id, action, fields from easysync.dry_run({arguments})
          where direction = 'pull' and action <> 'skip' order by change_id"
    );
    planned(db, &query)
}

/// What a dry run of the worker's has planned.
pub fn kept(db: &mut Client, sync_id: i64) -> Result<Changes> {
    let query = format!(
        "select entity, record_id, action, fields from easysync.sync_changes
          where sync_id = {sync_id} and direction = 'pull' and status = 'planned' order by change_id"
    );
    planned(db, &query)
}

fn planned(db: &mut Client, query: &str) -> Result<Changes> {
    let mut changes = Changes::new();
    for row in db.query(query, &[]).with_context(|| query.to_owned())? {
        let fields: Value = row.get(3);
        add(&mut changes, row.get(0), row.get(1), row.get(2), &fields)?;
    }
    Ok(settled(changes))
}

/// Puts what only the run could know in the place of what the plan said of it: ids of rows that it
/// made, and times.
pub fn fulfilled(db: &mut Client, mut said: Changes, done: &Changes) -> Result<Changes> {
    for (key, fields) in &mut said {
        for (path, (_, new)) in fields.iter_mut() {
            let Some(text) = new.as_str() else { continue };
            if text == "now" && path.ends_with("_at") {
                let at = done.get(key).and_then(|fields| fields.get(path)).map(|value| &value.1);
                *new = at.cloned().unwrap_or_default();
            } else if let Some(name) = text.strip_prefix("id of ") {
                *new = id_of(db, name)?;
            }
        }
    }
    Ok(said)
}

/// `customers 17`, `orders 175 line 12`
fn id_of(db: &mut Client, name: &str) -> Result<Value> {
    let (entity, record) = name.split_once(' ').context("no entity")?;
    let query = match record.split_once(" line ") {
        Some((order, line)) => format!(
            "select l.id from commerce.order_lines l join commerce.orders o on o.id = l.order_id
              where o.source_id = '{order}' and l.source_id = '{line}'"
        ),
        None => format!("select id from commerce.{entity} where source_id = '{record}'"),
    };
    let row = db.query_opt(&query, &[])?.with_context(|| format!("nothing made {name}"))?;
    Ok(json!(row.get::<_, i64>(0)))
}

/// Takes up one change: of several of a record the first tells what it was, the last what it is.
pub fn add(
    changes: &mut Changes,
    entity: String,
    record_id: String,
    action: String,
    fields: &Value,
) -> Result<()> {
    let fields = fields.as_object().with_context(|| format!("{entity} {record_id}: no fields"))?;
    // A link tells of what it made as it is now: what came after is in it.
    if action == "create" {
        changes.remove(&(entity.clone(), record_id.clone()));
    }
    for (path, value) in fields {
        let (owner, path) = owner(&entity, &record_id, path);
        let of_record = changes.entry(owner).or_default();
        let place = of_record.entry(path).or_insert_with(|| (value["old"].clone(), Value::Null));
        place.1 = value["new"].clone();
    }
    Ok(())
}

/// `refunds[7].lines[8].order_line_id` stands with the order whose line went, and is the refund's.
fn owner(entity: &str, record_id: &str, path: &str) -> ((String, String), String) {
    if let Some((refund, rest)) = path.strip_prefix("refunds[").and_then(|p| p.split_once("].")) {
        return (("refunds".into(), refund.into()), rest.into());
    }
    ((entity.into(), record_id.into()), path.into())
}

/// Without what ended as it began.
pub fn settled(mut changes: Changes) -> Changes {
    changes.values_mut().for_each(|fields| fields.retain(|_, (old, new)| old != new));
    changes.retain(|_, fields| !fields.is_empty());
    changes
}

/// The first differences between two sets of changes, for a message.
pub fn apart(said: &Changes, done: &Changes) -> Vec<Value> {
    let keys: std::collections::BTreeSet<_> = said.keys().chain(done.keys()).collect();
    let differing = keys.into_iter().filter(|key| said.get(*key) != done.get(*key));
    differing
        .take(5)
        .map(|key| {
            json!({
                "record": key,
                "said": shown(said.get(key), done.get(key)),
                "done": shown(done.get(key), said.get(key)),
            })
        })
        .collect()
}

fn shown(fields: Option<&Fields>, others: Option<&Fields>) -> Map<String, Value> {
    let own = fields.into_iter().flatten();
    own.filter(|(path, value)| others.and_then(|o| o.get(*path)) != Some(value))
        .map(|(path, (old, new))| (path.clone(), json!([old, new])))
        .collect()
}
