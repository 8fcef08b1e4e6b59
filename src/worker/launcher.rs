//! The launcher: on the shared catalogues only, so that it holds no database, it starts one worker
//! for each database that has the extension. Where there are more such databases than processes,
//! workers that have nothing to do leave, and come back when something is due or a commit wants them.

use super::backoff::Backoff;
use super::{database, reload_configuration, set_signals, wait_latch};
use crate::shmem::{self, Shared, Slot, WorkerState};
use pgrx::bgworkers::BackgroundWorkerBuilder;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::Ordering::{Acquire, Release, SeqCst};
use std::time::{Duration, Instant};

/// Between two looks without a wake-up: a new database tells nobody.
const LOOK_MS: i64 = 30_000;
/// The same while databases wait for a process.
const LOOK_WAITING: Duration = Duration::from_millis(500);
/// How often the same is said in the log.
const SAY_AGAIN: Duration = Duration::from_secs(3600);

enum Worker {
    Alive(*mut pg_sys::BackgroundWorkerHandle, Backoff),
    /// Not before this time, with the pause that was made.
    Waiting(Instant, Duration),
    /// The database has no extension; `create extension` tells when it has.
    NoExtension,
}

/// What the launcher knows of the server's databases.
struct Launcher {
    shared: &'static Shared,
    workers: HashMap<pg_sys::Oid, Worker>,
    /// When was it last said that there are too many databases: for the processes, for the slots?
    told: [Option<Instant>; 2],
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
    let mut launcher = Launcher { shared, workers: HashMap::new(), told: [None; 2] };
    loop {
        pgrx::check_for_interrupts!();
        reload_configuration();
        let soon = launcher.look();
        wait_latch(soon.map_or(LOOK_MS, |wait| {
            i64::try_from(wait.as_millis()).unwrap_or(LOOK_MS).clamp(10, LOOK_MS)
        }));
    }
}

fn now() -> i64 {
    unsafe { pg_sys::GetCurrentTimestamp() }
}

impl Launcher {
    /// Starts what is missing; how long until the next one is due.
    fn look(&mut self) -> Option<Duration> {
        let databases = database::list();
        self.free_slots(&databases);
        self.workers.retain(|oid, _| databases.iter().any(|(known, _)| known == oid));
        let mut soon: Option<Duration> = None;
        let mut wanted = vec![];
        for (oid, name) in databases {
            self.note_exit(oid);
            match self.wanted_in(oid) {
                Some(Duration::ZERO) => wanted.push((oid, name)),
                Some(wait) => soon = Some(soon.map_or(wait, |s| s.min(wait))),
                None => {}
            }
        }
        // Who has waited longest comes first; who has not waited yet, last.
        wanted.sort_by_key(|(oid, _)| match waiting_since(*oid) {
            0 => i64::MAX,
            since => since,
        });
        let mut wanted = wanted.into_iter();
        let mut waiting = 0;
        for (oid, name) in wanted.by_ref() {
            if !self.start(oid, &name) {
                waiting =
                    self.let_wait(oid) + wanted.map(|(oid, _)| self.let_wait(oid)).sum::<usize>();
                break;
            }
        }
        self.ask_to_leave(waiting);
        if waiting > 0 {
            self.shared.takes_turns.store(true, SeqCst);
            self.say_processes();
            soon = Some(soon.map_or(LOOK_WAITING, |s| s.min(LOOK_WAITING)));
        }
        soon
    }

    /// Of databases that are gone.
    fn free_slots(&self, databases: &[(pg_sys::Oid, String)]) {
        for slot in &self.shared.slots {
            let number = slot.database.load(Acquire);
            let gone = number != 0
                && slot.pid.load(Acquire) == 0
                && !databases.iter().any(|(oid, _)| oid.to_u32() == number);
            if gone {
                free(slot);
            }
        }
    }

    /// Takes notice of a worker that is gone: why, and when the next one may come.
    fn note_exit(&mut self, oid: pg_sys::Oid) {
        let Some(Worker::Alive(handle, backoff)) = self.workers.get(&oid) else { return };
        if is_alive(*handle) {
            return;
        }
        unsafe { pg_sys::pfree((*handle).cast()) };
        let (due, pause) = backoff.after_exit();
        let slot = shmem::slot(oid);
        let is_missing = slot.is_some_and(|slot| slot.without_extension.load(SeqCst));
        let by_order = slot.is_some_and(|slot| {
            slot.stood_aside.swap(false, SeqCst) || slot.due_at.load(SeqCst) != 0
        });
        if is_missing && !slot.is_some_and(free) {
            self.workers.insert(oid, Worker::NoExtension);
        } else if by_order || is_missing {
            self.workers.remove(&oid);
        } else {
            self.workers.insert(oid, Worker::Waiting(due, pause));
        }
    }

