//! What a link keeps of a document, and the documents of an order as its links tell of them.

use super::purchases;
use crate::connector::quickbooks::ack::amount;
use crate::error::{Error, Result};
use crate::posting::compare;
use crate::posting::documents::Subject;
use crate::posting::posted::{Agreed, DocumentKind, Posted, PostedDocument};
use crate::push::store::Link;
use crate::push::target::Item;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// `agreed` of a document's link.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kept {
    /// What it stands for: [`role`].
    pub role: String,
    pub document: PostedDocument,
}

/// A word for a subject: with the hub record it says which document of an order it is.
pub fn role(subject: Subject) -> &'static str {
    match subject {
        Subject::Sale => "sale",
        Subject::Payment => "payment",
        Subject::Refund(_) => "refund",
        Subject::CreditApplied(_) => "applied",
        Subject::Cancellation => "cancellation",
        Subject::CancellationApplied => "cancellation-applied",
    }
}

/// The kind of document of that name.
pub fn document_kind(name: &str) -> Option<DocumentKind> {
    use DocumentKind as K;
    [K::SalesReceipt, K::Invoice, K::CreditMemo, K::RefundReceipt, K::Payment]
        .into_iter()
        .find(|kind| kind.as_str() == name)
}

/// The documents of an order. An Invoice's balance is nobody's to vouch for after its own run: it
/// may have been paid there.
pub fn posted(links: &[Link]) -> Posted {
    let mut posted = Posted::default();
    for link in links.iter().filter(|link| !link.deleted) {
        let Some(mut kept) = kept(link) else { continue };
        kept.document.balance = None;
        kept.document.payments.clear();
        if let Some(version) = &link.version {
            kept.document.sync_token.clone_from(version);
        }
        let document = kept.document;
        let subject = match kept.role.as_str() {
            "sale" => Subject::Sale,
            "payment" => Subject::Payment,
            "refund" => Subject::Refund(link.hub_id),
            "applied" => Subject::CreditApplied(link.hub_id),
            "cancellation" => Subject::Cancellation,
            "cancellation-applied" => Subject::CancellationApplied,
            _ => continue,
        };
        posted.put(subject, document);
    }
    posted
}

/// What the link keeps, where it is a document's.
pub fn kept(link: &Link) -> Option<Kept> {
    serde_json::from_str(link.agreed.as_deref()?).ok()
}

/// The document of an order for a subject.
pub fn document(posted: &Posted, subject: Subject) -> Option<&PostedDocument> {
    match subject {
        Subject::Sale => posted.sale.as_ref(),
        Subject::Payment => posted.payment.as_ref(),
        Subject::Refund(id) => posted.refunds.get(&id),
        Subject::CreditApplied(id) => posted.credits_applied.get(&id),
        Subject::Cancellation => posted.cancellation.as_ref(),
        Subject::CancellationApplied => posted.cancellation_applied.as_ref(),
    }
}

/// A document as an answer shows it. `sent`: what was wanted of it.
pub fn read(kind: DocumentKind, record: &Value, sent: Value) -> Result<PostedDocument> {
    let unreadable = |what: &str| Error::internal(format!("a {kind} came without {what}"));
    let text = |name: &str| record[name].as_str().map(str::to_owned);
    let date = record["TxnDate"].as_str().and_then(|date| date.parse().ok());
    let linked = record["LinkedTxn"].as_array().cloned().unwrap_or_default();
    let deposited = linked.iter().any(|link| link["TxnType"] == "Deposit");
    let payments = linked.iter().filter(|link| link["TxnType"] == "Payment");
    let payments = payments.filter_map(|link| link["TxnId"].as_str());
    let note = record["PrivateNote"].as_str().unwrap_or_default();
    let total = amount(record, "TotalAmt").ok_or_else(|| unreadable("a total"))?;
    Ok(PostedDocument {
        kind,
        remote_id: text("Id").ok_or_else(|| unreadable("an id"))?,
        sync_token: text("SyncToken").unwrap_or_default(),
        txn_date: date.ok_or_else(|| unreadable("a date"))?,
        total,
        balance: amount(record, "Balance"),
        linked: !linked.is_empty(),
        payments: payments.map(str::to_owned).collect(),
        locked: deposited,
        edited: false,
        voided: total.is_zero() && note.starts_with("Voided"),
        adopted: false,
        agreed: Agreed { sent, answered: compare::owned(record) },
    })
}

/// `agreed` of the link after an answer to an item.
pub fn agreed(item: &Item, record: &Value) -> Value {
    let wanted = item.memo["wanted"].clone();
    if item.target == "Bill" {
        // As it was sent: its vendor and items have ids by then.
        let sent = match &item.memo["sent"] {
            Value::Null => &item.body,
            undone => undone,
        };
        return json!({"sent": sent, "answered": purchases::owned(record)});
    }
    let Some(kind) = document_kind(&item.target) else {
        return json!({"currency": item.memo["currency"], "sent": wanted});
    };
    let role = item.memo["role"].as_str().unwrap_or_default().to_owned();
    let Ok(mut document) = read(kind, record, wanted) else { return Value::Null };
    document.voided |= item.action == crate::plan::Action::Void;
    serde_json::to_value(Kept { role, document }).unwrap_or_default()
}
