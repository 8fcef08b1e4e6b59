//! Writing orders: `POST /orders`, `PUT /orders/{id}`.

use super::super::errors::{ApiError, ApiResult, InvalidParam};
use super::super::record::{Record, amount, number, objects, set, text};
use super::super::refunds;
use super::super::state::{Order, Shop};
use super::super::{meta, view as common};
use super::status::{change_status, derive, needs_processing};
use super::{STATUSES, coupons, forget_the_trash, lines, not_found, recalculate, totals, view};
use rand::Rng;
use serde_json::{Value, json};

/// Texts that are taken over as they come.
const TEXTS: [&str; 7] = [
    "payment_method",
    "payment_method_title",
    "transaction_id",
    "customer_note",
    "customer_ip_address",
    "customer_user_agent",
    "created_via",
];

const LISTS: [&str; 5] = ["line_items", "shipping_lines", "fee_lines", "coupon_lines", "meta_data"];

/// Checks arguments the way single writes do; batches skip it (reference, 8).
fn validate(body: &Record) -> ApiResult<()> {
    let mut faults = vec![];
    if let Some(status) = body.get("status") {
        let allowed: Vec<&str> =
            STATUSES.into_iter().filter(|s| !["any", "trash"].contains(s)).collect();
        if !status.as_str().is_some_and(|s| allowed.contains(&s)) {
            faults.push(InvalidParam::not_in_enum("status", "status", &allowed));
        }
    }
    if body.get("customer_id").is_some_and(|id| super::super::record::as_id(id).is_none()) {
        faults.push(InvalidParam::not_of_type("customer_id", "integer"));
    }
    for key in LISTS {
        if body.get(key).is_some_and(|list| !list.is_array()) {
            faults.push(InvalidParam::not_of_type(key, "array"));
        }
    }
    for key in ["billing", "shipping"] {
        match body.get(key) {
            Some(Value::Object(address)) if !plausible_email(text(address, "email")) => {
                let message = "Invalid email address.";
                faults.push(InvalidParam::new(key, "rest_invalid_email", message));
            }
            Some(Value::Object(_)) | None => {}
            Some(_) => faults.push(InvalidParam::not_of_type(key, "object")),
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(ApiError::invalid_params(faults)) }
}

/// Empty counts: it means "none".
pub fn plausible_email(text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let Some((local, domain)) = text.split_once('@') else { return false };
    let clean = |c: char| !c.is_whitespace() && !"()<>,;:\"@".contains(c);
    !local.is_empty()
        && domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && text.chars().filter(|c| *c != '@').all(clean)
        && !domain.contains('@')
}

fn blank(shop: &mut Shop) -> Record {
    let id = shop.next_post();
    let key = order_key();
    let currency = shop.setting("woocommerce_currency").to_owned();
    let include = shop.setting("woocommerce_prices_include_tax") == "yes";
    let address = json!({"first_name": "", "last_name": "", "company": "", "address_1": "",
        "address_2": "", "city": "", "state": "", "postcode": "", "country": ""});
    let mut billing = address.clone();
    billing["email"] = json!("");
    billing["phone"] = json!("");
    let mut shipping = address;
    shipping["phone"] = json!("");
    let url = format!("{}/checkout/order-pay/{id}/?pay_for_order=true&key={key}", shop.site_url);
    let symbol = super::super::settings::currency_symbol(shop, &currency);
    let record = json!({
        "id": id, "parent_id": 0, "status": "pending", "currency": currency, "version": "10.2.4",
        "prices_include_tax": include, "date_created": null, "date_modified": null,
        "discount_total": "0", "discount_tax": "0", "shipping_total": "0", "shipping_tax": "0",
        "cart_tax": "0", "total": "0", "total_tax": "0", "customer_id": 0, "order_key": key,
        "billing": billing, "shipping": shipping, "payment_method": "",
        "payment_method_title": "", "transaction_id": "", "customer_ip_address": "",
        "customer_user_agent": "", "created_via": "rest-api", "customer_note": "",
        "date_completed": null, "date_paid": null, "cart_hash": "", "number": id.to_string(),
        "meta_data": [], "line_items": [], "tax_lines": [], "shipping_lines": [],
        "fee_lines": [], "coupon_lines": [], "refunds": [], "payment_url": url,
        "is_editable": true, "needs_payment": false, "needs_processing": false,
        "date_created_gmt": null, "date_modified_gmt": null, "date_completed_gmt": null,
        "date_paid_gmt": null, "currency_symbol": symbol,
    });
    record.as_object().cloned().unwrap_or_default()
}

fn order_key() -> String {
    let mut random = rand::rng();
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let tail: String =
        (0..13).map(|_| char::from(letters[random.random_range(0..letters.len())])).collect();
    format!("wc_order_{tail}")
}

/// Creates an order; the answer is its id.
///
/// Errors: arguments that don't pass. An invalid coupon is found late and leaves a
/// `checkout-draft` behind, whose id is in the error's data: reference, 4.
pub fn create(shop: &mut Shop, body: &Record, batched: bool) -> ApiResult<u64> {
    if number(body, "id") != 0 {
        let message = "Cannot create existing shop_order.";
        return Err(ApiError::new(400, "woocommerce_rest_shop_order_exists", message));
    }
    if !batched {
        validate(body)?;
    }
    check_customer(shop, body)?;
    let mut order = blank(shop);
    let id = number(&order, "id");
    let now = shop.now();
    shop.set_date(&mut order, "date_created", &now);
    take_fields(shop, &mut order, body);
    lines::write(shop, &mut order, body)?;
    match wanted_coupons(shop, body) {
        Ok(coupons) => finish(shop, &mut order, body, coupons),
        Err(error) => {
            set(&mut order, "status", "checkout-draft");
            recalculate(shop, &mut order);
            derive(&mut order);
            save_new(shop, order);
            return Err(error.with("new_draft_order_id", id));
        }
    }
    let status = new_status(shop, &order, body);
    if status != "pending" {
        change_status(shop, &mut order, &status);
    }
    let customer = number(&order, "customer_id");
    save_new(shop, order);
    if customer != 0 {
        // Fires although the customer's dates stay: reference, 5.
        shop.event("customer.updated", customer);
    }
    Ok(id)
}

fn check_customer(shop: &Shop, body: &Record) -> ApiResult<()> {
    let customer = number(body, "customer_id");
    if customer != 0 && !shop.customers.contains_key(&customer) {
        let message = "Customer ID is invalid.";
        return Err(ApiError::new(400, "woocommerce_rest_invalid_customer_id", message));
    }
    Ok(())
}

fn wanted_coupons(shop: &Shop, body: &Record) -> ApiResult<Option<Vec<u64>>> {
    if !body.contains_key("coupon_lines") {
        return Ok(None);
    }
    let codes: Vec<String> =
        objects(body, "coupon_lines").map(|l| text(l, "code").to_owned()).collect();
    codes.iter().map(|code| coupons::check(shop, code)).collect::<ApiResult<_>>().map(Some)
}

fn finish(shop: &mut Shop, order: &mut Record, body: &Record, wanted: Option<Vec<u64>>) {
    meta::write(shop, order, body);
    if let Some(coupons) = wanted {
        coupons::apply(shop, order, &coupons);
    }
    if totals::has_lines(order) {
        recalculate(shop, order);
        coupons::write_discount_tax(order);
    }
    derive(order);
    let processing = needs_processing(shop, order);
    set(order, "needs_processing", processing);
}

/// What the request asks for; a status nobody knows becomes `pending` (only batches get here with
/// one).
fn new_status(shop: &Shop, order: &Record, body: &Record) -> String {
    if body.get("set_paid") == Some(&Value::Bool(true)) && !body.contains_key("status") {
        let paid = if needs_processing(shop, order) { "processing" } else { "completed" };
        return paid.into();
    }
    known_status(text(body, "status"))
}

fn known_status(asked: &str) -> String {
    let asked = asked.strip_prefix("wc-").unwrap_or(asked);
    let known = STATUSES.contains(&asked) && asked != "any";
    if known { asked.into() } else { "pending".into() }
}

fn save_new(shop: &mut Shop, mut order: Record) {
    shop.touch(&mut order);
    let id = number(&order, "id");
    let stages = view::unfinished_forms(&order, shop.half_written.stages).into();
    shop.orders.insert(id, Order { record: order, stages });
    shop.event("order.created", id);
    shop.event("order.updated", id);
}

fn take_fields(shop: &Shop, order: &mut Record, body: &Record) {
    for key in TEXTS {
        if let Some(value) = body.get(key).and_then(Value::as_str) {
            set(order, key, value);
        }
    }
    for key in ["billing", "shipping"] {
        let (Some(Value::Object(new)), Some(Value::Object(old))) =
            (body.get(key), order.get_mut(key))
        else {
            continue;
        };
        for (name, value) in new {
            if old.contains_key(name) && (value.is_string() || value.is_null()) {
                set(old, name, value.as_str().unwrap_or_default());
            }
        }
    }
    if let Some(currency) = body.get("currency").and_then(Value::as_str) {
        set(order, "currency", currency);
        set(order, "currency_symbol", super::super::settings::currency_symbol(shop, currency));
    }
    if body.contains_key("customer_id") {
        set(order, "customer_id", number(body, "customer_id"));
    }
}

/// Changes an order. Every PUT moves `date_modified`, `{}` too: reference, 5.
pub fn update(shop: &mut Shop, id: u64, body: &Record, batched: bool) -> ApiResult<()> {
    if !shop.orders.contains_key(&id) {
        return Err(not_found(if batched { 400 } else { 404 }));
    }
    if !batched {
        validate(body)?;
    }
    check_customer(shop, body)?;
    let wanted = wanted_coupons(shop, body)?;
    let Some(mut order) = shop.orders.get(&id).map(|o| o.record.clone()) else {
        return Err(not_found(404));
    };
    let restored = text(&order, "status") == "trash";
    take_fields(shop, &mut order, body);
    lines::write(shop, &mut order, body)?;
    let counted = ["line_items", "shipping_lines", "fee_lines", "coupon_lines"];
    if counted.iter().any(|key| body.contains_key(*key)) {
        finish(shop, &mut order, body, wanted);
    } else {
        meta::write(shop, &mut order, body);
    }
    let asked = match body.get("set_paid") == Some(&Value::Bool(true)) {
        true => new_status(shop, &order, body),
        false if body.contains_key("status") => known_status(text(body, "status")),
        false => text(&order, "status").to_owned(),
    };
    if asked != text(&order, "status") {
        move_on(shop, &mut order, &asked);
    }
    if restored && asked != "trash" {
        forget_the_trash(&mut order);
    }
    shop.touch(&mut order);
    shop.orders.insert(id, Order { record: order, ..Order::default() });
    // Restoring by status is silent: reference, 10.7.
    if !restored {
        shop.event("order.updated", id);
    }
    Ok(())
}

/// `refunded` by status makes the refund record itself: reference, 7.
fn move_on(shop: &mut Shop, order: &mut Record, status: &str) {
    change_status(shop, order, status);
    let id = number(order, "id");
    let left = amount(order, "total") - shop.refunded(id);
    if status == "refunded" && !left.is_zero() {
        let record = refunds::amount_only(shop, id, left, "Order fully refunded.");
        shop.refunds.insert(number(&record, "id"), record);
        shop.event("action.woocommerce_order_refunded", id);
    }
}

/// Adds a record as it is, with whatever it lacks from a blank order. For the control API.
pub fn insert_raw(shop: &mut Shop, given: &Record, events: bool) -> u64 {
    let mut order = blank(shop);
    let fresh = number(&order, "id");
    let now = shop.now();
    shop.set_date(&mut order, "date_created", &now);
    shop.set_date(&mut order, "date_modified", &now);
    super::super::record::merge(&mut order, given);
    let id = match number(given, "id") {
        0 => fresh,
        id => id,
    };
    set(&mut order, "id", id);
    shop.last.post = shop.last.post.max(id);
    order.shift_remove("_links");
    let url = common::rebase(text(&order, "payment_url"), &shop.site_url);
    set(&mut order, "payment_url", url);
    let stages = view::unfinished_forms(&order, shop.half_written.stages).into();
    shop.orders.insert(id, Order { record: order, stages });
    if events {
        shop.event("order.created", id);
        shop.event("order.updated", id);
    }
    id
}
