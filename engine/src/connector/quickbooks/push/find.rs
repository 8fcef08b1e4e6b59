//! Looking for what an item wrote, or would write: after a lost answer, a taken number or name, or
//! a stale version.

use super::answers::acknowledged;
use super::moved::as_there;
use super::{Books, fields, purchases, state};
use crate::connector::quickbooks::kind::Kind;
use crate::connector::quickbooks::lookup::NAMED;
use crate::connector::quickbooks::write::Ack;
use crate::error::{Category, Error, Result};
use crate::plan::Action;
use crate::posting::compare::{self, Drift, FieldChange};
use crate::posting::numbers;
use crate::push::store::Link;
use crate::push::target::{Ack as Acknowledged, Found, Item, Refetched};
use serde_json::{Map, Value};

impl Books {
    pub(super) async fn find_record(&self, item: &Item) -> Result<Found> {
        let kind = super::kind(&item.target)?;
        match kind {
            _ if item.action == Action::Skip => self.find_by_id(item, kind).await,
            Kind::Customer | Kind::Vendor => self.find_named(item, kind).await,
            Kind::Bill => self.find_bill(item).await,
            Kind::Item => self.find_item(item).await,
            Kind::Payment => self.find_payment(item).await,
            _ => self.find_document(item, kind).await,
        }
    }

    /// A record that the plan has seen there.
    async fn find_by_id(&self, item: &Item, kind: Kind) -> Result<Found> {
        let found = self.api.get(kind, item.remote_id.as_deref().unwrap_or_default()).await?;
        Ok(found.map_or(Found::Nothing, |ack| Found::Ours(acknowledged(item, ack))))
    }

    /// A document by its number: ours if it bears our mark, or if total, currency and customer
    /// agree; with `adopt` a sale that somebody entered by hand, too (posting policy, Dates and
    /// Numbers). A document's kind is decided at its first write and never changes: what the order
    /// would have been earlier, or was entered as, stays that.
    async fn find_document(&self, item: &Item, kind: Kind) -> Result<Found> {
        let Some(number) = item.number.as_deref() else { return Ok(Found::Nothing) };
        let numbers = self.asked_numbers(item, number);
        let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
        // Reads are metered: the other kind is asked for only when this one has nothing.
        for asked in [Some(kind), sibling(kind)].into_iter().flatten() {
            let found = self.api.documents_by_number(&numbers, &[asked]).await?;
            if let Some(ack) = found.iter().find(|ack| is_marked(item, ack)) {
                return Ok(Found::Ours(known_as(item, kind, ack.clone())));
            }
            let may_be = asked == kind || self.adopts(item);
            if let Some(ack) = found.iter().find(|ack| may_be && self.is_same_sale(item, ack)) {
                let mut known = known_as(item, kind, ack.clone());
                known.agreed["document"]["adopted"] = Value::Bool(true);
                return Ok(Found::Ours(known));
            }
            let is_taken =
                |ack: &&Ack| asked == kind && ack.document_number.as_deref() == Some(number);
            let clashes = |ack: &&Ack| is_taken(ack) || self.is_the_sale_otherwise(item, ack);
            if let Some(other) = found.iter().find(clashes) {
                return Ok(Found::Other(taken(item, other, "number")));
            }
        }
        Ok(Found::Nothing)
    }

    /// May somebody have entered what the item is to make?
    fn adopts(&self, item: &Item) -> bool {
        self.account.settings.posting.adopt && item.memo["role"] == "sale"
    }

    /// The number itself, and with `adopt` those under which somebody may have entered the sale.
    fn asked_numbers(&self, item: &Item, number: &str) -> Vec<String> {
        let settings = &self.account.settings.posting;
        let mut numbers = vec![number.to_owned()];
        let plain = number.strip_prefix(settings.document_prefix.as_str());
        if let Some(plain) = plain.filter(|plain| self.adopts(item) && !plain.is_empty()) {
            numbers.extend([plain.to_owned(), format!("#{plain}")]);
        }
        numbers.dedup();
        numbers
    }

    /// The same days and currency with another total: somebody has to look.
    fn is_the_sale_otherwise(&self, item: &Item, ack: &Ack) -> bool {
        self.adopts(item)
            && is_near(item, ack)
            && self.currency(&item.body) == self.currency(&ack.record)
            && item.total != ack.total
    }

