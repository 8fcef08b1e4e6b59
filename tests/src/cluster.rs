//! A Postgres cluster of our own: TCP on 127.0.0.1, a free port, a random password, no socket
//! files, started and stopped by its own data directory and nothing else.

use crate::environment::Environment;
use crate::process::{as_postgres, open_dir, private_dir, private_file, run};
use anyhow::{Context, Result, bail};
use postgres::{Client, Config, NoTls};
use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How a cluster is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Survive a crash of the machine. Tests that kill only Postgres don't need it.
    pub fsync: bool,
    /// Load the library at start, and with it the worker.
    pub preload: bool,
    /// Further lines for `postgresql.conf`.
    pub settings: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self { fsync: false, preload: true, settings: Vec::new() }
    }
}

impl Options {
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// `pg_ctl stop` modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    Fast,
    Immediate,
}

/// A running (or stopped) cluster. Dropping it leaves it alone: [`Cluster::remove`] ends it.
#[derive(Debug, Clone)]
pub struct Cluster {
    environment: Environment,
    dir: PathBuf,
    port: u16,
    password: String,
}

impl Cluster {
    /// Makes a fresh cluster in `clusters/<name>` of the run directory; [`Cluster::configure`] and
    /// [`Cluster::start`] come next. What an earlier one of that name left is removed, but its
    /// port is taken over while nobody else listens there.
    pub fn create(environment: &Environment, name: &str) -> Result<Self> {
        let before = Self::open(environment, name)?.map(|cluster| cluster.port);
        let password = template(environment)?;
        let dir = environment.run_dir.join("clusters").join(name);
        let mut cluster = Self { environment: environment.clone(), dir, port: 0, password };
        cluster.remove().context("clearing what an earlier cluster left")?;
        cluster.port = match before {
            Some(port) if is_free(port) => port,
            _ => free_port()?,
        };
        open_dir(&environment.run_dir.join("clusters"))?;
        private_dir(environment, &cluster.dir)?;
        private_dir(environment, &cluster.credential_dir())?;
        run(std::process::Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .arg(environment.run_dir.join("template/data"))
            .arg(cluster.data_dir()))?;
        Ok(cluster)
    }

    /// The cluster of that name as another program left it, running or not.
    pub fn open(environment: &Environment, name: &str) -> Result<Option<Self>> {
        let dir = environment.run_dir.join("clusters").join(name);
        let Ok(port) = fs::read_to_string(dir.join("port")) else { return Ok(None) };
        let password = template(environment)?;
        let port = port.trim().parse().context("the port file")?;
        Ok(Some(Self { environment: environment.clone(), dir, port, password }))
    }

    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Everything of this cluster lies below.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Value of `easysync.credential_dir`.
    pub fn credential_dir(&self) -> PathBuf {
        self.dir.join("credentials")
    }

    pub fn log_file(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    /// Everything the server has logged so far.
    pub fn log(&self) -> String {
        fs::read(self.log_file())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The superuser's.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// For programs: a URL with the superuser's password in it.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// A client of the superuser.
    pub fn client(&self, database: &str) -> Result<Client> {
        self.config(database).connect(NoTls).context("connecting to the test cluster")
    }

    /// How a client of the superuser connects, for callers that add to it.
    pub fn config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config
            .host("127.0.0.1")
            .port(self.port)
            .user("postgres")
            .password(&self.password)
            .dbname(database)
            .application_name("easysync-tests");
        config
    }

    /// A physical copy of this running cluster in `clusters/<name>`, not started yet. `standby`: it
    /// follows this one; else it is a clone that goes its own way.
    pub fn base_backup(&self, name: &str, standby: bool) -> Result<Self> {
        let mut copy = Self {
            dir: self.environment.run_dir.join("clusters").join(name),
            port: free_port()?,
            ..self.clone()
        };
        copy.remove()?;
        private_dir(&self.environment, &copy.dir)?;
        let mut command = as_postgres(&self.environment, &self.pg_bin("pg_basebackup"));
        command.env("PGPASSWORD", &self.password);
        command.args(["--checkpoint=fast", "--no-sync", "--host=127.0.0.1", "--username=postgres"]);
        command.arg(format!("--port={}", self.port)).arg("--pgdata").arg(copy.data_dir());
        if standby {
            command.arg("--write-recovery-conf");
        }
        run(&mut command)?;
        Ok(copy)
    }

    /// Further settings for a server that isn't running.
    pub fn add_settings(&self, settings: &[(&str, &str)]) -> Result<()> {
        let file = self.data_dir().join("postgresql.conf");
        let mut text = fs::read_to_string(&file)?;
        for (name, value) in settings {
            text += &format!("{name} = '{}'\n", value.replace('\'', "''"));
        }
        private_file(&self.environment, &file, &text)
    }

    /// Makes a standby a primary.
    pub fn promote(&self) -> Result<()> {
        run(as_postgres(&self.environment, &self.pg_bin("pg_ctl"))
            .args(["-w", "-s", "promote", "-D"])
            .arg(self.data_dir()))
        .map(drop)
    }

    /// A client program of Postgres (`pg_dump`, `pg_restore`) that finds this cluster.
    pub fn program(&self, name: &str) -> std::process::Command {
        let mut command = std::process::Command::new(self.pg_bin(name));
        command.env("PGPASSWORD", &self.password);
        command.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string());
        command.env("PGUSER", "postgres");
        command
    }

