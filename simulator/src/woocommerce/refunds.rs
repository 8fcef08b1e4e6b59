//! Refunds: of one order, and all of them.

use super::errors::{ApiError, ApiResult};
use super::list::Query;
use super::orders::{self, change_status, forced, places};
use super::record::{
    Record, amount, as_amount, formatted, number, objects, php_quotient, set, text,
};
use super::reply::{Call, Reply};
use super::state::Shop;
use super::view::{format_amounts, link, links};
use rust_decimal::Decimal;
use serde_json::{Value, json};

fn not_found() -> ApiError {
    ApiError::new(404, "woocommerce_rest_shop_order_refund_invalid_id", "Invalid ID.")
}

/// Refund errors are HTTP 500, with a bare number as data: reference, 7 and 8.
fn refused(message: &str) -> ApiError {
    let mut error = ApiError::new(500, "woocommerce_rest_cannot_create_order_refund", message);
    error.data = Box::new(json!(500));
    error
}

/// As shown; only the list of all refunds names the order.
fn render(shop: &Shop, refund: &Record, places: u32, with_parent: bool) -> Value {
    let mut record = refund.clone();
    let (id, order) = (number(refund, "id"), number(refund, "parent_id"));
    if !with_parent {
        record.shift_remove("parent_id");
    }
    orders::view::refresh_lines(shop, &mut record);
    format_amounts(&mut record, &["amount"], places);
    orders::view::format_lines(&mut record, places);
    let own = format!("orders/{order}/refunds");
    let mut all = links(shop, &format!("{own}/{id}"), &own, "GET, DELETE");
    all.insert("up".into(), link(shop, &format!("orders/{order}")));
    set(&mut record, "_links", Value::Object(all));
    Value::Object(record)
}

/// A refund's dates: it has no modification time of its own, filters use its creation.
fn dated(refund: &Record) -> Record {
    let mut record = refund.clone();
    for key in ["date_modified", "date_modified_gmt"] {
        let created = text(refund, &key.replace("modified", "created")).to_owned();
        set(&mut record, key, created);
    }
    record
}

/// `GET /refunds` and, with an order, `GET /orders/{id}/refunds`. An unknown order has none.
pub fn list_of(shop: &Shop, call: &mut Call<'_>, order: Option<u64>) -> ApiResult<Reply> {
    let rules = super::list::Rules { statuses: &[], ..orders::RULES };
    let query = Query::read(&mut call.params, &rules, &shop.zone)?;
    let found: Vec<Record> = shop
        .refunds
        .values()
        .filter(|r| order.is_none_or(|id| number(r, "parent_id") == id))
        .map(dated)
        .filter(|r| query.admits(r))
        .collect();
    let (items, mut paging) = query.page(found, |r| r);
    let places = places(shop, call);
    let body: Vec<Value> = items
        .iter()
        .filter_map(|r| shop.refunds.get(&number(r, "id")))
        .map(|r| render(shop, r, places, order.is_none()))
        .collect();
    orders::past_the_end(&mut paging, body.is_empty());
    Ok(Reply::page(body, paging))
}

/// `GET /orders/{id}/refunds/{id}`.
pub fn get(shop: &Shop, call: &Call<'_>, order: u64, id: u64) -> ApiResult<Reply> {
    let refund = shop.refunds.get(&id).filter(|r| number(r, "parent_id") == order);
    let refund = refund.ok_or_else(not_found)?;
    Ok(Reply::ok(render(shop, refund, places(shop, call), false)))
}

/// `POST /orders/{id}/refunds`.
pub fn create(shop: &mut Shop, call: &Call<'_>, order: u64) -> ApiResult<Reply> {
    let body = &call.body;
    let Some(parent) = shop.orders.get(&order).map(|o| o.record.clone()) else {
        let message = "Invalid order ID.";
        return Err(ApiError::new(404, "woocommerce_rest_invalid_order_id", message));
    };
    let lines: Vec<&Record> = objects(body, "line_items").collect();
    let asked = match body.get("amount").and_then(as_amount) {
        Some(asked) => asked,
        None => lines.iter().map(|line| line_total(line)).sum(),
    };
    let left = amount(&parent, "total") - shop.refunded(order);
    if asked <= Decimal::ZERO && lines.is_empty() || asked < Decimal::ZERO || asked > left {
        return Err(refused("Invalid refund amount."));
    }
    if body.get("api_refund") != Some(&Value::Bool(false)) {
        let gateway = text(&parent, "payment_method");
        let known = ["bacs", "cheque", "cod"].contains(&gateway);
        return Err(refused(match known {
            true => "The payment gateway for this order does not support automatic refunds.",
            false => "The payment gateway for this order does not exist.",
        }));
    }
    let restock = body.get("api_restock") != Some(&Value::Bool(false));
    let mut refund = amount_only(shop, order, asked, text(body, "reason"));
    let full = asked == left;
    let kind = if full { "full" } else { "partial" };
    let entry = shop.meta_entry("_refund_type", kind.into());
    set(&mut refund, "meta_data", vec![entry]);
    super::meta::write(shop, &mut refund, body);
    write_lines(shop, &mut refund, &parent, &lines, restock);
    let id = number(&refund, "id");
    shop.refunds.insert(id, refund);
    if full && let Some(mut owner) = shop.orders.remove(&order) {
        change_status(shop, &mut owner.record, "refunded");
        shop.orders.insert(order, owner);
    }
    shop.touch_order(order);
    shop.event("order.updated", order);
    shop.event("action.woocommerce_order_refunded", order);
    let made = shop.refunds.get(&id).ok_or_else(not_found)?;
    let body = render(shop, made, places(shop, call), false);
    let location = format!("{}/wp-json/wc/v3/orders/{order}/refunds/{id}", shop.site_url);
    Ok(Reply::created(body, location))
}

