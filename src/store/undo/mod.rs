//! Taking back what a pull did to the hub: rows get back the values that `sync_changes` kept of
//! them, rows that it made go. What somebody has changed since stays, and says so.

mod restore;

pub use restore::carry_out;

use super::hub::Hub;
use super::row::Row;
use super::spi::{self, Arg, required};
use crate::error::{DbError, DbResult};
use engine::model::{Entity, TableId};
use engine::plan::Action;
use engine::pull::HubChange;
use engine::push::hub_undo::HubReverse;
use engine::push::store::HubPlace;
use engine::store::{Run, Step, SyncId};
use serde_json::{Map, Value, json};

type Fields = Map<String, Value>;

/// Pages of created records are this much larger: all that the run made is listed for each.
const CREATED_PAGES: i32 = 10;

/// `$1` tenant, `$2` connection, `$3` the run, `$4` below this change, `$5` how many.
const CHANGED: &str =
    "select c.change_id, c.entity, c.hub_id, c.record_id, c.label, c.action, c.fields::text
  from easysync_internal.sync_changes as c
 where c.sync_id = $3 and c.tenant_id = $1 and c.connection = $2 and c.direction = 'pull'
   and c.status = 'done' and ($4 is null or c.change_id < $4)
 order by c.change_id desc limit $5";

/// `$1` tenant, `$2` account, `$3` the run, `$4` below this place, `$5` how many.
const CREATED: &str = "select n.place, n.entity, n.hub_id, n.record_id, n.label
  from easysync_internal.created_records($1, $3) as n
 where exists (select from easysync_ledger.links as l
                where l.tenant_id = $1 and l.account = $2 and l.entity = n.entity and l.remote_id = n.record_id)
   and ($4 is null or n.place < $4)
 order by n.place desc limit $5";

/// A page of reverses, and where the next one begins.
pub fn reverses(
    run: &Run,
    step: &Step,
    place: HubPlace,
    limit: i32,
) -> DbResult<Option<(Vec<HubReverse>, HubPlace)>> {
    let undoes = run.undoes.ok_or_else(|| DbError::new("XX000", "it undoes nothing"))?;
    match place {
        HubPlace::Changed(before) => changed(run, step, undoes, before, limit).map(Some),
        HubPlace::Created(before) => created(run, step, undoes, before, limit),
    }
}

fn changed(
    run: &Run,
    step: &Step,
    undoes: SyncId,
    before: Option<i32>,
    limit: i32,
) -> DbResult<(Vec<HubReverse>, HubPlace)> {
    let args = [
        run.tenant.as_str().into(),
        step.stream.connection.name.as_str().into(),
        undoes.into(),
        Arg::Int4(before),
        limit.into(),
    ];
    let found = spi::rows(CHANGED, &args, |row| {
        let fields: String = required(row, 7)?;
        let action: String = required(row, 6)?;
        let change_id: i32 = required(row, 1)?;
        let fields = serde_json::from_str(&fields).map_err(|_| unreadable())?;
        Ok((change_id, head(row, Action::parse(&action).unwrap_or(Action::Skip), fields)?))
    })?;
    let Some((last, _)) = found.last() else {
        return Ok((vec![], HubPlace::Created(None)));
    };
    let next = HubPlace::Changed(Some(*last));
    let mut reverses = vec![];
    for (_, change) in found {
        let is_removed = change.fields.contains_key("id");
        let action = if is_removed { Action::Create } else { Action::Update };
        let reverse = HubChange { action, fields: swapped(&change.fields), ..change };
        let stays = obstacle(run, &reverse)?;
        reverses.push(HubReverse { change: reverse, stays });
    }
    Ok((reverses, next))
}

fn created(
    run: &Run,
    step: &Step,
    undoes: SyncId,
    before: Option<i64>,
    limit: i32,
) -> DbResult<Option<(Vec<HubReverse>, HubPlace)>> {
    let account = step.stream.connection.account.as_str();
    let limit = limit.saturating_mul(CREATED_PAGES);
    let args =
        [run.tenant.as_str().into(), account.into(), undoes.into(), Arg::Int(before), limit.into()];
    let found = spi::rows(CREATED, &args, |row| {
        Ok((required::<i64>(row, 1)?, head(row, Action::Delete, Map::new())?))
    })?;
    let Some((last, _)) = found.last() else { return Ok(None) };
    let next = HubPlace::Created(Some(*last));
    let mut reverses = vec![];
    for (_, change) in found {
        let now = held(run, &change)?.unwrap_or_default();
        let reverse = HubChange { fields: swapped(&now), ..change };
        let stays = match now.is_empty() {
            true => Some(GONE.to_owned()),
            false => held_by(run, &reverse, account, undoes, true)?,
        };
        reverses.push(HubReverse { change: reverse, stays });
    }
    Ok(Some((reverses, next)))
}

const GONE: &str = "it is no longer in the hub";

/// Columns 2 to 5 of a row.
fn head(row: &Row, action: Action, fields: Fields) -> DbResult<HubChange> {
    let word: String = required(row, 2)?;
    let entity = Entity::parse(&word).map_err(|e| DbError::new("22023", e.message))?;
    Ok(HubChange {
        entity,
        hub_id: required(row, 3)?,
        record_id: required(row, 4)?,
        label: row.get::<String>(5)?.unwrap_or_default(),
        target: tables(entity)?.0.table().name,
        action,
        reason: None,
        fields,
    })
}

