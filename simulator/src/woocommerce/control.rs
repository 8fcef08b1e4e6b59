//! The shop's part of the control API: look at and change anything, without the REST API's rules.

use super::keys::{Key, Permissions, Role};
use super::record::{Record, amount, as_id, merge, number, objects, set, text};
use super::state::Shop;
use super::{WooCommerce, coupons, customers, generate, orders, products, refunds, times};
use crate::platform::{ControlCall, ControlError, ControlReply};
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

fn bad(why: impl Into<String>) -> ControlError {
    ControlError::BadRequest(why.into())
}

fn missing(what: impl Into<String>) -> ControlError {
    ControlError::NotFound(what.into())
}

/// Answers a call under `/woocommerce/`.
pub fn answer(platform: &WooCommerce, call: &ControlCall<'_>) -> ControlReply {
    let mut shop = platform.state();
    let reply = match (call.method, call.path.as_slice()) {
        ("GET", ["state"]) => Ok(summary(&shop, platform)),
        ("GET", ["keys"]) => Ok(shop.keys.to_json()),
        ("POST", ["keys"]) => add_key(&mut shop, &call.body),
        ("DELETE", ["keys", name]) => match shop.keys.remove(name) {
            true => Ok(shop.keys.to_json()),
            false => Err(missing(format!("no key named {name}"))),
        },
        ("GET", ["settings"]) => Ok(settings(&shop)),
        ("PUT" | "POST", ["settings"]) => change_settings(&mut shop, &call.body),
        ("PUT" | "POST", ["half_written"]) => half_written(&mut shop, &call.body),
        ("POST", ["half_written", "advance"]) => Ok(advance(&mut shop)),
        ("POST", ["generate"]) => {
            let count = call.body["orders"].as_u64().ok_or_else(|| bad("give \"orders\""))?;
            let seed = call.body["seed"].as_u64().unwrap_or(2);
            Ok(json!({"ids": generate::more(&mut shop, count, seed)}))
        }
        ("POST", ["prerendered", "touch"]) => {
            let store = platform.prerendered.as_ref();
            let store = store.ok_or_else(|| missing("the shop isn't pre-rendered"))?;
            let count = call.body["count"].as_u64().unwrap_or(1) as usize;
            Ok(json!({"touched": store.touch(&shop, count)}))
        }
        ("GET", ["deliveries"]) => Ok(platform.dispatcher.to_json(&shop)),
        ("POST", ["deliveries", "now"]) => {
            platform.dispatcher.take_events(&mut shop);
            platform.dispatcher.hurry();
            Ok(platform.dispatcher.to_json(&shop))
        }
        ("POST", [kind, "touch"]) => touch(&mut shop, kind, &call.body),
        (_, [kind, rest @ ..]) => records(&mut shop, call, kind, rest),
        _ => Err(missing("give a path, see simulator/README.md")),
    };
    platform.dispatcher.take_events(&mut shop);
    reply
}

fn summary(shop: &Shop, platform: &WooCommerce) -> Value {
    let mut statuses: BTreeMap<String, u64> = BTreeMap::new();
    let mut sums: BTreeMap<String, Decimal> = BTreeMap::new();
    let mut lines = 0;
    for order in shop.orders.values().map(|o| &o.record) {
        let status = text(order, "status");
        *statuses.entry(status.to_owned()).or_default() += 1;
        // What the engine would take: no drafts, nothing from the trash.
        if !["checkout-draft", "auto-draft", "trash"].contains(&status) {
            *sums.entry(text(order, "currency").to_owned()).or_default() += amount(order, "total");
            lines += objects(order, "line_items").count();
        }
    }
    let sums: Map<String, Value> =
        sums.into_iter().map(|(k, v)| (k, json!(v.to_string()))).collect();
    let trashed =
        |map: &BTreeMap<u64, Record>| map.values().filter(|r| text(r, "status") == "trash").count();
    let live: u64 = statuses
        .iter()
        .filter(|(s, _)| !["checkout-draft", "auto-draft", "trash"].contains(&s.as_str()))
        .map(|(_, n)| n)
        .sum();
    json!({
        "orders": {"live": live, "by_status": statuses, "lines": lines, "sums": sums},
        "refunds": shop.refunds.len(),
        "products": shop.products.len() - trashed(&shop.products),
        "products_trashed": trashed(&shop.products),
        "variations": shop.variations.len(),
        "customers": shop.customers.len(),
        "coupons": shop.coupons.len(),
        "webhooks": shop.webhooks.len(),
        "prerendered": platform.prerendered.as_ref().map(|p| p.len()),
    })
}

