//! What is gone on the platform: the row stays here with `deleted_at`, unless the stream says
//! otherwise.

use super::journal::{HubRow, Journal};
use crate::error::{DbError, DbResult};
use crate::host;
use crate::store::diff::{self, add_line, locking};
use crate::store::hub::{Hub, Relation};
use crate::store::look::RowState;
use crate::store::rows::{References, Target};
use crate::store::spi::{self, Arg, required};
use engine::model::{ColumnKind, Entity, Presence, Record, Related, TableId, label_column};
use engine::plan::Action;
use engine::store::{Counts, DeletePolicy, Stream};

/// Records of the stream that the platform says are gone.
pub fn write(
    hub: &mut Hub,
    stream: &Stream,
    ids: &[String],
    counts: &mut Counts,
    journal: &mut Journal<'_>,
) -> DbResult<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let hub_ids = journal.mark_deleted(stream, stream.entity, ids)?;
    mark_dependents(hub, stream, &hub_ids, journal)?;
    counts.deleted += mark_rows(hub, stream, stream.entity, hub_ids, GONE, journal)?;
    Ok(())
}

/// Why a row is marked, or no longer.
const GONE: &str = "gone on the platform";
const WITH_ANOTHER: &str = "gone with the record it belongs to";
const BACK: &str = "there again with the record it belongs to";

/// Rows, what hangs on them, and by which column.
const DEPENDENTS: [(Entity, Entity, &str); 2] = [
    (Entity::Products, Entity::Products, "parent_id"),
    (Entity::Orders, Entity::Refunds, "order_id"),
];

/// What hangs on a record is gone with it: no list shows that a product's variations are.
fn mark_dependents(
    hub: &mut Hub,
    stream: &Stream,
    hub_ids: &[i64],
    journal: &mut Journal<'_>,
) -> DbResult<()> {
    for (_, entity, column) in DEPENDENTS.iter().filter(|(on, ..)| *on == stream.entity) {
        let ids = present_on(hub, stream, hub_ids, *entity, column, &[], journal)?;
        if !ids.is_empty() {
            let dependents = journal.mark_deleted(stream, *entity, &ids)?;
            mark_rows(hub, stream, *entity, dependents, WITH_ANOTHER, journal)?;
        }
    }
    Ok(())
}

/// Of records that were there before: who went into the trash takes along what hangs on it, who
/// came out of it brings it back. The platform touches neither refunds nor their dates then.
pub fn follow<'a>(
    hub: &mut Hub,
    stream: &Stream,
    records: impl Iterator<Item = Follower<'a>>,
    journal: &mut Journal<'_>,
) -> DbResult<()> {
    let (mut trashed, mut restored) = (vec![], vec![]);
    for item in records {
        match (item.was_deleted, item.record.presence) {
            (false, Presence::Trashed) => trashed.push(item.hub_id),
            (true, Presence::Live) => restored.push(item),
            _ => {}
        }
    }
    mark_dependents(hub, stream, &trashed, journal)?;
    for item in restored {
        for set in &item.record.related {
            revive(hub, stream, item.hub_id, set, journal)?;
        }
    }
    Ok(())
}

/// A record that has a row here.
pub struct Follower<'a> {
    pub hub_id: i64,
    pub record: &'a Record,
    /// It was marked as gone before.
    pub was_deleted: bool,
}

