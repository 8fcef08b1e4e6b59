//! A large shop is pulled in full, then again unchanged, beside the floor of plain `COPY`.

use crate::figures::{Figures, Target};
use crate::floor;
use crate::process_stat::MemoryWatch;
use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup};
use easysync_tests::cluster::Options;
use easysync_tests::environment::Environment;
use serde_json::json;
use std::time::{Duration, Instant};

/// One full pull.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pull {
    pub time: Duration,
    pub wal_bytes: i64,
    pub memory_kib: u64,
}

/// A server as an administrator would set it up for such a load, durable.
fn setup(orders: u64) -> Setup {
    let mut cluster = Options { fsync: true, ..Options::default() };
    cluster = cluster.set("shared_buffers", "512MB").set("max_wal_size", "8GB");
    // Calls over plain http are signed with the time: the shop's clock has to be ours.
    let now = jiff::Timestamp::now().to_string();
    let mut simulator = vec!["--prerendered".into(), orders.to_string(), "--no-call-log".into()];
    simulator.extend(["--start".into(), now]);
    Setup { cluster, simulator, database: "round_0".into(), ..Setup::default() }
}

pub fn measure(
    environment: &Environment,
    orders: u64,
    rounds: usize,
    figures: &mut Figures,
) -> Result<()> {
    let large = rounds_of(environment, "bench-large", orders, rounds)?;
    let small = rounds_of(environment, "bench-small", orders / 10, rounds)?;
    let seconds = |pulls: &[Pull]| pulls.iter().map(|p| p.time.as_secs_f64()).sum::<f64>();
    let count = orders as f64 * rounds as f64;

    let first = seconds(&large.first);
    let floor = large.floor.iter().map(Duration::as_secs_f64).sum::<f64>();
    figures.add("ingest_orders_per_second", count / first, "1/s", Target::None);
    figures.add("copy_orders_per_second", count / floor, "1/s", Target::None);
    figures.add("ingest_vs_copy", floor / first, "ratio", Target::AtLeast(0.60));

    let memory = large.first.iter().chain(&large.second).map(|p| p.memory_kib).max();
    let mib = memory.unwrap_or_default() as f64 / 1024.0;
    figures.add("worker_rss_mib", mib, "MiB", Target::Below(150.0));
    let growth = (first / count) / (seconds(&small.first) / (count / 10.0));
    figures.add("cost_growth", growth, "ratio", Target::AtMost(1.2));

    let wal = |pulls: &[Pull]| pulls.iter().map(|p| p.wal_bytes).sum::<i64>() as f64;
    let ratio = wal(&large.second) / wal(&large.first);
    figures.add("unchanged_wal_ratio", ratio, "ratio", Target::Below(0.01));
    let ratio = seconds(&large.second) / first;
    figures.add("unchanged_time_ratio", ratio, "ratio", Target::Below(0.4));
    Ok(())
}

#[derive(Default)]
struct Rounds {
    first: Vec<Pull>,
    second: Vec<Pull>,
    floor: Vec<Duration>,
}

fn rounds_of(environment: &Environment, name: &str, orders: u64, rounds: usize) -> Result<Rounds> {
    let mut bed = Bed::start(environment, name, &setup(orders))?;
    let outcome = play(&mut bed, orders, rounds);
    bed.stop(outcome.is_ok())?;
    outcome
}

fn play(bed: &mut Bed, orders: u64, rounds: usize) -> Result<Rounds> {
    let mut result = Rounds::default();
    for round in 0..rounds {
        if round > 0 {
            fresh_database(bed, &format!("round_{round}"))?;
        }
        let shop = &bed.simulator.state.woocommerce;
        let settings = json!({"url": shop.http, "allow_http": true});
        bed.connect_shop_with(&settings)?;
        result.first.push(pull(bed, orders)?);
        result.second.push(pull(bed, orders)?);
        result.floor.push(floor::measure(bed)?);
    }
    Ok(result)
}

fn fresh_database(bed: &mut Bed, name: &str) -> Result<()> {
    let before = std::mem::replace(&mut bed.database, name.to_owned());
    let mut admin = bed.cluster.client("postgres")?;
    admin.batch_execute(&format!("create database {name}"))?;
    bed.reconnect()?;
    bed.db.batch_execute("create extension easysync")?;
    admin.batch_execute(&format!("drop database {before} with (force)"))?;
    Ok(())
}

fn pull(bed: &mut Bed, orders: u64) -> Result<Pull> {
    bed.db.batch_execute("checkpoint")?;
    let pid = bed.worker_pid()?;
    let watch = MemoryWatch::start(pid);
    let wal_before = wal_position(bed)?;
    let began = Instant::now();
    bed.sync_well("orders", "full")?;
    let time = began.elapsed();
    let wal_bytes = wal_position(bed)? - wal_before;
    let stored = bed.count("commerce.orders")?;
    ensure!(u64::try_from(stored)? == orders, "{stored} of {orders} orders were stored");
    ensure!(bed.worker_pid()? == pid, "the worker was restarted meanwhile");
    Ok(Pull { time, wal_bytes, memory_kib: watch.finish() })
}

pub fn wal_position(bed: &mut Bed) -> Result<i64> {
    let text = bed.text("pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")?;
    text.context("WAL position")?.parse().context("WAL position")
}
