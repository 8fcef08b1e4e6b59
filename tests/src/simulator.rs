//! The simulated platforms as a process of their own, and their control API.

use crate::compare::Shop;
use crate::environment::Environment;
use crate::rest::Rest;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// `simulators.json` as the simulators write it, as far as we read it.
#[derive(Debug, Clone, Deserialize)]
pub struct State {
    pub pid: i32,
    /// Base URL of the control API.
    pub control: String,
    /// The certificate authority to trust, PEM.
    pub ca_file: PathBuf,
    pub woocommerce: ShopState,
    /// The simulated books, as their state file has them.
    #[serde(default)]
    pub quickbooks: Value,
}

/// The simulated shop's addresses and keys.
#[derive(Debug, Clone, Deserialize)]
pub struct ShopState {
    pub https: String,
    pub http: String,
    /// By name: `read_write`, `read_only`, `write_only`, `customer_role`, ...
    pub keys: HashMap<String, KeyPair>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyPair {
    pub consumer_key: String,
    pub consumer_secret: String,
}

/// Running simulators. Dropping it leaves them alone: [`Simulator::stop`] ends them.
#[derive(Debug, Clone)]
pub struct Simulator {
    pub state: State,
    agent: ureq::Agent,
}

impl Simulator {
    /// Starts the simulators with their state file and log in `dir`; `arguments` as its `--help`
    /// says (`--generate 1000`).
    pub fn start(environment: &Environment, dir: &Path, arguments: &[&str]) -> Result<Self> {
        let state_file = dir.join("simulators.json");
        let log_file = dir.join("simulators.log");
        match fs::remove_file(&state_file) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
        let log = fs::File::create(&log_file)?;
        let mut child = Command::new(environment.program("simulator")?)
            .arg("--state-file")
            .arg(&state_file)
            .args(arguments)
            .current_dir(dir)
            // A group of its own: Ctrl-C in `make up` isn't for it.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("the simulators")?;
        let began = Instant::now();
        while !state_file.exists() {
            if child.try_wait()?.is_some() || began.elapsed() > Duration::from_secs(60) {
                let log = fs::read_to_string(&log_file).unwrap_or_default();
                bail!("the simulators did not start:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        fs::write(dir.join("simulator.pid"), child.id().to_string())?;
        // Reaps it when it ends while we live; it may well outlive us.
        std::thread::spawn(move || child.wait());
        Self::open(&state_file)
    }

    /// Simulators that another program started.
    pub fn open(state_file: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(state_file).with_context(|| format!("{}", state_file.display()))?;
        let state = serde_json::from_str(&text).context("simulators.json")?;
        // Refusals are answers here, with a reason in the body.
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        Ok(Self { state, agent })
    }

    /// One of the shop's key pairs, by name.
    pub fn key(&self, name: &str) -> Result<&KeyPair> {
        let keys = &self.state.woocommerce.keys;
        keys.get(name).with_context(|| format!("no key {name}; there are {:?}", keys.keys()))
    }

    /// The shop's own REST API, as a person with the key `read_write` uses it.
    pub fn rest(&self) -> Result<Rest> {
        let shop = &self.state.woocommerce;
        Rest::open(&shop.https, &self.state.ca_file, self.key("read_write")?)
    }

    /// Everything the shop shows.
    pub fn shop(&self) -> Result<Shop> {
        self.rest()?.everything()
    }

    /// Changes an order as the shop's staff would.
    pub fn update_order(&self, id: &str, change: &Value) -> Result<()> {
        self.rest()?.put(&format!("orders/{id}"), change).map(drop)
    }

    /// Does the process still run?
    pub fn is_running(&self) -> bool {
        fs::read_link(format!("/proc/{}/exe", self.state.pid))
            .is_ok_and(|exe| exe.to_string_lossy().contains("simulator"))
    }

    /// Asks the simulators to end, and waits until they have.
    pub fn stop(&self) -> Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        // It may be gone before it has answered: what counts is whether it goes.
        let _ = self.post("/shutdown", &Value::Null);
        let began = Instant::now();
        while self.is_running() {
            if began.elapsed() > Duration::from_secs(10) {
                bail!("the simulators (process {}) don't stop", self.state.pid);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    pub fn get(&self, path: &str) -> Result<Value> {
        let answer = self.agent.get(format!("{}{path}", self.state.control)).call();
        read(path, answer)
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.agent.post(format!("{}{path}", self.state.control));
        read(path, request.send(body_text(body)))
    }

    pub fn put(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.agent.put(format!("{}{path}", self.state.control));
        read(path, request.send(body_text(body)))
    }

    pub fn delete(&self, path: &str) -> Result<Value> {
        read(path, self.agent.delete(format!("{}{path}", self.state.control)).call())
    }

    /// Makes the shop misbehave; `matching` says on which calls (simulator/README.md). Returns
    /// the fault's id.
    pub fn fault(&self, name: &str, arguments: Value, matching: Value) -> Result<u64> {
        let mut body = json!({"fault": name, "match": matching});
        if let (Some(body), Value::Object(arguments)) = (body.as_object_mut(), arguments) {
            body.extend(arguments);
        }
        let answer = self.post("/woocommerce/faults", &body)?;
        answer["id"].as_u64().context("the fault's id")
    }

    pub fn clear_faults(&self) -> Result<()> {
        self.delete("/woocommerce/faults").map(drop)
    }

    /// Calls to the shop so far, or since [`Simulator::reset_calls`].
    pub fn calls(&self) -> Result<u64> {
        let calls = self.get("/woocommerce/calls")?;
        calls["total"].as_u64().with_context(|| format!("no total in {calls}"))
    }

    /// How often the shop was asked for a record by its id: each id of an `include` counts.
    pub fn record_fetches(&self) -> Result<usize> {
        let log = self.get("/woocommerce/calls/log")?;
        let calls = log.as_array().context("the call log is no list")?;
        Ok(calls.iter().map(fetches).sum())
    }

    pub fn reset_calls(&self) -> Result<()> {
        self.delete("/woocommerce/calls").map(drop)
    }
}

fn fetches(call: &Value) -> usize {
    let (path, query) = (call["path"].as_str().unwrap_or(""), call["query"].as_str().unwrap_or(""));
    let included = query.split('&').find_map(|part| part.strip_prefix("include="));
    match included {
        Some(ids) => ids.replace("%2C", ",").split(',').count(),
        // `/wc/v3/orders/17`, also `/products/17/variations`.
        None => path.split('/').filter(|part| part.parse::<u64>().is_ok()).count(),
    }
}

fn body_text(body: &Value) -> String {
    if body.is_null() { String::new() } else { body.to_string() }
}

fn read(
    path: &str,
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Value> {
    let answer = answer.with_context(|| format!("control API, {path}"))?;
    read_json(answer).with_context(|| format!("control API, {path}"))
}

/// The answer's JSON; whatever isn't a success is an error with the body in it.
pub(crate) fn read_json(mut answer: ureq::http::Response<ureq::Body>) -> Result<Value> {
    let text = answer.body_mut().with_config().limit(1 << 30).read_to_string()?;
    if !answer.status().is_success() {
        bail!("{} {text}", answer.status());
    }
    serde_json::from_str(&text).with_context(|| text)
}