fn revive(
    hub: &mut Hub,
    stream: &Stream,
    hub_id: i64,
    set: &Related,
    journal: &mut Journal<'_>,
) -> DbResult<()> {
    let hanging = DEPENDENTS.iter().find(|(_, entity, _)| *entity == set.entity);
    let Some((_, entity, column)) = hanging else { return Ok(()) };
    let Some((table, _)) = TableId::of(*entity).filter(|_| !set.remote_ids.is_empty()) else {
        return Ok(());
    };
    let relation = hub.table(table)?;
    let args = [
        stream.connection.tenant.as_str().into(),
        hub_id.into(),
        stream.connection.name.as_str().into(),
        Arg::Texts(set.remote_ids.iter().cloned().map(Some).collect()),
    ];
    let condition = format!(
        "k.tenant_id = $1 and k.{column} = $2 and k.source_connection = $3 and k.source_id = any ($4)"
    );
    let marks = [("deleted_at", TIME, "null::timestamptz"), ("modified_at", TIME, NOW)];
    let marking = Marking { condition: &condition, marks: &marks, gone: true };
    let rows = rows_to_mark(&relation, *entity, &marking, &args, journal)?;
    if rows.is_empty() {
        return Ok(());
    }
    if journal.writes() {
        let sql = format!(
            "update {} as k set deleted_at = null, modified_at = pg_catalog.now()
              where {condition} and k.deleted_at is not null",
            relation.qualified()
        );
        relation.run(&sql, &args)?;
    }
    let back: Vec<String> = rows.iter().map(|row| row.record_id.clone()).collect();
    rows.into_iter().for_each(|row| journal.row(*entity, row, Action::Update, BACK));
    journal.unmark_deleted(stream, *entity, &back)
}

/// Hub rows of an entity that are gone at their source; returns how many that changed.
fn mark_rows(
    hub: &mut Hub,
    stream: &Stream,
    entity: Entity,
    hub_ids: Vec<i64>,
    reason: &str,
    journal: &mut Journal<'_>,
) -> DbResult<u64> {
    let Some((table, _)) = TableId::of(entity).filter(|_| !hub_ids.is_empty()) else {
        return Ok(0);
    };
    if stream.delete_policy == DeletePolicy::Delete
        && let Some(count) = delete_rows(hub, stream, entity, &hub_ids, reason, journal)?
    {
        return Ok(count);
    }
    let relation = hub.table(table)?;
    let args = [
        stream.connection.tenant.as_str().into(),
        Arg::Ints(hub_ids.into_iter().map(Some).collect()),
    ];
    let has_active = table.table().column("active").is_some();
    let inactivate = stream.delete_policy != DeletePolicy::Keep && has_active;
    let mut marks = vec![("deleted_at", TIME, NOW), ("modified_at", TIME, NOW)];
    if inactivate {
        marks.push(("active", ColumnKind::Bool, "false"));
    }
    let condition = "k.tenant_id = $1 and k.id = any ($2)";
    let marking = Marking { condition, marks: &marks, gone: false };
    let rows = rows_to_mark(&relation, entity, &marking, &args, journal)?;
    let mut count = rows.len();
    if journal.writes() {
        let sql = format!(
            "update {} as k set deleted_at = pg_catalog.now(), modified_at = pg_catalog.now(){}
              where {condition} and k.deleted_at is null",
            relation.qualified(),
            if inactivate { ", active = false" } else { "" },
        );
        count = relation.run(&sql, &args)?;
        if count < rows.len() {
            return Err(DbError::swallowed(&relation.qualified(), "UPDATE"));
        }
    }
    rows.into_iter().for_each(|row| journal.row(entity, row, Action::Inactivate, reason));
    Ok(count as u64)
}

const TIME: ColumnKind = ColumnKind::Time;
const NOW: &str = "pg_catalog.now()";

/// What is marked on which rows.
struct Marking<'a> {
    condition: &'a str,
    /// Column, kind and new value.
    marks: &'a [(&'static str, ColumnKind, &'static str)],
    /// Rows that are marked as gone, or those that aren't.
    gone: bool,
}

