//! QuickBooks as a connection: its checks and its account. Nothing is pulled from it.

use super::auth::TokenSet;
use super::client::Api;
use super::push::{Account as Access, of_session};
use super::settings::{Settings, credential_problems};
use crate::connector::{Account, ById, Check, Connector, Page, Pass};
use crate::error::{Category, Error, Result};
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

/// A company whose checks are asked for in a session.
pub struct QuickBooks {
    access: Arc<Access>,
    api: Api,
}

impl QuickBooks {
    pub fn open(connection: &Arc<Connection>, http: &Arc<HttpContext>) -> Result<QuickBooks> {
        let access = of_session(connection, http)?;
        let api = access.api(http);
        Ok(QuickBooks { access, api })
    }

    async fn timed<T>(
        &self,
        name: &'static str,
        asked: impl Future<Output = Result<(T, String)>>,
    ) -> (Check, Option<T>) {
        let began = self.api.clock().now();
        let result = asked.await;
        let took = self.api.clock().now().duration_since(began).as_millis();
        let duration_ms = u64::try_from(took).unwrap_or(0);
        match result {
            Ok((value, message)) => {
                let check = Check { name, ok: true, message, hint: None, duration_ms, error: None };
                (check, Some(value))
            }
            Err(error) => {
                let check = Check {
                    name,
                    ok: false,
                    message: error.message.clone(),
                    hint: error.hint.clone(),
                    duration_ms,
                    error: Some(error),
                };
                (check, None)
            }
        }
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

#[async_trait]
impl Connector for QuickBooks {
    async fn check(&self) -> Vec<Check> {
        let settings = self.access.posting();
        let company = async {
            let company = self.api.company(settings).await?;
            let message = format!("\"{}\", {}", company.name, company.home_currency);
            Ok((company, message))
        };
        let (check, company) = self.timed("company", company).await;
        let mut checks = vec![check];
        if let Some(company) = company {
            let findings = check_settings(settings).into_iter();
            checks.extend(findings.chain(check_company(settings, &company)).map(told));
        }
        checks
    }

    async fn account(&self) -> Result<Account> {
        let info = self.api.info().await?;
        let label = info["CompanyName"].as_str().unwrap_or_default().to_owned();
        Ok(Account {
            key: self.api.realm().to_string(),
            label,
            platform: "QuickBooks Online".into(),
        })
    }

    async fn passes(
        &self,
        entity: Entity,
        _mode: Mode,
        _watermark: Option<Timestamp>,
        _filters: &Filters,
    ) -> Result<Vec<Pass>> {
        Err(not_pulled(entity))
    }

    fn page_size(&self) -> u64 {
        super::limits::QUERY_ROWS
    }

    fn concurrency(&self) -> usize {
        1
    }

    async fn page(&self, stream: &Stream, _pass: &Pass, _offset: u64, _limit: u64) -> Result<Page> {
        Err(not_pulled(stream.entity))
    }

    async fn by_ids(&self, stream: &Stream, _ids: &[String]) -> Result<ById> {
        Err(not_pulled(stream.entity))
    }
}

fn not_pulled(entity: Entity) -> Error {
    let message = format!("{entity} are not pulled from QuickBooks");
    Error::new(Category::Validation, "unsupported_direction", message)
        .hint("Set the stream's direction to push with easysync.set_stream.")
}
