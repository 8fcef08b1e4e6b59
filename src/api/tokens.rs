//! Tokens for a session. It never renews one itself: its rollback would lose the new token, and
//! with it the grant. It asks the worker, which commits, and waits.

use super::accounts::stored_for;
use crate::shmem;
use engine::Result;
use engine::connector;
use engine::store::{Connection, Secret};
use jiff::Timestamp;
use pgrx::pg_sys;
use std::sync::atomic::Ordering::{Acquire, SeqCst};
use std::time::{Duration, Instant};

/// How long somebody waits for the worker; without an answer the platform says what is wrong.
const PATIENCE: Duration = Duration::from_secs(20);

/// Microseconds between two looks.
const PAUSE: i64 = 5_000;

/// The credentials of a stored connection, renewed where their token is about to end.
pub fn fresh(kept: &Connection) -> Result<Secret> {
    let secret = kept.credentials.clone();
    if !connector::has_aged(&kept.connector, &secret, Timestamp::now()) || !ask_worker() {
        return Ok(secret);
    }
    // What the worker committed is younger than this statement's view of the tables.
    unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot()) };
    let newer = stored_for(kept);
    // An error of Postgres unwinds past this: the transaction's end pops it then.
    unsafe { pg_sys::PopActiveSnapshot() };
    newer.map(|newer| if newer.is_empty() { secret } else { newer })
}

/// Has the worker of this database renewed what had to be?
fn ask_worker() -> bool {
    let Some(slot) = shmem::slot(unsafe { pg_sys::MyDatabaseId }) else { return false };
    if slot.latch.load(Acquire) == 0 && !slot.is_in_turn() {
        return false;
    }
    let mine = slot.renewals_asked.fetch_add(1, SeqCst).wrapping_add(1);
    slot.wake(shmem::RUNS);
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        pgrx::check_for_interrupts!();
        // Counts wrap around: the distance says which is ahead.
        if slot.renewals_done.load(Acquire).wrapping_sub(mine) < u32::MAX / 2 {
            return true;
        }
        unsafe { pg_sys::pg_usleep(PAUSE) };
    }
    false
}