fn add_key(shop: &mut Shop, body: &Value) -> ControlReply {
    let name = body["name"].as_str().ok_or_else(|| bad("give the key a \"name\""))?;
    let permissions = match body["permissions"].as_str().unwrap_or("read_write") {
        "read" => Permissions::Read,
        "write" => Permissions::Write,
        "read_write" => Permissions::ReadWrite,
        _ => return Err(bad("permissions are read, write or read_write")),
    };
    let role = match body["role"].as_str().unwrap_or("administrator") {
        "administrator" => Role::Administrator,
        "shop_manager" => Role::ShopManager,
        "customer" => Role::Customer,
        _ => return Err(bad("roles are administrator, shop_manager and customer")),
    };
    let mut key = Key::generate(permissions, role);
    if let Some(given) = body["consumer_key"].as_str() {
        key.consumer_key = given.to_owned();
    }
    if let Some(given) = body["consumer_secret"].as_str() {
        key.consumer_secret = given.to_owned();
    }
    let shown = key.to_json();
    shop.keys.add(name, key);
    Ok(shown)
}

fn settings(shop: &Shop) -> Value {
    let all = shop.general.iter().chain(&shop.tax_settings);
    let mut shown: Map<String, Value> = all
        .map(|s| (text(s, "id").to_owned(), s.get("value").cloned().unwrap_or_default()))
        .collect();
    shown.insert("timezone".into(), json!(shop.zone.iana_name()));
    Value::Object(shown)
}

/// Short names for the settings that tests turn.
const SHORT: [(&str, &str); 5] = [
    ("decimals", "woocommerce_price_num_decimals"),
    ("tax_round_at_subtotal", "woocommerce_tax_round_at_subtotal"),
    ("currency", "woocommerce_currency"),
    ("prices_include_tax", "woocommerce_prices_include_tax"),
    ("calc_taxes", "woocommerce_calc_taxes"),
];

