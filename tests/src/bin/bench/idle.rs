//! What a connected database costs while nothing happens.

use crate::figures::{Figures, Target};
use crate::process_stat::cpu_time;
use anyhow::{Context, Result};
use easysync_tests::bed::{Bed, Setup};
use easysync_tests::cluster::Options;
use easysync_tests::environment::Environment;
use postgres::Client;
use std::time::Duration;

pub fn measure(environment: &Environment, minutes: f64, figures: &mut Figures) -> Result<()> {
    let cluster = Options::default().set("autovacuum", "off").set("checkpoint_timeout", "1h");
    let setup = Setup { cluster, ..Setup::default() };
    let mut bed = Bed::start(environment, "bench-idle", &setup)?;
    let outcome = observe(&mut bed, minutes);
    bed.stop(outcome.is_ok())?;
    let idle = outcome?;
    let per_minute = |count: f64| count / minutes;
    figures.add("idle_xids_per_minute", per_minute(idle.xids), "1/min", Target::AtMost(0.0));
    let wal = per_minute(idle.wal_bytes);
    figures.add("idle_wal_bytes_per_minute", wal, "B/min", Target::AtMost(0.0));
    figures.add("idle_xacts_per_minute", per_minute(idle.xacts), "1/min", Target::AtMost(2.0));
    figures.add("idle_cpu_percent", idle.cpu_percent, "%", Target::Below(0.1));
    Ok(())
}

/// Counts over the time observed.
struct Idle {
    xids: f64,
    wal_bytes: f64,
    xacts: f64,
    cpu_percent: f64,
}

struct Look {
    xid: i64,
    wal: i64,
    xacts: i64,
    cpu: Duration,
}

fn observe(bed: &mut Bed, minutes: f64) -> Result<Idle> {
    bed.connect_shop()?;
    bed.sync_well("orders", "incremental")?;
    // A schedule to wait for costs nothing either.
    bed.db.execute("select easysync.schedule('orders', '0 0 1 1 *', name => 'yearly')", &[])?;
    let pids = bed.process_ids()?;
    let database = bed.database.clone();
    // From another database, so that our own look isn't counted in this one; our session in this
    // one ends.
    let mut outside = bed.cluster.client("postgres")?;
    bed.db = bed.cluster.client("postgres")?;
    bed.db.batch_execute("checkpoint")?;
    // The server's own housekeeping after a load (a snapshot of running transactions every 15 s
    // while something was written) comes to rest.
    std::thread::sleep(Duration::from_secs(35));

    let before = look(&mut outside, &database, &pids)?;
    let time = Duration::from_secs_f64(minutes * 60.0);
    std::thread::sleep(time);
    let after = look(&mut outside, &database, &pids)?;
    let cpu = (after.cpu - before.cpu).as_secs_f64();
    Ok(Idle {
        xids: (after.xid - before.xid) as f64,
        wal_bytes: (after.wal - before.wal) as f64,
        xacts: (after.xacts - before.xacts) as f64,
        cpu_percent: 100.0 * cpu / time.as_secs_f64(),
    })
}

fn look(client: &mut Client, database: &str, pids: &[i32]) -> Result<Look> {
    let row = client.query_one(
        "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
                pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint,
                (select xact_commit + xact_rollback from pg_stat_database where datname = $1)",
        &[&database],
    )?;
    let mut cpu = Duration::ZERO;
    for pid in pids {
        cpu += cpu_time(*pid).with_context(|| format!("process {pid} is gone"))?;
    }
    Ok(Look { xid: row.get(0), wal: row.get(1), xacts: row.get(2), cpu })
}
