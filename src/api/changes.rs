//! Change capture: the trigger function of the hub's tables.
//!
//! The transition tables are read with the rights of whoever writes: a column could have been given a
//! type whose cast is anybody's function. Plain keys are then noted as `easysync_owner`, in lots, so
//! that a bulk load of any size takes bounded memory.

use crate::error::{DbError, DbResult, raised};
use crate::{host, store};
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::trigger_support::{PgTriggerError, PgTriggerOperation};

/// Keys read at a time.
const LOT: i64 = 10_000;

/// What a statement did to a document.
#[derive(Debug, Clone, Copy)]
enum Operation {
    Insert,
    Update,
    Delete,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Operation::Insert => "insert",
            Operation::Update => "update",
            Operation::Delete => "delete",
        }
    }
}

/// Notes which documents a statement changed. Arguments of the trigger: entity of the document, column
/// with the document's id.
pub fn note(trigger: &PgTrigger<'_>) -> Result<(), PgTriggerError> {
    if store::changes_suppressed() {
        return Ok(());
    }
    let arguments = trigger.extra_args()?;
    let (schema, operation) = (trigger.table_schema()?, trigger.op()?);
    let (Some(entity), Some(column)) = (arguments.first(), arguments.get(1)) else {
        return Ok(());
    };
    if !raised(as_owner_of_ours(store::hub_is_pushed)) {
        return Ok(());
    }
    let register = || unsafe {
        let data: *const pg_sys::TriggerData = trigger.trigger_data();
        pg_sys::SPI_register_trigger_data(data.cast_mut());
    };
    let noted = |keys: &str, operation| note_keys(register, keys, &schema, entity, operation);
    let is_line = column != "id";
    let of = |table: &str| format!("select tenant_id, {} as id from {table}", quoted(column));
    raised(match operation {
        PgTriggerOperation::Truncate => as_owner_of_ours(|| store::note_truncate(&schema, entity)),
        PgTriggerOperation::Insert if is_line => noted(&of("new_rows"), Operation::Update),
        PgTriggerOperation::Delete if is_line => noted(&of("old_rows"), Operation::Update),
        // A line that moved to another document changes both.
        PgTriggerOperation::Update if is_line => {
            noted(&format!("{} union {}", of("new_rows"), of("old_rows")), Operation::Update)
        }
        PgTriggerOperation::Insert => noted(&of("new_rows"), Operation::Insert),
        PgTriggerOperation::Delete => noted(&of("old_rows"), Operation::Delete),
        // A row whose key moved is two changes.
        PgTriggerOperation::Update => {
            let gone = format!("{} except {}", of("old_rows"), of("new_rows"));
            noted(&of("new_rows"), Operation::Update).and_then(|()| noted(&gone, Operation::Delete))
        }
    });
    Ok(())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Reads keys as the session's user, and notes them as ours. The casts make the values plain, whatever
/// the columns' types are.
fn note_keys(
    register: impl Fn(),
    keys: &str,
    schema: &str,
    entity: &str,
    operation: Operation,
) -> DbResult<()> {
    let sql = format!(
        "select distinct k.tenant_id::pg_catalog.text, k.id::pg_catalog.int8 from ({keys}) as k"
    );
    host::with_plain_settings(|| {
        Spi::connect(|client| {
            register();
            let mut cursor = client.open_cursor(&sql, &[]);
            loop {
                let rows = cursor.fetch(LOT)?;
                if rows.is_empty() {
                    return Ok::<_, DbError>(());
                }
                let (mut tenants, mut ids) = (vec![], vec![]);
                for row in rows {
                    tenants.push(row.get::<String>(1)?);
                    ids.push(row.get::<i64>(2)?);
                }
                as_owner_of_ours(|| {
                    store::note_changes(schema, entity, operation.as_str(), tenants, ids)
                })?;
            }
        })
    })
}

/// Runs `work` with the rights on our tables.
fn as_owner_of_ours<R>(work: impl FnOnce() -> DbResult<R>) -> DbResult<R> {
    let role = unsafe { pg_sys::get_role_oid(c"easysync_owner".as_ptr(), true) };
    if role == pg_sys::InvalidOid {
        return Err(DbError::new("42704", "role easysync_owner is missing"));
    }
    host::as_role(role, work)
}
