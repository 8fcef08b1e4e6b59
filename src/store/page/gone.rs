//! What is gone on the platform: the row stays here with `deleted_at`, unless the stream says
//! otherwise.

use crate::error::DbResult;
use crate::host;
use crate::store::links;
use crate::store::lookup::Hub;
use crate::store::spi::{self, Arg, required};
use engine::model::{Entity, Presence, Record, Related, TableId};
use engine::store::{Counts, DeletePolicy, PageWrite, Stream};

/// Records of the page that the platform says are gone.
pub fn write(hub: &mut Hub, page: &PageWrite, counts: &mut Counts) -> DbResult<()> {
    if page.gone.is_empty() {
        return Ok(());
    }
    let stream = &page.stream;
    let hub_ids = links::mark_deleted(stream, stream.entity, &page.gone)?;
    mark_dependents(hub, stream, &hub_ids)?;
    counts.deleted += mark_rows(hub, stream, stream.entity, hub_ids)?;
    Ok(())
}

/// Rows, what hangs on them, and by which column.
const DEPENDENTS: [(Entity, Entity, &str); 2] = [
    (Entity::Products, Entity::Products, "parent_id"),
    (Entity::Orders, Entity::Refunds, "order_id"),
];

/// What hangs on a record is gone with it: no list shows that a product's variations are.
fn mark_dependents(hub: &mut Hub, stream: &Stream, hub_ids: &[i64]) -> DbResult<()> {
    for (_, entity, column) in DEPENDENTS.iter().filter(|(on, ..)| *on == stream.entity) {
        let ids = present_on(hub, stream, hub_ids, *entity, column, &[])?;
        if !ids.is_empty() {
            let dependents = links::mark_deleted(stream, *entity, &ids)?;
            mark_rows(hub, stream, *entity, dependents)?;
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
) -> DbResult<()> {
    let (mut trashed, mut restored) = (vec![], vec![]);
    for item in records {
        match (item.was_deleted, item.record.presence) {
            (false, Presence::Trashed) => trashed.push(item.hub_id),
            (true, Presence::Live) => restored.push(item),
            _ => {}
        }
    }
    mark_dependents(hub, stream, &trashed)?;
    for item in restored {
        for set in &item.record.related {
            revive(hub, stream, item.hub_id, set)?;
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

fn revive(hub: &mut Hub, stream: &Stream, hub_id: i64, set: &Related) -> DbResult<()> {
    let hanging = DEPENDENTS.iter().find(|(_, entity, _)| *entity == set.entity);
    let Some((_, entity, column)) = hanging else { return Ok(()) };
    let Some((table, _)) = TableId::of(*entity).filter(|_| !set.remote_ids.is_empty()) else {
        return Ok(());
    };
    let relation = hub.table(table)?;
    let sql = format!(
        "update {} set deleted_at = null, modified_at = pg_catalog.now()
          where tenant_id = $1 and {column} = $2 and source_connection = $3
            and deleted_at is not null and source_id = any ($4)
      returning source_id",
        relation.qualified()
    );
    let args = [
        stream.connection.tenant.as_str().into(),
        hub_id.into(),
        stream.connection.name.as_str().into(),
        Arg::Texts(set.remote_ids.iter().cloned().map(Some).collect()),
    ];
    let back: Vec<String> =
        host::as_role(relation.owner, || spi::rows(&sql, &args, |row| required(row, 1)))?;
    links::unmark_deleted(stream, *entity, &back)
}

/// Hub rows of an entity that are gone at their source; returns how many that changed.
fn mark_rows(hub: &mut Hub, stream: &Stream, entity: Entity, hub_ids: Vec<i64>) -> DbResult<u64> {
    let Some((table, _)) = TableId::of(entity).filter(|_| !hub_ids.is_empty()) else {
        return Ok(0);
    };
    let relation = hub.table(table)?;
    let tenant = stream.connection.tenant.as_str();
    let args = [tenant.into(), Arg::Ints(hub_ids.into_iter().map(Some).collect())];
    if stream.delete_policy == DeletePolicy::Delete {
        let sql =
            format!("delete from {} where tenant_id = $1 and id = any ($2)", relation.qualified());
        let deleted =
            host::in_subtransaction(|| host::as_role(relation.owner, || spi::run(&sql, &args)));
        match deleted {
            Ok(count) => return Ok(count as u64),
            // Others refer to it: it stays, marked.
            Err(error) if error.sqlstate == "23503" => {}
            Err(error) => return Err(error),
        }
    }
    let has_active = table.table().column("active").is_some();
    let inactivate = stream.delete_policy != DeletePolicy::Keep && has_active;
    let sql = format!(
        "update {} set deleted_at = pg_catalog.now(), modified_at = pg_catalog.now(){}
          where tenant_id = $1 and id = any ($2) and deleted_at is null",
        relation.qualified(),
        if inactivate { ", active = false" } else { "" },
    );
    let count = host::as_role(relation.owner, || spi::run(&sql, &args))?;
    Ok(count as u64)
}

/// "Of this entity, exactly these belong to the record": others that the hub holds for it are gone.
pub fn related<'a>(
    hub: &mut Hub,
    stream: &Stream,
    records: impl Iterator<Item = (i64, &'a Record)>,
) -> DbResult<()> {
    for (hub_id, record) in records {
        for set in &record.related {
            let hanging = DEPENDENTS.iter().find(|(_, entity, _)| *entity == set.entity);
            let Some((_, entity, column)) = hanging else { continue };
            let missing = present_on(hub, stream, &[hub_id], *entity, column, &set.remote_ids)?;
            if !missing.is_empty() {
                let hub_ids = links::mark_deleted(stream, set.entity, &missing)?;
                mark_rows(hub, stream, set.entity, hub_ids)?;
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
) -> DbResult<Vec<String>> {
    let Some((table, _)) = TableId::of(entity).filter(|_| !hub_ids.is_empty()) else {
        return Ok(vec![]);
    };
    let relation = hub.table(table)?;
    let sql = format!(
        "select source_id from {}
          where tenant_id = $1 and {column} = any ($2) and source_connection = $3
            and deleted_at is null and source_id <> all ($4)",
        relation.qualified()
    );
    let args = [
        stream.connection.tenant.as_str().into(),
        Arg::Ints(hub_ids.iter().copied().map(Some).collect()),
        stream.connection.name.as_str().into(),
        Arg::Texts(except.iter().cloned().map(Some).collect()),
    ];
    spi::rows(&sql, &args, |row| required(row, 1))
}
