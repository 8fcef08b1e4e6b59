//! Access to the books: tokens rotate whatever happens to servers and sessions, and show nowhere;
//! and a second installation finds what the first one made.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::books::{Books, recorded, with_books};
use easysync_tests::cluster::{Options, Stop};
use easysync_tests::run::Run;
use serde_json::json;
use std::time::Duration;

/// Every refresh gives another refresh token, and the one before is dead at once.
fn rotate_always(bed: &Bed, books: &Books) -> Result<()> {
    let rules = json!({"refresh_value_seconds": 0, "old_refresh_grace_seconds": 0});
    let path = format!("/quickbooks/companies/{}/rules", books.realm);
    bed.simulator.put(&path, &rules).map(drop)
}

fn refreshes(bed: &Bed, books: &Books) -> Result<u64> {
    books.get(bed, "calls")?["oauth"].as_u64().context("oauth")
}

/// The access token is refused from now on; the order's new note has to arrive all the same.
fn note_arrives(bed: &mut Bed, books: &Books, note: &str) -> Result<()> {
    books.act(bed, "expire_access", &json!({}))?;
    let before = refreshes(bed, books)?;
    let run = push_note(bed, books, note)?;
    ensure!(run.status == "succeeded" && run.updated == 1, "{note}: {run:?}");
    ensure!(refreshes(bed, books)? == before + 1, "{note}: one refresh");
    let receipts = books.get(bed, "records/SalesReceipt")?.to_string();
    ensure!(receipts.contains(note), "{note}: {receipts}");
    Ok(())
}

fn push_note(bed: &mut Bed, books: &Books, note: &str) -> Result<Run> {
    bed.db.execute(
        "update commerce.orders set customer_note = $1 where source_id = '175'",
        &[&note],
    )?;
    let push = "select easysync.trigger('orders', connection => 'books', ids => '{175}')";
    let id: i64 = bed.db.query_one(push, &[])?.get(0);
    books.wait(bed, id)
}

#[test]
fn tokens_rotate_across_restarts_crashes_and_sessions_that_end_early() -> Result<()> {
    with_books("books-tokens", "us_single", |bed, books| {
        rotate_always(bed, books)?;
        let run = push_note(bed, books, "first")?;
        ensure!(run.status == "succeeded" && run.created > 0, "{run:?}");
        note_arrives(bed, books, "after the first hour")?;

        bed.cluster.restart()?;
        bed.reconnect_patiently()?;
        note_arrives(bed, books, "after a restart")?;

        bed.cluster.stop(Stop::Immediate)?;
        bed.cluster.start()?;
        bed.reconnect_patiently()?;
        note_arrives(bed, books, "after a crash")?;

        // A session's transaction that asks the company and is rolled back.
        let mut transaction = bed.db.transaction()?;
        let checks = transaction.query("select ok from easysync.test_connection('books')", &[])?;
        ensure!(!checks.is_empty(), "no checks");
        transaction.rollback()?;
        note_arrives(bed, books, "after a rollback")?;

        cancel_a_session(bed, books)?;
        note_arrives(bed, books, "after a cancelled session")?;

        let used = "select reads_used > 0 and reads_used < reads_budget from easysync.connections where connection = 'books'";
        ensure!(bed.text(used)?.as_deref() == Some("true"), "the month's reads aren't counted");
        Ok(())
    })
}

