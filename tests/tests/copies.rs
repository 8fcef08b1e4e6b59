//! Dumps restore, and a copy of a database stays silent until somebody says what it is.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::books::Books;
use easysync_tests::cluster::{Cluster, Options, Stop};
use easysync_tests::compare::differences;
use easysync_tests::process::run;
use easysync_tests::refusal::refused;
use easysync_tests::run::Run;
use postgres::Client;
use serde_json::json;
use std::time::Duration;

/// All rows of our tables and the hub's, as one digest a table; log rows aren't part of a dump.
fn digests(client: &mut Client) -> Result<Vec<(String, String)>> {
    let tables = client.query(
        "select format('%I.%I', n.nspname, c.relname)
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname in ('commerce', 'easysync_ledger', 'easysync_internal')
           and c.relkind = 'r' and c.relname <> 'sync_log'
         order by 1",
        &[],
    )?;
    ensure!(tables.len() > 15, "only {} tables", tables.len());
    let mut digests = Vec::new();
    for row in tables {
        let table: String = row.get(0);
        let sql = format!(
            "select count(*) || ' rows ' || coalesce(md5(string_agg(t::text, '|' order by t::text)), '')
             from {table} t"
        );
        digests.push((table, client.query_one(&sql, &[])?.get(0)));
    }
    Ok(digests)
}

/// A synced shop with changed settings and a thousand rows in the log.
fn lived_in(bed: &mut Bed) -> Result<()> {
    bed.connect_shop()?;
    bed.sync_well("orders", "incremental")?;
    bed.db.batch_execute(
        "select easysync.set_setting('confirm_threshold', '25');
         select easysync.set_setting('timezone', 'Europe/Berlin');
         select easysync.set_stream('shop', 'products', direction => 'off');
         insert into easysync_internal.sync_log (tenant_id, logged_at, level, operation, result, message)
         select 'default', now(), 'info', 'fetch', 'ok', 'row ' || n from generate_series(1, 1000) n",
    )?;
    Ok(())
}

/// No call goes out, whatever is asked of it.
fn assert_silent(bed: &Bed, copy: &mut Client) -> Result<()> {
    bed.simulator.reset_calls()?;
    copy.batch_execute("select easysync.trigger('orders')")?;
    let refused = copy.query("select * from easysync.test_connection('shop')", &[]);
    std::thread::sleep(Duration::from_secs(2));
    ensure!(bed.simulator.calls()? == 0, "a copy called the shop ({refused:?})");
    let fenced: bool =
        copy.query_one("select (easysync.health()->'fenced')::text <> 'false'", &[])?.get(0);
    ensure!(fenced, "health() doesn't say that it is fenced");
    Ok(())
}

#[test]
fn a_dump_restores_in_every_way_and_stays_fenced() -> Result<()> {
    with_bed("dump", Setup::default(), |bed| {
        lived_in(bed)?;
        let original = digests(&mut bed.db)?;
        let file = bed.cluster.dir().join("shop.dump");
        run(bed.cluster.program("pg_dump").args(["-Fc", "-d", &bed.database, "-f"]).arg(&file))?;

        let mut other = Cluster::create(bed.cluster.environment(), "test-dump-target")?;
        other.configure(
            &Options::default()
                .set("easysync.allowed_private_hosts", "127.0.0.1")
                .set("easysync.ca_file", &bed.cluster.dir().join("ca.pem").display().to_string()),
        )?;
        other.start()?;
        let outcome = ["--exit-on-error", "-1", "-j4"].iter().enumerate().try_for_each(
            |(index, how)| -> Result<()> {
                let database = format!("restored_{index}");
                other.client("postgres")?.batch_execute(&format!("create database {database}"))?;
                run(other
                    .program("pg_restore")
                    .args(["--exit-on-error", how, "-d", &database])
                    .arg(&file))
                .with_context(|| format!("pg_restore {how}"))?;
                let mut client = other.client(&database)?;
                ensure!(digests(&mut client)? == original, "{how}: not the same rows");
                assert_silent(bed, &mut client).with_context(|| how.to_string())
            },
        );
        other.remove()?;
        outcome
    })
}

