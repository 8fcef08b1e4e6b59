//! What a change of status brings with it: dates, stock, counters.

use super::super::record::{Record, amount, number, objects, objects_mut, set, text};
use super::super::state::Shop;
use super::coupons;
use rust_decimal::Decimal;
use serde_json::{Value, json};

const PAID: [&str; 2] = ["processing", "completed"];
const TAKES_STOCK: [&str; 3] = ["processing", "completed", "on-hold"];

/// Moves the order to a status. The caller saves and touches it.
pub fn change_status(shop: &mut Shop, order: &mut Record, status: &str) {
    let now = shop.now();
    let sold_before = TAKES_STOCK.contains(&text(order, "status"));
    set(order, "status", status);
    let unset = |order: &Record, key: &str| order.get(key).is_none_or(Value::is_null);
    if PAID.contains(&status) && unset(order, "date_paid_gmt") {
        shop.set_date(order, "date_paid", &now);
    }
    if status == "completed" && unset(order, "date_completed_gmt") {
        shop.set_date(order, "date_completed", &now);
    }
    if TAKES_STOCK.contains(&status) && !sold_before {
        if !has_taken_stock(order) {
            take_stock(shop, order);
        }
        count_sales(shop, order);
        coupons::count_use(shop, order);
    }
    if ["cancelled", "pending"].contains(&status) {
        return_stock(shop, order);
    }
    let customer = number(order, "customer_id");
    if PAID.contains(&status)
        && let Some(customer) = shop.customers.get_mut(&customer)
    {
        set(customer, "is_paying_customer", true);
    }
    derive(order);
}

/// The flags that follow from status and total.
pub fn derive(order: &mut Record) {
    let status = text(order, "status").to_owned();
    let owing = amount(order, "total") > Decimal::ZERO;
    let editable = ["pending", "on-hold", "auto-draft"].contains(&status.as_str());
    let payable = ["pending", "failed", "checkout-draft"].contains(&status.as_str());
    set(order, "is_editable", editable);
    set(order, "needs_payment", payable && owing);
}

/// Virtual and downloadable goods need no processing.
pub fn needs_processing(shop: &Shop, order: &Record) -> bool {
    objects(order, "line_items").any(|line| {
        let sold = shop.sellable(number(line, "variation_id").max(number(line, "product_id")));
        let flag = |p: &Record, key: &str| p.get(key) == Some(&Value::Bool(true));
        sold.is_some_and(|p| !(flag(p, "virtual") && flag(p, "downloadable")))
    })
}

/// Who was sold, what holds its stock (the parent's for variations that inherit it), how many.
fn stock_holder(shop: &Shop, line: &Record) -> Option<u64> {
    let (product, variation) = (number(line, "product_id"), number(line, "variation_id"));
    let managed = |r: &Record| r.get("manage_stock") == Some(&Value::Bool(true));
    if let Some(sold) = shop.variations.get(&variation) {
        if managed(sold) {
            return Some(variation);
        }
        if text(sold, "manage_stock") != "parent" {
            return None;
        }
    }
    shop.products.get(&product).filter(|p| managed(p)).map(|_| product)
}

fn has_taken_stock(order: &Record) -> bool {
    objects(order, "line_items").any(|line| taken(line).is_some())
}

fn taken(line: &Record) -> Option<Decimal> {
    objects(line, "meta_data")
        .find(|m| text(m, "key") == "_reduced_stock")
        .map(|m| amount(m, "value"))
}

fn take_stock(shop: &mut Shop, order: &mut Record) {
    let mut changes = vec![];
    for line in objects_mut(order, "line_items") {
        let Some(holder) = stock_holder(shop, line) else { continue };
        let quantity = amount(line, "quantity");
        changes.push((holder, -quantity));
        let value = quantity.normalize().to_string();
        let entry = json!({
            "id": shop.next_meta(), "key": "_reduced_stock", "value": value,
            "display_key": "_reduced_stock", "display_value": value,
        });
        if let Some(Value::Array(meta)) = line.get_mut("meta_data") {
            meta.push(entry);
        }
    }
    changes.into_iter().for_each(|(id, by)| move_stock(shop, id, by));
}

fn return_stock(shop: &mut Shop, order: &mut Record) {
    let mut changes = vec![];
    for line in objects_mut(order, "line_items") {
        let Some(quantity) = taken(line) else { continue };
        if let Some(holder) = stock_holder(shop, line) {
            changes.push((holder, quantity));
        }
        if let Some(Value::Array(meta)) = line.get_mut("meta_data") {
            meta.retain(|m| m["key"] != "_reduced_stock");
        }
    }
    changes.into_iter().for_each(|(id, by)| move_stock(shop, id, by));
}

/// Changes a stock. Moves the date of its holder, and of a variation's parent.
pub fn move_stock(shop: &mut Shop, id: u64, by: Decimal) {
    let is_variation = shop.variations.contains_key(&id);
    let map = if is_variation { &mut shop.variations } else { &mut shop.products };
    let Some(mut record) = map.remove(&id) else { return };
    let left = (amount(&record, "stock_quantity") + by).normalize();
    let left_json = serde_json::from_str(&left.to_string()).unwrap_or(Value::Null);
    set(&mut record, "stock_quantity", left_json);
    let state = if left > Decimal::ZERO { "instock" } else { "outofstock" };
    set(&mut record, "stock_status", state);
    shop.touch(&mut record);
    let parent = number(&record, "parent_id");
    match is_variation {
        true => {
            shop.variations.insert(id, record);
            shop.touch_product(parent);
        }
        false => {
            shop.products.insert(id, record);
        }
    }
    shop.event("product.updated", id);
    shop.event("action.woocommerce_product_set_stock", id);
}

/// `total_sales` counts without moving a date.
fn count_sales(shop: &mut Shop, order: &Record) {
    for line in objects(order, "line_items") {
        if let Some(product) = shop.products.get_mut(&number(line, "product_id")) {
            let sold = number(product, "total_sales") + number(line, "quantity");
            set(product, "total_sales", sold);
        }
    }
}