#[test]
fn a_session_gets_a_renewed_token_and_keeps_it_from_no_rollback() -> Result<()> {
    with_books("books-renewal", "us_single", |bed, books| {
        rotate_always(bed, books)?;
        let rules = format!("/quickbooks/companies/{}/rules", books.realm);
        // A grant whose token is about to end, and has ended there already.
        bed.simulator.put(&rules, &json!({"access_token_seconds": 60}))?;
        books.grant(bed)?;
        bed.simulator.put(&rules, &json!({"access_token_seconds": 3600}))?;
        books.act(bed, "expire_access", &json!({}))?;
        let before = refreshes(bed, books)?;
        let mut transaction = bed.db.transaction()?;
        let preview =
            "select target from easysync.dry_run('orders', connection => 'books', ids => '{175}')";
        ensure!(!transaction.query(preview, &[])?.is_empty(), "an empty preview");
        transaction.rollback()?;
        ensure!(
            refreshes(bed, books)? == before + 1,
            "{} refreshes after {before}",
            refreshes(bed, books)?
        );
        let run = push_note(bed, books, "first")?;
        ensure!(run.status == "succeeded" && run.created > 0, "{run:?}");
        ensure!(refreshes(bed, books)? == before + 1, "the rollback lost the token");
        Ok(())
    })
}

/// A session that waits for the company is cancelled.
fn cancel_a_session(bed: &mut Bed, books: &Books) -> Result<()> {
    let slow = json!({"fault": "latency", "ms": 20_000, "match": {"path": "companyinfo"}});
    bed.simulator.post("/quickbooks/faults", &slow)?;
    let mut other = bed.client()?;
    let pid: i32 = other.query_one("select pg_backend_pid()", &[])?.get(0);
    let asks = std::thread::spawn(move || {
        other.query("select * from easysync.test_connection('books')", &[]).err()
    });
    let waits = format!(
        "select count(*) = 1 from pg_stat_activity where pid = {pid} and state = 'active'
            and query like '%test_connection%' and wait_event_type = 'Extension'"
    );
    bed.wait_until(&waits, Duration::from_secs(20))?;
    bed.db.execute("select pg_cancel_backend($1)", &[&pid])?;
    let error = asks.join().map_err(|_| anyhow::anyhow!("the session's thread"))?;
    let code = error.as_ref().and_then(|e| e.code()).map(|code| code.code().to_owned());
    ensure!(code.as_deref() == Some("57014"), "{error:?}");
    bed.simulator.delete("/quickbooks/faults")?;
    let _ = books;
    Ok(())
}

#[test]
fn a_grant_that_is_gone_asks_for_a_person_and_goes_on_once_it_is_given_again() -> Result<()> {
    with_books("books-grant", "us_single", |bed, books| {
        push_note(bed, books, "first")?;
        books.act(bed, "disconnect", &json!({}))?;
        let run = push_note(bed, books, "second")?;
        ensure!(run.status == "failed", "{run:?}");
        let status = "select status from easysync.connections where connection = 'books'";
        ensure!(bed.text(status)?.as_deref() == Some("reauthorize"), "{:?}", bed.text(status)?);
        let health = bed.text("select easysync.health()")?.unwrap_or_default();
        ensure!(health.contains("oauth_authorize_url"), "what to do isn't said: {health}");
        books.grant(bed)?;
        ensure!(bed.text(status)?.as_deref() == Some("connected"), "{:?}", bed.text(status)?);
        let run = push_note(bed, books, "third")?;
        ensure!(run.status == "succeeded" && run.updated == 1, "{run:?}");
        Ok(())
    })
}

