//! `test_connection`: one step after the other, each with its cure. Nothing is written.

use super::client::Answer;
use super::errors;
use super::lists;
use super::shop::Shop;
use crate::connector::{Account, Check};
use crate::error::{Category, Error, Result};
use crate::http::{AddressPolicy, RetryPolicy};
use crate::limits;
use crate::model::Entity;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use std::time::Instant;

/// The oldest version with `wc/v3`.
const OLDEST: (u64, u64) = (3, 5);

/// OAuth 1.0a lets clocks differ by 15 minutes (woocommerce.md, section 1).
const OAUTH_SKEW: SignedDuration = SignedDuration::from_mins(14);

/// Bytes of what a site says of itself, with the names of all its routes.
const SITE_BYTES: usize = 2 << 20;

const SKEW: SignedDuration = SignedDuration::from_mins(2);

/// What a site says of itself to anybody.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Site {
    name: String,
    home: String,
    namespaces: Vec<String>,
}

impl Shop {
    pub async fn check(&self, policy: &AddressPolicy) -> Vec<Check> {
        let mut checks = Checks::default();
        let address = policy.check(self.api.base(), self.settings.allow_http);
        let secure = self.api.secure();
        let address = address.map(|target| match secure {
            true => format!("{} by https", target.host),
            false => format!(
                "{} by plain http: customers' data crosses the network unencrypted",
                target.host
            ),
        });
        if !checks.add("address", Instant::now(), address) {
            return checks.0;
        }
        let started = Instant::now();
        let site = self.site().await;
        let (site, served_at) = match site {
            Ok((site, answer)) => {
                let found = format!("\"{}\" answers", site.name);
                checks.add("reachable", started, api_present(&site).map(|()| found));
                (site, answer.served_at())
            }
            Err(error) => {
                checks.add("reachable", started, Err(error));
                return checks.0;
            }
        };
        if checks.failed() {
            return checks.0;
        }
        let now = self.clock.now();
        if !checks.add("clock", Instant::now(), clock(now, served_at, secure)) {
            return checks.0;
        }
        let started = Instant::now();
        let orders = self.list(Entity::Orders).await;
        let refused = matches!(&orders, Err(error) if error.http_status != Some(403));
        let credentials = match orders {
            Err(error) if refused => Err(self.with_proxy_hint(error, &site)),
            _ => Ok("accepted".to_owned()),
        };
        if !checks.add("credentials", started, credentials) {
            return checks.0;
        }
        self.check_rights(&mut checks).await;
        self.check_shop(&mut checks).await;
        checks.0
    }

    /// The account, asked live.
    pub async fn account(&self) -> Result<Account> {
        let (site, _) = self.site().await?;
        api_present(&site)?;
        // The site's own words need no key: this call does.
        self.list(Entity::Orders).await.map_err(|error| self.with_proxy_hint(error, &site))?;
        let version = self.version().await?;
        let platform = version.map_or_else(|| "WooCommerce".into(), |v| format!("WooCommerce {v}"));
        let key = self.settings.account();
        let label = if site.name.is_empty() { key.clone() } else { site.name };
        Ok(Account::new(key, &label, &platform))
    }

    async fn check_rights(&self, checks: &mut Checks) {
        let started = Instant::now();
        let mut refused = None;
        for entity in [Entity::Orders, Entity::Products, Entity::Customers, Entity::Refunds] {
            match self.list(entity).await {
                Ok(_) => {}
                Err(error) if entity == Entity::Refunds && errors::is_no_route(&error) => {}
                Err(error) => {
                    refused.get_or_insert(error);
                }
            }
        }
        let rights =
            match refused {
                Some(error) => Err(error),
                None => self.api.may_write().await.map(|()| {
                    "may read orders, products, customers and refunds, and write".to_owned()
                }),
            };
        checks.add("permissions", started, rights);
    }

