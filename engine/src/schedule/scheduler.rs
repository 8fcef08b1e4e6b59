//! Sleeps until the next slot of any schedule, and queues the runs that are due.

use super::{Firing, ScheduleStore, Scheduled, Slots, decide};
use crate::clock::Clock;
use crate::error::Result;
use jiff::{SignedDuration, Timestamp};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// The longest sleep. Not a poll for slots: a change that was committed by somebody else's
/// `COMMIT PREPARED` wakes nobody.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);

/// After a wake-up, so that a burst of them is one look, and the look stays out of the way of the
/// work that woke us.
const PAUSE: Duration = Duration::from_millis(20);

/// After the store refused to answer.
const STORE_PAUSE: Duration = Duration::from_secs(2);

/// The worker's clockwork.
pub struct Scheduler {
    pub store: Arc<dyn ScheduleStore>,
    pub clock: Arc<dyn Clock>,
}

impl Scheduler {
    /// Fires schedules at their slots, for ever.
    pub async fn run(self) {
        let mut told = HashSet::new();
        loop {
            let Ok(next) = self.look(&mut told).await else {
                self.clock.sleep(STORE_PAUSE).await;
                continue;
            };
            let now = self.clock.now();
            let latest = now.checked_add(LONGEST).unwrap_or(Timestamp::MAX);
            tokio::select! {
                biased;
                () = self.store.schedules_changed() => self.clock.sleep(PAUSE).await,
                // Also ends when the clock is set: then everything is looked at anew.
                () = self.clock.sleep_until(next.map_or(latest, |next| next.min(latest))) => {}
            }
        }
    }

    /// Fires what is due; the next slot of all schedules. `told` holds those that can't be read and
    /// have been complained about.
    pub async fn look(&self, told: &mut HashSet<(String, String)>) -> Result<Option<Timestamp>> {
        let mut next: Option<Timestamp> = None;
        for schedule in self.store.active_schedules().await? {
            let slots = match Slots::parse(&schedule.cron, &schedule.zone) {
                Ok(slots) => slots,
                Err(error) => {
                    if told.insert((schedule.tenant.to_string(), schedule.name.clone())) {
                        self.store.schedule_unreadable(&schedule, &error).await?;
                    }
                    continue;
                }
            };
            let decided = self.settle(&schedule, &slots).await?;
            let upcoming = slots.next_after(decided.max(self.clock.now())).map(|slot| slot.at);
            next = [next, upcoming].into_iter().flatten().min();
        }
        Ok(next)
    }

    async fn settle(&self, schedule: &Scheduled, slots: &Slots) -> Result<Timestamp> {
        let now = self.clock.now();
        let (missed, limit) = (schedule.missed, schedule.missed_limit);
        let Some(decision) = decide(slots, schedule.decided, now, missed, limit) else {
            return Ok(schedule.decided);
        };
        let firing = Firing {
            tenant: schedule.tenant.clone(),
            name: schedule.name.clone(),
            was_decided: schedule.decided,
            decided: decision.until,
            slots: decision.fire,
            missed: decision.missed,
        };
        self.store.fire(firing).await?;
        Ok(decision.until)
    }
}
