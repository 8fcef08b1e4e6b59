//! Pulling lists out of QuickBooks: what changed by change data capture, everything by queries.
//!
//! QuickBooks has no order by id and no walk behind an id. Lists are therefore walked in the order
//! of creation, which no later change moves, and the elements are numbered by their place; each page
//! begins with the last record of the one before, known by its id, and where it doesn't, rows have
//! left the list and the walk steps back. A list of bare ids follows, in which what is gone shows.

use super::cdc::{Changes, KindChanges, REACH};
use super::client::Api;
use super::defaults;
use super::entities::{self, Company, kind_of, remote_type};
use super::kind::Kind;
use super::query::{CREATED, Select, UPDATED, id_of};
use crate::connector::{ById, Page, Pass};
use crate::error::{Category, Error, Result};
use crate::limits::WalkGuard;
use crate::mapping::Program;
use crate::model::{Entity, Mode};
use crate::posting::settings::Settings as Posting;
use crate::store::{Filters, Stream};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OnceCell;

/// Records of a page: as many as a query gives.
pub const PAGE: u64 = super::limits::QUERY_ROWS;

/// Bytes that a page may take: a thousand records of ordinary size.
const PAGE_BYTES: usize = 16 << 20;

/// One company, opened for a run.
pub struct Books {
    pub api: Api,
    zone: TimeZone,
    home_currency: OnceCell<String>,
    programs: Mutex<BTreeMap<(Entity, String), Arc<Program>>>,
    changes: Mutex<BTreeMap<Entity, Arc<Changes>>>,
    walks: Mutex<BTreeMap<(Entity, &'static str), WalkState>>,
}

/// What a walk has seen in this process.
#[derive(Default)]
struct WalkState {
    seen: BTreeSet<i64>,
    /// It began at the list's beginning and reached its end here: `seen` is the whole list.
    whole: bool,
    began: bool,
    total: Option<u64>,
    guard: WalkGuard,
    /// The place beyond which nothing was read yet.
    frontier: u64,
    /// The list of bare ids, in order.
    ids: Option<Arc<Vec<i64>>>,
}

impl Books {
    pub fn open(api: Api, settings: &Posting) -> Books {
        Books {
            api,
            // Only dates of payments need it: where it isn't set yet, their day begins in UTC.
            zone: settings.zone().unwrap_or(TimeZone::UTC),
            home_currency: OnceCell::new(),
            programs: Mutex::default(),
            changes: Mutex::default(),
            walks: Mutex::default(),
        }
    }

    /// The passes of a run. Incremental: what changed; where that is more than one answer holds,
    /// the changed ones by a query and the ids of all. Beyond the reach of change data capture:
    /// everything.
    pub async fn passes(
        &self,
        entity: Entity,
        mode: Mode,
        watermark: Option<Timestamp>,
        filters: &Filters,
    ) -> Result<Vec<Pass>> {
        let kind = kind_of(entity).ok_or_else(|| not_pulled(entity))?;
        applies(entity, filters)?;
        let pass = |name, modified_after| Pass {
            name,
            modified_after,
            filters: filters.clone(),
            complete: false,
            // The places that number the elements are no ids: none of them may hide a record.
            remote_type: "",
            ids_only: false,
        };
        let now = self.api.now();
        let since = watermark.filter(|mark| {
            mode == Mode::Incremental && filters.is_empty() && now.duration_since(*mark) < REACH
        });
        let Some(since) = since else {
            let mut passes = vec![pass("live", watermark.filter(|_| mode == Mode::Incremental))];
            passes.extend(filters.is_empty().then(|| ids_pass(entity)));
            return Ok(passes);
        };
        let changes = self.api.changes(&[kind], since).await?;
        let truncated = changes.kinds.get(&kind).is_some_and(|own| own.truncated);
        lock(&self.changes).insert(entity, Arc::new(changes));
        let mut passes = vec![pass("changes", Some(since))];
        if truncated {
            passes.extend([pass("updated", Some(since)), ids_pass(entity)]);
        }
        Ok(passes)
    }

    pub async fn page(
        &self,
        stream: &Stream,
        pass: &Pass,
        offset: u64,
        limit: u64,
    ) -> Result<Page> {
        match pass.name {
            "changes" => self.changed(stream, pass, offset, limit).await,
            "ids" => self.bare_ids(stream.entity, offset, limit).await,
            _ => self.listed(stream, pass, offset, limit).await,
        }
    }

