//! Servers stop and processes die in mid pull: the hub equals the shop in the end, and a stop is
//! never held up.

use anyhow::{Context, Result};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::cluster::Stop;
use easysync_tests::compare::differences;
use serde_json::json;
use std::process::Command;
use std::time::Duration;

/// A generated shop of several pages, slow enough to be met in mid pull.
fn slow_shop() -> Setup {
    Setup::generated(1_500)
}

/// Starts a pull and waits until some of the orders have landed, but not all.
fn begin_pull(bed: &mut Bed) -> Result<i64> {
    bed.connect_shop()?;
    bed.simulator.fault("latency", json!({"ms": 150}), json!({"path": "/orders"}))?;
    let id: i64 = bed.db.query_one("select easysync.trigger('orders')", &[])?.get(0);
    bed.wait_until(
        "select count(*) between 1 and 1400 from commerce.orders",
        Duration::from_secs(60),
    )?;
    Ok(id)
}

fn ends_equal(bed: &mut Bed, sync_id: i64) -> Result<()> {
    bed.simulator.clear_faults()?;
    let run = bed.wait(sync_id)?;
    assert_eq!(run.status, "succeeded", "{run:?}");
    let shop = bed.simulator.shop()?;
    assert_eq!(differences(&mut bed.db, "shop", &shop)?, Vec::<String>::new());
    let twice = bed.count(
        "(select from commerce.orders group by tenant_id, source_connection, source_id
          having count(*) > 1) as twice",
    )?;
    assert_eq!(twice, 0);
    Ok(())
}

fn worker_pid(bed: &mut Bed) -> Result<i32> {
    let row = bed.db.query_one(
        "select pid from pg_stat_activity
         where backend_type = 'easysync worker' and datname = current_database()",
        &[],
    );
    Ok(row.context("no worker in pg_stat_activity")?.get(0))
}

#[test]
fn a_pull_goes_on_after_its_worker_was_terminated() -> Result<()> {
    with_bed("worker-terminated", slow_shop(), |bed| {
        let id = begin_pull(bed)?;
        let pid = worker_pid(bed)?;
        bed.db.execute("select pg_terminate_backend($1)", &[&pid])?;
        ends_equal(bed, id)?;
        assert_ne!(worker_pid(bed)?, pid);
        Ok(())
    })
}

#[test]
fn a_pull_goes_on_after_its_worker_was_killed() -> Result<()> {
    with_bed("worker-killed", slow_shop(), |bed| {
        let id = begin_pull(bed)?;
        let pid = worker_pid(bed)?;
        // Postgres then restarts all its processes, as after any crash: that is its own rule.
        let killed = Command::new("kill").arg("-9").arg(pid.to_string()).status()?;
        assert!(killed.success());
        reconnect(bed)?;
        ends_equal(bed, id)
    })
}

#[test]
fn a_pull_goes_on_after_the_server_was_stopped_at_once_and_started() -> Result<()> {
    with_bed("server-stopped", slow_shop(), |bed| {
        let id = begin_pull(bed)?;
        bed.cluster.stop(Stop::Immediate)?;
        bed.cluster.start()?;
        bed.reconnect()?;
        ends_equal(bed, id)
    })
}

#[test]
fn a_fast_stop_during_a_pull_ends_the_worker_within_a_second() -> Result<()> {
    with_bed("fast-stop", slow_shop(), |bed| {
        let id = begin_pull(bed)?;
        // Requests in flight that won't be answered for a while.
        bed.simulator.fault("latency", json!({"ms": 20_000}), json!({"path": "/orders"}))?;
        std::thread::sleep(Duration::from_millis(300));
        let pid = worker_pid(bed)?;

        let cluster = bed.cluster.clone();
        let began = std::time::Instant::now();
        let stopping = std::thread::spawn(move || cluster.stop(Stop::Fast));
        while std::path::Path::new(&format!("/proc/{pid}")).exists() {
            assert!(began.elapsed() < Duration::from_secs(1), "the worker is still there");
            std::thread::sleep(Duration::from_millis(2));
        }
        let whole = stopping.join().expect("the stopping thread")?;
        assert!(whole < Duration::from_secs(5), "the server took {whole:?}");

        bed.simulator.clear_faults()?;
        bed.cluster.start()?;
        bed.reconnect()?;
        ends_equal(bed, id)
    })
}

/// A crash cuts off our own session, too: wait until the server is up again.
fn reconnect(bed: &mut Bed) -> Result<()> {
    let began = std::time::Instant::now();
    loop {
        match bed.reconnect() {
            Ok(()) => return Ok(()),
            Err(e) if began.elapsed() > Duration::from_secs(30) => return Err(e),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}
