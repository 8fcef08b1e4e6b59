//! What people wait for with years of history: first pages of every list under every filter, `health()`,
//! and a round of housekeeping that has something to delete.

use crate::figures::{Figures, Target};
use anyhow::Result;
use easysync_tests::bed::{Bed, Setup};
use easysync_tests::environment::Environment;
use easysync_tests::many::{self, PAGES, Scale};
use std::time::{Duration, Instant};

const ROUNDS: usize = 20;

/// Fills a database (1,000,000 runs, 2,000,000 steps, 1,000,000 log rows, 1,000,000 links, 100,000
/// failures) and measures as a viewer.
pub fn measure(environment: &Environment, figures: &mut Figures) -> Result<()> {
    let mut bed = Bed::start(environment, "bench-lists", &Setup::default())?;
    let outcome = measure_in(&mut bed, figures);
    bed.stop(outcome.is_ok())?;
    outcome
}

fn measure_in(bed: &mut Bed, figures: &mut Figures) -> Result<()> {
    bed.connect_shop()?;
    let account: String =
        bed.db.query_one("select account from easysync_internal.connections", &[])?.get(0);
    many::fill(&mut bed.db, "default", &account, Scale::BENCH)?;
    bed.db.batch_execute(
        "create role reader login;
         grant easysync_viewer, easysync_operator, easysync_admin to reader",
    )?;
    let mut reader = bed.client()?;
    reader.batch_execute("set session authorization reader")?;

    let mut slowest = (Duration::ZERO, "");
    for page in PAGES {
        let time = percentile(ROUNDS, || reader.query(*page, &[]).map(drop))?;
        if time > slowest.0 {
            slowest = (time, page);
        }
    }
    eprintln!("slowest list: {}", slowest.1);
    figures.add("list_page_ms", ms(slowest.0), "ms", Target::Below(50.0));
    let health = percentile(ROUNDS, || reader.query("select easysync.health()", &[]).map(drop))?;
    figures.add("health_ms", ms(health), "ms", Target::Below(20.0));

    // Nothing to delete, then a lot of a thousand syncs.
    let idle = percentile(ROUNDS, || keep_house(bed).map(drop))?;
    figures.add("housekeeping_idle_ms", ms(idle), "ms", Target::Below(20.0));
    bed.db.batch_execute(
        "update easysync_internal.sync_runs set finished_at = now() - interval '500 days'
         where sync_id in (select sync_id from easysync_internal.sync_runs order by sync_id limit 20000)",
    )?;
    bed.db.batch_execute("vacuum analyze easysync_internal.sync_runs")?;
    let lot = percentile(ROUNDS - 1, || keep_house(bed).map(drop))?;
    figures.add("housekeeping_ms", ms(lot), "ms", Target::Below(500.0));
    Ok(())
}

/// One lot of each kind, as the worker carries them out.
fn keep_house(bed: &mut Bed) -> Result<(), postgres::Error> {
    for lot in ["logs", "runs", "webhooks", "notices"] {
        bed.db.execute(&format!("select easysync_internal.drop_old_{lot}()"), &[])?;
    }
    Ok(())
}

/// The 95th percentile of some rounds, after one that doesn't count.
fn percentile(
    rounds: usize,
    mut work: impl FnMut() -> Result<(), postgres::Error>,
) -> Result<Duration> {
    work()?;
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let began = Instant::now();
        work()?;
        times.push(began.elapsed());
    }
    times.sort();
    Ok(times[(times.len() * 95 / 100).min(times.len() - 1)])
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
