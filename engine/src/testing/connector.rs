//! A connector over the simulated shop, with the faults of real ones.

use super::dice::Dice;
use super::shop::{Change, Shop};
use super::trace::Trace;
use crate::clock::Clock;
use crate::connector::{Account, ById, Check, Connector, Page, Pass};
use crate::error::{Category, Error, Result};
use crate::model::{Entity, Mode, Presence, RecordFailure};
use crate::store::{Filters, Stream};
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What goes wrong, in percent of calls, and how the shop behaves meanwhile.
#[derive(Debug, Clone)]
pub struct Faults {
    /// Calls that fail: the network, a busy server.
    pub errors: u64,
    /// Calls whose answer is lost after the shop has moved on.
    pub lost_answers: u64,
    /// Pages without a total, or with 0.
    pub lost_totals: u64,
    /// Pages that don't say when they were served.
    pub lost_dates: u64,
    /// Elements shown twice on one page.
    pub duplicates: u64,
    /// Changes before a page is served.
    pub busy: u64,
    pub changes: Vec<Change>,
    /// Longest time that one call takes.
    pub latency: Duration,
    /// How far the shop's clock is ahead of ours.
    pub skew: SignedDuration,
    /// Longest time from when a change is stamped to when it can be seen.
    pub late: Duration,
}

impl Faults {
    /// A shop at rest behind a perfect wire.
    pub fn none() -> Self {
        Faults {
            errors: 0,
            lost_answers: 0,
            lost_totals: 0,
            lost_dates: 0,
            duplicates: 0,
            busy: 0,
            changes: vec![],
            latency: Duration::from_millis(200),
            skew: SignedDuration::ZERO,
            late: Duration::ZERO,
        }
    }
}

/// What happens in the shop right before a call with this name is answered (`page orders live 3+4`,
/// as the trace has it), once.
pub type Script = Vec<(String, Box<dyn FnOnce(&mut Shop) + Send>)>;

/// The shop as an account of a platform.
#[derive(Clone)]
pub struct ShopConnector {
    pub shop: Arc<Mutex<Shop>>,
    pub faults: Arc<Mutex<Faults>>,
    pub clock: Arc<dyn Clock>,
    pub dice: Dice,
    pub trace: Trace,
    pub page_size: u64,
    pub concurrency: usize,
    pub script: Arc<Mutex<Script>>,
}

