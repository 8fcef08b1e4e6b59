//! What an earlier run wrote to an account, for the run that takes it back.

use super::rows::{self, entity, unreadable};
use crate::error::DbResult;
use crate::store::row::Row;
use crate::store::spi::required;
use engine::plan::Action;
use engine::push::undo::{Done, Kept};
use serde_json::{Map, Value};

/// `$1` tenant, `$2` connection, `$3` account, `$4` the run, `$5` below this change, `$6` how many.
/// Records that a later run has written to are known by `sync_changes_of_row`.
pub const DONE: &str = "select c.change_id, c.entity, c.hub_id, c.record_id, c.label, c.target, c.action,
       c.fields::text, c.depends_on, case when c.status <> 'unknown' then c.remote_id end, c.found,
       c.before_agreed, c.before_raw, l.agreed, l.raw,
       (select pg_catalog.jsonb_build_object('entity', l.entity, 'hub_id', l.hub_id,
               'remote_type', l.remote_type, 'remote_id', l.remote_id, 'remote_number', l.remote_number,
               'version', l.remote_version, 'revision', l.revision, 'agreed', l.agreed,
               'deleted', l.deleted_at is not null)::text where l.remote_id is not null),
       k.sync_id, k.is_undo
  from easysync_internal.sync_changes as c
  left join easysync_ledger.links as l
    on l.tenant_id = $1 and l.account = $3 and l.entity = c.entity and l.remote_id = c.remote_id
  left join lateral (
        select k.sync_id, r.undoes is not distinct from $4 as is_undo
          from easysync_internal.sync_changes as k
          left join easysync_internal.sync_runs as r on r.sync_id = k.sync_id
         where k.entity = c.entity and k.hub_id = c.hub_id and k.sync_id > $4 and k.tenant_id = $1
           and k.connection = $2 and k.direction = 'push' and k.remote_id = c.remote_id
           and k.target = c.target and k.status = 'done' and k.action <> 'skip'
         order by k.sync_id limit 1) as k on true
 where c.sync_id = $4 and c.tenant_id = $1 and c.connection = $2 and c.direction = 'push'
   and c.action <> 'skip' and (c.remote_id is not null and c.status in ('done', 'failed') or c.status = 'unknown')
   and ($5 is null or c.change_id < $5)
 order by c.change_id desc limit $6";

pub fn done(row: &Row) -> DbResult<Done> {
    let word: String = required(row, 2)?;
    let action: String = required(row, 7)?;
    let fields: String = required(row, 8)?;
    let fields: Map<String, Value> =
        serde_json::from_str(&fields).map_err(|_| unreadable("fields"))?;
    let depends_on = row.get::<Vec<Option<i32>>>(9)?.unwrap_or_default();
    let link: Option<Value> =
        row.get::<String>(16)?.and_then(|text| serde_json::from_str(&text).ok());
    let later: Option<i64> = row.get(17)?;
    let is_undo = row.get::<bool>(18)?.unwrap_or(false);
    Ok(Done {
        change_id: required(row, 1)?,
        entity: entity(&word)?,
        hub_id: row.get::<i64>(3)?.unwrap_or_default(),
        record_id: required(row, 4)?,
        label: row.get::<String>(5)?.unwrap_or_default(),
        target: required(row, 6)?,
        action: Action::parse(&action).ok_or_else(|| unreadable("an action"))?,
        fields,
        depends_on: depends_on.into_iter().flatten().collect(),
        remote_id: row.get(10)?,
        found: required(row, 11)?,
        before: kept(row.get(12)?, row.get(13)?),
        now: kept(row.get(14)?, row.get(15)?),
        link: link.as_ref().and_then(rows::link),
        later: later.map(|sync| (sync, is_undo)),
    })
}

/// Both texts as they were stored.
fn kept(agreed: Option<String>, raw: Option<String>) -> Option<Kept> {
    Some(Kept {
        agreed: serde_json::from_str(&agreed?).ok()?,
        record: serde_json::from_str(&raw?).ok()?,
    })
}
