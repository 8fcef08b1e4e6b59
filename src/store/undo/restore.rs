//! Carries out what undoes a pull: each row for itself, read again before it is written.

use super::{Fields, head, held_by, hub, obstacle, tables, unreadable};
use crate::error::{DbError, DbResult};
use crate::host;
use crate::store::hub::{Hub, Relation};
use crate::store::row::Row;
use crate::store::spi::{self, Arg, required};
use engine::model::TableId;
use engine::plan::Action;
use engine::pull::HubChange;
use engine::store::{Run, Step};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Planned reverses. `$1` run, `$2` step, `$3` how many.
const PLANNED: &str =
    "select c.change_id, c.entity, c.hub_id, c.record_id, c.label, c.action, c.fields::text
  from easysync_internal.sync_changes as c
 where c.sync_id = $1 and c.step = $2 and c.status = 'planned'
 order by c.change_id limit $3";

const ENDED: &str = "update easysync_internal.sync_changes
    set status = $3, payload = null, finished_at = pg_catalog.clock_timestamp(),
        remote_id = case $3 when 'done' then record_id end,
        error_category = $4, error_code = $5, error_message = $6, error_hint = $7,
        error_detail = $8
  where sync_id = $1 and change_id = $2";

/// Carries out planned reverses; how many. One that this database refuses has failed by itself.
pub fn carry_out(run: &Run, step: &Step, limit: i32) -> DbResult<usize> {
    let args = [run.sync_id.into(), step.step.into(), limit.into()];
    let planned = spi::rows(PLANNED, &args, |row| {
        let (action, fields): (String, String) = (required(row, 6)?, required(row, 7)?);
        let fields = serde_json::from_str(&fields).map_err(|_| unreadable())?;
        let action = Action::parse(&action).ok_or_else(unreadable)?;
        Ok((required::<i32>(row, 1)?, head(row, action, fields)?))
    })?;
    let mut hub = hub(run)?;
    for (change_id, reverse) in &planned {
        let result = host::in_subtransaction(|| {
            let moved = restore(&mut hub, run, step, reverse)?;
            host::settle()?;
            Ok(moved)
        });
        let (status, error) = match result {
            Ok(None) => ("done", None),
            Ok(Some(why)) => ("failed", Some(("changed_since".to_owned(), why, None))),
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => {
                let code = error.sqlstate.clone();
                let error = engine::Error::from(error);
                ("failed", Some((code, error.message, error.said)))
            }
        };
        let hint = error.is_some().then_some(
            "It stays as it is. See what refers to it or changed it, then undo the sync again.",
        );
        let args = [
            run.sync_id.into(),
            (*change_id).into(),
            status.into(),
            error.is_some().then_some("conflict").into(),
            error.as_ref().map(|(code, ..)| code.as_str()).into(),
            error.as_ref().map(|(_, message, _)| engine::mask::text(message)).as_deref().into(),
            hint.into(),
            error.as_ref().and_then(|(.., said)| said.as_deref()).into(),
        ];
        spi::run(ENDED, &args)?;
    }
    audit(run, step, planned.iter().map(|(change_id, _)| Some(i64::from(*change_id))).collect())?;
    Ok(planned.len())
}

/// Rows that went are in the audit log, as what is destroyed on a platform.
fn audit(run: &Run, step: &Step, changes: Vec<Option<i64>>) -> DbResult<()> {
    let args = [
        run.sync_id.into(),
        run.tenant.as_str().into(),
        step.stream.connection.account.as_str().into(),
        Arg::Ints(changes),
    ];
    let audit =
        "select easysync_internal.audit_destructive($1, $2, $3, null, $4::integer[], 'done')";
    spi::run(audit, &args).map(|_| ())
}

/// None: done. Else why it stays: it moved since it was planned.
fn restore(hub: &mut Hub, run: &Run, step: &Step, reverse: &HubChange) -> DbResult<Option<String>> {
    let account = step.stream.connection.account.as_str();
    let (table, lines) = tables(reverse.entity)?;
    let relation = hub.table(table)?;
    lock(&relation, run, reverse)?;
    let undoes = run.undoes.unwrap_or_default();
    let moved = match reverse.action {
        Action::Delete => held_by(run, reverse, account, undoes, false)?,
        _ => obstacle(run, reverse)?,
    };
    if moved.is_some() {
        return Ok(moved);
    }
    let lines = lines.map(|table| Ok::<_, DbError>((hub.table(table)?, table))).transpose()?;
    match reverse.action {
        Action::Delete => remove(run, reverse, account, &relation, lines.as_ref())?,
        _ => put_back(hub, run, reverse, &relation, lines.as_ref())?,
    }
    Ok(None)
}

fn lock(relation: &Relation, run: &Run, reverse: &HubChange) -> DbResult<()> {
    let sql = format!(
        "with found as (select h.id from {} as h where h.tenant_id = $1 and h.id = $2 for update)
         select id from found",
        relation.qualified()
    );
    let args = [run.tenant.as_str().into(), reverse.hub_id.into()];
    relation.run(&sql, &args).map(|_| ())
}

fn remove(
    run: &Run,
    reverse: &HubChange,
    account: &str,
    relation: &Relation,
    lines: Option<&(Relation, TableId)>,
) -> DbResult<()> {
    let args = [run.tenant.as_str().into(), reverse.hub_id.into()];
    if let Some((lines, table)) = lines
        && let Some(parent) = table.table().parent_column
    {
        let sql =
            format!("delete from {} where tenant_id = $1 and {parent} = $2", lines.qualified());
        lines.run(&sql, &args)?;
    }
    let sql = format!("delete from {} where tenant_id = $1 and id = $2", relation.qualified());
    relation.run(&sql, &args)?;
    spi::run(
        "delete from easysync_ledger.links
          where tenant_id = $1 and account = $2 and entity = $3 and remote_id = $4",
        &[
            run.tenant.as_str().into(),
            account.into(),
            reverse.entity.as_str().into(),
            reverse.record_id.as_str().into(),
        ],
    )?;
    Ok(())
}

