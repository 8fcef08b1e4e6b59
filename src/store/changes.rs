//! What pulls change in the hub, into `sync_changes`. New records aren't written there: their links
//! say which sync made them, and the view shows them from there.

use super::look::{Earlier, Planned};
use super::spi::{self, Arg};
use super::steps::stream_args;
use crate::error::DbResult;
use engine::pull::HubChange;
use engine::store::{PageWrite, SyncId};
use serde_json::{Value, json};
use std::collections::HashSet;

/// Behind the run's last change: nobody else adds to a run.
const KEEP: &str = "insert into easysync_internal.sync_changes
       (sync_id, change_id, step, tenant_id, connection, direction, entity, hub_id, record_id, label,
        target, action, destructive, reason, fields, status, remote_id, finished_at)
select $1, (select coalesce(pg_catalog.max(m.change_id), 0)
              from easysync_internal.sync_changes as m where m.sync_id = $1) + c.place, $2, $3, $4,
       'pull', c.entity, c.hub_id, c.record_id, c.label, c.target, c.action, c.destructive, c.reason,
       c.fields, 'done', c.record_id, pg_catalog.clock_timestamp()
  from pg_catalog.jsonb_to_recordset($5) as c (place integer, entity text, hub_id bigint,
       record_id text, label text, target text, action text, destructive boolean, reason text,
       fields jsonb)";

/// What a page has changed.
pub fn keep(page: &PageWrite, changes: &[HubChange]) -> DbResult<()> {
    if changes.is_empty() {
        return Ok(());
    }
    let stream = stream_args(&page.stream);
    let rows = changes.iter().enumerate().map(|(index, change)| row(index + 1, change));
    let args = [
        page.sync_id.into(),
        page.step.into(),
        stream[0].clone(),
        stream[1].clone(),
        Arg::Json(Some(Value::Array(rows.collect()))),
    ];
    spi::run(KEEP, &args)?;
    Ok(())
}

fn row(place: usize, change: &HubChange) -> Value {
    json!({
        "place": place,
        "entity": change.entity.as_str(),
        "hub_id": change.hub_id,
        "record_id": change.record_id,
        "label": engine::mask::label(&change.label),
        "target": change.target,
        "action": change.action.as_str(),
        "destructive": change.is_destructive(),
        "reason": change.reason,
        "fields": change.fields,
    })
}

/// Planned changes of a dry run, in the places that the plan gave them.
const PLAN: &str = "insert into easysync_internal.sync_changes as k
       (sync_id, change_id, step, tenant_id, connection, direction, entity, hub_id, record_id, label,
        target, action, destructive, reason, fields, depends_on, status, remote_id)
select $1, c.change_id, $2, $3, $4, 'pull', c.entity, c.hub_id, c.record_id, c.label, c.target,
       c.action, c.destructive, c.reason, c.fields,
       array(select pg_catalog.jsonb_array_elements_text(c.depends_on)::integer),
       case c.action when 'skip' then 'skipped' else 'planned' end, c.record_id
  from pg_catalog.jsonb_to_recordset($5) as c (change_id integer, entity text, hub_id bigint,
       record_id text, label text, target text, action text, destructive boolean, reason text,
       fields jsonb, depends_on jsonb)
on conflict (sync_id, change_id) do update
   set action = excluded.action, destructive = excluded.destructive, reason = excluded.reason,
       label = excluded.label, depends_on = k.depends_on || excluded.depends_on,
       fields = case when $6 then k.fields || excluded.fields else excluded.fields end";

/// Keeps what a look has planned.
pub fn keep_plan(page: &PageWrite, planned: &[Planned]) -> DbResult<()> {
    let stream = stream_args(&page.stream);
    for planned in runs_of(planned) {
        let extended = planned.first().is_some_and(|p| p.earlier == Earlier::Extended);
        let rows = planned.iter().map(|p| {
            let mut row = p.shown(page.stream.connection.name.as_str());
            row["hub_id"] = json!(Some(p.change.hub_id).filter(|id| *id > 0));
            row
        });
        let args = [
            page.sync_id.into(),
            page.step.into(),
            stream[0].clone(),
            stream[1].clone(),
            Arg::Json(Some(Value::Array(rows.collect()))),
            Arg::Bool(Some(extended)),
        ];
        spi::run(PLAN, &args)?;
    }
    Ok(())
}

/// In their order, so that one statement meets no change twice.
fn runs_of(planned: &[Planned]) -> Vec<&[Planned]> {
    let mut seen = HashSet::new();
    let mut runs = vec![];
    let mut start = 0;
    for (index, change) in planned.iter().enumerate() {
        let differs = planned[start].earlier != change.earlier;
        if differs || !seen.insert(change.change_id) {
            runs.push(&planned[start..index]);
            start = index;
            seen = HashSet::from([change.change_id]);
        }
    }
    runs.push(&planned[start.min(planned.len())..]);
    runs.retain(|run| !run.is_empty());
    runs
}

/// Drops what an interrupted dry run had planned.
pub fn drop_plan(sync_id: SyncId) -> DbResult<()> {
    let args = [sync_id.into()];
    spi::run("delete from easysync_internal.sync_changes where sync_id = $1", &args)?;
    spi::run(
        "update easysync_internal.sync_run_steps set plan_hash = null, plan_released = false
          where sync_id = $1 and plan_hash is not null",
        &args,
    )?;
    Ok(())
}

/// Does any stream push at all? Where none does nothing is noted: nobody would read it.
pub fn hub_is_pushed() -> DbResult<bool> {
    let pushed: Option<bool> = spi::one(
        "select exists (select from easysync_internal.streams where direction in ('push', 'two_way'))",
        &[],
    )?;
    Ok(pushed.unwrap_or(false))
}

/// Notes documents of a hub as changed.
pub fn note_changes(
    schema: &str,
    entity: &str,
    operation: &str,
    tenants: Vec<Option<String>>,
    ids: Vec<Option<i64>>,
) -> DbResult<()> {
    let origin = super::change_origin();
    let args = [
        schema.into(),
        entity.into(),
        operation.into(),
        origin.as_deref().into(),
        Arg::Texts(tenants),
        Arg::Ints(ids),
    ];
    spi::run(
        "insert into easysync_internal.hub_changes (tenant_id, hub_schema, entity, hub_id, operation, origin)
         select u.tenant_id, $1, $2, u.id, $3, $4
           from unnest($5::text[], $6::bigint[]) as u (tenant_id, id)",
        &args,
    )?;
    Ok(())
}

/// Notes that a table of a hub was emptied.
pub fn note_truncate(schema: &str, entity: &str) -> DbResult<()> {
    let origin = super::change_origin();
    spi::run(
        "insert into easysync_internal.hub_changes (tenant_id, hub_schema, entity, hub_id, operation, origin)
         values (null, $1, $2, null, 'truncate', $3)",
        &[schema.into(), entity.into(), origin.as_deref().into()],
    )?;
    Ok(())
}
