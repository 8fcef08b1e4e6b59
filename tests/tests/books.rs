//! From the shop to the books, through everything: SQL, worker, QuickBooks' API.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Setup, with_bed};
use easysync_tests::books::{Books, COMPANIES, Table, recorded, with_books};
use serde_json::json;
use std::time::{Duration, Instant};

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

        let links = "select record_id from easysync.links where remote_type = 'SalesReceipt'";
        ensure!(
            bed.text(links)?.as_deref() == Some("175"),
            "the link tells where the order was born"
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
        let problems = Table::of(bed, id)?.problems(bed, books, &recorded(&["USD"]))?;
        ensure!(problems.is_empty(), "{problems:#?}");
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
        let problems = books.differences(bed, &recorded(&["USD"]))?;
        ensure!(problems.is_empty(), "{problems:#?}");
        Ok(())
    })
}

/// The posting policy's table for the other kinds of companies.
#[test]
fn companies_of_every_kind_get_the_table_of_the_posting_policy() -> Result<()> {
    with_bed("books-companies", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        for company in COMPANIES.iter().filter(|company| company.preset != "us_single") {
            let name = format!("books_{}", company.preset);
            let books = Books::connect_as(bed, &name, company.preset)?;
            let run = books.push(bed, "full")?;
            let table = Table::of(bed, run.sync_id)?;
            let problems = table.problems(bed, &books, &recorded(company.currencies))?;
            ensure!(problems.is_empty(), "{}: {problems:#?}", company.what);
            ensure!(table.documents() == company.documents, "{}: {table:?}", company.what);
            ensure!(table.blocked() == company.blocked, "{}: {table:?}", company.what);
            let customers = books.customers_billed(bed)?;
            ensure!(company.customers.is_none_or(|known| known == customers), "{customers}");
        }
        Ok(())
    })
}
