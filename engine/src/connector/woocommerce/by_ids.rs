//! Records asked for by id. A record is gone only when it was asked for on its own and the shop
//! said so: lists leave out what a plugin or a status hides.

use super::entities::{self, Head};
use super::errors;
use super::lists;
use super::pages::{Element, customers, elements};
use super::shop::{Shop, TWICE, comma, read_list};
use crate::connector::{ById, Page, Pass};
use crate::error::Result;
use crate::limits::PAGE_BYTES;
use crate::model::Entity;
use crate::store::{Filters, Stream};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

impl Shop {
    /// Records by id. Ids of orders, asked of refunds, mean the refunds of those orders: ids are
    /// unique over both.
    pub async fn by_ids(&self, stream: &Stream, ids: &[String]) -> Result<ById> {
        let mut page = Page::default();
        let mut wanted = numbers(stream.entity, ids, &mut page);
        let mut gone = Vec::new();
        let by_order = stream.entity == Entity::Refunds && self.refunds_by_order().await?;
        let statuses: &[&str] = match stream.entity {
            Entity::Orders | Entity::Products => &["any", "trash"],
            Entity::Refunds if by_order => &[],
            _ => &["any"],
        };
        for status in statuses {
            let list: Vec<i64> = wanted.iter().copied().collect();
            for chunk in list.chunks(lists::MAX_PAGE as usize) {
                let found = self.included(stream, chunk, status, &mut page).await?;
                wanted.retain(|id| !found.contains(id));
                if page.cut || page.is_full(page.records.len() + page.failures.len(), PAGE_BYTES) {
                    wanted.extend(std::mem::take(&mut page.left));
                    return Ok(some(page, gone, wanted));
                }
            }
        }
        if stream.entity == Entity::Refunds {
            self.of_orders(stream, &mut wanted, &mut page).await?;
            if page.cut {
                wanted.extend(std::mem::take(&mut page.left));
                return Ok(some(page, gone, wanted));
            }
        }
        match stream.entity {
            Entity::Refunds if by_order => {
                page.notes.extend(wanted.iter().map(|id| {
                    format!("refund {id}: a shop before WooCommerce 9.0 shows no refund by its id")
                }));
            }
            // They have no address without their order: what no list shows is gone.
            Entity::Refunds => gone.extend(wanted),
            _ => {
                let rest = self.one_by_one(stream, wanted, &mut page, &mut gone).await?;
                return Ok(some(page, gone, rest));
            }
        }
        Ok(some(page, gone, BTreeSet::new()))
    }

