//! Settings that anyone may make for his session, or an owner for his database: none changes what a
//! function of ours answers, and a wrong value of one of ours is refused where it is given.

mod matrix;
mod odd;

use anyhow::{Result, ensure};
use easysync_tests::bed::{Setup, with_bed};
use easysync_tests::cluster::Options;
use easysync_tests::refusal::refused;
use std::time::Duration;

/// What every function with a body in SQL or PL/pgSQL is tied to, its search_path aside.
const TIED: [&str; 11] = [
    "standard_conforming_strings=on",
    "DateStyle=ISO, YMD",
    "IntervalStyle=postgres",
    "TimeZone=UTC",
    "extra_float_digits=1",
    "bytea_output=hex",
    "quote_all_identifiers=off",
    "transform_null_equals=off",
    "array_nulls=on",
    "row_security=on",
    "plpgsql.extra_errors=none",
];

/// Functions without settings, each for a reason. A new one is put here with its own.
const WITHOUT: [&str; 1] = [
    // It commits, which Postgres forbids in a procedure with settings.
    "easysync.run(text,text,text,text[],jsonb,interval)",
];

#[test]
fn every_function_is_tied_to_the_settings_that_it_relies_on() -> Result<()> {
    let setup = Setup::default();
    with_bed("tied-settings", setup, |bed| {
        let rows = bed.db.query(
            "select p.oid::regprocedure::text, coalesce(p.proconfig, '{}')
             from pg_proc p join pg_language l on l.oid = p.prolang
             join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e'
             join pg_extension e on e.oid = d.refobjid and e.extname = 'easysync'
             where l.lanname in ('sql', 'plpgsql') order by 1",
            &[],
        )?;
        ensure!(rows.len() > 150, "only {} functions", rows.len());
        for row in &rows {
            let (function, config): (String, Vec<String>) = (row.get(0), row.get(1));
            if WITHOUT.contains(&function.as_str()) {
                continue;
            }
            ensure!(
                config.iter().any(|set| set.starts_with("search_path=")),
                "{function} has no search_path: tie it, or name it in WITHOUT with its reason"
            );
            for tied in TIED {
                ensure!(
                    config.iter().any(|set| set == tied),
                    "{function} lacks {tied}: {config:?}"
                );
            }
        }
        println!("{} functions are tied to {} settings each", rows.len(), TIED.len());
        Ok(())
    })
}

/// What stops being silent once `standard_conforming_strings` is off: each of these went wrong.
#[test]
fn a_session_without_standard_strings_changes_no_answer() -> Result<()> {
    with_bed("standard-strings", Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.db.batch_execute("set standard_conforming_strings = off")?;
        // A class of a regular expression, read as a letter, took every "s" out of the expression.
        bed.db.batch_execute(
            "select easysync.schedule('orders', '0 9 * * mon,sat', name => 'weekdays')",
        )?;
        assert_eq!(
            bed.text("select cron from easysync.schedules where schedule = 'weekdays'")?.as_deref(),
            Some("0 9 * * mon,sat")
        );
        // What is over is still found and deleted.
        let run = bed.sync_well("orders", "incremental")?;
        bed.db.execute(
            "update easysync_internal.sync_runs set finished_at = '2020-01-01' where sync_id = $1",
            &[&run.sync_id],
        )?;
        let dropped = bed.text("select easysync_internal.drop_old_runs()")?;
        assert_eq!(dropped.as_deref(), Some("1"));
        Ok(())
    })
}