    /// Writes `postgresql.conf`. Once, before the first start.
    pub fn configure(&self, options: &Options) -> Result<()> {
        let mut lines = vec![
            ("listen_addresses".to_owned(), "127.0.0.1".to_owned()),
            ("unix_socket_directories".to_owned(), String::new()),
            ("fsync".to_owned(), if options.fsync { "on" } else { "off" }.to_owned()),
            ("shared_buffers".to_owned(), "64MB".to_owned()),
            ("max_connections".to_owned(), "40".to_owned()),
            ("log_timezone".to_owned(), "UTC".to_owned()),
            ("log_line_prefix".to_owned(), "%m [%p] %b %q%u@%d ".to_owned()),
            ("easysync.credential_dir".to_owned(), self.credential_dir().display().to_string()),
        ];
        if options.preload {
            lines.push(("shared_preload_libraries".to_owned(), "easysync".to_owned()));
        }
        lines.extend(options.settings.iter().cloned());
        let text: String = lines
            .iter()
            .map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''")))
            .collect();
        let file = self.data_dir().join("postgresql.conf");
        let before = fs::read_to_string(&file).context("postgresql.conf of the template")?;
        private_file(&self.environment, &file, &(before + &text))
    }

    /// Starts the server, on another port when somebody took ours meanwhile.
    pub fn start(&mut self) -> Result<()> {
        let mut failure = None;
        for _ in 0..5 {
            let mut command = as_postgres(&self.environment, &self.pg_bin("pg_ctl"));
            command.args(["-w", "-s", "-t", "60", "start", "-D"]).arg(self.data_dir());
            command.arg("-l").arg(self.log_file());
            command.arg("-o").arg(format!("-p {}", self.port));
            // pg_ctl's own output is inherited by the server: a pipe would never end.
            let errors = self.dir.join("pg_ctl.log");
            let file = fs::File::create(&errors)?;
            command.stdout(file.try_clone()?).stderr(file);
            let status = command.status().context("pg_ctl start")?;
            if status.success() {
                fs::write(self.dir.join("port"), self.port.to_string())?;
                return Ok(());
            }
            failure = Some(fs::read_to_string(&errors).unwrap_or_default());
            let taken = self.log().lines().rev().take(20).any(|l| l.contains("could not bind"));
            if !taken {
                break;
            }
            self.port = free_port()?;
        }
        let tail: Vec<String> = self.log().lines().rev().take(15).map(str::to_owned).collect();
        let tail: Vec<String> = tail.into_iter().rev().collect();
        bail!("the server did not start: {}\n{}", failure.unwrap_or_default(), tail.join("\n"))
    }

    /// Stops the server and says how long that took.
    pub fn stop(&self, mode: Stop) -> Result<Duration> {
        let began = Instant::now();
        let mode = match mode {
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        };
        run(as_postgres(&self.environment, &self.pg_bin("pg_ctl"))
            .args(["-w", "-s", "-t", "60", "stop", "-m", mode, "-D"])
            .arg(self.data_dir()))?;
        Ok(began.elapsed())
    }

    pub fn restart(&mut self) -> Result<()> {
        self.stop(Stop::Fast)?;
        self.start()
    }

    /// Process id of the postmaster; None: not running.
    pub fn postmaster_pid(&self) -> Option<i32> {
        let text = fs::read_to_string(self.data_dir().join("postmaster.pid")).ok()?;
        let pid: i32 = text.lines().next()?.trim().parse().ok()?;
        // After a kill the file stays behind: the process must be there and work in our directory.
        let cwd = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
        (cwd == self.data_dir()).then_some(pid)
    }

    pub fn is_running(&self) -> bool {
        self.postmaster_pid().is_some()
    }

    /// Stops the server if it runs and deletes everything of it.
    pub fn remove(&mut self) -> Result<()> {
        if self.is_running() {
            self.stop(Stop::Immediate)?;
        }
        match fs::remove_dir_all(&self.dir) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(e).with_context(|| self.dir.display().to_string())
            }
            _ => Ok(()),
        }
    }

    fn pg_bin(&self, name: &str) -> PathBuf {
        self.environment.pg_bin.join(name)
    }
}

/// Runs `initdb` once for all clusters (a copy takes a tenth of its time); returns the
/// superuser's password.
fn template(environment: &Environment) -> Result<String> {
    let dir = environment.run_dir.join("template");
    fs::create_dir_all(&environment.run_dir)?;
    let lock = fs::File::create(environment.run_dir.join("template.lock"))?;
    lock.lock().context("template.lock")?;
    let password_file = dir.join("password");
    if dir.join("done").exists() {
        return Ok(fs::read_to_string(&password_file)?.trim().to_owned());
    }
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    private_dir(environment, &dir)?;
    let password = random_hex(16)?;
    private_file(environment, &password_file, &password)?;
    run(as_postgres(environment, &environment.pg_bin.join("initdb"))
        .args(["--no-sync", "--username=postgres", "--auth=scram-sha-256"])
        .args(["--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"])
        .arg(format!("--pwfile={}", password_file.display()))
        .arg("-D")
        .arg(dir.join("data")))?;
    fs::write(dir.join("done"), "")?;
    Ok(password)
}

/// A port that nobody listens on, below the range that outgoing connections are given: a server
/// that is stopped and started again finds it free.
fn free_port() -> Result<u16> {
    for _ in 0..200 {
        let port = 20_000 + u16::from_str_radix(&random_hex(2)?, 16)? % 12_000;
        if is_free(port) {
            return Ok(port);
        }
    }
    bail!("no free port on 127.0.0.1")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Random bytes in hex.
pub fn random_hex(bytes: usize) -> Result<String> {
    let mut buffer = vec![0; bytes];
    fs::File::open("/dev/urandom")?.read_exact(&mut buffer)?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect())
}
