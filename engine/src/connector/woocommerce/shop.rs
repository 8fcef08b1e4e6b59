//! One shop, opened: its API, and what is asked once and kept for a run.

use super::client::{Answer, Api};
use super::defaults::{self, Programs};
use super::entities::Head;
use super::settings::Settings;
use super::{errors, lists};
use crate::clock::Clock;
use crate::connector::Pass;
use crate::error::{Error, Result};
use crate::http::{HttpContext, RetryPolicy};
use crate::mapping::split_page;
use crate::model::Entity;
use crate::store::{Connection, Stream};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

/// Pages below this size are not split any more when the shop can't serve them.
const SMALL_PAGE: u64 = 10;

/// Orders whose currency is remembered, at the most.
const REMEMBERED: usize = 100_000;

/// What is known of the order that a refund belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    pub currency: Option<String>,
    pub trashed: bool,
}

pub struct Shop {
    pub api: Api,
    pub settings: Settings,
    pub clock: Arc<dyn Clock>,
    currency: OnceCell<Option<String>>,
    refunds_by_order: OnceCell<bool>,
    parents: Mutex<BTreeMap<i64, Parent>>,
    programs: Mutex<BTreeMap<(Entity, String), Arc<Programs>>>,
}

impl Shop {
    pub fn open(connection: &Connection, http: &Arc<HttpContext>) -> Result<Shop> {
        let settings = Settings::parse(&connection.settings).map_err(|problems| {
            // Every problem was told when the settings were made; here the first is enough.
            problems.into_iter().next().unwrap_or_else(|| Error::internal("no settings"))
        })?;
        Ok(Shop {
            api: Api::new(connection, &settings, http)?,
            settings,
            clock: Arc::clone(&http.config.clock),
            currency: OnceCell::new(),
            refunds_by_order: OnceCell::new(),
            parents: Mutex::default(),
            programs: Mutex::default(),
        })
    }

    /// The programs of a stream, compiled once.
    pub fn programs(&self, stream: &Stream) -> Result<Arc<Programs>> {
        let rules = stream.rules.as_ref();
        let key = (stream.entity, rules.map(Value::to_string).unwrap_or_default());
        let mut known = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(programs) = known.get(&key) {
            return Ok(Arc::clone(programs));
        }
        let programs = defaults::programs(stream.entity, rules)
            .map_err(|problems| defaults::rules_error(&problems))?;
        known.insert(key, Arc::clone(&programs));
        Ok(programs)
    }

    /// The currency of the shop's prices. None: the key's user may not see the settings.
    pub async fn currency(&self) -> Result<Option<&str>> {
        #[derive(Deserialize)]
        struct Currency {
            code: String,
        }
        let ask = || async {
            let asked: Result<Currency> = self.api.read("wc/v3/data/currencies/current", &[]).await;
            match asked {
                Ok(currency) => Ok(Some(currency.code)),
                Err(error) if matches!(error.http_status, Some(403 | 404)) => {
                    self.currency_setting().await
                }
                Err(error) => Err(error),
            }
        };
        Ok(self.currency.get_or_try_init(ask).await?.as_deref())
    }

