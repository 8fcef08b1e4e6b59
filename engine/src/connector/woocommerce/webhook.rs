//! Deliveries of WooCommerce (woocommerce.md, section 10).

use crate::model::Entity;
use crate::store::Secret;
use crate::webhook::{Headers, Hint, Verdict};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What a body says that concerns us: a record, `{"id": 445}` for one that was deleted, an action's
/// `{"action", "arg"}`, or an error object with `code`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    parent_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    arg: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
}

/// Judges a delivery. The signature is over the raw body, with the secret in the credentials as
/// `webhook_secret`.
pub fn judge(credentials: &Secret, headers: &Headers, body: &str) -> Verdict {
    if is_ping(headers, body) {
        return Verdict::Ping;
    }
    let signature = headers.get("x-wc-webhook-signature");
    let secret = credentials.get("webhook_secret");
    if let Err(reason) = crate::webhook::check_signature(secret, signature, body) {
        return Verdict::Rejected(reason);
    }
    let Some(topic) = headers.get("x-wc-webhook-topic") else {
        return Verdict::Ignored(None, "it has no topic".into());
    };
    // The topic isn't signed and ends in a column that people read.
    let topic: String = topic.chars().filter(|c| !c.is_control()).take(200).collect();
    match hint(&topic, body) {
        Ok(hint) => Verdict::Accepted(topic, vec![hint]),
        Err(reason) => Verdict::Ignored(Some(topic), reason),
    }
}

/// Form-encoded, without signature or any header of WooCommerce's: section 10.1.
fn is_ping(headers: &Headers, body: &str) -> bool {
    let id = body.trim_end().strip_prefix("webhook_id=");
    !headers.any("x-wc-webhook-")
        && id.is_some_and(|id| {
            (1..=18).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit())
        })
}

fn hint(topic: &str, body: &str) -> Result<Hint, String> {
    let (resource, event) = topic.split_once('.').unwrap_or((topic, ""));
    let entity = match (resource, event) {
        ("order", _) => Entity::Orders,
        ("product", _) => Entity::Products,
        ("customer", _) => Entity::Customers,
        // Topics of their own bring what no other tells, hard deletes (10.10). The first argument
        // of each is the record's id.
        ("action", "woocommerce_delete_order" | "woocommerce_order_refunded") => Entity::Orders,
        ("action", "woocommerce_delete_product" | "woocommerce_delete_product_variation") => {
            Entity::Products
        }
        _ => return Err("nothing that is synced".into()),
    };
    let body: Body<'_> =
        serde_json::from_str(body).map_err(|_| "the body can't be read".to_owned())?;
    let id = match resource {
        "action" => body.arg,
        // A variation is delivered as a product, and read with its parent.
        _ if text(body.kind) == "\"variation\"" => body.parent_id.or(body.id),
        _ => body.id,
    };
    match id.and_then(number) {
        Some(id) => Ok(Hint { account: None, entity, id }),
        None if body.code.is_some() => {
            Err("an error object: the record was gone when the shop built the delivery".into())
        }
        None => Err("it names no record".into()),
    }
}

fn text(raw: Option<&RawValue>) -> &str {
    raw.map(RawValue::get).unwrap_or_default()
}

/// An id, as a number or in quotation marks.
fn number(raw: &RawValue) -> Option<String> {
    let digits = raw.get().trim_matches('"');
    let fits = (1..=18).contains(&digits.len())
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0');
    fits.then(|| digits.to_owned())
}
