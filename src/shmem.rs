//! Shared memory: one slot for each database with a worker. All fields are atomics, so that the
//! callback at commit can't fail and nobody ever waits for a lock here.

use engine::http::Window;
use pgrx::prelude::*;
use pgrx::shmem::*;
use pgrx::{PgAtomic, pg_shmem_init, pg_sys};
use std::cell::Cell;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicU8, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
};

/// Databases of one server that can have the extension and a worker, at once or in turns.
pub const SLOTS: usize = 256;
/// Accounts of one server whose pace is kept.
const PACES: usize = 64;

/// What a worker is doing, for `worker_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum WorkerState {
    Starting = 0,
    Idle = 1,
    Working = 2,
    /// The extension's scripts have another version than the library.
    VersionMismatch = 3,
}

impl WorkerState {
    pub fn as_str(value: u32) -> &'static str {
        match value {
            1 => "idle",
            2 => "working",
            3 => "version_mismatch",
            _ => "starting",
        }
    }
}

pub struct Slot {
    pub database: AtomicU32,
    /// Address of the worker's latch; 0: none.
    pub latch: AtomicU64,
    pub pid: AtomicI32,
    pub state: AtomicU32,
    /// Timestamps of Postgres: microseconds since 2000.
    pub started_at: AtomicI64,
    pub heartbeat_at: AtomicI64,
    /// DROP DATABASE and its kin keep the launcher away until then.
    pub blocked_until: AtomicI64,
    /// Was it DROP DATABASE or its kin that ended the worker?
    pub stood_aside: AtomicBool,
    /// The last worker found no extension here.
    pub without_extension: AtomicBool,
    /// Other databases wait for a process: the worker leaves as soon as it has nothing to do.
    pub asked_to_leave: AtomicBool,
    /// The worker left because it had nothing to do, until then or until a commit wants it; 0: it
    /// didn't.
    pub due_at: AtomicI64,
    /// Since when it waits for a process; 0: it doesn't.
    pub waiting_since: AtomicI64,
    /// Epoch of the last worker that ended by order.
    pub ended_by_order: AtomicI64,
    /// What commits since the last look may concern: [`RUNS`], [`SCHEDULES`], [`DELIVERIES`],
    /// [`INSTALLED`].
    pub changed: AtomicU32,
    /// Sessions that asked for renewed tokens so far, and how many of them have been answered.
    pub renewals_asked: AtomicU32,
    pub renewals_done: AtomicU32,
    /// Why the worker can't take syncs, and what helps; empty: it can.
    pub problem: SharedText,
    pub cure: SharedText,
}

/// Bytes of a [`SharedText`].
const TEXT_BYTES: usize = 320;

/// A short text, for people: whoever reads it while it is written may see parts of both.
pub struct SharedText {
    length: AtomicU32,
    bytes: [AtomicU8; TEXT_BYTES],
}

impl SharedText {
    fn new() -> Self {
        SharedText { length: 0.into(), bytes: std::array::from_fn(|_| 0.into()) }
    }

    /// Cut where it is too long.
    pub fn set(&self, text: &str) {
        let end = text.floor_char_boundary(TEXT_BYTES);
        self.length.store(0, Release);
        for (place, byte) in self.bytes.iter().zip(&text.as_bytes()[..end]) {
            place.store(*byte, Relaxed);
        }
        self.length.store(u32::try_from(end).unwrap_or(0), Release);
    }

