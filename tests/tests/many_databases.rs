//! Many databases on one server with default settings: more of them than worker processes. They take
//! turns, none is forgotten, and the log stays readable.

use anyhow::{Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::run::Run;
use postgres::Client;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// With the extension, each with a shop.
const DATABASES: usize = 30;
/// Without it. Together they are more than the slots that once were.
const OTHERS: usize = 40;
/// From the trigger of the last to the end of all syncs, on a slow machine in a debug build.
const ALL_SYNCED: Duration = Duration::from_secs(120);

fn names() -> impl Iterator<Item = String> {
    (0..DATABASES).map(|number| format!("shop_{number}"))
}

/// Connects the shop and queues a sync; its id.
fn begin(bed: &Bed, database: &str) -> Result<i64> {
    let mut client = bed.cluster.client(database)?;
    client.batch_execute("create extension easysync")?;
    client.execute(
        "select easysync.connect('shop', 'woocommerce', settings => $1, credentials => $2)",
        &[&json!({"url": bed.simulator.state.woocommerce.https}), &json!({"file": "shop.json"})],
    )?;
    Ok(client.query_one("select easysync.trigger('orders')", &[])?.get(0))
}

fn wait_for(client: &mut Client, sync_id: i64, limit: Duration) -> Result<Run> {
    let began = Instant::now();
    loop {
        let run = Run::read(client, sync_id)?;
        if run.has_ended() {
            return Ok(run);
        }
        ensure!(began.elapsed() < limit, "sync {sync_id} doesn't end: {run:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Lines of the log that say the same, without time, process and session, with their number.
fn repeated(log: &str) -> Vec<(String, usize)> {
    let mut lines: HashMap<String, usize> = HashMap::new();
    for line in log.lines().filter(|line| line.contains("easysync")) {
        let said = line.split_once(":  ").map_or(line, |(_, said)| said);
        *lines.entry(said.to_owned()).or_default() += 1;
    }
    lines.into_iter().filter(|(_, count)| *count > 1).collect()
}

fn health(client: &mut Client) -> Result<Value> {
    Ok(client.query_one("select easysync.health()", &[])?.get(0))
}

#[test]
fn thirty_databases_sync_on_default_settings() -> Result<()> {
    with_bed("many-databases", Setup::generated(20), |bed| {
        let mut admin = bed.cluster.client("postgres")?;
        for name in (0..OTHERS).map(|number| format!("other_{number}")).chain(names()) {
            admin.batch_execute(&format!("create database {name}"))?;
        }
        let mut syncs = vec![];
        for name in names() {
            syncs.push((name.clone(), begin(bed, &name)?));
        }
        let began = Instant::now();
        for (name, sync_id) in &syncs {
            let mut client = bed.cluster.client(name)?;
            let run = wait_for(&mut client, *sync_id, ALL_SYNCED.saturating_sub(began.elapsed()))?;
            ensure!(run.status == "succeeded" && run.created > 0, "{name}: {run:?}");
        }
        println!("{DATABASES} databases: all synced {:?} after the last trigger", began.elapsed());

        // Once more in one that rests by now, and by a schedule.
        let mut first = bed.cluster.client("shop_0")?;
        let asked = Instant::now();
        let again: i64 = first.query_one("select easysync.trigger('orders', 'full')", &[])?.get(0);
        let run = wait_for(&mut first, again, Duration::from_secs(20))?;
        ensure!(run.status == "succeeded", "{run:?}");
        println!("one that rested: synced {:?} after its trigger", asked.elapsed());
        first.batch_execute(
            "select easysync.schedule('orders', '*/10 * * * * *', name => 'often')",
        )?;
        let slot = Instant::now();
        while first
            .query("select from easysync.sync_runs where triggered_by = 'schedule'", &[])?
            .len()
            < 2
        {
            ensure!(slot.elapsed() < Duration::from_secs(90), "a schedule doesn't fire");
            std::thread::sleep(Duration::from_millis(200));
        }

        let document = health(&mut first)?;
        let server = &document["worker"]["server"];
        // The key file lies where the bed has it; of processes there is nothing to say.
        ensure!(document["worker"]["running"] == true, "{document}");
        ensure!(!document["reasons"].to_string().contains("process"), "{document}");
        ensure!(server["takes_turns"] == true && server["max_worker_processes"] == 8, "{server}");
        // The bed's own database has the extension, too; the others hold no slot.
        ensure!(server["databases"] == DATABASES + 1, "{server}");
        let log = bed.cluster.log();
        ensure!(
            log.contains("the worker processes are used up (max_worker_processes = 8"),
            "untold"
        );
        let repeated = repeated(&log);
        ensure!(repeated.is_empty(), "{repeated:?}");
        Ok(())
    })
}

/// Until the worker of a database is idle again, after a statement's end.
fn back_after(admin: &mut Client, statement: &str, database: &str) -> Result<Duration> {
    admin.batch_execute(statement)?;
    let ended = Instant::now();
    let there = "select exists (select from pg_stat_activity
        where backend_type = 'easysync worker' and datname = $1 and query = 'easysync: idle')";
    while !admin.query_one(there, &[&database])?.get::<_, bool>(0) {
        ensure!(ended.elapsed() < Duration::from_secs(20), "no worker after {statement}");
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(ended.elapsed())
}

#[test]
fn a_worker_is_back_within_a_second_of_a_copy_or_a_new_name() -> Result<()> {
    with_bed("back", Setup::default(), |bed| {
        bed.worker_pid()?;
        bed.db = bed.cluster.client("postgres")?;
        let mut admin = bed.cluster.client("postgres")?;
        for (statement, database) in [
            ("create database copy template shop", "shop"),
            // The copy has the extension, too.
            ("create database copy_2 template shop", "copy_2"),
            ("alter database shop rename to store", "store"),
            ("alter database store rename to shop", "shop"),
        ] {
            let took = back_after(&mut admin, statement, database)?;
            println!("{statement}: back after {took:?}");
            ensure!(took < Duration::from_secs(1), "{statement}: {took:?}");
        }
        // A statement that fails lets it come back, too.
        let refused = admin.batch_execute("create database copy template shop");
        ensure!(refused.is_err(), "the name is taken");
        let took = back_after(&mut admin, "select 1", "shop")?;
        ensure!(took < Duration::from_secs(1), "after a failure: {took:?}");
        Ok(())
    })
}
