//! Lines of an order as requests give them.

use super::super::errors::{ApiError, ApiResult};
use super::super::meta;
use super::super::record::{Record, amount, number, objects, rounded, set, text};
use super::super::state::Shop;
use super::tax::{self, Place};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Writes all kinds of lines that the request names; the others stay.
pub fn write(shop: &mut Shop, order: &mut Record, body: &Record) -> ApiResult<()> {
    for (key, build) in [
        ("line_items", product_line as Build),
        ("shipping_lines", shipping_line),
        ("fee_lines", fee_line),
    ] {
        let given: Vec<Record> = objects(body, key).cloned().collect();
        for line in given {
            write_one(shop, order, key, &line, build)?;
        }
    }
    Ok(())
}

type Build = fn(&mut Shop, &Record, &Record, Option<Record>) -> ApiResult<Record>;

fn write_one(
    shop: &mut Shop,
    order: &mut Record,
    key: &str,
    given: &Record,
    build: Build,
) -> ApiResult<()> {
    let id = number(given, "id");
    let place = objects(order, key).position(|line| id != 0 && number(line, "id") == id);
    if id != 0 && place.is_none() {
        let message = "Order item ID provided is not associated with order.";
        return Err(ApiError::new(400, "woocommerce_rest_invalid_item_id", message));
    }
    let old = place.and_then(|at| objects(order, key).nth(at).cloned());
    let removed = is_removal(given) && old.is_some();
    let new = match removed {
        true => None,
        false => Some(build(shop, order, given, old)?),
    };
    let Some(Value::Array(lines)) = order.get_mut(key) else { return Ok(()) };
    match (place, new) {
        (Some(at), Some(line)) => lines[at] = Value::Object(line),
        (Some(at), None) => drop(lines.remove(at)),
        (None, Some(line)) => lines.push(Value::Object(line)),
        (None, None) => {}
    }
    Ok(())
}

/// A line is taken out by a null in its naming key, or by quantity 0.
fn is_removal(given: &Record) -> bool {
    let null = |key: &str| given.get(key).is_some_and(Value::is_null);
    let zero = given.get("quantity").is_some() && amount(given, "quantity").is_zero();
    zero || ["product_id", "method_id", "method_title", "name", "code"].into_iter().any(null)
}

/// The product meant: by SKU, by variation, by product; 0 for an update that names none.
fn product_of(shop: &Shop, given: &Record, updating: bool) -> ApiResult<u64> {
    let (product, variation) = (number(given, "product_id"), number(given, "variation_id"));
    let sku = text(given, "sku");
    if !sku.is_empty() {
        return Ok(shop.sku_owner(sku, 0).unwrap_or(0));
    }
    match (variation, product) {
        (0, 0) if updating => Ok(0),
        (0, 0) if given.contains_key("product_id") => Ok(0),
        (0, 0) => {
            let message = "Product ID or SKU is required.";
            Err(ApiError::new(400, "woocommerce_rest_required_product_reference", message))
        }
        (0, product) => Ok(product),
        (variation, _) => Ok(variation),
    }
}

fn blank_line(id: u64) -> Record {
    let line = json!({
        "id": id, "name": "", "product_id": 0, "variation_id": 0, "quantity": 1, "tax_class": "",
        "subtotal": "0", "subtotal_tax": "0", "total": "0", "total_tax": "0", "taxes": [],
        "meta_data": [], "sku": null, "global_unique_id": null, "price": 0,
        "image": {"id": "", "src": ""}, "parent_name": null,
    });
    line.as_object().cloned().unwrap_or_default()
}

fn product_line(
    shop: &mut Shop,
    order: &Record,
    given: &Record,
    old: Option<Record>,
) -> ApiResult<Record> {
    let sold = product_of(shop, given, old.is_some())?;
    let updating = old.is_some();
    let mut line = match old {
        Some(line) => line,
        None => blank_line(shop.next_item()),
    };
    if given.contains_key("quantity") {
        set(&mut line, "quantity", plain_number(amount(given, "quantity")));
    }
    if sold != 0 && sold != number(&line, "variation_id").max(number(&line, "product_id")) {
        take_product(shop, &mut line, sold);
        if !updating {
            let price = net_price(shop, order, &line, sold) * amount(&line, "quantity");
            set(&mut line, "subtotal", price.to_string());
            set(&mut line, "total", price.to_string());
        }
    }
    for key in ["name", "tax_class"] {
        if let Some(value) = given.get(key).and_then(Value::as_str) {
            set(&mut line, key, value);
        }
    }
    // A new quantity alone keeps the amounts: reference, 7.
    for key in ["subtotal", "total"] {
        if given.contains_key(key) {
            set(&mut line, key, amount(given, key).to_string());
        }
    }
    if given.contains_key("total") && !given.contains_key("subtotal") && !updating {
        let total = text(&line, "total").to_owned();
        if amount(&line, "subtotal") < amount(&line, "total") {
            set(&mut line, "subtotal", total);
        }
    }
    meta::write_to_line(shop, &mut line, given);
    Ok(line)
}

