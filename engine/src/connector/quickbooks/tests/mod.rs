//! Tests against a scripted server and the recorded shapes of `tests/fixtures/quickbooks`.

mod auth;
mod calls;
mod lookups;
mod pacing;
mod pulls;
mod server;
mod writes;

use super::auth::{Realm, SessionTokens, TokenSet};
use super::client::Api;
use super::limits::Reads;
use super::settings::Settings;
use crate::clock::Clock;
use crate::http::{AddressPolicy, HttpConfig, HttpContext};
use jiff::{SignedDuration, Timestamp};
use oauth2::{AccessToken, RefreshToken};
use serde_json::{Value, json};
use server::Server;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Time that passes by being slept through, and notes each wait.
pub struct TestClock {
    now: Mutex<Timestamp>,
    waits: Mutex<Vec<Duration>>,
}

impl TestClock {
    pub fn new() -> Arc<Self> {
        let now = "2026-11-20T10:00:00Z".parse().unwrap();
        Arc::new(TestClock { now: Mutex::new(now), waits: Mutex::default() })
    }

    pub fn advance(&self, by: SignedDuration) {
        let mut now = self.now.lock().unwrap();
        *now += by;
    }

    pub fn waits(&self) -> Vec<Duration> {
        self.waits.lock().unwrap().clone()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.now.lock().unwrap()
    }

    fn sleep(&self, wait: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        self.waits.lock().unwrap().push(wait);
        *self.now.lock().unwrap() += wait;
        Box::pin(tokio::task::yield_now())
    }
}

pub fn policy() -> AddressPolicy {
    AddressPolicy::parse("127.0.0.1").unwrap()
}

pub fn http(clock: Arc<dyn Clock>) -> Arc<HttpContext> {
    HttpContext::seeded(HttpConfig { policy: policy(), ca_pem: None, clock }, 7).unwrap()
}

pub const REALM: &str = "9341450000000001";

pub fn tokens(access: &str, refresh: &str, now: Timestamp) -> TokenSet {
    TokenSet {
        access: AccessToken::new(access.into()),
        refresh: RefreshToken::new(refresh.into()),
        expires_at: now + SignedDuration::from_hours(1),
        refresh_expires_at: now + SignedDuration::from_hours(101 * 24),
        hard_expires_at: None,
        realm: Realm::parse(REALM).unwrap(),
    }
}

/// The company behind a scripted server, with an access token that outlasts every test.
pub fn api(server: &Server, clock: &Arc<TestClock>) -> Api {
    api_with_reads(server, clock, 500_000)
}

pub fn api_with_reads(server: &Server, clock: &Arc<TestClock>, budget: u64) -> Api {
    let settings = json!({"environment": "sandbox", "api_url": server.url()});
    let settings = Settings::parse(&settings, &policy()).unwrap();
    let mut set = tokens("at-1", "rt-1", clock.now());
    set.expires_at += SignedDuration::from_hours(24 * 40);
    let source = SessionTokens::new(Some(set), clock.clone());
    let reads = Arc::new(Reads::new(budget, 0, clock.now()));
    let realm = Realm::parse(REALM).unwrap();
    Api::open(&settings, realm, &http(clock.clone()), Arc::new(source), reads)
}

/// A recorded file.
pub fn fixture(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/quickbooks/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The object's members, for a body.
pub fn fields(value: Value) -> serde_json::Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => panic!("no object: {other}"),
    }
}