fn line_total(line: &Record) -> Decimal {
    let taxes: Decimal = objects(line, "refund_tax").map(|t| amount(t, "refund_total")).sum();
    amount(line, "refund_total") + taxes
}

/// A refund without lines and without a tax split.
pub fn amount_only(shop: &mut Shop, order: u64, given: Decimal, reason: &str) -> Record {
    let record = json!({
        "id": shop.next_post(), "parent_id": order, "date_created": null,
        "date_created_gmt": null, "amount": given.to_string(), "reason": reason,
        "refunded_by": 1, "refunded_payment": false, "meta_data": [], "line_items": [],
        "shipping_lines": [], "tax_lines": [], "fee_lines": [],
    });
    let mut record = record.as_object().cloned().unwrap_or_default();
    let now = shop.now();
    shop.set_date(&mut record, "date_created", &now);
    record
}

/// Copies the refunded lines with negative quantities and amounts, tied to the originals by meta.
fn write_lines(
    shop: &mut Shop,
    refund: &mut Record,
    order: &Record,
    given: &[&Record],
    restock: bool,
) {
    for kind in ["line_items", "shipping_lines", "fee_lines"] {
        let mut lines = vec![];
        for line in given {
            let id = number(line, "id");
            let Some(original) = objects(order, kind).find(|l| number(l, "id") == id) else {
                continue;
            };
            lines.push(Value::Object(refund_line(shop, original, line)));
            let quantity = amount(line, "quantity");
            let holder = number(original, "variation_id").max(number(original, "product_id"));
            let managed = |r: &Record| r.get("manage_stock") == Some(&Value::Bool(true));
            if restock && !quantity.is_zero() && shop.sellable(holder).is_some_and(managed) {
                orders::move_stock(shop, holder, quantity);
            }
        }
        set(refund, kind, lines);
    }
    let tax_lines = refund_tax_lines(shop, refund, order);
    set(refund, "tax_lines", tax_lines);
}

fn refund_line(shop: &mut Shop, original: &Record, given: &Record) -> Record {
    let mut line = original.clone();
    let (quantity, total) = (amount(given, "quantity"), amount(given, "refund_total"));
    let negative = |value: Decimal| formatted(-value, 2);
    let mut taxes = vec![];
    let mut tax_sum = Decimal::ZERO;
    for tax in objects(given, "refund_tax") {
        let amount = amount(tax, "refund_total");
        tax_sum += amount;
        let text = negative(amount);
        taxes.push(json!({"id": number(tax, "id"), "total": text, "subtotal": text}));
    }
    let original_id = number(original, "id").to_string();
    let entry = json!({
        "id": shop.next_meta(), "key": "_refunded_item_id", "value": original_id,
        "display_key": "_refunded_item_id", "display_value": original_id,
    });
    set(&mut line, "id", shop.next_item());
    set(&mut line, "total", negative(total));
    set(&mut line, "total_tax", negative(tax_sum));
    set(&mut line, "taxes", taxes);
    set(&mut line, "meta_data", vec![entry]);
    if line.contains_key("quantity") {
        let negated: Value =
            serde_json::from_str(&(-quantity).normalize().to_string()).unwrap_or(Value::Null);
        set(&mut line, "quantity", negated);
        set(&mut line, "subtotal", negative(total));
        set(&mut line, "subtotal_tax", negative(tax_sum));
        set(&mut line, "price", php_quotient(total, quantity));
    }
    line
}

fn refund_tax_lines(shop: &mut Shop, refund: &Record, order: &Record) -> Vec<Value> {
    let mut lines = vec![];
    for original in objects(order, "tax_lines") {
        let rate = number(original, "rate_id");
        let sum = |kinds: &[&str]| -> Option<Decimal> {
            let taxes = kinds.iter().flat_map(|kind| objects(refund, kind));
            let mine = taxes.flat_map(|l| objects(l, "taxes")).filter(|t| number(t, "id") == rate);
            mine.map(|t| amount(t, "total")).reduce(|a, b| a + b)
        };
        let (cart, shipping) = (sum(&["line_items", "fee_lines"]), sum(&["shipping_lines"]));
        if cart.is_none() && shipping.is_none() {
            continue;
        }
        let mut line = original.clone();
        set(&mut line, "id", shop.next_item());
        set(&mut line, "tax_total", cart.unwrap_or_default().to_string());
        set(&mut line, "shipping_tax_total", shipping.unwrap_or_default().to_string());
        lines.push(Value::Object(line));
    }
    lines
}

/// `DELETE /orders/{id}/refunds/{id}`: nothing tells of it, not even the order's date.
pub fn delete(shop: &mut Shop, call: &Call<'_>, order: u64, id: u64) -> ApiResult<Reply> {
    let refund = shop.refunds.get(&id).filter(|r| number(r, "parent_id") == order);
    let before = render(shop, refund.ok_or_else(not_found)?, places(shop, call), false);
    if !forced(call) {
        let message = "The shop_order_refund does not support trashing.";
        return Err(ApiError::new(501, "woocommerce_rest_trash_not_supported", message));
    }
    shop.refunds.remove(&id);
    Ok(Reply::ok(before))
}
