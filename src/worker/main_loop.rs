//! The worker of one database. Its thread owns every call into Postgres; the engine runs beside it
//! and sends jobs.

use super::{ending, reload_configuration, set_signals, wait_latch};
use crate::error::{DbError, DbResult};
use crate::host::{self, Bridge};
use crate::shmem::{self, Slot, WorkerState};
use crate::store::{PgStore, Vault};
use engine::clock::SystemClock;
use engine::connector::quickbooks::auth::TokenVault;
use engine::connector::quickbooks::push::Accounts;
use engine::http::{HttpConfig, HttpContext};
use engine::push::store::PushStore;
use engine::runner::{Pusher, Runner};
use engine::schedule::{ScheduleStore, Scheduler};
use engine::webhook::{Intake, WebhookStore};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release, SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// How long the end of the runtime may take: `pg_ctl stop` waits for it.
const SHUTDOWN: Duration = Duration::from_millis(200);
const WAIT_MS: i64 = 60_000;
/// How soon after its last work a worker that idles has its counts taken.
const COUNT_MS: i64 = 1_100;
/// How long a worker whose process another database waits for looks on before it leaves: whoever
/// has just been served often asks again.
const LINGER: Duration = Duration::from_secs(1);

static IS_WORKER: AtomicBool = AtomicBool::new(false);

/// Is this process the worker of a database?
pub fn is_this_process() -> bool {
    IS_WORKER.load(SeqCst)
}

static ENGINE: Mutex<Option<(Runtime, Arc<Bridge>)>> = Mutex::new(None);

