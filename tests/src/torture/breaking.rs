//! How workers and servers are broken, whatever they are doing.

use crate::bed::Bed;
use crate::cluster::Stop;
use anyhow::{Result, ensure};
use std::process::Command;
use std::time::Duration;

/// Calls `function` (`pg_terminate_backend`, `pg_cancel_backend`) on the worker, if there is one.
pub fn signal_worker(bed: &mut Bed, function: &str) -> Result<()> {
    let sql = format!(
        "select {function}(pid) from pg_stat_activity
         where backend_type = 'easysync worker' and datname = current_database()"
    );
    bed.db.execute(&sql, &[])?;
    Ok(())
}

/// `kill -9`: Postgres restarts all its processes then, as after any crash. False: it was gone
/// before.
pub fn kill_worker(bed: &mut Bed) -> Result<bool> {
    let pid = bed.worker_pid()?;
    let killed = Command::new("kill").arg("-9").arg(pid.to_string()).status()?.success();
    // Our session dies with it; it may take a moment to hear of it.
    while killed && bed.db.batch_execute("select 1").is_ok() {
        std::thread::sleep(Duration::from_millis(2));
    }
    bed.reconnect_patiently()?;
    Ok(killed)
}

/// Stops the server and starts it again; how long the stop took.
pub fn stop_and_start(bed: &mut Bed, mode: Stop) -> Result<Duration> {
    if mode == Stop::Fast {
        // Its own checkpoint isn't the worker's doing.
        bed.db.batch_execute("checkpoint")?;
    }
    let took = bed.cluster.stop(mode)?;
    if mode == Stop::Fast {
        ensure!(took < Duration::from_secs(2), "a fast stop took {took:?}");
    }
    bed.cluster.start()?;
    bed.reconnect_patiently()?;
    Ok(took)
}

/// Cancels every sync that hasn't ended.
pub fn cancel_syncs(bed: &mut Bed) -> Result<()> {
    bed.db.execute(
        "select easysync.cancel(sync_id) from easysync.sync_runs
         where status in ('queued', 'running')",
        &[],
    )?;
    Ok(())
}

/// How often Postgres has restarted its processes after a crash, by the server's log.
pub fn crashes(bed: &Bed) -> usize {
    bed.cluster.log().matches("reinitializing").count()
}
