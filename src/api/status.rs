//! The worker of this database, as shared memory shows it.

use crate::shmem::{self, WorkerState};
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

pub fn worker() -> Value {
    let slot = shmem::slot(unsafe { pg_sys::MyDatabaseId });
    let pid = slot.map_or(0, |slot| slot.pid.load(Acquire));
    let state = slot.filter(|_| pid != 0).map(|slot| slot.state.load(Acquire));
    let state = state.map(WorkerState::as_str);
    json!({
        "preloaded": shmem::is_preloaded(),
        "running": pid != 0 && matches!(state, Some("idle" | "working")),
        "pid": (pid != 0).then_some(pid),
        "state": state,
        "started_at": slot.filter(|_| pid != 0).and_then(|s| time(s.started_at.load(Acquire))),
        "heartbeat_at": slot.filter(|_| pid != 0).and_then(|s| time(s.heartbeat_at.load(Acquire))),
        "problem": slot.filter(|_| pid != 0).and_then(|s| s.problem.get()),
        "cure": slot.filter(|_| pid != 0).and_then(|s| s.cure.get()),
        "library_version": env!("CARGO_PKG_VERSION"),
    })
}
