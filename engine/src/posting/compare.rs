//! After posting: what of a document is ours, whether the order or a person has moved it since, and
//! what that means (posting policy, After posting).

use super::company::Company;
use super::documents::Document;
use super::lines::Line;
use super::money;
use super::posted::{DocumentKind, PostedDocument};
use super::reason::Reason;
use super::render;
use super::tax::Code;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// `Line[0].Amount`
    pub path: String,
    /// Null: it wasn't there.
    pub old: Value,
    /// Null: it goes.
    pub new: Value,
}

fn exact(value: Decimal) -> Value {
    Value::String(value.normalize().to_string())
}

/// What an order wants of its document: the fields that follow from the order. Number, date, accounts
/// and custom fields follow from settings too, and stay as they were first written, and so does the
/// customer: one that vanished or was merged in the shop never changes an existing document.
pub fn wanted(document: &Document) -> Value {
    let mut state = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            state.insert(key.to_owned(), value);
        }
    };
    put("TotalAmt", exact(document.total));
    put("PaymentRefNum", json!(document.payment_ref));
    put("PrivateNote", json!(document.private_note));
    put("CustomerMemo", json!(document.memo));
    put("BillEmail", json!(document.email));
    put("BillAddr", json!(document.bill_to.as_ref().and_then(render::address)));
    put("ShipAddr", json!(document.ship_to.as_ref().and_then(render::address)));
    if let Some(amounts) = &document.amounts {
        put("TotalTax", exact(amounts.tax.total()));
        put("Discount", json!(amounts.discount.map(exact)));
        put("Line", Value::Array(amounts.lines.iter().map(wanted_line).collect()));
    }
    Value::Object(state)
}

fn wanted_line(line: &Line) -> Value {
    let code = match &line.code {
        Code::Taxable => json!("TAX"),
        Code::Exempt => json!("NON"),
        Code::Id(id) => json!(id),
        Code::None => Value::Null,
    };
    json!({
        "Key": line.key,
        "Amount": exact(line.amount),
        "Qty": line.quantity.map(exact),
        "UnitPrice": line.unit_price.map(exact),
        "TaxCodeRef": code,
        "Description": line.description,
    })
}

/// Fields of a sales document or Payment that we write, as text or reference.
const TEXTS: [&str; 5] = ["DocNumber", "TxnDate", "PaymentRefNum", "PrivateNote", "TotalAmt"];
const REFERENCES: [&str; 5] =
    ["CustomerRef", "PaymentMethodRef", "DepositToAccountRef", "SalesTermRef", "CurrencyRef"];

/// What is ours of a document as QuickBooks gives it. Addresses aren't: it re-flows them
/// (quickbooks.md, 4.1). Balance, links, token and times aren't either.
pub fn owned(entity: &Value) -> Value {
    let mut state = Map::new();
    for key in TEXTS {
        match &entity[key] {
            Value::Null => {}
            number @ Value::Number(_) => {
                state.insert(key.into(), money::from_json(number).map_or(Value::Null, exact));
            }
            other => {
                state.insert(key.into(), other.clone());
            }
        }
    }
    for key in REFERENCES {
        if let Some(id) = entity[key]["value"].as_str() {
            state.insert(key.into(), json!(id));
        }
    }
    for (key, pointer) in
        [("CustomerMemo", "/CustomerMemo/value"), ("BillEmail", "/BillEmail/Address")]
    {
        if let Some(text) = entity.pointer(pointer).and_then(Value::as_str) {
            state.insert(key.into(), json!(text));
        }
    }
    if let Some(tax) = entity.pointer("/TxnTaxDetail/TotalTax").and_then(money::from_json) {
        state.insert("TotalTax".into(), exact(tax));
    }
    let lines = entity["Line"].as_array();
    let kept = |line: &&Value| !is_subtotal(line);
    let lines: Vec<Value> = lines.into_iter().flatten().filter(kept).map(owned_line).collect();
    state.insert("Line".into(), Value::Array(lines));
    Value::Object(state)
}

