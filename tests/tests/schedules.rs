//! Schedules end to end: the worker sleeps until a slot, fires, catches up after it was down, skips
//! or queues, and tells when one fails time and again. What slots are is the engine's affair
//! (engine/src/schedule, engine/tests/schedules).

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::cluster::{Options, Stop};
use easysync_tests::simulator::Simulator;
use serde_json::json;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// Options as a bed sets them, with the worker or without.
fn options(simulator: &Simulator, bed: &Bed, preload: bool) -> Options {
    let ca = bed.cluster.dir().join("ca.pem");
    ensure_exists(&simulator.state.ca_file);
    let options = Options { preload, ..Options::default() };
    options
        .set("easysync.ca_file", &ca.display().to_string())
        .set("easysync.allowed_private_hosts", "127.0.0.1")
}

fn ensure_exists(path: &std::path::Path) {
    assert!(path.exists(), "{} is gone", path.display());
}

fn restart(bed: &mut Bed, preload: bool) -> Result<()> {
    let options = options(&bed.simulator, bed, preload);
    bed.cluster.stop(Stop::Fast)?;
    bed.cluster.configure(&options)?;
    bed.cluster.start()?;
    bed.reconnect_patiently()
}

/// An hourly schedule whose slots are half an hour away from now, on both sides.
fn hourly(bed: &mut Bed) -> Result<String> {
    let minute = bed.text("((extract(minute from now())::integer + 30) % 60)")?;
    Ok(format!("{} * * * *", minute.context("the minute")?))
}

#[test]
fn a_new_connection_has_its_schedules_switched_off_one_call_away() -> Result<()> {
    with_bed("schedule-defaults", Setup::default(), |bed| {
        bed.connect_shop()?;
        let rows = bed.db.query(
            "select schedule, mode, active, next_run_at is null from easysync.schedules order by 1",
            &[],
        )?;
        let found: Vec<(String, String, bool, bool)> =
            rows.iter().map(|row| (row.get(0), row.get(1), row.get(2), row.get(3))).collect();
        let wanted = ["full", "incremental"]
            .map(|mode| (format!("orders_{mode}_shop"), mode.to_owned(), false, true));
        assert_eq!(found, wanted);
        assert_eq!(bed.count("easysync.upcoming_syncs")?, 0);

        bed.db.execute(
            "select easysync.alter_schedule('orders_incremental_shop', active => true)",
            &[],
        )?;
        assert_eq!(bed.count("easysync.upcoming_syncs")?, 24);
        let next = "select next_run_at > now() and next_run_at <= now() + interval '1 hour'
                      from easysync.schedules where active";
        assert!(bed.db.query_one(next, &[])?.get::<_, bool>(0));

        bed.db.execute("select easysync.disconnect('shop')", &[])?;
        assert_eq!(bed.count("easysync.schedules")?, 0);
        Ok(())
    })
}

#[test]
fn a_schedule_fires_within_a_second_of_its_slots() -> Result<()> {
    with_bed("schedule-fires", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.db.execute(
            "select easysync.schedule('customers', '*/3 * * * * *', name => 'often')",
            &[],
        )?;
        let runs = "(select count(*) >= 3 from easysync.sync_runs
                     where triggered_by = 'schedule' and status = 'succeeded')";
        bed.wait_until(runs, SOON)?;
        bed.db.execute("select easysync.alter_schedule('often', active => false)", &[])?;
        // The worst delay behind a slot, which is a multiple of three seconds.
        let late: f64 = bed
            .db
            .query_one(
                "select max(extract(epoch from queued_at) % 3)::float8 from easysync.sync_runs
                 where triggered_by = 'schedule'",
                &[],
            )?
            .get(0);
        ensure!(late < 1.0, "{late} s late");
        let row = bed.db.query_one(
            "select last_sync_id, last_status, last_run_at is not null, next_run_at is null,
                    consecutive_failures, created_by::text
               from easysync.schedules where schedule = 'often'",
            &[],
        )?;
        let last: i64 = row.get(0);
        let request = "select request ->> 'schedule' from easysync.sync_status($1)";
        let schedule: String = bed.db.query_one(request, &[&last])?.get(0);
        assert_eq!(schedule, "often");
        let rest: (bool, bool, i32, String) = (row.get(2), row.get(3), row.get(4), row.get(5));
        assert_eq!(rest, (true, true, 0, "postgres".to_owned()));
        let before = bed.count("easysync.sync_runs")?;
        std::thread::sleep(Duration::from_secs(4));
        assert_eq!(bed.count("easysync.sync_runs")?, before, "it was switched off");
        Ok(())
    })
}