#[test]
fn a_clone_of_the_server_makes_no_call() -> Result<()> {
    with_bed("clone", Setup::default(), |bed| {
        lived_in(bed)?;
        let mut clone = bed.cluster.base_backup("test-clone-copy", false)?;
        clone.start()?;
        let outcome = clone.client(&bed.database).and_then(|mut c| assert_silent(bed, &mut c));
        clone.remove()?;
        outcome?;
        // The original isn't disturbed.
        bed.sync_well("orders", "incremental").map(drop)
    })
}

#[test]
fn a_clone_neither_reads_the_books_nor_renews_their_tokens() -> Result<()> {
    with_bed("clone-books", Setup::default(), |bed| {
        lived_in(bed)?;
        let books = Books::connect(bed, "us_single")?;
        let mut clone = bed.cluster.base_backup("test-clone-books-copy", false)?;
        clone.add_settings(&[("easysync.instance", "staging")])?;
        // Whoever calls now has to renew its token first.
        books.act(bed, "expire_access", &json!({}))?;
        let before = books.get(bed, "calls")?;
        clone.start()?;
        let outcome = clone.client(&bed.database).and_then(|mut copy| {
            assert_silent(bed, &mut copy)?;
            for sql in [
                "select * from easysync.test_connection('books')",
                "select * from easysync.dry_run('orders', connection => 'books')",
                "select easysync.trigger('orders', connection => 'books')",
            ] {
                let _ = copy.query(sql, &[]);
            }
            std::thread::sleep(Duration::from_secs(1));
            ensure!(books.get(bed, "calls")? == before, "{}", books.get(bed, "calls")?);
            Ok(())
        });
        clone.remove()?;
        outcome?;
        // The original's grant is still the newest.
        let run = books.push(bed, "incremental")?;
        ensure!(run.created > 0 && books.writes(bed)? > 0, "{run:?}");
        Ok(())
    })
}

