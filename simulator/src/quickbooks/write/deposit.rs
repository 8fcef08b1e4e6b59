//! Bank deposits: what lies in one is locked.

use super::Draft;
use super::documents;
use super::lines::number_lines;
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{self, Checked};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::money;
use crate::quickbooks::store::{Key, reference};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Checks a deposit and fills in what the server computes.
pub(super) fn derive(company: &Company, draft: &mut Draft) -> Checked<()> {
    documents::begin(company, draft)?;
    let id = reference(&draft.data, "DepositToAccountRef").map(str::to_owned);
    let id = id.ok_or_else(|| fault::missing("DepositToAccountRef"))?;
    let (account, _) = documents::referred(company, Kind::Account, &id, "DepositToAccountRef")?;
    documents::references(company, draft)?;
    let mut lines = draft.data.get("Line").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut total = Decimal::ZERO;
    for line in &mut lines {
        for key in linked(line) {
            let record = company.store.get(key);
            let record = record.ok_or_else(|| fault::bad_reference("Line.LinkedTxn"))?;
            if record.deposit.is_some() && record.deposit != draft.key.map(|k| k.1) {
                return Err(fault::deposited());
            }
            if !line["Amount"].is_number() {
                line["Amount"] = record.data.get("TotalAmt").cloned().unwrap_or_default();
            }
        }
        total += money::read(&line["Amount"]).ok_or_else(|| fault::missing("Line.Amount"))?;
    }
    if lines.is_empty() {
        return Err(fault::missing("Line"));
    }
    number_lines(draft, &mut lines);
    draft.data.insert("Line".into(), Value::Array(lines));
    draft.data.insert("TotalAmt".into(), money::json(total));
    draft.data.entry("CurrencyRef").or_insert_with(|| json!({ "value": company.home }));
    draft.effects.postings.push((account.1, total));
    if let Some(funds) =
        documents::account_of_type(company, "Other Current Asset", "UndepositedFunds")
    {
        draft.effects.postings.push((funds, -total));
    }
    Ok(())
}

fn linked(line: &Value) -> Vec<Key> {
    let links = line["LinkedTxn"].as_array();
    let key = |link: &Value| {
        let kind = Kind::named(link["TxnType"].as_str()?)?;
        Some((kind, link["TxnId"].as_str()?.parse().ok()?))
    };
    links.into_iter().flatten().filter_map(key).collect()
}

/// Locks what lies in a deposit, and frees what no longer does.
pub(super) fn mark(company: &mut Company, deposit: Key) {
    if deposit.0 != Kind::Deposit {
        return;
    }
    let lines = company.store.get(deposit).and_then(|r| r.data.get("Line")).cloned();
    let inside: Vec<Key> =
        lines.iter().filter_map(Value::as_array).flatten().flat_map(linked).collect();
    for kind in [Kind::Payment, Kind::SalesReceipt] {
        let was: Vec<u64> = company
            .store
            .all(kind)
            .filter(|(_, record)| record.deposit == Some(deposit.1))
            .map(|(id, _)| id)
            .collect();
        for id in was {
            set(company, (kind, id), None);
        }
    }
    for key in inside {
        set(company, key, Some(deposit.1));
    }
}

fn set(company: &mut Company, key: Key, deposit: Option<u64>) {
    if let Some(record) = company.store.get_mut(key) {
        record.deposit = deposit;
    }
}
