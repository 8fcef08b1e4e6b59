//! The SQL surface, one feature a file: `tests/pg_regress/sql/NAME.sql` is run by Postgres' own
//! `pg_regress` in a database of its own, with the extension in it, and its output must be
//! `tests/pg_regress/expected/NAME.out` to the letter.

use anyhow::{Context, Result};
use easysync_tests::cluster::{Cluster, Options};
use easysync_tests::environment::Environment;
use libtest_mimic::{Arguments, Failed, Trial};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

fn main() -> Result<()> {
    let arguments = Arguments::from_args();
    let environment = Environment::find()?;
    let input = environment.root.join("tests/pg_regress");
    let mut names = names(&input.join("sql"))?;
    names.sort();
    if arguments.list || names.is_empty() {
        let trials = names.into_iter().map(|name| Trial::test(name, || Ok(()))).collect();
        libtest_mimic::run(&arguments, trials).exit();
    }

    let mut cluster = Cluster::create(&environment, "test-sql-surface")?;
    cluster.configure(&Options::default().set("max_worker_processes", "64"))?;
    cluster.start()?;
    let shared = Arc::new(cluster.clone());
    let trials = names
        .into_iter()
        .map(|name| {
            let (cluster, input) = (shared.clone(), input.clone());
            Trial::test(name.clone(), move || run_file(&cluster, &input, &name))
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !conclusion.has_failed() {
        cluster.remove()?;
    } else {
        eprintln!("results and server log are in {}", cluster.dir().display());
        cluster.stop(easysync_tests::cluster::Stop::Immediate)?;
        std::fs::write(cluster.dir().join("keep"), "")?;
    }
    conclusion.exit()
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".sql").map(str::to_owned))
        .collect())
}

fn run_file(cluster: &Cluster, input: &Path, name: &str) -> Result<(), Failed> {
    let database = format!("regress_{name}");
    let mut admin = cluster.client("postgres")?;
    admin.batch_execute(&format!("create database {database}"))?;
    cluster.client(&database)?.batch_execute("create extension easysync")?;

    let output = cluster.dir().join("regress").join(name);
    std::fs::create_dir_all(&output)?;
    let bin = &cluster.environment().pg_bin;
    let program = bin.join("../lib/pgxs/src/test/regress/pg_regress");
    let run = Command::new(program)
        .env("PGPASSWORD", cluster.password())
        .arg("--use-existing")
        .arg(format!("--bindir={}", bin.display()))
        .arg(format!("--inputdir={}", input.display()))
        .arg(format!("--outputdir={}", output.display()))
        .arg("--host=127.0.0.1")
        .arg(format!("--port={}", cluster.port()))
        .arg("--user=postgres")
        .arg(format!("--dbname={database}"))
        .arg(name)
        .output()?;
    if !run.status.success() {
        let diffs = std::fs::read_to_string(output.join("regression.diffs")).unwrap_or_else(|_| {
            format!(
                "{}{}",
                String::from_utf8_lossy(&run.stdout),
                String::from_utf8_lossy(&run.stderr)
            )
        });
        return Err(format!("{diffs}\nresults: {}", output.join("results").display()).into());
    }
    admin.batch_execute(&format!("drop database {database} with (force)"))?;
    Ok(())
}
