//! Coupons on an order.

use super::super::errors::{ApiError, ApiResult};
use super::super::record::{
    Record, amount, list, number, objects, objects_mut, rounded, set, text, unpadded,
};
use super::super::state::Shop;
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// The coupon's id, if the order may use it.
///
/// Errors: 400 with WooCommerce's words for why not.
pub fn check(shop: &Shop, code: &str) -> ApiResult<u64> {
    let refused = |message: String| ApiError::new(400, "woocommerce_rest_invalid_coupon", message);
    let wanted = code.trim().to_lowercase();
    let found = shop
        .coupons
        .iter()
        .find(|(_, c)| text(c, "code") == wanted && text(c, "status") == "publish")
        .ok_or_else(|| refused(format!("Coupon \"{wanted}\" does not exist!")))?;
    let expired = !text(found.1, "date_expires_gmt").is_empty()
        && text(found.1, "date_expires_gmt") < shop.now().as_str();
    if expired {
        return Err(refused(format!("Coupon \"{wanted}\" has expired.")));
    }
    let limit = number(found.1, "usage_limit");
    if limit != 0 && number(found.1, "usage_count") >= limit {
        return Err(refused(format!("Usage limit for coupon \"{wanted}\" has been reached.")));
    }
    Ok(*found.0)
}

/// Takes the coupons' discounts off the lines and writes `coupon_lines`.
pub fn apply(shop: &mut Shop, order: &mut Record, coupons: &[u64]) {
    let places = shop.decimals();
    for line in objects_mut(order, "line_items") {
        let subtotal = text(line, "subtotal").to_owned();
        set(line, "total", subtotal);
    }
    let mut written = vec![];
    for id in coupons {
        let Some(coupon) = shop.coupons.get(id).cloned() else { continue };
        let discount = take_off(order, &coupon, places);
        written.push(coupon_line(shop, order, &coupon, discount));
    }
    set(order, "coupon_lines", written);
}

fn take_off(order: &mut Record, coupon: &Record, places: u32) -> Decimal {
    let value = amount(coupon, "amount");
    let all: Decimal = objects(order, "line_items").map(|l| amount(l, "total")).sum();
    let fixed = value.min(all);
    let (mut given, mut seen) = (Decimal::ZERO, Decimal::ZERO);
    for line in objects_mut(order, "line_items") {
        let total = amount(line, "total");
        seen += total;
        let part = match text(coupon, "discount_type") {
            "percent" => rounded(total * value / Decimal::ONE_HUNDRED, places),
            "fixed_product" => value * amount(line, "quantity"),
            // Spread so that the parts add up to the whole.
            _ if all.is_zero() => Decimal::ZERO,
            _ => rounded(fixed * seen / all, places) - given,
        };
        let part = part.min(total).max(Decimal::ZERO);
        given += part;
        set(line, "total", (total - part).to_string());
    }
    given
}

fn coupon_line(shop: &mut Shop, order: &Record, coupon: &Record, discount: Decimal) -> Value {
    let code = text(coupon, "code");
    let old = objects(order, "coupon_lines").find(|l| text(l, "code") == code);
    let id = old.map(|l| number(l, "id")).unwrap_or_else(|| shop.next_item());
    let value = amount(coupon, "amount");
    let nominal = super::super::record::php_quotient(value, Decimal::ONE);
    let kind = text(coupon, "discount_type");
    let named = if kind == "fixed_cart" { Value::Null } else { json!(kind) };
    let info = super::super::php::encode(&json!([number(coupon, "id"), code, named, nominal]));
    let meta = shop.next_meta();
    json!({
        "id": id,
        "code": code,
        "discount": unpadded(discount),
        "discount_tax": "0",
        "meta_data": [{"id": meta, "key": "coupon_info", "value": info,
            "display_key": "coupon_info", "display_value": info}],
        "discount_type": kind,
        "nominal_amount": nominal,
        "free_shipping": coupon.get("free_shipping").and_then(Value::as_bool).unwrap_or_default(),
    })
}

/// The discount's tax is known only after the totals.
pub fn write_discount_tax(order: &mut Record) {
    let tax = unpadded(amount(order, "discount_tax"));
    let only = list(order, "coupon_lines").len() == 1;
    for line in objects_mut(order, "coupon_lines").filter(|_| only) {
        set(line, "discount_tax", tax.clone());
    }
}

/// Counts a use. Moves no date and fires nothing: reference, 5 and 10.7.
pub fn count_use(shop: &mut Shop, order: &Record) {
    let customer = number(order, "customer_id");
    let billing = order.get("billing").and_then(Value::as_object);
    let by = match customer {
        0 => billing.map(|b| text(b, "email").to_owned()).unwrap_or_default(),
        id => id.to_string(),
    };
    let codes: Vec<String> =
        objects(order, "coupon_lines").map(|l| text(l, "code").to_owned()).collect();
    for coupon in shop.coupons.values_mut().filter(|c| codes.iter().any(|x| x == text(c, "code"))) {
        let count = number(coupon, "usage_count") + 1;
        set(coupon, "usage_count", count);
        if let Some(Value::Array(used)) = coupon.get_mut("used_by") {
            used.push(json!(by));
        }
    }
}
