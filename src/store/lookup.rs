//! The hub's tables of a tenant, and what references in a page point at.

use super::links;
use super::spi::{self, Arg, required};
use crate::error::{DbError, DbResult};
use engine::model::{Entity, TableId};
use engine::store::Stream;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;

/// A table as the store writes it.
#[derive(Debug, Clone)]
pub struct Relation {
    pub oid: pg_sys::Oid,
    /// Its owner: hub tables are written with the owner's rights.
    pub owner: pg_sys::Oid,
    pub schema: String,
    pub name: String,
}

impl Relation {
    pub fn qualified(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    /// May rows be copied in by the door that asks for no right? Privileges and row security are
    /// asked for here instead.
    pub fn may_copy(&self) -> DbResult<bool> {
        unsafe {
            let allowed = pg_sys::pg_class_aclcheck(self.oid, self.owner, pg_sys::ACL_INSERT as _);
            if allowed != pg_sys::AclResult::ACLCHECK_OK {
                return Err(DbError::new(
                    "42501",
                    format!("the owner of {} may not insert into it", self.qualified()),
                ));
            }
            // 0: RLS_NONE
            Ok(pg_sys::check_enable_rls(self.oid, self.owner, true) == 0)
        }
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table by its name.
pub fn relation(schema: &str, name: &str) -> DbResult<Relation> {
    let missing = || {
        DbError::new(
            "42P01",
            format!("table {schema}.{name} is missing: call easysync.create_hub('{schema}')"),
        )
    };
    let (c_schema, c_name) = match (CString::new(schema), CString::new(name)) {
        (Ok(schema), Ok(name)) => (schema, name),
        _ => return Err(missing()),
    };
    unsafe {
        let namespace = pg_sys::get_namespace_oid(c_schema.as_ptr(), true);
        let oid = pg_sys::get_relname_relid(c_name.as_ptr(), namespace);
        if oid == pg_sys::InvalidOid {
            return Err(missing());
        }
        let open = pg_sys::try_relation_open(oid, pg_sys::AccessShareLock as i32);
        if open.is_null() {
            return Err(missing());
        }
        let owner = (*(*open).rd_rel).relowner;
        pg_sys::relation_close(open, pg_sys::NoLock as i32);
        Ok(Relation { oid, owner, schema: schema.to_owned(), name: name.to_owned() })
    }
}

/// The hub of a stream's tenant.
pub struct Hub {
    pub schema: String,
    tables: HashMap<TableId, Relation>,
}

impl Hub {
    pub fn open(stream: &Stream) -> DbResult<Self> {
        Hub::of_tenant(stream.connection.tenant.as_str())
    }

    pub fn of_tenant(tenant: &str) -> DbResult<Self> {
        let schema: Option<String> =
            spi::one("select easysync_internal.hub_schema($1)", &[tenant.into()])?;
        let schema = schema
            .ok_or_else(|| DbError::new("42P01", "there is no hub: call easysync.create_hub()"))?;
        Ok(Hub { schema, tables: HashMap::new() })
    }

    pub fn table(&mut self, table: TableId) -> DbResult<Relation> {
        if let Some(relation) = self.tables.get(&table) {
            return Ok(relation.clone());
        }
        let relation = relation(&self.schema, table.table().name)?;
        self.tables.insert(table, relation.clone());
        Ok(relation)
    }
}

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
    let table = hub.table(table)?.qualified();
    let mut args = links::key_args(stream, entity);
    args.push(Arg::Texts(unknown.into_iter().map(Some).collect()));
    // The hub's row may have been deleted here, by a person.
    let sql = format!(
        "select u.remote_id, l.hub_id
           from pg_catalog.unnest($4::text[]) as u (remote_id)
          cross join lateral (select k.hub_id from easysync_ledger.links k
                               where k.tenant_id = $1 and k.account = $2 and k.entity = $3
                                 and k.remote_id = u.remote_id offset 0) as l
          where exists (select from {table} h where h.tenant_id = $1 and h.id = l.hub_id)"
    );
    let rows =
        spi::rows(&sql, &args, |row| Ok((required::<String>(row, 1)?, required::<i64>(row, 2)?)))?;
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
