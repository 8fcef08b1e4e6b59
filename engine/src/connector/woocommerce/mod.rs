//! WooCommerce REST API v3, as measured (shared reference `woocommerce.md`).

pub mod defaults;
pub mod entities;

#[cfg(test)]
mod tests;

use super::{Account, ById, Check, Connector, Page, Pass};
use crate::error::{Error, Result};
use crate::http::{AddressPolicy, HttpContext};
use crate::model::{Entity, Mode};
use crate::store::{Connection, Filters, Secret, Stream};
use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// Every problem of settings and credentials that shows without a call; else the account's key.
pub fn validate(
    _settings: &Value,
    _credentials: Option<&Secret>,
    _policy: &AddressPolicy,
) -> Result<String, Vec<Error>> {
    Err(vec![Error::internal("not built yet")])
}

pub struct WooCommerce;

impl WooCommerce {
    pub fn open(_connection: &Arc<Connection>, _http: &Arc<HttpContext>) -> Result<Self> {
        Err(Error::internal("not built yet"))
    }
}

#[async_trait]
impl Connector for WooCommerce {
    async fn check(&self) -> Vec<Check> {
        vec![]
    }
    async fn account(&self) -> Result<Account> {
        Err(Error::internal("not built yet"))
    }
    fn passes(
        &self,
        _entity: Entity,
        _mode: Mode,
        _watermark: Option<Timestamp>,
        _filters: &Filters,
    ) -> Result<Vec<Pass>> {
        Ok(vec![])
    }
    fn page_size(&self) -> u64 {
        100
    }
    fn concurrency(&self) -> usize {
        4
    }
    async fn page(&self, _: &Stream, _: &Pass, _: u64, _: u64) -> Result<Page> {
        Err(Error::internal("not built yet"))
    }
    async fn by_ids(&self, _: &Stream, _: &[String]) -> Result<ById> {
        Err(Error::internal("not built yet"))
    }
}
