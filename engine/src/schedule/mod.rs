//! When a schedule fires. Pure: a cron expression, a time zone and the present time go in, slots
//! come out; [`Scheduler`] sleeps until the next one.
//!
//! Rules, the same for people and for the reference test (`tests/schedules/reference.py`):
//!
//! * Slots are times of the wall clock in the schedule's zone (the system's tz database).
//! * Where the hours leave any out (`30 2 * * *`, `0 */2 * * *`, `0 8-18 * * *`), each of the day's
//!   times runs once: one that doesn't exist (the clock goes forward) right after the change, one
//!   that happens twice (the clock goes back) the first time. Several that fall into the same
//!   missing hour run once.
//! * Where every hour counts (`*`, `0-23`), elapsed time counts: what the clock shows at that
//!   moment decides, so that a missing hour has no slot and an hour that happens twice has its slots
//!   twice, and no interval becomes longer or shorter.
//! * Day of month and day of week join by OR when both are restricted, as in every cron.

mod cron;
mod decide;
mod scheduler;
mod slots;
mod store;
#[cfg(test)]
mod tests;

pub use cron::CronExpression;
pub use decide::{Decision, Missed, PUNCTUAL, decide};
pub use scheduler::Scheduler;
pub use slots::{Slot, Slots, zone};
pub use store::{Firing, ScheduleStore, Scheduled};
