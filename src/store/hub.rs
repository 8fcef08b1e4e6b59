//! The one door to the hub. Its relations are foreign ground: their owner may put a view, a rule, a
//! policy, another type or a trigger in their place at any time. So a relation is locked and looked at
//! before it is used, what reads or writes it runs as its owner ([`crate::host::as_owner`]), in
//! statements that name nothing of ours, and values cross over as parameters.

use super::copy::CopyBuffer;
use super::row::Row;
use super::spi::{self, Arg, required};
use crate::error::{DbError, DbResult};
use crate::host::{self, Access};
use engine::model::{ColumnKind, Table, TableId};
use pgrx::pg_sys;
use std::collections::HashMap;
use std::ffi::{CStr, CString};

// `catalog/pg_inherits.h`, which pgrx doesn't bind; the same from 15 to 18.
unsafe extern "C-unwind" {
    fn has_subclass(relation: pg_sys::Oid) -> bool;
    fn has_superclass(relation: pg_sys::Oid) -> bool;
    fn find_inheritance_children(relation: pg_sys::Oid, lock: i32) -> *mut pg_sys::List;
    fn find_all_inheritors(
        relation: pg_sys::Oid,
        lock: i32,
        parents: *mut *mut pg_sys::List,
    ) -> *mut pg_sys::List;
}

/// The hub is not what `create_hub` made, or took: it concerns no single record.
pub const FOREIGN_HUB: &str = "YS422";

/// A table of the hub, locked to the end of the transaction and found to be what it has to be.
#[derive(Debug, Clone)]
pub struct Relation {
    pub oid: pg_sys::Oid,
    owner: pg_sys::Oid,
    tenant: String,
    pub schema: String,
    pub name: String,
}

impl Relation {
    pub fn qualified(&self) -> String {
        format!("{}.{}", quoted(&self.schema), quoted(&self.name))
    }

    /// Rows of a statement. One that begins with `select` only reads; every other may write, or lock.
    pub fn rows<R>(
        &self,
        sql: &str,
        args: &[Arg],
        read: impl FnMut(&Row) -> DbResult<R>,
    ) -> DbResult<Vec<R>> {
        let access = if spi::is_query(sql) { Access::Read } else { Access::Write };
        host::as_owner(self.owner, &self.tenant, access, || spi::rows(sql, args, read))
    }

    /// A statement that writes; how many rows it touched.
    pub fn run(&self, sql: &str, args: &[Arg]) -> DbResult<usize> {
        host::as_owner(self.owner, &self.tenant, Access::Write, || spi::run(sql, args))
    }

    /// A command that has no plan to keep.
    pub fn command(&self, sql: &str) -> DbResult<()> {
        host::as_owner(self.owner, &self.tenant, Access::Write, || spi::utility(sql))
    }

