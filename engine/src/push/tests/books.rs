//! Books that keep what is sent, remember request ids, and fail when they are told to.

use crate::error::{Category, Error, Result};
use crate::model::Entity;
use crate::plan::{Action, Draft, Key, Payload};
use crate::push::store::{Bundle, Link, Spent};
use crate::push::target::{
    Ack, Answer, Call, Cure, Found, Item, Refetched, Reresolved, Sent, Target,
};
use crate::push::undo::Done;
use async_trait::async_trait;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// None: the next one strikes the next call.
    None,
    /// It never arrives.
    NotSent,
    /// It is done, and the answer is lost.
    LostAnswer,
    /// It is lost on its way, and nobody knows.
    LostCall,
    /// The first item is refused.
    RefuseFirst,
}

#[derive(Debug, Clone)]
pub struct Stored {
    pub kind: String,
    pub version: u64,
    pub body: Value,
    pub number: String,
}

#[derive(Default)]
pub struct State {
    pub records: BTreeMap<u64, Stored>,
    pub calls: Vec<Vec<String>>,
    pub reads: u64,
    pub faults: VecDeque<Fault>,
    replays: BTreeMap<String, Vec<Answer>>,
    pub forgets_requests: bool,
}

/// Customers and sales: an order needs its customer.
#[derive(Default)]
pub struct Books {
    pub state: Mutex<State>,
    pub batch: usize,
}

impl Books {
    pub fn new(batch: usize) -> Books {
        Books { state: Mutex::default(), batch }
    }

    pub fn of_kind(&self, kind: &str) -> Vec<(u64, Stored)> {
        let state = self.state.lock().unwrap();
        let of = state.records.iter().filter(|(_, r)| r.kind == kind);
        of.map(|(id, record)| (*id, record.clone())).collect()
    }

    pub fn calls(&self) -> usize {
        self.state.lock().unwrap().calls.len()
    }

    fn draft_of(
        &self,
        entity: Entity,
        hub_id: i64,
        record: &Value,
        links: &[Link],
    ) -> Option<Draft> {
        let key = Key::new(entity, hub_id, "");
        let link = links.iter().find(|l| l.entity == entity && l.hub_id == hub_id);
        let (target, number) = match entity {
            Entity::Customers => ("Customer", record["name"].as_str().unwrap().to_owned()),
            _ if record["paid"] == false => {
                ("Bill", format!("WC-{}", record["number"].as_str().unwrap()))
            }
            _ => ("Sale", format!("WC-{}", record["number"].as_str().unwrap())),
        };
        let mut body = record.clone();
        let mut needs = vec![];
        if let Some(customer) = record.get("customer_id").and_then(Value::as_i64) {
            let linked =
                links.iter().find(|l| l.entity == Entity::Customers && l.hub_id == customer);
            let needed = Key::new(Entity::Customers, customer, "");
            body["CustomerRef"] = match linked {
                Some(link) => json!({"value": link.remote_id}),
                None => json!({"value": needed.placeholder()}),
            };
            needs.push(needed);
        }
        let agreed: Option<Value> =
            link.and_then(|l| l.agreed.as_deref()).map(|text| serde_json::from_str(text).unwrap());
        if agreed.as_ref().is_some_and(|agreed| agreed["sent"] == body) {
            return None;
        }
        let mut fields = Map::new();
        fields
            .insert("body".into(), json!({"old": agreed.map(|a| a["sent"].clone()), "new": body}));
        let total = record.get("total").and_then(Value::as_str).map(|t| t.parse().unwrap());
        Some(Draft {
            booked: None,
            key: key.clone(),
            entity,
            hub_id,
            record_id: hub_id.to_string(),
            label: number.clone(),
            target: link.map_or(target, |link| &link.remote_type).into(),
            action: if link.is_some() { Action::Update } else { Action::Create },
            destructive: false,
            reason: None,
            fields,
            needs,
            payload: Some(Payload {
                remote_id: link.map(|l| l.remote_id.clone()),
                version: link.and_then(|l| l.version.clone()),
                revision: link.map_or(0, |l| l.revision),
                number: Some(number),
                total,
                ..Payload::new(key, body, Value::Null)
            }),
            error: None,
        })
    }
}

