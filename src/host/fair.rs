//! Time that code of a hub's owner takes (a trigger that sleeps, a policy that counts): it is the
//! worker's only thread of Postgres that waits. So a job has an end whatever that code does, and a
//! tenant whose hub took long waits before its next turn, while other tenants work.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A turn that is shorter costs nothing.
const FREE: Duration = Duration::from_millis(250);
/// How many times as long as its hub's code took a tenant then waits: the others have four fifths of
/// the time.
const FACTOR: u32 = 4;
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How long after its end a job is cancelled once more: its code may have caught the first time.
const INSIST_AFTER: Duration = Duration::from_secs(2);
/// How long after its end the worker ends instead, as by a fault of the runs in hand.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

static SHARED: AtomicBool = AtomicBool::new(false);
static NEXT_TURNS: LazyLock<Mutex<HashMap<String, Instant>>> = LazyLock::new(Mutex::default);

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
/// When the job in hand has to be over, in milliseconds since [`BEGAN`]; none: 0.
static DEADLINE: AtomicU64 = AtomicU64::new(0);

/// Do several tenants work here?
pub fn set_shared(shared: bool) {
    SHARED.store(shared, Relaxed);
}

/// The tenant's hub took so long.
pub fn note(tenant: &str, took: Duration) {
    if took < FREE {
        return;
    }
    let next = Instant::now() + (took * FACTOR).min(LONGEST_WAIT);
    let mut turns = NEXT_TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    turns.retain(|_, next| *next > Instant::now());
    turns.insert(tenant.to_owned(), next);
}

/// How long the tenant still has to wait for its turn.
pub fn wait_of(tenant: &str) -> Duration {
    if !SHARED.load(Relaxed) {
        return Duration::ZERO;
    }
    let turns = NEXT_TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    turns.get(tenant).map_or(Duration::ZERO, |next| next.saturating_duration_since(Instant::now()))
}

fn now() -> u64 {
    u64::try_from(BEGAN.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
}

/// The job in hand has to be over in so many milliseconds.
pub fn set_deadline(milliseconds: u64) {
    DEADLINE.store(now().saturating_add(milliseconds), Relaxed);
}

/// No job is in hand.
pub fn clear_deadline() {
    DEADLINE.store(0, Relaxed);
}

/// Watches the deadlines of the worker's jobs. Postgres' own time-out comes once, and code of the hub
/// may catch it: this cancels again and again, and at last ends the worker, which no code can catch.
/// Every thread but that of Postgres blocks signals, so that one reaches it.
pub async fn watch() {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let deadline = DEADLINE.load(Relaxed);
        let late = Duration::from_millis(now().saturating_sub(deadline));
        if deadline == 0 || late < INSIST_AFTER {
            continue;
        }
        let signal = if late < GIVE_UP_AFTER {
            libc::SIGINT
        } else {
            crate::worker::note_fault();
            libc::SIGTERM
        };
        unsafe { libc::kill(libc::getpid(), signal) };
    }
}
