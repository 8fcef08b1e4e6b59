//! The pace that sessions and workers of this server keep together, in shared memory.

use crate::shmem::{PaceSlot, shared};
use engine::http::{Pace, Rate, Spacing};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use std::time::Duration;

/// None without preloading: there is no shared memory then, and no worker either.
pub fn of_server() -> Option<Arc<dyn Pace>> {
    shared().map(|_| Arc::new(SharedPace) as Arc<dyn Pace>)
}

/// What was called just before this server started counts, too: the first place is due later, by
/// microseconds that outlast the shortest window of any platform.
const BEFORE: i64 = 1_500_000;

struct SharedPace;

impl Pace for SharedPace {
    fn take(&self, account: &str, spacing: Spacing) -> Duration {
        // More accounts than slots: each process keeps its own rates, as ever.
        let Some(slot) = slot(key(account)) else { return Duration::ZERO };
        let mut due = slot.due.load(Acquire);
        loop {
            let now = now();
            let (at, next) = spacing.next(due, now);
            match slot.due.compare_exchange_weak(due, next, AcqRel, Acquire) {
                Ok(_) => return Duration::from_micros(u64::try_from(at - now).unwrap_or(0)),
                Err(newer) => due = newer,
            }
        }
    }

    /// What was called before this server started isn't known: a worker that is replaced goes on
    /// counting, a server that is replaced begins anew.
    fn turn(&self, account: &str, rate: Rate) -> Duration {
        SharedPace::window(account, rate).unwrap_or_default()
    }
}

impl SharedPace {
    fn window(account: &str, rate: Rate) -> Option<Duration> {
        let now = now();
        let at = slot(key(account))?.window.next(rate, now)?;
        u64::try_from(at - now).ok().map(Duration::from_micros)
    }
}

/// Never 0, which marks a free slot. Two accounts of one key would keep one pace: harmless.
fn key(account: &str) -> u64 {
    let digest: [u8; 32] = Sha256::digest(account.as_bytes()).into();
    let mut first = [0; 8];
    first.copy_from_slice(&digest[..8]);
    u64::from_le_bytes(first).max(1)
}

fn slot(key: u64) -> Option<&'static PaceSlot> {
    let slots = &shared()?.paces;
    let found = slots.iter().find(|slot| slot.key.load(Acquire) == key);
    found.or_else(|| {
        // Somebody may claim the same account at the same moment: then that slot is it.
        slots.iter().find(|slot| match slot.key.compare_exchange(0, key, SeqCst, Relaxed) {
            Ok(_) => {
                slot.due.fetch_max(now() + BEFORE, AcqRel);
                true
            }
            Err(holder) => holder == key,
        })
    })
}

/// Microseconds of a clock that all processes share and nobody sets.
fn now() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
}