/// Some stored documents spell the type in capitals (quickbooks.md, 2).
fn is_subtotal(line: &Value) -> bool {
    matches!(line["DetailType"].as_str(), Some("SubTotalLineDetail" | "SUB_TOTAL_LINE_DETAIL"))
}

fn owned_line(line: &Value) -> Value {
    let mut state = Map::new();
    for key in ["Id", "Description"] {
        if let Some(text) = line[key].as_str() {
            state.insert(key.into(), json!(text));
        }
    }
    let detail = &line["SalesItemLineDetail"];
    let numbers = [(line, "Amount"), (detail, "Qty"), (detail, "UnitPrice")];
    for (from, key) in numbers {
        if let Some(number) = money::from_json(&from[key]) {
            state.insert(key.into(), exact(number));
        }
    }
    for key in ["ItemRef", "TaxCodeRef"] {
        if let Some(id) = detail[key]["value"].as_str() {
            state.insert(key.into(), json!(id));
        }
    }
    if let Some(link) = line.pointer("/LinkedTxn/0/TxnId").and_then(Value::as_str) {
        state.insert("LinkedTxn".into(), json!(link));
    }
    Value::Object(state)
}

/// Every leaf that differs, in the order of the new state.
pub fn diff(old: &Value, new: &Value) -> Vec<FieldChange> {
    let mut changes = vec![];
    walk(old, new, "", &mut changes);
    changes
}

fn walk(old: &Value, new: &Value, path: &str, changes: &mut Vec<FieldChange>) {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = b.keys().chain(a.keys().filter(|key| !b.contains_key(*key)));
            for key in keys {
                let at = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(&old[key], &new[key], &at, changes);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for i in 0..a.len().max(b.len()) {
                let get = |list: &[Value]| list.get(i).cloned().unwrap_or_default();
                walk(&get(a), &get(b), &format!("{path}[{i}]"), changes);
            }
        }
        _ if old == new => {}
        _ => {
            changes.push(FieldChange { path: path.to_owned(), old: old.clone(), new: new.clone() })
        }
    }
}

/// Whether a change is one of money: total, tax, or an amount or code of a line.
pub fn is_money(change: &FieldChange) -> bool {
    let path = change.path.as_str();
    let line = path.starts_with("Line[");
    matches!(path, "TotalAmt" | "TotalTax" | "Discount")
        || line
            && (path.ends_with(']') || path.ends_with(".Amount") || path.ends_with(".TaxCodeRef"))
}

/// What a change of the order means for its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// No field of the document differs: a moved modified-date writes nothing.
    Nothing,
    /// Written in place, with all lines.
    Update(Vec<FieldChange>),
    /// The document can't be touched, and money has changed.
    Attention(Reason),
}

/// Judges a change of the order.
pub fn on_change(
    document: &Document,
    posted: &PostedDocument,
    company: &Company,
    number: &str,
) -> Change {
    let changes = diff(&posted.agreed.sent, &wanted(document));
    if changes.is_empty() {
        return Change::Nothing;
    }
    let Some(why) = fixed(posted, company) else { return Change::Update(changes) };
    if !changes.iter().any(is_money) {
        return Change::Nothing;
    }
    let shown = |amount| money::shown(amount, &document.currency);
    Change::Attention(Reason::new(
        "changed_after_posting",
        format!(
            "order {number} now comes to {}, its {} in QuickBooks to {}, and {why}",
            shown(document.total),
            posted.kind,
            shown(posted.total)
        ),
        "Correct the document in QuickBooks, or set the order back in the shop.",
    ))
}

/// Why a document must not be written any more; None: it may.
pub fn fixed(posted: &PostedDocument, company: &Company) -> Option<&'static str> {
    if company.book_close_date.is_some_and(|close| posted.txn_date <= close) {
        return Some("its period is closed");
    }
    match posted {
        posted if posted.voided => Some("it is voided"),
        posted if posted.locked => Some("it is deposited or reconciled"),
        posted if posted.edited => Some("a person has changed it there"),
        _ => None,
    }
}

/// What has happened to a document in QuickBooks since both sides agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    /// Only token, balance or links moved: take its token and send again.
    Rebase,
    /// Fields that we write have moved: a person's edit, which is never overwritten.
    Conflict(Vec<FieldChange>),
}

