//! Things break at random points of syncs, and afterwards everything is as if nothing had.
//!
//! [`Target::Pulls`]: a shop that keeps changing is pulled, and the hub equals the shop.
//! [`Target::Pushes`]: the same shop's orders are pushed into simulated books, and there is one
//! sales document for each order and one reversing document for each refund, to the cent.
//!
//! The seed decides what happens in which order, and at which call.

mod breaking;
pub mod pulls;
mod pushes;

use crate::bed::Bed;
use crate::cluster::Stop;
use crate::environment::Environment;
use anyhow::Result;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What is tortured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// From the shop into the hub.
    Pulls,
    /// From the hub into the books.
    Pushes,
}

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub target: Target,
    pub seed: u64,
    /// How many times something breaks.
    pub points: u32,
    /// After so many all is set right and compared.
    pub between_looks: u32,
    /// Orders of the shop at first. Pushes begin with the recorded shop.
    pub orders: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    pub target: Target,
    pub seed: u64,
    pub blows: BTreeMap<&'static str, u32>,
    pub syncs: u32,
    /// What isn't as it should be.
    pub problems: Vec<String>,
    pub slowest_stop: Duration,
    /// What was compared, for the last line.
    pub compared: String,
}

impl Report {
    fn new(plan: &Plan) -> Self {
        Self {
            target: plan.target,
            seed: plan.seed,
            blows: BTreeMap::new(),
            syncs: 0,
            problems: Vec::new(),
            slowest_stop: Duration::ZERO,
            compared: String::new(),
        }
    }

    pub fn is_well(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (blow, count) in &self.blows {
            writeln!(f, "  {count:>4}  {blow}")?;
        }
        writeln!(f, "{} syncs, slowest fast stop {:?}", self.syncs, self.slowest_stop)?;
        for problem in self.problems.iter().take(40) {
            writeln!(f, "WRONG: {problem}")?;
        }
        let well = match self.target {
            Target::Pulls => "the hub equals the shop",
            Target::Pushes => "the books equal the shop",
        };
        let verdict = if self.is_well() { well } else { "FAILED" };
        write!(f, "seed {}: {verdict}{}", self.seed, self.compared)
    }
}

/// Runs a plan on a bed of its own, telling `say` about each blow.
///
/// # Errors
/// The bed could not be made, or broke in a way that isn't part of the plan.
pub fn run(
    environment: &Environment,
    name: &str,
    plan: &Plan,
    say: impl FnMut(String),
) -> Result<Report> {
    match plan.target {
        Target::Pulls => pulls::run(environment, name, plan, say),
        Target::Pushes => pushes::run(environment, name, plan, say),
    }
}

/// Stops a bed; with `well` nothing of it stays. `first`: what has to go once nobody runs.
fn clear_away<T>(bed: Bed, well: bool, first: T) -> Result<()> {
    if bed.cluster.is_running() {
        bed.cluster.stop(Stop::Immediate)?;
    }
    drop(first);
    bed.stop(well)
}