#[test]
fn a_wrong_value_is_refused_where_it_is_given_with_the_reason() -> Result<()> {
    with_bed("wrong-settings", Setup::default(), |bed| {
        bed.connect_shop()?;
        let worker = bed.worker_pid()?;
        // The prefix is ours: what isn't a setting is no placeholder either.
        let refusal = refused(&mut bed.db, "set easysync.tenantid = 'north'", &[])?;
        ensure!(refusal.text().contains("reserved prefix"), "{refusal:?}");
        refused(&mut bed.db, "alter database shop set easysync.tenantid = 'north'", &[])?;
        refused(&mut bed.db, "alter system set easysync.ca_fil = 'x'", &[])?;
        for (setting, value, words) in [
            ("allowed_private_hosts", "https://shop.example/path", "invalid host"),
            ("allowed_private_hosts", "127.0.0.1:port", "invalid host"),
            ("ca_file", "/nowhere/ca.pem", "can't be read"),
            ("ca_file", "postgresql.conf", "holds no certificates"),
            ("ca_file", "base", "not a file"),
            ("key_file", "/nowhere/keys", "no directory"),
            ("key_file", "base", "is a directory"),
            ("credential_dir", "/nowhere", "no directory"),
            ("credential_dir", "postgresql.conf", "no directory"),
            ("instance", " production", "space"),
            ("instance", &"x".repeat(65), "64 bytes"),
            ("gateway_roles", "\"web\"", "without quotes"),
            ("gateway_roles", "web,,anon", "no name of a role"),
            ("poll_interval", "0", "outside the valid range"),
        ] {
            let statement = format!("alter system set easysync.{setting} = '{value}'");
            let refusal = refused(&mut bed.db, &statement, &[])?;
            ensure!(refusal.sqlstate == "22023", "{statement}: {refusal:?}");
            ensure!(refusal.text().contains(words), "{statement}: {refusal:?}");
        }

        // Written into the file by hand, a reload says it, keeps what was, and stops nothing.
        let before = bed.text("select current_setting('easysync.allowed_private_hosts')")?;
        bed.cluster.add_settings(&[
            ("easysync.allowed_private_hosts", "a/b"),
            ("easysync.ca_file", "/nowhere/ca.pem"),
        ])?;
        bed.db.batch_execute("select pg_reload_conf()")?;
        let told = |log: &str| {
            log.contains("invalid host \"a/b\"") && log.contains("easysync.ca_file can't be read")
        };
        let began = std::time::Instant::now();
        while !told(&bed.cluster.log()) {
            ensure!(began.elapsed() < Duration::from_secs(10), "the reload says nothing");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(bed.text("select current_setting('easysync.allowed_private_hosts')")?, before);
        bed.sync_well("orders", "full")?;
        assert_eq!(bed.worker_pid()?, worker, "the worker started again for a refused value");
        Ok(())
    })
}

#[test]
fn a_wrong_value_at_the_servers_start_stops_no_worker_and_health_tells_of_it() -> Result<()> {
    let setup = Setup {
        cluster: Options::default()
            .set("easysync.gateway_roles", "nobody_of_that_name")
            .set("easysync.tenantid", "north"),
        ..Setup::default()
    };
    with_bed("wrong-at-start", setup, |bed| {
        bed.connect_shop()?;
        let reasons = "select easysync.health() ->> 'reasons'";
        let told = bed.text(reasons)?.unwrap_or_default();
        ensure!(told.contains("nobody_of_that_name"), "{told}");
        ensure!(bed.cluster.log().contains("easysync.tenantid"), "nothing about the misspelt name");

        // The file of authorities is gone when the server starts: it is told of, and the worker works.
        let ca_file = bed.cluster.dir().join("ca.pem");
        let ca = std::fs::read_to_string(&ca_file)?;
        std::fs::remove_file(&ca_file)?;
        bed.cluster.restart()?;
        bed.reconnect()?;
        bed.worker_pid()?;
        let told = bed.text(reasons)?.unwrap_or_default();
        ensure!(told.contains("easysync.ca_file can't be read"), "{told}");
        ensure!(bed.sync("orders", "full")?.status != "succeeded", "without the authority");

        // Back in its place, the next sync takes it: no reload, no restart.
        easysync_tests::process::private_file(bed.cluster.environment(), &ca_file, &ca)?;
        bed.db.batch_execute("select easysync.enable('shop')").ok();
        bed.sync_well("orders", "full")?;
        let told = bed.text(reasons)?.unwrap_or_default();
        ensure!(!told.contains("ca_file"), "{told}");
        Ok(())
    })
}