/// Rows that are about to be marked, with what that changes in them; they stay as they are until
/// then.
fn rows_to_mark(
    relation: &Relation,
    entity: Entity,
    marking: &Marking<'_>,
    args: &[Arg],
    journal: &Journal<'_>,
) -> DbResult<Vec<HubRow>> {
    let writes = journal.writes();
    let values: Vec<String> = marking
        .marks
        .iter()
        .map(|(column, kind, new)| match *new {
            // A plan can't know when it is carried out.
            NOW if !writes => diff::later(column, *kind, &format!("k.{column}")),
            new => diff::compared(column, *kind, &format!("k.{column}"), new),
        })
        .collect();
    let state = if marking.gone { "is not null" } else { "is null" };
    let query = format!(
        "select k.id, coalesce(k.source_id, k.id::text), k.{}, k.deleted_at is not null,
                (select jsonb_object_agg(v.path, jsonb_build_object('old', v.old, 'new', v.new))
                   from (values {}) as v (path, old, new, moved) where v.moved)::text
           from {} as k where {}{} order by k.id{}",
        label_column(entity),
        values.join(", "),
        relation.qualified(),
        marking.condition,
        if writes { format!(" and k.deleted_at {state}") } else { String::new() },
        if writes { " for no key update" } else { "" },
    );
    let sql = locking(query, writes);
    let found = relation.rows(&sql, args, |row| {
        let fields = row.get::<String>(5)?;
        let hub_row = HubRow {
            hub_id: required(row, 1)?,
            record_id: required(row, 2)?,
            called: row.get(3)?,
            fields: diff::parse(fields.as_deref().unwrap_or("{}"))?,
        };
        Ok((hub_row, required::<bool>(row, 4)?))
    })?;
    let is_gone = |row: &HubRow, gone: bool| match journal.row_state(entity, row.hub_id) {
        Some(RowState::Present) => Some(false),
        Some(RowState::Gone) => Some(true),
        Some(RowState::Removed) => None,
        None => Some(gone),
    };
    let wanted = found.into_iter().filter(|(row, gone)| is_gone(row, *gone) == Some(marking.gone));
    Ok(wanted.map(|(row, _)| row).collect())
}

/// Deletes rows with their lines. None: others refer to them, and they stay.
fn delete_rows(
    hub: &mut Hub,
    stream: &Stream,
    entity: Entity,
    hub_ids: &[i64],
    reason: &str,
    journal: &mut Journal<'_>,
) -> DbResult<Option<u64>> {
    let Some((table, _)) = TableId::of(entity) else { return Ok(None) };
    let relation = hub.table(table)?;
    let args = [
        stream.connection.tenant.as_str().into(),
        Arg::Ints(hub_ids.iter().copied().map(Some).collect()),
    ];
    let writes = journal.writes();
    if !writes && is_referred_to(&relation, &args, journal)? {
        return Ok(None);
    }
    let rows = rows_to_delete(hub, stream, entity, hub_ids, writes)?;
    if !writes {
        let count = rows.len();
        rows.into_iter().for_each(|row| journal.row(entity, row, Action::Delete, reason));
        return Ok(Some(count as u64));
    }
    let sql =
        format!("delete from {} where tenant_id = $1 and id = any ($2)", relation.qualified());
    let deleted = host::in_subtransaction(|| relation.run(&sql, &args));
    match deleted {
        Ok(count) if count < rows.len() => Err(DbError::swallowed(&relation.qualified(), "DELETE")),
        Ok(count) => {
            rows.into_iter().for_each(|row| journal.row(entity, row, Action::Delete, reason));
            Ok(Some(count as u64))
        }
        // Others refer to it: it stays, marked.
        Err(error) if error.sqlstate == "23503" => Ok(None),
        Err(error) => Err(error),
    }
}

/// Would a foreign key keep one of the rows? What the plan takes away refers to nothing any more.
fn is_referred_to(relation: &Relation, ids: &[Arg; 2], journal: &Journal<'_>) -> DbResult<bool> {
    let mut removed = serde_json::Map::new();
    for entity in Entity::ALL {
        let (Some((table, _)), Some(overlay)) = (TableId::of(entity), &journal.look) else {
            continue;
        };
        removed.insert(table.table().name.to_owned(), overlay.removed(entity).into());
    }
    let args = [
        relation.schema.as_str().into(),
        relation.name.as_str().into(),
        ids[0].clone(),
        ids[1].clone(),
        Arg::Json(Some(removed.into())),
    ];
    let found =
        spi::one::<bool>("select easysync_internal.is_referred_to($1, $2, $3, $4, $5)", &args)?;
    Ok(found.unwrap_or(true))
}

