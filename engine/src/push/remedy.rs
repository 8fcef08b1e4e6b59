//! What helps against a refusal of one record, as far as a machine can.

use super::Push;
use super::sending::done;
use super::store::ItemOutcome;
use super::target::{Answer, Cure, Found, Item, Refetched};
use crate::error::{Error, Result};
use crate::plan::Action;

/// How often a change is put on a newer version of its record.
const REBASES: usize = 3;

impl Push {
    /// The outcome of a refused item, after what its cure allows.
    pub(super) async fn remedy(
        &self,
        item: &Item,
        error: Error,
        cure: Cure,
    ) -> Result<ItemOutcome> {
        match cure {
            Cure::Refetch if item.remote_id.is_some() => self.rebase(item, error).await,
            Cure::LookUp if item.action == Action::Create => {
                Ok(match self.target.find(item).await? {
                    Found::Ours(ack) => done(item, ack),
                    Found::Other(error) => failed(error),
                    Found::Nothing => failed(error),
                })
            }
            Cure::Retry { after } => Ok(failed(error.retry_after(after).retryable(true))),
            _ => Ok(failed(error)),
        }
    }

    /// The record was written to by somebody else. Where nothing that we write has moved, the same
    /// change goes out on the new version, as a new wish with a new id; else it is a conflict.
    async fn rebase(&self, item: &Item, mut error: Error) -> Result<ItemOutcome> {
        let remote_id = item.remote_id.as_deref().unwrap_or_default();
        let link = self.store.link(self.stream(), item.entity, remote_id).await?;
        let mut item = item.clone();
        for _ in 0..REBASES {
            self.check_cancel()?;
            match self.target.refetch(&item, link.as_ref()).await? {
                Refetched::Conflict { error, fields } => {
                    return Ok(ItemOutcome::Failed { error, conflict: Some(fields) });
                }
                Refetched::Gone(error) => return Ok(failed(error)),
                Refetched::Already(ack) => return Ok(done(&item, ack)),
                Refetched::Rebase { version } => item.version = Some(version),
            }
            item.request_id = self.target.request_id(&item);
            let call = self.target.call(vec![item.clone()]);
            self.store.intend(&self.run, &self.step, &call).await?;
            let answer = self.target.send(&call).await.answers.into_iter().next();
            match answer {
                Some(Answer::Done(ack)) => return Ok(done(&item, ack)),
                Some(Answer::Unknown(error)) => return Ok(ItemOutcome::Unknown(error)),
                Some(Answer::Refused { error: newer, cure: Cure::Refetch }) => error = newer,
                Some(Answer::Refused { error, .. }) => return Ok(failed(error)),
                Some(Answer::NotSent(error)) => return Ok(failed(error)),
                None => break,
            }
        }
        Ok(failed(error))
    }
}

fn failed(error: Error) -> ItemOutcome {
    ItemOutcome::Failed { error, conflict: None }
}
