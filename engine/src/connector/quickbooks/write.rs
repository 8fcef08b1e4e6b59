//! Writes: what is sent, and what became of it.

use super::errors::Refusal;
use super::kind::Kind;
use super::request_id::body_hash;
use crate::error::{Error, Result};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

/// What a write does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    /// Every field that is left out is cleared.
    UpdateFull,
    /// Fields of the top level that are left out stay; lines are always replaced as a whole
    /// (quickbooks.md, section 0).
    UpdateSparse,
    Delete,
    Void,
    Inactivate,
}

impl Operation {
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Create => "create",
            Operation::UpdateFull | Operation::UpdateSparse => "update",
            Operation::Delete => "delete",
            Operation::Void => "void",
            Operation::Inactivate => "inactivate",
        }
    }
}

/// One write of one record. Sent alone or as an item of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Write {
    kind: Kind,
    operation: Operation,
    body: Value,
    allow_duplicate_number: bool,
}

/// Fields that QuickBooks writes itself; an echo of some of them is an error.
const NOT_ON_CREATE: [&str; 5] = ["Id", "SyncToken", "MetaData", "domain", "sparse"];

impl Write {
    /// A new record.
    pub fn create(kind: Kind, fields: Map<String, Value>) -> Write {
        let mut body = fields;
        body.retain(|key, _| !NOT_ON_CREATE.contains(&key.as_str()));
        Write::new(kind, Operation::Create, body)
    }

    /// A changed record. `full`: what is left out is cleared. Lines must always be there as a
    /// whole; required references (CustomerRef, VendorRef) also where the update is sparse.
    pub fn update(
        kind: Kind,
        id: &str,
        sync_token: &str,
        fields: Map<String, Value>,
        full: bool,
    ) -> Write {
        let operation = if full { Operation::UpdateFull } else { Operation::UpdateSparse };
        let mut body = target(id, sync_token);
        if !full {
            body.insert("sparse".into(), Value::Bool(true));
        }
        let own = fields.into_iter().filter(|(key, _)| !NOT_ON_CREATE.contains(&key.as_str()));
        body.extend(own);
        Write::new(kind, operation, body)
    }

    /// A transaction that never was. Error: a record of a list, which is only made inactive.
    pub fn delete(kind: Kind, id: &str, sync_token: &str) -> Result<Write> {
        if !kind.is_transaction() {
            return Err(unsupported(kind, "deleted"));
        }
        Ok(Write::new(kind, Operation::Delete, target(id, sync_token)))
    }

    /// A transaction that stays, with all amounts zero. Error: a kind that QuickBooks can't void:
    /// credit memos, refund receipts and whatever belongs to purchases answer with a fault, or with
    /// success and nothing done (quickbooks.md, section 4.3).
    pub fn void(kind: Kind, id: &str, sync_token: &str) -> Result<Write> {
        let mut body = target(id, sync_token);
        match kind {
            Kind::Invoice => {}
            Kind::Payment | Kind::SalesReceipt | Kind::BillPayment => {
                body.insert("sparse".into(), Value::Bool(true));
            }
            _ => return Err(unsupported(kind, "voided")),
        }
        Ok(Write::new(kind, Operation::Void, body))
    }

    /// A record of a list that isn't used any more. QuickBooks appends " (deleted)" to its name.
    pub fn inactivate(kind: Kind, id: &str, sync_token: &str) -> Result<Write> {
        Write::set_active(kind, id, sync_token, false, None)
    }

    /// A record of a list that is used again, under the name that it had.
    pub fn reactivate(kind: Kind, id: &str, sync_token: &str, name: &str) -> Result<Write> {
        Write::set_active(kind, id, sync_token, true, Some(name))
    }

    fn set_active(
        kind: Kind,
        id: &str,
        sync_token: &str,
        active: bool,
        name: Option<&str>,
    ) -> Result<Write> {
        if !kind.is_list() {
            return Err(unsupported(kind, "made inactive"));
        }
        let mut body = target(id, sync_token);
        body.insert("sparse".into(), Value::Bool(true));
        body.insert("Active".into(), Value::Bool(active));
        if let Some(name) = name {
            let people = matches!(kind, Kind::Customer | Kind::Vendor | Kind::Employee);
            let field = if people { "DisplayName" } else { "Name" };
            body.insert(field.into(), name.into());
        }
        let operation = if active { Operation::UpdateSparse } else { Operation::Inactivate };
        Ok(Write::new(kind, operation, body))
    }