/// Runs on every orderly way out, FATAL included; touches nothing of Postgres.
#[pg_guard]
unsafe extern "C-unwind" fn stop_engine(_code: i32, _arg: pg_sys::Datum) {
    let engine = ENGINE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some((runtime, bridge)) = engine {
        // Threads that stopped for want of memory may hold locks: they end with the process.
        if crate::memory::has_ended() {
            std::mem::forget((runtime, bridge));
            return;
        }
        bridge.close();
        runtime.shutdown_timeout(SHUTDOWN);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn leave_slot(_code: i32, arg: pg_sys::Datum) {
    if let Some(slot) = shmem::slot(pg_sys::Oid::from(arg.value() as u32)) {
        // Not the slot of the worker that was here before this one.
        let me = unsafe { pg_sys::MyProcPid };
        if slot.pid.load(Acquire) == me {
            ending::note_end(slot);
            slot.latch.store(0, SeqCst);
            slot.pid.store(0, SeqCst);
        }
    }
    shmem::wake_launcher();
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn easysync_worker_main(arg: pg_sys::Datum) {
    let database = pg_sys::Oid::from(arg.value() as u32);
    set_signals();
    unsafe {
        pg_sys::before_shmem_exit(Some(leave_slot), arg);
        pg_sys::BackgroundWorkerInitializeConnectionByOid(database, pg_sys::InvalidOid, 0);
    }
    // The launcher has taken it.
    let Some(slot) = shmem::slot(database) else { return };
    // One worker a database, proven by its slot in shared memory, which no SQL can reach.
    let me = unsafe { pg_sys::MyProcPid };
    if slot.pid.compare_exchange(0, me, SeqCst, Acquire).is_err() {
        log!("easysync: another worker holds this database; this one leaves");
        return;
    }
    IS_WORKER.store(true, SeqCst);
    slot.started_at.store(unsafe { pg_sys::GetCurrentTimestamp() }, Release);
    slot.set_state(WorkerState::Starting);
    slot.problem.set("");
    slot.cure.set("");
    slot.waiting_since.store(0, SeqCst);
    slot.asked_to_leave.store(false, SeqCst);
    let rested = slot.due_at.swap(0, SeqCst) != 0;
    if !has_extension() {
        remember_missing(slot);
        return;
    }
    slot.latch.store(unsafe { pg_sys::MyLatch } as u64, SeqCst);
    set_session();
    if let Err(error) = drop_rights() {
        log!("easysync: {}; the worker leaves", error.message);
        return;
    }
    if !wait_for_version(slot) {
        return;
    }
    match start_engine(slot) {
        Ok((bridge, epoch)) => {
            if rested {
                debug1!("easysync: worker came back");
            } else {
                log!("easysync: worker of database \"{}\" started", database_name());
            }
            serve(slot, &bridge, epoch);
        }
        Err(error) => {
            ereport!(
                FATAL,
                PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                format!("easysync: the engine could not start: {error}")
            );
        }
    }
}

fn database_name() -> String {
    let name = host::in_transaction(|| {
        let name = unsafe { pg_sys::get_database_name(pg_sys::MyDatabaseId) };
        let name = (!name.is_null()).then(|| unsafe { std::ffi::CStr::from_ptr(name) });
        Ok(name.map(|name| name.to_string_lossy().into_owned()))
    });
    name.ok().flatten().unwrap_or_default()
}

fn has_extension() -> bool {
    host::in_transaction(|| Ok(crate::store::extension_exists())).unwrap_or(false)
}

/// The launcher need not come back before something has changed.
fn remember_missing(slot: &Slot) {
    slot.without_extension.store(true, SeqCst);
}

/// The worker is the one that waits, and the one that gives way: an application never is.
fn set_session() {
    for (name, value) in [
        (c"application_name", c"easysync worker"),
        (c"deadlock_timeout", c"50ms"),
        (c"lock_timeout", c"500ms"),
        (c"search_path", c"pg_catalog, pg_temp"),
        // Worth its cost for long queries only.
        (c"jit", c"off"),
        // A dated text must mean the same whatever the database's settings are.
        (c"DateStyle", c"ISO, YMD"),
        (c"TimeZone", c"UTC"),
        (c"IntervalStyle", c"postgres"),
        (c"bytea_output", c"hex"),
        (c"extra_float_digits", c"1"),
        // Those of ALTER DATABASE and ALTER ROLE are for clients, and for whoever writes SQL.
        (c"client_encoding", c"UTF8"),
        (c"standard_conforming_strings", c"on"),
        (c"quote_all_identifiers", c"off"),
        (c"transform_null_equals", c"off"),
        (c"array_nulls", c"on"),
        (c"gin_fuzzy_search_limit", c"0"),
        (c"default_transaction_deferrable", c"off"),
        (c"row_security", c"on"),
        // An error of one record must not be the end of the process.
        (c"exit_on_error", c"off"),
        (c"session_replication_role", c"origin"),
        (c"default_transaction_isolation", c"read committed"),
        (c"default_transaction_read_only", c"off"),
    ] {
        unsafe {
            pg_sys::SetConfigOption(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_SUSET,
                pg_sys::GucSource::PGC_S_OVERRIDE,
            );
        }
    }
}

/// Gives up the rights of a superuser, for good: from here on the session's user is
/// `easysync_worker`. (Postgres lets a background worker connect as a role without LOGIN from 17 on
/// only, so it connects as the first superuser.)
fn drop_rights() -> DbResult<()> {
    let role = host::in_transaction(|| {
        match unsafe { pg_sys::get_role_oid(c"easysync_worker".as_ptr(), true) } {
            pg_sys::InvalidOid => Err(DbError::new("42704", "role easysync_worker is missing")),
            role => Ok(role),
        }
    })?;
    // Outside a transaction: the end of one would restore the user it began with.
    unsafe { pg_sys::SetSessionAuthorization(role, false) };
    Ok(())
}

/// A new library on an old schema is the normal order of an upgrade: the worker says so and waits
/// for ALTER EXTENSION. False: the extension is gone, or another database waits for the process.
fn wait_for_version(slot: &Slot) -> bool {
    let mut told = String::new();
    loop {
        pgrx::check_for_interrupts!();
        reload_configuration();
        let version = host::in_transaction(crate::store::extension_version).ok().flatten();
        let Some(version) = version else {
            remember_missing(slot);
            return false;
        };
        if version == env!("CARGO_PKG_VERSION") {
            return true;
        }
        slot.set_state(WorkerState::VersionMismatch);
        if told != version {
            log!(
                "easysync: the library is {}, the extension in this database {version}; the worker pauses until ALTER EXTENSION easysync UPDATE",
                env!("CARGO_PKG_VERSION")
            );
            told = version;
        }
        if slot.asked_to_leave.load(SeqCst) {
            rest(slot, unsafe { pg_sys::GetCurrentTimestamp() } + WAIT_MS * 1_000);
            return false;
        }
        wait_latch(WAIT_MS);
    }
}

/// The engine's queue of jobs, and the epoch of its claims.
fn start_engine(slot: &'static Slot) -> engine::Result<(Arc<Bridge>, i64)> {
    let internal = |e: std::io::Error| engine::Error::internal(e.to_string());
    let bridge = Bridge::new().map_err(internal)?;
    let runtime = host::build_runtime(2).map_err(internal)?;
    let http = http_in_any_case()?;
    let epoch = unsafe { pg_sys::GetCurrentTimestamp() };
    ending::begin(epoch);
    let store = Arc::new(PgStore::new(Arc::clone(&bridge), epoch, crate::guc::poll_interval()));
    let accounts = accounts(&store, &http);
    let runner = Runner {
        store: Arc::clone(&store) as Arc<dyn engine::store::Store>,
        http: Arc::clone(&http),
        clock: Arc::new(SystemClock),
        open: Arc::new({
            let accounts = Arc::clone(&accounts);
            move |connection, http, reads| {
                engine::connector::build_shared(connection, http, reads, &accounts)
            }
        }),
        pusher: Some(pusher(&store, Arc::clone(&accounts))),
    };
    let scheduler = Scheduler {
        store: Arc::clone(&store) as Arc<dyn ScheduleStore>,
        clock: Arc::new(host::WallClock),
    };
    let intake = Intake { store: Arc::clone(&store) as Arc<dyn WebhookStore> };
    watch(&runtime, &bridge, host::fair::watch());
    let (keeper, keeper_http) = (Arc::clone(&store), Arc::clone(&runner.http));
    runtime.spawn(super::webhooks::keep(keeper, keeper_http));
    let renewing = super::tokens::keep(Arc::clone(&store), accounts, Arc::clone(&bridge), slot);
    watch(&runtime, &bridge, renewing);
    runtime.spawn(async move { store.keep_house().await });
    watch(&runtime, &bridge, intake.run());
    watch(&runtime, &bridge, async move { runner.run().await });
    watch(&runtime, &bridge, scheduler.run());
    *ENGINE.lock().unwrap_or_else(PoisonError::into_inner) = Some((runtime, Arc::clone(&bridge)));
    unsafe { pg_sys::before_shmem_exit(Some(stop_engine), pg_sys::Datum::from(0)) };
    Ok((bridge, epoch))
}

/// Each connection's access is opened once and shared by its runs, since only one of them may renew
/// its tokens.
fn accounts(store: &Arc<PgStore>, http: &Arc<HttpContext>) -> Arc<Accounts> {
    let vaults = Arc::clone(store);
    Arc::new(Accounts::new(
        Arc::clone(http),
        Arc::new(move |connection: &_| {
            Arc::new(Vault::new(Arc::clone(&vaults), connection)) as Arc<dyn TokenVault>
        }),
    ))
}

/// How runs push.
fn pusher(store: &Arc<PgStore>, accounts: Arc<Accounts>) -> Pusher {
    Pusher {
        store: Arc::clone(store) as Arc<dyn PushStore>,
        open: Arc::new(move |connection, http, reads| {
            engine::connector::open_target(connection, http, reads, &accounts)
        }),
    }
}

/// A task that never returns; where it does, it has failed, and the worker starts anew.
fn watch(runtime: &Runtime, bridge: &Arc<Bridge>, task: impl Future<Output = ()> + Send + 'static) {
    let bridge = Arc::clone(bridge);
    runtime.spawn(async move {
        let _ = tokio::spawn(task).await;
        bridge.fail();
    });
}

/// Calls by the server's settings as they are now, at the pace that all of its processes keep.
pub fn http_context() -> engine::Result<Arc<HttpContext>> {
    HttpContext::paced(http_config()?, crate::pace::of_server())
}

fn http_config() -> engine::Result<HttpConfig> {
    let ca_pem = crate::guc::ca_file().map(|path| crate::guc::authorities(&path)).transpose()?;
    Ok(HttpConfig { policy: crate::guc::address_policy()?, ca_pem, clock: Arc::new(SystemClock) })
}

/// What a setting says that can't be used (its file is damaged, say) must not stop the worker: it goes
/// on without, and `health` tells what is wrong.
fn http_in_any_case() -> engine::Result<Arc<HttpContext>> {
    http_context().or_else(|error| {
        log!("easysync: {}: outgoing calls go on without it", error.message);
        let config = HttpConfig {
            policy: crate::guc::address_policy().unwrap_or_default(),
            ca_pem: None,
            clock: Arc::new(SystemClock),
        };
        HttpContext::paced(config, crate::pace::of_server())
    })
}

/// Leaves the process to another database until then, or until a commit wants this one.
fn rest(slot: &Slot, until: i64) {
    slot.due_at.store(until.max(1), SeqCst);
}

/// Does a session wait for renewed tokens?
fn asks_renewal(slot: &Slot) -> bool {
    slot.renewals_asked.load(SeqCst) != slot.renewals_done.load(SeqCst)
}

/// Another database waits for the process, and here is nothing to do for a while.
fn may_leave(slot: &Slot, quiet_since: Instant, epoch: i64) -> bool {
    if !slot.asked_to_leave.load(SeqCst)
        || quiet_since.elapsed() < LINGER
        || slot.changed.load(SeqCst) != 0
        || asks_renewal(slot)
    {
        return false;
    }
    let away = host::in_transaction(|| crate::store::as_worker(|| crate::store::time_away(epoch)));
    let Ok(Some(away)) = away else {
        // Its idle time begins anew: the launcher asks another one.
        slot.asked_to_leave.store(false, SeqCst);
        slot.set_state(WorkerState::Idle);
        return false;
    };
    let away = i64::try_from(away.as_micros()).unwrap_or(i64::MAX / 2);
    rest(slot, unsafe { pg_sys::GetCurrentTimestamp() }.saturating_add(away));
    true
}

fn serve(slot: &Slot, bridge: &Bridge, epoch: i64) {
    let settings = crate::guc::outgoing();
    report(slot, false);
    bridge.woken.tell(shmem::ANYTHING);
    // Counts of what was done that nobody can see yet: Postgres takes them once a second at most.
    let mut uncounted = false;
    let mut quiet_since = Instant::now();
    loop {
        // SIGTERM ends the process here: FATAL, then stop_engine.
        pgrx::check_for_interrupts!();
        reload_configuration();
        if settings != crate::guc::outgoing() {
            log!("easysync: settings of outgoing calls have changed; the worker starts again");
            return;
        }
        if crate::memory::has_ended() {
            ending::note_fault();
            ereport!(
                FATAL,
                PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
                "easysync: out of memory; the worker starts again"
            );
        }
        if bridge.has_failed() {
            ending::note_unorderly();
            ereport!(
                FATAL,
                PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                "easysync: the engine ended; the worker starts again"
            );
        }
        let mut worked = false;
        while let Some(job) = bridge.pop() {
            if !worked {
                report(slot, true);
                worked = true;
            }
            job();
            pgrx::check_for_interrupts!();
            if crate::memory::has_ended() {
                break;
            }
        }
        if crate::store::extension_is_gone() {
            log!("easysync: the extension was dropped; its worker leaves");
            remember_missing(slot);
            return;
        }
        if worked {
            report(slot, false);
            unsafe { pg_sys::pgstat_report_stat(false) };
            uncounted = true;
            quiet_since = Instant::now();
        } else if may_leave(slot, quiet_since, epoch) {
            debug1!("easysync: worker leaves its process to another database");
            return;
        } else if uncounted {
            unsafe { pg_sys::pgstat_report_stat(true) };
            uncounted = false;
        }
        let wait = if uncounted || slot.asked_to_leave.load(SeqCst) { COUNT_MS } else { WAIT_MS };
        if host::wait(bridge, wait) {
            let changed = slot.changed.swap(0, SeqCst);
            // Being asked to leave is no reason to look for work.
            if changed != 0 || asks_renewal(slot) || !slot.asked_to_leave.load(SeqCst) {
                quiet_since = Instant::now();
                bridge.woken.tell(changed);
            }
        }
    }
}

/// Shows itself in `pg_stat_activity`, without any text of a statement.
fn report(slot: &Slot, working: bool) {
    let (state, text, own) = if working {
        (pg_sys::BackendState::STATE_RUNNING, c"easysync: working", WorkerState::Working)
    } else {
        (pg_sys::BackendState::STATE_IDLE, c"easysync: idle", WorkerState::Idle)
    };
    unsafe { pg_sys::pgstat_report_activity(state, text.as_ptr()) };
    slot.set_state(own);
}
