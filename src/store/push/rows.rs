//! Rows of the push's tables, there and back.

use crate::error::{DbError, DbResult};
use crate::store::row::Row;
use crate::store::spi::{Arg, required};
use engine::Error;
use engine::model::Entity;
use engine::plan::{Action, Change, Draft, Key, Status};
use engine::push::store::{Bundle, Dependency, ItemOutcome, KeptPlan, Link, OpenCall};
use engine::push::target::{Ack, Call, Item};
use engine::store::Counts;
use serde_json::{Map, Value, json};

/// `$5`: ids as a JSON list; null: no ids.
pub const CLAIM: &str = "select easysync_internal.push_claim($1, $2, $3, $4,
       case when $5 is not null
            then array(select pg_catalog.jsonb_array_elements_text($5::jsonb)) end, $6)";

/// `$8`: ids as a JSON list; null: no ids.
pub const CANDIDATES: &str = "select root, hub_id
  from easysync_internal.push_candidates($1, $2, $3, $4, $5, $6::boolean[], $7,
       case when $8 is not null
            then array(select pg_catalog.jsonb_array_elements_text($8::jsonb)) end,
       $9, $10, $11, $12, $13)
 order by root, hub_id";

pub const BUNDLES: &str = "select hub_id, record_id, source_account, record, refunds, customer,
       products, links::text
  from easysync_internal.push_bundles($1, $2, $3, $4)";

/// Index `sync_changes_unsent`.
pub const UNSENT: &str = "select change_id, entity, hub_id, root_entity, root_id, wave, payload,
       record_id, label, target, action, destructive, reason, depends_on
  from easysync_internal.sync_changes
 where sync_id = $1 and step = $2 and status = 'planned'
 order by wave, change_id limit $3";

pub const DEPENDENCIES: &str =
    "select change_id, status, remote_id, label, target, entity, coalesce(hub_id, 0)
  from easysync_internal.sync_changes
 where sync_id = $1 and change_id = any ($2::integer[])";

/// Index `sync_requests_open`.
pub const OPEN_CALLS: &str = "select request_id, body_hash, body,
       (extract(epoch from intended_at) * 1000000)::bigint
  from easysync_ledger.sync_requests
 where tenant_id = $1 and account = $2 and status in ('intended', 'sent', 'unknown')
   and body is not null
 order by intended_at limit 1000";

/// By the primary key.
pub const WAS_REFUSED: &str = "select exists (
    select from easysync_ledger.sync_requests
     where tenant_id = $1 and account = $2 and request_id = $3 and status = 'failed')";

pub const LINK: &str = "select pg_catalog.jsonb_build_object('entity', entity, 'hub_id', hub_id,
       'remote_type', remote_type, 'remote_id', remote_id, 'remote_number', remote_number,
       'version', remote_version, 'revision', revision, 'agreed', agreed,
       'deleted', deleted_at is not null)::text
  from easysync_ledger.links
 where tenant_id = $1 and account = $2 and entity = $3 and remote_id = $4";

pub fn json(value: Value) -> Arg {
    Arg::Json(Some(value))
}

pub fn count(value: u64) -> Arg {
    Arg::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)))
}

pub(super) fn unreadable(what: &str) -> DbError {
    DbError::new("XX000", format!("{what} can't be read as it was stored"))
}

pub(super) fn entity(word: &str) -> DbResult<Entity> {
    Entity::parse(word).map_err(|e| DbError::new("22023", e.message))
}

pub fn kept_plan(row: &Row) -> DbResult<KeptPlan> {
    let summary: String = required(row, 2)?;
    let confirmed: i32 = required(row, 3)?;
    Ok(KeptPlan {
        hash: required(row, 1)?,
        summary: serde_json::from_str(&summary).map_err(|_| unreadable("a plan's summary"))?,
        confirmed: u32::try_from(confirmed).unwrap_or(0),
        confirmed_hash: row.get(4)?,
        released: required(row, 5)?,
    })
}

pub fn bundle(row: &Row, entity: Entity) -> DbResult<Bundle> {
    let texts = |column: usize| -> DbResult<Vec<String>> {
        Ok(row
            .get::<Vec<Option<String>>>(column)?
            .unwrap_or_default()
            .into_iter()
            .flatten()
            .collect())
    };
    let links: String = required(row, 8)?;
    let links: Vec<Value> = serde_json::from_str(&links).map_err(|_| unreadable("links"))?;
    Ok(Bundle {
        entity: Some(entity),
        hub_id: required(row, 1)?,
        record_id: required(row, 2)?,
        source_account: row.get::<String>(3)?.unwrap_or_default(),
        record: row.get(4)?,
        refunds: texts(5)?,
        customer: row.get(6)?,
        products: texts(7)?,
        links: links.iter().filter_map(link).collect(),
        asked_refunds: vec![],
        unreadable: None,
    })
}

pub fn link(row: &Value) -> Option<Link> {
    let text = |name: &str| row[name].as_str().map(str::to_owned);
    Some(Link {
        entity: Entity::parse(row["entity"].as_str()?).ok()?,
        hub_id: row["hub_id"].as_i64()?,
        remote_type: text("remote_type")?,
        remote_id: text("remote_id")?,
        remote_number: text("remote_number"),
        version: text("version"),
        revision: row["revision"].as_i64().unwrap_or(0),
        agreed: text("agreed"),
        deleted: row["deleted"].as_bool().unwrap_or(false),
    })
}

fn error_json(error: &Error) -> Value {
    json!({
        "category": error.category.as_str(),
        "code": error.code,
        "message": engine::mask::text(&error.message),
        "detail": error.said,
        "hint": error.hint,
        "retryable": error.retryable,
    })
}

