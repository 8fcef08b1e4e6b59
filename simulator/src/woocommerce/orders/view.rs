//! An order as the API shows it, and its lines as they read today.

use super::super::record::{Record, number, objects_mut, set, text};
use super::super::state::{Order, Shop};
use super::super::times;
use super::super::view::{ALL_METHODS, format_amounts, format_amounts_in, link, links, rebase};
use rust_decimal::Decimal;
use serde_json::{Value, json};

const AMOUNTS: [&str; 7] = [
    "discount_total",
    "discount_tax",
    "shipping_total",
    "shipping_tax",
    "cart_tax",
    "total",
    "total_tax",
];

const LINE_AMOUNTS: [&str; 6] =
    ["subtotal", "subtotal_tax", "total", "total_tax", "tax_total", "shipping_tax_total"];

/// The lists of lines whose amounts follow `dp`; `coupon_lines` don't.
const LISTS: [&str; 4] = ["line_items", "tax_lines", "shipping_lines", "fee_lines"];

/// Formats the amounts of all lines.
pub fn format_lines(record: &mut Record, places: u32) {
    for list in LISTS {
        format_amounts_in(record, list, &LINE_AMOUNTS, places);
    }
}

/// Product data in lines is read live, old orders or not: sku, parent's name, and the product's
/// very existence (reference, 4 and 5).
pub fn refresh_lines(shop: &Shop, record: &mut Record) {
    for line in objects_mut(record, "line_items") {
        let (product, variation) = (number(line, "product_id"), number(line, "variation_id"));
        let lost = product != 0 && !shop.products.contains_key(&product)
            || variation != 0 && !shop.variations.contains_key(&variation);
        let known = shop.sellable(if variation != 0 { variation } else { product });
        match known.filter(|_| !lost) {
            Some(sold) => {
                set(line, "sku", text(sold, "sku"));
                set(line, "global_unique_id", text(sold, "global_unique_id"));
                let parent = shop.products.get(&product).filter(|_| variation != 0);
                set(line, "parent_name", parent.map(|p| text(p, "name").to_owned()));
            }
            None => {
                set(line, "product_id", 0);
                if variation != 0 && !shop.variations.contains_key(&variation) {
                    set(line, "variation_id", 0);
                }
                set(line, "sku", Value::Null);
                set(line, "global_unique_id", Value::Null);
                set(line, "image", json!({"id": 0, "src": ""}));
                set(line, "parent_name", Value::Null);
            }
        }
    }
}

/// `[{id, reason, total: "-49.14"}]`: all an order says about its refunds.
fn refunds(shop: &Shop, id: u64, places: u32) -> Value {
    let one = |refund: &Record| {
        let amount = super::super::record::amount(refund, "amount");
        let total = super::super::record::formatted(-amount, places);
        json!({"id": number(refund, "id"), "reason": text(refund, "reason"), "total": total})
    };
    shop.refunds_of(id).map(one).collect()
}

/// The order as a GET at `places` decimals answers it; a half-written one shows its oldest form.
pub fn render(shop: &Shop, order: &Order, places: u32) -> Value {
    let mut record = order.stages.front().unwrap_or(&order.record).clone();
    let id = number(&record, "id");
    // Orders keep GMT only: the local form follows the site's zone of today.
    for key in ["date_created", "date_modified", "date_completed", "date_paid"] {
        let gmt = record.get(&format!("{key}_gmt")).and_then(Value::as_str);
        if let Some(local) = gmt.and_then(|gmt| times::local(gmt, &shop.zone)) {
            set(&mut record, key, local);
        }
    }
    refresh_lines(shop, &mut record);
    format_amounts(&mut record, &AMOUNTS, places);
    format_lines(&mut record, places);
    set(&mut record, "refunds", refunds(shop, id, places));
    let url = rebase(text(&record, "payment_url"), &shop.site_url);
    set(&mut record, "payment_url", url);
    let mut all = links(shop, &format!("orders/{id}"), "orders", ALL_METHODS);
    let templates = format!("{}/wp-json/wc/v3/orders/{id}/actions/email_templates", shop.site_url);
    all.insert("email_templates".into(), json!([{"embeddable": true, "href": templates}]));
    let customer = number(&record, "customer_id");
    if customer != 0 {
        all.insert("customer".into(), link(shop, &format!("customers/{customer}")));
    }
    set(&mut record, "_links", Value::Object(all));
    Value::Object(record)
}

/// The forms that readers see while the order is still being written: reference, 6.
pub fn unfinished_forms(record: &Record, count: usize) -> Vec<Record> {
    let lines = record.get("line_items").and_then(Value::as_array).cloned().unwrap_or_default();
    let blank = || {
        let mut form = record.clone();
        set(&mut form, "status", "pending");
        for key in ["date_paid", "date_paid_gmt", "date_completed", "date_completed_gmt"] {
            set(&mut form, key, Value::Null);
        }
        form
    };
    (0..count)
        .map(|at| {
            let mut form = blank();
            if at + 1 < count || count == 1 {
                let some = (lines.len() * (at + 1) / (count + 1)).max(1).min(lines.len());
                set(&mut form, "line_items", lines[..some].to_vec());
                for key in AMOUNTS {
                    set(&mut form, key, "0.00");
                }
            } else {
                // The last form but the final one: everything is there, the total still without
                // its tax correction.
                let total = super::super::record::amount(record, "total");
                set(&mut form, "total", (total + Decimal::new(543, 2)).to_string());
            }
            form
        })
        .collect()
}