    async fn check_shop(&self, checks: &mut Checks) {
        let started = Instant::now();
        let version = self.version().await.and_then(|version| match version {
            None => Ok("unknown: the key's user may not see the system status".to_owned()),
            Some(version) if is_old(&version) => Err(Error::new(
                Category::Validation,
                "version_too_old",
                format!("WooCommerce {version} is too old"),
            )
            .hint("Update it to 3.5 or newer.")),
            Some(version) => Ok(format!("WooCommerce {version}")),
        });
        checks.add("version", started, version);
        let started = Instant::now();
        let currency = self.currency().await.map(|currency| match currency {
            Some(currency) => format!("prices are in {currency}"),
            None => "unknown: the key's user may not see the settings; products get none".into(),
        });
        checks.add("currency", started, currency);
    }

    /// Asked without a key: WordPress itself refuses one that isn't its own.
    async fn site(&self) -> Result<(Site, Answer)> {
        let query = [("_fields", "name,home,namespaces".to_owned())];
        let answer = self.patient(false).get_within("", &query, SITE_BYTES).await?;
        let mut site = answer.0.json::<Site>()?.value;
        site.name = limits::cut_text(&site.name).to_owned();
        Ok((site, answer))
    }

    /// A person waits for the answer: one try.
    fn patient(&self, signed: bool) -> super::client::Api {
        let api = self.api.with_retry(RetryPolicy::NONE);
        if signed { api } else { api.unsigned() }
    }

    async fn list(&self, entity: Entity) -> Result<Answer> {
        let query = [("per_page", "1".to_owned()), ("_fields", "id".to_owned())];
        let answer = self.patient(true).get(lists::path(entity), &query).await?;
        answer.list()?;
        Ok(answer)
    }

    async fn version(&self) -> Result<Option<String>> {
        #[derive(Deserialize)]
        struct Status {
            environment: Environment,
        }
        #[derive(Deserialize)]
        struct Environment {
            version: String,
        }
        let query = [("_fields", "environment".to_owned())];
        match self.patient(true).read::<Status>("wc/v3/system_status", &query).await {
            Ok(status) => Ok(Some(status.environment.version)),
            Err(error) if matches!(error.http_status, Some(403 | 404)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A proxy that ends https leaves WordPress believing that it is called by plain http, where
    /// keys don't count; the address it gives for itself shows that.
    fn with_proxy_hint(&self, error: Error, site: &Site) -> Error {
        if self.api.secure() && error.http_status == Some(401) && site.home.starts_with("http://") {
            return error.hint(
                "The shop believes that its address is plain http, where it accepts no key: set \
                 Site Address to https, and let the proxy send X-Forwarded-Proto.",
            );
        }
        error
    }
}

fn api_present(site: &Site) -> Result<()> {
    if site.namespaces.iter().any(|namespace| namespace == "wc/v3") {
        return Ok(());
    }
    Err(Error::new(
        Category::NotFound,
        "no_woocommerce",
        "WordPress answers, but without WooCommerce's API (wc/v3)",
    )
    .hint("Is WooCommerce active, at least 3.5, and \"url\" the shop's own site?"))
}

fn clock(now: Timestamp, served_at: Option<Timestamp>, secure: bool) -> Result<String> {
    let Some(served_at) = served_at else {
        return Ok("the shop doesn't tell its time".into());
    };
    let skew = served_at.duration_since(now);
    let apart = skew.abs();
    let minutes = apart.as_mins();
    if !secure && apart > OAUTH_SKEW {
        return Err(Error::new(
            Category::Validation,
            "clock_skew",
            format!("the shop's clock and ours differ by {minutes} minutes"),
        )
        .hint("Set the right time on both: over plain http, calls that are 15 minutes off are refused."));
    }
    Ok(if apart > SKEW {
        format!("the shop's clock and ours differ by {minutes} minutes; syncs go by the shop's")
    } else {
        "the shop's clock agrees with ours".into()
    })
}

fn is_old(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u64>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < OLDEST
}

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    /// False: it failed.
    fn add(&mut self, name: &'static str, started: Instant, result: Result<String>) -> bool {
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let ok = result.is_ok();
        self.0.push(match result {
            Ok(message) => Check { name, ok, message, hint: None, duration_ms, error: None },
            Err(error) => Check {
                name,
                ok,
                message: error.whole(),
                hint: error.hint.clone(),
                duration_ms,
                error: Some(error),
            },
        });
        ok
    }

    fn failed(&self) -> bool {
        self.0.iter().any(|check| !check.ok)
    }
}
