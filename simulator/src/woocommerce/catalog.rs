//! Taxes, tax classes, categories, attributes, order notes and the API's index: the small ones.

use super::errors::{ApiError, ApiResult};
use super::list::{Query, Rules};
use super::orders::forced;
use super::record::{Record, number, set, text};
use super::reply::{Call, Reply};
use super::state::Shop;
use super::view::{ALL_METHODS, link, links};
use serde_json::{Map, Value, json};

const NAMESPACE: &str = include_str!("../../fixtures/woocommerce/responses/api_index_wc_v3.json");
const GATEWAYS: &str = include_str!("../../fixtures/woocommerce/responses/payment_gateways.json");
const ZONES: &str = include_str!("../../fixtures/woocommerce/responses/shipping_zones.json");

/// No filter by date anywhere here: reference, 2.6.
const RULES: Rules = Rules {
    orderby: &["id", "order", "priority"],
    default_orderby: "order",
    default_desc: false,
    statuses: &[],
    enums: &[],
    posts_table: true,
    dates: false,
};

fn invalid_id() -> ApiError {
    ApiError::new(404, "woocommerce_rest_invalid_id", "Invalid resource ID.")
}

fn render_tax(shop: &Shop, tax: &Record) -> Value {
    let mut record = tax.clone();
    let id = number(tax, "id");
    set(&mut record, "_links", links(shop, &format!("taxes/{id}"), "taxes", ALL_METHODS));
    Value::Object(record)
}

/// `GET /taxes`.
pub fn taxes(shop: &Shop, call: &mut Call<'_>) -> ApiResult<Reply> {
    let query = Query::read(&mut call.params, &RULES, &shop.zone)?;
    let class = call.params.text("class").map(str::to_owned);
    let found: Vec<&Record> = shop
        .taxes
        .values()
        .filter(|t| class.as_deref().is_none_or(|class| text(t, "class") == class))
        .filter(|t| query.admits(t))
        .collect();
    let (items, paging) = query.page(found, |t| t);
    Ok(Reply::page(items.into_iter().map(|t| render_tax(shop, t)).collect(), paging))
}

/// `GET`, `PUT` or `DELETE /taxes/{id}`; deleting needs `force`.
pub fn tax(shop: &mut Shop, call: &Call<'_>, id: u64) -> ApiResult<Reply> {
    let tax = shop.taxes.get(&id).ok_or_else(invalid_id)?;
    let body = render_tax(shop, tax);
    match call.method {
        "GET" => Ok(Reply::ok(body)),
        "DELETE" if forced(call) => {
            shop.taxes.remove(&id);
            Ok(Reply::ok(body))
        }
        "DELETE" => {
            let message = "Taxes do not support trashing.";
            Err(ApiError::new(501, "woocommerce_rest_trash_not_supported", message))
        }
        _ => {
            if let Some(tax) = shop.taxes.get_mut(&id) {
                let known: Record = call
                    .body
                    .iter()
                    .filter(|(k, _)| tax.contains_key(*k) && *k != "id")
                    .map(|(k, v)| (k.clone(), v.clone()))
                    .collect();
                super::record::merge(tax, &known);
            }
            let tax = shop.taxes.get(&id).ok_or_else(invalid_id)?;
            Ok(Reply::ok(render_tax(shop, tax)))
        }
    }
}

/// `POST /taxes`.
pub fn create_tax(shop: &mut Shop, call: &Call<'_>) -> Reply {
    shop.last.tax += 1;
    let id = shop.last.tax;
    let blank = json!({"id": id, "country": "", "state": "", "postcode": "", "city": "",
        "rate": "0.0000", "name": "", "priority": 1, "compound": false, "shipping": true,
        "order": 0, "class": "standard", "postcodes": [], "cities": []});
    let mut tax = blank.as_object().cloned().unwrap_or_default();
    for (key, value) in call.body.iter().filter(|(key, _)| *key != "id") {
        if tax.contains_key(key) {
            set(&mut tax, key, value.clone());
        }
    }
    let body = render_tax(shop, &tax);
    shop.taxes.insert(id, tax);
    Reply::created(body, format!("{}/wp-json/wc/v3/taxes/{id}", shop.site_url))
}

/// `GET /taxes/classes`: all at once.
pub fn tax_classes(shop: &Shop) -> Reply {
    let one = |class: &Record| {
        let mut record = class.clone();
        set(&mut record, "_links", json!({"collection": link(shop, "taxes/classes")}));
        Value::Object(record)
    };
    Reply::ok(shop.tax_classes.iter().map(one).collect::<Vec<_>>())
}

fn render_term(shop: &Shop, term: &Record, kind: &str) -> Value {
    let mut record = term.clone();
    let own = format!("products/{kind}");
    let mut all = links(shop, &format!("{own}/{}", number(term, "id")), &own, ALL_METHODS);
    let parent = number(term, "parent");
    if parent != 0 {
        all.insert("up".into(), link(shop, &format!("{own}/{parent}")));
    }
    set(&mut record, "_links", Value::Object(all));
    Value::Object(record)
}

/// Categories: sorted by name.
pub fn categories(shop: &Shop, call: &mut Call<'_>) -> ApiResult<Reply> {
    let rules = Rules {
        orderby: &["id", "include", "name", "slug", "term_group", "description", "count"],
        default_orderby: "include",
        ..RULES
    };
    let query = Query::read(&mut call.params, &rules, &shop.zone)?;
    let mut found: Vec<&Record> = shop.categories.values().filter(|c| query.admits(c)).collect();
    found.sort_by_key(|c| text(c, "name"));
    let (items, paging) = query.page(found, |c| c);
    Ok(Reply::page(items.into_iter().map(|c| render_term(shop, c, "categories")).collect(), paging))
}

