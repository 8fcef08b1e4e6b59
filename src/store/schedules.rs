//! Schedules: the active ones, and what has been decided about them.

use super::PgStore;
use super::spi::{self, Arg, required};
use crate::error::{DbError, DbResult};
use async_trait::async_trait;
use engine::schedule::{Firing, Missed, ScheduleStore, Scheduled, Slots};
use engine::{Error, Result};
use jiff::Timestamp;

/// One of each tenant in turn: catching up with many slots takes its time, and is its tenant's own.
/// Fenced, nothing is due, nor for a tenant that rests; what passes meanwhile was missed.
const ACTIVE: &str = "select s.tenant_id, s.name, s.cron, s.zone, s.missed,
       easysync_internal.setting(s.tenant_id, 'missed_limit')::bigint,
       (extract(epoch from s.decided_at) * 1000000)::bigint
  from easysync_internal.zoned_schedules s
 where s.active and s.tenant_id <> all ((select easysync_internal.resting_tenants())::text[])
   and (select f.state from easysync_internal.fence_state() as f) in ('ok', 'verify')
 order by row_number() over (partition by s.tenant_id order by s.decided_at, s.name), s.tenant_id";

fn active() -> DbResult<Vec<Scheduled>> {
    spi::rows(ACTIVE, &[], |row| {
        let word: String = required(row, 5)?;
        let decided = Timestamp::from_microsecond(required(row, 7)?);
        Ok(Scheduled {
            tenant: required::<String>(row, 1)?.into(),
            name: required(row, 2)?,
            cron: required(row, 3)?,
            zone: required(row, 4)?,
            missed: Missed::parse(&word).map_err(|e| DbError::new("XX000", e.message))?,
            missed_limit: usize::try_from(required::<i64>(row, 6)?).unwrap_or(1),
            decided: decided.map_err(|e| DbError::new("22008", e.to_string()))?,
        })
    })
}

/// The next slot of any active schedule; also one that has passed and nothing was decided about.
pub fn next_slot() -> DbResult<Option<Timestamp>> {
    let next = active()?.into_iter().filter_map(|schedule| {
        let slots = Slots::parse(&schedule.cron, &schedule.zone).ok()?;
        slots.next_after(schedule.decided).map(|slot| slot.at)
    });
    Ok(next.min())
}

fn fire(firing: &Firing) -> DbResult<()> {
    let slots = firing.slots.iter().map(|slot| Some(slot.as_microsecond())).collect();
    spi::run(
        "select easysync_internal.fire_schedule($1, $2, $3, $4, $5, $6)",
        &[
            firing.tenant.as_str().into(),
            firing.name.as_str().into(),
            firing.was_decided.as_microsecond().into(),
            firing.decided.as_microsecond().into(),
            Arg::Ints(slots),
            i32::try_from(firing.missed).unwrap_or(i32::MAX).into(),
        ],
    )?;
    Ok(())
}

fn unreadable(schedule: &Scheduled, error: &Error) -> DbResult<()> {
    let message = format!("schedule \"{}\" can't be followed: {}", schedule.name, error.message);
    spi::run(
        "select easysync_internal.log_row($1, 'error', 'schedule', 'failed', $2, null, null, null)",
        &[schedule.tenant.as_str().into(), message.as_str().into()],
    )?;
    Ok(())
}

#[async_trait]
impl ScheduleStore for PgStore {
    async fn active_schedules(&self) -> Result<Vec<Scheduled>> {
        let schedules = self.job(active).await;
        self.note_problem("schedules", schedules.as_ref().err()).await;
        schedules
    }

    async fn fire(&self, firing: Firing) -> Result<()> {
        self.job(move || fire(&firing)).await
    }

    async fn schedule_unreadable(&self, schedule: &Scheduled, error: &Error) -> Result<()> {
        let (schedule, error) = (schedule.clone(), error.clone());
        self.job(move || unreadable(&schedule, &error)).await
    }

    async fn schedules_changed(&self) {
        self.bridge.woken.for_schedules.notified().await;
    }
}
