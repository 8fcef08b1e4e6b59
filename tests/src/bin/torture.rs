//! `make torture SEED=n POINTS=n`: see [`easysync_tests::torture`].

use anyhow::Result;
use clap::Parser;
use easysync_tests::environment::Environment;
use easysync_tests::torture::{Plan, run};
use std::process::ExitCode;

/// Kills things at random points of pulls, and compares.
#[derive(Parser)]
struct Arguments {
    /// Decides what breaks when; by default a new one each time.
    #[arg(long)]
    seed: Option<u64>,
    /// How many times something breaks.
    #[arg(long, default_value_t = 50)]
    points: u32,
    /// Orders of the shop at first.
    #[arg(long, default_value_t = 600)]
    orders: u64,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => u64::from_str_radix(&easysync_tests::cluster::random_hex(3)?, 16)?,
    };
    let points = arguments.points;
    println!("seed {seed}, {points} points; again: make torture SEED={seed} POINTS={points}");
    let plan = Plan { seed, points, orders: arguments.orders };
    let report = run(&Environment::find()?, "torture", &plan, |line| println!("{line}"))?;
    println!("{report}");
    Ok(if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