    fn new(kind: Kind, operation: Operation, body: Map<String, Value>) -> Write {
        Write { kind, operation, body: Value::Object(body), allow_duplicate_number: false }
    }

    /// Let QuickBooks take a document number that is in use. Not possible within a batch.
    pub fn allow_duplicate_number(mut self) -> Write {
        self.allow_duplicate_number = true;
        self
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn operation(&self) -> Operation {
        self.operation
    }

    pub fn body(&self) -> &Value {
        &self.body
    }

    /// SHA-256 of the body, in hex: `body_hash` of `sync_requests`.
    pub fn body_hash(&self) -> String {
        body_hash(&self.body)
    }

    /// For [`super::request_id::Wish::operation`]: `create SalesReceipt`.
    pub fn label(&self) -> String {
        format!("{} {}", self.operation.as_str(), self.kind)
    }

    /// Number of the document, where the body has one.
    pub fn document_number(&self) -> Option<&str> {
        self.body.get("DocNumber").and_then(Value::as_str)
    }

    /// May it go into a batch?
    pub fn fits_batch(&self) -> bool {
        !self.allow_duplicate_number
    }

    /// The parameters of its URL, but for the request id.
    pub(super) fn query(&self) -> Vec<(&'static str, &'static str)> {
        let mut query = match (self.operation, self.kind) {
            (Operation::Delete, _) => vec![("operation", "delete")],
            (Operation::Void, Kind::Invoice) => vec![("operation", "void")],
            (Operation::Void, _) => vec![("operation", "update"), ("include", "void")],
            _ => vec![],
        };
        if self.allow_duplicate_number {
            query.push(("include", "allowduplicatedocnum"));
        }
        query
    }

    /// As an item of a batch.
    pub(super) fn item(&self, b_id: &str) -> Value {
        let mut item = Map::new();
        item.insert("bId".into(), b_id.into());
        let operation = match self.operation {
            Operation::Create => "create",
            Operation::Delete => "delete",
            // Also an invoice: `operation: void` within a batch is told of by users alone.
            _ => "update",
        };
        item.insert("operation".into(), operation.into());
        if self.operation == Operation::Void {
            item.insert("optionsData".into(), "void".into());
        }
        let mut body = self.body.clone();
        if self.operation == Operation::Void {
            body["sparse"] = json!(true);
        }
        item.insert(self.kind.as_str().into(), body);
        Value::Object(item)
    }
}

fn target(id: &str, sync_token: &str) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("Id".into(), id.into());
    body.insert("SyncToken".into(), sync_token.into());
    body
}

fn unsupported(kind: Kind, what: &str) -> Error {
    Error::internal(format!("QuickBooks: a {kind} can't be {what}"))
}

/// A record as a write's answer shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ack {
    pub kind: Kind,
    pub id: String,
    /// None: deleted.
    pub sync_token: Option<String>,
    pub document_number: Option<String>,
    /// `TotalAmt`: to be compared with what was meant.
    pub total: Option<Decimal>,
    pub balance: Option<Decimal>,
    /// The whole record, as sent back: never read it again.
    pub record: Value,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Done, and this is the record now.
    Done(Box<Ack>),
    /// QuickBooks said no, and did nothing.
    Refused(Refusal),
    /// It may have been done or not: send the same body with the same id soon, or ask for the
    /// record later.
    Unknown(Error),
    /// It never got there, or was turned away unread (limits, access): nothing was done.
    NotSent(Error),
}

impl Outcome {
    /// The error for people, where there is one.
    pub fn error(&self) -> Option<&Error> {
        match self {
            Outcome::Done(_) => None,
            Outcome::Refused(refusal) => Some(&refusal.error),
            Outcome::Unknown(error) | Outcome::NotSent(error) => Some(error),
        }
    }
}

/// A write, sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    pub outcome: Outcome,
    /// HTTP status of the last answer, where there was one.
    pub status: Option<u16>,
    /// `intuit_tid` of the last answer: the support asks for it.
    pub trace: Option<String>,
    /// Calls made for it, retries included.
    pub calls: u64,
}
