//! Documents that are there already: entered by hand before us, or left by an answer that was lost
//! (posting policy, Dates and Numbers).

use super::documents::Document;
use super::money;
use super::numbers;
use super::reason::Reason;
use jiff::civil::Date;
use serde_json::Value;

/// What a document found under one of our numbers is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// None of them is ours to take.
    Nothing,
    /// This one: its id.
    Adopt(String),
    /// Taken by something else.
    Attention(Reason),
}

/// With `adopt` on, before the first push: `found` are the sales documents under the order's
/// numbers. The same currency and total within 3 days: linked, not written to until confirmed.
/// Another total: somebody has to look.
pub fn before_first(document: &Document, found: &[Value], home: &str) -> Found {
    let near: Vec<&Value> = found
        .iter()
        .filter(|entity| {
            currency(entity, home) == document.currency && is_near(entity, document.date)
        })
        .collect();
    let fitting =
        near.iter().find(|entity| money::from_json(&entity["TotalAmt"]) == Some(document.total));
    match (fitting.and_then(|entity| entity["Id"].as_str()), near.first()) {
        (Some(id), _) => Found::Adopt(id.to_owned()),
        (None, Some(other)) => Found::Attention(other_total(document, other)),
        (None, None) => Found::Nothing,
    }
}

fn currency<'e>(entity: &'e Value, home: &'e str) -> &'e str {
    entity.pointer("/CurrencyRef/value").and_then(Value::as_str).unwrap_or(home)
}

fn is_near(entity: &Value, date: Date) -> bool {
    const DAYS: i32 = 3;
    let theirs = entity["TxnDate"].as_str().and_then(|text| text.parse::<Date>().ok());
    theirs
        .and_then(|theirs| date.since(theirs).ok())
        .is_some_and(|span| span.get_days().abs() <= DAYS)
}

fn other_total(document: &Document, entity: &Value) -> Reason {
    let theirs = money::from_json(&entity["TotalAmt"]).unwrap_or_default();
    Reason::new(
        "number_taken",
        format!(
            "number {} is taken in QuickBooks by a document of {}, the order comes to {}",
            entity["DocNumber"].as_str().unwrap_or_default(),
            money::shown(theirs, &document.currency),
            money::shown(document.total, &document.currency)
        ),
        "Look whether it is the same sale: correct or renumber one of the two.",
    )
}

/// After 6140: the document that bears our number. Ours if it bears our mark, or if total, currency
/// and customer agree; else somebody has to look. `customer` is the id that we would have sent.
pub fn duplicate_number(
    document: &Document,
    entity: &Value,
    customer: Option<&str>,
    home: &str,
) -> Found {
    let mark = document.private_note.lines().next().unwrap_or_default();
    let note = entity["PrivateNote"].as_str().unwrap_or_default();
    let total = money::from_json(&entity["TotalAmt"]) == Some(document.total);
    let same = total
        && currency(entity, home) == document.currency
        && customer.is_some()
        && entity.pointer("/CustomerRef/value").and_then(Value::as_str) == customer;
    match entity["Id"].as_str() {
        Some(id) if numbers::is_marked(note, mark) || same => Found::Adopt(id.to_owned()),
        _ => Found::Attention(other_total(document, entity)),
    }
}
