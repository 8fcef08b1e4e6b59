//! What happens in a shop on a day, for tests that look at what comes of it.

use crate::bed::Bed;
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// A day in a shop: something of everything.
pub fn a_day_passes(bed: &mut Bed) -> Result<()> {
    let rest = bed.simulator.rest()?;
    let shop = bed.simulator.shop()?;
    let orders: Vec<Value> = shop.live_orders().into_iter().cloned().collect();
    let with_lines = |n: usize| {
        orders.iter().filter(move |o| o["line_items"].as_array().is_some_and(|l| l.len() >= n))
    };
    let noted = orders.first().context("no order")?;
    rest.put(&format!("orders/{}", noted["id"]), &json!({"customer_note": "Leave at the door."}))?;

    let longer = with_lines(2).nth(3).context("no order with lines")?;
    let line = &longer["line_items"][0];
    rest.put(
        &format!("orders/{}", longer["id"]),
        &json!({"line_items": [{"id": line["id"], "quantity": 7, "subtotal": "70.00", "total": "63.00"}]}),
    )?;
    let shorter = with_lines(2).nth(5).context("no other order with lines")?;
    rest.put(
        &format!("orders/{}", shorter["id"]),
        &json!({"line_items": [{"id": shorter["line_items"][1]["id"], "quantity": 0},
                               {"product_id": line["product_id"], "quantity": 2}]}),
    )?;
    let refunded = orders.iter().find(|o| o["refunds"][0]["id"].is_u64()).context("no refund")?;
    rest.delete(&format!("orders/{}?force=false", refunded["id"]))?;
    let product = rest.get("products?per_page=1&type=simple")?;
    rest.put(&format!("products/{}", product[0]["id"]), &json!({"regular_price": "123.45"}))?;
    rest.post("customers", &json!({"email": "new@shop.example", "first_name": "New"}))?;
    rest.post(
        "orders",
        &json!({"line_items": [{"product_id": product[0]["id"], "quantity": 3}],
                "billing": {"first_name": "Una", "email": "una@shop.example"}}),
    )?;
    Ok(())
}