fn ack(id: u64, stored: &Stored) -> Ack {
    Ack {
        remote_id: id.to_string(),
        version: Some(stored.version.to_string()),
        number: Some(stored.number.clone()),
        total: stored.body.get("total").and_then(Value::as_str).map(|t| t.parse().unwrap()),
        record: stored.body.clone(),
        agreed: json!({"sent": stored.body}),
        problem: None,
        stays: None,
        found: false,
    }
}

impl State {
    fn write(&mut self, item: &Item) -> Answer {
        let refused = |code: &str, cure| Answer::Refused {
            error: Error::new(Category::Conflict, code, format!("refused: {code}")),
            cure,
        };
        let number = item.number.clone().unwrap_or_default();
        match &item.remote_id {
            None => {
                let taken = |r: &Stored| r.number == number;
                if self.records.values().any(taken) {
                    return refused("6140", Cure::LookUp);
                }
                let id = self.records.len() as u64 + 1;
                let stored = Stored {
                    kind: item.target.clone(),
                    version: 0,
                    body: item.body.clone(),
                    number,
                };
                let answer = Answer::Done(ack(id, &stored));
                self.records.insert(id, stored);
                answer
            }
            Some(id) => {
                let id: u64 = id.parse().unwrap();
                let stored = self.records.get_mut(&id).unwrap();
                if item.version.as_deref() != Some(&stored.version.to_string()) {
                    return refused("5010", Cure::Refetch);
                }
                stored.version += 1;
                stored.body = item.body.clone();
                Answer::Done(ack(id, stored))
            }
        }
    }
}

#[async_trait]
impl Target for Books {
    async fn prepare(&self, _lost_since: Option<jiff::Timestamp>) -> Result<()> {
        Ok(())
    }

    async fn draft(&self, bundle: &Bundle) -> Result<Vec<Draft>> {
        let read = |text: &String| serde_json::from_str::<Value>(text).unwrap();
        let (Some(entity), Some(record)) = (bundle.entity, bundle.record.as_ref().map(read)) else {
            return Ok(vec![]);
        };
        let mut drafts = vec![];
        if record["status"] == "pending" {
            let key = Key::new(entity, bundle.hub_id, "");
            return Ok(vec![Draft::skip(key, entity, bundle.hub_id, "Sale", "waits".into())]);
        }
        if let Some(customer) = bundle.customer.as_ref().map(read) {
            let id = customer["id"].as_i64().unwrap();
            let linked =
                bundle.links.iter().any(|l| l.entity == Entity::Customers && l.hub_id == id);
            if !linked {
                drafts.extend(self.draft_of(Entity::Customers, id, &customer, &bundle.links));
            }
        }
        drafts.extend(self.draft_of(entity, bundle.hub_id, &record, &bundle.links));
        Ok(drafts)
    }

    async fn undo(&self, done: &[Done]) -> Result<Vec<Draft>> {
        let reverse = |one: &Done| Draft {
            action: Action::Void,
            payload: Some(Payload {
                remote_id: one.remote_id.clone(),
                ..Payload::new(one.key(), json!({}), Value::Null)
            }),
            ..one.empty()
        };
        Ok(done.iter().map(reverse).collect())
    }

    fn batch_size(&self) -> usize {
        self.batch
    }

    fn concurrency(&self) -> usize {
        2
    }

    fn request_id(&self, item: &Item) -> String {
        let text = format!("{} {:?} {} {}", item.key, item.version, item.revision, item.body);
        Sha256::digest(text).iter().take(8).map(|b| format!("{b:02x}")).collect()
    }

    fn call(&self, items: Vec<Item>) -> Call {
        let ids: Vec<&str> = items.iter().map(|i| i.request_id.as_str()).collect();
        let request_id = format!("call:{}", ids.join("+"));
        Call { body_hash: request_id.clone(), request_id, items }
    }