    /// How soon a worker is wanted in a database. None: nobody knows, or there is one. Not while
    /// someone drops or renames the database, not where the extension is missing, and not where a
    /// worker left because nothing was due, unless something has changed since.
    fn wanted_in(&self, oid: pg_sys::Oid) -> Option<Duration> {
        let slot = shmem::slot(oid);
        let wait = match self.workers.get(&oid) {
            Some(Worker::Alive(..)) => return None,
            // `create extension` takes a slot.
            Some(Worker::NoExtension) if slot.is_none() => return None,
            Some(Worker::Waiting(due, _)) => due.saturating_duration_since(Instant::now()),
            Some(Worker::NoExtension) | None => Duration::ZERO,
        };
        let Some(slot) = slot else { return Some(wait) };
        let now = now();
        if slot.pid.load(Acquire) != 0 {
            return None;
        }
        let rests = match slot.changed.load(SeqCst) {
            0 => slot.due_at.load(SeqCst),
            _ => 0,
        };
        let until = rests.max(slot.blocked_until.load(SeqCst));
        Some(wait.max(Duration::from_micros(u64::try_from(until - now).unwrap_or(0))))
    }

    /// False: there is no process for it.
    fn start(&mut self, oid: pg_sys::Oid, name: &str) -> bool {
        if shmem::claim_slot(oid).is_none() {
            self.say_slots(name);
            return true;
        }
        let pause = match self.workers.get(&oid) {
            Some(Worker::Waiting(_, pause)) => *pause,
            _ => Duration::ZERO,
        };
        let Some(handle) = register(oid, name) else { return false };
        self.workers.insert(oid, Worker::Alive(handle, Backoff::started_after(pause)));
        true
    }

    /// Notes that the database waits for a process, for as many as it is: one, or none without a slot.
    fn let_wait(&self, oid: pg_sys::Oid) -> usize {
        let Some(slot) = shmem::claim_slot(oid) else { return 0 };
        let _ = slot.waiting_since.compare_exchange(0, now(), SeqCst, SeqCst);
        1
    }

    /// Asks as many workers to leave as others wait: those that were asked before, then those that have
    /// been idle for longest.
    fn ask_to_leave(&self, waiting: usize) {
        let mut workers: Vec<_> = self
            .shared
            .slots
            .iter()
            .filter(|slot| slot.pid.load(Acquire) != 0)
            .map(|slot| {
                let works = slot.state.load(Acquire) == WorkerState::Working as u32;
                let asked = slot.asked_to_leave.load(SeqCst);
                ((!asked, works, slot.heartbeat_at.load(Acquire)), slot)
            })
            .collect();
        workers.sort_by_key(|(order, _)| *order);
        for (place, (_, slot)) in workers.iter().enumerate() {
            let asked = place < waiting;
            if slot.asked_to_leave.swap(asked, SeqCst) != asked && asked {
                shmem::set_latch(slot.latch.load(Acquire));
            }
        }
    }

    fn say_processes(&mut self) {
        if !is_due(&mut self.told[0]) {
            return;
        }
        let most = unsafe { pg_sys::max_worker_processes };
        let ours = self.shared.slots.iter().filter(|slot| slot.pid.load(Acquire) != 0).count();
        log!(
            "easysync: the worker processes are used up (max_worker_processes = {most}, {ours} of them are easysync's): databases take turns; with a process for each database, and two more, none waits"
        );
    }

    fn say_slots(&mut self, name: &str) {
        if is_due(&mut self.told[1]) {
            log!(
                "easysync: more than {} databases with the extension: \"{name}\" has no worker",
                shmem::SLOTS
            );
        }
    }
}

/// Is it time to say it (again)?
fn is_due(told: &mut Option<Instant>) -> bool {
    let due = told.is_none_or(|told| told.elapsed() >= SAY_AGAIN);
    if due {
        *told = Some(Instant::now());
    }
    due
}

/// Frees a slot. True: the extension came meanwhile.
fn free(slot: &Slot) -> bool {
    slot.without_extension.store(false, SeqCst);
    slot.stood_aside.store(false, SeqCst);
    slot.blocked_until.store(0, SeqCst);
    slot.due_at.store(0, SeqCst);
    slot.waiting_since.store(0, SeqCst);
    // In this order: see `shmem::want_worker`.
    slot.database.store(0, SeqCst);
    slot.changed.swap(0, SeqCst) & shmem::INSTALLED != 0
}

fn waiting_since(oid: pg_sys::Oid) -> i64 {
    shmem::slot(oid).map_or(0, |slot| slot.waiting_since.load(SeqCst))
}

fn is_alive(handle: *mut pg_sys::BackgroundWorkerHandle) -> bool {
    let mut pid = 0;
    let status = unsafe { pg_sys::GetBackgroundWorkerPid(handle, &raw mut pid) };
    matches!(
        status,
        pg_sys::BgwHandleStatus::BGWH_STARTED | pg_sys::BgwHandleStatus::BGWH_NOT_YET_STARTED
    )
}

fn register(oid: pg_sys::Oid, name: &str) -> Option<*mut pg_sys::BackgroundWorkerHandle> {
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
