//! QuickBooks as a connection: its checks, its account, and its lists.

use super::auth::{Realm, TokenSet, reauthorize};
use super::pulls::{self, Books};
use super::push::{Account as Access, of_session};
use super::settings::{Settings, credential_problems};
use crate::connector::{Account, ById, Check, Connector, Page, Pass};
use crate::error::{Category, Error, Result};
use crate::http::{AddressPolicy, HttpContext};
use crate::model::{Entity, Mode};
use crate::posting::checks::{Finding, check_company, check_settings, check_shop};
use crate::posting::company::Company;
use crate::posting::documents::Ground;
use crate::posting::facts::ShopFacts;
use crate::posting::input::{self, Order};
use crate::push::Walk;
use crate::store::{Connection, Filters, Secret, Stream};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Every problem of settings and credentials that shows without a call; the company's id (empty:
/// nobody has granted access yet).
pub fn validate(
    settings: &Value,
    credentials: Option<&Secret>,
    policy: &AddressPolicy,
) -> Result<String, Vec<Error>> {
    let mut problems = Settings::parse(settings, policy).err().unwrap_or_default();
    problems.extend(credentials.map(credential_problems).unwrap_or_default());
    if !problems.is_empty() {
        return Err(problems);
    }
    let tokens = credentials.and_then(TokenSet::from_secret);
    Ok(tokens.map(|tokens| tokens.realm.to_string()).unwrap_or_default())
}

/// The month's metered reads; None where the settings can't be read.
pub fn reads_budget(settings: &Value, policy: &AddressPolicy) -> Option<u64> {
    Settings::parse(settings, policy).ok().map(|settings| settings.posting.read_budget)
}

/// Production companies live on another host than those of Intuit's sandbox, and a sandbox takes the
/// latter only.
pub fn check_for_trials(settings: &Value, policy: &AddressPolicy) -> Result<()> {
    // What can't be read has been told by validate.
    let Ok(settings) = Settings::parse(settings, policy) else { return Ok(()) };
    if settings.is_for_trials() {
        return Ok(());
    }
    Err(Error::new(
        Category::Validation,
        "production_in_sandbox",
        "the tenant is in its sandbox, and the settings are those of a live company",
    )
    .hint("Give {\"environment\": \"sandbox\"} and a company of developer.intuit.com, or leave the sandbox."))
}

/// One company, opened.
pub struct QuickBooks {
    access: Arc<Access>,
    books: Books,
    company: OnceCell<Company>,
}

impl QuickBooks {
    /// As a session does: it renews no token.
    pub fn open(connection: &Arc<Connection>, http: &Arc<HttpContext>) -> Result<QuickBooks> {
        if Realm::parse(&connection.account).is_err() {
            return Err(reauthorize("nobody has granted access to the books yet"));
        }
        Ok(QuickBooks::with(of_session(connection, http)?, http))
    }

    /// With access that is shared by all runs of a connection.
    pub fn with(access: Arc<Access>, http: &Arc<HttpContext>) -> QuickBooks {
        let books = Books::open(access.api(http), access.posting());
        QuickBooks { access, books, company: OnceCell::new() }
    }

    async fn company(&self) -> Result<&Company> {
        let read = || self.books.api.company(self.access.posting());
        self.company.get_or_try_init(read).await
    }

    /// The company against the settings.
    async fn findings(&self) -> Result<Vec<Check>> {
        let settings = self.access.posting();
        let company = self.company().await?;
        let findings = check_settings(settings).into_iter();
        Ok(findings.chain(check_company(settings, company)).map(told).collect())
    }

    /// The shop against both.
    async fn shop(&self, hub: &Walk) -> Result<Vec<Check>> {
        let settings = self.access.posting();
        let Some(zone) = settings.zone() else { return Ok(vec![]) };
        let company = self.company().await?;
        let mut facts = ShopFacts::default();
        let (mut seen, mut odd) = (0u64, None::<Error>);
        let whole = hub.orders(|bundle| {
            let Some(record) = &bundle.record else { return Ok(()) };
            let refunds = bundle.refunds.iter().map(|text| input::row(text, "refunds"));
            let read = || Ok((input::row(record, "orders")?, refunds.collect::<Result<Vec<_>>>()?));
            let (order, refunds): (Order, Vec<_>) = match read() {
                Ok(read) => read,
                Err(error) => {
                    odd.get_or_insert(error);
                    return Ok(());
                }
            };
            let ground = Ground { settings, company, zone: &zone, shop: &bundle.source_account };
            facts.add(&order, &refunds, &ground);
            seen += 1;
            Ok(())
        });
        let whole = whole.await?;
        let mut checks: Vec<Check> =
            check_shop(settings, company, &facts).into_iter().map(told).collect();
        if let Some(error) = odd {
            checks.push(note(error.message, error.hint.as_deref().unwrap_or_default()));
        }
        if !whole {
            let message = format!("there was time for {seen} orders only");
            let hint = "easysync.trigger('orders', 'full', dry_run => true) looks at all of them.";
            checks.push(note(message, hint));
        }
        Ok(checks)
    }
}

/// A finding as a check. What stands in the way of posting isn't wrong with the connection: it is
/// told, and every push says it again.
fn told(finding: Finding) -> Check {
    let problem = finding.problem;
    let word = if finding.is_warning { "warning" } else { "to do before posting" };
    note(format!("{word}: {problem}"), &problem.hint)
}

fn note(message: String, hint: &str) -> Check {
    let hint = Some(hint.to_owned());
    Check { name: "posting", ok: true, message, hint, duration_ms: 0, error: None }
}

fn failed(error: Error) -> Check {
    Check {
        name: "posting",
        ok: false,
        message: error.whole(),
        hint: error.hint.clone(),
        duration_ms: 0,
        error: Some(error),
    }
}

#[async_trait]
impl Connector for QuickBooks {
    async fn check(&self) -> Vec<Check> {
        let mut checks = self.books.api.probe().await;
        if checks.iter().all(|check| check.ok) {
            match self.findings().await {
                Ok(findings) => checks.extend(findings),
                Err(error) => checks.push(failed(error)),
            }
        }
        checks
    }

    async fn check_hub(&self, hub: &Walk) -> Vec<Check> {
        match self.shop(hub).await {
            Ok(checks) => checks,
            // The account is well: what is wrong with a row of the hub is told by its push.
            Err(error) => {
                let message = format!("the orders could not be looked at: {}", error.message);
                vec![note(message, "easysync.trigger says more of each of them.")]
            }
        }
    }

    async fn account(&self) -> Result<Account> {
        self.books.api.account().await
    }

    async fn passes(
        &self,
        entity: Entity,
        mode: Mode,
        watermark: Option<Timestamp>,
        filters: &Filters,
    ) -> Result<Vec<Pass>> {
        self.books.passes(entity, mode, watermark, filters).await
    }

    fn page_size(&self) -> u64 {
        pulls::PAGE
    }

    /// Pages follow each other: each is compared with the one before.
    fn concurrency(&self) -> usize {
        1
    }

    async fn page(&self, stream: &Stream, pass: &Pass, offset: u64, limit: u64) -> Result<Page> {
        self.books.page(stream, pass, offset, limit).await
    }

    async fn by_ids(&self, stream: &Stream, ids: &[String]) -> Result<ById> {
        self.books.by_ids(stream, ids).await
    }

    fn take_reads(&self) -> u64 {
        self.access.take_reads()
    }
}
