//! `test_connection`: one step after the other, each with its cure. Nothing is written.

use super::client::Api;
use crate::connector::{Account, Check};
use crate::error::{Category, Error, Result};
use serde_json::Value;
use std::time::Instant;

impl Api {
    /// Address, access, company, subscription, budget of reads. A failed one ends the list.
    pub async fn probe(&self) -> Vec<Check> {
        let mut checks = Checks::default();
        let started = Instant::now();
        let info = match self.info().await {
            Ok(info) => info,
            Err(error) => {
                // What stands in the way is told by the step that it belongs to.
                let name = match error.category {
                    Category::Authentication => "credentials",
                    Category::RateLimit => "budget",
                    _ => "reachable",
                };
                checks.add(name, started, Err(error));
                return checks.0;
            }
        };
        checks.add("reachable", started, Ok("QuickBooks answers".into()));
        checks.add("credentials", started, Ok("accepted".into()));
        let account = account(&info, self.realm().as_str());
        let found = format!("\"{}\", {}", account.label, account.platform);
        checks.add("company", started, Ok(found));
        checks.add("subscription", started, subscription(&info));
        let (used, budget) = self.reads();
        let left = format!("{used} of {budget} metered reads of this month are spent");
        checks.add("budget", started, Ok(left));
        checks.0
    }

    /// The company behind the connection, asked live.
    pub async fn account(&self) -> Result<Account> {
        Ok(account(&self.info().await?, self.realm().as_str()))
    }
}

fn account(info: &Value, realm: &str) -> Account {
    let name = info["CompanyName"].as_str().unwrap_or_default();
    let plan = named(info, "OfferingSku").unwrap_or("QuickBooks Online");
    Account::new(realm.to_owned(), name, plan)
}

/// A value of `CompanyInfo.NameValue`.
fn named<'v>(info: &'v Value, name: &str) -> Option<&'v str> {
    let list = info["NameValue"].as_array()?;
    let entry = list.iter().find(|entry| entry["Name"].as_str() == Some(name))?;
    entry["Value"].as_str().filter(|value| !value.is_empty())
}

/// Reads still work when a subscription has ended; writes don't (6190).
fn subscription(info: &Value) -> Result<String> {
    let status = named(info, "SubscriptionStatus").unwrap_or("unknown");
    let ended = ["CANCELLED", "CANCELED", "EXPIRED", "SUSPENDED", "DELINQUENT"];
    if ended.iter().any(|word| status.to_ascii_uppercase().contains(word)) {
        let message = format!("the subscription of the company is {}", status.to_lowercase());
        return Err(Error::new(Category::Blocked, "6190", message)
            .hint("Renew it in QuickBooks: until then nothing can be written."));
    }
    Ok(status.to_lowercase())
}

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn add(&mut self, name: &'static str, started: Instant, outcome: Result<String>) {
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (ok, message, hint, error) = match outcome {
            Ok(message) => (true, message, None, None),
            Err(error) => (false, error.whole(), error.hint.clone(), Some(error)),
        };
        self.0.push(Check { name, ok, message, hint, duration_ms, error });
    }
}
