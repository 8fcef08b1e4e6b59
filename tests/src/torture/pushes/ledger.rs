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

#[cfg(test)]
mod tests {
    use super::*;

    fn document(kind: &str, cents: i64, open: i64) -> Document {
        let (total, balance) = (Decimal::new(cents, 2), Decimal::new(open, 2));
        Document { kind: kind.to_owned(), total, balance }
    }

    fn order(state: State) -> Order {
        let refunds = vec![(9, Decimal::new(250, 2))];
        let total = Decimal::new(1000, 2);
        let refunds = if state == State::Paid { refunds } else { vec![] };
        Order { id: 7, number: "7".into(), state, total, refunds }
    }

    /// What is said of an order with these documents.
    fn wrong(order: &Order, documents: &[(&str, Document)]) -> usize {
        let mut ledger = Ledger::new();
        for (number, document) in documents {
            ledger.entry((*number).to_owned()).or_default().push(document.clone());
        }
        let mut problems = vec![];
        of_order(order, &mut ledger, &mut problems);
        problems.len() + ledger.len()
    }

    #[test]
    fn a_paid_order_has_one_settled_sale_and_one_document_for_each_refund() {
        let paid = order(State::Paid);
        let sale = ("WC-7", document("SalesReceipt", 1000, 0));
        let refund = ("WC-7-R9", document("RefundReceipt", 250, 0));
        assert_eq!(wrong(&paid, &[sale.clone(), refund.clone()]), 0);
        assert_eq!(wrong(&paid, &[("WC-7", document("Invoice", 1000, 0)), refund.clone()]), 0);
        // Missing, twice, a cent off, still open.
        assert_eq!(wrong(&paid, &[]), 2);
        assert_eq!(wrong(&paid, &[sale.clone(), sale.clone(), refund.clone()]), 1);
        assert_eq!(wrong(&paid, &[("WC-7", document("SalesReceipt", 1001, 0)), refund.clone()]), 1);
        assert_eq!(wrong(&paid, &[("WC-7", document("Invoice", 1000, 750)), refund.clone()]), 1);
        assert_eq!(wrong(&paid, &[sale.clone(), refund.clone(), refund]), 1);
        assert_eq!(wrong(&paid, &[sale, ("WC-7-R9", document("CreditMemo", 250, 250))]), 1);
    }

    #[test]
    fn an_unpaid_order_has_an_open_invoice_and_a_cancelled_one_owes_nothing() {
        let unpaid = order(State::Unpaid);
        assert_eq!(wrong(&unpaid, &[("WC-7", document("Invoice", 1000, 1000))]), 0);
        assert_eq!(wrong(&unpaid, &[("WC-7", document("Invoice", 1000, 0))]), 1);
        let cancelled = order(State::Cancelled);
        let invoice = ("WC-7", document("Invoice", 1000, 0));
        assert_eq!(wrong(&cancelled, &[]), 0);
        let taken_back = ("WC-7-C", document("CreditMemo", 1000, 0));
        assert_eq!(wrong(&cancelled, &[invoice.clone(), taken_back]), 0);
        assert_eq!(wrong(&cancelled, &[invoice]), 1);
    }
}
