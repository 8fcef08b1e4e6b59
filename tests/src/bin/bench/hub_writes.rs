//! What our triggers add to an application's write: a 500-row update of the hub's orders with them
//! and without, in turn.

use crate::figures::{Figures, Target};
use anyhow::{Result, ensure};
use easysync_tests::bed::{Bed, Setup};
use easysync_tests::books::Books;
use easysync_tests::environment::Environment;
use std::time::{Duration, Instant};

const ROWS: i64 = 500;
const ROUNDS: usize = 40;

pub fn measure(environment: &Environment, figures: &mut Figures) -> Result<()> {
    // Without waits for the disk, which would hide what the triggers take.
    let mut bed = Bed::start(environment, "bench-hub-writes", &Setup::generated(2_000))?;
    let outcome = compare(&mut bed);
    bed.stop(outcome.is_ok())?;
    let (with, without) = outcome?;
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    figures.add("hub_write_ms", ms(with), "ms", Target::None);
    figures.add("hub_write_without_triggers_ms", ms(without), "ms", Target::None);
    figures.add("hub_write_overhead", ms(with) / ms(without), "ratio", Target::AtMost(2.0));
    Ok(())
}

/// Medians, with and without.
fn compare(bed: &mut Bed) -> Result<(Duration, Duration)> {
    bed.connect_shop()?;
    bed.sync_well("orders", "full")?;
    // Changes are noted for somebody.
    Books::connect(bed, "us_single")?;
    bed.db.batch_execute("vacuum analyze commerce.orders")?;
    let before = bed.count("easysync_internal.hub_changes where entity = 'orders'")?;
    let (mut with, mut without) = (vec![], vec![]);
    for round in 0..ROUNDS {
        for (word, times) in [("enable", &mut with), ("disable", &mut without)] {
            bed.db.batch_execute(&format!("alter table commerce.orders {word} trigger user"))?;
            times.push(update(bed, &format!("{word} {round}"))?);
        }
    }
    bed.db.batch_execute("alter table commerce.orders enable trigger user")?;
    let noted = bed.count("easysync_internal.hub_changes where entity = 'orders'")? - before;
    let expected = i64::try_from(ROUNDS)? * ROWS;
    ensure!(noted == expected, "{noted} of {expected} changes were noted");
    Ok((median(with), median(without)))
}

/// One statement, its commit included.
fn update(bed: &mut Bed, note: &str) -> Result<Duration> {
    let began = Instant::now();
    let changed = bed.db.execute(
        "update commerce.orders set customer_note = $1
         where id in (select id from commerce.orders order by id limit $2)",
        &[&note, &ROWS],
    )?;
    let took = began.elapsed();
    ensure!(i64::try_from(changed)? == ROWS, "{changed} rows were updated");
    Ok(took)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