    /// None: it is empty.
    pub fn get(&self) -> Option<String> {
        let length = usize::try_from(self.length.load(Acquire)).unwrap_or(0).min(TEXT_BYTES);
        let bytes: Vec<u8> = self.bytes[..length].iter().map(|b| b.load(Relaxed)).collect();
        (length > 0).then(|| String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Bits of [`Slot::changed`].
pub const RUNS: u32 = 1;
pub const SCHEDULES: u32 = 2;
pub const DELIVERIES: u32 = 4;
/// The extension came, or somebody connected something: a worker is wanted in any case.
pub const INSTALLED: u32 = 8;
/// Whatever it is.
pub const ANYTHING: u32 = RUNS | SCHEDULES | DELIVERIES;

/// The next call of an account, whoever makes it.
pub struct PaceSlot {
    /// Which account; 0: free.
    pub key: AtomicU64,
    /// When its next place is due, in microseconds of the monotonic clock.
    pub due: AtomicI64,
    /// The last calls of a lane that has a window of its own.
    pub window: Window,
}

pub struct Shared {
    pub launcher_latch: AtomicU64,
    /// Are there more databases with the extension than processes for them, so that they take turns?
    pub takes_turns: AtomicBool,
    pub slots: [Slot; SLOTS],
    pub paces: [PaceSlot; PACES],
}

// Atomics only, no pointer into a process.
unsafe impl PGRXSharedMemory for Shared {}

impl Default for Shared {
    fn default() -> Self {
        Shared {
            launcher_latch: 0.into(),
            takes_turns: false.into(),
            slots: std::array::from_fn(|_| Slot {
                database: 0.into(),
                latch: 0.into(),
                pid: 0.into(),
                state: 0.into(),
                started_at: 0.into(),
                heartbeat_at: 0.into(),
                blocked_until: 0.into(),
                stood_aside: false.into(),
                without_extension: false.into(),
                asked_to_leave: false.into(),
                due_at: 0.into(),
                waiting_since: 0.into(),
                ended_by_order: 0.into(),
                changed: 0.into(),
                renewals_asked: 0.into(),
                renewals_done: 0.into(),
                problem: SharedText::new(),
                cure: SharedText::new(),
            }),
            paces: std::array::from_fn(|_| PaceSlot {
                key: 0.into(),
                due: 0.into(),
                window: Window::new(),
            }),
        }
    }
}

static SHARED: PgAtomic<Shared> = unsafe { PgAtomic::new(c"easysync") };
static PRELOADED: AtomicBool = AtomicBool::new(false);

thread_local! {
    // What this transaction asks for at its commit.
    static WAKE: Cell<u32> = const { Cell::new(0) };
    static RESCAN: Cell<bool> = const { Cell::new(false) };
    // The database whose worker this transaction's statement sent away; 0: none.
    static ASIDE: Cell<u32> = const { Cell::new(0) };
}

pub fn init() {
    pg_shmem_init!(SHARED);
    PRELOADED.store(true, SeqCst);
    unsafe { pg_sys::RegisterXactCallback(Some(at_transaction_end), std::ptr::null_mut()) };
}

/// Was the library loaded by `shared_preload_libraries`? Without, there is no worker.
pub fn is_preloaded() -> bool {
    PRELOADED.load(Relaxed)
}

/// The shared state; None without preloading.
pub fn shared() -> Option<&'static Shared> {
    is_preloaded().then(|| SHARED.get())
}

/// The slot of a database.
pub fn slot(database: pg_sys::Oid) -> Option<&'static Slot> {
    let number = database.to_u32();
    shared()?.slots.iter().find(|slot| slot.database.load(Acquire) == number)
}

/// The slot of a database, taken if it has none yet. None: all are taken.
pub fn claim_slot(database: pg_sys::Oid) -> Option<&'static Slot> {
    let number = database.to_u32();
    slot(database).or_else(|| {
        shared()?
            .slots
            .iter()
            .find(|slot| slot.database.compare_exchange(0, number, SeqCst, Relaxed).is_ok())
    })
}

/// Sets a latch in shared memory: no allocation, no lock, can't fail.
pub fn set_latch(address: u64) {
    if address != 0 {
        unsafe { pg_sys::SetLatch(address as *mut pg_sys::Latch) }
    }
}

/// Wakes this database's worker when the transaction commits, and says what for.
pub fn wake_at_commit(what: u32) {
    WAKE.set(WAKE.get() | what);
}

/// Makes the launcher start a worker for this database when the transaction commits.
pub fn rescan_at_commit() {
    RESCAN.set(true);
}

/// Lets the launcher start this database's worker again when the transaction ends, either way.
pub fn back_at_end(database: pg_sys::Oid) {
    ASIDE.set(database.to_u32());
}

/// Wakes the launcher.
pub fn wake_launcher() {
    if let Some(shared) = shared() {
        set_latch(shared.launcher_latch.load(Acquire));
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn at_transaction_end(
    event: pg_sys::XactEvent::Type,
    _arg: *mut std::ffi::c_void,
) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
    match event {
        XACT_EVENT_COMMIT => {
            let what = WAKE.take();
            if what != 0
                && let Some(slot) = slot(unsafe { pg_sys::MyDatabaseId })
            {
                slot.wake(what);
            }
            if RESCAN.take() {
                want_worker(unsafe { pg_sys::MyDatabaseId });
            }
        }
        // A prepared transaction is committed by somebody else: the worker's poll finds it.
        XACT_EVENT_ABORT | XACT_EVENT_PREPARE => {
            WAKE.set(0);
            RESCAN.set(false);
        }
        _ => return,
    }
    let aside = ASIDE.take();
    if aside != 0 {
        if let Some(slot) = slot(pg_sys::Oid::from(aside)) {
            slot.blocked_until.store(0, SeqCst);
        }
        // Also for the database that this statement made.
        wake_launcher();
    }
}

/// Says that a database has the extension now, whether the launcher knew it or not.
fn want_worker(database: pg_sys::Oid) {
    // Where the launcher frees the slot meanwhile, which it does before it looks at `changed`, the
    // database needs another one.
    while let Some(slot) = claim_slot(database) {
        slot.changed.fetch_or(INSTALLED, SeqCst);
        if slot.database.load(SeqCst) == database.to_u32() {
            set_latch(slot.latch.load(Acquire));
            break;
        }
    }
    wake_launcher();
}

impl Slot {
    /// Wakes the worker; where there is none, the launcher, which starts one.
    pub fn wake(&self, what: u32) {
        let before = self.changed.fetch_or(what, SeqCst);
        match self.latch.load(SeqCst) {
            // Whoever set these bits before has woken it.
            0 if before & what == what => {}
            0 => wake_launcher(),
            latch => set_latch(latch),
        }
    }

    /// Is the database served, though no process is there just now?
    pub fn is_in_turn(&self) -> bool {
        self.pid.load(Acquire) == 0
            && (self.due_at.load(Acquire) != 0 || self.waiting_since.load(Acquire) != 0)
    }

    pub fn set_state(&self, state: WorkerState) {
        self.state.store(state as u32, Release);
        self.heartbeat_at.store(unsafe { pg_sys::GetCurrentTimestamp() }, Release);
    }
}
