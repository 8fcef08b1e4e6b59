//! Pushing into QuickBooks: the posting policy's documents as changes, and changes as calls.
//!
//! [`account`] is what lives as long as the connection: access, limits, the company as it was last
//! read. [`Books`] is one run's view of it.

mod account;
mod answers;
mod directory;
mod documents;
mod fields;
mod find;
mod items;
mod moved;
mod people;
mod purchases;
mod state;
mod strays;
mod undo;

pub use account::{Account, Accounts, Vaults, app, of_session, parse};

use super::batch::Batch;
use super::client::Api;
use super::kind::Kind;
use super::request_id::{RequestId, Wish, body_hash};
use super::write::Write;
use crate::error::{Error, Result};
use crate::model::Entity;
use crate::plan::{Action, Draft};
use crate::posting::company::Company;
use crate::posting::settings::Settings;
use crate::push::store::{Bundle, Link, Spent};
use crate::push::target::{Ack, Answer, Call, Found, Item, Refetched, Reresolved, Sent, Target};
use crate::push::undo::Done;
use account::Age;
use async_trait::async_trait;
use directory::Directory;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use strays::Strays;
use tokio::sync::{Mutex, OnceCell};

/// Calls in flight at once: a batch of 30 takes seconds there, and 40 a minute are allowed.
const CONCURRENCY: usize = 4;

/// One run's push into a company.
pub struct Books {
    account: Arc<Account>,
    api: Api,
    /// Set by [`Target::prepare`].
    ground: RwLock<Option<Arc<Ground>>>,
    /// Names and addresses of the company, read when the first new customer is planned.
    directory: Mutex<Option<Directory>>,
    /// In verify mode: documents whose links may be lost.
    strays: OnceCell<Strays>,
    calls: AtomicU64,
}

/// What all documents of the run stand on.
struct Ground {
    settings: Settings,
    company: Arc<Company>,
    zone: TimeZone,
}

impl Books {
    /// `api` carries the run's cancellation.
    pub fn new(account: Arc<Account>, api: Api) -> Books {
        Books {
            account,
            api,
            ground: RwLock::default(),
            directory: Mutex::default(),
            strays: OnceCell::new(),
            calls: AtomicU64::new(0),
        }
    }

    fn ground(&self) -> Result<Arc<Ground>> {
        let ground = self.ground.read().unwrap_or_else(PoisonError::into_inner).clone();
        ground.ok_or_else(|| Error::internal("a push was not prepared"))
    }

    /// Stands on the company as it is now, where the last look is some minutes old. None: it is not,
    /// or the company is as it was.
    async fn look_again(&self) -> Result<Option<Arc<Ground>>> {
        let before = self.ground()?;
        let company = self.account.company(&self.api, Age::Minutes).await?;
        if company == before.company {
            return Ok(None);
        }
        let Ground { settings, zone, .. } = &*before;
        let ground = Ground { settings: settings.clone(), company, zone: zone.clone() };
        Ok(Some(self.stand_on(ground)))
    }

    fn stand_on(&self, ground: Ground) -> Arc<Ground> {
        let ground = Arc::new(ground);
        let mut stood = self.ground.write().unwrap_or_else(PoisonError::into_inner);
        *stood = Some(Arc::clone(&ground));
        ground
    }

    async fn make_ready(&self) -> Result<Ground> {
        let settings = self.account.settings.posting.clone();
        if let Some(error) = account::unready(&settings) {
            return Err(error);
        }
        let zone = settings.zone().ok_or_else(|| Error::internal("the time zone is none"))?;
        let mut company = self.account.company(&self.api, Age::Day).await?;
        if account::misfit(&settings, &company).is_some() {
            // What is missing may have been made in the meantime.
            company = self.account.company(&self.api, Age::Now).await?;
        }
        if let Some(error) = account::misfit(&settings, &company) {
            return Err(error);
        }
        Ok(Ground { settings, company, zone })
    }

    fn write_of(item: &Item) -> Result<Write> {
        let kind = kind(&item.target)?;
        let id = item.remote_id.as_deref().unwrap_or_default();
        let version = item.version.as_deref().unwrap_or_default();
        let fields = || match &item.body {
            Value::Object(fields) => fields.clone(),
            _ => Map::new(),
        };
        match item.action {
            Action::Create => Ok(Write::create(kind, fields())),
            Action::Update => {
                let full = item.memo["full"] == true;
                Ok(Write::update(kind, id, version, fields(), full))
            }
            Action::Void => Write::void(kind, id, version),
            Action::Delete => Write::delete(kind, id, version),
            Action::Inactivate => Write::inactivate(kind, id, version),
            Action::Skip => Err(Error::internal("a skipped change was sent")),
        }
    }

    async fn send_call(&self, call: &Call) -> Result<Sent> {
        let writes = call.items.iter().map(Books::write_of).collect::<Result<Vec<_>>>()?;
        let id = RequestId::stored(&call.request_id)?;
        let (outcomes, status, trace, calls) = match &writes[..] {
            [write] => {
                let sent = self.api.write(write, &id).await;
                (vec![sent.outcome], sent.status, sent.trace, sent.calls)
            }
            _ => {
                let sent = self.api.send_batch(&Batch::new(writes)?, &id).await;
                (sent.outcomes, sent.status, sent.trace, sent.calls)
            }
        };
        self.calls.fetch_add(calls, Ordering::Relaxed);
        let answers = call.items.iter().zip(outcomes);
        let answers: Vec<Answer> =
            answers.map(|(item, outcome)| answers::answer(item, outcome)).collect();
        if answers.iter().any(answers::shows_that_it_moved) {
            // What the company has isn't what was read of it.
            self.account.forget_company().await;
        }
        Ok(Sent { answers, http_status: status, trace })
    }
}

