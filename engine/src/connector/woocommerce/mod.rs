//! WooCommerce REST API v3, as measured (shared reference `woocommerce.md`).
//!
//! `settings` and `auth` open a [`shop::Shop`]; `lists` says what is asked for, `pages` and
//! `by_ids` ask and map (`entities`, `defaults`), `settle` waits for orders that are still being
//! written, `errors` tells what refusals mean, `check` tests a connection.

mod auth;
mod by_ids;
mod check;
mod client;
pub mod defaults;
pub mod entities;
mod errors;
mod lists;
mod pages;
mod settings;
mod settle;
mod shop;
pub mod webhook;
mod webhooks;

#[cfg(test)]
mod tests;

pub use settings::{is_safer_way, recipient, schema, validate};

use super::{Account, ById, Check, Connector, Page, Pass, Registration};
use crate::error::{Error, Result};
use crate::http::HttpContext;
use crate::mapping::Mapped;
use crate::model::{Entity, Mode, Presence, Record};
use crate::store::{Connection, Filters, Stream};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use serde_json::value::RawValue;
use shop::Shop;
use std::sync::Arc;

/// One shop.
pub struct WooCommerce {
    shop: Shop,
    http: Arc<HttpContext>,
}

impl WooCommerce {
    /// Opens a shop; makes no call yet. Fails where settings or credentials are not whole.
    pub fn open(connection: &Arc<Connection>, http: &Arc<HttpContext>) -> Result<Self> {
        Ok(WooCommerce { shop: Shop::open(connection, http)?, http: Arc::clone(http) })
    }
}

/// What the rules make of one record's JSON, as JSON.
pub fn preview(
    entity: Entity,
    changes: Option<&Value>,
    sample: &str,
    currency: Option<&str>,
) -> Result<String> {
    let programs =
        defaults::programs(entity, changes).map_err(|problems| defaults::rules_error(&problems))?;
    let raw: &RawValue = serde_json::from_str(sample)
        .map_err(|_| Error::argument("the sample is no JSON", "Give one record as an object."))?;
    let live = Presence::Live;
    let mapped = match entity {
        Entity::Orders => entities::order(&programs, raw, live).map(|mapped| mapped.order),
        Entity::Products => entities::product(&programs, raw, currency.unwrap_or_default(), live),
        Entity::Refunds => {
            let of = entities::RefundOf { order: None, currency };
            entities::refund(&programs, raw, of, live)
        }
        _ => entities::customer(&programs, raw),
    };
    let Record { row, lines, .. } = mapped.map_err(|failure| failure.error)?;
    Ok(crate::mapping::mapped_json(&Mapped { row, lines }))
}

#[async_trait]
impl Connector for WooCommerce {
    async fn check(&self) -> Vec<Check> {
        self.shop.check(&self.http.config.policy).await
    }

    async fn account(&self) -> Result<Account> {
        self.shop.account().await
    }

    async fn passes(
        &self,
        entity: Entity,
        mode: Mode,
        watermark: Option<Timestamp>,
        filters: &Filters,
    ) -> Result<Vec<Pass>> {
        let by_order = entity == Entity::Refunds && self.shop.refunds_by_order().await?;
        Ok(lists::passes(entity, mode, watermark, filters, by_order))
    }

    fn id_walk(&self, entity: Entity) -> Option<Pass> {
        lists::id_walk(entity)
    }

    fn overlap(&self) -> SignedDuration {
        self.shop.settings.overlap
    }

    fn id_walk_interval(&self) -> SignedDuration {
        self.shop.settings.id_walk
    }

    fn page_size(&self) -> u64 {
        self.shop.settings.page_size
    }

    fn concurrency(&self) -> usize {
        self.shop.settings.concurrency
    }

    async fn page(&self, stream: &Stream, pass: &Pass, offset: u64, limit: u64) -> Result<Page> {
        self.shop.page(stream, pass, offset, limit).await
    }

    async fn by_ids(&self, stream: &Stream, ids: &[String]) -> Result<ById> {
        self.shop.by_ids(stream, ids).await
    }
    async fn keep_webhooks(
        &self,
        url: &str,
        secret: &str,
        resecret: bool,
    ) -> Result<Vec<Registration>> {
        WooCommerce::keep_webhooks(self, url, secret, resecret).await
    }
}