#[test]
fn three_slots_without_a_worker_run_once_or_not_or_all() -> Result<()> {
    with_bed("schedule-missed", Setup::default(), |bed| {
        bed.connect_shop()?;
        let cron = hourly(bed)?;
        for missed in ["run_once", "skip", "run_all", "limited"] {
            let word = if missed == "limited" { "run_all" } else { missed };
            bed.db.execute(
                "select easysync.schedule('customers', $1, missed => $2, name => $3)",
                &[&cron, &word, &format!("with_{missed}")],
            )?;
        }
        // Without a worker for three slots: seen from the schedules, three hours ago.
        restart(bed, false)?;
        bed.db.execute(
            "update easysync_internal.schedules set decided_at = now() - interval '3 hours'
             where active",
            &[],
        )?;
        let lag = "select schedule_lag > interval '2 hours' from easysync.connection_health";
        assert!(bed.db.query_one(lag, &[])?.get::<_, bool>(0));
        restart(bed, true)?;
        let decided = "(select bool_and(decided_at > now() - interval '1 hour')
                        from easysync_internal.schedules where active)";
        bed.wait_until(decided, SOON)?;
        let rows = bed.db.query(
            "select s.schedule, count(r.sync_id) from easysync.schedules as s
             left join easysync.sync_runs as r on r.request ->> 'schedule' = s.schedule
             where s.active group by 1 order by 1",
            &[],
        )?;
        let runs: Vec<(String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let wanted =
            [("with_limited", 3), ("with_run_all", 3), ("with_run_once", 1), ("with_skip", 0)];
        assert_eq!(runs, wanted.map(|(name, count)| (name.to_owned(), count)));
        assert_eq!(
            bed.count("easysync.sync_logs where operation = 'schedule' and message like '%3 slots were missed%'")?,
            4
        );
        // They wait for one another, and all end well.
        bed.wait_until(
            "(select count(*) = 7 from easysync.sync_runs where status = 'succeeded')",
            SOON,
        )
    })
}

#[test]
fn missed_runs_stop_at_the_limit() -> Result<()> {
    with_bed("schedule-limit", Setup::default(), |bed| {
        bed.connect_shop()?;
        let cron = hourly(bed)?;
        bed.db.execute("select easysync.set_setting('missed_limit', '2')", &[])?;
        bed.db.execute(
            "select easysync.schedule('customers', $1, missed => 'run_all', name => 'all')",
            &[&cron],
        )?;
        bed.db.execute(
            "update easysync_internal.schedules
                set decided_at = now() - interval '3 hours', missed = missed where name = 'all'",
            &[],
        )?;
        bed.wait_until(
            "(select count(*) = 2 from easysync.sync_runs where status = 'succeeded')",
            SOON,
        )?;
        assert_eq!(bed.count("easysync.sync_runs")?, 2);
        Ok(())
    })
}

