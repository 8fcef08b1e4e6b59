//! One cluster for everything that hostile servers send. Tenant "north" is connected to them, tenant
//! "default" to a good shop, and the worker may take so much memory and not more. After each attack:
//! the cluster never restarted, the worker is the same process and as large as it may be, and the
//! other tenant's run went on meanwhile.

use anyhow::{Context, Result, ensure};
use easysync_tests::bed::{Bed, Setup};
use easysync_tests::environment::Environment;
use easysync_tests::hostile::Hostile;
use easysync_tests::process::{as_postgres, run};
use easysync_tests::run::Run;
use postgres::types::ToSql;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that the worker may take above its idle size.
const MOST: u64 = 256 << 20;

/// How long an attack may keep a run busy.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The ground that attacks share.
pub struct Yard {
    pub bed: Bed,
    /// Hostile servers connected so far.
    connected: usize,
    worker: i32,
    /// The worker's resident bytes before the first attack.
    idle: u64,
    born: String,
    failed: bool,
}

static YARD: Mutex<Option<Yard>> = Mutex::new(None);

/// Runs an attack in the yard, which is made for the first of them, and looks at the host afterwards.
pub fn in_yard(attack: impl FnOnce(&mut Yard) -> Result<()>) -> Result<()> {
    let mut place = YARD.lock().unwrap_or_else(PoisonError::into_inner);
    let yard = match place.take() {
        Some(yard) => yard,
        None => Yard::make().context("the yard")?,
    };
    let yard = place.insert(yard);
    // Unless it comes to its end, by a panic or an error.
    let before = std::mem::replace(&mut yard.failed, true);
    attack(yard)?;
    yard.ensure_unharmed()?;
    yard.failed = before;
    Ok(())
}

/// Stops what the attacks shared; where one got through, the logs stay.
pub fn leave_yard() -> Result<()> {
    match YARD.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(yard) => {
            println!("the worker took {} MiB above its idle size", yard.grown()? >> 20);
            yard.bed.stop(!yard.failed)
        }
        None => Ok(()),
    }
}

impl Yard {
    fn make() -> Result<Self> {
        let environment = Environment::find()?;
        let mut bed = Bed::start(&environment, "test-attack-hostile", &Setup::default())?;
        match prepare(&environment, &mut bed) {
            Ok((worker, idle, born)) => {
                Ok(Self { bed, connected: 0, worker, idle, born, failed: false })
            }
            Err(error) => {
                bed.stop(false)?;
                Err(error)
            }
        }
    }

    /// Connects a hostile shop of tenant "north"; the connection's name.
    pub fn connect(&mut self, shop: &Hostile) -> Result<String> {
        self.connected += 1;
        let name = format!("hostile{}", self.connected);
        let settings = json!({"url": shop.url(), "allow_http": true, "timeout_seconds": 5});
        let keys = json!({"consumer_key": "ck_0123456789", "consumer_secret": "cs_0123456789"});
        self.in_north(|bed| {
            bed.db.execute(
                "select easysync.connect($1, 'woocommerce', settings => $2, credentials => $3, verify => false)",
                &[&name, &settings, &keys],
            )?;
            // As if it had answered once.
            bed.db.execute(
                "update easysync_internal.connections set status = 'connected' where tenant_id = 'north' and name = $1",
                &[&name],
            )?;
            Ok(())
        })?;
        Ok(name)
    }

    /// Connects hostile books of tenant "north", whose invoices are pulled; the connection's name.
    pub fn connect_books(&mut self, books: &Hostile) -> Result<String> {
        let (name, landed) = self.begin_books(books)?;
        self.in_north(|bed| {
            bed.db.execute("select easysync.oauth_complete($1)", &[&landed])?;
            bed.db.execute(
                "select easysync.set_stream($1, 'invoices', direction => 'pull')",
                &[&name],
            )?;
            Ok(())
        })?;
        Ok(name)
    }

    /// Hostile books whose access was granted on the page: the connection's name, and the address that
    /// the browser landed on.
    pub fn begin_books(&mut self, books: &Hostile) -> Result<(String, String)> {
        self.connected += 1;
        let (name, realm) =
            (format!("hostile{}", self.connected), format!("9999{}", self.connected));
        let preset = "simulator/fixtures/quickbooks/presets/us.settings.json";
        let preset = self.bed.cluster.environment().root.join(preset);
        let mut settings: Value = serde_json::from_str(&std::fs::read_to_string(preset)?)?;
        settings["api_url"] = books.url().into();
        settings["oauth_url"] = books.url().into();
        let keys = json!({"client_id": "app", "client_secret": "secret"});
        let landed = self.in_north(|bed| {
            bed.db.execute(
                "select easysync.connect($1, 'quickbooks', settings => $2, credentials => $3)",
                &[&name, &settings, &keys],
            )?;
            let back = "https://app.example/back";
            let page: String = bed
                .db
                .query_one("select easysync.oauth_authorize_url($1, $2)", &[&name, &back])?
                .get(0);
            let state = page.split(['?', '&']).find(|part| part.starts_with("state="));
            let state = state.with_context(|| format!("no state in {page}"))?;
            Ok(format!("{back}?code=granted&{state}&realmId={realm}"))
        })?;
        Ok((name, landed))
    }

