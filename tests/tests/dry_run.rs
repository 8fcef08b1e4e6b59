//! A dry run leaves no trace, and says what the run that follows does.

use anyhow::{Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::changes::{Changes, Hub, Traces, apart, fulfilled, kept, recorded, said};
use easysync_tests::shop_day::a_day_passes;
use serde_json::Value;

/// Asks in a transaction, which must not even get a number.
fn asked(bed: &mut Bed, arguments: &str) -> Result<Changes> {
    bed.simulator.reset_calls()?;
    let before = Traces::read(&mut bed.db)?;
    bed.db.batch_execute("begin")?;
    let said = said(&mut bed.db, arguments)?;
    let unnumbered: bool =
        bed.db.query_one("select pg_current_xact_id_if_assigned() is null", &[])?.get(0);
    bed.db.batch_execute("commit")?;
    let traces = Traces::read(&mut bed.db)?.since(&before);
    ensure!(traces.is_empty(), "{arguments}: traces in {traces:?}");
    ensure!(unnumbered, "{arguments}: the transaction has a number");
    let log = bed.simulator.get("/woocommerce/calls/log")?;
    let calls = log.as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(!calls.is_empty(), "{arguments}: the shop was not asked");
    let writes: Vec<&Value> = calls.iter().filter(|call| call["method"] != "GET").collect();
    ensure!(writes.is_empty(), "{arguments}: {writes:?}");
    Ok(said)
}

/// Has the worker try the same, and keep it.
fn tried(bed: &mut Bed, arguments: &str) -> Result<Changes> {
    const HELD: &str = "select md5(string_agg(t::text, '' order by t::text)) from
        (select t::text from easysync_ledger.links t union all select t::text from commerce.orders t
         union all select t::text from commerce.order_lines t union all select t::text from commerce.customers t
         union all select t::text from commerce.products t union all select t::text from commerce.refunds t
         union all select t::text from commerce.refund_lines t
         union all select t::text from easysync_internal.sync_state t) as t";
    let before = bed.text(HELD)?;
    let query = format!("select easysync.trigger({arguments}, dry_run => true)");
    let sync_id: i64 = bed.db.query_one(&query, &[])?.get(0);
    let run = bed.wait(sync_id)?;
    ensure!(run.status == "succeeded", "{run:?}");
    ensure!(bed.text(HELD)? == before, "{arguments}: the worker's dry run left traces");
    kept(&mut bed.db, sync_id)
}

/// Asks, has it tried, does it, and compares.
fn said_and_done(bed: &mut Bed, arguments: &str) -> Result<Changes> {
    let said = asked(bed, arguments)?;
    let kept = tried(bed, arguments)?;
    let apart_kept = apart(&said, &kept);
    ensure!(apart_kept.is_empty(), "{arguments}: asked and tried: {:#}", Value::Array(apart_kept));
    let before = Hub::read(&mut bed.db)?;
    let sync_id: i64 =
        bed.db.query_one(&format!("select easysync.trigger({arguments})"), &[])?.get(0);
    let run = bed.wait(sync_id)?;
    ensure!(run.status == "succeeded", "{run:?}");
    let after = Hub::read(&mut bed.db)?;
    let (told, done) = (recorded(&mut bed.db, sync_id)?, before.until(&after));
    let said = fulfilled(&mut bed.db, said, &done)?;
    let (from_told, from_done) = (apart(&said, &told), apart(&said, &done));
    ensure!(from_told.is_empty(), "{arguments}: said and told: {:#}", Value::Array(from_told));
    ensure!(from_done.is_empty(), "{arguments}: said and done: {:#}", Value::Array(from_done));
    Ok(done)
}

#[test]
fn a_dry_run_of_a_pull_says_what_the_pull_then_does() -> Result<()> {
    with_bed("dry-run-pull", Setup::default(), |bed| {
        bed.connect_shop()?;
        ensure!(said_and_done(bed, "'orders'")?.len() > 400);
        ensure!(said_and_done(bed, "'orders', mode => 'full'")?.is_empty());
        a_day_passes(bed)?;
        ensure!(said_and_done(bed, "'orders'")?.len() >= 7);
        Ok(())
    })
}
