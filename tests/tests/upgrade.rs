//! Every released version of the scripts (`sql/released/`), updated, equals a fresh install; and an
//! installation that was at work goes on where it was.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup, with_bed};
use easysync_tests::environment::Environment;
use postgres::Client;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const MEMBERS: &str = include_str!("../upgrade/members.sql");

/// Released install scripts with their versions.
fn released(environment: &Environment) -> Result<Vec<(String, PathBuf)>> {
    let mut found = vec![];
    for entry in std::fs::read_dir(environment.root.join("sql/released"))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(version) = name.strip_prefix("easysync--") {
            found.push((version.to_owned(), path));
        }
    }
    found.sort();
    Ok(found)
}

/// Puts the released scripts beside the installed one, as a server that was updated has them.
fn offer(environment: &Environment) -> Result<Vec<String>> {
    let config = Command::new(environment.pg_bin.join("pg_config")).arg("--sharedir").output()?;
    let share = PathBuf::from(String::from_utf8(config.stdout)?.trim()).join("extension");
    let released = released(environment)?;
    for (version, path) in &released {
        let target = share.join(format!("easysync--{version}.sql"));
        std::fs::copy(path, &target).with_context(|| target.display().to_string())?;
        let public = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(&target, public)?;
    }
    Ok(released.into_iter().map(|(version, _)| version).collect())
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
fn every_released_version_updates_to_what_a_fresh_install_is() -> Result<()> {
    let versions = offer(&Environment::find()?)?;
    assert!(!versions.is_empty(), "nothing was ever released");
    with_bed("upgrade", Setup::default(), |bed| {
        versions.iter().try_for_each(|version| update(bed, version))
    })
}
