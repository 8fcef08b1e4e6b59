//! The books' own store held against the shop: what is there once, twice, or not.

use super::trade::{Order, State, Trade};
use crate::bed::Bed;
use crate::books::{Books, Tally, recorded};
use anyhow::{Context, Result};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Stands before the order's number in the settings that ship with the company.
const PREFIX: &str = "WC-";

const SALES: [&str; 2] = ["SalesReceipt", "Invoice"];
const REVERSING: [&str; 2] = ["RefundReceipt", "CreditMemo"];

/// A document, as the company lists it.
#[derive(Debug, Clone)]
struct Document {
    kind: String,
    total: Decimal,
    balance: Decimal,
}

/// Living documents by number.
type Ledger = BTreeMap<String, Vec<Document>>;

fn read(books: &Books, bed: &Bed) -> Result<Ledger> {
    let list = books.get(bed, "documents/list")?;
    let mut ledger = Ledger::new();
    for row in list.as_array().context("documents")? {
        let text = |name: &str| row[name].as_str().with_context(|| format!("{name} of {row}"));
        let kind = text("type")?;
        if (!SALES.contains(&kind) && !REVERSING.contains(&kind)) || row["voided"] == json!(true) {
            continue;
        }
        let document = Document {
            kind: kind.to_owned(),
            total: text("total")?.parse()?,
            balance: text("balance")?.parse()?,
        };
        ledger.entry(text("doc_number").unwrap_or_default().to_owned()).or_default().push(document);
    }
    Ok(ledger)
}

/// What is wrong in the books.
pub fn differences(bed: &Bed, books: &Books, trade: &Trade) -> Result<Vec<String>> {
    let mut ledger = read(books, bed)?;
    let mut problems = vec![];
    for order in &trade.orders {
        of_order(order, &mut ledger, &mut problems);
    }
    // What is left is the recorded shop's.
    of_recorded(&ledger, &mut problems);
    let suspicious = books.get(bed, "suspicious")?;
    let none = json!({"duplicate_numbers": {}, "duplicate_notes": {},
                      "writes_without_request_id": 0});
    if suspicious != none {
        problems.push(format!("suspicious: {suspicious}"));
    }
    people(&books.records(bed, "Customer")?, &mut problems);
    for payment in books.records(bed, "Payment")? {
        if payment["UnappliedAmt"].as_f64().is_some_and(|left| left != 0.0) {
            problems.push(format!("payment {} pays for nothing in part", payment["Id"]));
        }
    }
    Ok(problems)
}

/// How much was compared.
pub fn told(bed: &Bed, books: &Books) -> Result<String> {
    let ledger = read(books, bed)?;
    let all = || ledger.values().flatten();
    let sum = |kinds: [&str; 2]| -> (usize, Decimal) {
        let of = || all().filter(|d| kinds.contains(&d.kind.as_str()));
        (of().count(), of().map(|d| d.total).sum())
    };
    let ((sales, sold), (reversing, reversed)) = (sum(SALES), sum(REVERSING));
    Ok(format!("{sales} sales documents {sold}, {reversing} reversing ones {reversed}"))
}

fn of_order(order: &Order, ledger: &mut Ledger, problems: &mut Vec<String>) {
    let number = format!("{PREFIX}{}", order.number);
    let mut wrong = |what: String| problems.push(format!("order {}: {what}", order.number));
    let sales = ledger.remove(&number).unwrap_or_default();
    let taken_back = ledger.remove(&format!("{number}-C")).unwrap_or_default();
    let is_sale = |d: &Document| SALES.contains(&d.kind.as_str()) && d.total == order.total;
    match (order.state, &sales[..], &taken_back[..]) {
        (State::Paid, [sale], []) if is_sale(sale) && sale.balance.is_zero() => {}
        (State::Unpaid, [sale], [])
            if is_sale(sale) && sale.kind == "Invoice" && sale.balance == order.total => {}
        // Cancelled before it got there, or taken back.
        (State::Cancelled, [], []) => {}
        (State::Cancelled, [sale], [memo])
            if is_sale(sale)
                && sale.kind == "Invoice"
                && memo.kind == "CreditMemo"
                && memo.total == order.total
                && sale.balance.is_zero()
                && memo.balance.is_zero() => {}
        _ => wrong(format!("{:?} over {}: {sales:?} {taken_back:?}", order.state, order.total)),
    }
    for (id, amount) in &order.refunds {
        let documents = ledger.remove(&format!("{number}-R{id}")).unwrap_or_default();
        let is_well = |d: &Document| {
            REVERSING.contains(&d.kind.as_str()) && d.total == *amount && d.balance.is_zero()
        };
        match &documents[..] {
            [one] if is_well(one) => {}
            _ => wrong(format!("refund {id} of {amount}: {documents:?}")),
        }
    }
}

/// The posting policy's table, known by hand.
fn of_recorded(ledger: &Ledger, problems: &mut Vec<String>) {
    let mut found: BTreeMap<&str, Tally> = BTreeMap::new();
    for document in ledger.values().flatten() {
        let tally = found.entry(&document.kind).or_default();
        tally.count += 1;
        tally.sum += document.total;
    }
    for row in recorded(&["USD"]).iter().filter(|row| row.currency == "USD") {
        for (kind, expected) in row.documents() {
            let is = found.get(kind).copied().unwrap_or_default();
            if is != expected {
                problems.push(format!("recorded shop, {kind}: {is:?}, expected {expected:?}"));
            }
        }
    }
}

/// Nobody is there twice: e-mail addresses tell people apart.
fn people(customers: &[Value], problems: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for customer in customers {
        let address = customer.pointer("/PrimaryEmailAddr/Address").and_then(Value::as_str);
        let Some(address) = address.map(str::to_lowercase) else { continue };
        if !seen.insert(address) {
            problems.push(format!("customer {} is there twice", customer["Id"]));
        }
    }
}
