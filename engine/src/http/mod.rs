//! The HTTP layer that every connector uses: time-outs, a cap on the answer's size, retries with
//! full jitter, `Retry-After`, a token bucket, a circuit breaker, cancellation, refusal of private
//! addresses, and JSON that is checked before it is believed.
//!
//! A worker has one [`HttpContext`], each run one of its own made by [`HttpContext::with_cancel`]; a
//! connector takes a [`Client`] for its account and sends [`Request`]s:
//!
//! ```no_run
//! # use engine::http::*;
//! # async fn f(http: &std::sync::Arc<HttpContext>) -> engine::Result<()> {
//! let client = http.client("https://shop.test", ClientConfig::default());
//! let url = reqwest::Url::parse("https://shop.test/wp-json/wc/v3/orders").unwrap();
//! let response = client.send(&Request::get(url)).await?;
//! let orders: Json<Vec<&serde_json::value::RawValue>> = response.json()?;
//! # Ok(()) }
//! ```

mod account;
mod address;
mod breaker;
pub mod budget;
mod client;
mod exchange;
mod failure;
mod json;
mod limits;
mod meter;
mod pace;
mod request;
mod resolver;
mod retry;

pub use address::{AddressPolicy, Target, refusal};
pub use breaker::{BreakerPolicy, Circuit, CircuitState};
pub use client::{Client, ClientConfig};
pub use json::{Json, json_body};
pub use limits::{Limits, Rate};
pub use meter::{Meter, WaitReason, Waiting};
pub use pace::{Pace, Spacing, Window};
pub use request::{Attempt, Request, Response, Signer};
pub use reqwest::{Method, StatusCode, Url, header};
pub use retry::RetryPolicy;

use crate::clock::Clock;
use crate::error::{Error, Result};
use account::AccountState;
use limits::{Steady, lock};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What the layer needs from outside.
#[derive(Clone)]
pub struct HttpConfig {
    pub policy: AddressPolicy,
    /// More certificate authorities, PEM: `easysync.ca_file`.
    pub ca_pem: Option<Vec<u8>>,
    pub clock: Arc<dyn Clock>,
}

/// Clients, token buckets and circuit breakers by account, shared by all runs of a worker; and a
/// run's own cancellation and counts.
pub struct HttpContext {
    pub config: HttpConfig,
    pub cancel: CancellationToken,
    /// What the calls of this context count and wait for.
    pub meter: Meter,
    shared: Arc<Shared>,
}

struct Shared {
    /// For names that lead to public addresses only.
    public: reqwest::Client,
    /// For listed hosts. A client of its own, so that no pooled connection crosses over.
    listed: reqwest::Client,
    accounts: Mutex<BTreeMap<String, Arc<AccountState>>>,
    random: Mutex<fastrand::Rng>,
    /// Kept with other processes. None: this one calls alone.
    pace: Option<Arc<dyn Pace>>,
    steady: Steady,
}

impl HttpContext {
    /// A context with random jitter. Fails where `ca_pem` holds no certificates.
    pub fn new(config: HttpConfig) -> Result<Arc<Self>> {
        HttpContext::build(config, fastrand::Rng::new(), None)
    }

    /// A context whose accounts keep a pace together with those of other processes.
    pub fn paced(config: HttpConfig, pace: Option<Arc<dyn Pace>>) -> Result<Arc<Self>> {
        HttpContext::build(config, fastrand::Rng::new(), pace)
    }

    /// A context whose jitter and nonces follow from `seed`.
    pub fn seeded(config: HttpConfig, seed: u64) -> Result<Arc<Self>> {
        HttpContext::build(config, fastrand::Rng::with_seed(seed), None)
    }

    fn build(
        config: HttpConfig,
        random: fastrand::Rng,
        pace: Option<Arc<dyn Pace>>,
    ) -> Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            public: transport(&config, resolver::PublicOnly)?,
            listed: transport(&config, resolver::Any)?,
            accounts: Mutex::default(),
            random: Mutex::new(random),
            pace,
            steady: Steady::new(config.clock.clone()),
        });
        let cancel = CancellationToken::new();
        Ok(Arc::new(HttpContext { config, cancel, meter: Meter::default(), shared }))
    }

    /// The same context (connections, buckets and circuits shared) with counts of its own, whose
    /// calls end when `cancel` does.
    pub fn with_cancel(self: &Arc<Self>, cancel: CancellationToken) -> Arc<Self> {
        Arc::new(HttpContext {
            config: self.config.clone(),
            cancel,
            meter: Meter::default(),
            shared: self.shared.clone(),
        })
    }

    /// Calls `account` (a connection's account key). All clients of an account share its limits and
    /// its circuit; the settings given last hold for all of them.
    pub fn client(self: &Arc<Self>, account: &str, config: ClientConfig) -> Client {
        let mut accounts = lock(&self.shared.accounts);
        let state = accounts
            .entry(account.to_owned())
            .or_insert_with(|| Arc::new(AccountState::new(&config.limits, config.breaker)))
            .clone();
        drop(accounts);
        state.configure(&config.limits, config.breaker);
        Client {
            http: self.clone(),
            name: account.into(),
            account: state,
            config: Arc::new(config),
        }
    }

    /// State of an account's circuit. None: it was never called by this context or its kin.
    pub fn circuit(&self, account: &str) -> Option<Circuit> {
        let state = lock(&self.shared.accounts).get(account)?.clone();
        Some(state.circuit(&self.shared.steady))
    }

    /// Forgets an account (its connection is gone): tokens taken and its circuit.
    pub fn forget(&self, account: &str) {
        lock(&self.shared.accounts).remove(account);
    }
}

impl Shared {
    /// In `[0, 1)`.
    fn random(&self) -> f64 {
        lock(&self.random).f64()
    }

    fn nonce(&self) -> u128 {
        lock(&self.random).u128(..)
    }
}

fn transport(
    config: &HttpConfig,
    resolver: impl reqwest::dns::Resolve + 'static,
) -> Result<reqwest::Client> {
    // An error says that the process has a provider already: as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("easysync/", env!("CARGO_PKG_VERSION")))
        .min_tls_version(reqwest::tls::Version::TLS_1_2)
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        // A proxy of the server's environment would see every request and answer for any address.
        .no_proxy()
        .referer(false)
        .dns_resolver(Arc::new(resolver));
    if let Some(pem) = &config.ca_pem {
        for authority in authorities(pem)? {
            builder = builder.add_root_certificate(authority);
        }
    }
    builder.build().map_err(|_| match config.ca_pem {
        Some(_) => no_authorities(),
        None => Error::internal("the TLS set-up failed"),
    })
}

/// Fails where `pem` holds no certificates that calls could trust.
pub fn check_authorities(pem: &[u8]) -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder().no_proxy();
    for authority in authorities(pem)? {
        builder = builder.add_root_certificate(authority);
    }
    builder.build().map(drop).map_err(|_| no_authorities())
}

fn authorities(pem: &[u8]) -> Result<Vec<reqwest::Certificate>> {
    match reqwest::Certificate::from_pem_bundle(pem) {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(no_authorities()),
    }
}

fn no_authorities() -> Error {
    Error::argument(
        "easysync.ca_file holds no certificates",
        "It must be a PEM file with the certificates of authorities.",
    )
}

#[cfg(test)]
mod tests;
