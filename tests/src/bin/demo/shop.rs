//! The shop: everything of it arrives, and the next sync writes exactly what was changed.

use crate::report::{Report, money};
use anyhow::{Context, Result, bail};
use easysync_tests::bed::Bed;
use easysync_tests::compare::{self, Shop};
use easysync_tests::rows::Versions;
use easysync_tests::run::Run;
use rust_decimal::Decimal;
use serde_json::json;
use std::collections::BTreeMap;

/// What is known of the recorded shop, by hand: currency, orders, sum.
const RECORDED_SUMS: [(&str, i64, &str); 5] = [
    ("EUR", 4, "3120.35"),
    ("GBP", 5, "24284.74"),
    ("JPY", 3, "136.61"),
    ("KWD", 2, "625.65"),
    ("USD", 275, "231093.77"),
];

/// The same: what is counted, where, how many.
const RECORDED_COUNTS: [(&str, &str, i64); 7] = [
    ("orders", "commerce.orders", 289),
    ("order lines", "commerce.order_lines", 855),
    ("registered customers", "commerce.customers where not is_guest", 43),
    ("guests", "commerce.customers where is_guest", 58),
    ("products", "commerce.products where kind <> 'variation'", 59),
    ("variations", "commerce.products where kind = 'variation'", 74),
    ("refunds", "commerce.refunds", 43),
];

/// Connects it, pulls it, and checks every figure against the shop's own records.
pub fn first_sync(bed: &mut Bed, report: &mut Report) -> Result<()> {
    println!("\nConnecting the shop at {}", bed.simulator.state.woocommerce.https);
    bed.connect_shop()?;
    let account = bed.text("select account from easysync.connections")?;
    println!("  connected to {}", account.unwrap_or_default());

    println!("\nFirst sync: select easysync.trigger('orders')");
    let run = bed.sync_well("orders", "incremental")?;
    println!("  sync {}: {} records created, {} calls", run.sync_id, run.created, run.api_calls);
    let shop = bed.simulator.shop()?;
    sums(bed, &shop, report)?;
    counts(bed, report)?;
    same_as_shop(bed, &shop, report)
}

/// Changes three orders there, and pulls again; returns their ids.
pub fn second_sync(bed: &mut Bed, report: &mut Report) -> Result<Vec<String>> {
    let shop = bed.simulator.shop()?;
    let changed = change_three_orders(bed, &shop)?;
    pull_changes(bed, &changed, report)?;
    Ok(changed)
}

fn sums(bed: &mut Bed, shop: &Shop, report: &mut Report) -> Result<()> {
    println!("\n  {:<40}{:>14}{:>14}", "orders by currency", "hub", "shop");
    let rows = bed.db.query(
        "select currency, count(*), sum(total) from commerce.orders group by currency",
        &[],
    )?;
    let hub: BTreeMap<String, (i64, Decimal)> =
        rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
    let sums = shop.sums();
    if hub.keys().ne(sums.keys()) {
        report.problems.push(format!("currencies: {:?}, {:?}", hub.keys(), sums.keys()));
    }
    for (currency, (orders, total)) in &hub {
        let sum = sums.get(currency).copied().unwrap_or_default();
        let what = format!("{currency} ({orders} orders)");
        report.figure(&what, &money(*total), &money(sum.total));
        if u64::try_from(*orders) != Ok(sum.orders) {
            report.problems.push(format!("{what}: the shop has {}", sum.orders));
        }
    }
    for (currency, orders, total) in RECORDED_SUMS {
        let found = hub.get(currency).map(|(n, sum)| (*n, money(*sum)));
        if found != Some((orders, total.to_owned())) {
            report.problems.push(format!("{currency}: {found:?}, known: {orders}, {total}"));
        }
    }
    Ok(())
}

fn counts(bed: &mut Bed, report: &mut Report) -> Result<()> {
    println!("\n  {:<40}{:>14}{:>14}", "rows", "hub", "known");
    for (what, from, expected) in RECORDED_COUNTS {
        let found = bed.count(from)?;
        report.figure(what, &found.to_string(), &expected.to_string());
    }
    Ok(())
}

fn same_as_shop(bed: &mut Bed, shop: &Shop, report: &mut Report) -> Result<()> {
    let differences = compare::differences(&mut bed.db, "shop", shop)?;
    println!("\n  every field of every record compared: {} differences", differences.len());
    report.problems.extend(differences);
    Ok(())
}

/// Changes what a shop's staff would; returns the orders' ids.
fn change_three_orders(bed: &Bed, shop: &Shop) -> Result<Vec<String>> {
    println!("\nThree orders are changed in the shop:");
    let changes = [
        ("status", json!({"status": "completed"})),
        ("customer note", json!({"customer_note": "Please ring twice."})),
        ("city", json!({"billing": {"city": "Calgary"}})),
    ];
    let mut candidates = shop.live_orders().into_iter().filter(|o| o["status"] == "processing");
    let mut ids = Vec::new();
    for (what, change) in changes {
        let order = candidates.next().context("three orders that can be changed")?;
        let id = order["id"].to_string();
        bed.simulator.update_order(&id, &change)?;
        println!("  order {}: {what}", order["number"].as_str().unwrap_or(&id));
        ids.push(id);
    }
    ids.sort();
    Ok(ids)
}

fn pull_changes(bed: &mut Bed, changed: &[String], report: &mut Report) -> Result<()> {
    let before = Versions::read(&mut bed.db)?;
    println!("\nSecond sync: select easysync.trigger('orders', connection => 'shop')");
    let run = pull(bed)?;
    let written = Versions::read(&mut bed.db)?.since(&before);
    println!(
        "  sync {}: {} created, {} updated, {} unchanged, {} calls",
        run.sync_id, run.created, run.updated, run.unchanged, run.api_calls
    );
    println!("  orders written: {}", written.orders.join(", "));
    if written.orders != changed {
        let problem = format!("orders written: {:?}, changed: {changed:?}", written.orders);
        report.problems.push(problem);
    }
    if !written.others.is_empty() {
        report.problems.push(format!("also written: {:?}", written.others));
    }
    if (run.created, run.updated, run.deleted) != (0, 3, 0) {
        report.problems.push(format!("the run says {run:?}"));
    }
    let shop = bed.simulator.shop()?;
    if shop.orders.is_empty() {
        bail!("the shop shows no orders");
    }
    same_as_shop(bed, &shop, report)
}

/// A sync of the shop alone.
pub fn pull(bed: &mut Bed) -> Result<Run> {
    let pull = "select easysync.trigger('orders', connection => 'shop')";
    let id: i64 = bed.db.query_one(pull, &[]).context("easysync.trigger")?.get(0);
    let run = bed.wait(id)?;
    if run.status != "succeeded" {
        bail!("{run:?}");
    }
    Ok(run)
}
