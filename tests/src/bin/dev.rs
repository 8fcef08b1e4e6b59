//! `make up`, `make down`, `make url`, `make psql`: the private development server.

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use easysync_tests::bed::{Bed, Setup};
use easysync_tests::cluster::{Cluster, Options, Stop};
use easysync_tests::environment::Environment;
use easysync_tests::simulator::Simulator;
use std::os::unix::process::CommandExt;
use std::process::Command;

const DATABASE: &str = "easysync_dev";
const CLUSTER: &str = "dev";

/// The private development server.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Start server and simulators, afresh.
    Up,
    /// Stop both.
    Down,
    /// Print the connection string.
    Url,
    /// Open psql.
    Psql,
}

fn main() -> Result<()> {
    let environment = Environment::find()?;
    match Arguments::parse().verb {
        Verb::Up => up(&environment),
        Verb::Down => down(&environment),
        Verb::Url => {
            println!("{}", running(&environment)?.url(DATABASE));
            Ok(())
        }
        Verb::Psql => psql(&environment),
    }
}

fn running(environment: &Environment) -> Result<Cluster> {
    match Cluster::open(environment, CLUSTER)? {
        Some(cluster) if cluster.is_running() => Ok(cluster),
        _ => bail!("the development server doesn't run: make up"),
    }
}

fn up(environment: &Environment) -> Result<()> {
    let dir = environment.target.join("dev");
    let simulator = Simulator::open(&dir.join("simulators.json")).ok();
    match (running(environment).is_ok(), simulator.is_some_and(|s| s.is_running())) {
        (true, true) => {
            println!("already running; make down stops it, make up then begins afresh");
            return explain(environment);
        }
        // Half of it is no use: begin again.
        (true, false) | (false, true) => down(environment)?,
        (false, false) => {}
    }
    let setup = Setup {
        cluster: Options { fsync: true, ..Options::default() },
        database: DATABASE.into(),
        simulator_dir: Some(dir),
        ..Setup::default()
    };
    Bed::start(environment, CLUSTER, &setup)?;
    explain(environment)
}

fn explain(environment: &Environment) -> Result<()> {
    let cluster = running(environment)?;
    let simulators = environment.target.join("dev/simulators.json");
    let simulator = Simulator::open(&simulators)?;
    println!(
        "database     {DATABASE}, with the extension: make psql, or psql \"$(make url)\"
shop         {}
simulators   {}
server log   {}

Connect the shop and sync it:
  select easysync.connect('shop', 'woocommerce',
         settings => '{{\"url\": \"{}\"}}', credentials => '{{\"file\": \"shop.json\"}}');
  call easysync.run('orders');",
        simulator.state.woocommerce.https,
        simulators.display(),
        cluster.log_file().display(),
        simulator.state.woocommerce.https,
    );
    Ok(())
}

fn down(environment: &Environment) -> Result<()> {
    if let Ok(cluster) = running(environment) {
        cluster.stop(Stop::Fast)?;
    }
    let state_file = environment.target.join("dev/simulators.json");
    if let Ok(simulator) = Simulator::open(&state_file) {
        simulator.stop()?;
        std::fs::remove_file(&state_file).context("simulators.json")?;
    }
    Ok(())
}

fn psql(environment: &Environment) -> Result<()> {
    let cluster = running(environment)?;
    // Not the URL as an argument: others could read the password in the process list.
    let error = Command::new(environment.pg_bin.join("psql"))
        .env("PGPASSWORD", cluster.password())
        .args(["-h", "127.0.0.1", "-U", "postgres", "-d", DATABASE])
        .arg("-p")
        .arg(cluster.port().to_string())
        .exec();
    Err(error).context("psql")
}