    /// Copies rows in, and says how many landed; ask [`Relation::may_copy`] first.
    pub fn copy(&self, rows: &CopyBuffer, columns: &[&str]) -> DbResult<u64> {
        host::as_owner(self.owner, &self.tenant, Access::Write, || {
            rows.copy_into(self.oid, columns)
        })
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

/// The hub of a tenant.
pub struct Hub {
    pub schema: String,
    tenant: String,
    /// Whose it was when `create_hub` took it; another owner's relations are not used.
    owner: pg_sys::Oid,
    owner_name: String,
    tables: HashMap<&'static str, Relation>,
}

const FIND: &str = "select h.schema_name, h.hub_owner::text
  from easysync_ledger.hubs as h where h.schema_name = $1";

impl Hub {
    /// The hub that a tenant uses.
    pub fn of_tenant(tenant: &str) -> DbResult<Self> {
        let schema: Option<String> =
            spi::one("select easysync_internal.hub_schema($1)", &[tenant.into()])?;
        let schema = schema
            .ok_or_else(|| DbError::new("42P01", "there is no hub: call easysync.create_hub()"))?;
        Hub::of_schema(&schema, tenant)
    }

    /// The hub in a schema, for a tenant's rows.
    pub fn of_schema(schema: &str, tenant: &str) -> DbResult<Self> {
        let found = spi::rows(FIND, &[schema.into()], |row| required::<String>(row, 2))?;
        let owner_name = found.into_iter().next().ok_or_else(|| {
            DbError::new(
                "42P01",
                format!("schema {schema} holds no hub: call easysync.create_hub('{schema}')"),
            )
        })?;
        let name = CString::new(owner_name.as_str())
            .map_err(|_| DbError::new("42704", "a role has no such name"))?;
        let owner = unsafe { pg_sys::get_role_oid(name.as_ptr(), true) };
        Ok(Hub {
            schema: schema.to_owned(),
            tenant: tenant.to_owned(),
            owner,
            owner_name,
            tables: HashMap::new(),
        })
    }

    pub fn table(&mut self, table: TableId) -> DbResult<Relation> {
        let table = table.table();
        if let Some(relation) = self.tables.get(table.name) {
            return Ok(relation.clone());
        }
        let relation = self.open(table)?;
        self.tables.insert(table.name, relation.clone());
        Ok(relation)
    }

    /// A table that this has opened already.
    pub fn opened(&self, table: TableId) -> Option<Relation> {
        self.tables.get(table.table().name).cloned()
    }

    /// The same by the table's name.
    pub fn table_named(&mut self, name: &str) -> DbResult<Relation> {
        match TableId::ALL.iter().find(|id| id.table().name == name) {
            Some(id) => self.table(*id),
            None => Err(DbError::new("42P01", format!("the hub has no table {name}"))),
        }
    }

    /// Locks a table and looks at it. The lock keeps it as it is to the end of the transaction: all
    /// that would change it needs one that conflicts.
    fn open(&self, table: &'static Table) -> DbResult<Relation> {
        let place = format!("{}.{}", self.schema, table.name);
        let missing = || {
            DbError::new(
                "42P01",
                format!("table {place} is missing: call easysync.create_hub('{}')", self.schema),
            )
        };
        let names = (CString::new(self.schema.as_str()), CString::new(table.name));
        let (Ok(schema), Ok(name)) = names else { return Err(missing()) };
        unsafe {
            let namespace = pg_sys::get_namespace_oid(schema.as_ptr(), true);
            let oid = pg_sys::get_relname_relid(name.as_ptr(), namespace);
            if oid == pg_sys::InvalidOid {
                return Err(missing());
            }
            let open = pg_sys::try_relation_open(oid, pg_sys::AccessShareLock as i32);
            if open.is_null() {
                return Err(missing());
            }
            // Renamed while this waited for the lock.
            let problem = match pg_sys::get_relname_relid(name.as_ptr(), namespace) == oid {
                false => Some("it was replaced just now".to_owned()),
                true => self.problem(open, namespace, table),
            };
            pg_sys::relation_close(open, pg_sys::NoLock as i32);
            match problem {
                None => Ok(Relation {
                    oid,
                    owner: self.owner,
                    tenant: self.tenant.clone(),
                    schema: self.schema.clone(),
                    name: table.name.to_owned(),
                }),
                Some(problem) => {
                    Err(DbError::new(FOREIGN_HUB, format!("table {place} is not used: {problem}")))
                }
            }
        }
    }

    /// What keeps a relation from being used.
    unsafe fn problem(
        &self,
        relation: pg_sys::Relation,
        namespace: pg_sys::Oid,
        table: &Table,
    ) -> Option<String> {
        unsafe {
            let class = &*(*relation).rd_rel;
            let kind = class.relkind as u8;
            if kind != pg_sys::RELKIND_RELATION && kind != pg_sys::RELKIND_PARTITIONED_TABLE {
                return Some("it is not a table".into());
            }
            if class.relpersistence as u8 == pg_sys::RELPERSISTENCE_TEMP {
                return Some("it is temporary".into());
            }
            if let Some(problem) = self.foreign_owner(class.relowner, "it") {
                return Some(problem);
            }
            // Who owns the schema could put another relation in the place of this one.
            if !pg_sys::is_member_of_role_nosuper(self.owner, schema_owner(namespace)) {
                return Some(format!(
                    "its schema belongs to another role than {}",
                    self.owner_name
                ));
            }
            if !(*relation).rd_rules.is_null() {
                return Some("it has rules".into());
            }
            if kind == pg_sys::RELKIND_RELATION
                && guarded(|| has_superclass(class.oid))
                && !class.relispartition
            {
                return Some("it inherits from another table".into());
            }
            self.foreign_child(class.oid, kind).or_else(|| wrong_column((*relation).rd_att, table))
        }
    }

    fn foreign_owner(&self, owner: pg_sys::Oid, what: &str) -> Option<String> {
        (owner != self.owner || owner == pg_sys::InvalidOid).then(|| {
            format!("{what} belongs to another role than {}, whose hub this is", self.owner_name)
        })
    }

    /// Tables below it: partitions are its owner's own, others are none of the hub's.
    unsafe fn foreign_child(&self, oid: pg_sys::Oid, kind: u8) -> Option<String> {
        unsafe {
            if kind == pg_sys::RELKIND_RELATION {
                // The flag in pg_class outlives the last child.
                return guarded(|| has_subclass(oid))
                    .then(|| guarded(|| find_inheritance_children(oid, pg_sys::NoLock as i32)))
                    .filter(|children| !children.is_null())
                    .map(|_| "other tables inherit from it".into());
            }
            let lock = pg_sys::AccessShareLock as i32;
            let all = guarded(|| find_all_inheritors(oid, lock, std::ptr::null_mut()));
            let partitions = pgrx::PgList::<pg_sys::Oid>::from_pg(all);
            for partition in partitions.iter_oid() {
                let open = pg_sys::relation_open(partition, pg_sys::NoLock as i32);
                let class = *(*open).rd_rel;
                let rules = !(*open).rd_rules.is_null();
                pg_sys::relation_close(open, pg_sys::NoLock as i32);
                let kind = class.relkind as u8;
                if kind != pg_sys::RELKIND_RELATION && kind != pg_sys::RELKIND_PARTITIONED_TABLE {
                    return Some("a partition of it is not a table".into());
                }
                if rules {
                    return Some("a partition of it has rules".into());
                }
                if let Some(problem) = self.foreign_owner(class.relowner, "a partition of it") {
                    return Some(problem);
                }
            }
            None
        }
    }
}

/// Calls a function of Postgres that pgrx has no binding for; its error becomes one of Rust.
fn guarded<R: Copy>(call: impl FnOnce() -> R) -> R {
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(call) }
}

unsafe fn schema_owner(namespace: pg_sys::Oid) -> pg_sys::Oid {
    unsafe {
        let tuple = pg_sys::SearchSysCache1(
            pg_sys::SysCacheIdentifier::NAMESPACEOID as i32,
            pg_sys::Datum::from(namespace),
        );
        if tuple.is_null() {
            return pg_sys::InvalidOid;
        }
        let form = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_namespace>();
        let owner = (*form).nspowner;
        pg_sys::ReleaseSysCache(tuple);
        owner
    }
}

/// A column that is missing, or has another type than the built-in one that the store reads and writes.
unsafe fn wrong_column(descriptor: pg_sys::TupleDesc, table: &Table) -> Option<String> {
    let mut types: HashMap<String, pg_sys::Oid> = HashMap::new();
    unsafe {
        let attributes = pgrx::PgTupleDesc::from_pg_unchecked(descriptor);
        for attribute in attributes.iter().filter(|attribute| !attribute.attisdropped) {
            let name = CStr::from_ptr(attribute.attname.data.as_ptr()).to_string_lossy();
            types.insert(name.into_owned(), attribute.atttypid);
        }
    }
    let own = [("tenant_id", pg_sys::TEXTOID), ("id", pg_sys::INT8OID)];
    let above = match table.parent_column {
        Some(parent) => (parent, pg_sys::INT8OID),
        None => ("source_connection", pg_sys::TEXTOID),
    };
    let mapped = table.columns.iter().map(|column| (column.name, built_in(column.kind)));
    own.into_iter().chain([above]).chain(mapped).find_map(|(name, wanted)| match types.get(name) {
        None => Some(format!("column {name} is missing")),
        Some(found) if *found != wanted => Some(format!("column {name} has another type")),
        Some(_) => None,
    })
}

fn built_in(kind: ColumnKind) -> pg_sys::Oid {
    match kind {
        ColumnKind::Text => pg_sys::TEXTOID,
        ColumnKind::Decimal => pg_sys::NUMERICOID,
        ColumnKind::Int => pg_sys::INT4OID,
        ColumnKind::Bool => pg_sys::BOOLOID,
        ColumnKind::Time => pg_sys::TIMESTAMPTZOID,
        ColumnKind::Date => pg_sys::DATEOID,
        ColumnKind::Json => pg_sys::JSONBOID,
        ColumnKind::Ref(_) | ColumnKind::LineRef => pg_sys::INT8OID,
    }
}

/// Rows of a statement of ours on tables of a hub, for SQL: each row is an array of texts. `$1` is the
/// tenant, `$2` ids, `$3` more values.
pub fn query(
    schema: &str,
    tables: &[String],
    statement: &str,
    tenant: &str,
    ids: Option<Vec<Option<i64>>>,
    more: Option<serde_json::Value>,
) -> DbResult<Vec<Vec<Option<String>>>> {
    let mut hub = Hub::of_schema(schema, tenant)?;
    let mut first = None;
    for table in tables {
        let relation = hub.table_named(table)?;
        first.get_or_insert(relation);
    }
    let relation = first.ok_or_else(|| DbError::new("22023", "no table is named"))?;
    let ids = match ids {
        Some(ids) => Arg::Ints(ids),
        None => Arg::NoInts,
    };
    relation.rows(statement, &[tenant.into(), ids, Arg::Json(more)], |row| {
        Ok(row.get::<Vec<Option<String>>>(1)?.unwrap_or_default())
    })
}
