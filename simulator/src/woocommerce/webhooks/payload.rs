//! What a delivery says, built when it is delivered, and how it is signed.

use super::super::record::number;
use super::super::state::Shop;
use super::super::{coupons, customers, orders, php, products};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The body for a topic and an id: the newest state, or an error object when nothing is there any
/// more (reference, 10.4).
pub fn body(shop: &mut Shop, topic: &str, id: u64) -> String {
    // Cron runs under the plain address, so links in deliveries say http.
    let site_url = std::mem::replace(&mut shop.site_url, shop.cron_url.clone());
    let value = value(shop, topic, id);
    shop.site_url = site_url;
    php::encode(&value)
}

fn value(shop: &Shop, topic: &str, id: u64) -> Value {
    let (resource, event) = topic.split_once('.').unwrap_or((topic, ""));
    if resource == "action" {
        // Stock actions pass an object, which comes out as an empty list.
        let arg = if event.ends_with("_set_stock") { json!([]) } else { json!(id) };
        return json!({"action": event, "arg": arg});
    }
    if event == "deleted" {
        return json!({ "id": id });
    }
    let missing =
        |code: &str, text: &str| json!({"code": code, "message": text, "data": {"status": 404}});
    match resource {
        "order" => match shop.orders.get(&id) {
            Some(order) => orders::view::render(shop, order, shop.decimals()),
            None => orders::not_found(404).body(),
        },
        "product" => products::find(shop, id).unwrap_or_else(|| products::not_found(404).body()),
        "customer" => customers::find(shop, id)
            .unwrap_or_else(|| missing("wc_user_invalid_id", "Invalid user ID.")),
        _ => coupons::find(shop, id)
            .unwrap_or_else(|| missing("woocommerce_rest_shop_coupon_invalid_id", "Invalid ID.")),
    }
}

/// `base64(HMAC-SHA256(body, secret))`. The secret goes through `wp_specialchars_decode` first.
pub fn signature(secret: &str, body: &str) -> String {
    let secret = specialchars_decoded(secret);
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(body.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

fn specialchars_decoded(text: &str) -> String {
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#039;", "'"), ("&amp;", "&")];
    pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Made of the webhook and the second alone, so that it repeats: reference, 10.3.
pub fn delivery_id(webhook: u64, second: i64) -> String {
    let hash = Sha256::digest(format!("{webhook}{second}").as_bytes());
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The webhooks an event is for.
pub fn listeners(shop: &Shop, topic: &str) -> Vec<u64> {
    let hooks = shop.webhooks.values().map(|hook| &hook.record);
    hooks
        .filter(|r| r["topic"] == topic && r["status"] == "active")
        .map(|r| number(r, "id"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of the recorded deliveries.
    const SECRET: &str = "whsec_\"q&'<ü> 1";

    #[test]
    fn recorded_deliveries_carry_our_signature() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/woocommerce/webhooks");
        let mut checked = 0;
        for n in 16..=68 {
            let read =
                |end: &str| std::fs::read_to_string(format!("{folder}/{n:04}.{end}")).unwrap();
            let headers = read("headers");
            let line = headers.lines().find_map(|l| l.strip_prefix("X-WC-Webhook-Signature: "));
            assert_eq!(line.unwrap(), signature(SECRET, &read("body")), "delivery {n}");
            checked += 1;
        }
        assert_eq!(checked, 53);
    }

    #[test]
    fn delivery_ids_repeat_within_a_second() {
        assert_eq!(delivery_id(3, 100), delivery_id(3, 100));
        assert_ne!(delivery_id(3, 100), delivery_id(3, 101));
        assert_eq!(delivery_id(3, 100).len(), 32);
    }
}