/// Where a field is: the row itself, one of its lines, or a refund's line that spoke of one.
enum At<'a> {
    Row(&'a str),
    Line(&'a str, &'a str),
    RefundLine(&'a str, &'a str),
}

fn at(path: &str) -> Option<At<'_>> {
    if let Some(rest) = path.strip_prefix("refunds[") {
        let rest = rest.strip_suffix("].order_line_id")?;
        return rest.split_once("].lines[").map(|(refund, line)| At::RefundLine(refund, line));
    }
    match path.strip_prefix("lines[") {
        Some(rest) => rest.rsplit_once("].").map(|(line, column)| At::Line(line, column)),
        None => Some(At::Row(path)),
    }
}

fn put_back(
    hub: &mut Hub,
    run: &Run,
    reverse: &HubChange,
    relation: &Relation,
    lines: Option<&(Relation, TableId)>,
) -> DbResult<()> {
    let mut own = Map::new();
    let mut of_lines: BTreeMap<&str, (Fields, Fields)> = BTreeMap::new();
    let mut refund_lines = vec![];
    for (path, values) in &reverse.fields {
        let new = values["new"].clone();
        match at(path).ok_or_else(unreadable)? {
            At::Row(column) => drop(own.insert(column.into(), new)),
            At::Line(line, column) => {
                let (was, is) = of_lines.entry(line).or_default();
                was.insert(column.into(), values["old"].clone());
                is.insert(column.into(), new);
            }
            At::RefundLine(refund, line) => refund_lines.push((refund, line, new)),
        }
    }
    let tenant = run.tenant.as_str();
    if reverse.action == Action::Create {
        insert(relation, tenant, own)?;
    } else if !own.is_empty() {
        let args = [tenant.into(), reverse.hub_id.into()];
        update(relation, "t.tenant_id = $1 and t.id = $2", &args, own)?;
    }
    let Some((lines, table)) = lines else { return Ok(()) };
    let parent = table.table().parent_column.unwrap_or("id");
    for (line, (was, mut is)) in of_lines {
        let args = [tenant.into(), reverse.hub_id.into(), line.into()];
        let found = format!(
            "t.tenant_id = $1 and t.{parent} = $2 and coalesce(t.source_id, t.id::text) = $3"
        );
        if is.get("id").is_some_and(|id| !id.is_null()) {
            is.insert(parent.into(), reverse.hub_id.into());
            insert(lines, tenant, is)?;
        } else if is.values().all(Value::is_null) && was.contains_key("source_id") {
            let sql = format!("delete from {} as t where {found}", lines.qualified());
            lines.run(&sql, &args)?;
        } else {
            update(lines, &found, &args, is)?;
        }
    }
    for (refund, line, id) in refund_lines {
        speak_again(hub, tenant, (refund, line), &id)?;
    }
    Ok(())
}

/// A refund's line speaks of the order's line again that it let go of.
fn speak_again(
    hub: &mut Hub,
    tenant: &str,
    (refund, line): (&str, &str),
    order_line: &Value,
) -> DbResult<()> {
    let (lines, refunds) = (hub.table(TableId::RefundLines)?, hub.table(TableId::Refunds)?);
    let sql = format!(
        "update {} as l set order_line_id = $4
           from {} as r
          where r.tenant_id = $1 and coalesce(r.source_id, r.id::text) = $2 and l.tenant_id = r.tenant_id
            and l.refund_id = r.id and coalesce(l.source_id, l.id::text) = $3 and l.order_line_id is null",
        lines.qualified(),
        refunds.qualified()
    );
    let args = [tenant.into(), refund.into(), line.into(), Arg::Int(order_line.as_i64())];
    lines.run(&sql, &args).map(|_| ())
}

fn quoted(columns: &Fields, of: &str) -> String {
    let name = |name: &String| format!("{of}\"{}\"", name.replace('"', "\"\""));
    columns.keys().map(name).collect::<Vec<_>>().join(", ")
}

/// The database reads the values as its own types.
fn update(relation: &Relation, found: &str, args: &[Arg], columns: Fields) -> DbResult<()> {
    let sql = format!(
        "update {table} as t set ({names}) = (select {values}
           from pg_catalog.jsonb_populate_record(null::{table}, ${place}) as r) where {found} returning t.id",
        table = relation.qualified(),
        names = quoted(&columns, ""),
        values = quoted(&columns, "r."),
        place = args.len() + 1,
    );
    let mut args = args.to_vec();
    args.push(Arg::Json(Some(Value::Object(columns))));
    let read = |row: &Row| required::<i64>(row, 1);
    let touched = relation.rows(&sql, &args, read)?;
    match touched.len() {
        1 => Ok(()),
        _ => Err(DbError::new("P0002", "a row that was changed is no longer there")),
    }
}

fn insert(relation: &Relation, tenant: &str, mut columns: Fields) -> DbResult<()> {
    columns.retain(|_, value| !value.is_null());
    columns.insert("tenant_id".into(), tenant.into());
    let sql = format!(
        "insert into {table} ({names}) overriding system value
         select {values} from pg_catalog.jsonb_populate_record(null::{table}, $1) as r",
        table = relation.qualified(),
        names = quoted(&columns, ""),
        values = quoted(&columns, "r."),
    );
    let args = [Arg::Json(Some(Value::Object(columns)))];
    relation.run(&sql, &args).map(|_| ())
}
