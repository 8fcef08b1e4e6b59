//! One job: a transaction (or a subtransaction of a session's), an identity, and no error that
//! gets away.

use super::{fair, foreign};
use crate::error::{DbError, DbResult};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// The longest a job of the worker may take. Background workers don't arm `statement_timeout`
/// themselves.
const JOB_TIMEOUT: Duration = Duration::from_secs(60);

/// `TimeoutId` of `utils/timeout.h`, which pgrx doesn't bind; the same from 14 to 18.
const STATEMENT_TIMEOUT: i32 = 3;

unsafe extern "C-unwind" {
    fn enable_timeout_after(timeout: i32, milliseconds: i32);
    fn disable_timeout(timeout: i32, keep_indicator: bool);
}

/// From now on the worker's job in hand may take that long. It must be called within [`in_transaction`],
/// which sets the first limit.
pub fn limit_time(limit: Duration) {
    fair::set_deadline(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
    unsafe { enable_timeout_after(STATEMENT_TIMEOUT, limit.as_millis() as i32) };
}

/// Runs `work` in a transaction of its own: committed if it returns `Ok`, else rolled back.
/// Errors of Postgres and panics come back as an error. Whatever settings it changes, or what it set
/// off on foreign ground, end with it.
pub fn in_transaction<R>(work: impl FnOnce() -> DbResult<R>) -> DbResult<R> {
    unsafe {
        pg_sys::SetCurrentStatementStartTimestamp();
        let result = PgTryBuilder::new(AssertUnwindSafe(|| {
            pg_sys::StartTransactionCommand();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            limit_time(JOB_TIMEOUT);
            let nest = pg_sys::NewGUCNestLevel();
            let result = work().and_then(|done| foreign::settle().map(|()| done));
            disable_timeout(STATEMENT_TIMEOUT, false);
            fair::clear_deadline();
            if result.is_ok() {
                pg_sys::AtEOXact_GUC(false, nest);
                pg_sys::PopActiveSnapshot();
                pg_sys::CommitTransactionCommand();
            }
            result
        }))
        .catch_others(|caught| Err(caught.into()))
        .catch_rust_panic(|caught| Err(caught.into()))
        .execute();
        if result.is_err() {
            disable_timeout(STATEMENT_TIMEOUT, false);
            fair::clear_deadline();
            pg_sys::AbortOutOfAnyTransaction();
            foreign::forget_unsettled();
        }
        pg_sys::MemoryContextSwitchTo(pg_sys::TopMemoryContext);
        result
    }
}

/// Runs `work` in a subtransaction: its error rolls back what it did, and nothing else.
pub fn in_subtransaction<R>(work: impl FnOnce() -> DbResult<R>) -> DbResult<R> {
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        let result = PgTryBuilder::new(AssertUnwindSafe(work))
            .catch_others(|caught| Err(DbError::from(caught)))
            .catch_rust_panic(|caught| Err(DbError::from(caught)))
            .execute();
        if result.is_ok() {
            pg_sys::ReleaseCurrentSubTransaction();
        } else {
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
        result
    }
}

/// Runs `work` as a role of ours, which nothing in it can change. It touches our own tables only:
/// foreign relations are [`foreign::as_owner`]'s. An error leaves the role to the (sub)transaction's
/// rollback, which restores it.
pub fn as_role<R>(role: pg_sys::Oid, work: impl FnOnce() -> DbResult<R>) -> DbResult<R> {
    unsafe {
        let (mut user, mut context) = (pg_sys::InvalidOid, 0);
        pg_sys::GetUserIdAndSecContext(&raw mut user, &raw mut context);
        let pinned = context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32;
        pg_sys::SetUserIdAndSecContext(role, pinned);
        let result = work();
        pg_sys::SetUserIdAndSecContext(user, context);
        result
    }
}
