//! QuickBooks as a connection: its checks, its account, and its lists.

use super::auth::{Realm, TokenSet, reauthorize};
use super::pulls::{self, Books};
use super::push::{Account as Access, of_session};
use super::settings::{Settings, credential_problems};
use crate::connector::{Account, ById, Check, Connector, Page, Pass};
use crate::error::{Error, Result};
use crate::http::{AddressPolicy, HttpContext};
use crate::model::{Entity, Mode};
use crate::posting::checks::{Finding, check_company, check_settings};
use crate::store::{Connection, Filters, Secret, Stream};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

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

/// One company, opened.
pub struct QuickBooks {
    access: Arc<Access>,
    books: Books,
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
        QuickBooks { access, books }
    }

    /// The company against the settings.
    async fn findings(&self) -> Result<Vec<Check>> {
        let settings = self.access.posting();
        let company = self.books.api.company(settings).await?;
        let findings = check_settings(settings).into_iter();
        Ok(findings.chain(check_company(settings, &company)).map(told).collect())
    }
}

/// A finding as a check. What stands in the way of posting isn't wrong with the connection: it is
/// told, and every push says it again.
fn told(finding: Finding) -> Check {
    let problem = finding.problem;
    let word = if finding.is_warning { "warning" } else { "to do before posting" };
    Check {
        name: "posting",
        ok: true,
        message: format!("{word}: {problem}"),
        hint: Some(problem.hint.clone()),
        duration_ms: 0,
        error: None,
    }
}

fn failed(error: Error) -> Check {
    Check {
        name: "posting",
        ok: false,
        message: error.message.clone(),
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
