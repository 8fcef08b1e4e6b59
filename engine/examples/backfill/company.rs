//! The simulated company, and the connection to it.

use crate::Outcome;
use crate::clock::{ServerPace, SharedClock};
use async_trait::async_trait;
use engine::clock::Clock;
use engine::connector::open_target;
use engine::connector::quickbooks::auth::{AccessToken, Realm, RefreshToken, TokenSet, TokenVault};
use engine::connector::quickbooks::push::Accounts;
use engine::http::{AddressPolicy, HttpConfig, HttpContext};
use engine::push::target::Target;
use engine::store::{Connection, Secret};
use jiff::SignedDuration;
use serde_json::{Value, json};
use simulator::platform::{ControlCall, Platform};
use std::sync::{Arc, Mutex, PoisonError};

const PRESET: &str = "us_single";
const SETTINGS: &str =
    include_str!("../../../simulator/fixtures/quickbooks/presets/us_single.settings.json");

/// Tokens in memory.
struct Vault(Mutex<TokenSet>);

#[async_trait]
impl TokenVault for Vault {
    async fn load(&self) -> engine::Result<Option<TokenSet>> {
        Ok(Some(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }

    async fn store(&self, _old: &RefreshToken, new: &TokenSet) -> engine::Result<bool> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = new.clone();
        Ok(true)
    }
}

/// A company with its limits in force, on a clock that stands still by itself.
pub struct Company {
    pub connection: Arc<Connection>,
    pub clock: Arc<SharedClock>,
    handle: simulator::Handle,
    realm: String,
    http: Arc<HttpContext>,
    accounts: Accounts,
}

impl Company {
    pub async fn open(call_takes_ms: i64) -> Outcome<Company> {
        let mut options = simulator::Options::default();
        options.quickbooks.companies = vec![PRESET.to_owned()];
        options.quickbooks.rules.call_takes_ms = call_takes_ms;
        let handle = simulator::start(options).await?;
        handle.clock.freeze(true);
        let clock = Arc::new(SharedClock(handle.clock.clone()));
        let described = handle.books.describe()["companies"][0].clone();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let realm = text(&described["realm_id"]);
        let body = json!({"realm_id": realm});
        let call = ControlCall { method: "POST", path: vec!["tokens"], query: vec![], body };
        let granted = handle.books.control(&call).map_err(|e| e.to_string())?;
        let hour = SignedDuration::from_hours(1);
        let tokens = TokenSet {
            access: AccessToken::new(text(&granted["access_token"])),
            refresh: RefreshToken::new(text(&granted["refresh_token"])),
            expires_at: clock.now() + hour,
            refresh_expires_at: clock.now() + hour * 24,
            hard_expires_at: None,
            realm: Realm::parse(&realm)?,
        };
        let policy = AddressPolicy::parse("127.0.0.1")?;
        let ca_pem = Some(handle.ca_pem.clone().into_bytes());
        let config = HttpConfig { policy, ca_pem, clock: Arc::clone(&clock) as Arc<dyn Clock> };
        let pace = ServerPace {
            clock: Arc::clone(&clock),
            due: Mutex::default(),
            windows: Mutex::default(),
        };
        let http = HttpContext::paced(config, Some(Arc::new(pace)))?;
        let accounts = Accounts::new(
            Arc::clone(&http),
            Arc::new(move |_: &Connection| {
                Arc::new(Vault(Mutex::new(tokens.clone()))) as Arc<dyn TokenVault>
            }),
        );
        let connection = Arc::new(connection(&handle, &described, &realm)?);
        Ok(Company { connection, clock, handle, realm, http, accounts })
    }

    /// What a run pushes to.
    pub fn target(&self) -> engine::Result<Arc<dyn Target>> {
        open_target(&self.connection, &self.http, 0, &self.accounts)
    }

    /// What the company's control API says.
    pub fn get(&self, path: &str) -> Outcome<Value> {
        let path = format!("companies/{}/{path}", self.realm);
        let path = path.split('/').collect();
        let call = ControlCall { method: "GET", path, query: vec![], body: Value::Null };
        self.handle.books.control(&call).map_err(|e| e.to_string().into())
    }

    pub fn calls(&self) -> Outcome<Value> {
        self.get("calls")
    }

    /// Metered reads after the so many-th batch.
    pub fn reads_after(&self, batches: usize) -> usize {
        let log = self.handle.quickbooks().calls().log();
        let is_batch = |path: &str| path.ends_with("/batch");
        let mut before = batches;
        let mut reads = 0;
        for call in log.iter().filter(|call| call.path.starts_with("/v3/company/")) {
            match (is_batch(&call.path), before) {
                (true, 0) => {}
                (true, _) => before -= 1,
                (false, 0) => {
                    reads += usize::from(call.method == "GET" || call.path.ends_with("/query"));
                }
                (false, _) => {}
            }
        }
        reads
    }
}

fn connection(handle: &simulator::Handle, described: &Value, realm: &str) -> Outcome<Connection> {
    let mut settings: Value = serde_json::from_str(SETTINGS)?;
    let address = &handle.quickbooks().addresses.https;
    settings["api_url"] = json!(address);
    settings["oauth_url"] = json!(address);
    let keys = ["client_id", "client_secret"].map(|k| (k.to_owned(), described[k].clone()));
    Ok(Connection {
        tenant: "default".into(),
        name: "books".into(),
        connector: "quickbooks".into(),
        account: realm.to_owned(),
        settings,
        credentials: Secret::new(keys.into_iter().collect()),
    })
}