    /// A call of a session that meets a hostile answer: it is refused, by words of its own, or
    /// cancelled when its time is over.
    pub fn refused(
        &mut self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<String> {
        let began = Instant::now();
        let refused = self.in_north(|bed| {
            bed.db.batch_execute("set statement_timeout = '3s'")?;
            let refused = bed.db.query(statement, parameters).err();
            bed.db.batch_execute("reset statement_timeout").context("the session is gone")?;
            Ok(refused)
        })?;
        ensure!(began.elapsed() < Duration::from_secs(6), "it took {:?}", began.elapsed());
        let Some(error) = refused else { return Ok(String::new()) };
        let db = error.as_db_error().with_context(|| format!("{error}"))?;
        ensure!(!db.code().code().starts_with("XX"), "{db:?}");
        let said =
            format!("{} {} {}", db.message(), db.detail().unwrap_or(""), db.hint().unwrap_or(""));
        ensure!(
            said.len() < 3000 && !said.contains(|c: char| c.is_control() && c != '\n'),
            "{said:?}"
        );
        Ok(db.code().code().to_owned())
    }

    /// Works as a member of tenant "north".
    pub fn in_north<T>(&mut self, work: impl FnOnce(&mut Bed) -> Result<T>) -> Result<T> {
        self.bed.db.batch_execute("set easysync.tenant_id = 'north'")?;
        let outcome = work(&mut self.bed);
        self.bed.db.batch_execute("reset easysync.tenant_id")?;
        outcome
    }

    /// A run of "north" by that connection, to its end; another tenant's run comes and goes meanwhile.
    pub fn run(&mut self, connection: &str, entity: &str, mode: &str) -> Result<Run> {
        let mut runs = self.run_all(&[(connection.to_owned(), entity)], mode)?;
        runs.pop().context("no run")
    }

    /// A run of "north" for each connection and entity, all at once.
    pub fn run_all(&mut self, runs: &[(String, &str)], mode: &str) -> Result<Vec<Run>> {
        let ids: Vec<i64> = self.in_north(|bed| {
            let trigger = "select easysync.trigger($1, $2, connection => $3)";
            let mut ids = Vec::new();
            for (connection, entity) in runs {
                ids.push(bed.db.query_one(trigger, &[entity, &mode, connection])?.get(0));
            }
            Ok(ids)
        })?;
        let other = self.bed.sync_well("customers", "full").context("the other tenant's run")?;
        ensure!(other.failed == 0, "{other:?}");
        self.in_north(|bed| {
            let ended =
                "select count(*) = 0 from easysync.sync_runs where status in ('queued', 'running')";
            bed.wait_until(ended, LIMIT)?;
            ids.iter().map(|id| Run::read(&mut bed.db, *id)).collect()
        })
    }

    /// Codes and messages of the failed records of "north", by that connection.
    pub fn failures(&mut self, connection: &str) -> Result<Vec<(String, String)>> {
        let rows = self.bed.db.query(
            "select record_id || ': ' || error_code, error_message from easysync_internal.sync_failures
              where tenant_id = 'north' and connection = $1 order by failure_id",
            &[&connection],
        )?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Disconnects it: nothing of an attack goes on beside the next one.
    pub fn disconnect(&mut self, connection: &str) -> Result<()> {
        self.in_north(|bed| {
            bed.db.execute("select easysync.disconnect($1)", &[&connection])?;
            Ok(())
        })
    }

    /// Bytes that the worker took above its idle size, at the most.
    fn grown(&self) -> Result<u64> {
        Ok(memory(self.worker, "VmHWM:")?.saturating_sub(self.idle))
    }

    fn ensure_unharmed(&mut self) -> Result<()> {
        let born = self.bed.text("pg_postmaster_start_time()")?.unwrap_or_default();
        ensure!(born == self.born, "the cluster restarted");
        let worker = self.bed.worker_pid()?;
        ensure!(worker == self.worker, "the worker went down");
        let log = self.bed.cluster.log();
        ensure!(!log.contains("terminating any other active server processes"), "a crash");
        let grown = self.grown()?;
        ensure!(grown <= MOST, "the worker took {} MiB above its idle size", grown >> 20);
        Ok(())
    }
}

/// Two tenants, and a limit to the worker's memory: its process, its idle size, the server's start.
fn prepare(environment: &Environment, bed: &mut Bed) -> Result<(i32, u64, String)> {
    bed.connect_shop()?;
    // Everything that an idle worker has, it has after its first work.
    bed.sync_well("orders", "full")?;
    bed.db.batch_execute("select easysync.add_tenant_member('postgres', 'north')")?;
    let worker = bed.worker_pid()?;
    let size = memory(worker, "VmSize:")?;
    // A worker that starts again has the postmaster's.
    let postmaster = bed.cluster.postmaster_pid().context("the postmaster")?;
    for pid in [postmaster, worker] {
        let mut limit = as_postgres(environment, Path::new("prlimit"));
        run(limit.args(["--pid", &pid.to_string(), &format!("--as={}", size + MOST)]))?;
    }
    let born = bed.text("pg_postmaster_start_time()")?.unwrap_or_default();
    Ok((worker, memory(worker, "VmRSS:")?, born))
}

/// A figure of /proc/PID/status, in bytes.
fn memory(pid: i32, name: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(name)).context("no such figure")?;
    let figure = line.split_whitespace().nth(1).context("no figure")?;
    Ok(figure.parse::<u64>()? << 10)
}

/// A record of a shop that maps without a fault.
pub fn product(id: u64) -> Value {
    json!({"id": id, "name": format!("Product {id}"), "type": "simple", "status": "publish",
           "sku": format!("S{id}"), "price": "1.00", "regular_price": "1.00",
           "date_created_gmt": "2026-01-01T00:00:00", "date_modified_gmt": "2026-01-01T00:00:00"})
}