#[test]
fn a_copy_goes_on_in_its_sandbox_and_knows_no_live_account() -> Result<()> {
    with_bed("clone-sandbox", Setup::default(), |bed| {
        lived_in(bed)?;
        let mut clone = bed.cluster.base_backup("test-clone-sandbox-copy", false)?;
        clone.start()?;
        let outcome = clone.client(&bed.database).and_then(|mut copy| {
            bed.simulator.reset_calls()?;
            copy.batch_execute("select easysync.unfence('copy')")?;
            let live = digests_of(&mut copy, "commerce.orders")?;
            let shop = bed.simulator.state.woocommerce.clone();
            let file = json!({"file": "shop.json"});
            let connect =
                "select easysync.connect('shop', 'woocommerce', settings => $1, credentials => $2)";
            let refusal = refused(&mut copy, connect, &[&json!({"url": shop.https}), &file])?;
            refusal.assert("YS409", &["is live, as \"shop\""]);
            std::thread::sleep(Duration::from_secs(1));
            ensure!(bed.simulator.calls()? == 0, "the copy called the live shop");
            // Another address is another shop to it. Signatures over http hold for our time only.
            let now = "select to_char(now() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
            let now: String = copy.query_one(now, &[])?.get(0);
            bed.simulator.put("/clock", &json!({"now": now}))?;
            copy.execute(connect, &[&json!({"url": shop.http, "allow_http": true}), &file])?;
            let sync: i64 = copy.query_one("select easysync.trigger('orders')", &[])?.get(0);
            let began = std::time::Instant::now();
            loop {
                let run = Run::read(&mut copy, sync)?;
                ensure!(began.elapsed() < Duration::from_secs(60), "{run:?}");
                if run.has_ended() {
                    ensure!(run.status == "succeeded" && run.created > 0, "{run:?}");
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            ensure!(digests_of(&mut copy, "commerce.orders")? == live, "live rows changed");
            let own: i64 =
                copy.query_one("select count(*) from commerce_sandbox.orders", &[])?.get(0);
            ensure!(own == 289, "{own} orders in the sandbox");
            Ok(())
        });
        clone.remove()?;
        outcome
    })
}

fn digests_of(client: &mut Client, table: &str) -> Result<String> {
    let sql = format!("select md5(string_agg(t::text, '|' order by t::text)) from {table} t");
    Ok(client.query_one(&sql, &[])?.get(0))
}

#[test]
fn a_promoted_standby_carries_on_where_the_primary_was() -> Result<()> {
    let setup = Setup {
        cluster: Options::default().set("easysync.instance", "the shop's database"),
        ..Setup::default()
    };
    with_bed("standby", setup, |bed| {
        lived_in(bed)?;
        let mut standby = bed.cluster.base_backup("test-standby-copy", true)?;
        standby.start()?;
        let outcome = fail_over(bed, &standby);
        standby.remove()?;
        outcome
    })
}

fn fail_over(bed: &mut Bed, standby: &Cluster) -> Result<()> {
    let waiting: i64 = standby
        .client(&bed.database)?
        .query_one(
            "select count(*) from pg_stat_activity where backend_type like 'easysync%'",
            &[],
        )?
        .get(0);
    ensure!(waiting == 0, "a standby has {waiting} processes of ours");

    bed.cluster.stop(Stop::Fast)?;
    standby.promote()?;
    let shop = bed.simulator.shop()?;
    let id = shop.live_orders()[3]["id"].to_string();
    bed.simulator.update_order(&id, &json!({"customer_note": "after the failover"}))?;

    bed.db = standby.client(&bed.database)?;
    bed.sync_well("orders", "incremental")?;
    let shop = bed.simulator.shop()?;
    let found: Vec<String> = differences(&mut bed.db, "shop", &shop)?
        .into_iter()
        .filter(|line| !line.starts_with("product"))
        .collect();
    ensure!(found.is_empty(), "{found:?}");
    Ok(())
}

#[test]
fn a_database_can_be_dropped_while_its_sync_runs() -> Result<()> {
    with_bed("drop-database", Setup::generated(1_000), |bed| {
        bed.connect_shop()?;
        bed.simulator.fault("latency", json!({"ms": 5_000}), json!({"path": "/orders"}))?;
        bed.db.batch_execute("select easysync.trigger('orders')")?;
        bed.wait_until(
            "select exists (select from easysync.sync_runs where status = 'running')",
            Duration::from_secs(20),
        )?;
        let mut admin = bed.cluster.client("postgres")?;
        bed.db = bed.cluster.client("postgres")?;
        let began = std::time::Instant::now();
        admin.batch_execute("drop database shop")?;
        let took = began.elapsed();
        ensure!(took < Duration::from_secs(2), "drop database took {took:?}");
        Ok(())
    })
}

#[test]
fn installing_again_finds_hub_and_links_of_the_same_shop() -> Result<()> {
    with_bed("install-again", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "incremental")?;
        let before = bed.text(
            "select md5(string_agg(id || source_id, ',' order by id)) from commerce.orders",
        )?;

        bed.db.batch_execute("drop extension easysync")?;
        assert_eq!(bed.count("commerce.orders")?, 289);
        bed.db.batch_execute("create extension easysync")?;
        bed.connect_shop()?;
        let run = bed.sync_well("orders", "full")?;

        assert_eq!(run.created, 0, "{run:?}");
        assert_eq!(bed.count("commerce.orders")?, 289);
        let after = bed.text(
            "select md5(string_agg(id || source_id, ',' order by id)) from commerce.orders",
        )?;
        assert_eq!(before, after);
        Ok(())
    })
}