fn change_settings(shop: &mut Shop, body: &Value) -> ControlReply {
    let body = body.as_object().ok_or_else(|| bad("give an object of settings"))?;
    for (name, value) in body {
        if name == "timezone" {
            let zone = value.as_str().unwrap_or_default();
            shop.zone = TimeZone::get(zone).map_err(|_| bad(format!("no time zone {zone:?}")))?;
            continue;
        }
        let id = SHORT.iter().find(|(s, _)| s == name).map_or(name.as_str(), |(_, id)| id);
        let text = match value {
            Value::Bool(flag) => if *flag { "yes" } else { "no" }.to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if !shop.change_setting(id, &text) {
            return Err(bad(format!("no setting {name:?}")));
        }
    }
    Ok(settings(shop))
}

fn half_written(shop: &mut Shop, body: &Value) -> ControlReply {
    shop.half_written.stages = body["stages"].as_u64().unwrap_or(0) as usize;
    shop.half_written.advance_on_read = match body["advance"].as_str().unwrap_or("read") {
        "read" => true,
        "manual" => false,
        _ => return Err(bad("advance is read or manual")),
    };
    if shop.half_written.stages == 0 {
        shop.orders.values_mut().for_each(|order| order.stages.clear());
    }
    Ok(json!({"stages": shop.half_written.stages}))
}

fn advance(shop: &mut Shop) -> Value {
    let mut unfinished = 0;
    for order in shop.orders.values_mut() {
        order.stages.pop_front();
        unfinished += usize::from(!order.stages.is_empty());
    }
    json!({ "unfinished": unfinished })
}

/// `{"ids": [...], "at": "2026-11-01T10:00:00"}`: one modification time for many, as bulk edits
/// and imports make them. Without ids: all. Without a time: now.
fn touch(shop: &mut Shop, kind: &str, body: &Value) -> ControlReply {
    let at = match body["at"].as_str() {
        Some(at) => at.trim_end_matches('Z').to_owned(),
        None => shop.now(),
    };
    times::moment(&at).ok_or_else(|| bad("at must be a time such as 2026-11-01T10:00:00"))?;
    let ids: Option<Vec<u64>> =
        body["ids"].as_array().map(|ids| ids.iter().filter_map(as_id).collect());
    let local = times::local(&at, &shop.zone).unwrap_or_default();
    let mut touched = 0;
    let mut one = |id: u64, record: &mut Record| {
        if ids.as_ref().is_none_or(|ids| ids.contains(&id)) {
            set(record, "date_modified", local.clone());
            set(record, "date_modified_gmt", at.clone());
            touched += 1;
        }
    };
    if kind == "orders" {
        shop.orders.iter_mut().for_each(|(id, order)| one(*id, &mut order.record));
    } else {
        let map = map_of(shop, kind).ok_or_else(|| missing(format!("no records named {kind}")))?;
        map.iter_mut().for_each(|(id, record)| one(*id, record));
    }
    Ok(json!({ "touched": touched }))
}

fn map_of<'a>(shop: &'a mut Shop, kind: &str) -> Option<&'a mut BTreeMap<u64, Record>> {
    Some(match kind {
        "refunds" => &mut shop.refunds,
        "products" => &mut shop.products,
        "variations" => &mut shop.variations,
        "customers" => &mut shop.customers,
        "coupons" => &mut shop.coupons,
        "taxes" => &mut shop.taxes,
        _ => return None,
    })
}

fn record_mut<'a>(shop: &'a mut Shop, kind: &str, id: u64) -> Option<&'a mut Record> {
    match kind {
        "orders" => shop.orders.get_mut(&id).map(|order| &mut order.record),
        other => map_of(shop, other)?.get_mut(&id),
    }
}

fn records(shop: &mut Shop, call: &ControlCall<'_>, kind: &str, rest: &[&str]) -> ControlReply {
    if kind != "orders" && map_of(shop, kind).is_none() {
        return Err(missing(format!("nothing named {kind}; see simulator/README.md")));
    }
    let flag = |name: &str, default: bool| {
        let given = call.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        given.map_or(default, |v| v != "false" && v != "0")
    };
    let id = |text: &str| text.parse::<u64>().map_err(|_| bad("ids are numbers"));
    match (call.method, rest) {
        ("POST", []) => create(shop, kind, &call.body, flag("raw", false), flag("events", true)),
        ("GET", [one]) => {
            let found = record_mut(shop, kind, id(one)?).cloned();
            found.map(Value::Object).ok_or_else(|| missing(format!("no {kind} {one}")))
        }
        ("PUT" | "PATCH", [one]) => {
            edit(shop, kind, id(one)?, &call.body, flag("touch", true), flag("events", true))
        }
        ("DELETE", [one]) => {
            let trash = flag("trash", false);
            remove(shop, kind, id(one)?, trash)
        }
        ("POST", [one, "restore"]) if ["orders", "products"].contains(&kind) => {
            let id = id(one)?;
            if kind == "orders" {
                orders::untrash(shop, id)
            } else {
                products::untrash(shop, id)
            }
            Ok(json!({ "restored": id }))
        }
        _ => Err(missing(format!("{} /{kind}/{} isn't there", call.method, rest.join("/")))),
    }
}

