//! `make bench`: throughput against the floor of plain `COPY`, what an unchanged shop costs, how
//! close to a slow shop's own pace, how soon a commit or a delivery is heard, how fast a first
//! load fills the books, what our triggers add to an application's write, how long lists, `health()` and
//! housekeeping take after years of history, and what idling costs.
//!
//! Every throughput is a ratio of runs made side by side, so that a busy machine slows down both.

mod backfill;
mod figures;
mod floor;
mod hub_writes;
mod idle;
mod ingest;
mod lists;
mod peers;
mod process_stat;
mod proxy;
mod reaction;
mod slow_shop;
mod webhooks;

use anyhow::Result;
use clap::Parser;
use easysync_tests::environment::Environment;
use figures::Figures;
use std::process::ExitCode;

/// Measures throughput and idle cost; prints `name value unit target`.
#[derive(Parser)]
struct Arguments {
    /// Orders of the large shop.
    #[arg(long, default_value_t = 100_000)]
    orders: u64,
    /// How often ingest and floor are repeated, in turn.
    #[arg(long, default_value_t = 2)]
    rounds: usize,
    /// Minutes of idling.
    #[arg(long, default_value_t = 1.0)]
    idle_minutes: f64,
    /// The peers, too: a PL/Python loader and dlt (scripts/bench_peers.sh installs them).
    #[arg(long)]
    peers: bool,
    /// Only what is named: ingest, slow, reaction, backfill, hub_writes, webhooks, lists, idle, peers.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

impl Arguments {
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == part)
    }
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let environment = Environment::find()?;
    let mut figures = Figures::default();
    if arguments.wants("ingest") {
        ingest::measure(&environment, arguments.orders, arguments.rounds, &mut figures)?;
    }
    if arguments.wants("slow") {
        slow_shop::measure(&environment, &mut figures)?;
    }
    if arguments.wants("reaction") {
        reaction::measure(&environment, &mut figures)?;
    }
    if arguments.wants("backfill") {
        backfill::measure(&environment, &mut figures)?;
    }
    if arguments.wants("hub_writes") {
        hub_writes::measure(&environment, &mut figures)?;
    }
    if arguments.wants("webhooks") {
        webhooks::measure(&environment, &mut figures)?;
    }
    if arguments.wants("lists") {
        lists::measure(&environment, &mut figures)?;
    }
    if arguments.wants("idle") {
        idle::measure(&environment, arguments.idle_minutes, &mut figures)?;
    }
    if arguments.peers && arguments.wants("peers") {
        peers::measure(&environment, &mut figures)?;
    }
    let file = environment.target.join("bench.json");
    figures.write(&file)?;
    eprintln!("figures are in {}; missed targets: {}", file.display(), figures.missed());
    Ok(if figures.missed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