    /// The refunds of those ids that are orders; they are taken out of `ids`.
    async fn of_orders(
        &self,
        stream: &Stream,
        ids: &mut BTreeSet<i64>,
        page: &mut Page,
    ) -> Result<()> {
        let programs = self.programs(stream)?;
        let list: Vec<i64> = ids.iter().copied().collect();
        for chunk in list.chunks(lists::MAX_PAGE as usize) {
            let query = [
                ("include", comma(chunk)),
                ("status", "any".to_owned()),
                ("per_page", lists::MAX_PAGE.to_string()),
                ("_fields", "id,currency,refunds".to_owned()),
            ];
            let answer = read_list(&self.api, lists::path(Entity::Orders), &query).await?;
            page.calls += answer.calls();
            let (orders, note) = elements(&answer)?;
            page.notes.extend(note);
            let pass = Shop::all(Entity::Refunds);
            self.refunds_of_orders(&programs, &pass, &orders, page).await?;
            orders.iter().filter_map(|order| order.head.id()).for_each(|id| {
                ids.remove(&id);
            });
            if page.cut {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A pass that leaves nothing out.
    fn all(entity: Entity) -> Pass {
        Pass {
            name: "ids",
            modified_after: None,
            filters: Filters::default(),
            complete: false,
            remote_type: lists::remote_type(entity),
            ids_only: false,
        }
    }

    /// Those of the ids that the list shows; read into `page`. Where one of them breaks the answer,
    /// each is asked for on its own.
    async fn included(
        &self,
        stream: &Stream,
        ids: &[i64],
        status: &str,
        page: &mut Page,
    ) -> Result<BTreeSet<i64>> {
        let mut found = BTreeSet::new();
        match self.include(stream, ids, status, false, page).await {
            Ok(all) => return Ok(all),
            Err(error) if !errors::is_poison(&error) => return Err(error),
            Err(_) => {}
        }
        for id in ids {
            if page.is_full(2, PAGE_BYTES) {
                page.cut = true;
                break;
            }
            match self.include(stream, &[*id], status, false, page).await {
                Ok(one) => found.extend(one),
                Err(error) if errors::is_poison(&error) => {
                    // If not even its id is to be had, it isn't the record's fault.
                    if !self.include(stream, &[*id], status, true, page).await?.is_empty() {
                        found.insert(*id);
                        page.fail(entities::unshowable(stream.entity, *id, &error));
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    async fn include(
        &self,
        stream: &Stream,
        ids: &[i64],
        status: &str,
        ids_only: bool,
        page: &mut Page,
    ) -> Result<BTreeSet<i64>> {
        let mut query = lists::shape(stream.entity, self.settings.dp);
        query.push(("include", comma(ids)));
        query.push(("per_page", lists::MAX_PAGE.to_string()));
        if matches!(stream.entity, Entity::Orders | Entity::Products) {
            query.push(("status", status.to_owned()));
        }
        if ids_only {
            query.push(("_fields", "id".to_owned()));
        }
        let api = self.api.with_retry(TWICE);
        let answer = read_list(&api, lists::path(stream.entity), &query).await?;
        page.calls += answer.calls();
        page.served_at = answer.served_at();
        let (mut found, note) = elements(&answer)?;
        page.notes.extend(note);
        // A shop that ignores `include` would show others.
        found.retain(|element| element.head.id().is_some_and(|id| ids.contains(&id)));
        if !ids_only {
            self.take(stream, &found, page).await?;
        }
        Ok(found.iter().filter_map(|element| element.head.id()).collect())
    }

    async fn take(&self, stream: &Stream, raws: &[Element<'_>], page: &mut Page) -> Result<()> {
        let programs = self.programs(stream)?;
        let pass = Shop::all(stream.entity);
        match stream.entity {
            Entity::Orders => self.orders(&programs, &pass, raws, page).await,
            Entity::Products => self.products(&programs, &pass, raws, page).await,
            Entity::Refunds => self.refunds(&programs, &pass, raws, page).await,
            _ => {
                customers(&programs, &pass, raws, page);
                Ok(())
            }
        }
    }

    async fn one_by_one(
        &self,
        stream: &Stream,
        ids: BTreeSet<i64>,
        page: &mut Page,
        gone: &mut Vec<i64>,
    ) -> Result<BTreeSet<i64>> {
        let mut variations: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        let mut rest = BTreeSet::new();
        for id in ids {
            if page.is_full(2, PAGE_BYTES) {
                rest.insert(id);
                continue;
            }
            let query = lists::shape(stream.entity, self.settings.dp);
            let path = format!("{}/{id}", lists::path(stream.entity));
            let answer = match self.api.get(&path, &query).await {
                Ok(answer) => answer,
                Err(error) if errors::is_gone(&error) => {
                    page.calls += 1;
                    gone.push(id);
                    continue;
                }
                Err(error) => return Err(error),
            };
            page.calls += answer.calls();
            page.served_at = answer.served_at();
            let raw: &RawValue = answer.0.json()?.value;
            let head = Head::of(raw);
            match head.parent_id().filter(|_| head.is_variation()) {
                Some(parent) => variations.entry(parent).or_default().push(id),
                None => self.take(stream, &[Element::of(raw)], page).await?,
            }
        }
        for (parent, ids) in variations {
            if page.is_full(2, PAGE_BYTES) {
                rest.extend(ids);
                continue;
            }
            self.variations_by_id(stream, parent, &ids, page, gone).await?;
        }
        Ok(rest)
    }

    /// Variations, read with their parent; without it they are nowhere to be found either.
    async fn variations_by_id(
        &self,
        stream: &Stream,
        parent: i64,
        ids: &[i64],
        page: &mut Page,
        gone: &mut Vec<i64>,
    ) -> Result<()> {
        let programs = self.programs(stream)?;
        let currency = self.currency().await?.unwrap_or_default();
        for chunk in ids.chunks(lists::MAX_PAGE as usize) {
            match self.variation_by_id(&programs, parent, chunk, currency, page).await {
                Err(error) if errors::is_gone(&error) => gone.extend(chunk),
                other => other?,
            }
        }
        Ok(())
    }
}

/// What was found, and the ids that are to be asked for again.
fn some(page: Page, gone: Vec<i64>, rest: BTreeSet<i64>) -> ById {
    ById {
        records: page.records,
        failures: page.failures,
        gone: gone.iter().map(i64::to_string).collect(),
        calls: page.calls,
        notes: page.notes,
        rest: rest.iter().map(i64::to_string).collect(),
    }
}

/// Ids as numbers. Guests have none (they live in orders), nor has what was read without an id;
/// anything else that is no number fails.
fn numbers(entity: Entity, ids: &[String], page: &mut Page) -> BTreeSet<i64> {
    let mut numbers = BTreeSet::new();
    for id in ids.iter().filter(|id| !id.is_empty() && !id.starts_with("guest:")) {
        match id.parse::<i64>() {
            Ok(number) if number > 0 => drop(numbers.insert(number)),
            _ => page.failures.push(entities::no_id(entity, id)),
        }
    }
    numbers
}
