//! What a worker looks after beside the syncs: partitions of the log a week ahead, and retention.

use super::spi;
use crate::error::DbResult;

/// Nothing is written before the first `connect`, nor while the database is fenced.
const DUE: &str = "select exists (select from easysync_internal.connections)
       and (select f.state from easysync_internal.fence_state() as f) <> 'fenced'";

/// Runs that nobody confirmed in time (index `sync_runs_open`), and tokens of yesterday: few.
const UNCONFIRMED: &str = "select exists (select from easysync_internal.sync_runs
  where status = 'awaiting_confirmation' and confirm_until < pg_catalog.clock_timestamp()
    and tenant_id <> all ((select easysync_internal.resting_tenants())::text[]))
    or exists (select from easysync_internal.confirmations
                where expires_at < pg_catalog.clock_timestamp() - interval '1 day')";

/// Only what is missing is made, and only what is old dropped: mostly this writes nothing.
pub fn run() -> DbResult<()> {
    if spi::one::<bool>(UNCONFIRMED, &[])? == Some(true) {
        spi::run("select easysync_internal.expire_confirmations()", &[])?;
    }
    if spi::one::<bool>(DUE, &[])? != Some(true) {
        return Ok(());
    }
    spi::run("select easysync_internal.ensure_log_partitions()", &[])?;
    spi::run("select easysync_internal.drop_old_log_partitions()", &[])?;
    while spi::one::<i32>("select easysync_internal.drop_old_runs()", &[])?.unwrap_or(0) > 0 {}
    while spi::one::<i32>("select easysync_internal.drop_old_webhooks()", &[])?.unwrap_or(0) > 0 {}
    Ok(())
}
