//! Stands aside for statements that need a database without sessions: DROP DATABASE, renaming it,
//! moving it, and copying it as a template.

use crate::shmem;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// How long the launcher stays away from a database that someone works on, at most: the end of the
/// transaction lets it come back.
const ASIDE_US: i64 = 10_000_000;
/// How long a statement waits for the worker to be gone.
const WAIT: Duration = Duration::from_millis(10);
const WAITS: usize = 300;

static mut PREVIOUS: pg_sys::ProcessUtility_hook_type = None;

unsafe extern "C-unwind" {
    #[link_name = "standard_ProcessUtility"]
    fn standard_utility(
        statement: *mut pg_sys::PlannedStmt,
        query: *const std::ffi::c_char,
        read_only_tree: bool,
        context: pg_sys::ProcessUtilityContext::Type,
        params: pg_sys::ParamListInfo,
        environment: *mut pg_sys::QueryEnvironment,
        dest: *mut pg_sys::DestReceiver,
        completion: *mut pg_sys::QueryCompletion,
    );
}

pub fn install() {
    unsafe {
        PREVIOUS = pg_sys::ProcessUtility_hook;
        pg_sys::ProcessUtility_hook = Some(utility);
    }
}

/// Not guarded: this frame lies under every utility statement of every session. It owns nothing
/// with a destructor, so an error may jump across it, and keeps all its fields (a guarded wrapper
/// raises a poorer copy).
#[allow(clippy::too_many_arguments)]
unsafe extern "C-unwind" fn utility(
    statement: *mut pg_sys::PlannedStmt,
    query: *const std::ffi::c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    params: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    dest: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    unsafe {
        let node = (*statement).utilityStmt;
        if matches!(
            (*node).type_,
            pg_sys::NodeTag::T_DropdbStmt
                | pg_sys::NodeTag::T_CreatedbStmt
                | pg_sys::NodeTag::T_RenameStmt
                | pg_sys::NodeTag::T_AlterDatabaseStmt
        ) {
            stand_aside(node);
        }
        match PREVIOUS {
            Some(previous) => previous(
                statement,
                query,
                read_only_tree,
                context,
                params,
                environment,
                dest,
                completion,
            ),
            None => standard_utility(
                statement,
                query,
                read_only_tree,
                context,
                params,
                environment,
                dest,
                completion,
            ),
        }
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn stand_aside(node: *mut pg_sys::Node) {
    let database = unsafe { database_of(node) };
    if database != pg_sys::InvalidOid && unsafe { may_change(database, node) } {
        shmem::back_at_end(database);
        stop_worker(database);
    }
}

/// The database that a statement needs for itself.
unsafe fn database_of(node: *mut pg_sys::Node) -> pg_sys::Oid {
    unsafe {
        let name = match (*node).type_ {
            pg_sys::NodeTag::T_DropdbStmt => (*node.cast::<pg_sys::DropdbStmt>()).dbname,
            pg_sys::NodeTag::T_RenameStmt => {
                let rename = node.cast::<pg_sys::RenameStmt>();
                if (*rename).renameType != pg_sys::ObjectType::OBJECT_DATABASE {
                    return pg_sys::InvalidOid;
                }
                (*rename).subname
            }
            pg_sys::NodeTag::T_AlterDatabaseStmt => {
                let alter = node.cast::<pg_sys::AlterDatabaseStmt>();
                if option((*alter).options, c"tablespace").is_null() {
                    return pg_sys::InvalidOid;
                }
                (*alter).dbname
            }
            pg_sys::NodeTag::T_CreatedbStmt => {
                let create = node.cast::<pg_sys::CreatedbStmt>();
                let template = option((*create).options, c"template");
                if template.is_null() {
                    return pg_sys::InvalidOid;
                }
                pg_sys::defGetString(template)
            }
            _ => std::ptr::null_mut(),
        };
        if name.is_null() {
            return pg_sys::InvalidOid;
        }
        pg_sys::get_database_oid(name, true)
    }
}

unsafe fn option(options: *mut pg_sys::List, name: &std::ffi::CStr) -> *mut pg_sys::DefElem {
    if options.is_null() {
        return std::ptr::null_mut();
    }
    unsafe {
        for index in 0..(*options).length {
            let element =
                (*(*options).elements.add(index as usize)).ptr_value as *mut pg_sys::DefElem;
            let called = std::ffi::CStr::from_ptr((*element).defname);
            // DEFAULT has no argument.
            if called == name && !(*element).arg.is_null() {
                return element;
            }
        }
    }
    std::ptr::null_mut()
}

/// Nobody stops a worker by a statement that would be refused.
unsafe fn may_change(database: pg_sys::Oid, node: *mut pg_sys::Node) -> bool {
    unsafe {
        let user = pg_sys::GetUserId();
        if (*node).type_ == pg_sys::NodeTag::T_CreatedbStmt {
            return pg_sys::superuser()
                || pg_sys::have_createdb_privilege() && owns(database, user);
        }
        owns(database, user)
    }
}

unsafe fn owns(database: pg_sys::Oid, user: pg_sys::Oid) -> bool {
    #[cfg(any(feature = "pg13", feature = "pg14", feature = "pg15"))]
    return unsafe { pg_sys::pg_database_ownercheck(database, user) };
    #[cfg(not(any(feature = "pg13", feature = "pg14", feature = "pg15")))]
    return unsafe { pg_sys::object_ownercheck(pg_sys::DatabaseRelationId, database, user) };
}

fn stop_worker(database: pg_sys::Oid) {
    let Some(slot) = shmem::slot(database) else { return };
    let now = unsafe { pg_sys::GetCurrentTimestamp() };
    slot.blocked_until.store(now + ASIDE_US, SeqCst);
    let pid = slot.pid.load(SeqCst);
    if pid != 0 {
        slot.stood_aside.store(true, SeqCst);
        unsafe { libc::kill(pid, libc::SIGTERM) };
    }
    for _ in 0..WAITS {
        if slot.pid.load(SeqCst) == 0 {
            return;
        }
        std::thread::sleep(WAIT);
        pgrx::check_for_interrupts!();
    }
}
