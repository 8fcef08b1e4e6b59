//! What lives as long as a connection: access, limits, and the company as it was last read.

use super::Books;
use crate::connector::quickbooks::auth::{App, Realm, Refresher, SessionTokens, TokenSet};
use crate::connector::quickbooks::auth::{TokenSource, TokenVault};
use crate::connector::quickbooks::client::Api;
use crate::connector::quickbooks::limits::Reads;
use crate::connector::quickbooks::settings::Settings;
use crate::error::{Category, Error, Result};
use crate::http::HttpContext;
use crate::posting::checks::{self, Finding};
use crate::posting::company::Company;
use crate::posting::settings::Settings as Posting;
use crate::store::Connection;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How long the company is believed to be as it was read.
const SNAPSHOT: SignedDuration = SignedDuration::from_hours(24);

/// The same, before an order is refused for how the company is: a person may just have changed that
/// (books opened again, multicurrency switched on), and is not told the same for a day.
const BEFORE_REFUSING: SignedDuration = SignedDuration::from_mins(5);

/// How old what was read of a company may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    Day,
    Minutes,
    Now,
}

impl Age {
    fn most(self) -> SignedDuration {
        match self {
            Age::Day => SNAPSHOT,
            Age::Minutes => BEFORE_REFUSING,
            Age::Now => SignedDuration::ZERO,
        }
    }
}

/// One connection's access to its company, shared by all of its runs.
pub struct Account {
    pub(super) settings: Settings,
    settings_json: Value,
    realm: Realm,
    tokens: Arc<dyn TokenSource>,
    reads: Arc<Reads>,
    company: tokio::sync::Mutex<Option<(Timestamp, Arc<Company>)>>,
}

impl Account {
    /// Calls of a run, which end with it.
    pub fn books(self: &Arc<Account>, http: &Arc<HttpContext>) -> Books {
        Books::new(Arc::clone(self), self.api(http))
    }

    /// Calls to the company.
    pub fn api(&self, http: &Arc<HttpContext>) -> Api {
        let (tokens, reads) = (Arc::clone(&self.tokens), Arc::clone(&self.reads));
        Api::open(&self.settings, self.realm.clone(), http, tokens, reads)
    }

    /// How orders are posted.
    pub fn posting(&self) -> &Posting {
        &self.settings.posting
    }

    /// The company, read anew where the last look is older than `age`.
    pub(super) async fn company(&self, api: &Api, age: Age) -> Result<Arc<Company>> {
        let mut kept = self.company.lock().await;
        let now = api.clock().now();
        if let Some((at, company)) = kept.as_ref()
            && now.duration_since(*at) < age.most()
        {
            return Ok(Arc::clone(company));
        }
        let company = Arc::new(api.company(&self.settings.posting).await?);
        *kept = Some((now, Arc::clone(&company)));
        Ok(company)
    }

    /// The next run reads the company anew.
    pub async fn forget_company(&self) {
        *self.company.lock().await = None;
    }

    /// Metered reads since this was asked last.
    pub fn take_reads(&self) -> u64 {
        self.reads.take_unreported()
    }
}

/// How the worker keeps a connection's tokens.
pub type Vaults = Arc<dyn Fn(&Connection) -> Arc<dyn TokenVault> + Send + Sync>;

/// The open accounts of a worker, by tenant and connection.
pub struct Accounts {
    http: Arc<HttpContext>,
    vaults: Vaults,
    open: Mutex<HashMap<(String, String), Arc<Account>>>,
}

impl Accounts {
    /// `http` must not be cancelled with a run: a token refresh may not be left half done.
    pub fn new(http: Arc<HttpContext>, vaults: Vaults) -> Accounts {
        Accounts { http, vaults, open: Mutex::default() }
    }

    /// Renews the access token of a connection that is about to end.
    pub async fn renew(&self, connection: &Connection, reads_used: u64) -> Result<()> {
        self.of(connection, reads_used)?.tokens.stored().await.map(drop)
    }

    /// The account of a connection; opened anew where its settings or its company changed.
    /// `reads_used`: metered reads of this month so far.
    pub fn of(&self, connection: &Connection, reads_used: u64) -> Result<Arc<Account>> {
        let key = (connection.tenant.to_string(), connection.name.to_string());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = open.get(&key)
            && account.settings_json == connection.settings
            && account.realm.as_str() == connection.account
        {
            return Ok(Arc::clone(account));
        }
        let settings = parse(connection, &self.http)?;
        let app = app(connection, &settings, &self.http)?;
        let clock = Arc::clone(&self.http.config.clock);
        let tokens = Refresher::new(app, (self.vaults)(connection), clock);
        let account =
            Arc::new(account(connection, settings, Arc::new(tokens), reads_used, &self.http)?);
        open.insert(key, Arc::clone(&account));
        Ok(account)
    }
}

/// The app that a connection's credentials belong to.
pub fn app(connection: &Connection, settings: &Settings, http: &Arc<HttpContext>) -> Result<App> {
    let key = |name: &str| {
        connection.credentials.get(name).ok_or_else(|| {
            let message = format!("\"{}\" has no {name}", connection.name);
            Error::new(Category::Authentication, "no_credentials", message)
                .hint("Give the keys of the app with easysync.set_credentials.")
        })
    };
    Ok(App::new(key("client_id")?, key("client_secret")?, settings.endpoints(), http))
}

/// A session's account: it renews no token.
pub fn of_session(connection: &Connection, http: &Arc<HttpContext>) -> Result<Arc<Account>> {
    let settings = parse(connection, http)?;
    let clock = Arc::clone(&http.config.clock);
    let tokens = SessionTokens::new(TokenSet::from_secret(&connection.credentials), clock);
    Ok(Arc::new(account(connection, settings, Arc::new(tokens), 0, http)?))
}

fn account(
    connection: &Connection,
    settings: Settings,
    tokens: Arc<dyn TokenSource>,
    reads_used: u64,
    http: &Arc<HttpContext>,
) -> Result<Account> {
    let budget = settings.posting.read_budget;
    let reads = Reads::new(budget, reads_used, http.config.clock.now());
    Ok(Account {
        settings,
        settings_json: connection.settings.clone(),
        realm: Realm::parse(&connection.account)?,
        tokens,
        reads: Arc::new(reads),
        company: tokio::sync::Mutex::default(),
    })
}

pub fn parse(connection: &Connection, http: &Arc<HttpContext>) -> Result<Settings> {
    Settings::parse(&connection.settings, &http.config.policy).map_err(|problems| {
        let first = problems.into_iter().next();
        first.unwrap_or_else(|| Error::internal("settings without a problem were refused"))
    })
}

/// Settings without which nothing is posted.
pub(super) fn unready(settings: &Posting) -> Option<Error> {
    refusal(checks::check_settings(settings))
}

/// What the settings name and the company doesn't have.
pub(super) fn misfit(settings: &Posting, company: &Company) -> Option<Error> {
    refusal(checks::check_company(settings, company))
}

/// All findings that keep anything from being posted, in one error.
fn refusal(findings: Vec<Finding>) -> Option<Error> {
    let grave: Vec<_> = findings.into_iter().filter(|f| !f.is_warning).collect();
    let first = grave.first()?;
    let told: Vec<String> = grave.iter().map(|finding| finding.problem.to_string()).collect();
    let error =
        Error::new(Category::Validation, "settings_not_ready", told.join("; ")).retryable(false);
    Some(error.hint(format!("{} Use easysync.alter_connection.", first.problem.hint)))
}
