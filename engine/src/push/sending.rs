//! Sends a plan: wave by wave, each call stored as an intent before it goes out, and settled after.

use super::Push;
use super::store::{Dependency, ItemOutcome, Settled};
use super::target::{Ack, Answer, Call, Cure, Found, Item, Sent};
use crate::error::{Category, Error, Result};
use crate::model::Entity;
use crate::plan::{Action, Change, Key, Status};
use futures_util::future::join_all;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often the same call goes out again soon after an answer that didn't come.
const RESENDS: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// What is ready to be sent, and what can't be.
#[derive(Default)]
struct Ready {
    items: Vec<Item>,
    blocked: Vec<(Change, Dependency)>,
}

impl Push {
    /// Sends everything that is planned. Errors: access, limits, network, cancelled. What has been
    /// sent is settled then, what hasn't stays planned.
    pub(super) async fn send_all(&self) -> Result<()> {
        let verify = self.store.verify_since(self.stream()).await?.is_some();
        let most = self.target.batch_size() * self.target.concurrency().max(1);
        loop {
            self.check_cancel()?;
            let changes = self.next_wave(most).await?;
            let Some(first) = changes.first().map(|change| change.change_id) else {
                // What nobody has answered for is asked for once more before the step ends.
                return self.recover().await;
            };
            let ready = self.resolve(changes).await?;
            if ready.items.is_empty() && ready.blocked.is_empty() {
                // Or this would go on for ever.
                let message = format!("change {first} is planned and has nothing to send");
                return Err(Error::internal(message));
            }
            if !ready.blocked.is_empty() {
                self.store.block(&self.run, &self.step, ready.blocked).await?;
            }
            let items = self.ask_first(ready.items, verify).await?;
            self.send_wave(items).await?;
        }
    }

    /// Changes of one wave: the next wave may need what this one makes.
    async fn next_wave(&self, most: usize) -> Result<Vec<Change>> {
        let mut changes = self.store.unsent(&self.run, &self.step, most).await?;
        let wave = changes.first().map(|change| change.wave);
        changes.retain(|change| Some(change.wave) == wave);
        Ok(changes)
    }

