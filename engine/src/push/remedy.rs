//! What helps against a refusal of one record, as far as a machine can.

use super::Push;
use super::sending::done;
use super::store::{ItemOutcome, Settled};
use super::target::{Answer, Call, Cure, Found, Item, Refetched, Reresolved};
use crate::error::{Error, Result};
use crate::plan::Action;
use std::sync::atomic::Ordering;

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
                    Found::Ours(ack) => self.adopted(item, ack),
                    Found::Other(error) => failed(error),
                    Found::Nothing => failed(error),
                })
            }
            Cure::Reresolve => self.reresolve(item, error).await,
            Cure::Leave => self.leave(item, error).await,
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
                Refetched::Rebase { version, members } => {
                    item.version = Some(version);
                    if let Some(body) = item.body.as_object_mut() {
                        body.extend(members);
                    }
                }
            }
            item.request_id = self.target.request_id(&item);
            let call = self.target.call(vec![item.clone()]);
            self.store.intend(&self.run, &self.step, &call).await?;
            let sent = self.target.send(&call).await;
            let Some(answer) = sent.answers.into_iter().next() else { break };
            let (outcome, newer) = match answer {
                Answer::Done(ack) => (done(&item, ack), None),
                Answer::Unknown(error) => (ItemOutcome::Unknown(error), None),
                Answer::Refused { error, cure: Cure::Refetch } => {
                    (ItemOutcome::Planned, Some(error))
                }
                Answer::Refused { error, .. } | Answer::NotSent(error) => (failed(error), None),
            };
            self.settle_rebased(call, &outcome, sent.http_status, sent.trace).await?;
            match newer {
                Some(newer) => error = newer,
                None => return Ok(outcome),
            }
        }
        Ok(failed(error))
    }

    /// The change isn't asked for again, unless something else changes with it.
    async fn leave(&self, item: &Item, error: Error) -> Result<ItemOutcome> {
        let remote_id = item.remote_id.as_deref().unwrap_or_default();
        let link = self.store.link(self.stream(), item.entity, remote_id).await?;
        let ack = link.and_then(|link| self.target.left(item, &link));
        Ok(ack.map_or(failed(error), |ack| ItemOutcome::Done { ack, problem: None }))
    }

    /// What the item names was looked for again: the same change with its new id, or a plan that
    /// knows that it is gone. Once: a second refusal stands.
    async fn reresolve(&self, item: &Item, error: Error) -> Result<ItemOutcome> {
        let body = match self.target.reresolve(item).await? {
            Reresolved::Nothing => return Ok(failed(error)),
            Reresolved::Unusable(error) => return Ok(failed(error)),
            Reresolved::Gone { entity, remote_id } => {
                let unlinked = self.store.unlink(self.stream(), entity, &remote_id).await?;
                self.replan.fetch_or(unlinked, Ordering::Relaxed);
                return Ok(failed(error));
            }
            Reresolved::Body(body) => body,
        };
        let mut item = Item { body, ..item.clone() };
        item.request_id = self.target.request_id(&item);
        let call = self.target.call(vec![item.clone()]);
        self.store.intend(&self.run, &self.step, &call).await?;
        let sent = self.target.send(&call).await;
        let outcome = match sent.answers.into_iter().next() {
            Some(Answer::Done(ack)) => done(&item, ack),
            Some(Answer::Unknown(error)) => ItemOutcome::Unknown(error),
            Some(Answer::Refused { error, .. } | Answer::NotSent(error)) => failed(error),
            None => failed(error),
        };
        self.settle_rebased(call, &outcome, sent.http_status, sent.trace).await?;
        Ok(outcome)
    }

    /// Closes the intent of a rebased write, so that nobody sends it again. What it did is committed
    /// with it; a refusal is told by the write that it stands for.
    async fn settle_rebased(
        &self,
        call: Call,
        outcome: &ItemOutcome,
        http_status: Option<u16>,
        trace: Option<String>,
    ) -> Result<()> {
        let outcome = match outcome {
            ItemOutcome::Failed { .. } => ItemOutcome::Planned,
            other => other.clone(),
        };
        let items = call.items.into_iter().map(|item| (item, outcome.clone())).collect();
        let settled = Settled { request_id: call.request_id, http_status, trace, items };
        self.store.settle(&self.run, &self.step, &settled, self.target.take_spent()).await
    }
}

fn failed(error: Error) -> ItemOutcome {
    ItemOutcome::Failed { error, conflict: None }
}
