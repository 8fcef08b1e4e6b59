//! Foreign ground: statements that touch relations of somebody else (the hub's) are carried out as
//! their owner, so that whatever lies behind them (a trigger, a policy, a default, a cast) gets
//! that owner's rights, and none of ours.
//!
//! Reads are security-restricted operations. Writes can't be, since Postgres refuses deferred
//! triggers there ("cannot fire deferred trigger within security-restricted operation"), and an
//! application's deferred constraints must work. So a write runs with the owner's identity pinned
//! (it can't be changed, as in a security definer function), and [`settle`] takes away all that it may
//! have left to run later: deferred triggers fire as the owner, in a restricted operation, and
//! cursors are closed. A job is not committed before ([`super::job`]). Settings that foreign code
//! has changed are put back as each statement ends.

use crate::error::{DbError, DbResult};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::{Cell, RefCell};
use std::time::Instant;

thread_local! {
    /// The tenant whose hub the statement in hand touches.
    static TENANT: RefCell<Option<String>> = const { RefCell::new(None) };
    /// Whose writes have not been settled yet.
    static UNSETTLED: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::InvalidOid) };
}

/// What a statement does on foreign ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// The tenant whose hub is being read or written just now. What foreign code asks of the SQL
/// surface meanwhile, it asks for this tenant.
pub fn tenant_in_hand() -> Option<String> {
    TENANT.with_borrow(Clone::clone)
}

/// Forgets what a rolled-back transaction left unsettled.
pub fn forget_unsettled() {
    UNSETTLED.set(pg_sys::InvalidOid);
}

/// Runs `work` as the owner of foreign relations.
pub fn as_owner<R>(
    owner: pg_sys::Oid,
    tenant: &str,
    access: Access,
    work: impl FnOnce() -> DbResult<R>,
) -> DbResult<R> {
    /// Also on the way of an error.
    struct Reset<'a>(Option<String>, &'a str, Instant);
    impl Drop for Reset<'_> {
        fn drop(&mut self) {
            super::fair::note(self.1, self.2.elapsed());
            TENANT.set(self.0.take());
        }
    }
    if access == Access::Write {
        let before = UNSETTLED.get();
        if before != pg_sys::InvalidOid && before != owner {
            settle()?;
        }
        UNSETTLED.set(owner);
    }
    let _reset = Reset(TENANT.replace(Some(tenant.to_owned())), tenant, Instant::now());
    let restriction = match access {
        Access::Read => pg_sys::SECURITY_RESTRICTED_OPERATION,
        Access::Write => 0,
    };
    with_identity(owner, restriction, work)
}

/// Runs `work` as a role that it can't leave, with settings of its own. An error leaves identity and
/// settings to the (sub)transaction's rollback, which restores them.
fn with_identity<R>(
    role: pg_sys::Oid,
    restriction: u32,
    work: impl FnOnce() -> DbResult<R>,
) -> DbResult<R> {
    unsafe {
        let (mut user, mut context) = (pg_sys::InvalidOid, 0);
        pg_sys::GetUserIdAndSecContext(&raw mut user, &raw mut context);
        let nest = pg_sys::NewGUCNestLevel();
        pin(c"search_path", c"pg_catalog, pg_temp");
        let pinned = pg_sys::SECURITY_LOCAL_USERID_CHANGE | restriction;
        pg_sys::SetUserIdAndSecContext(role, context | pinned as i32);
        let result = work();
        pg_sys::SetUserIdAndSecContext(user, context);
        // As at a rollback: whatever was set since, also "for the session", is as before.
        pg_sys::AtEOXact_GUC(false, nest);
        result
    }
}

/// Runs `work` as whoever it is, with names that mean what Postgres' own catalogue says.
pub fn with_plain_settings<R>(work: impl FnOnce() -> DbResult<R>) -> DbResult<R> {
    unsafe {
        let nest = pg_sys::NewGUCNestLevel();
        pin(c"search_path", c"pg_catalog, pg_temp");
        let result = work();
        pg_sys::AtEOXact_GUC(false, nest);
        result
    }
}

/// Sets a setting until the end of this nest level.
unsafe fn pin(name: &std::ffi::CStr, value: &std::ffi::CStr) {
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
    }
}

/// Constraints that wait for the commit by their own definition. One whose name another one shares
/// that can't wait is left out: SET CONSTRAINTS would fail.
const DEFERRED: &str = "select pg_catalog.string_agg(distinct pg_catalog.format('%I.%I', n.nspname, c.conname), ', ')
  from pg_catalog.pg_constraint as c
  join pg_catalog.pg_namespace as n on n.oid = c.connamespace
 where c.condeferred
   and not exists (select from pg_catalog.pg_constraint as o
                    where o.connamespace = c.connamespace and o.conname = c.conname and not o.condeferrable)";

/// Fires what writes on foreign ground have deferred, as the owner, and leaves nothing behind that
/// could run later with other rights. An error is that of the deferred trigger or constraint.
pub fn settle() -> DbResult<()> {
    let owner = UNSETTLED.replace(pg_sys::InvalidOid);
    if owner == pg_sys::InvalidOid {
        return Ok(());
    }
    // Restricted: what is fired here can't defer anything again.
    with_identity(owner, pg_sys::SECURITY_RESTRICTED_OPERATION, || {
        command("set constraints all immediate")
    })?;
    // A cursor WITH HOLD would be read to its end at the commit. Closing runs nothing of anybody's,
    // and isn't allowed in a restricted operation.
    with_identity(owner, 0, || command("close all"))?;
    let deferred: Option<String> =
        Spi::connect(|client| client.select(DEFERRED, None, &[])?.first().get_one::<String>())
            .map_err(DbError::from)?;
    let Some(deferred) = deferred else { return Ok(()) };
    // From here on they wait again, as for anybody. It runs nothing, but asks for USAGE of schemas
    // that neither we nor the hub's owner need have.
    with_identity(
        pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID),
        pg_sys::SECURITY_RESTRICTED_OPERATION,
        || command(&format!("set constraints {deferred} deferred")),
    )
}

fn command(sql: &str) -> DbResult<()> {
    Spi::connect_mut(|client| client.update(sql, None, &[]).map(|_| ())).map_err(DbError::from)
}

/// Carries out commands as a role that the session's user may act as, in a restricted operation.
/// A superuser may act as itself alone: what another role has laid ready is not taken over by
/// accident.
pub fn command_as(role: &str, commands: &[String]) -> DbResult<()> {
    let name = std::ffi::CString::new(role).map_err(|_| DbError::new("42704", "no such role"))?;
    unsafe {
        let oid = pg_sys::get_role_oid(name.as_ptr(), false);
        if !pg_sys::is_member_of_role_nosuper(pg_sys::GetSessionUserId(), oid) {
            return Err(DbError::new(
                "42501",
                format!("the session's user may not act as role \"{role}\""),
            ));
        }
        with_identity(oid, pg_sys::SECURITY_RESTRICTED_OPERATION, || {
            commands.iter().try_for_each(|sql| command(sql))
        })
    }
}