    async fn currency_setting(&self) -> Result<Option<String>> {
        #[derive(Deserialize)]
        struct Setting {
            value: String,
        }
        let path = "wc/v3/settings/general/woocommerce_currency";
        match self.api.read::<Setting>(path, &[]).await {
            Ok(setting) => Ok(Some(setting.value)),
            Err(error) if matches!(error.http_status, Some(403 | 404)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Is the shop too old for a list of all refunds (before WooCommerce 9.0)?
    pub async fn refunds_by_order(&self) -> Result<bool> {
        let ask = || async {
            let query = [("per_page", "1".to_owned()), ("_fields", "id".to_owned())];
            match self.api.get(lists::path(Entity::Refunds), &query).await {
                Ok(_) => Ok(false),
                Err(error) if errors::is_no_route(&error) => Ok(true),
                Err(error) => Err(error),
            }
        };
        self.refunds_by_order.get_or_try_init(ask).await.copied()
    }

    /// A stretch of a list. Where the shop can't serve that much at a time (PHP out of memory or
    /// time), it is asked for in parts.
    pub async fn window(
        &self,
        entity: Entity,
        pass: &Pass,
        offset: u64,
        limit: u64,
    ) -> Result<Vec<Answer>> {
        let mut todo = vec![(offset, limit)];
        let mut answers = Vec::new();
        while let Some((offset, limit)) = todo.pop() {
            let query = lists::query(entity, pass, offset, limit, self.settings.dp);
            let can_split = limit >= 2 * SMALL_PAGE;
            // A page that can be made smaller isn't worth many tries.
            let api = if can_split { self.api.with_retry(TWICE) } else { self.api.clone() };
            match api.get(lists::path(entity), &query).await {
                Ok(answer) => answers.push(answer),
                Err(error) if can_split && errors::is_overload(&error) => {
                    let half = limit / 2;
                    todo.push((offset + half, limit - half));
                    todo.push((offset, half));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(answers)
    }

    /// Currencies of orders, and whether they are in the trash. What isn't in the result is gone.
    pub async fn parents(
        &self,
        ids: &BTreeSet<i64>,
        calls: &mut u64,
    ) -> Result<BTreeMap<i64, Parent>> {
        let mut found = BTreeMap::new();
        let mut missing: Vec<i64> = Vec::new();
        {
            let known = self.parents.lock().unwrap_or_else(PoisonError::into_inner);
            for id in ids {
                match known.get(id) {
                    Some(parent) => drop(found.insert(*id, parent.clone())),
                    None => missing.push(*id),
                }
            }
        }
        for status in ["any", "trash"] {
            for chunk in missing.chunks(lists::MAX_PAGE as usize) {
                found.extend(self.ask_parents(chunk, status, calls).await?);
            }
            missing.retain(|id| !found.contains_key(id));
        }
        self.remember(found.iter().map(|(id, parent)| (*id, parent.clone())));
        Ok(found)
    }

    async fn ask_parents(
        &self,
        ids: &[i64],
        status: &str,
        calls: &mut u64,
    ) -> Result<Vec<(i64, Parent)>> {
        let query = [
            ("include", comma(ids)),
            ("status", status.to_owned()),
            ("per_page", lists::MAX_PAGE.to_string()),
            ("_fields", "id,currency".to_owned()),
        ];
        let answer = self.api.get(lists::path(Entity::Orders), &query).await?;
        *calls += answer.calls();
        let (body, _) = answer.body()?;
        let page = split_page(body).map_err(|_| super::client::not_a_list("orders"))?;
        Ok(page.into_iter().filter_map(|raw| parent(raw, status == "trash")).collect())
    }

    /// Keeps what is known of orders, so that their refunds need no call.
    pub fn remember(&self, parents: impl Iterator<Item = (i64, Parent)>) {
        let mut known = self.parents.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > REMEMBERED {
            known.clear();
        }
        known.extend(parents);
    }
}

const TWICE: RetryPolicy = RetryPolicy {
    attempts: 2,
    base: std::time::Duration::from_secs(1),
    cap: std::time::Duration::from_secs(20),
    max_retry_after: std::time::Duration::from_secs(60),
};

fn parent(raw: &RawValue, trashed: bool) -> Option<(i64, Parent)> {
    #[derive(Deserialize)]
    struct Order {
        #[serde(default)]
        currency: Option<String>,
    }
    let order: Order = serde_json::from_str(raw.get()).ok()?;
    Some((Head::of(raw).id()?, Parent { currency: order.currency, trashed }))
}

/// The form of `include=` that also OAuth takes.
pub fn comma(ids: &[i64]) -> String {
    ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
}