/// All that rows and their lines hold.
fn rows_to_delete(
    hub: &mut Hub,
    stream: &Stream,
    entity: Entity,
    hub_ids: &[i64],
    lock: bool,
) -> DbResult<Vec<HubRow>> {
    let Some((table, line_table)) = TableId::of(entity) else { return Ok(vec![]) };
    let references = References::default();
    let tenant = stream.connection.tenant.as_str();
    let relation = hub.table(table)?;
    let of = |relation, table: TableId| Target {
        relation,
        table: table.table(),
        tenant,
        connection: stream.connection.name.as_str(),
        references: &references,
    };
    let mut rows: Vec<HubRow> = of(&relation, table)
        .removed(hub_ids, lock)?
        .into_iter()
        .map(|row| HubRow {
            hub_id: row.id,
            record_id: row.source_id.unwrap_or_else(|| row.id.to_string()),
            called: row
                .fields
                .get(label_column(entity))
                .and_then(|value| value["old"].as_str())
                .map(str::to_owned),
            fields: row.fields,
        })
        .collect();
    if let Some(line_table) = line_table {
        let relation = hub.table(line_table)?;
        let target = of(&relation, line_table);
        for line in target.removed(&target.lines_of(hub_ids)?, lock)? {
            let name = line.source_id.unwrap_or_else(|| line.id.to_string());
            if let Some(row) = rows.iter_mut().find(|row| Some(row.hub_id) == line.parent) {
                add_line(&mut row.fields, &name, line.fields);
            }
        }
    }
    Ok(rows)
}

/// "Of this entity, exactly these belong to the record": others that the hub holds for it are gone.
pub fn related<'a>(
    hub: &mut Hub,
    stream: &Stream,
    records: impl Iterator<Item = (i64, &'a Record)>,
    journal: &mut Journal<'_>,
) -> DbResult<()> {
    for (hub_id, record) in records {
        for set in &record.related {
            let hanging = DEPENDENTS.iter().find(|(_, entity, _)| *entity == set.entity);
            let Some((_, entity, column)) = hanging else { continue };
            let missing =
                present_on(hub, stream, &[hub_id], *entity, column, &set.remote_ids, journal)?;
            if !missing.is_empty() {
                let hub_ids = journal.mark_deleted(stream, set.entity, &missing)?;
                mark_rows(hub, stream, set.entity, hub_ids, GONE, journal)?;
            }
        }
    }
    Ok(())
}

/// Source ids of rows of `entity` that hang on hub rows by `column`, came from this connection, are
/// present, and aren't in `except`.
fn present_on(
    hub: &mut Hub,
    stream: &Stream,
    hub_ids: &[i64],
    entity: Entity,
    column: &str,
    except: &[String],
    journal: &Journal<'_>,
) -> DbResult<Vec<String>> {
    let Some((table, _)) = TableId::of(entity).filter(|_| !hub_ids.is_empty()) else {
        return Ok(vec![]);
    };
    let relation = hub.table(table)?;
    let sql = format!(
        "select source_id, id, deleted_at is not null from {}
          where tenant_id = $1 and {column} = any ($2) and source_connection = $3
            and source_id <> all ($4){}",
        relation.qualified(),
        if journal.writes() { " and deleted_at is null" } else { "" },
    );
    let args = [
        stream.connection.tenant.as_str().into(),
        Arg::Ints(hub_ids.iter().copied().map(Some).collect()),
        stream.connection.name.as_str().into(),
        Arg::Texts(except.iter().cloned().map(Some).collect()),
    ];
    let found: Vec<(String, i64, bool)> = relation
        .rows(&sql, &args, |row| Ok((required(row, 1)?, required(row, 2)?, required(row, 3)?)))?;
    let is_present = |id: i64, gone: bool| {
        journal.row_state(entity, id).map_or(!gone, |state| state == RowState::Present)
    };
    Ok(found
        .into_iter()
        .filter(|(_, id, gone)| is_present(*id, *gone))
        .map(|(source, ..)| source)
        .collect())
}
