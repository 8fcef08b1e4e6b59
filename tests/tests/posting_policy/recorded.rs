//! Orders of the recorded shop that the posting policy speaks of by number.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::books::Books;
use serde_json::{Value, json};

use crate::looks::money;

/// Pulls orders and pushes them.
fn sync(bed: &mut Bed, books: &Books, ids: &[String]) -> Result<()> {
    let trigger = "select easysync.trigger('orders', connection => $1, ids => $2)";
    let pull: i64 = bed.db.query_one(trigger, &[&"shop", &ids])?.get(0);
    let run = bed.wait(pull)?;
    ensure!(run.status == "succeeded", "{run:?}");
    let push: i64 = bed.db.query_one(trigger, &[&books.name, &ids])?.get(0);
    let run = books.wait(bed, push)?;
    ensure!(run.status == "succeeded", "{run:?}");
    Ok(())
}

/// The shop's staff say that it was paid.
fn pays(bed: &Bed, id: &str) -> Result<()> {
    let paid = json!({"status": "completed", "date_paid_gmt": "2026-11-24T00:30:00"});
    bed.simulator.put(&format!("/woocommerce/orders/{id}"), &paid).map(drop)
}

fn documents(bed: &Bed, books: &Books, kind: &str, number: &str) -> Result<Vec<Value>> {
    let all = books.records(bed, kind)?;
    Ok(all.into_iter().filter(|document| document["DocNumber"] == number).collect())
}

/// What the rounding line of a document holds; none: it has none.
fn rounding(document: &Value) -> Option<String> {
    let mut lines = document["Line"].as_array()?.iter();
    let on = |line: &&Value| line["SalesItemLineDetail"]["ItemRef"]["name"] == "Rounding";
    lines.find(on).map(|line| money(&line["Amount"]))
}

/// The eight whose header and lines differ by a cent (posting policy, Amounts 7).
const ROUNDED: [&str; 8] = ["514", "515", "516", "519", "521", "522", "523", "524"];

#[test]
fn orders_taxed_on_the_sum_post_to_the_cent_once_they_are_paid() -> Result<()> {
    with_bed("policy-recorded", Setup::default(), |bed| {
        bed.connect_shop()?;
        let ids: Vec<String> = (514..=524).map(|id: i32| id.to_string()).collect();
        for id in &ids {
            pays(bed, id)?;
        }
        for preset in ["us_single", "uk", "eu"] {
            let books = Books::found(bed, &format!("books_{preset}"), preset, &json!({}))?;
            bed.db.execute("select easysync.set_setting('confirm_threshold', '1000')", &[])?;
            sync(bed, &books, &ids)?;
            for id in &ids {
                let shown = bed.simulator.rest()?.get(&format!("orders/{id}?dp=2"))?;
                let found = documents(bed, &books, "SalesReceipt", &format!("WC-{id}"))?;
                let [receipt] = &found[..] else {
                    anyhow::bail!("{preset}, order {id}: {found:?}");
                };
                let (is, owed) = (money(&receipt["TotalAmt"]), money(&shown["total"]));
                ensure!(is == owed, "{preset}, order {id} comes to {owed}, its receipt to {is}");
                let (left, cent) = (rounding(receipt), ROUNDED.contains(&id.as_str()));
                let fits = left.as_deref().map(|left| left.trim_start_matches('-'));
                ensure!(fits == cent.then_some("0.01"), "{preset}, order {id}: {left:?}");
            }
        }
        Ok(())
    })
}

#[test]
fn a_payment_after_part_refunds_is_what_is_open() -> Result<()> {
    with_bed("policy-order-190", Setup::default(), |bed| {
        bed.connect_shop()?;
        let books = Books::found(bed, "books", "us_single", &json!({}))?;
        let ids = ["190".to_owned()];
        sync(bed, &books, &ids)?;
        let invoice = documents(bed, &books, "Invoice", "WC-190")?;
        let invoice = invoice.first().context("an invoice")?;
        ensure!(money(&invoice["TotalAmt"]) == "103.93", "{invoice}");
        ensure!(money(&invoice["Balance"]) == "101.93", "{invoice}");
        bed.simulator
            .put("/woocommerce/orders/190", &json!({"date_paid_gmt": "2026-11-24T00:30:00"}))?;
        sync(bed, &books, &ids)?;
        let paid: Vec<String> = books
            .records(bed, "Payment")?
            .iter()
            .map(|payment| money(&payment["TotalAmt"]))
            .filter(|total| total != "0.00")
            .collect();
        ensure!(paid == ["101.93"], "{paid:?}");
        Ok(())
    })
}
