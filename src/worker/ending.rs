//! How a worker ended, for the one that comes after it: by order (an operator, a stop of the server),
//! by a fault of its own (a crash, memory that ended), or nobody knows (`kill -9`, the end of the
//! machine, a crash of another process of the cluster). Only faults are held against the runs that it
//! had in hand; see `store/runs.rs`.
//!
//! By order is told in shared memory, which outlives the worker and not a crash. A fault is told by a
//! file below `pg_stat_tmp`, which outlives both and is in no base backup.

use crate::shmem;
use pgrx::pg_sys;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{
    AtomicBool, AtomicI64,
    Ordering::{Acquire, Release},
};

/// How the worker of an epoch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    ByOrder,
    Fault,
    Unknown,
}

/// Where a fault is told; made before one can happen, since telling it may allocate nothing.
static FILE: OnceLock<CString> = OnceLock::new();
static EPOCH: AtomicI64 = AtomicI64::new(0);
/// It doesn't end by order.
static UNORDERLY: AtomicBool = AtomicBool::new(false);

/// Signals that a fault of the program raises.
const FAULTS: [i32; 5] = [libc::SIGABRT, libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

/// This process is the worker of that epoch from now on.
pub fn begin(epoch: i64) {
    EPOCH.store(epoch, Release);
    let _ = FILE.set(file(unsafe { pg_sys::MyDatabaseId }));
    for signal in FAULTS {
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = at_fault as *const () as usize;
            action.sa_flags = libc::SA_RESETHAND | libc::SA_NODEFER;
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
    }
}

/// Below the data directory, which is every backend's working directory.
fn file(database: pg_sys::Oid) -> CString {
    CString::new(format!("pg_stat_tmp/easysync_{}.fault", database.to_u32())).unwrap_or_default()
}

/// Tells the fault and lets the signal do what it does without us: it comes again.
extern "C" fn at_fault(signal: i32) {
    note_fault();
    unsafe { libc::raise(signal) };
}

/// The worker ends by a fault. Safe in a handler of signals and without memory.
pub fn note_fault() {
    UNORDERLY.store(true, Release);
    let Some(file) = FILE.get() else { return };
    let epoch = EPOCH.load(Acquire).to_ne_bytes();
    unsafe {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC | libc::O_CLOEXEC;
        let to = libc::open(file.as_ptr(), flags, 0o600);
        if to >= 0 {
            libc::write(to, epoch.as_ptr().cast(), epoch.len());
            libc::close(to);
        }
    }
}

/// The worker ends, neither by order nor by a fault that is a run's.
pub fn note_unorderly() {
    UNORDERLY.store(true, Release);
}

/// At the end of the process: by order, unless it was told otherwise.
pub fn note_end(slot: &shmem::Slot) {
    if !UNORDERLY.load(Acquire) {
        slot.ended_by_order.store(EPOCH.load(Acquire), Release);
    }
}

/// How the worker of that epoch ended, in this database.
pub fn of(epoch: i64) -> Ending {
    let database = unsafe { pg_sys::MyDatabaseId };
    let by_order = shmem::slot(database).map(|slot| slot.ended_by_order.load(Acquire));
    if by_order == Some(epoch) {
        return Ending::ByOrder;
    }
    let file = file(database);
    let told = std::fs::read(path(&file)).ok();
    match told.and_then(|told| <[u8; 8]>::try_from(told).ok()) {
        Some(told) if i64::from_ne_bytes(told) == epoch => Ending::Fault,
        _ => Ending::Unknown,
    }
}

fn path(file: &CStr) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(file.to_bytes()))
}
