//! A dry run leaves no trace, and says what the run that follows does.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::books::with_books;
use easysync_tests::changes::{Changes, Hub, Traces, apart, fulfilled, kept, recorded, said};
use easysync_tests::refusal::refused;
use easysync_tests::shop_day::{a_day_passes, a_random_day_passes};
use fastrand::Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;

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

/// Generated shops, streams set this way and that, days of which nobody knows what they bring.
fn random_days(seed: u64) -> Result<()> {
    let mut changed = 0;
    let mut random = Rng::with_seed(seed);
    let setup = Setup::generated(random.u64(20..120));
    with_bed(&format!("dry-run-{seed}"), setup, |bed| {
        bed.connect_shop()?;
        for entity in ["orders", "products"] {
            let policy = ["keep", "inactivate", "delete"][random.usize(0..3)];
            bed.db.execute(
                "select easysync.set_stream('shop', $1, delete_policy => $2)",
                &[&entity, &policy],
            )?;
        }
        said_and_done(bed, "'orders'")?;
        for day in 0..4 {
            a_random_day_passes(bed, &mut random)?;
            let some = bed.text(
                "(select string_agg(id, ',') from (select source_id as id from commerce.orders
                   order by random() limit 5) as o)",
            )?;
            let arguments = match random.u8(0..6) {
                0 | 1 => "'orders', mode => 'full'".to_owned(),
                2 => "'products', mode => 'full'".to_owned(),
                3 => format!("'orders', ids => '{{{}}}'", some.unwrap_or_default()),
                _ => "'orders'".to_owned(),
            };
            let done = said_and_done(bed, &arguments);
            changed += done.with_context(|| format!("seed {seed}, day {day}"))?.len();
        }
        let done = said_and_done(bed, "'orders', mode => 'full'");
        changed += done.with_context(|| format!("seed {seed}"))?.len();
        ensure!(changed > 10, "seed {seed}: only {changed} records were changed");
        Ok(())
    })
}

#[test]
fn whatever_happens_a_dry_run_says_what_the_run_then_does() -> Result<()> {
    let first = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    (first..first + 4).try_for_each(random_days)
}

/// Writes of a push, as they are told of: by record and document, with action and values.
type Writes = BTreeMap<(String, String, String), (String, Value)>;

fn writes(bed: &mut Bed, from: &str) -> Result<Writes> {
    let rows = bed.db.query(
        &format!("select entity, record_id, target, label, action, fields from {from} where action <> 'skip'"),
        &[],
    )?;
    Ok(rows
        .iter()
        .map(|row| {
            let (entity, record, target): (String, String, String) =
                (row.get(0), row.get(1), row.get(2));
            let (label, action): (String, String) = (row.get(3), row.get(4));
            ((entity, record, format!("{target} {label}")), (action, row.get(5)))
        })
        .collect())
}

#[test]
fn a_dry_run_of_a_push_says_what_is_then_sent() -> Result<()> {
    with_books("dry-run-push", "us_single", |bed, books| {
        let before = Traces::read(&mut bed.db)?;
        bed.db.batch_execute("begin")?;
        let arguments = "'orders', mode => 'full', connection => 'books'";
        let said = writes(bed, &format!("easysync.dry_run({arguments})"))?;
        let unnumbered: bool =
            bed.db.query_one("select pg_current_xact_id_if_assigned() is null", &[])?.get(0);
        bed.db.batch_execute("commit")?;
        ensure!(unnumbered, "the transaction has a number");
        let traces = Traces::read(&mut bed.db)?.since(&before);
        ensure!(traces.is_empty(), "traces in {traces:?}");
        ensure!(books.writes(bed)? == 0, "a question wrote to the books");
        ensure!(said.len() > 400, "only {} writes", said.len());

        let run = books.push(bed, "full")?;
        let done = writes(
            bed,
            &format!(
                "(select * from easysync.sync_changes where status = 'done' and sync_id = {}) as c",
                run.sync_id
            ),
        )?;
        for (key, write) in &said {
            ensure!(
                done.get(key) == Some(write),
                "{key:?}: said {write:?}, done {:?}",
                done.get(key)
            );
        }
        ensure!(done.len() == said.len(), "{} said, {} done", said.len(), done.len());
        // And the books hold just these documents, with these totals.
        for kind in ["SalesReceipt", "Invoice", "RefundReceipt"] {
            let mut told: Vec<String> = said
                .iter()
                .filter(|((_, _, what), _)| what.split(' ').next() == Some(kind))
                .map(|(_, (_, fields))| {
                    fields["TotalAmt"]["new"].as_str().unwrap_or_default().to_owned()
                })
                .collect();
            let mut held: Vec<String> = books
                .records(bed, kind)?
                .iter()
                .map(|record| format!("{:.2}", record["TotalAmt"].as_f64().unwrap_or_default()))
                .collect();
            told.sort();
            held.sort();
            ensure!(told == held, "{kind}: said {told:?}, held {held:?}");
        }
        Ok(())
    })
}

