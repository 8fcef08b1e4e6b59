//! What goes by another id there, or is gone: customers and items that a person merged.

use super::Books;
use crate::connector::quickbooks::kind::Kind;
use crate::error::{Category, Error, Result};
use crate::model::Entity;
use crate::plan::Action;
use crate::posting::compare::{self, Drift, FieldChange};
use crate::posting::posted::PostedDocument;
use crate::push::target::{Item, Reresolved};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What QuickBooks puts behind the name of what is made inactive (quickbooks.md, 4.1).
const DELETED: &str = " (deleted)";

impl Books {
    /// The customer that an item names isn't there (any more). What belongs to a sale follows the
    /// sale, which a merge there has moved; else the customer's link is worth nothing.
    pub(super) async fn look_for_customer(&self, item: &Item) -> Result<Reresolved> {
        let ours = item.body.pointer("/CustomerRef/value").and_then(Value::as_str);
        let Some(ours) = ours else { return Ok(Reresolved::Nothing) };
        if item.action == Action::Update {
            return self.look_at_document(item).await;
        }
        let sale = &item.memo["sale"];
        if let (Some(kind), Some(id)) = (sale["kind"].as_str(), sale["id"].as_str()) {
            let found = self.api.get(super::kind(kind)?, id).await?;
            let members = found.map(|ack| owner(&ack.record)).unwrap_or_default();
            let mut body = item.body.clone();
            let moved = members.get("CustomerRef").is_some_and(|theirs| theirs["value"] != ours);
            if let Some(body) = body.as_object_mut().filter(|_| moved) {
                body.extend(members);
                return Ok(Reresolved::Body(Value::Object(std::mem::take(body))));
            }
        }
        Ok(match self.api.get(Kind::Customer, ours).await? {
            Some(ack) if ack.record["Active"] == false => {
                Reresolved::Unusable(inactive(item, "customer", ours))
            }
            Some(_) => Reresolved::Nothing,
            None => Reresolved::Gone { entity: Entity::Customers, remote_id: ours.to_owned() },
        })
    }

    /// What a document that is changed names goes by other ids, as it shows itself.
    async fn look_at_document(&self, item: &Item) -> Result<Reresolved> {
        let id = item.remote_id.as_deref().unwrap_or_default();
        let found = self.api.get(super::kind(&item.target)?, id).await?;
        let members = found.map(|ack| as_there(item, &ack.record)).unwrap_or_default();
        let mut body = item.body.clone();
        match body.as_object_mut() {
            Some(fields) if !members.is_empty() => fields.extend(members),
            _ => return Ok(Reresolved::Nothing),
        }
        Ok(Reresolved::Body(body))
    }

    /// What has happened to a document there. That an item of its lines was merged into another is
    /// no edit: the one that we knew is gone.
    pub(super) async fn drift(&self, posted: &PostedDocument, now: &Value) -> Result<Drift> {
        let drift = compare::drift(posted, now);
        let Drift::Conflict(changes) = &drift else { return Ok(drift) };
        let item = |change: &FieldChange| {
            let is_item = change.path.ends_with(".ItemRef");
            change.old.as_str().filter(|_| is_item).map(str::to_owned)
        };
        let Some(known) = changes.iter().map(item).collect::<Option<BTreeSet<String>>>() else {
            return Ok(drift);
        };
        let known: Vec<String> = known.into_iter().collect();
        let (there, _) = self.api.by_ids(Kind::Item, &known).await?;
        Ok(if there.is_empty() { Drift::Rebase } else { drift })
    }

    /// Items that a new document names and that aren't there (any more): a merge takes one away.
    pub(super) async fn look_for_items(&self, item: &Item) -> Result<Reresolved> {
        let lines = item.body["Line"].as_array().into_iter().flatten();
        let ids: BTreeSet<String> = lines
            .filter_map(|line| line.pointer("/SalesItemLineDetail/ItemRef/value")?.as_str())
            .map(str::to_owned)
            .collect();
        if item.action != Action::Create || ids.is_empty() {
            return Ok(Reresolved::Nothing);
        }
        let ids: Vec<String> = ids.into_iter().collect();
        let (found, _) = self.api.by_ids(Kind::Item, &ids).await?;
        let found: Vec<Value> =
            found.iter().filter_map(|raw| serde_json::from_str(raw.get()).ok()).collect();
        if let Some(unused) = found.iter().find(|record| record["Active"] == false) {
            let name = unused["Name"].as_str().unwrap_or_default();
            let name = name.strip_suffix(DELETED).unwrap_or(name);
            return Ok(Reresolved::Unusable(inactive(item, "item", name)));
        }
        let gone = ids.into_iter().find(|id| !found.iter().any(|record| record["Id"] == id[..]));
        Ok(gone.map_or(Reresolved::Nothing, |remote_id| Reresolved::Gone {
            entity: Entity::Products,
            remote_id,
        }))
    }
}

/// A document can't be made on what is inactive. A customer is named by its id: names are of people.
fn inactive(item: &Item, what: &str, which: &str) -> Error {
    let number = item.number.as_deref().unwrap_or(&item.label);
    let message = format!("{} {number}: {what} \"{which}\" is inactive in QuickBooks", item.target);
    Error::new(Category::NeedsAttention, format!("inactive_{what}"), message)
        .hint("Make it active again there, then use easysync.retry.")
}

/// Whose a document is, as a member of a body.
fn owner(record: &Value) -> Map<String, Value> {
    let id = record.pointer("/CustomerRef/value").filter(|id| id.is_string());
    id.map(|id| ("CustomerRef".to_owned(), json!({"value": id}))).into_iter().collect()
}

/// Members of a change whose references the document shows under other ids: its customer, and the
/// items of its lines. Lines that are there keep their item.
pub(super) fn as_there(item: &Item, record: &Value) -> Map<String, Value> {
    const ITEM: &str = "/SalesItemLineDetail/ItemRef/value";
    let mut members = owner(record);
    members.retain(|name, value| value["value"] != item.body[name.as_str()]["value"]);
    let mut lines = item.body["Line"].clone();
    let theirs: Vec<&Value> = record["Line"].as_array().into_iter().flatten().collect();
    let mut moved = false;
    for line in lines.as_array_mut().into_iter().flatten().filter(|line| line["Id"].is_string()) {
        let there = theirs.iter().find(|there| there["Id"] == line["Id"]);
        let Some(id) = there.and_then(|there| there.pointer(ITEM)) else { continue };
        if line.pointer(ITEM).is_some_and(|ours| ours != id) {
            line["SalesItemLineDetail"]["ItemRef"] = json!({"value": id});
            moved = true;
        }
    }
    if moved {
        members.insert("Line".to_owned(), lines);
    }
    members
}
