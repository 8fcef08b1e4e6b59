//! The engine in an ordinary session: for calls that must answer at once. Interruptible, and no
//! thread is left behind, whichever way it ends.

use super::bridge::{Bridge, wait};
use super::runtime::{SHUTDOWN, build_runtime};
use engine::{Error, Result};
use std::future::Future;
use std::sync::{Arc, mpsc};
use tokio::runtime::Runtime;

/// Ends the runtime when the session's call ends, an error raised by Postgres included.
struct Guard {
    runtime: Option<Runtime>,
    bridge: Arc<Bridge>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.bridge.close();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(SHUTDOWN);
        }
    }
}

/// Runs `work` on a side thread while this one stays open to Ctrl-C, and returns its answer. The
/// work may not call Postgres.
pub fn block_on<R: Send + 'static>(work: impl Future<Output = R> + Send + 'static) -> Result<R> {
    block_on_with(|_| work)
}

/// As [`block_on`], for work that has jobs for this session: each is carried out by this thread, in
/// a subtransaction.
pub fn block_on_with<R: Send + 'static, F: Future<Output = R> + Send + 'static>(
    work: impl FnOnce(Arc<Bridge>) -> F,
) -> Result<R> {
    let bridge = Bridge::of_session().map_err(|e| Error::internal(format!("no event: {e}")))?;
    let runtime = build_runtime(1).map_err(|e| Error::internal(format!("no thread: {e}")))?;
    let (answer, result) = mpsc::channel();
    let done = Arc::clone(&bridge);
    let work = work(Arc::clone(&bridge));
    runtime.spawn(async move {
        // Nobody listens any more when the session was cancelled.
        let _ = answer.send(work.await);
        done.kick();
    });
    let _guard = Guard { runtime: Some(runtime), bridge: Arc::clone(&bridge) };
    loop {
        pgrx::check_for_interrupts!();
        if crate::memory::has_ended() {
            // Not as an error: the guard would wait for threads that have stopped.
            pgrx::ereport!(
                FATAL,
                pgrx::PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
                "easysync: out of memory; this session ends"
            );
        }
        while let Some(job) = bridge.pop() {
            job();
        }
        match result.try_recv() {
            Ok(found) => return Ok(found),
            Err(mpsc::TryRecvError::Disconnected) => {
                return Err(Error::internal("the call ended without an answer"));
            }
            Err(mpsc::TryRecvError::Empty) => {
                wait(&bridge, 100);
            }
        }
    }
}
