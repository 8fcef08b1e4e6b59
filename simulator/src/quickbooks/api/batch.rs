//! `POST /batch`: up to 30 operations that know nothing of each other.

use super::Call;
use super::entity::{Operation, execute, run_query};
use super::replay::hash as replay_hash;
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{self, Checked, Fault, validation};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::params::Params;
use crate::quickbooks::store::Key;
use serde_json::{Value, json};
use std::collections::HashSet;

/// More are refused.
const MOST: usize = 30;
/// The longest `bId` once the batch has a `requestid`.
const LONGEST_ID: usize = 10;

/// Runs a batch; the answer is the envelope's content, items in the order they were carried out.
///
/// Errors: 1040 for too many items, 2010 for a `bId` that is missing, used twice or too long.
pub fn run(company: &mut Company, call: &Call<'_>) -> Checked<Value> {
    let body: Value = serde_json::from_slice(&call.request.body)
        .map_err(|_| fault::unknown_property("IntuitBatchRequest", "body"))?;
    let items = body["BatchItemRequest"].as_array().cloned().unwrap_or_default();
    if items.len() > MOST {
        let detail = format!("Batch size exceeds allowed limit : {MOST}");
        return Err(validation("1040", "Batch size exceeds allowed limit", detail, ""));
    }
    check_ids(&items, call.params.get("requestid").is_some())?;
    company.journal.counts_mut().batch_items += items.len() as u64;
    let mut made: HashSet<Key> = HashSet::new();
    let mut answers = vec![];
    for item in shuffled(items, &call.request.body) {
        let outcome = one(company, call, &item, &mut made);
        let mut answer = match outcome {
            Ok(body) => body,
            Err(fault) if company.rules.french => json!({ "Fault": fault.in_french().to_json() }),
            Err(fault) => json!({ "Fault": fault.to_json() }),
        };
        answer["bId"] = item["bId"].clone();
        answers.push(answer);
    }
    Ok(json!({ "BatchItemResponse": answers }))
}

fn check_ids(items: &[Value], with_request_id: bool) -> Checked<()> {
    let wrong = |why: &str| -> Fault {
        validation("2010", "Request has invalid or unsupported property", why, "bId")
    };
    let mut seen = HashSet::new();
    for item in items {
        let id = item["bId"].as_str().filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| wrong("Property Name:bId is missing"))?;
        if with_request_id && id.chars().count() > LONGEST_ID {
            return Err(wrong("Property Name:bId is longer than 10 characters"));
        }
        if !seen.insert(id) {
            return Err(wrong("Property Name:bId is used twice"));
        }
    }
    Ok(())
}

/// An order that nobody should count on, but the same for the same batch.
fn shuffled(mut items: Vec<Value>, body: &[u8]) -> Vec<Value> {
    let hash = replay_hash("", body);
    for at in (1..items.len()).rev() {
        let byte = usize::from(hash[at % hash.len()]) + at * 7;
        items.swap(at, byte % (at + 1));
    }
    items
}

fn one(
    company: &mut Company,
    call: &Call<'_>,
    item: &Value,
    made: &mut HashSet<Key>,
) -> Checked<Value> {
    if let Some(text) = item["Query"].as_str() {
        company.journal.counts_mut().reads += 1;
        company.journal.meter(call.now);
        return run_query(company, text, call.now);
    }
    let object = item.as_object().into_iter().flatten();
    let entity = object.filter_map(|(key, body)| Some((Kind::named(key)?, body))).next();
    let (kind, body) = entity.ok_or_else(|| fault::missing("entity"))?;
    for key in object_keys(item) {
        if !matches!(key, "bId" | "operation" | "optionsData") && key != kind.name() {
            return Err(fault::unknown_property("BatchItemRequest", key));
        }
    }
    if refers_to(body, made) {
        return Err(fault::bad_reference("an object made in the same batch"));
    }
    let options = item["optionsData"].as_str().unwrap_or_default();
    let operation = Operation {
        kind,
        name: item["operation"].as_str().unwrap_or_default(),
        options: Params::read(&format!("include={options}")),
        body,
        request_id: call.params.get("requestid"),
        batch_id: item["bId"].as_str(),
    };
    let before = body["Id"].as_str().is_some_and(|id| !id.is_empty());
    let answer = execute(company, &operation, call.now)?;
    let id = answer[kind.name()]["Id"].as_str().and_then(|id| id.parse().ok());
    if let (false, Some(id)) = (before, id) {
        made.insert((kind, id));
    }
    Ok(answer)
}

fn object_keys(item: &Value) -> impl Iterator<Item = &str> {
    item.as_object().into_iter().flatten().map(|(key, _)| key.as_str())
}

/// Whether a body refers to something that this batch made: items are blind to each other.
fn refers_to(body: &Value, made: &HashSet<Key>) -> bool {
    let Value::Object(body) = body else { return false };
    body.iter().any(|(field, value)| match value {
        Value::Object(reference) if field.ends_with("Ref") => {
            let id = reference.get("value").and_then(Value::as_str).and_then(|v| v.parse().ok());
            let kind = Kind::named(field.trim_end_matches("Ref"));
            kind.zip(id).is_some_and(|key| made.contains(&key))
        }
        Value::Array(values) => values.iter().any(|value| refers_to(value, made)),
        value => refers_to(value, made),
    })
}