    /// A stretch of the changes, which were asked for when the passes were made.
    async fn changed(&self, stream: &Stream, pass: &Pass, offset: u64, limit: u64) -> Result<Page> {
        let kind = kind_of(stream.entity).ok_or_else(|| not_pulled(stream.entity))?;
        let known = lock(&self.changes).get(&stream.entity).cloned();
        let changes = match known {
            Some(changes) => changes,
            None => {
                let since = pass.modified_after.unwrap_or(self.api.now());
                Arc::new(self.api.changes(&[kind], since).await?)
            }
        };
        let none = KindChanges::default();
        let own = changes.kinds.get(&kind).unwrap_or(&none);
        let (from, to) = stretch(offset, limit, own.changed.len());
        let mut page = Page {
            // The call was made for the passes; it counts with the first page.
            calls: if offset == 0 { changes.calls } else { 0 },
            total: Some(own.changed.len() as u64),
            served_at: changes.served_at,
            ..Page::default()
        };
        if offset == 0 {
            page.gone.clone_from(&own.gone);
        }
        let rows: Vec<&RawValue> = own.changed[from..to].iter().map(AsRef::as_ref).collect();
        self.fill(&mut page, stream, &rows, offset).await?;
        Ok(page)
    }

    /// A stretch of a list, by a query.
    async fn listed(&self, stream: &Stream, pass: &Pass, offset: u64, limit: u64) -> Result<Page> {
        let kind = kind_of(stream.entity).ok_or_else(|| not_pulled(stream.entity))?;
        let select = select(kind, pass);
        let answer = self.api.rows(&select, offset, limit).await?;
        let rows = answer.rows()?;
        let full = answer.full;
        let mut page =
            Page { calls: answer.calls(), served_at: answer.served_at(), ..Page::default() };
        let key = (stream.entity, pass.name);
        if self.has_moved(key, offset, &rows) {
            page.len = rows.len();
            // Behind everything that was seen: the walk steps back until it meets that.
            page.ids = vec![i64::MAX; rows.len()];
            page.cut = full;
            return Ok(page);
        }
        if offset == 0 && full {
            page.calls += 1;
            let total = self.api.count(&select).await?;
            self.walk(key).entry(key).or_default().total = Some(total);
        }
        {
            let mut walks = self.walk(key);
            let state = walks.entry(key).or_default();
            state.began |= offset == 0;
            let before = state.seen.len();
            state.seen.extend(rows.iter().filter_map(|raw| id_of(raw)?.parse::<i64>().ok()));
            // The elements' places are always new, their ids must be, too.
            state.guard.page(rows.len(), state.seen.len() > before || offset < state.frontier)?;
            state.frontier = state.frontier.max(offset + 1);
            state.whole |= state.began && !full;
            // A short page is the end, whatever was counted before.
            page.total = if full { state.total } else { Some(offset + rows.len() as u64) };
        }
        page.cut = full;
        self.fill(&mut page, stream, &rows, offset).await?;
        Ok(page)
    }

