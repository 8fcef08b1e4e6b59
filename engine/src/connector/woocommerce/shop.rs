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
use crate::limits::PAGE_BYTES;
use crate::model::Entity;
use crate::store::{Connection, Stream};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

/// Orders whose currency is remembered, at the most.
const REMEMBERED: usize = 100_000;

/// What is known of the order that a refund belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parent {
    pub currency: Option<String>,
    pub trashed: bool,
}

/// A part of a list that was asked for.
#[derive(Debug)]
pub enum Part {
    Answer(Answer),
    /// One record that the shop can't show in full.
    Poisoned {
        id: i64,
        error: Error,
    },
}

/// A stretch of a list, in parts.
#[derive(Debug)]
pub struct Window {
    pub parts: Vec<Part>,
    /// It ends before what was asked for: more would be too much at a time.
    pub cut: bool,
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
    /// time), or one record breaks the whole answer, it is asked for in parts, down to the record
    /// at fault.
    pub async fn window(
        &self,
        entity: Entity,
        pass: &Pass,
        offset: u64,
        limit: u64,
    ) -> Result<Window> {
        let mut todo = vec![(offset, limit)];
        let mut parts = Vec::new();
        let (mut bytes, mut elements) = (0, 0);
        while let Some((at, size)) = todo.pop() {
            // The next page goes on from here. Two elements, since pages share one.
            if bytes >= PAGE_BYTES && elements >= 2 {
                return Ok(Window { parts, cut: true });
            }
            // What can be asked for in parts isn't worth many tries; the first may be a hiccup.
            let retry = if size < limit { RetryPolicy::NONE } else { TWICE };
            let api = self.api.with_retry(retry);
            let query = lists::query(entity, pass, at, size, self.settings.dp);
            match read_list(&api, lists::path(entity), &query).await {
                Ok(answer) => {
                    bytes += answer.len();
                    elements += size;
                    parts.push(Part::Answer(answer));
                }
                Err(error) if !errors::is_poison(&error) => return Err(error),
                Err(error) if size == 1 => {
                    elements += 1;
                    parts.extend(self.poisoned(entity, pass, at, error).await?);
                }
                Err(_) => {
                    let piece = size.div_ceil(4);
                    let pieces: Vec<(u64, u64)> = (at..at + size)
                        .step_by(piece as usize)
                        .map(|from| (from, piece.min(at + size - from)))
                        .collect();
                    // The first of them comes off the end.
                    todo.extend(pieces.into_iter().rev());
                }
            }
        }
        Ok(Window { parts, cut: false })
    }

    /// The id of a record that the shop can't show; if not even that is to be had, it isn't the
    /// record's fault.
    async fn poisoned(
        &self,
        entity: Entity,
        pass: &Pass,
        at: u64,
        error: Error,
    ) -> Result<Option<Part>> {
        let pass = Pass { ids_only: true, ..pass.clone() };
        let query = lists::query(entity, &pass, at, 1, self.settings.dp);
        let answer = read_list(&self.api, lists::path(entity), &query).await?;
        let (list, _) = answer.list()?;
        let id = list.first().and_then(|raw| Head::of(raw).id());
        Ok(id.map(|id| Part::Poisoned { id, error }))
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
        let (page, _) = answer.list()?;
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

/// An answer that is a list for certain.
pub async fn read_list(api: &Api, path: &str, query: &[(&'static str, String)]) -> Result<Answer> {
    let answer = api.get(path, query).await?;
    answer.list()?;
    Ok(answer)
}

/// For what is asked for otherwise when it fails: the first failure may be a hiccup.
pub const TWICE: RetryPolicy = RetryPolicy {
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
    let currency = order.currency.filter(|currency| currency.len() <= 16);
    Some((Head::of(raw).id()?, Parent { currency, trashed }))
}

/// The form of `include=` that also OAuth takes.
pub fn comma(ids: &[i64]) -> String {
    ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
}
