//! What pulls change in the hub, into `sync_changes`. New records aren't written there: their links
//! say which sync made them, and the view shows them from there.

use super::spi::{self, Arg};
use super::steps::stream_args;
use crate::error::DbResult;
use engine::pull::HubChange;
use engine::store::PageWrite;
use serde_json::{Value, json};

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
        "label": change.label,
        "target": change.target,
        "action": change.action.as_str(),
        "destructive": change.is_destructive(),
        "reason": change.reason,
        "fields": change.fields,
    })
}
