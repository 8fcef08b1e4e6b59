//! The extension as a whole: what it installs is what was promised.

use anyhow::{Context, Result};
use easysync_tests::cluster::{Cluster, Options};
use easysync_tests::environment::Environment;
use std::process::Command;

#[test]
fn the_surface_is_the_contract_to_the_letter() -> Result<()> {
    let environment = Environment::find()?;
    let mut cluster = Cluster::create(&environment, "test-surface")?;
    cluster.configure(&Options::default())?;
    cluster.start()?;
    let mut admin = cluster.client("postgres")?;
    admin.batch_execute("create database installed")?;
    admin.batch_execute("create database contract")?;
    let mut db = cluster.client("installed")?;
    db.batch_execute("create extension easysync")?;
    db.batch_execute("select easysync.create_hub('commerce')")?;

    let path = std::env::var("PATH").unwrap_or_default();
    let compare = Command::new("python3")
        .arg(environment.root.join("tests/surface/compare.py"))
        .args(["installed", "contract"])
        .env("PATH", format!("{}:{path}", environment.pg_bin.display()))
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", cluster.port().to_string())
        .env("PGUSER", "postgres")
        .env("PGPASSWORD", cluster.password())
        .output()
        .context("python3")?;
    let said = String::from_utf8_lossy(&compare.stdout).into_owned();
    let complained = String::from_utf8_lossy(&compare.stderr).into_owned();
    cluster.remove()?;
    assert!(compare.status.success(), "{said}{complained}");
    Ok(())
}