fn tables(entity: Entity) -> DbResult<(TableId, Option<TableId>)> {
    TableId::of(entity).ok_or_else(|| DbError::new("XX000", format!("{entity} have no table")))
}

fn unreadable() -> DbError {
    DbError::new("XX000", "a change can't be read as it was stored")
}

/// Old and new values, the other way round.
fn swapped(fields: &Fields) -> Fields {
    let swap = |values: &Value| json!({"old": values["new"], "new": values["old"]});
    fields.iter().map(|(path, values)| (path.clone(), swap(values))).collect()
}

/// What the record holds now, as changes show it; None: it is gone.
fn held(run: &Run, change: &HubChange) -> DbResult<Option<Fields>> {
    let args = [run.tenant.as_str().into(), change.entity.as_str().into(), change.hub_id.into()];
    let text: Option<String> =
        spi::one("select easysync_internal.hub_fields($1, $2, $3)::text", &args)?;
    text.map(|text| serde_json::from_str(&text).map_err(|_| unreadable())).transpose()
}

/// Why a changed row has to stay: it no longer is as the run left it.
fn obstacle(run: &Run, reverse: &HubChange) -> DbResult<Option<String>> {
    let now = held(run, reverse)?;
    let now = match (now, reverse.action) {
        (Some(_), Action::Create) => return Ok(Some("it is in the hub again".into())),
        (None, Action::Create) => return Ok(None),
        (None, _) => return Ok(Some(GONE.to_owned())),
        (Some(now), _) => now,
    };
    let moved = |(path, values): &(&String, &Value)| {
        let is = now.get(*path).map(|shown| &shown["new"]).unwrap_or(&Value::Null);
        // Lines that went are told by what they held; what isn't shown is empty.
        !path.starts_with("refunds[") && !is_line_id(path) && !is_equal(is, &values["old"])
    };
    let moved: Vec<&str> =
        reverse.fields.iter().filter(moved).map(|(path, _)| path.as_str()).take(5).collect();
    Ok((!moved.is_empty()).then(|| format!("it was changed here since: {}", moved.join(", "))))
}

/// The key of a line that was removed: no change shows the ids of lines that are there.
fn is_line_id(path: &str) -> bool {
    path.starts_with("lines[") && path.ends_with("].id")
}

/// Null, `{}` and `[]` are one: changes of what is there leave them out.
fn is_equal(is: &Value, was: &Value) -> bool {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    is == was || is_empty(is) && is_empty(was)
}

/// Documents of another account that were made of the row: neither taken back by now, nor (`$6`) made
/// by the run `$5`, which is about to be undone.
const ELSEWHERE: &str = "select l.remote_type || ' ' || coalesce(l.remote_number, l.remote_id)
  from easysync_ledger.links as l
 where l.tenant_id = $1 and l.entity = $2 and l.hub_id = $3 and l.account <> $4 and l.deleted_at is null
   and not coalesce((select k.action in ('void', 'delete', 'inactivate')
                            or $6 and k.sync_id = $5 and k.action = 'create' and not k.found
                       from easysync_internal.sync_changes as k
                      where k.entity = l.entity and k.hub_id = l.hub_id and k.direction = 'push'
                        and k.remote_id = l.remote_id and k.target = l.remote_type and k.status = 'done'
                        and k.action <> 'skip'
                      order by k.sync_id desc, k.change_id desc limit 1), false)
 order by 1 limit 1";

/// Why a row that the run made has to stay. `planned`: documents that the run made count as taken
/// back.
fn held_by(
    run: &Run,
    reverse: &HubChange,
    account: &str,
    undoes: SyncId,
    planned: bool,
) -> DbResult<Option<String>> {
    match elsewhere(run, reverse, account, undoes, planned)? {
        Some(name) => Ok(Some(format!("{name} was made of it, and stays"))),
        None => touched(run, reverse, account),
    }
}

fn elsewhere(
    run: &Run,
    reverse: &HubChange,
    account: &str,
    undoes: SyncId,
    planned: bool,
) -> DbResult<Option<String>> {
    let args = [
        run.tenant.as_str().into(),
        reverse.entity.as_str().into(),
        reverse.hub_id.into(),
        account.into(),
        undoes.into(),
        Arg::Bool(Some(planned)),
    ];
    spi::one(ELSEWHERE, &args)
}

/// A row and its link were written by one transaction; whoever writes to the row later leaves a
/// mark on it, and so does a later sync on the link.
fn touched(run: &Run, reverse: &HubChange, account: &str) -> DbResult<Option<String>> {
    let (tenant, id): (Arg, Arg) = (run.tenant.as_str().into(), reverse.hub_id.into());
    let relation = hub(run)?.table(tables(reverse.entity)?.0)?;
    let sql = format!(
        "select h.xmin::text from {} as h where h.tenant_id = $1 and h.id = $2",
        relation.qualified()
    );
    let args = [tenant.clone(), id];
    let row = relation.rows(&sql, &args, |row| required::<String>(row, 1))?.into_iter().next();
    let link: Option<String> = spi::one(
        "select l.xmin::text from easysync_ledger.links as l
          where l.tenant_id = $1 and l.account = $2 and l.entity = $3 and l.remote_id = $4",
        &[
            tenant,
            account.into(),
            reverse.entity.as_str().into(),
            reverse.record_id.as_str().into(),
        ],
    )?;
    Ok((row != link).then(|| "it was changed since it was made".to_owned()))
}

fn hub(run: &Run) -> DbResult<Hub> {
    Hub::of_tenant(run.tenant.as_str())
}
