//! The same shop read by others, side by side: a plain PL/Python loader, and dlt's REST source.
//! `scripts/bench_peers.sh` installs them.

use crate::figures::{Figures, Target};
use anyhow::{Context, Result};
use easysync_tests::bed::{Bed, Setup};
use easysync_tests::cluster::Options;
use easysync_tests::environment::Environment;
use easysync_tests::process::run;
use std::process::Command;
use std::time::Instant;

const ORDERS: u64 = 20_000;

pub fn measure(environment: &Environment, figures: &mut Figures) -> Result<()> {
    let setup = Setup {
        cluster: Options { fsync: true, ..Options::default() }.set("shared_buffers", "512MB"),
        simulator: vec!["--prerendered".into(), ORDERS.to_string(), "--no-call-log".into()],
        ..Setup::default()
    };
    let mut bed = Bed::start(environment, "bench-peers", &setup)?;
    let outcome = compare(environment, &mut bed, figures);
    bed.stop(outcome.is_ok())?;
    outcome
}

fn compare(environment: &Environment, bed: &mut Bed, figures: &mut Figures) -> Result<()> {
    // All over https, since the peers can't sign.
    bed.connect_shop()?;
    let began = Instant::now();
    bed.sync_well("orders", "full")?;
    let ours = began.elapsed().as_secs_f64();
    let python = plpython(environment, bed)?;
    let dlt = dlt(environment, bed)?;
    let rate = |seconds: f64| ORDERS as f64 / seconds;
    figures.add("plpython_orders_per_second", rate(python), "1/s", Target::None);
    figures.add("ingest_vs_plpython", python / ours, "ratio", Target::AtLeast(1.0));
    figures.add("dlt_orders_per_second", rate(dlt), "1/s", Target::None);
    figures.add("ingest_vs_dlt", dlt / ours, "ratio", Target::AtLeast(5.0));
    Ok(())
}

fn plpython(environment: &Environment, bed: &mut Bed) -> Result<f64> {
    let sql = std::fs::read_to_string(environment.root.join("tests/peers/plpython.sql"))?;
    bed.cluster.client("postgres")?.batch_execute("create database peer")?;
    let mut db = bed.cluster.client("peer")?;
    db.batch_execute(&sql).context("the PL/Python peer: run scripts/bench_peers.sh")?;
    let key = bed.simulator.key("read_write")?;
    let address = bed.simulator.state.woocommerce.https.trim_start_matches("https://");
    let (host, port) = address.split_once(':').context("the shop's port")?;
    let ca_file = bed.cluster.dir().join("ca.pem").display().to_string();
    let began = Instant::now();
    let row = db.query_one(
        "select peer.load($1, $2, $3, $4, $5)",
        &[&host, &port.parse::<i32>()?, &ca_file, &key.consumer_key, &key.consumer_secret],
    )?;
    let seconds = began.elapsed().as_secs_f64();
    anyhow::ensure!(row.get::<_, i64>(0) == i64::try_from(ORDERS)?, "the peer lost orders");
    Ok(seconds)
}

fn dlt(environment: &Environment, bed: &Bed) -> Result<f64> {
    let key = bed.simulator.key("read_write")?;
    let printed = run(Command::new(environment.target.join("peers/bin/python"))
        .arg(environment.root.join("tests/peers/dlt_orders.py"))
        .arg(&bed.simulator.state.woocommerce.https)
        .arg(&key.consumer_key)
        .arg(&key.consumer_secret)
        .arg(bed.cluster.url("peer"))
        .env("REQUESTS_CA_BUNDLE", &bed.simulator.state.ca_file)
        .env("DLT_DATA_DIR", bed.cluster.dir().join("dlt"))
        .env("RUNTIME__DLTHUB_TELEMETRY", "false")
        .current_dir(bed.cluster.dir()))
    .context("the dlt peer: run scripts/bench_peers.sh")?;
    let last = printed.lines().last().context("dlt printed nothing")?;
    last.trim().parse().with_context(|| printed.clone())
}
