//! A shop that takes 200 ms for a page: how close do four requests at once come to the ideal?

use crate::figures::{Figures, Target};
use anyhow::{Context, Result};
use easysync_tests::bed::{Bed, Setup};
use easysync_tests::environment::Environment;
use serde_json::json;

const ORDERS: u64 = 10_000;
const PAGE: u64 = 100;
const LATENCY_MS: u64 = 200;
const REQUESTS_AT_ONCE: f64 = 4.0;

pub fn measure(environment: &Environment, figures: &mut Figures) -> Result<()> {
    let setup =
        Setup { simulator: vec!["--prerendered".into(), ORDERS.to_string()], ..Setup::default() };
    let mut bed = Bed::start(environment, "bench-slow", &setup)?;
    let outcome = orders_step_seconds(&mut bed);
    bed.stop(outcome.is_ok())?;
    let pages = (ORDERS / PAGE) as f64;
    let ideal = pages * LATENCY_MS as f64 / 1000.0 / REQUESTS_AT_ONCE;
    figures.add("slow_shop_efficiency", outcome? / ideal, "ratio", Target::AtMost(1.2));
    Ok(())
}

/// The orders alone: what comes before and after them has fewer pages than requests at once.
fn orders_step_seconds(bed: &mut Bed) -> Result<f64> {
    bed.connect_shop()?;
    bed.simulator.fault("latency", json!({"ms": LATENCY_MS}), json!({"path": "/orders"}))?;
    let run = bed.sync_well("orders", "full")?;
    let seconds = bed.text(&format!(
        "select extract(epoch from finished_at - started_at) from easysync.sync_run_steps
         where sync_id = {} and entity = 'orders' and direction = 'pull'",
        run.sync_id
    ))?;
    seconds.context("no step for the orders")?.parse().context("seconds")
}
