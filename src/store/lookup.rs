//! What references in a page point at.

use super::hub::Hub;
use super::links;
use super::spi::{self, Arg, required};
use crate::error::DbResult;
use engine::model::{Entity, TableId};
use engine::store::Stream;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

type Key = (String, String, Entity, String);

thread_local! {
    /// Hub ids by tenant, account, entity and remote id: products of lines come again and again.
    static KNOWN: RefCell<HashMap<Key, i64>> = RefCell::default();
}

/// References remembered at most (about 10 MB).
const MOST_KNOWN: usize = 50_000;

/// Forgets everything: after an error nobody knows what was rolled back.
pub fn forget() {
    KNOWN.with_borrow_mut(HashMap::clear);
}

/// Hub ids of remote records; those that the hub doesn't have are left out.
pub fn references(
    hub: &mut Hub,
    stream: &Stream,
    entity: Entity,
    ids: Vec<String>,
) -> DbResult<HashMap<String, i64>> {
    let connection = &stream.connection;
    let key = |id: &str| -> Key {
        (connection.tenant.0.clone(), connection.account.clone(), entity, id.to_owned())
    };
    let mut found = HashMap::with_capacity(ids.len());
    let mut unknown = vec![];
    KNOWN.with_borrow(|known| {
        for id in ids {
            match known.get(&key(&id)) {
                Some(hub_id) => {
                    found.insert(id, *hub_id);
                }
                None => unknown.push(id),
            }
        }
    });
    if unknown.is_empty() {
        return Ok(found);
    }
    let Some((table, _)) = TableId::of(entity) else { return Ok(found) };
    let mut args = links::key_args(stream, entity);
    args.push(Arg::Texts(unknown.into_iter().map(Some).collect()));
    let linked = spi::rows(
        "select u.remote_id, l.hub_id
           from pg_catalog.unnest($4::text[]) as u (remote_id)
          cross join lateral (select k.hub_id from easysync_ledger.links k
                               where k.tenant_id = $1 and k.account = $2 and k.entity = $3
                                 and k.remote_id = u.remote_id offset 0) as l
          where l.hub_id is not null",
        &args,
        |row| Ok((required::<String>(row, 1)?, required::<i64>(row, 2)?)),
    )?;
    // The hub's row may have been deleted here, by a person.
    let present =
        present(hub, table, connection.tenant.as_str(), linked.iter().map(|(_, id)| *id))?;
    let rows: Vec<(String, i64)> =
        linked.into_iter().filter(|(_, hub_id)| present.contains(hub_id)).collect();
    KNOWN.with_borrow_mut(|known| {
        if known.len() + rows.len() > MOST_KNOWN {
            known.clear();
        }
        for (id, hub_id) in &rows {
            known.insert(key(id), *hub_id);
        }
    });
    found.extend(rows);
    Ok(found)
}

/// Of hub ids, those that have a row. Uses the primary key, as [`references`].
pub fn present(
    hub: &mut Hub,
    table: TableId,
    tenant: &str,
    ids: impl Iterator<Item = i64>,
) -> DbResult<HashSet<i64>> {
    let ids: Vec<Option<i64>> = ids.map(Some).collect();
    if ids.is_empty() {
        return Ok(HashSet::new());
    }
    let relation = hub.table(table)?;
    let sql = format!(
        "select h.id from pg_catalog.unnest($2::bigint[]) as u (id)
          cross join lateral (select k.id from {} k
                               where k.tenant_id = $1 and k.id = u.id offset 0) as h",
        relation.qualified()
    );
    let args = [tenant.into(), Arg::Ints(ids)];
    let rows = relation.rows(&sql, &args, |row| required::<i64>(row, 1))?;
    Ok(rows.into_iter().collect())
}

/// Of `ids`, those that have no hub row, where the entity's stream is pulled at all.
pub fn missing(stream: &Stream, entity: Entity, ids: &[String]) -> DbResult<Vec<String>> {
    if ids.is_empty() {
        return Ok(vec![]);
    }
    let pulled: Option<bool> = spi::one(
        "select exists (select from easysync_internal.streams
                         where tenant_id = $1 and connection = $2 and entity = $3
                           and direction in ('pull', 'two_way'))",
        &[
            stream.connection.tenant.as_str().into(),
            stream.connection.name.as_str().into(),
            entity.as_str().into(),
        ],
    )?;
    if pulled != Some(true) {
        return Ok(vec![]);
    }
    let keys: Vec<&str> = ids.iter().map(String::as_str).collect();
    let found = links::lookup(stream, entity, &keys)?;
    let is_missing = |link: &Option<links::Link>| link.as_ref().is_none_or(|l| l.hub_id.is_none());
    Ok(ids
        .iter()
        .zip(&found)
        .filter(|(_, link)| is_missing(link))
        .map(|(id, _)| id.clone())
        .collect())
}
