//! What the hub's columns must hold for a record of the shop, after the description of the hub
//! tables and the measured behaviour of WooCommerce.

use super::cell::{Cell, amount, plain};
use super::shop::list;
use rust_decimal::Decimal;
use serde_json::Value;

/// Columns with what they must hold.
pub type Cells = Vec<(&'static str, Cell)>;

pub fn customer(record: &Value) -> Cells {
    let lower = plain(&record["email"]).map(|email| email.to_lowercase());
    vec![
        ("email", Cell::Text(lower)),
        ("given_name", Cell::text(&record["first_name"])),
        ("family_name", Cell::text(&record["last_name"])),
        ("company", Cell::text(&record["billing"]["company"])),
        ("phone", Cell::text(&record["billing"]["phone"])),
        ("display_name", Cell::NotNull),
        ("is_guest", Cell::Flag(false)),
        ("created_at", Cell::time(&record["date_created_gmt"])),
        ("deleted_at", Cell::Null),
    ]
}

pub fn product(record: &Value) -> Cells {
    // WooCommerce says 0 where there is no parent; grouped products' parents don't count.
    let variation = record["type"] == "variation";
    let parent = if variation { plain(&record["parent_id"]) } else { None };
    // `"parent"`: the variation draws on its parent's stock.
    let tracked = !matches!(&record["manage_stock"], Value::Bool(false) | Value::Null);
    vec![
        ("kind", Cell::text(&record["type"])),
        ("parent", Cell::Text(parent)),
        ("sku", Cell::text(&record["sku"])),
        ("status", Cell::text(&record["status"])),
        ("price", Cell::number(&record["price"])),
        ("regular_price", Cell::number(&record["regular_price"])),
        ("sale_price", Cell::number(&record["sale_price"])),
        ("track_stock", Cell::Flag(tracked)),
        ("stock_quantity", Cell::number(&record["stock_quantity"])),
        ("created_at", Cell::time(&record["date_created_gmt"])),
        ("modified_at", Cell::time(&record["date_modified_gmt"])),
        ("deleted_at", Cell::Null),
    ]
}

pub fn order(record: &Value, refunds: &[&Value]) -> Cells {
    let sum = |key: &str, field: &str| -> Decimal {
        list(record, key).iter().map(|item| amount(&item[field])).sum()
    };
    let refunded: Decimal = refunds.iter().map(|refund| amount(&refund["amount"])).sum();
    let included = record["prices_include_tax"].as_bool() == Some(true);
    vec![
        ("number", Cell::text(&record["number"])),
        ("status", Cell::text(&record["status"])),
        ("currency", Cell::text(&record["currency"])),
        ("email", Cell::AnyCase(plain(&record["billing"]["email"]))),
        ("subtotal", Cell::Number(Some(sum("line_items", "subtotal")))),
        ("discount_total", Cell::number(&record["discount_total"])),
        ("shipping_total", Cell::number(&record["shipping_total"])),
        ("fee_total", Cell::Number(Some(sum("fee_lines", "total")))),
        ("total_tax", Cell::number(&record["total_tax"])),
        ("total", Cell::number(&record["total"])),
        ("refunded_total", Cell::Number(Some(refunded))),
        ("prices_include_tax", Cell::Flag(included)),
        ("payment_method", Cell::text(&record["payment_method"])),
        ("transaction_id", Cell::text(&record["transaction_id"])),
        ("customer_note", Cell::text(&record["customer_note"])),
        ("paid_at", Cell::time(&record["date_paid_gmt"])),
        ("completed_at", Cell::time(&record["date_completed_gmt"])),
        ("created_at", Cell::time(&record["date_created_gmt"])),
        ("modified_at", Cell::time(&record["date_modified_gmt"])),
        ("deleted_at", Cell::Null),
    ]
}

/// The customer an order must point at: its account's, or the guest of its e-mail address, or
/// nobody.
pub fn owner(order: &Value, customers: &[String]) -> Cells {
    let account = order["customer_id"].to_string();
    if customers.contains(&account) {
        return vec![("source_id", Cell::Text(Some(account))), ("is_guest", Cell::Flag(false))];
    }
    match plain(&order["billing"]["email"]) {
        Some(email) if account == "0" => vec![("email", Cell::Text(Some(email.to_lowercase())))],
        _ => vec![("source_id", Cell::Null)],
    }
}

pub fn line(record: &Value, products: &[String]) -> Cells {
    // The variation when there is one; 0 or an unknown id: the product was deleted.
    let id = [&record["variation_id"], &record["product_id"]]
        .into_iter()
        .map(Value::to_string)
        .find(|id| id != "0" && id != "null")
        .filter(|id| products.contains(id));
    vec![
        ("source_id", Cell::text(&record["id"])),
        ("product", Cell::Text(id)),
        ("sku", Cell::text(&record["sku"])),
        ("name", Cell::text(&record["name"])),
        ("quantity", Cell::number(&record["quantity"])),
        ("subtotal", Cell::number(&record["subtotal"])),
        ("total", Cell::number(&record["total"])),
        ("total_tax", Cell::number(&record["total_tax"])),
        ("unit_price", Cell::number(&record["price"])),
    ]
}

pub fn refund(record: &Value) -> Cells {
    vec![
        ("order", Cell::text(&record["parent_id"])),
        ("amount", Cell::number(&record["amount"])),
        ("reason", Cell::text(&record["reason"])),
        ("refunded_by", Cell::text(&record["refunded_by"])),
        ("created_at", Cell::time(&record["date_created_gmt"])),
        ("deleted_at", Cell::Null),
    ]
}

/// Lines of a refund by their id there: amounts are negative in the shop, positive in the hub.
pub fn refund_lines(record: &Value) -> Vec<(String, Cells)> {
    let kinds = [("line_items", "product"), ("shipping_lines", "shipping"), ("fee_lines", "fee")];
    let mut lines = Vec::new();
    for (key, kind) in kinds {
        for item in list(record, key) {
            let positive = |field: &str| Cell::Number(Some(amount(&item[field]).abs()));
            let mut cells = vec![
                ("kind", Cell::Text(Some(kind.to_owned()))),
                ("total", positive("total")),
                ("total_tax", positive("total_tax")),
            ];
            if kind == "product" {
                cells.push(("quantity", positive("quantity")));
                let original = list(&item, "meta_data")
                    .into_iter()
                    .find(|meta| meta["key"] == "_refunded_item_id")
                    .and_then(|meta| plain(&meta["value"]));
                cells.push(("order_line", Cell::Text(original)));
            }
            lines.push((item["id"].to_string(), cells));
        }
    }
    lines
}
