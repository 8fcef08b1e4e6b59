//! The queue of jobs, with an eventfd that wakes the thread of Postgres.

use super::job;
use crate::error::{DbError, DbResult};
use crate::shmem;
use pgrx::pg_sys;
use std::collections::VecDeque;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

type Job = Box<dyn FnOnce() + Send>;

pub struct Bridge {
    jobs: Mutex<VecDeque<Job>>,
    event: OwnedFd,
    closed: AtomicBool,
    /// Jobs are subtransactions of a session's transaction, not transactions of their own.
    in_session: bool,
    /// The engine's main task has ended, which it never should.
    failed: AtomicBool,
    /// Told at every latch, for the engine's waits.
    pub woken: Woken,
}

/// Whoever waits for commits of other sessions: each is told, whether it waits just now or not.
#[derive(Debug, Default)]
pub struct Woken {
    pub for_runs: tokio::sync::Notify,
    pub for_schedules: tokio::sync::Notify,
    pub for_deliveries: tokio::sync::Notify,
    pub for_tokens: tokio::sync::Notify,
}

impl Woken {
    /// `changed`: bits of `shmem::Slot`. Runs are looked for in any case, and sessions that wait for
    /// a token, which costs no look at tables.
    pub fn tell(&self, changed: u32) {
        self.for_runs.notify_one();
        self.for_tokens.notify_one();
        if changed & shmem::SCHEDULES != 0 {
            self.for_schedules.notify_one();
        }
        if changed & shmem::DELIVERIES != 0 {
            self.for_deliveries.notify_one();
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        crate::memory::release(self.event.as_raw_fd());
    }
}

impl Bridge {
    /// The worker's: every job is a transaction.
    pub fn new() -> std::io::Result<Arc<Self>> {
        Bridge::open(false)
    }

    /// A session's: every job is a subtransaction.
    pub fn of_session() -> std::io::Result<Arc<Self>> {
        Bridge::open(true)
    }

    fn open(in_session: bool) -> std::io::Result<Arc<Self>> {
        let event = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if event < 0 {
            return Err(std::io::Error::last_os_error());
        }
        crate::memory::prepare(event);
        Ok(Arc::new(Bridge {
            jobs: Mutex::default(),
            // Just opened, owned by nobody else.
            event: unsafe { OwnedFd::from_raw_fd(event) },
            closed: AtomicBool::new(false),
            in_session,
            failed: AtomicBool::new(false),
            woken: Woken::default(),
        }))
    }

    pub fn is_session(&self) -> bool {
        self.in_session
    }

    fn jobs(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread of Postgres.
    pub fn kick(&self) {
        let one = 1u64;
        unsafe { libc::write(self.event.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    fn drain_event(&self) {
        let mut count = 0u64;
        unsafe { libc::read(self.event.as_raw_fd(), (&raw mut count).cast(), 8) };
    }

    /// The next job. None also when the memory has ended: a thread that stopped then may hold the
    /// queue for good.
    pub fn pop(&self) -> Option<Job> {
        loop {
            match self.jobs.try_lock() {
                Ok(mut jobs) => return jobs.pop_front(),
                Err(TryLockError::Poisoned(jobs)) => return jobs.into_inner().pop_front(),
                Err(TryLockError::WouldBlock) if crate::memory::has_ended() => return None,
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
    }

    /// No more jobs: whoever waits for one gets an error.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.jobs().clear();
    }

    pub fn fail(&self) {
        self.failed.store(true, Ordering::SeqCst);
        self.kick();
    }

    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// Runs `work` on the thread of Postgres, in a (sub)transaction of its own. A caller that goes
    /// away before its turn takes the job with it.
    pub async fn call<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> DbResult<R> + Send + 'static,
    ) -> DbResult<R> {
        let (answer, result) = tokio::sync::oneshot::channel();
        if !self.closed.load(Ordering::SeqCst) {
            let in_session = self.in_session;
            let job: Job = Box::new(move || {
                if !answer.is_closed() {
                    // The caller may have gone in the meantime; the work is committed all the same.
                    let _ = answer.send(match in_session {
                        true => job::in_subtransaction(work),
                        false => job::in_transaction(work),
                    });
                }
            });
            self.jobs().push_back(job);
            self.kick();
        }
        result.await.unwrap_or_else(|_| Err(DbError::new("57P01", "the worker is stopping")))
    }
}

/// Waits for the latch, a job, or the time. True: the latch was set.
pub fn wait(bridge: &Bridge, milliseconds: i64) -> bool {
    let events = pg_sys::WL_LATCH_SET
        | pg_sys::WL_SOCKET_READABLE
        | pg_sys::WL_TIMEOUT
        | pg_sys::WL_EXIT_ON_PM_DEATH;
    unsafe {
        let happened = pg_sys::WaitLatchOrSocket(
            pg_sys::MyLatch,
            events as i32,
            bridge.event.as_raw_fd(),
            milliseconds as _,
            pg_sys::PG_WAIT_EXTENSION,
        ) as u32;
        if happened & pg_sys::WL_SOCKET_READABLE != 0 {
            bridge.drain_event();
        }
        if happened & pg_sys::WL_LATCH_SET != 0 {
            pg_sys::ResetLatch(pg_sys::MyLatch);
        }
        happened & pg_sys::WL_LATCH_SET != 0
    }
}
