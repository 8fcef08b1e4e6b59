//! A first load of 10,000 paid orders into the books, on a simulated clock.
//!
//! The worker's own clock is the machine's, and the limits would stretch this over ten minutes: so a
//! program beside this one (engine/examples/backfill) runs the engine's push pipeline with a store
//! in memory against the simulated QuickBooks, limits enforced, on one simulated clock.

use crate::figures::{Figures, Target};
use anyhow::{Context, Result, ensure};
use easysync_tests::environment::Environment;
use serde_json::Value;
use std::process::Command;

pub fn measure(environment: &Environment, figures: &mut Figures) -> Result<()> {
    let program = environment.program("examples/backfill").or_else(|_| {
        environment.program("backfill").context("cargo build -p engine --example backfill")
    })?;
    let output = Command::new(program).output().context("the backfill")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the backfill failed: {errors}");
    let measured: Value = serde_json::from_slice(&output.stdout).context("the backfill's JSON")?;
    let number =
        |name: &str| measured[name].as_f64().with_context(|| format!("no {name} in {measured}"));
    figures.add("backfill_orders", number("orders")?, "1", Target::None);
    figures.add("backfill_429s", number("throttled")?, "1", Target::AtMost(0.0));
    figures.add("backfill_rate_used", number("rate_used")?, "ratio", Target::AtLeast(0.95));
    let calls = number("calls_per_order")?;
    figures.add("backfill_calls_per_order", calls, "1", Target::AtMost(0.08));
    figures.add("backfill_reads", number("reads")?, "1", Target::None);
    let reads = number("reads_in_document_phase")?;
    figures.add("backfill_reads_among_documents", reads, "1", Target::AtMost(0.0));
    figures.add("backfill_document_minutes", number("document_minutes")?, "min", Target::None);
    Ok(())
}
