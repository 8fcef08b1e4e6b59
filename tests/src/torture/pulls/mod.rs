//! A shop that keeps changing is pulled while workers and servers die, connections break, disks
//! fill and an application's triggers refuse rows, each at a random point of a pull. Afterwards
//! the hub equals the shop: nothing twice, nothing missing.

mod blow;
mod full_disk;
pub mod shopping;

use super::{Plan, Report, breaking, clear_away};
use crate::bed::{Bed, Setup};
use crate::cluster::Options;
use crate::compare::differences;
use crate::environment::Environment;
use anyhow::{Context, Result, ensure};
use blow::Blow;
use fastrand::Rng;
use full_disk::SmallDisk;
use serde_json::json;
use std::time::{Duration, Instant};

/// Everything a blow needs.
struct Torture {
    bed: Bed,
    random: Rng,
    disk: Option<SmallDisk>,
    report: Report,
    /// How often we made Postgres restart its processes: any other time was not our doing.
    crashes_wanted: usize,
}

/// Runs a plan on a bed of its own, telling `say` about each blow.
///
/// # Errors
/// The bed could not be made, or broke in a way that isn't part of the plan.
pub fn run(
    environment: &Environment,
    name: &str,
    plan: &Plan,
    mut say: impl FnMut(String),
) -> Result<Report> {
    let setup = Setup {
        cluster: Options::default().set("restart_after_crash", "on"),
        ..Setup::generated(plan.orders)
    };
    let bed = Bed::start(environment, name, &setup)?;
    let mut torture = Torture {
        bed,
        random: Rng::with_seed(plan.seed),
        disk: None,
        report: Report::new(plan),
        crashes_wanted: 0,
    };
    let outcome = torture.go(plan, &mut say);
    let Torture { bed, disk, report, .. } = torture;
    let well = outcome.is_ok() && report.is_well();
    if let Err(error) = &outcome {
        say(format!("broken off: {error:#}; logs are in {}", bed.cluster.dir().display()));
    }
    // The small disk can go once nobody has files on it, and has to before its directory does.
    clear_away(bed, well, disk)?;
    outcome.map(|()| report)
}

impl Torture {
    fn go(&mut self, plan: &Plan, say: &mut impl FnMut(String)) -> Result<()> {
        self.bed.connect_shop()?;
        self.disk = SmallDisk::mount(&mut self.bed)?;
        for point in 1..=plan.points {
            self.shop_goes_on()?;
            let blow = Blow::draw(&mut self.random, self.disk.is_some());
            let after_calls = self.random.u64(1..=14);
            say(format!("{point:>4}  {} after {after_calls} calls", blow.name()));
            self.strike(blow, after_calls).with_context(|| blow.name())?;
            *self.report.blows.entry(blow.name()).or_default() += 1;
            if point % plan.between_looks == 0 || point == plan.points {
                self.settle_and_look(point)?;
            }
        }
        let crashes = breaking::crashes(&self.bed);
        if crashes != self.crashes_wanted {
            let wanted = self.crashes_wanted;
            let problem = format!("Postgres reinitialised {crashes} times, {wanted} by our kills");
            self.report.problems.push(problem);
        }
        Ok(())
    }

    /// Starts a sync, waits for that many calls of it, and lets something break.
    fn strike(&mut self, blow: Blow, after_calls: u64) -> Result<()> {
        self.bed.simulator.reset_calls()?;
        let latency = json!({"ms": self.random.u64(1..30)});
        self.bed.simulator.fault("latency", latency, serde_json::Value::Null)?;
        let mode = if self.random.u8(0..3) == 0 { "full" } else { "incremental" };
        self.bed.db.execute("select easysync.trigger('orders', $1)", &[&mode])?;
        self.report.syncs += 1;
        let began = Instant::now();
        while self.bed.simulator.calls()? < after_calls {
            // A short sync may make fewer calls: then the blow falls on what comes after it.
            if began.elapsed() > Duration::from_secs(3) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        blow.strike(self)
    }

    /// Everything works again, all that was queued has ended, and the hub is held against the
    /// shop.
    fn settle_and_look(&mut self, point: u32) -> Result<()> {
        self.bed.simulator.clear_faults()?;
        blow::end_refusals(&mut self.bed)?;
        let settled = "select not exists (select from easysync.sync_runs
                       where status in ('queued', 'running'))";
        self.bed.wait_until(settled, Duration::from_secs(120))?;
        self.bed.db.query("select * from easysync.retry()", &[])?;
        self.bed.wait_until(settled, Duration::from_secs(120))?;
        for mode in ["incremental", "full"] {
            let run = self.bed.sync("orders", mode)?;
            self.report.syncs += 1;
            ensure!(run.status == "succeeded", "{mode} sync at rest: {run:?}");
        }
        let shop = self.bed.simulator.shop()?;
        let found = differences(&mut self.bed.db, "shop", &shop)?;
        self.report.problems.extend(found.into_iter().map(|d| format!("point {point}: {d}")));
        self.twice(point)
    }

    /// No record of the shop has two rows or two links.
    fn twice(&mut self, point: u32) -> Result<()> {
        for table in ["orders", "customers", "products", "refunds"] {
            let twice = self.bed.count(&format!(
                "(select from commerce.{table} where source_id is not null
                  group by tenant_id, source_connection, source_id having count(*) > 1) as twice"
            ))?;
            if twice > 0 {
                self.report.problems.push(format!("point {point}: {twice} {table} twice"));
            }
        }
        Ok(())
    }
}
