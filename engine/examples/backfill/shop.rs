//! Paid orders of a made-up shop, as the hub holds them.

use engine::model::Entity;
use engine::testing::MemHub;
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// How large the shop is.
pub struct Size {
    pub orders: i64,
    pub customers: i64,
    pub items: i64,
}

/// Fills the hub; what all orders come to.
pub fn fill(hub: &MemHub, size: &Size) -> Decimal {
    for id in 1..=size.customers {
        hub.put(Entity::Customers, customer(id));
    }
    for id in 1..=size.items {
        hub.put(Entity::Products, product(id));
    }
    let mut sold = Decimal::ZERO;
    for id in 1..=size.orders {
        let (order, total) = order(id, size);
        hub.put(Entity::Orders, order);
        sold += total;
    }
    sold
}

fn customer(id: i64) -> Value {
    json!({
        "id": id, "source_id": id.to_string(), "email": format!("customer{id}@shop.test"),
        "display_name": format!("Customer {id}"), "given_name": "Customer",
        "family_name": id.to_string(), "is_guest": false,
        "billing_address": {"line1": format!("{id} Main Street"), "city": "Albany", "region": "NY",
                            "postal_code": "12207", "country": "US"},
    })
}

/// From 1.07 on, by the product.
fn price(id: i64) -> Decimal {
    Decimal::new(107 + id * 13, 2)
}

fn product(id: i64) -> Value {
    json!({
        "id": id, "source_id": id.to_string(), "kind": "simple", "sku": format!("SKU-{id}"),
        "name": format!("Product {id}"), "price": price(id).to_string(), "currency": "USD",
        "track_stock": false, "same_sku": 1,
    })
}

/// One to three lines, each of another product.
fn order(id: i64, size: &Size) -> (Value, Decimal) {
    let mut total = Decimal::ZERO;
    let lines: Vec<Value> = (0..1 + id % 3)
        .map(|at| {
            let product = 1 + (id * 7 + at * 11) % size.items;
            let quantity = 1 + (id + at) % 4;
            let sum = price(product) * Decimal::from(quantity);
            total += sum;
            json!({
                "id": id * 10 + at, "line_number": at + 1, "product_id": product,
                "sku": format!("SKU-{product}"), "name": format!("Product {product}"),
                "quantity": quantity.to_string(), "subtotal": sum.to_string(),
                "total": sum.to_string(), "total_tax": "0.00", "taxes": [],
                "source_id": (id * 10 + at).to_string(),
            })
        })
        .collect();
    let paid = format!("2026-{:02}-{:02}T15:00:00Z", 1 + id % 10, 1 + id % 28);
    let order = json!({
        "id": id, "source_id": id.to_string(), "number": id.to_string(), "status": "completed",
        "currency": "USD", "customer_id": 1 + (id * 3) % size.customers,
        "discount_total": "0.00", "total_tax": "0.00", "total": total.to_string(),
        "refunded_total": "0.00", "payment_method": "stripe", "transaction_id": format!("ch_{id}"),
        "paid_at": paid, "completed_at": paid, "created_at": paid, "lines": lines,
    });
    (order, total)
}
