//! Webhooks: the resource, and which deliveries an event calls for.

mod deliver;
mod payload;

pub use deliver::{Dispatcher, run};

use super::errors::{ApiError, ApiResult, InvalidParam};
use super::list::{Query, Rules};
use super::orders::forced;
use super::record::{Record, number, set, text};
use super::reply::{Call, Reply};
use super::state::Shop;
use super::view::{ALL_METHODS, links};
use rand::Rng;
use serde_json::{Value, json};

/// A webhook: what the API shows of it, and what it doesn't.
#[derive(Clone)]
pub struct Webhook {
    /// As shown.
    pub record: Record,
    /// Never shown.
    pub secret: String,
    /// Consecutive failures; not shown either.
    pub failures: u32,
}

const RULES: Rules = Rules {
    orderby: &["date", "id"],
    default_orderby: "date",
    default_desc: true,
    statuses: &[],
    enums: &[("status", &["all", "active", "paused", "disabled"])],
    // Equal dates come newest id first.
    posts_table: false,
    dates: false,
};

const STATUSES: [&str; 3] = ["active", "paused", "disabled"];

fn not_found() -> ApiError {
    ApiError::new(404, "woocommerce_rest_shop_webhook_invalid_id", "ID is invalid.")
}

/// The WordPress hooks behind a topic.
fn hooks(topic: &str) -> Vec<String> {
    let names: &[&str] = match topic {
        "coupon.created" => &["woocommerce_process_shop_coupon_meta", "woocommerce_new_coupon"],
        "coupon.updated" => &["woocommerce_process_shop_coupon_meta", "woocommerce_update_coupon"],
        "coupon.deleted" | "product.deleted" => &["wp_trash_post"],
        "coupon.restored" | "product.restored" => &["untrashed_post"],
        "customer.created" => {
            &["user_register", "woocommerce_created_customer", "woocommerce_new_customer"]
        }
        "customer.updated" => &["profile_update", "woocommerce_update_customer"],
        "customer.deleted" => &["delete_user"],
        "order.created" => &["woocommerce_new_order"],
        "order.updated" => &["woocommerce_update_order", "woocommerce_order_refunded"],
        "order.deleted" => &["wp_trash_post", "woocommerce_trash_order"],
        "order.restored" => &["untrashed_post", "woocommerce_untrash_order"],
        "product.created" => &[
            "woocommerce_process_product_meta",
            "woocommerce_new_product",
            "woocommerce_new_product_variation",
        ],
        "product.updated" => &[
            "woocommerce_process_product_meta",
            "woocommerce_update_product",
            "woocommerce_update_product_variation",
        ],
        custom => return custom.strip_prefix("action.").map(str::to_owned).into_iter().collect(),
    };
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Only four resources have topics; refunds and variations don't (reference, 10.11).
fn is_topic(topic: &str) -> bool {
    match topic.split_once('.') {
        Some(("action", name)) => !name.is_empty(),
        Some((resource, event)) => {
            ["coupon", "customer", "order", "product"].contains(&resource)
                && ["created", "updated", "deleted", "restored"].contains(&event)
        }
        None => false,
    }
}

fn check_topic(topic: &str) -> ApiResult<()> {
    match is_topic(topic) {
        true => Ok(()),
        false => {
            let code = "woocommerce_rest_shop_webhook_invalid_topic";
            let message = "Webhook topic must be valid.";
            Err(ApiError::new(400, code, message))
        }
    }
}

fn check_url(url: &str) -> ApiResult<()> {
    let good = ["http://", "https://"].iter().any(|s| url.len() > s.len() && url.starts_with(s));
    match good {
        true => Ok(()),
        false => {
            let code = "woocommerce_rest_shop_webhook_invalid_delivery_url";
            let message =
                "Webhook delivery URL must be a valid URL starting with http:// or https://.";
            Err(ApiError::new(400, code, message))
        }
    }
}

fn render(shop: &Shop, hook: &Webhook) -> Value {
    let mut record = hook.record.clone();
    let id = number(&record, "id");
    set(&mut record, "_links", links(shop, &format!("webhooks/{id}"), "webhooks", ALL_METHODS));
    Value::Object(record)
}

/// `GET /webhooks`.
pub fn list(shop: &Shop, call: &mut Call<'_>) -> ApiResult<Reply> {
    let query = Query::read(&mut call.params, &RULES, &shop.zone)?;
    let status = call.params.text("status").filter(|s| *s != "all").map(str::to_owned);
    let found: Vec<&Webhook> = shop
        .webhooks
        .values()
        .filter(|w| status.as_deref().is_none_or(|s| text(&w.record, "status") == s))
        .filter(|w| query.admits(&w.record))
        .collect();
    let (items, paging) = query.page(found, |w| &w.record);
    Ok(Reply::page(items.into_iter().map(|w| render(shop, w)).collect(), paging))
}

/// `GET /webhooks/{id}`.
pub fn get(shop: &Shop, id: u64) -> ApiResult<Reply> {
    Ok(Reply::ok(render(shop, shop.webhooks.get(&id).ok_or_else(not_found)?)))
}

/// Creates a webhook; the answer is its id. The caller sends the ping.
pub fn create(shop: &mut Shop, body: &Record) -> ApiResult<u64> {
    if number(body, "id") != 0 {
        let message = "Cannot create existing shop_webhook.";
        return Err(ApiError::new(400, "woocommerce_rest_shop_webhook_exists", message));
    }
    let missing: Vec<&str> =
        ["topic", "delivery_url"].into_iter().filter(|k| !body.contains_key(*k)).collect();
    if !missing.is_empty() {
        return Err(ApiError::missing_params(&missing));
    }
    check_topic(text(body, "topic"))?;
    check_url(text(body, "delivery_url"))?;
    check_status(body)?;
    shop.last.hook += 1;
    let id = shop.last.hook;
    let blank = json!({"id": id, "name": "", "status": "active", "topic": "", "resource": "",
        "event": "", "hooks": [], "delivery_url": "", "date_created": null,
        "date_created_gmt": null, "date_modified": null, "date_modified_gmt": null});
    let mut record = blank.as_object().cloned().unwrap_or_default();
    let now = shop.now();
    shop.set_date(&mut record, "date_created", &now);
    shop.set_date(&mut record, "date_modified", &now);
    if text(body, "name").is_empty() {
        set(&mut record, "name", format!("Webhook created on {now} GMT"));
    }
    let secret = match text(body, "secret") {
        "" => random_secret(),
        given => given.to_owned(),
    };
    let mut hook = Webhook { record, secret, failures: 0 };
    take_fields(&mut hook, body);
    shop.webhooks.insert(id, hook);
    Ok(id)
}

fn check_status(body: &Record) -> ApiResult<()> {
    match body.get("status") {
        Some(status) if !status.as_str().is_some_and(|s| STATUSES.contains(&s)) => {
            let fault = InvalidParam::not_in_enum("status", "status", &STATUSES);
            Err(ApiError::invalid_params(vec![fault]))
        }
        _ => Ok(()),
    }
}

fn random_secret() -> String {
    let mut random = rand::rng();
    let letter = |_| char::from(random.random_range(b'!'..=b'~'));
    (0..50).map(letter).collect()
}

fn take_fields(hook: &mut Webhook, body: &Record) {
    for key in ["name", "status", "topic", "delivery_url"] {
        if let Some(value) = body.get(key).and_then(Value::as_str) {
            set(&mut hook.record, key, value);
        }
    }
    let topic = text(&hook.record, "topic").to_owned();
    let (resource, event) = topic.split_once('.').unwrap_or((&topic, ""));
    set(&mut hook.record, "resource", resource);
    set(&mut hook.record, "event", event);
    set(&mut hook.record, "hooks", hooks(&topic));
    if let Some(secret) = body.get("secret").and_then(Value::as_str) {
        hook.secret = secret.to_owned();
    }
}

/// `POST /webhooks`: 201 whether the ping arrives or not.
pub fn post(shop: &mut Shop, call: &Call<'_>, dispatcher: &Dispatcher) -> ApiResult<Reply> {
    let id = create(shop, &call.body)?;
    let hook = shop.webhooks.get(&id).ok_or_else(not_found)?;
    dispatcher.ping(id, text(&hook.record, "delivery_url"));
    let location = format!("{}/wp-json/wc/v3/webhooks/{id}", shop.site_url);
    Ok(Reply::created(render(shop, hook), location))
}

/// `PUT /webhooks/{id}`. Making it active again doesn't reset its failures: reference, 10.5.
pub fn put(shop: &mut Shop, call: &Call<'_>, id: u64) -> ApiResult<Reply> {
    let Some(mut hook) = shop.webhooks.get(&id).cloned() else { return Err(not_found()) };
    if call.body.contains_key("topic") {
        check_topic(text(&call.body, "topic"))?;
    }
    if call.body.contains_key("delivery_url") {
        check_url(text(&call.body, "delivery_url"))?;
    }
    check_status(&call.body)?;
    take_fields(&mut hook, &call.body);
    shop.touch(&mut hook.record);
    shop.webhooks.insert(id, hook);
    get(shop, id)
}

/// `DELETE /webhooks/{id}`: only with `force`.
pub fn delete(shop: &mut Shop, call: &Call<'_>, id: u64) -> ApiResult<Reply> {
    let before = get(shop, id)?;
    if !forced(call) {
        let message = "Webhooks do not support trashing.";
        return Err(ApiError::new(501, "woocommerce_rest_trash_not_supported", message));
    }
    shop.webhooks.remove(&id);
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_four_resources_have_topics() {
        assert!(is_topic("order.updated") && is_topic("action.woocommerce_delete_order"));
        assert!(
            !is_topic("refund.created") && !is_topic("variation.updated") && !is_topic("order")
        );
    }
}