    fn currency(&self, body: &Value) -> String {
        let named = body.pointer("/CurrencyRef/value").and_then(Value::as_str).map(str::to_owned);
        let home = || self.ground().map(|g| g.company.home_currency.clone()).unwrap_or_default();
        named.unwrap_or_else(home)
    }

    fn is_same_sale(&self, item: &Item, ack: &Ack) -> bool {
        let customer = |body: &Value| body.pointer("/CustomerRef/value").cloned();
        let same_customer = customer(&item.body).is_some_and(|c| Some(c) == customer(&ack.record));
        let adopts = self.adopts(item) && is_near(item, ack);
        item.total.is_some()
            && item.total == ack.total
            && self.currency(&item.body) == self.currency(&ack.record)
            && (same_customer || adopts)
    }

    /// A payment of the customer that is tied to the same document and bears our mark.
    async fn find_payment(&self, item: &Item) -> Result<Found> {
        let text = |pointer: &str| item.body.pointer(pointer).and_then(Value::as_str);
        let (Some(customer), Some(document)) =
            (text("/CustomerRef/value"), text("/Line/0/LinkedTxn/0/TxnId"))
        else {
            return Ok(Found::Nothing);
        };
        let found = self.api.payments_of(customer, document).await?;
        let ours = found.into_iter().find(|ack| {
            let note = ack.record["PrivateNote"].as_str().unwrap_or_default();
            numbers::is_marked(note, mark(item))
        });
        Ok(ours.map_or(Found::Nothing, |ack| Found::Ours(acknowledged(item, ack))))
    }

    /// A bill of the vendor with that number, and our mark.
    async fn find_bill(&self, item: &Item) -> Result<Found> {
        let vendor = item.body.pointer("/VendorRef/value").and_then(Value::as_str);
        let (Some(vendor), Some(number)) = (vendor, item.number.as_deref()) else {
            return Ok(Found::Nothing);
        };
        let found = self.api.bills_by_number(vendor, number).await?;
        let ours = found.iter().find(|ack| {
            let note = ack.record["PrivateNote"].as_str().unwrap_or_default();
            numbers::is_marked(note, mark(item))
        });
        Ok(match (ours, found.first()) {
            (Some(ack), _) => Found::Ours(acknowledged(item, ack.clone())),
            (None, Some(other)) => Found::Other(taken(item, other, "number")),
            (None, None) => Found::Nothing,
        })
    }

    /// A name never identifies a person: with the same address it is the one that was sent.
    async fn find_named(&self, item: &Item, kind: Kind) -> Result<Found> {
        let name = item.body["DisplayName"].as_str().unwrap_or_default();
        let found = self.api.holders_of_name(name, &NAMED).await?;
        let address = |body: &Value| {
            let email = body.pointer("/PrimaryEmailAddr/Address").and_then(Value::as_str);
            email.map(str::to_lowercase)
        };
        let ours = found
            .iter()
            .find(|ack| ack.kind == kind && address(&ack.record) == address(&item.body));
        match (ours, found.first()) {
            (Some(ack), _) => Ok(Found::Ours(acknowledged(item, ack.clone()))),
            (None, Some(other)) => Ok(Found::Other(taken(item, other, "name"))),
            (None, None) => Ok(Found::Nothing),
        }
    }

    /// An item's name bears the product's id.
    async fn find_item(&self, item: &Item) -> Result<Found> {
        let name = item.body["Name"].as_str().unwrap_or_default();
        let found = self.api.items_by_name(name).await?;
        let ours = found.iter().find(|ack| ack.record["Sku"] == item.body["Sku"]);
        match (ours, found.first()) {
            (Some(ack), _) => Ok(Found::Ours(acknowledged(item, ack.clone()))),
            (None, Some(other)) => Ok(Found::Other(taken(item, other, "name"))),
            (None, None) => Ok(Found::Nothing),
        }
    }