#[test]
fn what_is_too_large_for_a_session_is_tried_by_the_worker() -> Result<()> {
    with_bed("dry-run-large", Setup::generated(700), |bed| {
        bed.connect_shop()?;
        let before = Traces::read(&mut bed.db)?;
        let refusal = refused(&mut bed.db, "select * from easysync.dry_run('orders')", &[])?;
        refusal.assert("YS413", &["preview_too_large", "500 records", "dry_run => true"]);
        ensure!(Traces::read(&mut bed.db)?.since(&before).is_empty(), "it left traces");

        let kept = tried(bed, "'orders'")?;
        ensure!(kept.keys().filter(|(entity, _)| entity == "orders").count() == 700);
        let run = bed.sync_well("orders", "incremental")?;
        let told = recorded(&mut bed.db, run.sync_id)?;
        let said = fulfilled(&mut bed.db, kept, &told)?;
        let apart = apart(&said, &told);
        ensure!(apart.is_empty(), "{:#}", Value::Array(apart));
        Ok(())
    })
}

#[test]
fn a_dry_run_ends_when_it_is_told_to() -> Result<()> {
    with_bed("dry-run-cancel", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.simulator.fault("latency", json!({"ms": 60_000}), json!({"path": "/orders"}))?;
        let mut asking = bed.client()?;
        let pid: i32 = asking.query_one("select pg_backend_pid()", &[])?.get(0);
        let asked = std::thread::spawn(move || {
            let answer = asking.query("select * from easysync.dry_run('orders')", &[]);
            // The session is as good as before.
            (answer, asking.query_one("select 1", &[]))
        });
        bed.wait_until(
            &format!(
                "exists (select from pg_stat_activity where pid = {pid} and state = 'active')"
            ),
            std::time::Duration::from_secs(10),
        )?;
        std::thread::sleep(std::time::Duration::from_millis(500));
        bed.db.execute("select pg_cancel_backend($1)", &[&pid])?;
        let (answer, after) = asked.join().map_err(|_| anyhow::anyhow!("the session died"))?;
        let error = answer.err().context("it was not cancelled")?;
        let code = error.code().map(|code| code.code().to_owned());
        ensure!(code.as_deref() == Some("57014"), "{error:?}");
        ensure!(after.is_ok(), "{after:?}");
        Ok(())
    })
}

#[test]
fn what_comes_back_from_the_books_is_said_before() -> Result<()> {
    with_books("dry-run-back", "us", |bed, books| {
        books.push(bed, "full")?;
        bed.db.batch_execute(
            "select easysync.set_stream('books', 'invoices', direction => 'pull');
             select easysync.set_stream('books', 'payments', direction => 'pull')",
        )?;
        let mut changed = 0;
        for round in 0..2 {
            for entity in ["invoices", "payments"] {
                let arguments = format!("'{entity}', mode => 'full', connection => 'books'");
                let (before, written) = (Traces::read(&mut bed.db)?, books.writes(bed)?);
                let said = said(&mut bed.db, &arguments)?;
                ensure!(Traces::read(&mut bed.db)?.since(&before).is_empty(), "{entity}: traces");
                ensure!(books.writes(bed)? == written, "{entity}: a question wrote");
                let before = Hub::read(&mut bed.db)?;
                let query = format!("select easysync.trigger({arguments})");
                let sync_id: i64 = bed.db.query_one(&query, &[])?.get(0);
                let run = bed.wait(sync_id)?;
                ensure!(run.status == "succeeded", "{run:?}");
                let done = before.until(&Hub::read(&mut bed.db)?);
                let told = recorded(&mut bed.db, sync_id)?;
                let said = fulfilled(&mut bed.db, said, &done)?;
                for (other, what) in [(&told, "told"), (&done, "done")] {
                    let apart = apart(&said, other);
                    ensure!(
                        apart.is_empty(),
                        "{round} {entity}, {what}: {:#}",
                        Value::Array(apart)
                    );
                }
                changed += done.len();
            }
            let invoices = books.records(bed, "Invoice")?;
            let open = invoices.iter().find(|i| i["Balance"] == i["TotalAmt"]);
            books.act(bed, "pay", &json!({"id": open.context("no open one")?["Id"]}))?;
        }
        ensure!(changed > 10, "only {changed} records came back");
        Ok(())
    })
}
