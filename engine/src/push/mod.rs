//! A push: brings one account in step with the hub.
//!
//! ```text
//! queue -> claim -> plan -> gate -> intent -> send -> settle
//! ```
//!
//! [`planning`] makes the plan in pages and stores it, the gate ([`crate::plan::Gate`]) lets it
//! through or waits for a person, [`sending`] sends it, each call stored as an intent before and
//! settled after. [`recovery`] asks what became of calls whose answer nobody heard. Delivery is at
//! least once with idempotent writes: see design.md, section 2.

pub mod hub_undo;
mod planning;
mod preview;
mod recovery;
mod remedy;
mod sending;
pub mod store;
pub mod target;
pub mod undo;
mod walk;

pub use preview::{Preview, too_large};
pub use walk::Walk;

#[cfg(test)]
mod tests;

use crate::clock::Clock;
use crate::error::Result;
use crate::model::{Entity, Mode};
use crate::store::{Counts, Run, Step, Stream};
use jiff::SignedDuration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use store::{PushStore, Root, Scope};
use target::Target;
use tokio_util::sync::CancellationToken;

/// How old the last comparison of all records may be before an incremental run makes another: the
/// triggers of the hub are the fast path, not the truth.
const SWEEP: SignedDuration = SignedDuration::from_hours(24);

/// Everything a push of one step works with.
pub struct Push {
    pub store: Arc<dyn PushStore>,
    pub target: Arc<dyn Target>,
    pub clock: Arc<dyn Clock>,
    pub cancel: CancellationToken,
    pub run: Run,
    pub step: Step,
    /// Something that was found there asks for another plan. False at first.
    pub replan: AtomicBool,
}

/// How a step's push ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Done(Counts),
    /// The plan waits for a person.
    Waits,
}

impl Push {
    /// Carries out the step. Records that fail are counted, not returned as an error; an error
    /// means that the push itself could not go on. Claims are given back then.
    pub async fn carry_out(&self) -> Result<End> {
        let result = self.steps().await;
        if !matches!(result, Ok(End::Done(_))) {
            self.store.release(&self.run, &self.step).await?;
        }
        result
    }

    async fn steps(&self) -> Result<End> {
        self.prepare().await?;
        let kept = self.store.kept_plan(&self.run, &self.step).await?;
        if !self.run.dry_run {
            // What was sent before and never answered comes first: nothing may be planned on top
            // of what nobody knows.
            self.recover().await?;
        }
        let released = kept.as_ref().is_some_and(|plan| plan.released);
        if !released && !self.plan_and_gate(kept).await? {
            return Ok(End::Waits);
        }
        if !self.run.dry_run {
            self.replan.store(false, Ordering::Relaxed);
            self.send_all().await?;
            // Once: what is found while that is sent waits for the next run.
            if self.replan.load(Ordering::Relaxed) {
                if !self.plan_and_gate(None).await? {
                    return Ok(End::Waits);
                }
                self.send_all().await?;
            }
        }
        self.report_spent().await?;
        Ok(End::Done(self.store.finish(&self.run, &self.step).await?))
    }

    async fn prepare(&self) -> Result<()> {
        let lost_since = self.store.verify_since(self.stream()).await?;
        self.target.prepare(lost_since).await
    }

    fn stream(&self) -> &Stream {
        &self.step.stream
    }

    /// The kinds of records that this step begins with. Customers and products reach the account
    /// when an order needs them, and are kept in step from then on; asked for by themselves they
    /// are all sent.
    fn roots(&self) -> Vec<Root> {
        let root = |entity, linked_only| Root { entity, linked_only };
        match self.stream().entity {
            Entity::Orders if self.run.mode == Mode::Ids => vec![root(Entity::Orders, false)],
            Entity::Orders => vec![
                root(Entity::Customers, true),
                root(Entity::Products, true),
                root(Entity::Orders, false),
            ],
            // A refund is written with its order.
            Entity::Refunds => vec![root(Entity::Orders, false)],
            entity => vec![root(entity, false)],
        }
    }

    /// What this run looks at; the second: whether it compares all records.
    async fn scope(&self) -> Result<(Scope, bool)> {
        if let (Mode::Ids, Some(ids)) = (self.run.mode, &self.run.ids) {
            let scope = match self.stream().entity {
                Entity::Refunds => Scope::OrdersOfRefunds(ids.clone()),
                _ => Scope::Ids(ids.clone()),
            };
            return Ok((scope, false));
        }
        if self.run.mode == Mode::Full {
            return Ok((Scope::Walk, true));
        }
        let last = self.store.last_sweep(self.stream()).await?;
        let due = last.is_none_or(|last| self.clock.now().duration_since(last) >= SWEEP);
        match due {
            true => Ok((Scope::Walk, true)),
            false => Ok((Scope::Queue, false)),
        }
    }

    async fn report_spent(&self) -> Result<()> {
        let spent = self.target.take_spent();
        if spent != store::Spent::default() {
            self.store.spent(&self.run, &self.step, spent).await?;
        }
        Ok(())
    }

    fn check_cancel(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(crate::Error::cancelled());
        }
        Ok(())
    }
}
