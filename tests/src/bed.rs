//! A test bed: a cluster with the extension, simulated platforms that it may talk to, and a
//! client. One for each test, so that logs and counts are that test's own.

use crate::cluster::{Cluster, Options, Stop};
use crate::environment::Environment;
use crate::process::{give, private_file, run};
use crate::run::Run;
use crate::simulator::Simulator;
use anyhow::{Context, Result, bail};
use postgres::Client;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How a bed is set up.
#[derive(Debug, Clone)]
pub struct Setup {
    pub cluster: Options,
    /// Arguments of the simulators; none: the recorded shop.
    pub simulator: Vec<String>,
    /// May the server talk to the simulators? Tests of refusals say no.
    pub allow_private: bool,
    /// The database with the extension.
    pub database: String,
    /// Where the simulators' state file goes; None: into the cluster's directory.
    pub simulator_dir: Option<std::path::PathBuf>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            cluster: Options::default(),
            simulator: Vec::new(),
            allow_private: true,
            database: "shop".into(),
            simulator_dir: None,
        }
    }
}

impl Setup {
    /// A shop with so many generated orders.
    pub fn generated(orders: u64) -> Self {
        let simulator = vec!["--generate".to_owned(), orders.to_string()];
        Self { simulator, ..Self::default() }
    }
}

/// Cluster, simulators and a superuser's client of the database.
pub struct Bed {
    pub cluster: Cluster,
    pub simulator: Simulator,
    pub db: Client,
    pub database: String,
}

impl Bed {
    /// Starts everything in `clusters/<name>` and creates the extension.
    pub fn start(environment: &Environment, name: &str, setup: &Setup) -> Result<Self> {
        let mut cluster = Cluster::create(environment, name)?;
        let simulator_dir = setup.simulator_dir.as_deref().unwrap_or(cluster.dir());
        let arguments: Vec<&str> = setup.simulator.iter().map(String::as_str).collect();
        let simulator = Simulator::start(environment, simulator_dir, &arguments)?;
        let db = Self::prepare(&mut cluster, &simulator, setup);
        match db {
            Ok(db) => Ok(Self { cluster, simulator, db, database: setup.database.clone() }),
            Err(e) => {
                simulator.stop()?;
                if cluster.is_running() {
                    cluster.stop(Stop::Immediate)?;
                }
                Err(e)
            }
        }
    }

    fn prepare(cluster: &mut Cluster, simulator: &Simulator, setup: &Setup) -> Result<Client> {
        let ca_file = cluster.dir().join("ca.pem");
        let ca = std::fs::read_to_string(&simulator.state.ca_file).context("the CA's file")?;
        private_file(cluster.environment(), &ca_file, &ca)?;
        let mut options = setup.cluster.clone();
        options = options.set("easysync.ca_file", &ca_file.display().to_string());
        if setup.allow_private {
            options = options.set("easysync.allowed_private_hosts", "127.0.0.1");
        }
        cluster.configure(&options)?;
        write_credentials(cluster, simulator)?;
        cluster.start()?;
        let mut admin = cluster.client("postgres")?;
        admin.batch_execute(&format!("create database {}", setup.database))?;
        let mut db = cluster.client(&setup.database)?;
        db.batch_execute("create extension easysync").context("create extension easysync")?;
        Ok(db)
    }

    /// Stops everything; with `remove`, nothing stays on disk.
    pub fn stop(mut self, remove: bool) -> Result<()> {
        self.simulator.stop()?;
        if remove {
            return self.cluster.remove();
        }
        if self.cluster.is_running() {
            self.cluster.stop(Stop::Immediate)?;
        }
        Ok(())
    }

    /// Another superuser's session on the same database.
    pub fn client(&self) -> Result<Client> {
        self.cluster.client(&self.database)
    }

    /// A new client in place of one that a restart cut off.
    pub fn reconnect(&mut self) -> Result<()> {
        self.db = self.client()?;
        Ok(())
    }

    /// The same after a crash, while the server isn't ready yet.
    pub fn reconnect_patiently(&mut self) -> Result<()> {
        let began = Instant::now();
        loop {
            match self.reconnect() {
                Err(_) if began.elapsed() < Duration::from_secs(60) => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                outcome => return outcome,
            }
        }
    }

    /// Connects the simulated shop as `shop`, over https, with the credentials' file.
    pub fn connect_shop(&mut self) -> Result<()> {
        let settings = json!({"url": self.simulator.state.woocommerce.https});
        self.connect_shop_with(&settings)
    }

    /// The same with other settings.
    pub fn connect_shop_with(&mut self, settings: &Value) -> Result<()> {
        self.db
            .execute(
                "select easysync.connect('shop', 'woocommerce', settings => $1, credentials => $2)",
                &[settings, &json!({"file": "shop.json"})],
            )
            .context("easysync.connect")?;
        Ok(())
    }

    /// Process id of this database's worker, once it is there.
    pub fn worker_pid(&mut self) -> Result<i32> {
        const WORKER: &str = "select pid from pg_stat_activity
            where backend_type = 'easysync worker' and datname = current_database()";
        self.wait_until(&format!("({WORKER}) is not null"), Duration::from_secs(20))?;
        Ok(self.db.query_one(WORKER, &[]).context("the worker")?.get(0))
    }

