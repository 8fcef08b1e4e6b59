//! The background workers: a launcher for the server, a worker for each database that has the
//! extension.

mod backoff;
mod database;
mod ending;
mod launcher;
mod main_loop;
mod tokens;
mod utility;
mod webhooks;

pub use ending::{Ending, note_fault, of as ending_of};
pub use main_loop::{http_context, is_this_process};

use pgrx::bgworkers::BackgroundWorkerBuilder;
use pgrx::pg_sys;
use std::time::Duration;

/// Registers the launcher and the hook; only while the postmaster preloads.
pub fn register() {
    utility::install();
    BackgroundWorkerBuilder::new("easysync launcher")
        .set_type("easysync launcher")
        .set_library("easysync")
        .set_function("easysync_launcher_main")
        // Also: starts when recovery has finished, so that a standby stays silent.
        .enable_spi_access()
        .set_restart_time(Some(Duration::from_secs(5)))
        .load();
}

// The symbols themselves: pgrx's wrappers are Rust functions and can't be signal handlers.
unsafe extern "C-unwind" {
    #[link_name = "die"]
    fn raw_die(signal: i32);
    #[link_name = "SignalHandlerForConfigReload"]
    fn raw_reload(signal: i32);
}

/// SIGTERM ends the process at its next check for interrupts, a statement in hand included
/// (pgrx's own handler only sets a flag that statements don't look at).
fn set_signals() {
    unsafe {
        #[cfg(not(feature = "pg18"))]
        {
            pg_sys::pqsignal(libc::SIGHUP, Some(raw_reload));
            pg_sys::pqsignal(libc::SIGTERM, Some(raw_die));
        }
        #[cfg(feature = "pg18")]
        {
            pg_sys::pqsignal_be(libc::SIGHUP, Some(raw_reload));
            pg_sys::pqsignal_be(libc::SIGTERM, Some(raw_die));
        }
        pg_sys::BackgroundWorkerUnblockSignals();
    }
}

fn reload_configuration() {
    unsafe {
        if pg_sys::ConfigReloadPending != 0 {
            pg_sys::ConfigReloadPending = 0;
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
}

/// Waits for the latch or the time.
fn wait_latch(milliseconds: i64) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    unsafe {
        pg_sys::WaitLatch(
            pg_sys::MyLatch,
            events as i32,
            milliseconds as _,
            pg_sys::PG_WAIT_EXTENSION,
        );
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
}
