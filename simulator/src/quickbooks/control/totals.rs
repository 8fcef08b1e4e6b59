//! What a company's books hold, added up.

use crate::quickbooks::company::Company;
use crate::quickbooks::kind::Kind;
use crate::quickbooks::money;
use crate::quickbooks::store::{reference, text};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Balances of all accounts by name, `{"Stripe Clearing": "12.30"}`; zeros are left out.
pub fn accounts(company: &Company) -> Value {
    let mut shown = Map::new();
    for (_, account) in company.store.all(Kind::Account) {
        let balance = money::of(&account.data, "CurrentBalance");
        if !balance.is_zero() {
            shown.insert(account.text("Name").to_owned(), json!(format!("{balance:.2}")));
        }
    }
    Value::Object(shown)
}

/// `{"SalesReceipt": {"USD": {"count", "total", "balance", "voided"}}}`; voided ones aren't in the
/// count.
pub fn by_type(company: &Company) -> Value {
    let mut all: BTreeMap<&str, BTreeMap<String, [Decimal; 4]>> = BTreeMap::new();
    for kind in Kind::ALL.iter().copied().filter(|kind| kind.is_transaction()) {
        for (_, record) in company.store.all(kind) {
            let code = currency_of(company, &record.data);
            let sums = all.entry(kind.name()).or_default().entry(code).or_default();
            match voided(&record.data) {
                true => sums[3] += Decimal::ONE,
                false => {
                    sums[0] += Decimal::ONE;
                    sums[1] += money::of(&record.data, "TotalAmt");
                    sums[2] += money::of(&record.data, "Balance");
                }
            }
        }
    }
    let mut shown = Map::new();
    for (kind, by_currency) in all {
        let mut inner = Map::new();
        for (code, [count, total, balance, voided]) in by_currency {
            let sums = json!({
                "count": money::json(count), "total": format!("{total:.2}"),
                "balance": format!("{balance:.2}"), "voided": money::json(voided),
            });
            inner.insert(code, sums);
        }
        shown.insert(kind.to_owned(), Value::Object(inner));
    }
    Value::Object(shown)
}

fn currency_of(company: &Company, data: &Map<String, Value>) -> String {
    reference(data, "CurrencyRef").unwrap_or(&company.home).to_owned()
}

fn voided(data: &Map<String, Value>) -> bool {
    money::of(data, "TotalAmt").is_zero() && text(data, "PrivateNote").starts_with("Voided")
}

/// One line a document.
pub fn list(company: &Company) -> Value {
    let mut all = vec![];
    for kind in Kind::ALL.iter().copied().filter(|kind| kind.is_transaction()) {
        for (id, record) in company.store.all(kind) {
            let data = &record.data;
            let party = data.get("CustomerRef").or(data.get("VendorRef"));
            all.push(json!({
                "type": kind.name(), "id": id.to_string(), "doc_number": data.get("DocNumber"),
                "date": data.get("TxnDate"), "currency": currency_of(company, data),
                "total": format!("{:.2}", money::of(data, "TotalAmt")),
                "balance": format!("{:.2}", money::of(data, "Balance")),
                "name": party.map(|p| p["name"].clone()), "voided": voided(data),
                "private_note": data.get("PrivateNote"), "sync_token": record.token.to_string(),
                "lines": data.get("Line").and_then(Value::as_array).map_or(0, Vec::len),
            }));
        }
    }
    Value::Array(all)
}

/// What should never be: numbers and notes that more than one living document of a type bears,
/// grouped as `{"number": [...]}`, and writes that came without a `requestid`.
pub fn suspicious(company: &Company) -> Value {
    let mut numbers: BTreeMap<(&str, String), Vec<String>> = BTreeMap::new();
    let mut notes: BTreeMap<(&str, String), Vec<String>> = BTreeMap::new();
    for kind in Kind::ALL.iter().copied().filter(|kind| kind.is_transaction()) {
        // A number is one order's, whatever form its sale has.
        let space = match kind {
            Kind::Invoice | Kind::SalesReceipt => "sale",
            other => other.name(),
        };
        for (id, record) in company.store.all(kind).filter(|(_, r)| !voided(&r.data)) {
            let bearer = format!("{} {id}", kind.name());
            let number = text(&record.data, "DocNumber");
            let note = text(&record.data, "PrivateNote");
            if !number.is_empty() {
                let number = (space, number.to_lowercase());
                numbers.entry(number).or_default().push(bearer.clone());
            }
            if !note.is_empty() {
                notes.entry((space, note.to_owned())).or_default().push(bearer);
            }
        }
    }
    let doubles = |all: BTreeMap<(&str, String), Vec<String>>| -> Map<String, Value> {
        let several = all.into_iter().filter(|(_, bearers)| bearers.len() > 1);
        several.map(|((_, text), bearers)| (text, json!(bearers))).collect()
    };
    json!({
        "duplicate_numbers": doubles(numbers), "duplicate_notes": doubles(notes),
        "writes_without_request_id": company.journal.counts().without_request_id,
    })
}