    /// A page's first record must be one that was seen. A walk that another process began has
    /// nothing to compare with.
    fn has_moved(&self, key: (Entity, &'static str), offset: u64, rows: &[&RawValue]) -> bool {
        let walks = self.walk(key);
        let Some(state) = walks.get(&key).filter(|state| offset > 0 && !state.seen.is_empty())
        else {
            return false;
        };
        let first = rows.first().and_then(|raw| id_of(raw)?.parse::<i64>().ok());
        first.is_none_or(|id| !state.seen.contains(&id))
    }

    async fn bare_ids(&self, entity: Entity, offset: u64, limit: u64) -> Result<Page> {
        let mut page = Page::default();
        let ids = match self.known_ids(entity) {
            Some(ids) => ids,
            None => {
                let kind = kind_of(entity).ok_or_else(|| not_pulled(entity))?;
                let select = select(kind, &ids_pass(entity));
                let (ids, calls) = self.api.ids(&select).await?;
                page.calls = calls;
                let ids = Arc::new(ids);
                let key = (entity, "ids");
                self.walk(key).entry(key).or_default().ids = Some(Arc::clone(&ids));
                ids
            }
        };
        let (from, to) = stretch(offset, limit, ids.len());
        page.ids = ids[from..to].to_vec();
        page.len = page.ids.len();
        page.total = Some(ids.len() as u64);
        Ok(page)
    }

    /// The ids that a whole walk of this process has seen: no need to read the list again.
    fn known_ids(&self, entity: Entity) -> Option<Arc<Vec<i64>>> {
        let walks = self.walk((entity, "ids"));
        if let Some(ids) = walks.get(&(entity, "ids")).and_then(|state| state.ids.clone()) {
            return Some(ids);
        }
        let live = walks.get(&(entity, "live")).filter(|state| state.whole)?;
        Some(Arc::new(live.seen.iter().copied().collect()))
    }

    pub async fn by_ids(&self, stream: &Stream, ids: &[String]) -> Result<ById> {
        let kind = kind_of(stream.entity).ok_or_else(|| not_pulled(stream.entity))?;
        let numeric = |id: &&String| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
        let asked: Vec<String> = ids.iter().filter(numeric).cloned().collect();
        // Others than those that were asked for are of no use.
        let wanted: BTreeSet<&String> = asked.iter().collect();
        let (rows, calls) = self.api.by_ids(kind, &asked).await?;
        let rows: Vec<&RawValue> = rows
            .iter()
            .map(AsRef::as_ref)
            .filter(|raw| id_of(raw).is_some_and(|id| wanted.contains(&id)))
            .collect();
        let mut page = Page::default();
        self.fill(&mut page, stream, &rows, 0).await?;
        let rest: Vec<String> = rows[page.len..].iter().filter_map(|raw| id_of(raw)).collect();
        let found: BTreeSet<String> = rows.iter().filter_map(|raw| id_of(raw)).collect();
        let gone = ids.iter().filter(|id| !found.contains(*id)).cloned().collect();
        let Page { records, failures, .. } = page;
        Ok(ById { records, failures, gone, calls, notes: vec![], rest })
    }

    /// Maps rows onto a page.
    async fn fill(
        &self,
        page: &mut Page,
        stream: &Stream,
        rows: &[&RawValue],
        offset: u64,
    ) -> Result<()> {
        page.len = rows.len();
        page.ids = (0..rows.len()).map(|i| (offset as i64) + 1 + i as i64).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let program = self.program(stream)?;
        page.calls += u64::from(!self.home_currency.initialized());
        let company = Company { home_currency: self.home_currency().await?, zone: &self.zone };
        for (i, raw) in rows.iter().enumerate() {
            if page.is_full(i, PAGE_BYTES) {
                page.cut = true;
                page.len = i;
                page.ids.truncate(i);
                break;
            }
            if stream.entity == Entity::Products && entities::is_category(raw) {
                page.skipped += 1;
                continue;
            }
            match entities::record(stream.entity, &program, raw, &company) {
                Ok(record) => page.keep(record),
                Err(failure) => page.fail(*failure),
            }
        }
        Ok(())
    }

    /// Records without a currency are in the company's own. Asked once a run.
    async fn home_currency(&self) -> Result<&str> {
        let ask = || async {
            let preferences = self.api.preferences().await?;
            let currency = preferences.pointer("/CurrencyPrefs/HomeCurrency/value");
            // The US edition without multicurrency may leave it out.
            Ok::<_, Error>(currency.and_then(Value::as_str).unwrap_or("USD").to_owned())
        };
        self.home_currency.get_or_try_init(ask).await.map(String::as_str)
    }

    /// The program of a stream, compiled once.
    fn program(&self, stream: &Stream) -> Result<Arc<Program>> {
        let rules = stream.rules.as_ref();
        let key = (stream.entity, rules.map(Value::to_string).unwrap_or_default());
        let mut known = lock(&self.programs);
        if let Some(program) = known.get(&key) {
            return Ok(Arc::clone(program));
        }
        let program = defaults::program(stream.entity, rules)
            .map_err(|problems| defaults::rules_error(&problems))?;
        known.insert(key, Arc::clone(&program));
        Ok(program)
    }

    fn walk(
        &self,
        _: (Entity, &'static str),
    ) -> MutexGuard<'_, BTreeMap<(Entity, &'static str), WalkState>> {
        lock(&self.walks)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stretch(offset: u64, limit: u64, len: usize) -> (usize, usize) {
    let from = usize::try_from(offset).unwrap_or(len).min(len);
    let to = from.saturating_add(usize::try_from(limit).unwrap_or(len)).min(len);
    (from, to)
}

/// The bare ids of an entity: what the hub holds and they don't is asked for by id.
fn ids_pass(entity: Entity) -> Pass {
    Pass {
        name: "ids",
        modified_after: None,
        filters: Filters::default(),
        complete: true,
        remote_type: remote_type(entity),
        ids_only: true,
    }
}

fn select(kind: Kind, pass: &Pass) -> Select {
    let filters = &pass.filters;
    let since = filters.modified_since.max(pass.modified_after);
    let select = Select::from(kind)
        .between(CREATED, filters.created_since, filters.created_until)
        .between(UPDATED, since, filters.modified_until);
    let select = if kind.is_list() { select.with_inactive() } else { select };
    // A record that changes while changed ones are walked moves to their end: into the next page,
    // not out of them.
    select.order_by(if pass.name == "updated" { UPDATED } else { CREATED })
}

/// Times are the filters that QuickBooks' lists take.
fn applies(entity: Entity, filters: &Filters) -> Result<()> {
    let others = [
        ("status", filters.status.is_some()),
        ("currency", filters.currency.is_some()),
        ("customer", filters.customer.is_some()),
        ("sku", filters.sku.is_some()),
        ("type", filters.kind.is_some()),
    ];
    match others.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((name, _)) => Err(Error::argument(
            format!("the filter \"{name}\" does not apply to {entity} of quickbooks"),
            "Filters: created_since, created_until, modified_since, modified_until.",
        )),
    }
}

fn not_pulled(entity: Entity) -> Error {
    Error::new(
        Category::Validation,
        "not_pulled",
        format!("{entity} are not pulled from quickbooks"),
    )
    .hint("Pulled are customers, products, invoices, payments, vendors and bills.")
}
