//! One page of a list, mapped, with what comes along: guests before their orders, variations
//! behind their products.

use super::client::Answer;
use super::defaults::Programs;
use super::entities::{self, Head, RefundOf};
use super::lists;
use super::settle;
use super::shop::{Parent, Part, Shop};
use crate::connector::{Page, Pass};
use crate::error::Result;
use crate::limits::{self, Excess, PAGE_BYTES, WalkGuard};
use crate::model::{Cell, Entity, Presence, Record};
use crate::store::Stream;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Products of a page whose variations are asked for at once.
const PRODUCTS_AT_ONCE: usize = 4;

/// Bytes of one answer with variations: several are under way at once.
const VARIATIONS_BYTES: usize = 2 << 20;

/// One element of a list: its JSON, and what decides how it is read.
pub struct Element<'a> {
    pub raw: &'a RawValue,
    pub head: Head<'a>,
    /// It is not to be read: its JSON is beyond a limit.
    excess: Option<Excess>,
}

impl<'a> Element<'a> {
    pub fn of(raw: &'a RawValue) -> Self {
        Element { raw, head: Head::of(raw), excess: limits::check_record(raw).err() }
    }

    /// False: it is beyond a limit, and a failure of the page now.
    fn fits(&self, entity: Entity, page: &mut Page) -> bool {
        if let Some(excess) = self.excess {
            page.fail(entities::oversized(entity, &self.head, excess));
        }
        self.excess.is_none()
    }
}

/// The elements of a list, and what was odd about its body.
pub fn elements(answer: &Answer) -> Result<(Vec<Element<'_>>, Option<String>)> {
    let (raws, note) = answer.list()?;
    Ok((raws.into_iter().map(Element::of).collect(), note))
}

impl Shop {
    pub async fn page(
        &self,
        stream: &Stream,
        pass: &Pass,
        offset: u64,
        limit: u64,
    ) -> Result<Page> {
        let programs = self.programs(stream)?;
        // Refunds of a shop without a list of all refunds are found through their orders.
        let by_order = stream.entity == Entity::Refunds && pass.remote_type == "order";
        let entity = if by_order { Entity::Orders } else { stream.entity };
        let window = self.window(entity, pass, offset, limit).await?;
        let mut page = Page { cut: window.cut, ..Page::default() };
        for part in &window.parts {
            if page.is_full(page.len, PAGE_BYTES) {
                page.cut = true;
                break;
            }
            let answer = match part {
                Part::Answer(answer) => answer,
                Part::Poisoned { id, error } => {
                    page.len += 1;
                    page.ids.push(*id);
                    page.calls += 1;
                    page.fail(entities::unshowable(entity, *id, error));
                    continue;
                }
            };
            let (raws, note) = elements(answer)?;
            page.begin(answer, &raws, note);
            if pass.ids_only {
                continue;
            }
            match stream.entity {
                Entity::Orders => self.orders(&programs, pass, &raws, &mut page).await?,
                Entity::Products => self.products(&programs, pass, &raws, &mut page).await?,
                Entity::Refunds if by_order => {
                    self.refunds_of_orders(&programs, pass, &raws, &mut page).await?;
                }
                Entity::Refunds => self.refunds(&programs, pass, &raws, &mut page).await?,
                _ => customers(&programs, pass, &raws, &mut page),
            }
        }
        // Orders past the end say "0 in all", which is no word about the shop
        // (woocommerce.md, section 3).
        if page.len == 0 && offset > 0 {
            page.total = None;
        }
        Ok(page)
    }