    fn anew(&self, call: Call) -> Call {
        Call { request_id: format!("{}'", call.request_id), ..call }
    }

    async fn send(&self, call: &Call) -> Sent {
        // Calls of one wave interleave as on a network.
        tokio::task::yield_now().await;
        let mut state = self.state.lock().unwrap();
        let fault = state.faults.pop_front();
        state.calls.push(call.items.iter().map(|i| i.key.0.clone()).collect());
        let lost = Error::new(Category::Network, "timeout", "no answer");
        let all = |answer: Answer| vec![answer; call.items.len()];
        let answers = match fault {
            Some(Fault::NotSent) => all(Answer::NotSent(lost)),
            Some(Fault::LostCall) => all(Answer::Unknown(lost)),
            _ => {
                let replay = state.replays.get(&call.request_id).cloned();
                let mut answers = match replay.filter(|_| !state.forgets_requests) {
                    Some(answers) => answers,
                    None => call.items.iter().map(|item| state.write(item)).collect(),
                };
                if fault == Some(Fault::RefuseFirst) {
                    let error = Error::new(Category::NeedsAttention, "6000", "refused");
                    let first = call.items[0].number.clone().unwrap_or_default();
                    state.records.retain(|_, r| r.number != first);
                    answers[0] = Answer::Refused { error, cure: Cure::None };
                }
                state.replays.insert(call.request_id.clone(), answers.clone());
                match fault {
                    Some(Fault::LostAnswer) => all(Answer::Unknown(lost)),
                    _ => answers,
                }
            }
        };
        Sent { answers, http_status: Some(200), trace: None }
    }

    async fn find(&self, item: &Item) -> Result<Found> {
        let mut state = self.state.lock().unwrap();
        state.reads += 1;
        let number = item.number.clone().unwrap_or_default();
        let found = state.records.iter().find(|(_, r)| r.kind == item.target && r.number == number);
        // A sale that was first billed stays a bill.
        let billed = state.records.iter().find(|(_, r)| r.kind == "Bill" && r.number == number);
        if let (None, Some((id, stored)), "Sale") = (found, billed, item.target.as_str()) {
            return Ok(Found::Ours(Ack { stays: Some("Bill".into()), ..ack(*id, stored) }));
        }
        Ok(match found {
            None => Found::Nothing,
            Some((id, stored)) if stored.body["id"] == item.body["id"] => {
                Found::Ours(ack(*id, stored))
            }
            Some(_) => Found::Other(Error::new(Category::NeedsAttention, "6140", "taken")),
        })
    }

    async fn refetch(&self, item: &Item, link: Option<&Link>) -> Result<Refetched> {
        let mut state = self.state.lock().unwrap();
        state.reads += 1;
        let id: u64 = item.remote_id.as_deref().unwrap().parse().unwrap();
        let stored = state.records.get(&id).unwrap();
        if stored.body == item.body {
            return Ok(Refetched::Already(ack(id, stored)));
        }
        let agreed: Value = serde_json::from_str(link.unwrap().agreed.as_deref().unwrap()).unwrap();
        Ok(match agreed["sent"] == stored.body {
            true => Refetched::Rebase { version: stored.version.to_string(), members: Map::new() },
            false => Refetched::Conflict {
                error: Error::new(Category::Conflict, "edited_there", "edited there"),
                fields: Map::new(),
            },
        })
    }

    fn left(&self, _item: &Item, _link: &Link) -> Option<Ack> {
        None
    }

    async fn reresolve(&self, _item: &Item) -> Result<Reresolved> {
        Ok(Reresolved::Nothing)
    }

    fn asks_before_create(&self, _item: &Item) -> bool {
        false
    }

    fn asks_before_resend(&self, _item: &Item) -> bool {
        false
    }

    fn take_spent(&self) -> Spent {
        Spent::default()
    }
}