impl ShopConnector {
    fn faults(&self) -> Faults {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The shop's time.
    fn shop_now(&self) -> Timestamp {
        let now = self.clock.now();
        now.checked_add(self.faults().skew).unwrap_or(now)
    }

    fn with_shop<T>(&self, look: impl FnOnce(&mut Shop) -> T) -> T {
        look(&mut self.shop.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets the shop live on: a change of those that the faults name.
    pub fn live(&self) {
        let faults = self.faults();
        let Some(change) = self.dice.pick(&faults.changes) else { return };
        let late = self.dice.below(0..faults.late.as_secs() + 1);
        let at = self.shop_now();
        let at = at.checked_sub(Duration::from_secs(late)).unwrap_or(at);
        let touched = self.with_shop(|shop| shop.change(change, &self.dice, at));
        self.trace.note(format_args!("shop {change:?} {touched:?} late {late}"));
    }

    fn play(&self, what: &str) {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        let due = script.iter().position(|(name, _)| name == what);
        if let Some((name, act)) = due.map(|index| script.remove(index)) {
            self.trace.note(format_args!("script {name}"));
            self.with_shop(act);
        }
    }

    /// The way there, what happens on it, and the way back around `answer`.
    async fn call<T>(&self, what: String, answer: impl FnOnce(&Shop) -> T) -> Result<T> {
        let faults = self.faults();
        let latency = faults.latency.as_millis() as u64;
        self.clock.sleep(Duration::from_millis(self.dice.below(0..latency / 2 + 1))).await;
        if self.dice.chance(faults.errors) {
            self.trace.note(format_args!("{what}: failed"));
            return Err(lost("the connection broke"));
        }
        if self.dice.chance(faults.busy) {
            self.live();
        }
        self.play(&what);
        let answer = self.with_shop(|shop| answer(shop));
        self.clock.sleep(Duration::from_millis(self.dice.below(0..latency / 2 + 1))).await;
        if self.dice.chance(faults.lost_answers) {
            self.trace.note(format_args!("{what}: answer lost"));
            return Err(lost("the answer broke off"));
        }
        self.trace.note(what);
        Ok(answer)
    }
}

fn lost(what: &str) -> Error {
    Error::new(Category::Network, "reset", format!("\"shop.test\" can not be reached: {what}"))
}

impl Shop {
    /// Ids of a list in order; `shown` says which of them a page shows.
    fn list(&self, entity: Entity, pass: &Pass) -> Vec<i64> {
        let trash = pass.name == "trash";
        let fits = |trashed: bool, modified: Timestamp| {
            trashed == trash && pass.modified_after.is_none_or(|after| modified > after)
        };
        match entity {
            Entity::Orders => {
                let fit = self.orders.iter().filter(|(_, o)| fits(o.item.trashed, o.item.modified));
                fit.map(|(id, _)| *id).collect()
            }
            Entity::Products => {
                let fit =
                    self.products.iter().filter(|(_, p)| fits(p.item.trashed, p.item.modified));
                fit.map(|(id, _)| *id).collect()
            }
            Entity::Refunds => {
                let fit = self.refunds.iter().filter(|(_, r)| fits(false, r.item.modified));
                fit.map(|(id, _)| *id).collect()
            }
            // The filter by time is ignored there (woocommerce.md, section 2).
            Entity::Customers => self.customers.keys().copied().collect(),
            _ => vec![],
        }
    }

    fn broken(&self, entity: Entity, id: i64) -> bool {
        entity == Entity::Orders && self.orders.get(&id).is_some_and(|order| order.item.broken)
    }

    fn add_to(&self, page: &mut Page, entity: Entity, id: i64) {
        match self.failure(entity, id) {
            Some(failure) => page.failures.push(failure),
            // The hub follows an order into the trash; its refunds stay as they are.
            None if self.is_left_out(entity, id) => page.skipped += 1,
            None => page.records.extend(self.records(entity, id)),
        }
    }

    /// A refund of an order in the trash.
    fn is_left_out(&self, entity: Entity, id: i64) -> bool {
        let order = self.refunds.get(&id).and_then(|refund| self.orders.get(&refund.order));
        entity == Entity::Refunds && order.is_some_and(|order| order.item.trashed)
    }

    fn failure(&self, entity: Entity, id: i64) -> Option<RecordFailure> {
        self.broken(entity, id).then(|| RecordFailure {
            entity,
            remote_id: id.to_string(),
            label: id.to_string(),
            error: Error::new(Category::Validation, "unreadable", "total is no amount"),
            raw: None,
        })
    }
}

#[async_trait]
impl Connector for ShopConnector {
    async fn check(&self) -> Vec<Check> {
        vec![]
    }

    async fn account(&self) -> Result<Account> {
        let name = || "shop.test".to_owned();
        Ok(Account { key: name(), label: name(), platform: "simulated".to_owned() })
    }

    async fn passes(
        &self,
        entity: Entity,
        mode: Mode,
        watermark: Option<Timestamp>,
        filters: &Filters,
    ) -> Result<Vec<Pass>> {
        let pass = |name, complete| Pass {
            name,
            modified_after: watermark.filter(|_| entity != Entity::Customers),
            filters: filters.clone(),
            complete,
            remote_type: remote_type(entity),
            ids_only: false,
        };
        let live = pass("live", mode == Mode::Full || entity == Entity::Customers);
        Ok(match entity {
            Entity::Orders | Entity::Products => vec![live, pass("trash", false)],
            _ => vec![live],
        })
    }

    fn id_walk(&self, entity: Entity) -> Option<Pass> {
        (entity != Entity::Customers).then(|| Pass {
            name: "ids",
            modified_after: None,
            filters: Filters::default(),
            complete: true,
            remote_type: remote_type(entity),
            ids_only: true,
        })
    }

    fn page_size(&self) -> u64 {
        self.page_size
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    async fn page(&self, stream: &Stream, pass: &Pass, offset: u64, limit: u64) -> Result<Page> {
        let entity = stream.entity;
        let served_at = self.shop_now();
        let what = format!("page {entity} {} {offset}+{limit}", pass.name);
        let faults = self.faults();
        let mut page = self
            .call(what, |shop| {
                let list = shop.list(entity, pass);
                let (from, limit) = (offset as usize, limit as usize);
                let mut page = Page { calls: 1, ..Page::default() };
                let shown =
                    list.iter().skip(from).take(limit).filter(|id| !shop.hidden.contains(id));
                page.ids = shown.copied().collect();
                if self.dice.chance(faults.duplicates)
                    && let Some(last) = page.ids.last().copied()
                {
                    page.ids.push(last);
                }
                page.len = page.ids.len();
                page.total = Some(list.len() as u64).filter(|_| from < list.len() || from == 0);
                if !pass.ids_only {
                    page.ids.clone().iter().for_each(|id| shop.add_to(&mut page, entity, *id));
                }
                page
            })
            .await?;
        // Orders say 0 behind the end (woocommerce.md, section 3), other lists the truth.
        page.total = page.total.or((entity == Entity::Orders).then_some(0));
        if self.dice.chance(faults.lost_totals) {
            page.total = if self.dice.chance(50) { None } else { Some(0) };
        }
        page.served_at = (!self.dice.chance(faults.lost_dates)).then_some(served_at);
        Ok(page)
    }

    async fn by_ids(&self, stream: &Stream, ids: &[String]) -> Result<ById> {
        let entity = stream.entity;
        let what = format!("by id {entity} {}", ids.join(","));
        self.call(what, |shop| {
            let mut found = ById { calls: 1, ..ById::default() };
            for id in ids {
                let number = id.parse().unwrap_or_default();
                let records = shop.records(entity, number);
                if let Some(failure) = shop.failure(entity, number) {
                    found.failures.push(failure);
                } else if records.is_empty() {
                    found.gone.push(id.clone());
                } else if !shop.is_left_out(entity, number) {
                    found.records.extend(records);
                }
            }
            found
        })
        .await
    }
}

fn remote_type(entity: Entity) -> &'static str {
    match entity {
        Entity::Customers => "customer",
        Entity::Products => "product",
        Entity::Refunds => "refund",
        _ => "order",
    }
}

/// Is the record one that the hub must hold?
pub(super) fn is_live(presence: Presence) -> bool {
    presence == Presence::Live
}
