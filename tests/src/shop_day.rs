//! What happens in a shop on a day, for tests that look at what comes of it.

use crate::bed::Bed;
use crate::torture::pulls::shopping::something_happens;
use anyhow::{Context, Result};
use fastrand::Rng;
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

/// A random day: what happens in a shop and, besides, in its hub, where people and applications
/// change and delete rows, too.
pub fn a_random_day_passes(bed: &mut Bed, random: &mut Rng) -> Result<()> {
    let rest = bed.simulator.rest()?;
    for _ in 0..random.usize(2..=8) {
        something_happens(&rest, random)?;
    }
    for _ in 0..random.usize(0..=3) {
        something_rarer(bed, random)?;
    }
    for _ in 0..random.usize(0..=3) {
        bed.db.batch_execute(HUB_EVENTS[random.usize(..HUB_EVENTS.len())])?;
    }
    Ok(())
}

/// Products and customers that go and come back; lines that are taken off.
fn something_rarer(bed: &Bed, random: &mut Rng) -> Result<()> {
    let rest = bed.simulator.rest()?;
    let one = |path: &str, random: &mut Rng| -> Result<Option<Value>> {
        let list = rest.get(path)?;
        let records = list.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(records.get(random.usize(..records.len().max(1))).cloned())
    };
    match random.u8(0..5) {
        0 => {
            let Some(product) = one("products?per_page=50", random)? else { return Ok(()) };
            let force = random.bool();
            rest.delete(&format!("products/{}?force={force}", product["id"])).map(drop)
        }
        1 => {
            let Some(product) = one("products?per_page=50&status=trash", random)? else {
                return Ok(());
            };
            let path = format!("products/{}", product["id"]);
            rest.put(&path, &json!({"status": "publish"})).map(drop)
        }
        2 => {
            let Some(order) = one("orders?per_page=50&status=trash", random)? else {
                return Ok(());
            };
            let path = format!("orders/{}", order["id"]);
            rest.put(&path, &json!({"status": "completed"})).map(drop)
        }
        3 => {
            let Some(customer) = one("customers?per_page=50", random)? else { return Ok(()) };
            let path = format!("customers/{}", customer["id"]);
            rest.put(&path, &json!({"first_name": format!("N{}", random.u16(..))})).map(drop)
        }
        _ => {
            let Some(order) = one("orders?per_page=50&status=completed", random)? else {
                return Ok(());
            };
            let line = &order["line_items"][0];
            if line.is_null() {
                return Ok(());
            }
            let change = json!({"line_items": [{"id": line["id"], "quantity": 0},
                                               {"product_id": line["product_id"], "quantity": 2}]});
            // A product that is gone can't be bought again.
            rest.put(&format!("orders/{}", order["id"]), &change).map_or(Ok(()), |_| Ok(()))
        }
    }
}

/// What people and applications do in the hub.
const HUB_EVENTS: [&str; 6] = [
    "update commerce.orders set customer_note = 'seen', total = total + 0.5
      where id in (select id from commerce.orders order by random() limit 5)",
    "update commerce.order_lines set quantity = quantity + 1, attributes = '{\"by\": \"us\"}'
      where id in (select id from commerce.order_lines order by random() limit 5)",
    "update commerce.products set price = 1.10, sku = null
      where id in (select id from commerce.products order by random() limit 3)",
    "delete from commerce.order_lines
      where id in (select id from commerce.order_lines l
                    where not exists (select from commerce.refund_lines r where r.order_line_id = l.id)
                    order by random() limit 3)",
    "delete from commerce.orders
      where id in (select id from commerce.orders o
                    where not exists (select from commerce.refunds r where r.order_id = o.id)
                    order by random() limit 2)",
    "update commerce.customers set display_name = 'Somebody', active = false
      where id in (select id from commerce.customers order by random() limit 3)",
];
