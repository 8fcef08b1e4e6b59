//! Does the hub say what the shop says? Compared field by field, with rules written down here a
//! second time from the hub tables' description: nothing of the engine is used, so that a mistake
//! in its mapping can't hide in its own test.

mod cell;
mod expected;
mod hub;
pub mod shop;

pub use shop::Shop;

use anyhow::Result;
use cell::Cell;
use hub::Row;
use postgres::Client;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Everything in which the hub and the shop differ, one line each; empty: they are the same.
///
/// # Errors
/// The hub can't be read.
pub fn differences(client: &mut Client, connection: &str, shop: &Shop) -> Result<Vec<String>> {
    let mut found = Findings::default();
    compare_customers(client, connection, shop, &mut found)?;
    compare_products(client, connection, shop, &mut found)?;
    compare_orders(client, connection, shop, &mut found)?;
    compare_refunds(client, connection, shop, &mut found)?;
    Ok(found.lines)
}

#[derive(Default)]
struct Findings {
    lines: Vec<String>,
}

impl Findings {
    fn add(&mut self, what: &str, id: &str, problem: String) {
        self.lines.push(format!("{what} {id}: {problem}"));
    }

    fn cells(&mut self, what: &str, id: &str, row: &Value, cells: &[(&'static str, Cell)]) {
        for (column, expected) in cells {
            if let Some(problem) = expected.differs(&row[*column]) {
                self.add(what, id, format!("{column} {problem}"));
            }
        }
    }
}

/// Both ways: every record of the shop has its row, and every live row its record.
fn pair<'a>(
    what: &str,
    shop: &[&'a Value],
    hub: &'a BTreeMap<String, Row>,
    found: &mut Findings,
) -> Vec<(String, &'a Value, &'a Row)> {
    let mut pairs = Vec::new();
    let by_id: HashMap<String, &Value> = shop.iter().map(|r| (shop::id_of(r), *r)).collect();
    for (id, record) in &by_id {
        match hub.get(id) {
            None => found.add(what, id, "missing in the hub".into()),
            Some(row) => pairs.push((id.clone(), *record, row)),
        }
    }
    for (id, row) in hub {
        if !by_id.contains_key(id) && row["deleted_at"].is_null() {
            found.add(what, id, "in the hub, but not in the shop".into());
        }
    }
    pairs
}

fn compare_customers(
    client: &mut Client,
    connection: &str,
    shop: &Shop,
    found: &mut Findings,
) -> Result<()> {
    let all = hub::customers(client, connection)?;
    let (guests, registered): (BTreeMap<_, _>, BTreeMap<_, _>) =
        all.into_iter().partition(|(_, row)| row["is_guest"] == Value::Bool(true));
    let records: Vec<&Value> = shop.customers.iter().collect();
    for (id, record, row) in pair("customer", &records, &registered, found) {
        found.cells("customer", &id, row, &expected::customer(record));
    }
    let emails = shop.guest_emails();
    let mut seen = BTreeSet::new();
    for row in guests.values() {
        let email = row["email"].as_str().unwrap_or_default();
        // Whose orders were trashed or deleted since is still somebody.
        if row["has_ordered"] != Value::Bool(true) {
            found.add("guest", email, "in the hub, but of no order there".into());
        }
        if !seen.insert(email.to_owned()) {
            found.add("guest", email, "twice in the hub".into());
        }
    }
    for email in emails.difference(&seen) {
        found.add("guest", email, "missing in the hub".into());
    }
    Ok(())
}

fn compare_products(
    client: &mut Client,
    connection: &str,
    shop: &Shop,
    found: &mut Findings,
) -> Result<()> {
    let hub = hub::products(client, connection)?;
    let records: Vec<&Value> = shop.products.iter().chain(&shop.variations).collect();
    for (id, record, row) in pair("product", &records, &hub, found) {
        found.cells("product", &id, row, &expected::product(record));
    }
    Ok(())
}

fn compare_orders(
    client: &mut Client,
    connection: &str,
    shop: &Shop,
    found: &mut Findings,
) -> Result<()> {
    let hub = hub::orders(client, connection)?;
    let live = shop.live_orders();
    let products = shop.product_ids();
    let customers = shop.customer_ids();
    for (id, order, row) in pair("order", &live, &hub, found) {
        let refunds = shop.refunds_of(&id);
        found.cells("order", &id, row, &expected::order(order, &refunds));
        let owner = expected::owner(order, &customers);
        found.cells("order", &id, &row["customer"], &owner);
        compare_lines(&id, order, row, &products, found);
    }
    // One that was trashed after it had been stored keeps its row.
    for order in &shop.trashed_orders {
        let id = shop::id_of(order);
        if let Some(row) = hub.get(&id)
            && (row["status"] != "trash" || row["deleted_at"].is_null())
        {
            found.add("order", &id, "in the shop's trash, but not marked so".into());
        }
    }
    Ok(())
}

fn compare_lines(
    order_id: &str,
    order: &Value,
    row: &Row,
    products: &[String],
    found: &mut Findings,
) {
    let lines = shop::list(order, "line_items");
    let rows = shop::list(row, "lines");
    if lines.len() != rows.len() {
        let (hub, shop) = (rows.len(), lines.len());
        found.add("order", order_id, format!("{hub} lines, the shop has {shop}"));
        return;
    }
    for (line, row) in lines.iter().zip(&rows) {
        let name = format!("{order_id} line {}", line["id"]);
        found.cells("order", &name, row, &expected::line(line, products));
    }
}

fn compare_refunds(
    client: &mut Client,
    connection: &str,
    shop: &Shop,
    found: &mut Findings,
) -> Result<()> {
    let hub = hub::refunds(client, connection)?;
    let live: Vec<String> = shop.live_orders().iter().map(|o| shop::id_of(o)).collect();
    let parent = |refund: &Value| refund["parent_id"].to_string();
    let records: Vec<&Value> = shop.refunds.iter().filter(|r| live.contains(&parent(r))).collect();
    for (id, refund, row) in pair("refund", &records, &hub, found) {
        found.cells("refund", &id, row, &expected::refund(refund));
        let expected = expected::refund_lines(refund);
        let rows = shop::list(row, "lines");
        if expected.len() != rows.len() {
            let (hub, shop) = (rows.len(), expected.len());
            found.add("refund", &id, format!("{hub} lines, the shop has {shop}"));
            continue;
        }
        for (source_id, cells) in expected {
            match rows.iter().find(|row| row["source_id"] == source_id.as_str()) {
                None => found.add("refund", &id, format!("line {source_id} is missing")),
                Some(row) => found.cells("refund", &format!("{id} line {source_id}"), row, &cells),
            }
        }
    }
    Ok(())
}
