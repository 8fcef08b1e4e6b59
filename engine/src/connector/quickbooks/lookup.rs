//! What posting asks before it creates: is it there already? Every question is a metered read; with
//! links in place none is asked (quickbooks.md, section 11).

use super::ack::ack;
use super::client::Api;
use super::kind::Kind;
use super::query::Select;
use super::write::Ack;
use crate::error::{Category, Result};
use serde_json::Value;
use serde_json::value::RawValue;

/// Ids of one question, at the most: they are a part of the URL.
const IDS: usize = 100;

/// The kinds whose numbers may clash with each other (quickbooks.md, section 4.4).
pub const NUMBERED: [Kind; 4] =
    [Kind::SalesReceipt, Kind::Invoice, Kind::CreditMemo, Kind::RefundReceipt];

/// The kinds that share one space of display names.
pub const NAMED: [Kind; 3] = [Kind::Customer, Kind::Vendor, Kind::Employee];

impl Api {
    /// A record by id. None: there is no such record (any more).
    pub async fn get(&self, kind: Kind, id: &str) -> Result<Option<Ack>> {
        let safe = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
        if !safe {
            return Ok(None);
        }
        let answer = match self.read(&format!("{}/{id}", kind.path()), &[]).await {
            Ok(answer) => answer,
            // 610 is a missing id, in spite of its other meaning: a read names no other record.
            Err(error) if error.category == Category::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let body = answer.body()?;
        let found = body.get(kind.as_str()).and_then(|raw| ack(kind, raw));
        found
            .map(Some)
            .ok_or_else(|| super::reply::without(&format!("the {kind}"), answer.status()))
    }

    /// Records by id, in no order; those that are gone are missing. Also how many calls it took.
    pub async fn by_ids(&self, kind: Kind, ids: &[String]) -> Result<(Vec<Box<RawValue>>, u64)> {
        let (mut found, mut calls) = (Vec::new(), 0);
        for ids in ids.chunks(IDS) {
            let select = Select::from(kind).any_of("Id", ids.iter().map(String::as_str));
            let select = if kind.is_list() { select.with_inactive() } else { select };
            let listed = self.all(&select).await?;
            found.extend(listed.rows);
            calls += listed.calls;
        }
        Ok((found, calls))
    }

    /// Customers with that e-mail address, without case; `inactive`: also those that aren't used any
    /// more. An address that QuickBooks keeps within a list of several isn't found.
    pub async fn customers_by_email(&self, email: &str, inactive: bool) -> Result<Vec<Ack>> {
        let email = email.trim();
        if email.is_empty() {
            return Ok(vec![]);
        }
        let select = Select::from(Kind::Customer).equals("PrimaryEmailAddr", email);
        let select = if inactive { select.with_inactive() } else { select };
        let mut found = self.found(&select).await?;
        // Belt and braces: a person is never matched by something that only resembles.
        found.retain(|customer| {
            let address = &customer.record["PrimaryEmailAddr"]["Address"];
            address.as_str().is_some_and(|a| a.trim().to_lowercase() == email.to_lowercase())
        });
        Ok(found)
    }

    /// Who has that display name, active or not, among `kinds` of [`NAMED`].
    pub async fn holders_of_name(&self, name: &str, kinds: &[Kind]) -> Result<Vec<Ack>> {
        let mut found = Vec::new();
        for kind in kinds {
            let select = Select::from(*kind).equals("DisplayName", name.trim()).with_inactive();
            found.extend(self.found(&select).await?);
        }
        Ok(found)
    }

    /// Items with that SKU, active or not: QuickBooks doesn't keep them unique.
    pub async fn items_by_sku(&self, sku: &str) -> Result<Vec<Ack>> {
        self.found(&Select::from(Kind::Item).equals("Sku", sku).with_inactive()).await
    }

    /// Items of that name, active or not, in any category.
    pub async fn items_by_name(&self, name: &str) -> Result<Vec<Ack>> {
        self.found(&Select::from(Kind::Item).equals("Name", name.trim()).with_inactive()).await
    }

    /// Documents with one of these numbers, of `kinds` of [`NUMBERED`]: one read for each kind.
    pub async fn documents_by_number(&self, numbers: &[&str], kinds: &[Kind]) -> Result<Vec<Ack>> {
        let mut found = Vec::new();
        if numbers.is_empty() {
            return Ok(found);
        }
        for kind in kinds {
            let select = Select::from(*kind);
            let select = match numbers {
                [number] => select.equals("DocNumber", number),
                several => select.any_of("DocNumber", several.iter().copied()),
            };
            found.extend(self.found(&select).await?);
        }
        Ok(found)
    }

    /// Bills of a vendor with that number: bills have a space of numbers for each vendor.
    pub async fn bills_by_number(&self, vendor_id: &str, number: &str) -> Result<Vec<Ack>> {
        let select = Select::from(Kind::Bill).equals("VendorRef", vendor_id);
        self.found(&select.equals("DocNumber", number)).await
    }

    /// Payments of a customer that are tied to a document, as `LinkedTxn` of their lines says.
    pub async fn payments_of(&self, customer_id: &str, txn_id: &str) -> Result<Vec<Ack>> {
        let select = Select::from(Kind::Payment).equals("CustomerRef", customer_id);
        let mut found = self.found(&select).await?;
        found.retain(|payment| links_to(&payment.record, txn_id));
        Ok(found)
    }

    /// Everything that a query finds.
    pub async fn found(&self, select: &Select) -> Result<Vec<Ack>> {
        let listed = self.all(select).await?;
        Ok(listed.rows.iter().filter_map(|raw| ack(select.kind(), raw)).collect())
    }
}

/// Whether a payment names a transaction in one of its lines.
pub fn links_to(payment: &Value, txn_id: &str) -> bool {
    let lines = payment["Line"].as_array().into_iter().flatten();
    let links = lines.filter_map(|line| line["LinkedTxn"].as_array()).flatten();
    links.into_iter().any(|link| link["TxnId"].as_str() == Some(txn_id))
}