    /// Process ids of worker and launcher.
    pub fn process_ids(&mut self) -> Result<Vec<i32>> {
        let rows = self
            .db
            .query("select pid from pg_stat_activity where backend_type like 'easysync%'", &[])?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Queues a sync and waits until it has ended, however it ended.
    pub fn sync(&mut self, entity: &str, mode: &str) -> Result<Run> {
        let id: i64 = self
            .db
            .query_one("select easysync.trigger($1, $2)", &[&entity, &mode])
            .context("easysync.trigger")?
            .get(0);
        self.wait(id)
    }

    /// The same, and it is an error when anything failed.
    pub fn sync_well(&mut self, entity: &str, mode: &str) -> Result<Run> {
        let run = self.sync(entity, mode)?;
        if run.status != "succeeded" {
            bail!("sync {} {}: {:?}\n{}", run.sync_id, run.status, run, self.recent_log()?);
        }
        Ok(run)
    }

    /// Waits for the end of a sync.
    pub fn wait(&mut self, sync_id: i64) -> Result<Run> {
        let began = Instant::now();
        loop {
            let run = Run::read(&mut self.db, sync_id)?;
            if run.has_ended() {
                return Ok(run);
            }
            if began.elapsed() > Duration::from_secs(120) {
                bail!("sync {sync_id} doesn't end: {run:?}\n{}", self.recent_log()?);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until a condition in SQL holds.
    pub fn wait_until(&mut self, condition: &str, limit: Duration) -> Result<()> {
        let began = Instant::now();
        loop {
            let row = self.db.query_one(&format!("select coalesce(({condition}), false)"), &[])?;
            if row.get(0) {
                return Ok(());
            }
            if began.elapsed() > limit {
                bail!("still not so after {limit:?}: {condition}\n{}", self.recent_log()?);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// One value of any type, as text.
    pub fn text(&mut self, query: &str) -> Result<Option<String>> {
        let row = self.db.query_opt(&format!("select ({query})::text"), &[]).context("text")?;
        Ok(row.and_then(|row| row.get(0)))
    }

    pub fn count(&mut self, from: &str) -> Result<i64> {
        let query = format!("select count(*) from {from}");
        Ok(self.db.query_one(&query, &[]).with_context(|| query.clone())?.get(0))
    }

    /// The last rows of `sync_logs` and lines of the server's log, for messages.
    fn recent_log(&mut self) -> Result<String> {
        let rows = self.db.query(
            "select format('%s %s %s %s', level, operation, message, error_message)
             from easysync.sync_logs order by log_id desc limit 20",
            &[],
        )?;
        let mut lines: Vec<String> = rows.iter().rev().map(|row| row.get(0)).collect();
        let failures = self.db.query(
            "select format('failed: %s %s %s: %s %s', entity, record_id, error_code,
                           error_message, error_hint)
             from easysync.sync_failures order by failure_id limit 10",
            &[],
        )?;
        lines.extend(failures.iter().map(|row| row.get(0)));
        Ok(format!("{}\n--- server log\n{}", lines.join("\n"), tail(&self.cluster.log(), 30)))
    }
}

/// The key pair as the server reads it: `credentials => '{"file": "shop.json"}'`.
fn write_credentials(cluster: &Cluster, simulator: &Simulator) -> Result<()> {
    let pair = serde_json::to_value(simulator.key("read_write")?)?;
    credential_file(cluster, "shop.json", &pair)?;
    // Another tenant's files lie in a directory of its own.
    let north = cluster.credential_dir().join("north");
    std::fs::create_dir_all(&north)?;
    give(cluster.environment(), &north)?;
    credential_file(cluster, "north/shop.json", &pair)
}

/// Puts a file under `easysync.credential_dir`.
pub fn credential_file(cluster: &Cluster, name: &str, content: &Value) -> Result<()> {
    let path = cluster.credential_dir().join(name);
    private_file(cluster.environment(), &path, &content.to_string())
}

/// Runs a test on a bed of its own: afterwards everything is stopped; when it failed, the logs
/// stay and their end is shown.
pub fn with_bed(name: &str, setup: Setup, test: impl FnOnce(&mut Bed) -> Result<()>) -> Result<()> {
    let environment = Environment::find()?;
    let mut bed = Bed::start(&environment, &format!("test-{name}"), &setup)?;
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&mut bed)));
    let failed = !matches!(outcome, Ok(Ok(())));
    let dir = bed.cluster.dir().to_path_buf();
    if failed {
        eprintln!(
            "--- end of {}\n{}",
            dir.join("server.log").display(),
            tail(&bed.cluster.log(), 40)
        );
        std::fs::write(dir.join("keep"), "")?;
    }
    bed.stop(!failed)?;
    if failed {
        remove_data(&dir)?;
    }
    match outcome {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Logs are worth keeping, tens of megabytes of empty tables aren't.
fn remove_data(dir: &Path) -> Result<()> {
    run(Command::new("rm").arg("-rf").arg(dir.join("data"))).map(drop)
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
