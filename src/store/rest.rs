//! How long a worker may leave its process to another database.

use super::schedules;
use super::spi;
use crate::error::DbResult;
use jiff::Timestamp;
use std::time::Duration;

/// The longest: housekeeping, the look after webhooks and commits of prepared transactions wake
/// nobody.
const MOST: Duration = Duration::from_secs(600);
/// For less than this it isn't worth it.
const LEAST: Duration = Duration::from_secs(2);

const IN_HAND: &str = "select exists (select from easysync_internal.sync_runs
  where status = 'running' and worker_epoch = $1)";

/// What couldn't be taken at once, and is looked at again and again.
const HELD: &str = "select exists (select from easysync_internal.sync_runs
                     where status in ('queued', 'running'))
    or exists (select from easysync_internal.webhook_events
                where status in ('received', 'accepted') and sync_id is null)";

/// How long nothing will be due here; None: something is in hand, or is due soon. `epoch`: of this
/// worker's claims.
pub fn time_away(epoch: i64) -> DbResult<Option<Duration>> {
    if spi::one::<bool>(IN_HAND, &[epoch.into()])? == Some(true) {
        return Ok(None);
    }
    let mut away = MOST;
    if spi::one::<bool>(HELD, &[])? == Some(true) {
        away = away.min(crate::guc::poll_interval()).max(LEAST);
    }
    if let Some(slot) = schedules::next_slot()? {
        // One that has passed is about to be taken.
        let wait = slot.duration_since(Timestamp::now());
        away = away.min(wait.try_into().unwrap_or(Duration::ZERO));
    }
    Ok((away >= LEAST).then_some(away))
}
