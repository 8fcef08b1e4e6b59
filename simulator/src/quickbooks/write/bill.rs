//! Bills of vendors.

use super::documents::{self, account_of_type, referred};
use super::lines::{amount, class, number_lines, tracked};
use super::{Draft, currency};
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{self, Checked};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::money;
use crate::quickbooks::store::{reference, text};
use jiff::Span;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

/// Checks a bill and fills in what the server computes.
pub(super) fn derive(company: &Company, draft: &mut Draft) -> Checked<()> {
    documents::begin(company, draft)?;
    let (party, vendor) = documents::party(company, draft)?;
    let rate = currency::of_document(company, draft, Some(&vendor))?;
    documents::references(company, draft)?;
    documents::number(company, draft)?;
    if reference(&draft.data, "APAccountRef").is_none()
        && let Some(id) = account_of_type(company, "Accounts Payable", "")
    {
        let named = company.store.named_reference(Kind::Account, &id.to_string());
        draft.data.insert("APAccountRef".into(), named);
    }
    let day = draft.day(company);
    let lines = lines(company, draft, day, rate)?;
    let tax = match company.us {
        true => {
            draft.data.remove("TxnTaxDetail");
            Decimal::ZERO
        }
        false => purchase_tax(draft),
    };
    let total = lines.1 + tax;
    let applied = draft.key.map(|key| company.store.applied_to(key)).unwrap_or_default();
    if total < applied {
        return Err(fault::business("The amount is less than what was already paid."));
    }
    let data = &mut draft.data;
    data.insert("Line".into(), Value::Array(lines.0));
    data.insert("TotalAmt".into(), money::json(total));
    data.insert("Balance".into(), money::json(total - applied));
    data.entry("LinkedTxn").or_insert(json!([]));
    if text(data, "DueDate").is_empty() {
        let term = reference(data, "SalesTermRef").or(reference(&vendor.data, "TermRef"));
        let term = term.and_then(|id| company.store.find(Kind::Term, id));
        let days = term.and_then(|(_, t)| t.data.get("DueDays")).and_then(Value::as_i64);
        let due = day.checked_add(Span::new().days(days.unwrap_or(0))).unwrap_or(day);
        data.insert("DueDate".into(), json!(due.to_string()));
    }
    draft.effects.party = Some(party);
    draft.effects.open = total - applied;
    if let Some(payable) = account_of_type(company, "Accounts Payable", "") {
        draft.effects.postings.push((payable, money::cents(total * rate)));
    }
    Ok(())
}

/// Tax of purchases is taken as sent: easysync sends none.
fn purchase_tax(draft: &mut Draft) -> Decimal {
    draft.data.entry("GlobalTaxCalculation").or_insert(json!("NotApplicable"));
    let sent = draft.data.get("TxnTaxDetail").and_then(|d| money::read(&d["TotalTax"]));
    money::cents(sent.unwrap_or_default())
}

fn lines(
    company: &Company,
    draft: &mut Draft,
    day: Date,
    rate: Decimal,
) -> Checked<(Vec<Value>, Decimal)> {
    let sent = draft.data.get("Line").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut lines = vec![];
    let mut total = Decimal::ZERO;
    for line in sent {
        let Value::Object(mut line) = line else { continue };
        let name = line.get("DetailType").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(Value::Object(mut detail)) = line.get(&name).cloned() else {
            return Err(fault::missing("Line.DetailType"));
        };
        let amount = amount(&line, &detail)?;
        let account = match name.as_str() {
            "ItemBasedExpenseLineDetail" => item(company, draft, &mut detail, day)?,
            "AccountBasedExpenseLineDetail" => account(company, &mut detail)?,
            other => return Err(fault::unsupported(other)),
        };
        class(company, &mut detail)?;
        detail.entry("BillableStatus").or_insert(json!("NotBillable"));
        if company.us {
            detail.insert("TaxCodeRef".into(), json!({ "value": "NON" }));
        }
        if let Some(account) = account {
            draft.effects.postings.push((account, money::cents(amount * rate)));
        }
        line.insert("Amount".into(), money::json(amount));
        line.insert(name, Value::Object(detail));
        total += amount;
        lines.push(Value::Object(line));
    }
    if lines.is_empty() {
        return Err(fault::missing("Line"));
    }
    number_lines(draft, &mut lines);
    Ok((lines, total))
}

fn item(
    company: &Company,
    draft: &mut Draft,
    detail: &mut Map<String, Value>,
    day: Date,
) -> Checked<Option<u64>> {
    let element = "Line.ItemBasedExpenseLineDetail.ItemRef";
    let id = reference(detail, "ItemRef").ok_or_else(|| fault::missing(element))?.to_owned();
    let (key, item) = referred(company, Kind::Item, &id, element)?;
    if let Some((id, quantity)) = tracked(item, key.1, detail, day)? {
        draft.effects.quantities.push((id, quantity));
    }
    company.store.name_reference(detail, "ItemRef", Kind::Item);
    let field =
        if item.text("Type") == "Inventory" { "AssetAccountRef" } else { "ExpenseAccountRef" };
    let account = reference(&item.data, field);
    account
        .map(|id| id.parse().ok())
        .ok_or_else(|| fault::business("This item is not purchased: it has no expense account."))
}

fn account(company: &Company, detail: &mut Map<String, Value>) -> Checked<Option<u64>> {
    let element = "Line.AccountBasedExpenseLineDetail.AccountRef";
    let id = reference(detail, "AccountRef").ok_or_else(|| fault::missing(element))?.to_owned();
    let (key, _) = referred(company, Kind::Account, &id, element)?;
    company.store.name_reference(detail, "AccountRef", Kind::Account);
    Ok(Some(key.1))
}
