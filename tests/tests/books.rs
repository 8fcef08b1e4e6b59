//! From the shop to the books, through everything: SQL, worker, QuickBooks' API.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::books::{Books, breathe};
use rust_decimal::Decimal;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The recorded shop, pulled, and the company connected.
fn with_books(
    name: &str,
    preset: &str,
    test: impl FnOnce(&mut Bed, &Books) -> Result<()>,
) -> Result<()> {
    with_bed(name, Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        let books = Books::connect(bed, preset)?;
        test(bed, &books)
    })
}

/// The USD row of the posting policy's table: documents with count and total.
fn recorded_usd() -> BTreeMap<String, (u64, Decimal)> {
    let row = [
        ("SalesReceipt", 180, 15_200_124),
        ("Invoice", 12, 216_845),
        ("RefundReceipt", 38, 944_464),
        ("CreditMemo", 2, 200),
    ];
    row.map(|(kind, count, cents)| (format!("{kind} USD"), (count, Decimal::new(cents, 2)))).into()
}

/// One paid order by its id in the shop, previewed, sent, sent again, changed.
#[test]
fn an_order_is_previewed_pushed_once_and_updated_in_place() -> Result<()> {
    with_books("books-order", "us_single", |bed, books| {
        let rows = bed.db.query(
            "select action, target, fields from easysync.dry_run('orders', connection => 'books', ids => '{175}')
             order by change_id",
            &[],
        )?;
        let targets: Vec<String> = rows.iter().map(|row| row.get(1)).collect();
        ensure!(targets.contains(&"SalesReceipt".to_owned()), "the preview has {targets:?}");
        ensure!(bed.count("easysync.sync_queue")? == 0, "a preview queues nothing");
        ensure!(books.count(bed, "SalesReceipt")? == 0, "a preview writes nothing");

        breathe();
        let push = "select easysync.trigger('orders', connection => 'books', ids => '{175}')";
        let id: i64 = bed.db.query_one(push, &[])?.get(0);
        let run = books.wait(bed, id)?;
        ensure!(run.status == "succeeded", "{run:?}");
        ensure!(books.count(bed, "SalesReceipt")? == 1, "one document");
        let total = bed.text("select total from commerce.orders where source_id = '175'")?;
        let receipts = books.get(bed, "records/SalesReceipt")?;
        let shown = receipts.to_string();
        ensure!(
            shown.contains(&format!("\"TotalAmt\":{}", total.clone().context("total")?)),
            "{shown} has no total of {total:?}"
        );

        let before = books.calls(bed)?;
        let again: i64 = bed.db.query_one(push, &[])?.get(0);
        let run = books.wait(bed, again)?;
        ensure!(run.status == "succeeded" && run.written() == 0, "{run:?}");
        ensure!(books.calls(bed)? == before, "the second push made a call");

        bed.db.execute(
            "update commerce.orders set customer_note = 'Leave it at the door' where source_id = '175'",
            &[],
        )?;
        let changed: i64 = bed.db.query_one(push, &[])?.get(0);
        let run = books.wait(bed, changed)?;
        ensure!(run.status == "succeeded" && run.updated == 1, "{run:?}");
        ensure!(books.count(bed, "SalesReceipt")? == 1, "still one document");
        let receipts = books.get(bed, "records/SalesReceipt")?.to_string();
        ensure!(receipts.contains("Leave it at the door"), "{receipts}");
        Ok(())
    })
}

/// The whole recorded shop: the posting policy's table for a company without multicurrency.
#[test]
fn the_recorded_shop_arrives_to_the_cent_once_a_person_has_confirmed() -> Result<()> {
    with_books("books-shop", "us_single", |bed, books| {
        let id: i64 = bed
            .db
            .query_one("select easysync.trigger('orders', 'full', connection => 'books')", &[])?
            .get(0);
        let waits = format!(
            "select status = 'awaiting_confirmation' from easysync.sync_runs where sync_id = {id}"
        );
        bed.wait_until(&waits, Duration::from_secs(60))?;
        ensure!(books.count(bed, "SalesReceipt")? == 0, "nothing is sent before");
        let run = books.wait(bed, id)?;
        ensure!(matches!(run.status.as_str(), "partial" | "succeeded"), "{run:?}");
        let failures = bed.text(
            "select string_agg(format('%s %s %s', entity, record_id, error_message), '; ' order by failure_id) from easysync.sync_failures",
        )?;
        let documents = books.documents(bed)?;
        ensure!(documents == recorded_usd(), "{documents:?}; {run:?}; {failures:?}");
        let before = books.calls(bed)?;
        let run = books.push(bed, "full")?;
        ensure!(run.written() == 0, "{run:?}");
        ensure!(
            books.calls(bed)? == before,
            "the second push made calls: {}",
            books.calls(bed)? - before
        );
        Ok(())
    })
}

/// The worker dies while it sends, again and again: nothing is lost, nothing twice.
#[test]
fn a_worker_that_dies_while_it_sends_loses_and_doubles_nothing() -> Result<()> {
    with_books("books-kill", "us_single", |bed, books| {
        bed.db.execute("select easysync.set_setting('confirm_threshold', '100000')", &[])?;
        let id: i64 = bed
            .db
            .query_one("select easysync.trigger('orders', 'full', connection => 'books')", &[])?
            .get(0);
        for _ in 0..3 {
            let before = books.writes(bed)?;
            let began = Instant::now();
            while books.writes(bed)? == before {
                ensure!(began.elapsed() < Duration::from_secs(60), "nothing more is sent");
                std::thread::sleep(Duration::from_millis(5));
            }
            let pid = bed.worker_pid()?;
            bed.db.execute("select pg_terminate_backend($1)", &[&pid])?;
        }
        let run = books.wait(bed, id)?;
        ensure!(matches!(run.status.as_str(), "partial" | "succeeded"), "{run:?}");
        let run = books.push(bed, "full")?;
        ensure!(run.written() == 0, "{run:?}");
        let suspicious = books.get(bed, "suspicious")?;
        ensure!(
            suspicious
                == json!({"duplicate_numbers": {}, "duplicate_notes": {}, "writes_without_request_id": 0}),
            "{suspicious}"
        );
        let documents = books.documents(bed)?;
        ensure!(documents == recorded_usd(), "{documents:?}");
        Ok(())
    })
}
