//! A small client of a WooCommerce shop's REST API, for looking at the shop and for changing it as
//! its staff would. It shares no code with the engine's connector.

use crate::compare::Shop;
use crate::simulator::{KeyPair, read_json};
use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// As many decimals as WooCommerce keeps.
const DECIMALS: &str = "dp=6";
const PAGE: usize = 100;

pub struct Rest {
    base: String,
    authorization: String,
    agent: ureq::Agent,
}

impl Rest {
    /// `url`: the shop's https address; `ca_file`: PEM of whom to trust.
    pub fn open(url: &str, ca_file: &Path, key: &KeyPair) -> Result<Self> {
        let pem = std::fs::read(ca_file).with_context(|| ca_file.display().to_string())?;
        let roots = RootCerts::Specific(Arc::new(vec![Certificate::from_pem(&pem)?]));
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build()
            .into();
        let pair = format!("{}:{}", key.consumer_key, key.consumer_secret);
        let authorization = format!("Basic {}", STANDARD.encode(pair));
        Ok(Self { base: format!("{url}/wp-json/wc/v3"), authorization, agent })
    }

    pub fn get(&self, path: &str) -> Result<Value> {
        let request = self.agent.get(format!("{}/{path}", self.base));
        let answer = request.header("Authorization", &self.authorization).call()?;
        read_json(answer).with_context(|| format!("GET {path}"))
    }

    pub fn put(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.agent.put(format!("{}/{path}", self.base));
        let request = request.header("Authorization", &self.authorization);
        let answer = request.content_type("application/json").send(body.to_string())?;
        read_json(answer).with_context(|| format!("PUT {path}"))
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.agent.post(format!("{}/{path}", self.base));
        let request = request.header("Authorization", &self.authorization);
        let answer = request.content_type("application/json").send(body.to_string())?;
        read_json(answer).with_context(|| format!("POST {path}"))
    }

    pub fn delete(&self, path: &str) -> Result<Value> {
        let request = self.agent.delete(format!("{}/{path}", self.base));
        let answer = request.header("Authorization", &self.authorization).call()?;
        read_json(answer).with_context(|| format!("DELETE {path}"))
    }

    /// All pages of a list, by id: `path` may hold a query already.
    pub fn list(&self, path: &str) -> Result<Vec<Value>> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let mut all = Vec::new();
        for page in 1.. {
            let query = format!("per_page={PAGE}&page={page}&orderby=id&order=asc&{DECIMALS}");
            let Value::Array(records) = self.get(&format!("{path}{joint}{query}"))? else {
                anyhow::bail!("{path} is no list");
            };
            let length = records.len();
            all.extend(records);
            if length < PAGE {
                break;
            }
        }
        let mut ids: Vec<String> = all.iter().map(|record| record["id"].to_string()).collect();
        ids.sort();
        ids.dedup();
        ensure!(ids.len() == all.len(), "{path}: a record came twice: read while it changed");
        Ok(all)
    }

    /// Everything that the shop shows. Nobody may change it meanwhile.
    pub fn everything(&self) -> Result<Shop> {
        let products = self.list("products")?;
        let mut variations = Vec::new();
        for parent in products.iter().filter(|product| product["type"] == "variable") {
            for mut variation in self.list(&format!("products/{}/variations", parent["id"]))? {
                variation["parent_id"] = parent["id"].clone();
                variations.push(variation);
            }
        }
        Ok(Shop {
            products,
            variations,
            customers: self.list("customers?role=all")?,
            orders: self.list("orders")?,
            trashed_orders: self.list("orders?status=trash")?,
            refunds: self.list("refunds")?,
        })
    }
}
