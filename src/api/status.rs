//! The worker of this database, as shared memory shows it.

use crate::shmem::{self, Slot, WorkerState};
use pgrx::pg_sys;
use serde_json::{Value, json};
use std::sync::atomic::Ordering::Acquire;

/// Microseconds between the epochs of Unix and of Postgres.
const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

fn time(postgres_us: i64) -> Option<String> {
    (postgres_us != 0)
        .then(|| jiff::Timestamp::from_microsecond(postgres_us + POSTGRES_EPOCH_US).ok())
        .flatten()
        .map(|time| time.to_string())
}

/// Processes of the server's workers, and the databases that they serve.
fn server() -> Value {
    let Some(shared) = shmem::shared() else { return Value::Null };
    let taken = || shared.slots.iter().filter(|slot| slot.database.load(Acquire) != 0);
    json!({
        "databases": taken().count(),
        "most_databases": shmem::SLOTS,
        "processes": taken().filter(|slot| slot.pid.load(Acquire) != 0).count(),
        "max_worker_processes": unsafe { pg_sys::max_worker_processes },
        "takes_turns": shared.takes_turns.load(Acquire),
    })
}

/// What the worker of this database does. One without a process may rest (nothing is due) or wait for
/// a process that others have.
fn state(slot: &Slot) -> Option<&'static str> {
    let state = slot.state.load(Acquire);
    if slot.pid.load(Acquire) != 0 {
        return Some(WorkerState::as_str(state));
    }
    if slot.waiting_since.load(Acquire) != 0 {
        return Some("waiting");
    }
    match slot.due_at.load(Acquire) {
        0 => None,
        _ if state == WorkerState::VersionMismatch as u32 => Some(WorkerState::as_str(state)),
        _ => Some("resting"),
    }
}

pub fn worker() -> Value {
    let slot = shmem::slot(unsafe { pg_sys::MyDatabaseId });
    let pid = slot.map_or(0, |slot| slot.pid.load(Acquire));
    let state = slot.and_then(state);
    let waits = slot.filter(|_| state == Some("waiting"));
    let rests = slot.filter(|_| state == Some("resting"));
    json!({
        "preloaded": shmem::is_preloaded(),
        "running": matches!(state, Some("idle" | "working" | "resting" | "waiting")),
        "pid": (pid != 0).then_some(pid),
        "state": state,
        "waiting_since": waits.and_then(|s| time(s.waiting_since.load(Acquire))),
        "resting_until": rests.and_then(|s| time(s.due_at.load(Acquire))),
        "started_at": slot.filter(|_| pid != 0).and_then(|s| time(s.started_at.load(Acquire))),
        "heartbeat_at": slot.filter(|_| pid != 0).and_then(|s| time(s.heartbeat_at.load(Acquire))),
        "problem": slot.filter(|_| state.is_some()).and_then(|s| s.problem.get()),
        "cure": slot.filter(|_| state.is_some()).and_then(|s| s.cure.get()),
        "server": server(),
        "library_version": env!("CARGO_PKG_VERSION"),
    })
}