    pub(super) async fn orders(
        &self,
        programs: &Programs,
        pass: &Pass,
        raws: &[Element<'_>],
        page: &mut Page,
    ) -> Result<()> {
        let settled = self.settled(raws, page).await?;
        let mut guests: BTreeMap<String, Record> = BTreeMap::new();
        let mut orders = Vec::with_capacity(raws.len());
        for (i, element) in raws.iter().enumerate() {
            if page.is_full(i, PAGE_BYTES) {
                page.leave(&raws[i..]);
                break;
            }
            let Element { raw, head, .. } = element;
            if !element.fits(Entity::Orders, page) {
                continue;
            }
            // An order that was read again comes with a head of its own.
            let again = match head.id().and_then(|id| settled.get(&id)) {
                None => None,
                Some(None) => continue,
                Some(Some(text)) => serde_json::from_str::<&RawValue>(text).ok(),
            };
            let (raw, head) = match again {
                None => (*raw, head),
                Some(raw) => (raw, &Head::of(raw)),
            };
            if head.is_draft() {
                page.skipped += 1;
                continue;
            }
            match entities::order_with(programs, raw, head, head.presence()) {
                Err(failure) => page.fail(*failure),
                Ok(mapped) if !lists::matches(&mapped.order, &pass.filters) => page.skipped += 1,
                Ok(mapped) => {
                    self.remember(parent_of_refunds(&mapped.order).into_iter());
                    // Of several orders of one guest the newest says best who that is.
                    // One who ordered nothing that is stored is nobody here.
                    let guest = mapped.guest.filter(|_| mapped.order.presence == Presence::Live);
                    guests.extend(guest.map(|guest| (guest.remote_id.clone(), guest)));
                    // Guests come before their orders: these are kept below.
                    page.weigh(mapped.order.weight());
                    orders.push(mapped.order);
                }
            }
        }
        guests.into_values().for_each(|guest| page.keep(guest));
        page.records.extend(orders);
        Ok(())
    }

    /// Orders of the page that were seen half-written: their JSON once they came to rest; None for
    /// those that didn't, which are failures of the page already.
    async fn settled(
        &self,
        raws: &[Element<'_>],
        page: &mut Page,
    ) -> Result<BTreeMap<i64, Option<Arc<str>>>> {
        let now = page.served_at.unwrap_or_else(|| self.clock.now());
        let suspects: BTreeMap<i64, Arc<str>> = raws
            .iter()
            .filter(|e| e.excess.is_none() && settle::is_suspect(e.raw, &e.head, now))
            .filter(|e| !e.head.is_draft() && e.head.presence() == Presence::Live)
            .filter_map(|e| Some((e.head.id()?, Arc::from(e.raw.get()))))
            .collect();
        if suspects.is_empty() {
            return Ok(BTreeMap::new());
        }
        let settled =
            settle::settle(&self.api, self.clock.as_ref(), self.settings.dp, suspects).await?;
        page.calls += settled.calls;
        page.notes.extend(settled.notes);
        let mut out: BTreeMap<i64, Option<Arc<str>>> =
            settled.orders.into_iter().map(|(id, json)| (id, Some(json))).collect();
        for failure in settled.failures {
            out.extend(failure.remote_id.parse().ok().map(|id: i64| (id, None)));
            page.fail(failure);
        }
        Ok(out)
    }

    pub(super) async fn products(
        &self,
        programs: &Programs,
        pass: &Pass,
        raws: &[Element<'_>],
        page: &mut Page,
    ) -> Result<()> {
        // A few at a time: each may bring hundreds of variations along.
        for (n, some) in raws.chunks(PRODUCTS_AT_ONCE).enumerate() {
            if page.is_full(n * PRODUCTS_AT_ONCE, PAGE_BYTES) {
                page.leave(&raws[n * PRODUCTS_AT_ONCE..]);
                break;
            }
            self.some_products(programs, pass, some, page).await?;
        }
        Ok(())
    }

    async fn some_products(
        &self,
        programs: &Programs,
        pass: &Pass,
        raws: &[Element<'_>],
        page: &mut Page,
    ) -> Result<()> {
        let currency = self.currency().await?.unwrap_or_default();
        let only_variations = pass.filters.kind.as_deref() == Some("variation");
        let mut filters = pass.filters.clone();
        filters.kind = filters.kind.filter(|_| !only_variations);
        let mut mapped = Vec::with_capacity(raws.len());
        for element in raws {
            let Element { raw, head, .. } = element;
            if !element.fits(Entity::Products, page) {
                continue;
            }
            if head.is_draft() {
                page.skipped += 1;
                continue;
            }
            // A filter by SKU also finds variations: they are read with their parent.
            if let (true, Some(parent), Some(id)) =
                (head.is_variation(), head.parent_id(), head.id())
            {
                self.variation_by_id(programs, parent, &[id], currency, page).await?;
                continue;
            }
            match entities::product(programs, raw, currency, head.presence()) {
                Err(failure) => page.fail(*failure),
                Ok(product) if !lists::matches(&product, &filters) => page.skipped += 1,
                Ok(product) => mapped.push((*raw, product)),
            }
        }
        let lists = mapped.iter().map(|(raw, product)| async {
            let wanted =
                product.presence == Presence::Live && !Head::of(raw).variations().is_empty();
            if wanted {
                self.variations(programs, raw, None, currency).await
            } else {
                Ok(Page::default())
            }
        });
        let lists = try_join_all(lists).await?;
        for ((_, product), along) in mapped.into_iter().zip(lists) {
            // Without all of its variations a product isn't written.
            if along.cut {
                page.add_along(along);
                continue;
            }
            if only_variations {
                page.skipped += 1;
            } else {
                page.keep(product);
            }
            page.add_along(along);
        }
        Ok(())
    }

    /// All variations of a product, or those with the given ids.
    pub async fn variations(
        &self,
        programs: &Programs,
        parent: &RawValue,
        only: Option<&[i64]>,
        currency: &str,
    ) -> Result<Page> {
        let mut page = Page::default();
        let Some(id) = Head::of(parent).id() else { return Ok(page) };
        let path = format!("wc/v3/products/{id}/variations");
        let mut limit = lists::MAX_PAGE;
        let mut offset = 0;
        let mut guard = WalkGuard::default();
        let mut seen = BTreeSet::new();
        loop {
            let mut query = vec![
                ("orderby", "id".to_owned()),
                ("order", "asc".to_owned()),
                ("per_page", limit.to_string()),
                ("offset", offset.to_string()),
            ];
            query.extend(only.map(|ids| ("include", super::shop::comma(ids))));
            let answer = match self.api.get_within(&path, &query, VARIATIONS_BYTES).await {
                // Fewer of them at a time.
                Err(error) if error.code == "too_large" && limit > 1 => {
                    limit = limit.div_ceil(4);
                    continue;
                }
                answer => answer?,
            };
            page.calls += answer.calls();
            let (raws, note) = elements(&answer)?;
            page.notes.extend(note);
            let before = seen.len();
            seen.extend(raws.iter().filter_map(|element| element.head.id()));
            let fresh = seen.len() > before;
            for element in &raws {
                let Element { raw, head, .. } = element;
                if !element.fits(Entity::Products, &mut page) {
                    continue;
                }
                match entities::variation(programs, raw, parent, currency, head.presence()) {
                    Ok(record) => page.keep(record),
                    Err(failure) => page.fail(*failure),
                }
            }
            if page.weight > limits::ALONG_BYTES {
                let mut none = Page { calls: page.calls, cut: true, ..Page::default() };
                none.fail(entities::too_many_variations(id));
                return Ok(none);
            }
            offset += raws.len() as u64;
            if (raws.len() as u64) < limit {
                return Ok(page);
            }
            guard.page(raws.len(), fresh)?;
        }
    }

    /// Variations whose parent isn't at hand.
    pub async fn variation_by_id(
        &self,
        programs: &Programs,
        parent: i64,
        ids: &[i64],
        currency: &str,
        page: &mut Page,
    ) -> Result<()> {
        let answer = self.api.get(&format!("wc/v3/products/{parent}"), &[]).await?;
        page.calls += answer.calls();
        let parent: &RawValue = answer.0.json()?.value;
        let element = Element::of(parent);
        if !element.fits(Entity::Products, page) {
            return Ok(());
        }
        page.add_along(self.variations(programs, parent, Some(ids), currency).await?);
        Ok(())
    }

    pub async fn refunds(
        &self,
        programs: &Programs,
        pass: &Pass,
        raws: &[Element<'_>],
        page: &mut Page,
    ) -> Result<()> {
        let ids: BTreeSet<i64> = raws.iter().filter_map(|e| e.head.parent_id()).collect();
        let parents = self.parents(&ids, &mut page.calls).await?;
        for (i, element) in raws.iter().enumerate() {
            if page.is_full(i, PAGE_BYTES) {
                page.leave(&raws[i..]);
                break;
            }
            let Element { raw, head, .. } = element;
            if !element.fits(Entity::Refunds, page) {
                continue;
            }
            let parent = head.parent_id().and_then(|id| parents.get(&id));
            match (parent, head.parent_id()) {
                // The store lets them follow their order into the trash and back.
                (Some(parent), _) if parent.trashed => page.skipped += 1,
                (None, Some(order)) => {
                    page.skipped += 1;
                    let id = head.id().unwrap_or_default();
                    page.notes.push(format!(
                        "refund {id} belongs to order {order}, which the shop hasn't got any more: left out"
                    ));
                }
                (parent, _) => {
                    let currency = parent.and_then(|parent| parent.currency.as_deref());
                    page.refund(programs, pass, raw, RefundOf { order: None, currency });
                }
            }
        }
        Ok(())
    }

    /// The refunds of a page of orders, for a shop that has no list of all refunds.
    pub(super) async fn refunds_of_orders(
        &self,
        programs: &Programs,
        pass: &Pass,
        raws: &[Element<'_>],
        page: &mut Page,
    ) -> Result<()> {
        #[derive(Deserialize)]
        struct Order<'o> {
            #[serde(default)]
            currency: Option<String>,
            #[serde(borrow, default)]
            refunds: Vec<&'o RawValue>,
        }
        for (i, element) in raws.iter().enumerate() {
            if page.is_full(i, PAGE_BYTES) {
                page.leave(&raws[i..]);
                break;
            }
            let Element { raw, head, .. } = element;
            if !element.fits(Entity::Orders, page) {
                continue;
            }
            let Ok(order) = serde_json::from_str::<Order<'_>>(raw.get()) else { continue };
            let Some(id) = head.id().filter(|_| !order.refunds.is_empty()) else {
                continue;
            };
            let mut query = lists::shape(Entity::Refunds, self.settings.dp);
            query.push(("per_page", lists::MAX_PAGE.to_string()));
            let answer = self.api.get(&format!("wc/v3/orders/{id}/refunds"), &query).await?;
            page.calls += answer.calls();
            let (refunds, note) = elements(&answer)?;
            page.notes.extend(note);
            for element in &refunds {
                if !element.fits(Entity::Refunds, page) {
                    continue;
                }
                let raw = element.raw;
                let of = RefundOf { order: Some(id), currency: order.currency.as_deref() };
                page.refund(programs, pass, raw, of);
            }
        }
        Ok(())
    }
}

pub fn customers(programs: &Programs, pass: &Pass, raws: &[Element<'_>], page: &mut Page) {
    for (i, element) in raws.iter().enumerate() {
        if page.is_full(i, PAGE_BYTES) {
            page.leave(&raws[i..]);
            break;
        }
        if !element.fits(Entity::Customers, page) {
            continue;
        }
        match entities::customer(programs, element.raw) {
            Err(failure) => page.fail(*failure),
            Ok(record) if !lists::matches(&record, &pass.filters) => page.skipped += 1,
            Ok(record) => page.keep(record),
        }
    }
}

impl Page {
    fn begin(&mut self, answer: &Answer, raws: &[Element<'_>], note: Option<String>) {
        self.calls += answer.calls();
        self.total = self.total.or_else(|| answer.total());
        self.served_at = earlier(self.served_at, answer.served_at());
        self.len += raws.len();
        self.ids.extend(raws.iter().filter_map(|e| e.head.id()));
        self.notes.extend(note);
    }

    /// Leaves these elements to the next page: the page is full.
    fn leave(&mut self, raws: &[Element<'_>]) {
        self.cut = true;
        self.len = self.len.saturating_sub(raws.len());
        let ids: Vec<i64> = raws.iter().filter_map(|e| e.head.id()).collect();
        self.ids.truncate(self.ids.len().saturating_sub(ids.len()));
        self.left.extend(ids);
    }

    fn refund(&mut self, programs: &Programs, pass: &Pass, raw: &RawValue, of: RefundOf<'_>) {
        match entities::refund(programs, raw, of, Presence::Live) {
            Err(failure) => self.fail(*failure),
            Ok(record) if !lists::matches(&record, &pass.filters) => self.skipped += 1,
            Ok(record) => self.keep(record),
        }
    }
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// An order that has refunds: they will be asked for soon.
fn parent_of_refunds(order: &Record) -> Option<(i64, Parent)> {
    if order.related.iter().all(|related| related.remote_ids.is_empty()) {
        return None;
    }
    let Cell::Text(currency) = order.row.cell("currency") else { return None };
    // A hundred thousand of them are remembered.
    if currency.len() > 16 {
        return None;
    }
    let parent =
        Parent { currency: Some(currency.clone()), trashed: order.presence == Presence::Trashed };
    Some((order.remote_id.parse().ok()?, parent))
}