#[test]
fn a_slot_waits_for_the_run_before_it_or_is_left_out() -> Result<()> {
    with_bed("schedule-overlap", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.simulator.fault("latency", json!({"ms": 4000}), json!({"path": "/customers"}))?;
        for overlap in ["skip", "queue"] {
            bed.db.execute(
                "select easysync.schedule('customers', '* * * * * *', overlap => $1, name => $1)",
                &[&overlap],
            )?;
        }
        let open = |name: &str| {
            format!(
                "easysync.sync_runs where status in ('queued', 'running')
                 and request ->> 'schedule' = '{name}'"
            )
        };
        let many = format!("(select count(*) >= 3 from {})", open("queue"));
        bed.wait_until(&many, SOON)?;
        let logged = "(select count(*) >= 2 from easysync.sync_logs where operation = 'schedule'
                       and result = 'skipped' and message like 'schedule \"skip\"; sync % still runs')";
        bed.wait_until(logged, SOON)?;
        assert_eq!(bed.count(&open("skip"))?, 1);
        for name in ["skip", "queue"] {
            assert!(
                bed.db.query_one("select easysync.unschedule($1)", &[&name])?.get::<_, bool>(0)
            );
        }
        assert!(!bed.db.query_one("select easysync.unschedule('skip')", &[])?.get::<_, bool>(0));
        Ok(())
    })
}

#[test]
fn the_third_failure_in_a_row_raises_an_alert_that_a_success_ends() -> Result<()> {
    with_bed("schedule-failures", Setup::default(), |bed| {
        bed.connect_shop()?;
        // Somebody must look at the connection; its runs fail at once.
        let broken = "update easysync_internal.connections set status = 'error'";
        bed.db.execute(broken, &[])?;
        bed.db.execute(
            "select easysync.schedule('customers', '* * * * * *', name => 'often')",
            &[],
        )?;
        let alert = "easysync.notifications where event = 'schedule_failing'";
        bed.wait_until(&format!("exists (select from {alert})"), SOON)?;
        let row = bed.db.query_one(
            &format!("select subject, severity, occurrences, recovered_at is null from {alert}"),
            &[],
        )?;
        let subject: String = row.get(0);
        ensure!(subject.starts_with("schedule \"often\" has failed "), "{subject}");
        assert_eq!((row.get::<_, String>(1), row.get::<_, bool>(3)), ("critical".to_owned(), true));
        // As many failures as the alert says, less the two before it.
        let failures = "(select consecutive_failures >= 3 from easysync.schedules
                         where schedule = 'often')";
        assert!(bed.db.query_one(&format!("select {failures}"), &[])?.get::<_, bool>(0));
        let degraded = "select easysync.health()->>'status' <> 'ok'";
        assert!(bed.db.query_one(degraded, &[])?.get::<_, bool>(0));

        bed.db.execute("select easysync.enable('shop')", &[])?;
        let over = format!("(select recovered_at is not null from {alert})");
        bed.wait_until(&over, SOON)?;
        bed.wait_until(
            "(select consecutive_failures = 0 from easysync.schedules where schedule = 'often')",
            SOON,
        )?;
        assert_eq!(bed.count(alert)?, 1, "one alert for one series");
        // Paused by a person: slots are left out, nothing fails.
        bed.db.execute("select easysync.disable('shop')", &[])?;
        let left_out = "exists (select from easysync.sync_logs where operation = 'schedule'
                        and message like '%no connection that carries it is enabled')";
        bed.wait_until(left_out, SOON)
    })
}

#[test]
fn a_schedule_follows_the_tenants_time_zone() -> Result<()> {
    with_bed("schedule-zone", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.db
            .execute("select easysync.schedule('customers', '0 12 * * *', name => 'noon')", &[])?;
        let local = "select extract(hour from next_run_at at time zone $1)::integer, timezone
                       from easysync.schedules where schedule = 'noon'";
        for zone in ["America/Edmonton", "Asia/Tokyo"] {
            bed.db.execute("select easysync.set_setting('timezone', $1)", &[&zone])?;
            let row = bed.db.query_one(local, &[&zone])?;
            assert_eq!((row.get(0), row.get::<_, &str>(1)), (12, zone));
        }
        let slots = bed.db.query(
            "select run_at, local_time, note from easysync.preview_schedule('30 2 * * *',
                 'America/Edmonton', runs => 400)",
            &[],
        )?;
        let notes = slots.iter().filter(|row| row.get::<_, Option<String>>(2).is_some()).count();
        assert_eq!((slots.len(), notes), (400, 1), "one clock change takes 02:30 away");
        Ok(())
    })
}