/// What is known of a hub record in the books, while it is there.
fn link_of(entity: Entity, hub_id: i64, links: &[Link]) -> Option<&Link> {
    links.iter().find(|link| link.entity == entity && link.hub_id == hub_id && !link.deleted)
}

/// The kind of that name.
fn kind(name: &str) -> Result<Kind> {
    Kind::parse(name).ok_or_else(|| Error::internal(format!("QuickBooks has no {name}")))
}

#[async_trait]
impl Target for Books {
    async fn prepare(&self, lost_since: Option<Timestamp>) -> Result<()> {
        if self.ground().is_err() {
            self.stand_on(self.make_ready().await?);
        }
        if let Some(since) = lost_since {
            self.strays.get_or_try_init(|| Strays::since(&self.api, since)).await?;
        }
        Ok(())
    }

    async fn draft(&self, bundle: &Bundle) -> Result<Vec<Draft>> {
        match bundle.entity {
            Some(Entity::Orders) => self.draft_order(bundle).await,
            Some(Entity::Customers) => self.draft_customer(bundle).await,
            Some(Entity::Products) => self.draft_product(bundle),
            Some(Entity::Vendors) => self.draft_vendor(bundle).await,
            Some(Entity::Bills) => self.draft_bill(bundle).await,
            other => Err(Error::internal(format!("QuickBooks is not sent {other:?}"))),
        }
    }

    async fn undo(&self, done: &[Done]) -> Result<Vec<Draft>> {
        self.reverses(done).await
    }

    fn batch_size(&self) -> usize {
        super::limits::BATCH_ITEMS
    }

    fn concurrency(&self) -> usize {
        CONCURRENCY
    }

    fn request_id(&self, item: &Item) -> String {
        // The version belongs to the wish: a rebased write is another one (quickbooks.md, 2).
        let operation = format!(
            "{} {} {}",
            item.action.as_str(),
            item.target,
            item.version.as_deref().unwrap_or_default()
        );
        let wish = Wish {
            account: self.api.realm().as_str(),
            entity: item.entity.as_str(),
            record: &item.key.0,
            operation: &operation,
            body_hash: &body_hash(&item.body),
            revision: u64::try_from(item.revision).unwrap_or_default(),
        };
        RequestId::derive(&wish).as_str().to_owned()
    }

    fn call(&self, items: Vec<Item>) -> Call {
        let bodies = Value::Array(items.iter().map(|item| item.body.clone()).collect());
        let body_hash = body_hash(&bodies);
        let ids = items.iter().filter_map(|item| RequestId::stored(&item.request_id).ok());
        let ids: Vec<RequestId> = ids.collect();
        let request_id = match &items[..] {
            [item] => item.request_id.clone(),
            _ => Batch::request_id(self.api.realm().as_str(), &ids).as_str().to_owned(),
        };
        Call { request_id, body_hash, items }
    }

    fn anew(&self, call: Call) -> Call {
        let request_id = RequestId::after(&call.request_id).as_str().to_owned();
        Call { request_id, ..call }
    }

    async fn send(&self, call: &Call) -> Sent {
        match self.send_call(call).await {
            Ok(sent) => sent,
            Err(error) => Sent {
                answers: vec![Answer::NotSent(error); call.items.len()],
                http_status: None,
                trace: None,
            },
        }
    }

    async fn find(&self, item: &Item) -> Result<Found> {
        self.find_record(item).await
    }

    async fn refetch(&self, item: &Item, link: Option<&Link>) -> Result<Refetched> {
        self.refetch_record(item, link).await
    }

    fn left(&self, item: &Item, link: &Link) -> Option<Ack> {
        answers::left(item, link)
    }

    async fn reresolve(&self, item: &Item) -> Result<Reresolved> {
        match self.look_for_customer(item).await? {
            Reresolved::Nothing => self.look_for_items(item).await,
            found => Ok(found),
        }
    }

    fn asks_before_create(&self, item: &Item) -> bool {
        let adopts = self.account.settings.posting.adopt;
        adopts && matches!(item.target.as_str(), "SalesReceipt" | "Invoice")
    }

    fn asks_before_resend(&self, item: &Item) -> bool {
        // Lists have unique names, and documents numbers where the company keeps ours.
        let keeps = self.ground().map_or(true, |ground| ground.company.custom_numbers);
        let numbered = item.number.is_some() && (keeps || item.target == "Bill");
        let is_list = Kind::parse(&item.target).is_some_and(Kind::is_list);
        item.action == Action::Create && !numbered && !is_list
    }

    fn take_spent(&self) -> Spent {
        let reads = self.account.take_reads();
        Spent { calls: self.calls.swap(0, Ordering::Relaxed) + reads, reads }
    }
}
