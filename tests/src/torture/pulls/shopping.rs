//! What goes on in the shop meanwhile: orders come, change, are refunded, trashed and deleted.

use super::Torture;
use crate::rest::Rest;
use anyhow::{Context, Result};
use fastrand::Rng;
use serde_json::{Value, json};

impl Torture {
    /// A few things happen in the shop, through its own REST API.
    pub(super) fn shop_goes_on(&mut self) -> Result<()> {
        // A shop that is down to its customers is down to its staff, too.
        self.bed.simulator.clear_faults()?;
        let rest = self.bed.simulator.rest()?;
        for _ in 0..self.random.usize(1..=6) {
            something_happens(&rest, &mut self.random)?;
        }
        Ok(())
    }
}

/// One thing that happens in a shop every day, drawn by `random`.
pub fn something_happens(rest: &Rest, random: &mut Rng) -> Result<()> {
    match random.u8(0..10) {
        0..=3 => {
            let note = format!("note {}", random.u32(..));
            change_order(rest, random, &json!({"customer_note": note}))
        }
        4 => {
            let status = ["processing", "completed", "cancelled"][random.usize(0..3)];
            change_order(rest, random, &json!({"status": status}))
        }
        5 | 6 => new_order(rest, random),
        7 => change_product(rest, random),
        8 => {
            let Some(order) = any(rest, "orders", random)? else { return Ok(()) };
            let force = random.bool();
            rest.delete(&format!("orders/{}?force={force}", order["id"])).map(drop)
        }
        _ => refund(rest, random),
    }
}

/// One record of a list, drawn from one of its pages.
fn any(rest: &Rest, kind: &str, random: &mut Rng) -> Result<Option<Value>> {
    let path = |page: u32| {
        format!(
            "{kind}?per_page=100&page={page}&orderby=id&order=asc&dp=6&_fields=id,status,total,type"
        )
    };
    for page in [random.u32(1..=6), 1] {
        if let Value::Array(mut records) = rest.get(&path(page))?
            && !records.is_empty()
        {
            return Ok(Some(records.swap_remove(random.usize(..records.len()))));
        }
    }
    Ok(None)
}

fn change_order(rest: &Rest, random: &mut Rng, change: &Value) -> Result<()> {
    let Some(order) = any(rest, "orders", random)? else { return Ok(()) };
    rest.put(&format!("orders/{}", order["id"]), change).map(drop)
}

fn new_order(rest: &Rest, random: &mut Rng) -> Result<()> {
    let product = any(rest, "products", random)?.context("a shop without products")?;
    let email = format!("guest{}@torture.test", random.u8(0..20));
    let order = json!({
        "status": "processing",
        "billing": {"first_name": "T", "last_name": "Orture", "email": email},
        "line_items": [{"product_id": product["id"], "quantity": random.u8(1..5)}],
    });
    rest.post("orders", &order).map(drop)
}

fn change_product(rest: &Rest, random: &mut Rng) -> Result<()> {
    let Some(product) = any(rest, "products", random)? else { return Ok(()) };
    let change = match product["type"].as_str() {
        Some("simple") => {
            json!({"regular_price": format!("{}.{:02}", random.u8(1..90), random.u8(0..100))})
        }
        _ => json!({"menu_order": random.u8(..)}),
    };
    rest.put(&format!("products/{}", product["id"]), &change).map(drop)
}

fn refund(rest: &Rest, random: &mut Rng) -> Result<()> {
    let Some(order) = any(rest, "orders", random)? else { return Ok(()) };
    let body = json!({"amount": "0.01", "reason": "torture", "api_refund": false});
    // Refused where there is nothing left to give back (with status 500, as WooCommerce does).
    rest.post(&format!("orders/{}/refunds", order["id"]), &body).map_or(Ok(()), |_| Ok(()))
}
