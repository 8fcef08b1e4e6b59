//! Settings, system status, currencies.

use super::errors::{ApiError, ApiResult};
use super::record::{Record, set, text};
use super::reply::{Call, Reply};
use super::state::Shop;
use super::view::{link, links};
use serde_json::{Value, json};

const GROUPS: &str = include_str!("../../fixtures/woocommerce/responses/settings_groups.json");
const STATUS: &str = include_str!("../../fixtures/woocommerce/responses/system_status_trim.json");

/// A recorded body, parsed; the recordings are part of the program and checked by tests.
fn recorded(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// `GET /settings`.
pub fn groups(shop: &Shop) -> Reply {
    let mut body = recorded(GROUPS);
    for group in body.as_array_mut().into_iter().flatten() {
        let id = group["id"].as_str().unwrap_or_default().to_owned();
        group["_links"] = json!({"options": link(shop, &format!("settings/{id}"))});
    }
    Reply::ok(body)
}

fn members<'a>(shop: &'a Shop, group: &str) -> ApiResult<&'a [Record]> {
    match group {
        "general" => Ok(&shop.general),
        "tax" => Ok(&shop.tax_settings),
        other => {
            let known = recorded(GROUPS);
            match known.as_array().is_some_and(|all| all.iter().any(|g| g["id"] == other)) {
                // A real group, of which nothing was recorded.
                true => Ok(&[]),
                false => {
                    let code = "rest_setting_setting_group_invalid";
                    Err(ApiError::new(404, code, "Invalid setting group."))
                }
            }
        }
    }
}

fn render(shop: &Shop, group: &str, setting: &Record) -> Value {
    let mut record = setting.clone();
    let own = format!("settings/{group}/{}", text(setting, "id"));
    let all = links(shop, &own, &format!("settings/{group}"), "GET, POST, PUT, PATCH");
    set(&mut record, "_links", all);
    Value::Object(record)
}

/// `GET /settings/{group}`.
pub fn list(shop: &Shop, group: &str) -> ApiResult<Reply> {
    let body: Vec<Value> = members(shop, group)?.iter().map(|s| render(shop, group, s)).collect();
    Ok(Reply::ok(body))
}

/// `GET` or `PUT /settings/{group}/{id}`.
pub fn one(shop: &mut Shop, call: &Call<'_>, group: &str, id: &str) -> ApiResult<Reply> {
    let unknown = || ApiError::new(404, "rest_setting_setting_invalid", "Invalid setting.");
    if !members(shop, group)?.iter().any(|s| text(s, "id") == id) {
        return Err(unknown());
    }
    if call.method != "GET"
        && let Some(value) = call.body.get("value")
    {
        let value = value.as_str().map(str::to_owned).unwrap_or_else(|| value.to_string());
        shop.change_setting(id, &value);
    }
    let found = members(shop, group)?.iter().find(|s| text(s, "id") == id);
    let mut body = render(shop, group, found.ok_or_else(unknown)?);
    if let Value::Object(record) = &mut body {
        let links = record.shift_remove("_links").unwrap_or_default();
        set(record, "group_id", group);
        set(record, "_links", links);
    }
    Ok(Reply::ok(body))
}

/// `GET /system_status`, as recorded but for addresses and settings.
pub fn system_status(shop: &Shop) -> Reply {
    let mut body = recorded(STATUS);
    body["environment"]["home_url"] = json!(shop.site_url);
    body["environment"]["site_url"] = json!(shop.site_url);
    let currency = shop.setting("woocommerce_currency").to_owned();
    body["settings"]["number_of_decimals"] = json!(shop.decimals());
    body["settings"]["currency"] = json!(currency);
    body["settings"]["currency_symbol"] = json!(currency_entry(shop, &currency).1);
    Reply::ok(body)
}

/// Name and symbol (as HTML) of a currency, from the choices of the currency setting.
fn currency_entry(shop: &Shop, code: &str) -> (String, String) {
    let options = shop
        .general
        .iter()
        .find(|s| text(s, "id") == "woocommerce_currency")
        .and_then(|s| s.get("options")?.as_object());
    // `United States (US) dollar (&#36;) — USD`
    let label = options.map(|o| text(o, code)).unwrap_or_default();
    let label = label.rsplit_once(" — ").map_or(label, |(label, _)| label);
    match label.rsplit_once(" (") {
        Some((name, symbol)) => (name.to_owned(), symbol.trim_end_matches(')').to_owned()),
        None => (label.to_owned(), code.to_owned()),
    }
}

/// The symbol as orders have it, entities decoded.
pub fn currency_symbol(shop: &Shop, code: &str) -> String {
    decoded(&currency_entry(shop, code).1)
}

fn decoded(html: &str) -> String {
    let mut out = String::new();
    let mut rest = html;
    while let Some(start) = rest.find('&') {
        let Some(length) = rest[start..].find(';') else { break };
        out.push_str(&rest[..start]);
        let entity = &rest[start + 1..start + length];
        let number = match entity.strip_prefix("#x") {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => entity.strip_prefix('#').and_then(|n| n.parse().ok()),
        };
        match (number.and_then(char::from_u32), entity) {
            (Some(letter), _) => out.push(letter),
            (None, "euro") => out.push('€'),
            (None, "pound") => out.push('£'),
            (None, "yen") => out.push('¥'),
            (None, other) => out.push_str(&format!("&{other};")),
        }
        rest = &rest[start + length + 1..];
    }
    out.push_str(rest);
    out
}

/// `GET /data/currencies/current`.
pub fn current_currency(shop: &Shop) -> Reply {
    let code = shop.setting("woocommerce_currency").to_owned();
    let (name, symbol) = currency_entry(shop, &code);
    let all = links(shop, &format!("data/currencies/{code}"), "data/currencies", "GET");
    Reply::ok(json!({"code": code, "name": name, "symbol": symbol, "_links": all}))
}

const STATUS_NAMES: [(&str, &str); 8] = [
    ("pending", "Pending payment"),
    ("processing", "Processing"),
    ("on-hold", "On hold"),
    ("completed", "Completed"),
    ("cancelled", "Cancelled"),
    ("refunded", "Refunded"),
    ("failed", "Failed"),
    ("checkout-draft", "Draft"),
];

/// `GET /orders/statuses`.
pub fn order_statuses() -> Reply {
    let one = |(slug, name): &(&str, &str)| json!({"slug": slug, "name": name});
    Reply::ok(STATUS_NAMES.iter().map(one).collect::<Vec<Value>>())
}

/// `GET /reports/orders/totals`.
pub fn order_totals(shop: &Shop) -> Reply {
    let of =
        |status: &str| shop.orders.values().filter(|o| text(&o.record, "status") == status).count();
    let body: Vec<Value> = STATUS_NAMES
        .iter()
        .map(|(slug, name)| json!({"slug": slug, "name": name, "total": of(slug)}))
        .collect();
    Reply::ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_decoded() {
        assert_eq!(decoded("&#36;"), "$");
        assert_eq!(decoded("&#x62f;.&#x643;"), "د.ك");
        assert_eq!(decoded("&euro;"), "€");
    }

    #[test]
    fn the_recorded_parts_are_json() {
        assert!(recorded(GROUPS).is_array());
        assert!(recorded(STATUS)["environment"].is_object());
    }
}
