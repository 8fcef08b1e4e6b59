//! The launcher: on the shared catalogues only, so that it holds no database, it starts one worker
//! for each database that may have the extension.

use super::backoff::Backoff;
use super::{database, reload_configuration, set_signals, wait_latch};
use crate::shmem;
use pgrx::bgworkers::BackgroundWorkerBuilder;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::Ordering::{Acquire, Release, SeqCst};
use std::time::{Duration, Instant};

/// Between two looks without a wake-up: a new database tells nobody.
const LOOK_MS: i64 = 30_000;

enum Worker {
    Alive(*mut pg_sys::BackgroundWorkerHandle, Backoff),
    /// Not before this time, with the pause that was made.
    Waiting(Instant, Duration),
}

#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn easysync_launcher_main(_arg: pg_sys::Datum) {
    set_signals();
    unsafe {
        pg_sys::BackgroundWorkerInitializeConnection(std::ptr::null(), std::ptr::null(), 0);
    }
    let Some(shared) = shmem::shared() else { return };
    for slot in &shared.slots {
        // A launcher that died left its workers to the postmaster: they hold their own slots.
        if slot.latch.load(Acquire) == 0 {
            slot.pid.store(0, Release);
        }
    }
    shared.launcher_latch.store(unsafe { pg_sys::MyLatch } as u64, Release);
    let mut workers = HashMap::new();
    loop {
        pgrx::check_for_interrupts!();
        reload_configuration();
        let soon = start_workers(shared, &mut workers);
        wait_latch(soon.map_or(LOOK_MS, |wait| {
            i64::try_from(wait.as_millis()).unwrap_or(LOOK_MS).clamp(10, LOOK_MS)
        }));
    }
}

/// Starts what is missing; how long until the next one is due.
fn start_workers(
    shared: &shmem::Shared,
    workers: &mut HashMap<pg_sys::Oid, Worker>,
) -> Option<Duration> {
    let databases = database::list();
    free_slots(shared, &databases);
    workers.retain(|oid, _| databases.iter().any(|(known, _)| known == oid));
    let mut soon: Option<Duration> = None;
    for (oid, name) in databases {
        let pause = match workers.get(&oid) {
            Some(Worker::Alive(handle, backoff)) => {
                if is_alive(*handle) {
                    continue;
                }
                unsafe { pg_sys::pfree((*handle).cast()) };
                let (due, pause) = backoff.after_exit();
                workers.insert(oid, Worker::Waiting(due, pause));
                pause
            }
            Some(Worker::Waiting(_, pause)) => *pause,
            None => Duration::ZERO,
        };
        if !is_wanted(shared, oid) {
            continue;
        }
        if let Some(Worker::Waiting(due, _)) = workers.get(&oid) {
            let wait = due.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                soon = Some(soon.map_or(wait, |s| s.min(wait)));
                continue;
            }
        }
        match start(oid, &name) {
            Some(handle) => {
                workers.insert(oid, Worker::Alive(handle, Backoff::started_after(pause)));
            }
            None => {
                log!(
                    "easysync: no free slot for the worker of database \"{name}\"; raise max_worker_processes"
                );
            }
        }
    }
    soon
}

fn free_slots(shared: &shmem::Shared, databases: &[(pg_sys::Oid, String)]) {
    for slot in &shared.slots {
        let number = slot.database.load(Acquire);
        let gone = number != 0
            && slot.pid.load(Acquire) == 0
            && !databases.iter().any(|(oid, _)| oid.to_u32() == number);
        if gone {
            slot.without_extension.store(0, SeqCst);
            slot.blocked_until.store(0, SeqCst);
            slot.database.store(0, Release);
        }
    }
}

fn is_alive(handle: *mut pg_sys::BackgroundWorkerHandle) -> bool {
    let mut pid = 0;
    let status = unsafe { pg_sys::GetBackgroundWorkerPid(handle, &raw mut pid) };
    matches!(
        status,
        pg_sys::BgwHandleStatus::BGWH_STARTED | pg_sys::BgwHandleStatus::BGWH_NOT_YET_STARTED
    )
}

/// Not while someone drops or renames the database, and not where the extension was missing the
/// last time, unless something has changed since.
fn is_wanted(shared: &shmem::Shared, oid: pg_sys::Oid) -> bool {
    let Some(slot) = shmem::slot(oid) else { return true };
    if slot.pid.load(Acquire) != 0
        || slot.blocked_until.load(SeqCst) > unsafe { pg_sys::GetCurrentTimestamp() }
    {
        return false;
    }
    let missing = slot.without_extension.load(SeqCst);
    missing == 0 || missing != shared.rescan.load(SeqCst).wrapping_add(1)
}

fn start(oid: pg_sys::Oid, name: &str) -> Option<*mut pg_sys::BackgroundWorkerHandle> {
    let mut worker: pg_sys::BackgroundWorker =
        (&BackgroundWorkerBuilder::new(&format!("easysync worker [{name}]"))
            .set_type("easysync worker")
            .set_library("easysync")
            .set_function("easysync_worker_main")
            .enable_spi_access()
            .set_argument(Some(pg_sys::Datum::from(oid.to_u32())))
            .set_notify_pid(unsafe { pg_sys::MyProcPid }))
            .into();
    let mut handle = std::ptr::null_mut();
    unsafe { pg_sys::RegisterDynamicBackgroundWorker(&raw mut worker, &raw mut handle) }
        .then_some(handle)
}
