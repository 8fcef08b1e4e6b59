//! Payments: money received, and what it settles.

use super::documents::{self, account_of_type};
use super::{Draft, currency};
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{self, Checked, Fault, validation};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::money;
use crate::quickbooks::store::{Key, reference, text};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Checks a payment and fills in what the server computes.
pub(super) fn derive(company: &Company, draft: &mut Draft) -> Checked<()> {
    documents::begin(company, draft)?;
    let (party, customer) = documents::party(company, draft)?;
    let rate = currency::of_document(company, draft, Some(&customer))?;
    documents::references(company, draft)?;
    documents::no_card_numbers(draft)?;
    if !draft.data.contains_key("TotalAmt") {
        return Err(fault::missing("TotalAmt"));
    }
    let total = money::cents(money::of(&draft.data, "TotalAmt"));
    if total < Decimal::ZERO {
        return Err(validation("2290", "Negative Amount", "TotalAmt is negative", "TotalAmt"));
    }
    let settled = settle(company, draft, party)?;
    let unapplied = total + settled.credits - settled.debits;
    if unapplied < Decimal::ZERO {
        return Err(fault::business(
            "The amount applied to transactions is greater than the payment's amount.",
        ));
    }
    deposit_account(company, draft)?;
    draft.data.insert("Line".into(), Value::Array(settled.lines));
    draft.data.insert("TotalAmt".into(), money::json(total));
    draft.data.insert("UnappliedAmt".into(), money::json(unapplied));
    draft.data.entry("ProcessPayment").or_insert(json!(false));
    draft.data.entry("LinkedTxn").or_insert(json!([]));
    post(company, draft, total, rate);
    draft.effects.party = Some(party);
    draft.effects.open = -unapplied;
    draft.effects.applied = settled.applied;
    Ok(())
}

/// What a payment's lines do.
pub(super) struct Settled {
    pub lines: Vec<Value>,
    /// Owed documents, paid.
    pub debits: Decimal,
    /// Credits, used up.
    pub credits: Decimal,
    pub applied: Vec<(Key, Decimal)>,
}

/// The kinds that a payment may name in `LinkedTxn`.
fn linkable(draft: Kind, name: &str) -> Option<Kind> {
    match (draft, name) {
        (Kind::Payment, "Invoice") => Some(Kind::Invoice),
        (Kind::Payment, "CreditMemo") => Some(Kind::CreditMemo),
        (Kind::BillPayment, "Bill") => Some(Kind::Bill),
        _ => None,
    }
}

fn cannot_link(detail: &str) -> Fault {
    validation("620", "Transaction can't be linked", detail, "Line.LinkedTxn")
}

/// Reads the lines and holds them against the documents they settle.
///
/// Errors: 620 for another customer or type, 2500 for nothing, 6000 beyond the open balance.
pub(super) fn settle(company: &Company, draft: &Draft, party: Key) -> Checked<Settled> {
    let sent = draft.data.get("Line").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut settled =
        Settled { lines: vec![], debits: Decimal::ZERO, credits: Decimal::ZERO, applied: vec![] };
    for mut line in sent {
        let amount = money::read(&line["Amount"]).ok_or_else(|| fault::missing("Line.Amount"))?;
        let link = line["LinkedTxn"][0].clone();
        let (id, name) = (&link["TxnId"], link["TxnType"].as_str().unwrap_or_default());
        let Some(id) = id.as_str() else { return Err(fault::missing("Line.LinkedTxn.TxnId")) };
        let kind = linkable(draft.kind, name)
            .ok_or_else(|| cannot_link(&format!("TxnType {name} can't be linked here")))?;
        let found = company.store.find(kind, id);
        let (key, target) = found.ok_or_else(|| fault::bad_reference("Line.LinkedTxn"))?;
        if target.effects.party != Some(party) {
            return Err(cannot_link("Transaction ID cannot be linked : the name is another"));
        }
        let code = |data| reference(data, "CurrencyRef").map(str::to_owned);
        if code(&target.data) != code(&draft.data) {
            return Err(cannot_link("Transaction ID cannot be linked : another currency"));
        }
        if settled.applied.iter().any(|(known, _)| *known == key) {
            return Err(cannot_link("A transaction may be linked only once"));
        }
        let open = open_for(company, draft, key);
        if amount < Decimal::ZERO || amount > open {
            return Err(fault::business(&format!(
                "The amount {amount} is more than the open balance {open} of transaction {id}."
            )));
        }
        line["LineEx"] = line_extra(id, open);
        settled.lines.push(line);
        match kind {
            Kind::CreditMemo => settled.credits += amount,
            _ => settled.debits += amount,
        }
        settled.applied.push((key, amount));
    }
    Ok(settled)
}

/// The balance that is open for this payment: what others left.
fn open_for(company: &Company, draft: &Draft, target: Key) -> Decimal {
    let Some(record) = company.store.get(target) else { return Decimal::ZERO };
    let total = money::of(&record.data, "TotalAmt") - money::of(&record.data, "Deposit");
    match draft.key {
        Some(own) => total - company.store.applied_by_others(target, own),
        None => total - company.store.applied_to(target),
    }
}

fn line_extra(id: &str, open: Decimal) -> Value {
    let pair = |name: &str, value: String| {
        json!({
            "name": "{http://schema.intuit.com/finance/v3}NameValue",
            "declaredType": "com.intuit.schema.finance.v3.NameValue",
            "scope": "javax.xml.bind.JAXBElement$GlobalScope",
            "value": { "Name": name, "Value": value },
            "nil": false, "globalScope": true, "typeSubstituted": false,
        })
    };
    json!({ "any": [pair("txnId", id.to_owned()), pair("txnOpenBalance", open.to_string())] })
}

fn deposit_account(company: &Company, draft: &mut Draft) -> Checked<()> {
    if reference(&draft.data, "DepositToAccountRef").is_none() {
        let funds = account_of_type(company, "Other Current Asset", "UndepositedFunds");
        if let Some(id) = funds {
            let named = company.store.named_reference(Kind::Account, &id.to_string());
            draft.data.insert("DepositToAccountRef".into(), named);
        }
    }
    let id = reference(&draft.data, "DepositToAccountRef").unwrap_or_default();
    let Some((_, account)) = company.store.find(Kind::Account, id) else { return Ok(()) };
    if !matches!(text(&account.data, "AccountType"), "Bank" | "Other Current Asset") {
        let detail = "Invalid account type: the account referenced by DepositToAccountRef is not \
                      valid here";
        let element = "DepositToAccountRef";
        return Err(validation("6430", "Invalid account type used", detail, element));
    }
    let code = reference(&draft.data, "CurrencyRef").unwrap_or(&company.home);
    currency::check_account(company, account, code)
}

fn post(company: &Company, draft: &mut Draft, total: Decimal, rate: Decimal) {
    let code = reference(&draft.data, "CurrencyRef").unwrap_or(&company.home).to_owned();
    let id = reference(&draft.data, "DepositToAccountRef").unwrap_or_default();
    if let Some((key, account)) = company.store.find(Kind::Account, id) {
        let amount = currency::in_account(company, account, &code, total, rate);
        draft.effects.postings.push((key.1, amount));
    }
    if let Some(receivable) = account_of_type(company, "Accounts Receivable", "") {
        draft.effects.postings.push((receivable, -money::cents(total * rate)));
    }
}
