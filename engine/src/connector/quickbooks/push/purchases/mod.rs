//! Vendors and their bills: what an application enters in the hub reaches the books.

mod bills;
mod vendors;

pub(super) use bills::owned;

use super::link_of;
use crate::error::{Category, Error};
use crate::plan::{Draft, Key, Payload};
use crate::push::store::Link;
use serde_json::{Value, json};

fn attention(code: &str, message: String, hint: &str) -> Error {
    Error::new(Category::NeedsAttention, code, message).hint(hint)
}

fn failed(draft: Draft, error: Error) -> Vec<Draft> {
    vec![Draft { reason: Some(error.message.clone()), error: Some(error), ..draft }]
}

fn payload(key: &Key, body: Value, wanted: Value) -> Payload {
    Payload::new(key.clone(), body, json!({"wanted": wanted}))
}

/// A write to the record of a link. A link that came by a pull knows no version: the first one is
/// stale then, and the record is looked at before anything is written over it.
fn on(link: &Link, payload: Payload) -> Payload {
    Payload {
        remote_id: Some(link.remote_id.clone()),
        version: Some(link.version.clone().unwrap_or_else(|| "0".into())),
        revision: link.revision,
        ..payload
    }
}

fn sent(link: &Link) -> Value {
    let agreed = link.agreed.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    agreed.map(|agreed| agreed["sent"].clone()).unwrap_or_default()
}
