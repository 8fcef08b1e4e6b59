//! The SQL files: as installed they are the contract, and alone they keep their promises.

use anyhow::Result;
use easysync_tests::cluster::{Cluster, Options, Stop};
use easysync_tests::environment::Environment;
use easysync_tests::process::run;
use std::process::Command;

#[test]
fn the_installed_surface_is_the_contract() -> Result<()> {
    let environment = Environment::find()?;
    let mut cluster = Cluster::create(&environment, "test-surface")?;
    cluster.configure(&Options::default())?;
    cluster.start()?;
    let compared = compare(&environment, &cluster);
    cluster.stop(Stop::Immediate)?;
    cluster.remove()?;
    compared
}

fn compare(environment: &Environment, cluster: &Cluster) -> Result<()> {
    let mut admin = cluster.client("postgres")?;
    admin.batch_execute("create database installed")?;
    admin.batch_execute("create database contract")?;
    let mut client = cluster.client("installed")?;
    client.batch_execute("create extension easysync")?;
    client.batch_execute("select easysync.create_hub('commerce')")?;
    run(Command::new("python3")
        .arg(environment.root.join("tests/surface/compare.py"))
        .args(["installed", "contract"])
        .env("PATH", path_with(environment))
        .env("PGHOST", "127.0.0.1")
        .env("PGPORT", cluster.port().to_string())
        .env("PGUSER", "postgres")
        .env("PGPASSWORD", cluster.password()))?;
    Ok(())
}

/// With doubles in the place of the library: dumps, tenants, the fence, concurrent calls.
#[test]
fn the_sql_alone_keeps_its_promises() -> Result<()> {
    let environment = Environment::find()?;
    let mut command = Command::new(environment.root.join("tests/sql_only/run.sh"));
    command.env("PATH", path_with(&environment));
    command.env("PG_CONFIG", environment.pg_bin.join("pg_config"));
    if let Some(user) = &environment.pg_user {
        command.env("SERVER_USER", user);
    }
    run(&mut command)?;
    Ok(())
}

/// `psql` and `pg_dump` of the server that is tested come first.
fn path_with(environment: &Environment) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{}:{path}", environment.pg_bin.display())
}
