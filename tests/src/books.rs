//! Simulated books of a bed: a company of a preset, connected with the settings that ship with it.

mod recorded;
mod table;

pub use recorded::{COMPANIES, Company, Recorded, recorded};
pub use table::{Row, Table, Tallies, Tally, total};

use crate::bed::{Bed, Setup, credential_file, with_bed};
use crate::run::Run;
use anyhow::{Context, Result, bail, ensure};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// The app's verifier token: what deliveries of its companies are signed with.
pub const VERIFIER: &str = "verifier-token-synthetic-0001";

/// One simulated company.
#[derive(Debug, Clone)]
pub struct Books {
    /// Name of the connection.
    pub name: String,
    pub realm: String,
    client_id: String,
    client_secret: String,
    redirect_uri: String,
}

impl Books {
    /// Connects a company as `books`.
    pub fn connect(bed: &mut Bed, preset: &str) -> Result<Books> {
        Books::connect_as(bed, "books", preset)
    }

    /// Connects a company by its preset, the way a person does: keys, page, callback.
    pub fn connect_as(bed: &mut Bed, name: &str, preset: &str) -> Result<Books> {
        Books::connect_with(bed, name, preset, &json!({}))
    }

    /// The same with settings in place of the preset's; null takes one away.
    pub fn connect_with(bed: &mut Bed, name: &str, preset: &str, changes: &Value) -> Result<Books> {
        let state = &bed.simulator.state.quickbooks;
        let companies = state["companies"].as_array().context("companies")?;
        let company = companies.iter().find(|c| c["preset"] == preset).cloned();
        let company = company.with_context(|| format!("no company {preset} in {state}"))?;
        Books::open(bed, name, preset, &company, changes)
    }

    /// Another company of the preset, which nobody has written to.
    pub fn found(bed: &mut Bed, name: &str, preset: &str, changes: &Value) -> Result<Books> {
        let company = bed.simulator.post("/quickbooks/companies", &json!({"preset": preset}))?;
        Books::open(bed, name, preset, &company, changes)
    }

    fn open(
        bed: &mut Bed,
        name: &str,
        preset: &str,
        company: &Value,
        changes: &Value,
    ) -> Result<Books> {
        let state = bed.simulator.state.quickbooks.clone();
        let text = |name: &str| -> Result<String> {
            Ok(company[name].as_str().with_context(|| name.to_owned())?.to_owned())
        };
        let books = Books {
            name: name.to_owned(),
            realm: text("realm_id")?,
            client_id: text("client_id")?,
            client_secret: text("client_secret")?,
            redirect_uri: text("redirect_uri")?,
        };
        let keys = json!({"client_id": books.client_id, "client_secret": books.client_secret,
                          "webhook_verifier_token": VERIFIER});
        let file = format!("{name}.json");
        credential_file(&bed.cluster, &file, &keys)?;
        let mut settings = preset_settings(bed, preset)?;
        for (key, value) in changes.as_object().into_iter().flatten() {
            settings[key] = value.clone();
        }
        if let Some(members) = settings.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        settings["api_url"] = state["api"].clone();
        settings["oauth_url"] = state["oauth"].clone();
        bed.db
            .execute(
                "select easysync.connect($1, 'quickbooks', settings => $2, credentials => $3)",
                &[&name, &settings, &json!({"file": file})],
            )
            .context("easysync.connect books")?;
        books.grant(bed)?;
        Ok(books)
    }

    /// The app's own secret.
    pub fn client_secret(&self) -> &str {
        &self.client_secret
    }

    /// Grants access on the page, and hands over the address that the browser lands on.
    pub fn grant(&self, bed: &mut Bed) -> Result<()> {
        let callback = self.callback(bed)?;
        bed.db
            .execute("select easysync.oauth_complete($1)", &[&callback])
            .context("oauth_complete")?;
        Ok(())
    }

    /// Grants access on the page; the address that the browser lands on.
    pub fn callback(&self, bed: &mut Bed) -> Result<String> {
        let url: String = bed
            .db
            .query_one(
                "select easysync.oauth_authorize_url($1, $2)",
                &[&self.name, &self.redirect_uri],
            )
            .context("oauth_authorize_url")?
            .get(0);
        let state = query(&url, "state").with_context(|| format!("no state in {url}"))?;
        let body = json!({"realm_id": self.realm, "redirect_uri": self.redirect_uri,
                          "state": state, "client_id": self.client_id});
        let answer = bed.simulator.post("/quickbooks/authorize", &body)?;
        let callback: &str = ["callback", "callback_url", "url", "redirect", "location"]
            .iter()
            .find_map(|name| answer[*name].as_str())
            .with_context(|| format!("no callback in {answer}"))?;
        Ok(callback.to_owned())
    }

    /// What the control API says of the company.
    pub fn get(&self, bed: &Bed, path: &str) -> Result<Value> {
        bed.simulator.get(&format!("/quickbooks/companies/{}/{path}", self.realm))
    }

    /// Sales and reversing documents by type and currency (`SalesReceipt USD`).
    pub fn documents(&self, bed: &Bed) -> Result<BTreeMap<String, Tally>> {
        let all = self.get(bed, "documents")?;
        let mut found = BTreeMap::new();
        for kind in ["SalesReceipt", "Invoice", "RefundReceipt", "CreditMemo"] {
            for (currency, totals) in all[kind].as_object().into_iter().flatten() {
                let read = || {
                    let (count, sum) = (totals["count"].as_i64()?, amount(&totals["total"])?);
                    Some(Tally { count, sum })
                };
                let row = read().with_context(|| format!("{kind} {currency}: {totals}"))?;
                found.insert(format!("{kind} {currency}"), row);
            }
        }
        Ok(found)
    }

