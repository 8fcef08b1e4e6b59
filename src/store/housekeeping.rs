//! What a worker looks after beside the syncs: retention, changes that no push takes up, and
//! confirmations that expire.

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

/// Each deletes or folds one lot, in a transaction of its own, and tells how many rows that were.
pub const LOTS: [&str; 5] = [
    "select easysync_internal.drop_old_logs()::bigint",
    "select easysync_internal.drop_old_runs()::bigint",
    "select easysync_internal.drop_old_webhooks()::bigint",
    "select easysync_internal.drop_old_notices()::bigint",
    "select easysync_internal.fold_noted_changes()",
];

/// Ends what nobody confirmed; true: there may be something to delete, too.
pub fn begin() -> DbResult<bool> {
    if spi::one::<bool>(UNCONFIRMED, &[])? == Some(true) {
        spi::run("select easysync_internal.expire_confirmations()", &[])?;
    }
    Ok(spi::one::<bool>(DUE, &[])? == Some(true))
}

/// Carries out one lot.
pub fn lot(statement: &str) -> DbResult<i64> {
    Ok(spi::one::<i64>(statement, &[])?.unwrap_or(0))
}