#[test]
fn no_token_shows_in_logs_views_or_errors() -> Result<()> {
    let setup = Setup {
        cluster: Options::default().set("log_min_messages", "debug1").set("log_statement", "all"),
        ..Setup::default()
    };
    with_bed("books-secrecy", setup, |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        bed.db.execute("select easysync.set_setting('log_level', 'debug')", &[]).ok();
        let books = Books::connect(bed, "us_single")?;
        rotate_always(bed, &books)?;
        push_note(bed, &books, "first")?;
        note_arrives(bed, &books, "second")?;
        bed.simulator.post("/quickbooks/faults", &json!({"fault": "truncate", "bytes": 300}))?;
        push_note(bed, &books, "third")?;
        bed.simulator.delete("/quickbooks/faults")?;
        books.act(bed, "disconnect", &json!({}))?;
        push_note(bed, &books, "fourth")?;

        // As the simulator spells them: access token, refresh token; and the app's secret.
        let secrets = ["eyJhbGciOiJkaXIi", "RT1-39-", books.client_secret()];
        for (what, query) in [
            ("sync_logs", "select string_agg(l::text, E'\\n') from easysync.sync_logs l"),
            ("sync_runs", "select string_agg(r::text, E'\\n') from easysync.sync_runs r"),
            ("sync_failures", "select string_agg(f::text, E'\\n') from easysync.sync_failures f"),
            ("sync_requests", "select string_agg(r::text, E'\\n') from easysync.sync_requests r"),
            ("sync_changes", "select string_agg(r::text, E'\\n') from easysync.sync_changes r"),
            ("connections", "select string_agg(c::text, E'\\n') from easysync.connections c"),
            ("audit_log", "select string_agg(a::text, E'\\n') from easysync.audit_log a"),
            (
                "the ledger",
                "select string_agg(r::text, E'\\n') from easysync_ledger.sync_requests r",
            ),
            ("links", "select string_agg(l::text, E'\\n') from easysync_ledger.links l"),
            ("health", "select easysync.health()"),
        ] {
            let text = bed.text(query).with_context(|| what)?.unwrap_or_default();
            ensure!(!text.is_empty(), "{what} is empty: nothing was looked at");
            for secret in secrets {
                ensure!(!text.contains(secret), "{what} holds a token");
            }
        }
        std::thread::sleep(Duration::from_millis(200));
        let log = bed.cluster.log();
        ensure!(log.contains("DEBUG"), "the server logs little");
        for line in log.lines() {
            ensure!(!secrets.iter().any(|s| line.contains(s)), "the server's log: {line}");
        }
        Ok(())
    })
}

#[test]
fn what_the_shop_asks_of_the_settings_is_listed_at_once() -> Result<()> {
    with_bed("books-checks", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        let changes = json!({"tax": {"rates": {"1": "sales_tax", "2": "sales_tax"}}});
        Books::connect_with(bed, "books", "us_single", &changes)?;
        let rows = bed.db.query(
            "select ok, message, hint from easysync.test_connection('books') where check_name = 'posting'",
            &[],
        )?;
        ensure!(rows.iter().all(|row| row.get(0)), "the connection itself is well");
        let told: Vec<String> = rows.iter().map(|row| row.get(1)).collect();
        // Rates that nothing maps with their tax, methods and currencies with their orders.
        let wanted = [
            ("tax.rates.3", "USD"),
            ("tax.rates.5", "USD"),
            ("tax.rates.7", "USD"),
            ("deposit_accounts.default", "87 orders: USD 92270.02"),
            ("GBP is blocked", "2 orders"),
            ("JPY is blocked", "3 orders: JPY 136.61"),
        ];
        for (path, sums) in wanted {
            let found = told.iter().any(|text| text.contains(path) && text.contains(sums));
            ensure!(found, "{path} with {sums} is not in {told:#?}");
        }
        Ok(())
    })
}

#[test]
fn a_second_installation_finds_what_the_first_one_posted() -> Result<()> {
    with_books("books-again", "us_single", |bed, books| {
        books.push(bed, "full")?;
        bed.db.batch_execute("drop extension easysync").context("without cascade")?;
        bed.db.batch_execute("create extension easysync")?;
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        let again = Books::connect(bed, "us_single")?;
        ensure!(again.realm == books.realm, "the same company");
        let run = again.push(bed, "full")?;
        ensure!(run.written() == 0, "{run:?}");
        let problems = again.differences(bed, &recorded(&["USD"]))?;
        ensure!(problems.is_empty(), "{problems:#?}");
        let suspicious = again.get(bed, "suspicious")?;
        let none = json!({
            "duplicate_numbers": {}, "duplicate_notes": {}, "writes_without_request_id": 0
        });
        ensure!(suspicious == none, "{suspicious}");
        Ok(())
    })
}