/// The three-way comparison after 5010: `now` is the document as it was read again. A customer that
/// was merged there is no edit.
pub fn drift(posted: &PostedDocument, now: &Value) -> Drift {
    let mut changes = diff(&posted.agreed.answered, &owned(now));
    changes.retain(|change| change.path != "CustomerRef");
    if changes.is_empty() { Drift::Rebase } else { Drift::Conflict(changes) }
}

/// Rule 8 on the answer of every write: its total and tax are those of the document, to the cent.
pub fn check_answer(document: &Document, answer: &Value) -> Result<(), Reason> {
    let total = money::from_json(&answer["TotalAmt"]);
    let differs = |what: &str, theirs: Option<Decimal>, ours: Decimal| {
        let is = theirs.map_or("nothing".into(), |theirs| money::shown(theirs, &document.currency));
        let name = document.number.as_deref().unwrap_or_default();
        let by = money::shown(theirs.unwrap_or_default() - ours, &document.currency);
        Reason::new(
            "answer_differs",
            format!(
                "{} {name}: QuickBooks has {is} of {what}, the order {}: {by} off",
                document.kind,
                money::shown(ours, &document.currency)
            ),
            "Look at the document in QuickBooks and at the tax settings of company and connection.",
        )
    };
    if total != Some(document.total) {
        return Err(differs("total", total, document.total));
    }
    let Some(amounts) = &document.amounts else { return Ok(()) };
    let ours = amounts.tax.total();
    let tax = answer.pointer("/TxnTaxDetail/TotalTax").and_then(money::from_json);
    // Companies without sales tax store no detail.
    if tax.unwrap_or_default() == ours { Ok(()) } else { Err(differs("tax", tax, ours)) }
}

/// The body of an update in place: sparse at the top, all lines, each with its id and the item that
/// it had (quickbooks.md, 0.3: lines left out vanish). Number, date and customer stay.
pub fn update_body(create: &Value, document: &Document, posted: &PostedDocument) -> Value {
    let mut body = Map::new();
    body.insert("Id".into(), json!(posted.remote_id));
    body.insert("SyncToken".into(), json!(posted.sync_token));
    body.insert("sparse".into(), json!(true));
    const KEPT: [&str; 7] = [
        "DocNumber",
        "TxnDate",
        "DepositToAccountRef",
        "PaymentMethodRef",
        "SalesTermRef",
        "ExchangeRate",
        "CustomField",
    ];
    let fields = create.as_object().into_iter().flatten();
    for (key, value) in fields.filter(|(key, _)| !KEPT.contains(&key.as_str())) {
        body.insert(key.clone(), value.clone());
    }
    if let Some(customer) = posted.agreed.answered["CustomerRef"].as_str() {
        body.insert("CustomerRef".into(), json!({"value": customer}));
    }
    let keys = document.amounts.iter().flat_map(|a| a.lines.iter().map(|line| line.key.as_str()));
    if let Some(Value::Array(lines)) = body.get_mut("Line") {
        for (line, key) in lines.iter_mut().zip(keys) {
            keep_identity(line, key, posted);
        }
    }
    Value::Object(body)
}

/// Lines were sent in this order, and QuickBooks keeps it.
fn keep_identity(line: &mut Value, key: &str, posted: &PostedDocument) {
    let sent = posted.agreed.sent["Line"].as_array();
    let Some(at) = sent.and_then(|lines| lines.iter().position(|l| l["Key"] == key)) else {
        return;
    };
    let known = &posted.agreed.answered["Line"][at];
    if let (Some(id), Some(map)) = (known["Id"].as_str(), line.as_object_mut()) {
        map.insert("Id".into(), json!(id));
    }
    if let Some(item) = known["ItemRef"].as_str() {
        line["SalesItemLineDetail"]["ItemRef"] = json!({"value": item});
    }
}

/// The body that voids an Invoice (quickbooks.md, 4.3).
pub fn void_body(posted: &PostedDocument) -> Value {
    debug_assert!(posted.kind == DocumentKind::Invoice);
    json!({"Id": posted.remote_id, "SyncToken": posted.sync_token})
}