    /// What the company's documents differ in from what the recorded shop gives.
    pub fn differences(&self, bed: &Bed, expected: &[Recorded]) -> Result<Vec<String>> {
        let mut wanted = BTreeMap::new();
        for row in expected {
            for (kind, tally) in row.documents() {
                wanted.insert(format!("{kind} {}", row.currency), tally);
            }
        }
        let found = self.documents(bed)?;
        let keys: BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
        let of =
            |all: &BTreeMap<String, Tally>, key: &String| all.get(key).copied().unwrap_or_default();
        let differs = keys.into_iter().filter(|key| of(&wanted, key) != of(&found, key));
        Ok(differs
            .map(|key| {
                format!(
                    "{key}: {:?} in the books, expected {:?}",
                    of(&found, key),
                    of(&wanted, key)
                )
            })
            .collect())
    }

    /// How many records of a type there are.
    pub fn count(&self, bed: &Bed, kind: &str) -> Result<usize> {
        Ok(self.records(bed, kind)?.len())
    }

    /// Writes that reached the company since they were last forgotten, those of batches included.
    pub fn writes(&self, bed: &Bed) -> Result<u64> {
        let calls = self.get(bed, "calls")?;
        let count = |name: &str| calls[name].as_u64().with_context(|| format!("{calls}"));
        Ok(count("writes")? + count("batch_items")?)
    }

    /// Calls to the API since they were last forgotten.
    pub fn calls(&self, bed: &Bed) -> Result<u64> {
        let calls = self.get(bed, "calls")?;
        calls["calls"].as_u64().with_context(|| format!("{calls}"))
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self, bed: &Bed) -> Result<()> {
        let path = format!("/quickbooks/companies/{}/calls", self.realm);
        bed.simulator.delete(&path).map(drop)
    }

    /// What a person does in QuickBooks: `edit`, `pay`, `deposit`, ...
    pub fn act(&self, bed: &Bed, action: &str, with: &Value) -> Result<Value> {
        bed.simulator.post(&format!("/quickbooks/companies/{}/actions/{action}", self.realm), with)
    }

    /// Records of a type, as the API shows them.
    pub fn records(&self, bed: &Bed, kind: &str) -> Result<Vec<Value>> {
        let records = self.get(bed, &format!("records/{kind}"))?;
        let list = records.as_array().or_else(|| records["records"].as_array());
        Ok(list.with_context(|| format!("{records}"))?.clone())
    }

    /// How many customers the sales documents name.
    pub fn customers_billed(&self, bed: &Bed) -> Result<usize> {
        let mut billed = BTreeSet::new();
        for kind in ["SalesReceipt", "Invoice"] {
            for record in self.records(bed, kind)? {
                billed.insert(record["CustomerRef"]["value"].to_string());
            }
        }
        Ok(billed.len())
    }

    /// Pushes to the end; a plan that waits is confirmed.
    pub fn push(&self, bed: &mut Bed, mode: &str) -> Result<Run> {
        let id: i64 = bed
            .db
            .query_one(
                "select easysync.trigger('orders', $1, connection => $2)",
                &[&mode, &self.name],
            )
            .context("easysync.trigger")?
            .get(0);
        self.wait(bed, id)
    }

    /// Waits for the end of a sync, and confirms what it asks for.
    pub fn wait(&self, bed: &mut Bed, id: i64) -> Result<Run> {
        self.wait_for(bed, id, Duration::from_secs(180))
    }

    /// The same with another patience.
    pub fn wait_for(&self, bed: &mut Bed, id: i64, limit: Duration) -> Result<Run> {
        let began = Instant::now();
        loop {
            let run = Run::read(&mut bed.db, id)?;
            if run.has_ended() {
                return Ok(run);
            }
            if run.status == "awaiting_confirmation" {
                self.confirm(bed, id)?;
            }
            if began.elapsed() > limit {
                bail!("sync {id} doesn't end: {run:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn confirm(&self, bed: &mut Bed, id: i64) -> Result<()> {
        let token: String = bed
            .db
            .query_one("select token from easysync.request_confirmation($1)", &[&id])
            .context("request_confirmation")?
            .get(0);
        bed.db.execute("select easysync.confirm($1)", &[&token]).context("confirm")?;
        Ok(())
    }
}

/// A bed with the recorded shop, pulled, and a company connected as `books`.
pub fn with_books(
    name: &str,
    preset: &str,
    test: impl FnOnce(&mut Bed, &Books) -> Result<()>,
) -> Result<()> {
    with_bed(name, Setup::default(), |bed| {
        bed.connect_shop()?;
        bed.sync_well("orders", "full")?;
        let books = Books::connect(bed, preset)?;
        test(bed, &books)?;
        let throttled = &books.get(bed, "calls")?["throttled"];
        ensure!(*throttled == 0, "{throttled} calls were too many for the company");
        Ok(())
    })
}

/// An amount of the simulator's JSON.
fn amount(value: &Value) -> Option<Decimal> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.to_string().parse().ok(),
    }
}

/// The settings that ship with a preset.
fn preset_settings(bed: &Bed, preset: &str) -> Result<Value> {
    let root = &bed.cluster.environment().root;
    let path = root.join(format!("simulator/fixtures/quickbooks/presets/{preset}.settings.json"));
    let text = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

/// A parameter of an address, as it stands there; states need no decoding.
fn query(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}