pub fn change_json(change: &Change) -> Value {
    let draft = &change.draft;
    let payload = draft.payload.as_ref().and_then(|p| serde_json::to_string(p).ok());
    json!({
        "change_id": change.change_id,
        "entity": draft.entity.as_str(),
        "hub_id": draft.hub_id,
        "root_entity": change.root.0.as_str(),
        "root_id": change.root.1,
        "wave": change.wave,
        "payload": payload,
        "record_id": draft.record_id,
        "label": engine::mask::label(&draft.label),
        "target": draft.target,
        "action": draft.action.as_str(),
        "destructive": draft.destructive || draft.action.is_destructive(),
        "reason": draft.reason.as_deref().map(engine::mask::clean),
        "fields": draft.fields,
        "depends_on": change.depends_on,
        "status": change.status.as_str(),
        "error": draft.error.as_ref().map(error_json),
    })
}

pub fn change(row: &Row) -> DbResult<Change> {
    let payload: Option<String> = row.get(7)?;
    let payload = payload.map(|text| serde_json::from_str(&text)).transpose();
    let action: String = required(row, 11)?;
    let entity_word: String = required(row, 2)?;
    let root: String = required(row, 4)?;
    let (entity, root) = (entity(&entity_word)?, entity(&root)?);
    let hub_id: i64 = required(row, 3)?;
    let depends_on = row.get::<Vec<Option<i32>>>(14)?.unwrap_or_default();
    Ok(Change {
        change_id: required(row, 1)?,
        depends_on: depends_on.into_iter().flatten().collect(),
        wave: required(row, 6)?,
        root: (root, required(row, 5)?),
        status: Status::Planned,
        draft: Draft {
            booked: None,
            key: Key::new(entity, hub_id, ""),
            entity,
            hub_id,
            record_id: required(row, 8)?,
            label: row.get::<String>(9)?.unwrap_or_default(),
            target: required(row, 10)?,
            action: Action::parse(&action).ok_or_else(|| unreadable("an action"))?,
            destructive: required(row, 12)?,
            reason: row.get(13)?,
            fields: Map::new(),
            needs: vec![],
            payload: payload.map_err(|_| unreadable("a payload"))?,
            error: None,
        },
    })
}

pub fn dependency(row: &Row) -> DbResult<(i32, Dependency)> {
    let status: String = required(row, 2)?;
    let word: String = required(row, 6)?;
    let dependency = Dependency {
        status: Status::parse(&status).ok_or_else(|| unreadable("a status"))?,
        remote_id: row.get(3)?,
        label: row.get::<String>(4)?.unwrap_or_default(),
        target: required(row, 5)?,
        entity: entity(&word)?,
        hub_id: required(row, 7)?,
    };
    Ok((required(row, 1)?, dependency))
}

pub fn blocked_json(change: &Change, by: &Dependency) -> Value {
    json!({
        "change_id": change.change_id,
        "entity": change.draft.entity.as_str(),
        "hub_id": change.draft.hub_id,
        "record_id": change.draft.record_id,
        "label": engine::mask::label(&change.draft.label),
        "target": change.draft.target,
        "by_entity": by.entity.as_str(),
        "by_hub_id": by.hub_id,
        "by_label": by.label,
        "by_target": by.target,
    })
}

pub fn open_call(row: &Row) -> DbResult<OpenCall> {
    let body: String = required(row, 3)?;
    let items: Vec<Item> = serde_json::from_str(&body).map_err(|_| unreadable("an intent"))?;
    let at: i64 = required(row, 4)?;
    Ok(OpenCall {
        call: Call { request_id: required(row, 1)?, body_hash: required(row, 2)?, items },
        at: jiff::Timestamp::from_microsecond(at).map_err(|_| unreadable("a time"))?,
    })
}

pub fn counts(row: &Row) -> DbResult<Counts> {
    let number = |column: usize| -> DbResult<u64> {
        Ok(u64::try_from(required::<i64>(row, column)?).unwrap_or(0))
    };
    Ok(Counts {
        created: number(1)?,
        updated: number(2)?,
        deleted: number(3)?,
        unchanged: number(4)?,
        failed: number(5)?,
    })
}

/// What became of an item, as `push_settle` takes it.
pub fn settled_json(item: &Item, outcome: &ItemOutcome) -> Value {
    let mut row = json!({
        "change_id": item.change_id,
        "entity": item.entity.as_str(),
        "hub_id": item.hub_id,
        "record_id": item.record_id,
        "label": engine::mask::label(&item.label),
        "target": item.target,
        "action": item.action.as_str(),
        "revision": item.revision + 1,
    });
    let mut put = |name: &str, value: Value| row[name] = value;
    match outcome {
        ItemOutcome::Done { ack, problem } => {
            put("status", json!(if problem.is_some() { "failed" } else { "done" }));
            put("error", json!(problem.as_ref().map(error_json)));
            acknowledged(ack, &mut put);
        }
        ItemOutcome::Failed { error, conflict } => {
            put("status", json!("failed"));
            put("error", error_json(error));
            put("conflict", json!(conflict));
        }
        ItemOutcome::Unknown(error) => {
            put("status", json!("unknown"));
            put("error", error_json(error));
        }
        ItemOutcome::Planned => put("status", json!("planned")),
    }
    row
}

fn acknowledged(ack: &Ack, put: &mut impl FnMut(&str, Value)) {
    put("remote_id", json!(ack.remote_id));
    put("number", json!(ack.number));
    put("version", json!(ack.version));
    put("agreed", json!(ack.agreed.to_string()));
    put("raw", json!(ack.record.to_string()));
    put("found", json!(ack.found));
    if let Some(kind) = &ack.stays {
        put("target", json!(kind));
    }
}
