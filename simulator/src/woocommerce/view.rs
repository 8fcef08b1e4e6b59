//! Records as the API shows them: amounts at the asked decimals, `_links`, chosen fields.

use super::record::{Record, as_amount, formatted, objects_mut};
use super::routes::Route;
use super::state::Shop;
use serde_json::{Map, Value, json};

/// Rounds and pads the amounts under `keys`; empty texts stay (they mean "none").
pub fn format_amounts(record: &mut Record, keys: &[&str], places: u32) {
    for key in keys {
        let Some(value) = record.get_mut(*key) else { continue };
        if value.as_str() == Some("") {
            continue;
        }
        if let Some(amount) = as_amount(value) {
            *value = Value::String(formatted(amount, places));
        }
    }
}

/// The same for the objects of a list.
pub fn format_amounts_in(record: &mut Record, list: &str, keys: &[&str], places: u32) {
    for item in objects_mut(record, list) {
        format_amounts(item, keys, places);
        for tax in objects_mut(item, "taxes") {
            format_amounts(tax, &["total", "subtotal"], places);
        }
    }
}

/// `_links` of a record: itself with its methods, and its collection.
pub fn links(shop: &Shop, own: &str, collection: &str, allow: &str) -> Map<String, Value> {
    let base = format!("{}/wp-json/wc/v3", shop.site_url);
    let methods: Vec<&str> = allow.split(", ").collect();
    let mut links = Map::new();
    links.insert(
        "self".into(),
        json!([{"href": format!("{base}/{own}"), "targetHints": {"allow": methods}}]),
    );
    links.insert("collection".into(), json!([{"href": format!("{base}/{collection}")}]));
    links
}

/// A link without hints.
pub fn link(shop: &Shop, path: &str) -> Value {
    json!([{"href": format!("{}/wp-json/wc/v3/{path}", shop.site_url)}])
}

/// Methods of most single records.
pub const ALL_METHODS: &str = "GET, POST, PUT, PATCH, DELETE";

/// Puts the site's address where the recorded one stood.
pub fn rebase(text: &str, site_url: &str) -> String {
    match text.find("://") {
        Some(scheme) => {
            let rest = &text[scheme + 3..];
            let path = rest.find('/').map(|at| &rest[at..]).unwrap_or_default();
            format!("{site_url}{path}")
        }
        None => text.to_owned(),
    }
}

/// `_fields`: keeps the named keys, in the record's order. Nested names work for objects, but drop
/// the whole key for lists, and for everything in products, which build only what is asked for
/// under the exact name: reference, 11.
pub fn keep_fields(body: &mut Value, fields: &[String], route: &Route) {
    let nested = !matches!(
        route,
        Route::Products | Route::Product(_) | Route::Variations(_) | Route::Variation(..)
    );
    match body {
        Value::Array(items) => items.iter_mut().for_each(|item| keep_in(item, fields, nested)),
        other => keep_in(other, fields, nested),
    }
}

fn keep_in(value: &mut Value, fields: &[String], nested: bool) {
    let Value::Object(record) = value else { return };
    let old = std::mem::take(record);
    for (key, mut value) in old {
        if fields.contains(&key) {
            record.insert(key, value);
            continue;
        }
        let prefix = format!("{key}.");
        let inner: Vec<String> =
            fields.iter().filter_map(|f| f.strip_prefix(&prefix)).map(str::to_owned).collect();
        if inner.is_empty() || !nested || !value.is_object() {
            continue;
        }
        keep_in(&mut value, &inner, nested);
        record.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_fields_work_for_objects_and_drop_lists() {
        let mut order =
            json!({"id": 1, "billing": {"email": "a", "city": "b"}, "line_items": [{"id": 2}]});
        let fields = ["billing.email", "line_items.id", "id"].map(String::from);
        keep_fields(&mut order, &fields, &Route::Orders);
        assert_eq!(order, json!({"id": 1, "billing": {"email": "a"}}));
        let mut product = json!({"id": 1, "dimensions": {"length": "3"}});
        keep_fields(&mut product, &["dimensions.length".to_owned()], &Route::Products);
        assert_eq!(product, json!({}));
    }
}
