//! Deliveries of QuickBooks: CloudEvents in an array, possibly of several companies, and the legacy
//! form (quickbooks.md, webhooks). Signed over the raw body with the app's verifier token.

use crate::model::Entity;
use crate::store::Secret;
use crate::webhook::{Headers, Hint, Verdict};
use serde::Deserialize;

/// `qbo.invoice.updated.v1` of a company.
#[derive(Debug, Deserialize)]
struct CloudEvent {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    intuitentityid: String,
    #[serde(default)]
    intuitaccountid: String,
}

#[derive(Debug, Deserialize)]
struct Legacy {
    #[serde(rename = "eventNotifications", default)]
    notifications: Vec<Notification>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    #[serde(default)]
    realm_id: String,
    #[serde(default)]
    data_change_event: Change,
}

#[derive(Debug, Default, Deserialize)]
struct Change {
    #[serde(default)]
    entities: Vec<Changed>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changed {
    #[serde(default)]
    name: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    operation: String,
    /// The customer that was merged into this one.
    #[serde(default)]
    deleted_id: Option<String>,
}

/// The most events of one delivery that are told in `topic`.
const MOST_TOPICS: usize = 5;

/// Judges a delivery. The verifier token is in the credentials as `webhook_verifier_token`.
pub fn judge(credentials: &Secret, headers: &Headers, body: &str) -> Verdict {
    let signature = headers.get("intuit-signature");
    let token = credentials.get("webhook_verifier_token");
    if let Err(reason) = crate::webhook::check_signature(token, signature, body) {
        return Verdict::Rejected(reason);
    }
    let Some((topics, hints)) = read(body) else {
        return Verdict::Ignored(None, "the body can't be read".into());
    };
    let shown = topics.len().min(MOST_TOPICS);
    let mut topic = topics[..shown].join(", ");
    if shown < topics.len() {
        topic.push_str(&format!(" and {} more", topics.len() - shown));
    }
    match hints.is_empty() {
        true => Verdict::Ignored(Some(topic), "nothing that is synced".into()),
        false => Verdict::Accepted(topic, hints),
    }
}

/// The kinds of its events, each once, and the records they speak of.
fn read(body: &str) -> Option<(Vec<String>, Vec<Hint>)> {
    let events: Vec<(String, String, String)> = match body.trim_start().as_bytes().first()? {
        b'[' => cloud_events(body)?,
        _ => legacy(body)?,
    };
    let (mut topics, mut hints) = (vec![], vec![]);
    for (kind, realm, id) in events {
        // `qbo.invoice.updated.v1`, in any case of letters.
        let kind: String =
            kind.to_ascii_lowercase().chars().filter(|c| !c.is_control()).take(60).collect();
        let entity = kind.split('.').nth(1).and_then(entity);
        if !topics.contains(&kind) {
            topics.push(kind);
        }
        let named = [&realm, &id]
            .iter()
            .all(|text| (1..=30).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()));
        if let (Some(entity), true) = (entity, named) {
            let hint = Hint { account: Some(realm), entity, id };
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
    }
    Some((topics, hints))
}

fn cloud_events(body: &str) -> Option<Vec<(String, String, String)>> {
    let events: Vec<CloudEvent> = serde_json::from_str(body).ok()?;
    Some(events.into_iter().map(|e| (e.kind, e.intuitaccountid, e.intuitentityid)).collect())
}

fn legacy(body: &str) -> Option<Vec<(String, String, String)>> {
    let legacy: Legacy = serde_json::from_str(body).ok()?;
    let mut events = vec![];
    for Notification { realm_id, data_change_event } in legacy.notifications {
        for changed in data_change_event.entities {
            let kind = format!("qbo.{}.{}", changed.name, changed.operation);
            if let Some(merged) = changed.deleted_id {
                events.push((kind.clone(), realm_id.clone(), merged));
            }
            events.push((kind, realm_id.clone(), changed.id));
        }
    }
    Some(events)
}

/// What we hold of QuickBooks' entities; the others are nobody's business here.
fn entity(name: &str) -> Option<Entity> {
    match name {
        "customer" => Some(Entity::Customers),
        "item" => Some(Entity::Products),
        "invoice" => Some(Entity::Invoices),
        "payment" => Some(Entity::Payments),
        "vendor" => Some(Entity::Vendors),
        "bill" => Some(Entity::Bills),
        _ => None,
    }
}
