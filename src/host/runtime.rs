//! The tokio runtime beside Postgres.

use std::time::Duration;

/// How long the end of a runtime may take: blocking calls of the system's resolver are left behind.
pub const SHUTDOWN: Duration = Duration::from_millis(200);

/// A runtime whose threads see no signal: they inherit a mask that blocks all of them, so that
/// every signal reaches the thread of Postgres.
pub fn build_runtime(threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .max_blocking_threads(4)
            .thread_name("easysync")
            .enable_all()
            .build();
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        runtime
    }
}