    pub(super) async fn refetch_record(
        &self,
        item: &Item,
        link: Option<&Link>,
    ) -> Result<Refetched> {
        let kind = super::kind(&item.target)?;
        let id = item.remote_id.as_deref().unwrap_or_default();
        let Some(now) = self.api.get(kind, id).await? else {
            let message = format!("{kind} {id} is gone in QuickBooks");
            let error = Error::new(Category::NotFound, "gone_there", message)
                .hint("A person deleted it there: enter it again, or discard the failure.");
            return Ok(Refetched::Gone(error));
        };
        let version = now.sync_token.clone().unwrap_or_default();
        if kind == Kind::Bill {
            return Ok(refetched_bill(item, link, &now.record, version));
        }
        let Some(kept) = link.and_then(state::kept) else {
            // A customer or an item: what the hub knows better is sent again.
            return Ok(Refetched::Rebase { version, members: Map::new() });
        };
        match self.drift(&kept.document, &now.record).await? {
            Drift::Rebase => {
                Ok(Refetched::Rebase { version, members: as_there(item, &now.record) })
            }
            Drift::Conflict(_) if is_as_sent(item, &now.record) => {
                Ok(Refetched::Already(acknowledged(item, now)))
            }
            Drift::Conflict(changes) => Ok(edited(item, id, changes)),
        }
    }
}

/// The kind that the same document of an order may have instead.
fn sibling(kind: Kind) -> Option<Kind> {
    Some(match kind {
        Kind::SalesReceipt => Kind::Invoice,
        Kind::Invoice => Kind::SalesReceipt,
        Kind::RefundReceipt => Kind::CreditMemo,
        Kind::CreditMemo => Kind::RefundReceipt,
        _ => return None,
    })
}

fn is_marked(item: &Item, ack: &Ack) -> bool {
    let note = ack.record["PrivateNote"].as_str().unwrap_or_default();
    numbers::is_marked(note, mark(item))
}

/// What was found, as the item's record; of another kind it stays that.
fn known_as(item: &Item, kind: Kind, ack: Ack) -> Acknowledged {
    if ack.kind == kind {
        return acknowledged(item, ack);
    }
    let as_it_is = Item { target: ack.kind.as_str().to_owned(), ..item.clone() };
    let stays = Some(as_it_is.target.clone());
    Acknowledged { stays, ..acknowledged(&as_it_is, ack) }
}

/// A bill that a person has changed stays as it is; a payment moves its version alone.
fn refetched_bill(item: &Item, link: Option<&Link>, now: &Value, version: String) -> Refetched {
    let agreed = link.and_then(|link| link.agreed.as_deref());
    let agreed = agreed.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let answered = agreed.map(|agreed| agreed["answered"].clone()).unwrap_or_default();
    let changes = compare::diff(&answered, &purchases::owned(now));
    if changes.is_empty() {
        return Refetched::Rebase { version, members: Map::new() };
    }
    edited(item, item.remote_id.as_deref().unwrap_or_default(), changes)
}

/// Our mark of ownership in a body.
fn mark(item: &Item) -> &str {
    let note = item.body["PrivateNote"].as_str().unwrap_or_default();
    note.lines().next().unwrap_or_default()
}

/// Does the record hold what the item sends, field by field of what it sends?
fn is_as_sent(item: &Item, record: &Value) -> bool {
    let changes = compare::diff(&compare::owned(&item.body), &compare::owned(record));
    changes.iter().all(|change| change.old.is_null())
}

/// Within three days, as the posting policy says of documents that were entered by hand.
fn is_near(item: &Item, ack: &Ack) -> bool {
    let date = |body: &Value| body["TxnDate"].as_str()?.parse::<jiff::civil::Date>().ok();
    let (Some(ours), Some(theirs)) = (date(&item.body), date(&ack.record)) else { return false };
    ours.since(theirs).is_ok_and(|span| span.get_days().abs() <= 3)
}

fn taken(item: &Item, other: &Ack, what: &str) -> Error {
    let message = format!(
        "{} {}: its {what} is taken in QuickBooks by {} {}",
        item.target,
        item.number.as_deref().unwrap_or(&item.record_id),
        other.kind,
        other.id
    );
    Error::new(Category::NeedsAttention, format!("{what}_taken"), message)
        .hint("Look whether it is the same: correct or rename one of the two.")
}

/// A person's edit is never overwritten.
fn edited(item: &Item, id: &str, changes: Vec<FieldChange>) -> Refetched {
    let paths: Vec<&str> = changes.iter().map(|change| change.path.as_str()).take(5).collect();
    let message = format!("{} {id} was changed in QuickBooks ({})", item.target, paths.join(", "));
    let error = Error::new(Category::Conflict, "edited_there", message)
        .hint("It stays as it is there. Correct it there, or set the order back in the shop.");
    let mut clash = serde_json::Map::new();
    for (path, values) in fields::of(changes) {
        clash.insert(path, serde_json::json!({"agreed": values["old"], "platform": values["new"]}));
    }
    Refetched::Conflict { error, fields: clash }
}
