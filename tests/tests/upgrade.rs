//! An older version of the scripts, updated, equals a fresh install; and an installation that was at
//! work goes on where it was. Nothing has been released yet, so the older version is generated.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::environment::Environment;
use postgres::Client;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const MEMBERS: &str = include_str!("../upgrade/members.sql");

/// What the older version has beyond the present one's script: a function and a comment of its own.
const OLDER: &str = "
create function easysync_internal.of_the_older_version() returns integer
    language sql immutable set search_path = pg_catalog, pg_temp as 'select 1';
alter function easysync_internal.of_the_older_version() owner to easysync_owner;
comment on function easysync.health() is 'as the older version called it';
";

/// Its update, as a release ships one: what differs, and the wake-up for the worker that pauses.
fn update_script(fresh: &str) -> Result<String> {
    let comment = fresh
        .lines()
        .find(|line| line.starts_with("comment on function easysync.health()"))
        .context("the install script has no comment on easysync.health()")?;
    Ok(format!(
        "drop function easysync_internal.of_the_older_version();\n{comment}\nselect easysync_internal.wake();\n"
    ))
}

/// Offers an older version with its update beside the installed script: until a version is released
/// it is generated from the present one.
fn offer(environment: &Environment) -> Result<Vec<String>> {
    let config = Command::new(environment.pg_bin.join("pg_config")).arg("--sharedir").output()?;
    let share = PathBuf::from(String::from_utf8(config.stdout)?.trim()).join("extension");
    let (older, present) = ("0.0.1", env!("CARGO_PKG_VERSION"));
    let script = share.join(format!("easysync--{present}.sql"));
    let fresh = std::fs::read_to_string(&script).with_context(|| script.display().to_string())?;
    for (name, text) in [
        (format!("easysync--{older}.sql"), format!("{fresh}\n{OLDER}")),
        (format!("easysync--{older}--{present}.sql"), update_script(&fresh)?),
    ] {
        let target = share.join(name);
        std::fs::write(&target, text).with_context(|| target.display().to_string())?;
        let public = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(&target, public)?;
    }
    Ok(vec![older.to_owned()])
}

fn members(db: &mut Client) -> Result<BTreeSet<String>> {
    Ok(db.query(MEMBERS, &[])?.iter().map(|row| row.get(0)).collect())
}

fn wait_for(db: &mut Client, query: &str, wanted: &str) -> Result<()> {
    let began = Instant::now();
    loop {
        let said: Option<String> = db.query_one(query, &[])?.get(0);
        if said.as_deref() == Some(wanted) {
            return Ok(());
        }
        ensure!(began.elapsed() < Duration::from_secs(30), "{query}: {said:?}, not {wanted}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn update(bed: &mut Bed, version: &str) -> Result<()> {
    let name = format!("from_{}", version.replace('.', "_"));
    bed.cluster.client("postgres")?.batch_execute(&format!("create database {name}"))?;
    let mut old = bed.cluster.client(&name)?;
    old.batch_execute(&format!("create extension easysync version '{version}'"))?;
    let settings = serde_json::json!({"url": bed.simulator.state.woocommerce.https});
    old.execute(
        "select easysync.connect('shop', 'woocommerce', settings => $1, credentials => $2)",
        &[&settings, &serde_json::json!({"file": "shop.json"})],
    )?;
    // The library is newer than the scripts: the worker says so, and leaves the run alone.
    wait_for(&mut old, "select easysync.health() #>> '{worker,state}'", "version_mismatch")?;
    old.query("select easysync.trigger('orders')", &[])?;
    let status = "select status from easysync.sync_runs order by sync_id desc limit 1";
    wait_for(&mut old, status, "queued")?;

    old.batch_execute("alter extension easysync update")?;
    let mut fresh = bed.client()?;
    let (updated, wanted) = (members(&mut old)?, members(&mut fresh)?);
    let lost: Vec<_> = wanted.difference(&updated).collect();
    let extra: Vec<_> = updated.difference(&wanted).collect();
    ensure!(lost.is_empty() && extra.is_empty(), "{version}: lacks {lost:#?}, has {extra:#?}");

    wait_for(&mut old, status, "succeeded")?;
    let orders: i64 = old.query_one("select count(*) from commerce.orders", &[])?.get(0);
    ensure!(orders == 289, "{version}: {orders} orders after the update");
    Ok(())
}

#[test]
fn an_older_version_updates_to_what_a_fresh_install_is() -> Result<()> {
    let versions = offer(&Environment::find()?)?;
    with_bed("upgrade", Setup::default(), |bed| {
        versions.iter().try_for_each(|version| update(bed, version))
    })
}