/// `GET /products/categories/{id}`.
pub fn category(shop: &Shop, id: u64) -> ApiResult<Reply> {
    let found = shop.categories.get(&id);
    let missing =
        || ApiError::new(404, "woocommerce_rest_term_invalid", "Resource does not exist.");
    Ok(Reply::ok(render_term(shop, found.ok_or_else(missing)?, "categories")))
}

/// Attributes come all at once, without totals.
pub fn attributes(shop: &Shop) -> Reply {
    let all = shop.attributes.values().map(|a| render_term(shop, a, "attributes"));
    Reply::ok(all.collect::<Vec<_>>())
}

/// `GET /products/attributes/{id}`.
pub fn attribute(shop: &Shop, id: u64) -> ApiResult<Reply> {
    let missing =
        || ApiError::new(404, "woocommerce_rest_taxonomy_invalid", "Resource does not exist.");
    let found = shop.attributes.get(&id).ok_or_else(missing)?;
    Ok(Reply::ok(render_term(shop, found, "attributes")))
}

fn order_exists(shop: &Shop, order: u64) -> ApiResult<()> {
    match shop.orders.contains_key(&order) {
        true => Ok(()),
        false => {
            let code = "woocommerce_rest_order_invalid_id";
            Err(ApiError::new(404, code, "Invalid order ID."))
        }
    }
}

fn render_note(shop: &Shop, note: &Record) -> Value {
    let mut record = note.clone();
    let (id, order) = (number(note, "id"), number(note, "order_id"));
    record.shift_remove("order_id");
    let own = format!("orders/{order}/notes");
    let mut all = links(shop, &format!("{own}/{id}"), &own, "GET, DELETE");
    all.insert("up".into(), link(shop, &format!("orders/{order}")));
    set(&mut record, "_links", Value::Object(all));
    Value::Object(record)
}

/// Notes come all at once, newest first.
pub fn notes(shop: &Shop, order: u64) -> ApiResult<Reply> {
    order_exists(shop, order)?;
    let mine = shop.notes.values().rev().filter(|n| number(n, "order_id") == order);
    Ok(Reply::ok(mine.map(|n| render_note(shop, n)).collect::<Vec<_>>()))
}

/// Adding a note moves no date and tells only a custom topic.
pub fn create_note(shop: &mut Shop, call: &Call<'_>, order: u64) -> ApiResult<Reply> {
    order_exists(shop, order)?;
    if text(&call.body, "note").is_empty() {
        return Err(ApiError::missing_params(&["note"]));
    }
    shop.last.comment += 1;
    let id = shop.last.comment;
    let public = call.body.get("customer_note") == Some(&Value::Bool(true));
    let note = json!({"id": id, "author": "WooCommerce", "date_created": null,
        "date_created_gmt": null, "note": text(&call.body, "note"), "customer_note": public,
        "order_id": order});
    let mut note = note.as_object().cloned().unwrap_or_default();
    let now = shop.now();
    shop.set_date(&mut note, "date_created", &now);
    let body = render_note(shop, &note);
    shop.notes.insert(id, note);
    shop.event("action.woocommerce_order_note_added", id);
    let location = format!("{}/wp-json/wc/v3/orders/{order}/notes/{id}", shop.site_url);
    Ok(Reply::created(body, location))
}

/// `GET` or `DELETE /orders/{id}/notes/{id}`; deleting needs `force`.
pub fn note(shop: &mut Shop, call: &Call<'_>, order: u64, id: u64) -> ApiResult<Reply> {
    order_exists(shop, order)?;
    let found = shop.notes.get(&id).filter(|n| number(n, "order_id") == order);
    let body = render_note(shop, found.ok_or_else(invalid_id)?);
    if call.method == "DELETE" {
        if !forced(call) {
            let message = "Order notes do not support trashing.";
            return Err(ApiError::new(501, "woocommerce_rest_trash_not_supported", message));
        }
        shop.notes.remove(&id);
    }
    Ok(Reply::ok(body))
}

/// `GET /wp-json/`, public.
pub fn index(shop: &Shop) -> Reply {
    let offset = shop.clock.now().to_zoned(shop.zone.clone()).offset().seconds();
    Reply::ok(json!({
        "name": "Lab", "description": "", "url": shop.site_url, "home": shop.site_url,
        "gmt_offset": (offset / 3600).to_string(),
        "timezone_string": shop.zone.iana_name().unwrap_or("UTC"),
        "page_for_posts": 0, "page_on_front": 0, "show_on_front": "posts",
        "namespaces": ["oembed/1.0", "wc/v1", "wc/v2", "wc/v3", "wp/v2"],
        "authentication": {}, "routes": rebased(shop, NAMESPACE)["routes"].take(),
    }))
}

/// `GET /wp-json/wc/v3`, public.
pub fn namespace(shop: &Shop) -> Reply {
    Reply::ok(rebased(shop, NAMESPACE))
}

/// A recorded body with this shop's address in its links.
fn rebased(shop: &Shop, recorded: &str) -> Value {
    let text = recorded.replace("https:\\/\\/127.0.0.1:8443", &shop.site_url.replace('/', "\\/"));
    serde_json::from_str(&text).unwrap_or_else(|_| Value::Object(Map::new()))
}

/// What is served as it was recorded.
pub fn fixed(shop: &Shop, path: &str) -> Reply {
    Reply::ok(rebased(shop, if path == "payment_gateways" { GATEWAYS } else { ZONES }))
}
