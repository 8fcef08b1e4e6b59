//! The bytes of a delivery and its headers.

use super::Event;
use crate::quickbooks::company::Company;
use crate::quickbooks::kind::Kind;
use crate::quickbooks::rules::{Mishap, Rules, WebhookFormat};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// An event as it is told, with its company.
pub struct Told {
    realm: String,
    event: Event,
    /// Stays the same at every attempt: receivers know duplicates by it.
    id: String,
}

/// Entities without webhooks.
fn is_silent(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::TaxCode | Kind::TaxRate | Kind::TaxAgency | Kind::CompanyCurrency | Kind::CompanyInfo
    )
}

/// The events worth telling: of changes to one record by the same operation, the last.
pub fn told(company: &Company, events: &[Event]) -> Vec<Told> {
    let mut told: Vec<Told> = vec![];
    for event in events.iter().filter(|event| !is_silent(event.key.0)) {
        let same = |t: &&mut Told| t.event.key == event.key && t.event.operation == event.operation;
        if let Some(before) = told.iter_mut().find(same) {
            before.event = event.clone();
            continue;
        }
        let seed = format!("{}{:?}{}{}", company.realm, event.key, event.operation, event.at);
        told.push(Told { realm: company.realm.clone(), event: event.clone(), id: uuid(&seed) });
    }
    told
}

/// A UUID that depends on nothing but the text.
fn uuid(seed: &str) -> String {
    let hash = Sha256::digest(seed.as_bytes());
    let hex: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

/// Base64 of the HMAC-SHA256 over the raw body.
pub fn signature(verifier: &str, body: &str) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(verifier.as_bytes()) else {
        return String::new();
    };
    mac.update(body.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Headers and body of a delivery.
pub fn written(
    told: &[Told],
    verifier: &str,
    rules: &Rules,
    now: Timestamp,
    number: u64,
) -> (Vec<(String, String)>, String) {
    let legacy = rules.webhooks == WebhookFormat::Legacy;
    let body = if legacy { legacy_body(told) } else { cloud_events(told) }.to_string();
    let has = |mishap: Mishap| rules.webhook_mishaps.contains(&mishap);
    let signed = match has(Mishap::WrongSignature) {
        true => signature("another token", &body),
        false => signature(verifier, &body),
    };
    let content_type = match (has(Mishap::WrongContentType), legacy) {
        (true, _) => "text/plain",
        (_, true) => "application/json",
        _ => "application/cloudevents-batch+json; charset=utf-8",
    };
    let mut headers = vec![("content-type", content_type.to_owned()), ("intuit-signature", signed)];
    if !legacy {
        headers.extend([
            ("accept", "application/json".to_owned()),
            ("user-agent", "intuit_notification_server/1.0".to_owned()),
            ("intuit-signature-algorithm", "HMAC-SHA256".to_owned()),
            ("intuit-signature-id", uuid(&format!("signature {number}"))),
            ("intuit-notification-schema-version", "2.0".to_owned()),
            ("intuit-t-id", uuid(&format!("delivery {number}"))),
            ("intuit-created-time", now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()),
        ]);
    }
    (headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(), body)
}

fn cloud_events(told: &[Told]) -> Value {
    told.iter()
        .map(|Told { realm, event, id }| {
            let source = STANDARD.encode(Sha256::digest(realm.as_bytes()));
            let entity = event.key.0.name().to_lowercase();
            json!({
                "specversion": "1.0", "id": id, "source": format!("intuit.{source}"),
                "type": format!("qbo.{entity}.{}.v1", event.operation),
                "datacontenttype": "application/json",
                "time": event.at.strftime("%Y-%m-%dT%H:%M:%S%.9fZ").to_string(),
                "intuitentityid": event.key.1.to_string(), "intuitaccountid": realm, "data": {},
            })
        })
        .collect()
}

fn legacy_body(told: &[Told]) -> Value {
    let mut by_realm: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for Told { realm, event, .. } in told {
        let operation = match event.operation {
            "created" => "Create",
            "deleted" => "Delete",
            "merged" => "Merge",
            "void" => "Void",
            "emailed" => "Emailed",
            _ => "Update",
        };
        let mut entity = json!({
            "name": event.key.0.name(), "id": event.key.1.to_string(), "operation": operation,
            "lastUpdated": event.at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        });
        if let Some(gone) = event.merged_away {
            entity["deletedId"] = json!(gone.to_string());
        }
        by_realm.entry(realm).or_default().push(entity);
    }
    let notifications: Vec<Value> = by_realm
        .into_iter()
        .map(|(realm, entities)| {
            json!({ "realmId": realm, "dataChangeEvent": { "entities": entities } })
        })
        .collect();
    json!({ "eventNotifications": notifications })
}

/// Deliveries stay on this machine.
pub fn is_loopback(url: &str) -> bool {
    let host = reqwest::Url::parse(url).ok().and_then(|u| u.host_str().map(str::to_owned));
    host.is_some_and(|host| {
        let plain = host.trim_matches(['[', ']']);
        host == "localhost" || plain.parse::<std::net::IpAddr>().is_ok_and(|a| a.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_recorded_vectors() {
        let vectors = include_str!("../../../fixtures/quickbooks/webhook_signature_vectors.json");
        let vectors: Value = serde_json::from_str(vectors).unwrap();
        for vector in vectors.as_array().unwrap() {
            let text = |key: &str| vector[key].as_str().unwrap();
            let ours = signature(text("verifier_token"), text("raw_body"));
            assert_eq!(ours, text("intuit_signature"), "{}", text("name"));
        }
    }
}
