//! `make torture SEED=n POINTS=n ONLY=pulls|pushes`: see [`easysync_tests::torture`].

use anyhow::Result;
use clap::{Parser, ValueEnum};
use easysync_tests::environment::Environment;
use easysync_tests::torture::{Plan, Target, run};
use std::process::ExitCode;

/// Kills things at random points of pulls and pushes, and compares.
#[derive(Parser)]
struct Arguments {
    /// Decides what breaks when; by default a new one each time.
    #[arg(long)]
    seed: Option<u64>,
    /// How many times something breaks, in pulls and again in pushes.
    #[arg(long, default_value_t = 50)]
    points: u32,
    /// After so many all is set right and compared.
    #[arg(long, default_value_t = 10)]
    between_looks: u32,
    /// Orders of the shop that is pulled, at first.
    #[arg(long, default_value_t = 600)]
    orders: u64,
    /// One of them alone; by default both in turn.
    #[arg(long)]
    only: Option<Only>,
    /// Name of the test bed: runs side by side need names of their own.
    #[arg(long, default_value = "torture")]
    name: String,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    Pulls,
    Pushes,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => u64::from_str_radix(&easysync_tests::cluster::random_hex(3)?, 16)?,
    };
    let points = arguments.points;
    let targets = match arguments.only {
        Some(Only::Pulls) => vec![(Target::Pulls, "pulls")],
        Some(Only::Pushes) => vec![(Target::Pushes, "pushes")],
        None => vec![(Target::Pulls, "pulls"), (Target::Pushes, "pushes")],
    };
    let mut well = true;
    for (target, word) in targets {
        println!(
            "{word}: seed {seed}, {points} points; \
             again: make torture SEED={seed} POINTS={points} ONLY={word}"
        );
        let plan = Plan {
            target,
            seed,
            points,
            between_looks: arguments.between_looks.max(1),
            orders: arguments.orders,
        };
        let name = format!("{}-{word}", arguments.name);
        let report = run(&Environment::find()?, &name, &plan, |line| println!("{line}"))?;
        println!("{report}");
        well &= report.is_well();
    }
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
