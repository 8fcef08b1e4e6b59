//! What the scheduler asks of the place where schedules are kept.

use super::Missed;
use crate::error::Result;
use crate::model::TenantId;
use async_trait::async_trait;
use jiff::Timestamp;

/// An active schedule.
#[derive(Debug, Clone)]
pub struct Scheduled {
    pub tenant: TenantId,
    /// Its name, unique in the tenant.
    pub name: String,
    pub cron: String,
    /// Name of its zone: its own, or the tenant's setting.
    pub zone: String,
    pub missed: Missed,
    /// The tenant's `missed_limit`.
    pub missed_limit: usize,
    /// Slots up to here are done with.
    pub decided: Timestamp,
}

/// What was decided about a schedule.
#[derive(Debug, Clone)]
pub struct Firing {
    pub tenant: TenantId,
    pub name: String,
    /// As it was when the decision was made: whoever changed it since has the last word.
    pub was_decided: Timestamp,
    pub decided: Timestamp,
    /// Slots to queue a run for, unless one before still runs and the schedule skips then.
    pub slots: Vec<Timestamp>,
    /// Slots that were missed.
    pub missed: usize,
}

/// Where schedules are kept. Every call is one short transaction.
#[async_trait]
pub trait ScheduleStore: Send + Sync + 'static {
    /// The active schedules of all tenants; none while the database is fenced.
    async fn active_schedules(&self) -> Result<Vec<Scheduled>>;

    /// Queues the runs and moves the schedule on, both or neither.
    async fn fire(&self, firing: Firing) -> Result<()>;

    /// Says that a schedule can't be followed: its expression or zone can't be read any more.
    async fn schedule_unreadable(&self, schedule: &Scheduled, error: &crate::Error) -> Result<()>;

    /// Resolves when somebody committed something that may concern schedules.
    async fn schedules_changed(&self);
}