    /// Puts the ids in the place of their placeholders.
    async fn resolve(&self, changes: Vec<Change>) -> Result<Ready> {
        let mut ids: Vec<i32> = changes.iter().flat_map(|c| c.depends_on.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        let known = match ids.is_empty() {
            true => HashMap::new(),
            false => self.store.dependencies(&self.run, ids).await?,
        };
        let mut ready = Ready::default();
        for change in changes {
            let obstacle = change.depends_on.iter().find_map(|id| match known.get(id) {
                Some(Dependency { status: Status::Done, remote_id: Some(_), .. }) => None,
                Some(dependency) => Some(dependency.clone()),
                None => Some(lost(&change)),
            });
            match obstacle {
                Some(dependency) => ready.blocked.push((change, dependency)),
                None => ready.items.extend(self.item(change, &known)?),
            }
        }
        Ok(ready)
    }

    /// A change as it is sent; None where it has nothing to send.
    fn item(&self, change: Change, known: &HashMap<i32, Dependency>) -> Result<Option<Item>> {
        let draft = change.draft;
        let Some(mut payload) = draft.payload else { return Ok(None) };
        let ids: BTreeMap<&Key, &str> = payload
            .refs
            .iter()
            .filter_map(|(key, id)| Some((key, known.get(id)?.remote_id.as_deref()?)))
            .collect();
        fill(&mut payload.body, &ids)?;
        let mut item = Item {
            change_id: change.change_id,
            key: payload.key,
            entity: draft.entity,
            hub_id: draft.hub_id,
            record_id: draft.record_id,
            label: draft.label,
            target: draft.target,
            action: draft.action,
            body: payload.body,
            remote_id: payload.remote_id,
            version: payload.version,
            revision: payload.revision,
            number: payload.number,
            total: payload.total,
            memo: payload.memo,
            request_id: String::new(),
        };
        item.request_id = self.target.request_id(&item);
        Ok(Some(item))
    }

    /// What is to be created may be there already: by hand, or (`verify`) since intents may have
    /// been lost. What is there already gets its link.
    async fn ask_first(&self, items: Vec<Item>, verify: bool) -> Result<Vec<Item>> {
        let mut left = vec![];
        for item in items {
            self.check_cancel()?;
            let asks = match item.action {
                Action::Create => verify || self.target.asks_before_create(&item),
                action => action == Action::Skip,
            };
            if !asks {
                left.push(item);
                continue;
            }
            match self.target.find(&item).await? {
                Found::Nothing if item.action == Action::Skip => {
                    self.settle_found(item, Found::Other(gone())).await?;
                }
                Found::Nothing => left.push(item),
                found => self.settle_found(item, found).await?,
            }
        }
        Ok(left)
    }

    /// What was found in the place of a create is adopted, or needs a person.
    pub(super) async fn settle_found(&self, item: Item, found: Found) -> Result<()> {
        let outcome = match found {
            Found::Nothing => ItemOutcome::Planned,
            Found::Ours(ack) => self.adopted(&item, ack),
            Found::Other(error) => ItemOutcome::Failed { error, conflict: None },
        };
        let call = self.target.call(vec![item]);
        self.store.intend(&self.run, &self.step, &call).await?;
        let settled = Settled {
            request_id: call.request_id,
            http_status: None,
            trace: None,
            items: call.items.into_iter().map(|item| (item, outcome.clone())).collect(),
        };
        self.store.settle(&self.run, &self.step, &settled, self.target.take_spent()).await
    }

    /// It is there already. Where it stays another kind of record than was planned, the plan was
    /// made without knowing it.
    pub(super) fn adopted(&self, item: &Item, ack: Ack) -> ItemOutcome {
        self.recognized(item, Ack { found: true, ..ack })
    }

    /// As [`Push::adopted`], of what an earlier try of this very write made.
    pub(super) fn recognized(&self, item: &Item, ack: Ack) -> ItemOutcome {
        self.replan.fetch_or(ack.stays.is_some(), Ordering::Relaxed);
        done(item, ack)
    }

    /// Sends the items in as few calls as there can be, several at once. The first error that
    /// stops the step counts; every call that went out is settled.
    async fn send_wave(&self, items: Vec<Item>) -> Result<()> {
        let size = self.target.batch_size().max(1);
        let mut calls: Vec<Call> = vec![];
        for items in items.chunks(size) {
            let mut call = self.target.call(items.to_vec());
            while self.store.was_refused(self.stream(), &call.request_id).await? {
                call = self.target.anew(call);
            }
            self.store.intend(&self.run, &self.step, &call).await?;
            calls.push(call);
        }
        let results = join_all(calls.into_iter().map(|call| self.send_call(call))).await;
        results.into_iter().collect()
    }

    /// Sends one call whose intent is stored, and settles it.
    pub(super) async fn send_call(&self, call: Call) -> Result<()> {
        let sent = self.send_until_known(&call).await;
        let mut stop = None;
        let mut outcomes = vec![];
        for (item, answer) in call.items.into_iter().zip(sent.answers) {
            let (outcome, error) = self.judge(&item, answer).await?;
            if let Some(error) = error {
                stop.get_or_insert(error);
            }
            outcomes.push((item, outcome));
        }
        let settled = Settled {
            request_id: call.request_id,
            http_status: sent.http_status,
            trace: sent.trace,
            items: outcomes,
        };
        self.store.settle(&self.run, &self.step, &settled, self.target.take_spent()).await?;
        stop.map_or(Ok(()), Err)
    }

    /// The same body with the same id, until somebody has answered or patience ends.
    async fn send_until_known(&self, call: &Call) -> Sent {
        let mut sent = self.target.send(call).await;
        for pause in RESENDS {
            let unknown = || {
                let pairs = call.items.iter().zip(&sent.answers);
                pairs.filter(|(_, answer)| matches!(answer, Answer::Unknown(_)))
            };
            let asks = unknown().any(|(item, _)| self.target.asks_before_resend(item));
            if self.cancel.is_cancelled() || asks || unknown().next().is_none() {
                break;
            }
            self.clock.sleep(pause).await;
            sent = merged(sent, self.target.send(call).await);
        }
        sent
    }

    /// What an answer means for its change; the second: why the step can't go on.
    async fn judge(&self, item: &Item, answer: Answer) -> Result<(ItemOutcome, Option<Error>)> {
        Ok(match answer {
            Answer::Done(ack) => (done(item, ack), None),
            Answer::Unknown(error) => (ItemOutcome::Unknown(error), None),
            Answer::NotSent(error) => (ItemOutcome::Planned, Some(error)),
            Answer::Refused { error, cure: Cure::Stop } => (ItemOutcome::Planned, Some(error)),
            Answer::Refused { error, cure } => (self.remedy(item, error, cure).await?, None),
        })
    }
}

/// It is there. That its total is what was meant is asserted on every answer; a difference is
/// never accepted silently.
pub(super) fn done(item: &Item, ack: Ack) -> ItemOutcome {
    let problem = match (item.total, ack.total) {
        _ if ack.problem.is_some() => ack.problem.clone(),
        (Some(meant), Some(is)) if meant != is && item.action != Action::Void => {
            let message = format!(
                "{} {} came to {is} there, {} off the {meant} that was sent",
                item.target,
                item.number.as_deref().unwrap_or(&item.label),
                is - meant
            );
            let hint = "Look at the document there: rounding of tax or a setting of the company \
                        has changed it. Correct it, then easysync.retry.";
            Some(Error::new(Category::NeedsAttention, "total_differs", message).hint(hint))
        }
        _ => None,
    };
    ItemOutcome::Done { ack, problem }
}

/// What the plan took to be there.
fn gone() -> Error {
    Error::new(Category::NotFound, "gone_there", "it was there when the plan was made, and is gone")
        .hint("Run the sync again.")
        .retryable(true)
}

/// Answers of a repetition take the place of those that were unknown.
fn merged(before: Sent, again: Sent) -> Sent {
    let answers = before.answers.into_iter().zip(again.answers).map(|pair| match pair {
        // It may have been done the first time: a repetition that wasn't sent says nothing.
        (Answer::Unknown(error), Answer::NotSent(_)) => Answer::Unknown(error),
        (Answer::Unknown(_), newer) => newer,
        (older, _) => older,
    });
    Sent {
        answers: answers.collect(),
        http_status: again.http_status.or(before.http_status),
        trace: again.trace.or(before.trace),
    }
}

/// Replaces the placeholders in references: objects with a `value`.
fn fill(body: &mut Value, ids: &BTreeMap<&Key, &str>) -> Result<()> {
    match body {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match member.as_str().and_then(Key::of_placeholder) {
                    Some(key) if matches!(name.as_str(), "value" | "TxnId") => {
                        let id = ids.get(&key).ok_or_else(|| {
                            Error::internal(format!(
                                "a planned write refers to {key}, which no change makes"
                            ))
                        })?;
                        *member = Value::String((*id).to_owned());
                    }
                    _ => fill(member, ids)?,
                }
            }
            Ok(())
        }
        Value::Array(list) => list.iter_mut().try_for_each(|value| fill(value, ids)),
        _ => Ok(()),
    }
}

/// A dependency that the store doesn't know.
fn lost(change: &Change) -> Dependency {
    Dependency {
        status: Status::Failed,
        remote_id: None,
        label: String::new(),
        target: "record".into(),
        entity: Entity::Orders,
        hub_id: change.draft.hub_id,
    }
}
