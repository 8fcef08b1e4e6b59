//! What is known, from links and earlier answers, of the documents that an order already has in
//! the books.

use super::documents::Subject;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The kinds of documents that an order becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DocumentKind {
    SalesReceipt,
    Invoice,
    CreditMemo,
    RefundReceipt,
    Payment,
}

impl DocumentKind {
    /// The entity's name in QuickBooks.
    pub fn as_str(self) -> &'static str {
        match self {
            DocumentKind::SalesReceipt => "SalesReceipt",
            DocumentKind::Invoice => "Invoice",
            DocumentKind::CreditMemo => "CreditMemo",
            DocumentKind::RefundReceipt => "RefundReceipt",
            DocumentKind::Payment => "Payment",
        }
    }
}

impl std::fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One document in the books, as it was last seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PostedDocument {
    pub kind: DocumentKind,
    pub remote_id: String,
    pub sync_token: String,
    pub txn_date: Date,
    /// `TotalAmt`
    pub total: Decimal,
    /// `Balance` of an Invoice; None where nobody vouches for it: it has to be read first.
    pub balance: Option<Decimal>,
    /// Payments, credits or deposits hang on it.
    pub linked: bool,
    /// Ids of the Payments among these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub payments: Vec<String>,
    /// In a bank deposit, or reconciled.
    pub locked: bool,
    /// A person has changed it there since, as far as is known.
    pub edited: bool,
    /// Voided by us or by a person.
    pub voided: bool,
    /// A person entered it, and it was linked: it isn't written to until somebody confirms.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// What both sides agreed on.
    pub agreed: Agreed,
}

/// The state that both sides agreed on at the last write.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agreed {
    /// What we wanted it to be: [`super::compare::wanted`].
    pub sent: Value,
    /// What QuickBooks made of it, as its answer said: [`super::compare::owned`].
    pub answered: Value,
}

/// All documents of one order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Posted {
    /// SalesReceipt or Invoice.
    pub sale: Option<PostedDocument>,
    /// The reversing document of each refund, by the refund's hub id.
    pub refunds: BTreeMap<i64, PostedDocument>,
    /// The zero Payment that applied a refund's CreditMemo, by the refund's hub id.
    pub credits_applied: BTreeMap<i64, PostedDocument>,
    /// The Payment of the Invoice, where we made one.
    pub payment: Option<PostedDocument>,
    /// The CreditMemo that took back a cancelled Invoice.
    pub cancellation: Option<PostedDocument>,
    /// The zero Payment that applied it.
    pub cancellation_applied: Option<PostedDocument>,
}

impl Posted {
    /// Takes a document in.
    pub fn put(&mut self, subject: Subject, document: PostedDocument) {
        match subject {
            Subject::Sale => self.sale = Some(document),
            Subject::Payment => self.payment = Some(document),
            Subject::Cancellation => self.cancellation = Some(document),
            Subject::CancellationApplied => self.cancellation_applied = Some(document),
            Subject::Refund(id) => drop(self.refunds.insert(id, document)),
            Subject::CreditApplied(id) => drop(self.credits_applied.insert(id, document)),
        }
    }
}
