//! Who the worker is, and whether the extension is there.

use super::spi;
use crate::error::{DbError, DbResult};
use crate::host;
use pgrx::pg_sys;
use std::sync::atomic::{AtomicBool, Ordering};

static GONE: AtomicBool = AtomicBool::new(false);

/// Is the extension in this database? Must be called in a transaction.
pub fn extension_exists() -> bool {
    unsafe { pg_sys::get_extension_oid(c"easysync".as_ptr(), true) != pg_sys::InvalidOid }
}

/// A job found the extension dropped.
pub fn extension_is_gone() -> bool {
    GONE.load(Ordering::SeqCst)
}

/// Version of the extension's scripts in this database; None: it isn't there.
pub fn extension_version() -> DbResult<Option<String>> {
    spi::one("select extversion from pg_catalog.pg_extension where extname = 'easysync'", &[])
}

/// Runs a job as `easysync_worker`: it has the rights on our tables that the scripts give it, and
/// no others.
pub fn as_worker<R>(work: impl FnOnce() -> DbResult<R>) -> DbResult<R> {
    if !extension_exists() {
        GONE.store(true, Ordering::SeqCst);
        return Err(DbError::new("57P01", "the extension was dropped"));
    }
    let role = unsafe { pg_sys::get_role_oid(c"easysync_worker".as_ptr(), true) };
    if role == pg_sys::InvalidOid {
        return Err(DbError::new("42704", "role easysync_worker is missing"));
    }
    host::as_role(role, work)
}
