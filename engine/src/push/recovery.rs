//! What became of calls whose answer nobody heard: the same again while it is fresh, else the
//! platform is asked.

use super::Push;
use super::store::{ItemOutcome, OpenCall, Settled};
use super::target::{Found, Item};
use crate::error::Result;
use crate::plan::Action;
use jiff::SignedDuration;

/// How long a repetition with the same id is believed to be told by the platform. How long it
/// remembers ids is not documented (quickbooks.md, section 2).
const FRESH: SignedDuration = SignedDuration::from_mins(5);

impl Push {
    /// Settles every open intent of the account. An error: the platform can't be asked now, and
    /// nothing may be planned on top of what nobody knows.
    pub(super) async fn recover(&self) -> Result<()> {
        for open in self.store.open_calls(self.stream()).await? {
            self.check_cancel()?;
            let age = self.clock.now().duration_since(open.at);
            let asks =
                |item: &Item| item.action == Action::Skip || self.target.asks_before_resend(item);
            let asks = open.call.items.iter().any(asks);
            match age < FRESH && !asks {
                true => self.send_call(open.call).await?,
                false => self.ask(open).await?,
            }
        }
        Ok(())
    }

    async fn ask(&self, open: OpenCall) -> Result<()> {
        let mut outcomes = vec![];
        for item in open.call.items {
            self.check_cancel()?;
            // A change of a record goes out again: if it was done, its version is stale, and the
            // refetch shows that the record is as it should be.
            let outcome = match item.action {
                Action::Create | Action::Skip => match self.target.find(&item).await? {
                    Found::Ours(ack) if item.action == Action::Skip => self.adopted(&item, ack),
                    Found::Ours(ack) => self.recognized(&item, ack),
                    Found::Other(error) => ItemOutcome::Failed { error, conflict: None },
                    Found::Nothing => ItemOutcome::Planned,
                },
                _ => ItemOutcome::Planned,
            };
            outcomes.push((item, outcome));
        }
        let settled = Settled {
            request_id: open.call.request_id,
            http_status: None,
            trace: None,
            items: outcomes,
        };
        self.store.settle(&self.run, &self.step, &settled, self.target.take_spent()).await
    }
}