fn plain_number(amount: Decimal) -> Value {
    serde_json::from_str(&amount.normalize().to_string()).unwrap_or(Value::Null)
}

/// Name, class and attributes as the product has them now; an unknown one leaves the line empty
/// (reference, 8).
fn take_product(shop: &mut Shop, line: &mut Record, sold: u64) {
    if let Some(product) = shop.products.get(&sold) {
        set(line, "product_id", sold);
        set(line, "name", text(product, "name"));
        set(line, "tax_class", text(product, "tax_class"));
        return;
    }
    let Some(variation) = shop.variations.get(&sold).cloned() else { return };
    let parent = number(&variation, "parent_id");
    let parent_name = shop.products.get(&parent).map(|p| text(p, "name").to_owned());
    set(line, "product_id", parent);
    set(line, "variation_id", sold);
    set(line, "name", full_name(parent_name.as_deref().unwrap_or_default(), &variation));
    set(line, "tax_class", text(&variation, "tax_class"));
    set(line, "image", json!({"id": 0, "src": ""}));
    let mut entries = vec![];
    for attribute in objects(&variation, "attributes") {
        let (key, shown) = (text(attribute, "slug"), text(attribute, "option"));
        let id = shop.next_meta();
        entries.push(json!({
            "id": id, "key": key, "value": shown.to_lowercase(),
            "display_key": text(attribute, "name"), "display_value": shown,
        }));
    }
    set(line, "meta_data", entries);
}

/// `Parent - Red, M`.
pub fn full_name(parent: &str, variation: &Record) -> String {
    match text(variation, "name") {
        "" => parent.to_owned(),
        name => format!("{parent} - {name}"),
    }
}

fn net_price(shop: &Shop, order: &Record, line: &Record, sold: u64) -> Decimal {
    let price = shop.sellable(sold).map(|p| amount(p, "price")).unwrap_or_default();
    if shop.setting("woocommerce_prices_include_tax") != "yes" {
        return price;
    }
    let place = Place::of(shop, order);
    tax::net_of(price, &tax::rates(shop, &place, text(line, "tax_class")))
}

fn shipping_line(
    shop: &mut Shop,
    _order: &Record,
    given: &Record,
    old: Option<Record>,
) -> ApiResult<Record> {
    if old.is_none() && text(given, "method_id").is_empty() {
        let message = "Shipping method ID is required.";
        return Err(ApiError::new(400, "woocommerce_rest_invalid_shipping_item", message));
    }
    let mut line = match old {
        Some(line) => line,
        None => {
            let blank = json!({
                "id": shop.next_item(), "method_title": "", "method_id": "", "instance_id": "",
                "total": "0", "total_tax": "0", "taxes": [], "tax_status": "taxable",
                "meta_data": [],
            });
            blank.as_object().cloned().unwrap_or_default()
        }
    };
    copy_texts(&mut line, given, &["method_title", "method_id", "instance_id"]);
    copy_total(shop, &mut line, given);
    meta::write_to_line(shop, &mut line, given);
    Ok(line)
}

fn fee_line(
    shop: &mut Shop,
    _order: &Record,
    given: &Record,
    old: Option<Record>,
) -> ApiResult<Record> {
    if old.is_none() && text(given, "name").is_empty() {
        let message = "Fee name is required.";
        return Err(ApiError::new(400, "woocommerce_rest_invalid_fee_item", message));
    }
    let mut line = match old {
        Some(line) => line,
        None => {
            let blank = json!({
                "id": shop.next_item(), "name": "", "tax_class": "", "tax_status": "taxable",
                "amount": "", "total": "0", "total_tax": "0", "taxes": [], "meta_data": [],
            });
            blank.as_object().cloned().unwrap_or_default()
        }
    };
    copy_texts(&mut line, given, &["name", "tax_class", "tax_status"]);
    copy_total(shop, &mut line, given);
    meta::write_to_line(shop, &mut line, given);
    Ok(line)
}

fn copy_texts(line: &mut Record, given: &Record, keys: &[&str]) {
    for key in keys {
        if let Some(value) = given.get(*key).and_then(Value::as_str) {
            set(line, key, value);
        }
    }
}

fn copy_total(shop: &Shop, line: &mut Record, given: &Record) {
    if given.contains_key("total") {
        set(line, "total", rounded(amount(given, "total"), shop.decimals().max(6)).to_string());
    }
}
