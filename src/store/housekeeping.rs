//! What a worker looks after beside the syncs: retention, and confirmations that expire.

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

/// Only what is old is deleted: mostly this writes nothing.
pub fn run() -> DbResult<()> {
    if spi::one::<bool>(UNCONFIRMED, &[])? == Some(true) {
        spi::run("select easysync_internal.expire_confirmations()", &[])?;
    }
    if spi::one::<bool>(DUE, &[])? != Some(true) {
        return Ok(());
    }
    while spi::one::<i32>("select easysync_internal.drop_old_logs()", &[])?.unwrap_or(0) > 0 {}
    while spi::one::<i32>("select easysync_internal.drop_old_runs()", &[])?.unwrap_or(0) > 0 {}
    while spi::one::<i32>("select easysync_internal.drop_old_webhooks()", &[])?.unwrap_or(0) > 0 {}
    Ok(())
}
