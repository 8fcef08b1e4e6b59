//! A tenant's sandbox: while it is on no live account is called and no live row changes, whatever is
//! asked for; afterwards live goes on where it was, with what came meanwhile.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, credential_file, with_bed};
use easysync_tests::books::Books;
use easysync_tests::hooks::{SECRET, connect_with_secret, deliver, signature, signed};
use easysync_tests::refusal::refused;
use easysync_tests::simulator::Simulator;
use easysync_tests::surface::{Naming, calls, everything};
use postgres::Client;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(60);
/// What the staging shop's deliveries are signed with.
const STAGING_SECRET: &str = "staging-secret";

/// Concern the whole database, by contract; are what the test itself is about; or would move the
/// sandbox' hub elsewhere.
const OTHERWISE: [&str; 5] =
    ["fence", "unfence", "rotate_encryption_key", "set_sandbox", "create_hub"];

/// Switches, as soon as nothing runs.
fn switch(bed: &mut Bed, on: bool) -> Result<()> {
    let began = Instant::now();
    loop {
        match bed.db.execute("select easysync.set_sandbox($1)", &[&on]) {
            Ok(_) => return Ok(()),
            Err(e) if e.code().is_some_and(|c| c.code() == "YS409") && began.elapsed() < SOON => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Every live row, the log's too.
fn live_rows(client: &mut Client) -> Result<BTreeMap<String, String>> {
    let mut rows = everything(client, "default")?;
    let log = "select count(*)::text from easysync_internal.sync_log where tenant_id = 'default'";
    rows.insert("sync_log".into(), client.query_one(log, &[])?.get(0));
    // They know no tenants: the sandbox' grants and hub are in them, too.
    rows.remove("easysync_internal.oauth_states");
    let hub = "select h::text from easysync_ledger.hubs as h where schema_name = 'commerce'";
    rows.insert("easysync_ledger.hubs".into(), client.query_one(hub, &[])?.get(0));
    Ok(rows)
}

/// The live simulators, and what they must not notice.
struct Live {
    books: Books,
    rows: BTreeMap<String, String>,
    calls: Value,
}

impl Live {
    fn look(bed: &mut Bed, books: Books) -> Result<Live> {
        bed.simulator.reset_calls()?;
        let calls = books.get(bed, "calls")?;
        Ok(Live { books, rows: live_rows(&mut bed.db)?, calls })
    }

    /// `live`: the live simulators, wherever the bed's own are.
    fn assert_untouched(&self, bed: &mut Bed, live: &Simulator, after: &str) -> Result<()> {
        ensure!(live.calls()? == 0, "{after}: the live shop was called");
        let path = format!("/quickbooks/companies/{}/calls", self.books.realm);
        let calls = live.get(&path)?;
        ensure!(calls == self.calls, "{after}: the live books were called: {calls}");
        for (table, now) in live_rows(&mut bed.db)? {
            ensure!(self.rows.get(&table) == Some(&now), "{after}: live rows of {table} changed");
        }
        Ok(())
    }
}

/// A shop and books at work: a schedule that fires each second, a sync that awaits its confirmation,
/// a failed record, a delivery that was acted on, and one more sync that is queued when the sandbox
/// is switched on, in the same transaction. Returns the two syncs.
fn live_and_switched(bed: &mut Bed) -> Result<(Live, i64, i64)> {
    connect_with_secret(bed)?;
    bed.sync_well("orders", "full")?;
    let books = Books::connect(bed, "us_single")?;
    let few = "select easysync.trigger('orders', connection => 'books',
               ids => (select array_agg(source_id) from (select source_id from commerce.orders
                       where status = 'completed' order by id limit 5) as o))";
    let few: i64 = bed.db.query_one(few, &[])?.get(0);
    let run = books.wait(bed, few)?;
    ensure!(run.created > 0, "{run:?}");
    let waits: i64 = bed
        .db
        .query_one("select easysync.trigger('orders', 'full', connection => 'books')", &[])?
        .get(0);
    bed.wait_until(
        &format!("select status = 'awaiting_confirmation' from easysync.sync_status({waits})"),
        SOON,
    )?;
    bed.db.batch_execute(
        "select easysync.schedule('products', '* * * * * *', connection => 'shop', name => 'live');
         insert into easysync_internal.sync_failures (tenant_id, connection, entity, direction,
             record_id, error_category, retryable)
         values ('default', 'shop', 'orders', 'pull', '9', 'network', true)",
    )?;
    bed.wait_until(
        "select exists (select from easysync.sync_runs where triggered_by = 'schedule')",
        SOON,
    )?;
    let began = Instant::now();
    let queued: i64 = loop {
        let mut both = bed.db.transaction()?;
        let queued = both
            .query_one("select easysync.trigger('customers', connection => 'shop')", &[])?
            .get(0);
        match both.execute("select easysync.set_sandbox(true)", &[]) {
            Ok(_) => both.commit()?,
            Err(e) if e.code().is_some_and(|c| c.code() == "YS409") && began.elapsed() < SOON => {
                drop(both);
                std::thread::sleep(Duration::from_millis(20));
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        break queued;
    };
    // Whoever calls the live books now would have to renew their token first.
    books.act(bed, "expire_access", &json!({}))?;
    Ok((Live::look(bed, books)?, queued, waits))
}

/// A second set of simulators, which the server trusts, too.
fn staging(bed: &mut Bed) -> Result<Simulator> {
    let dir = bed.cluster.dir().join("staging");
    std::fs::create_dir_all(&dir)?;
    let simulator = Simulator::start(bed.cluster.environment(), &dir, &["--generate", "30"])?;
    let ca = bed.cluster.dir().join("ca.pem");
    let both = std::fs::read_to_string(&ca)? + &std::fs::read_to_string(&simulator.state.ca_file)?;
    std::fs::write(&ca, both)?;
    bed.cluster.restart()?;
    bed.reconnect()?;
    Ok(simulator)
}

/// Every function there is, with what is live in its arguments.
fn call_everything(bed: &mut Bed, number: i64) -> Result<()> {
    for text in ["shop", "books", "live"] {
        let naming = Naming { text: text.into(), number, tenant: "default".into() };
        for (function, call) in calls(&mut bed.db, &naming)? {
            // A member would close the tenant; that is not a matter of the sandbox.
            let skip = OTHERWISE.contains(&function.as_str()) || function.contains("_member");
            if !skip {
                // Most are refused: there is nothing of that name.
                let _ = bed.db.query(&call, &[]);
            }
        }
    }
    for entity in ["customers", "products", "orders", "refunds", "invoices", "payments"] {
        for call in [
            "select easysync.trigger($1::text)",
            "select easysync.trigger($1::text, 'full', connection => 'shop')",
            "select * from easysync.dry_run($1::text, connection => 'books')",
            "select * from easysync.retry($1::text)",
        ] {
            let _ = bed.db.query(call, &[&entity]);
        }
    }
    let _ = bed.db.batch_execute("call easysync.run('orders', timeout => '10 s')");
    Ok(())
}

/// The sandbox at work, under the same names as live: pulls, pushes, schedules, deliveries, retries.
fn work_in_the_sandbox(bed: &mut Bed) -> Result<Books> {
    let mut pair = serde_json::to_value(bed.simulator.key("read_write")?)?;
    pair["webhook_secret"] = json!(STAGING_SECRET);
    credential_file(&bed.cluster, "shop.json", &pair)?;
    bed.connect_shop()?;
    let run = bed.sync_well("orders", "full")?;
    ensure!(run.created > 0, "{run:?}");
    let books = Books::found(bed, "books", "us_single", &json!({}))?;
    bed.db.query("select * from easysync.dry_run('orders', connection => 'books')", &[])?;
    let run = books.push(bed, "incremental")?;
    ensure!(run.created > 0, "{run:?}");
    for call in [
        "select * from easysync.test_connection('shop')",
        "select * from easysync.test_connection('books')",
        "select easysync.disable('shop')",
        "select easysync.enable('shop')",
        "select easysync.alter_connection('shop', '{\"webhooks\": true}')",
        "select easysync.set_stream('shop', 'orders', filters => '{}')",
        "select * from easysync.register_webhooks('shop', 'https://staging-hooks.example/shop')",
        "select * from easysync.retry()",
        "select easysync.schedule('products', '* * * * * *', connection => 'shop', name => 'live')",
    ] {
        bed.db.query(call, &[]).with_context(|| call.to_owned())?;
    }
    let body = "{\"id\":1}";
    let headers = json!({"x-wc-webhook-topic": "order.updated",
                         "x-wc-webhook-signature": signature(&mut bed.db, STAGING_SECRET, body)?});
    deliver(&mut bed.db, &headers, body)?;
    for done in [
        "select exists (select from easysync.sync_runs where triggered_by = 'schedule' and status = 'succeeded')",
        "select exists (select from easysync.webhook_events where status in ('processed', 'ignored'))",
    ] {
        bed.wait_until(done, SOON)?;
    }
    ensure!(bed.count("commerce_sandbox.orders where tenant_id = 'default:sandbox'")? > 0);
    for view in ["connections", "sync_runs", "sync_logs"] {
        ensure!(bed.count(&format!("easysync.{view} where sandbox"))? > 0, "{view}");
        assert_eq!(bed.count(&format!("easysync.{view} where not sandbox"))?, 0, "{view}");
    }
    Ok(books)
}

/// Live accounts are refused before anybody is asked.
fn refuse_live_accounts(bed: &mut Bed, live: &Live) -> Result<()> {
    let url = bed.simulator.state.woocommerce.https.clone();
    let connect = "select easysync.connect('other', 'woocommerce', $1, '{\"file\":\"shop.json\"}')";
    for url in [url.clone(), format!("{url}/"), url.replace("https", "HTTPS")] {
        refused(&mut bed.db, connect, &[&json!({"url": url})])?
            .assert("YS409", &["is live, as \"shop\"", "staging"]);
    }
    // The company's own grant, given to the sandbox.
    let Err(error) = Books::connect_as(bed, "other", "us_single") else {
        anyhow::bail!("the live company was connected in the sandbox");
    };
    ensure!(format!("{error:?}").contains("is live, as \"books\""), "{error:?}");
    bed.db.execute("select easysync.disconnect('other')", &[])?;
    let production = json!({"environment": "production"});
    credential_file(&bed.cluster, "keys.json", &json!({"client_id": "a", "client_secret": "b"}))?;
    let connect = "select easysync.connect('other', 'quickbooks', $1, '{\"file\":\"keys.json\"}')";
    refused(&mut bed.db, connect, &[&production])?.assert("YS422", &["live company", "sandbox"]);
    let simulator = bed.simulator.clone();
    live.assert_untouched(bed, &simulator, "live accounts")
}

/// What comes from outside meanwhile: a delivery of the live shop, an application's write.
fn events_from_outside(bed: &mut Bed, live: &Simulator) -> Result<()> {
    let body = "{\"id\":175}";
    let headers = signed(&mut bed.db, "order.updated", body)?;
    deliver(&mut bed.db, &headers, body)?;
    ensure!(SECRET != STAGING_SECRET);
    bed.db.execute(
        "update commerce.orders set customer_note = 'kept' where source_id = '175'",
        &[],
    )?;
    std::thread::sleep(Duration::from_secs(2));
    ensure!(live.calls()? == 0, "a kept delivery was acted on");
    let kept =
        "easysync_internal.webhook_events where tenant_id = 'default' and status = 'received'";
    assert_eq!(bed.count(kept)?, 1);
    let noted =
        "easysync_internal.hub_changes where tenant_id = 'default' and hub_schema = 'commerce'";
    ensure!(bed.count(noted)? > 0);
    Ok(())
}

/// Live goes on, once; the sandbox rests.
fn live_goes_on(
    bed: &mut Bed,
    live: &Live,
    sandbox: &Simulator,
    queued: i64,
    waits: i64,
) -> Result<()> {
    let fetched = "easysync.sync_runs where triggered_by = 'webhook'";
    switch(bed, false)?;
    sandbox.reset_calls()?;
    let run = bed.wait(queued)?;
    assert_eq!(run.status, "succeeded", "{run:?}");
    bed.wait_until(
        "(select count(*) = 1 from easysync.webhook_events where status = 'processed')",
        SOON,
    )?;
    assert_eq!(bed.count(fetched)?, 1, "fetches of one delivery");
    bed.wait_until(
        &format!(
            "select exists (select from easysync.sync_runs where schedule_of(request) = 'live' and sync_id > {queued})"
        )
        .replace("schedule_of(request)", "request ->> 'schedule'"),
        SOON,
    )?;
    bed.db.execute("select easysync.unschedule('live')", &[])?;
    // The plan that waited has moved: it is made again, shown, and confirmed as any other.
    let run = live.books.wait(bed, waits)?;
    ensure!(run.status != "cancelled" && run.created > 0, "{run:?}");
    let run = live.books.push(bed, "incremental")?;
    ensure!(run.status == "succeeded" || run.status == "partial", "{run:?}");
    let twice = "(select r.value ->> 'DocNumber' from jsonb_array_elements($1) as r group by 1 having count(*) > 1)";
    let receipts = Value::Array(live.books.records(bed, "SalesReceipt")?);
    let twice = bed.db.query(&format!("select * from {twice} as t"), &[&receipts])?;
    ensure!(twice.is_empty(), "{} documents twice", twice.len());
    assert_eq!(bed.count("easysync_internal.hub_changes where tenant_id = 'default'")?, 0);
    assert_eq!(sandbox.calls()?, 0, "a sandbox that is off called its shop");
    Ok(())
}

#[test]
fn in_its_sandbox_a_tenant_touches_nothing_live_and_loses_nothing() -> Result<()> {
    with_bed("sandbox", Setup::default(), |bed| {
        let (live, queued, waits) = live_and_switched(bed)?;
        let live_simulator = bed.simulator.clone();
        call_everything(bed, queued)?;
        call_everything(bed, waits)?;
        live.assert_untouched(bed, &live_simulator, "every function")?;
        refuse_live_accounts(bed, &live)?;

        bed.simulator = staging(bed)?;
        let outcome = (|| {
            work_in_the_sandbox(bed)?;
            call_everything(bed, queued)?;
            // A worker that starts anew finds the same.
            bed.db.batch_execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'easysync worker'",
            )?;
            std::thread::sleep(Duration::from_secs(1));
            bed.worker_pid()?;
            std::thread::sleep(Duration::from_secs(2));
            live.assert_untouched(bed, &live_simulator, "a sandbox at work")?;
            events_from_outside(bed, &live_simulator)?;
            Ok(())
        })();
        let sandbox = std::mem::replace(&mut bed.simulator, live_simulator);
        let outcome = outcome.and_then(|()| live_goes_on(bed, &live, &sandbox, queued, waits));
        sandbox.stop()?;
        outcome
    })
}

#[test]
fn other_tenants_go_on_while_one_is_in_its_sandbox() -> Result<()> {
    with_bed("sandbox-neighbours", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.db.execute("select easysync.add_tenant_member('postgres', 'north')", &[])?;
        switch(bed, true)?;
        bed.db.batch_execute("set easysync.tenant_id = 'north'")?;
        assert_eq!(bed.text("easysync.in_sandbox()")?.as_deref(), Some("false"));
        // The same shop is live for them, whatever others do.
        bed.connect_shop()?;
        let run = bed.sync_well("orders", "full")?;
        ensure!(run.created > 0, "{run:?}");
        bed.db.batch_execute("set easysync.tenant_id = 'default'")?;
        assert_eq!(bed.count("easysync.connections")?, 0);
        assert_eq!(bed.count("commerce.orders where tenant_id = 'default'")?, 0);
        bed.db.batch_execute("reset easysync.tenant_id")?;
        Ok(())
    })
}