/// `raw`: take the record as it is; else as the REST API would.
fn create(shop: &mut Shop, kind: &str, body: &Value, raw: bool, events: bool) -> ControlReply {
    let body = body.as_object().ok_or_else(|| bad("give the record as an object"))?;
    let before = shop.events.len();
    let refused = |e: super::errors::ApiError| bad(format!("{}: {}", e.code, e.message));
    let id = match (kind, raw) {
        ("orders", true) => orders::insert_raw(shop, body, events),
        ("orders", false) => orders::create(shop, body, true).map_err(refused)?,
        ("products", true) => products::insert_raw(shop, body, events),
        ("products", false) => products::create(shop, body).map_err(refused)?,
        ("customers", true) => customers::insert_raw(shop, body, events),
        ("customers", false) => customers::create(shop, body).map_err(refused)?,
        ("coupons", true) => coupons::insert_raw(shop, body),
        ("coupons", false) => coupons::create(shop, body).map_err(refused)?,
        ("variations", _) => {
            let parent = number(body, "parent_id");
            products::variations::create(shop, parent, body).map_err(refused)?
        }
        (other, _) => insert_plain(shop, other, body)?,
    };
    if !events {
        shop.events.truncate(before);
    }
    Ok(json!({ "id": id }))
}

fn insert_plain(shop: &mut Shop, kind: &str, body: &Record) -> Result<u64, ControlError> {
    let id = match number(body, "id") {
        0 => shop.next_post(),
        id => id,
    };
    shop.last.post = shop.last.post.max(id);
    let mut record = match kind {
        "refunds" => refunds::amount_only(shop, 0, Decimal::ZERO, ""),
        _ => Record::new(),
    };
    merge(&mut record, body);
    set(&mut record, "id", id);
    let map = map_of(shop, kind).ok_or_else(|| missing(format!("no records named {kind}")))?;
    map.insert(id, record);
    Ok(id)
}

/// Puts the body's keys into the record as they are: objects merged, lists replaced.
fn edit(
    shop: &mut Shop,
    kind: &str,
    id: u64,
    body: &Value,
    touch: bool,
    events: bool,
) -> ControlReply {
    let body = body.as_object().ok_or_else(|| bad("give the changed keys as an object"))?;
    let now = shop.now();
    let local = times::local(&now, &shop.zone).unwrap_or_default();
    let record = record_mut(shop, kind, id).ok_or_else(|| missing(format!("no {kind} {id}")))?;
    merge(record, body);
    if touch && record.contains_key("date_modified") && !body.contains_key("date_modified_gmt") {
        set(record, "date_modified", local);
        set(record, "date_modified_gmt", now);
    }
    let shown = record.clone();
    let topic = match kind {
        "orders" => "order.updated",
        "products" | "variations" => "product.updated",
        "customers" => "customer.updated",
        "coupons" => "coupon.updated",
        _ => "",
    };
    if events && !topic.is_empty() {
        shop.event(topic, id);
    }
    Ok(Value::Object(shown))
}

fn remove(shop: &mut Shop, kind: &str, id: u64, trash: bool) -> ControlReply {
    if record_mut(shop, kind, id).is_none() {
        return Err(missing(format!("no {kind} {id}")));
    }
    match (kind, trash) {
        ("orders", true) => orders::trash(shop, id),
        ("orders", false) => orders::destroy(shop, id),
        ("products", true) => products::trash(shop, id),
        ("products", false) => products::destroy(shop, id),
        ("coupons", true) => coupons::trash(shop, id),
        ("customers", _) => customers::destroy(shop, id),
        ("variations", _) => products::variations::destroy(shop, id),
        (other, _) => {
            if let Some(map) = map_of(shop, other) {
                map.remove(&id);
            }
        }
    }
    Ok(json!({ "removed": id }))
}
