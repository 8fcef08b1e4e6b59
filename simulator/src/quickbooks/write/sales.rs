//! Invoices, sales receipts, credit memos and refund receipts.

use super::documents::{self, account_of_type};
use super::lines::{self, Lines};
use super::{Draft, currency, tax_global, tax_us};
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{self, Checked, validation};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::money;
use crate::quickbooks::store::{Key, Record, reference, text};
use jiff::Span;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Checks a sales form and fills in what the server computes.
pub(super) fn derive(company: &Company, draft: &mut Draft) -> Checked<()> {
    documents::begin(company, draft)?;
    let (party, customer) = documents::party(company, draft)?;
    let rate = currency::of_document(company, draft, Some(&customer))?;
    documents::references(company, draft)?;
    documents::custom_fields(company, draft)?;
    documents::no_card_numbers(draft)?;
    let mailed = matches!(text(&draft.data, "EmailStatus"), "NeedToSend" | "NEED_TO_SEND");
    if mailed && !draft.data.contains_key("BillEmail") {
        return Err(fault::missing("BillEmail"));
    }
    let day = draft.day(company);
    let mut lines = lines::read(company, draft, day)?;
    let tax = match company.us {
        true => tax_us::tax(company, draft, &mut lines)?,
        false => tax_global::tax(company, draft, &mut lines)?,
    };
    inventory_lock(company, draft, &lines)?;
    documents::number(company, draft)?;
    let total = lines.net() + tax;
    if total < Decimal::ZERO {
        return Err(fault::business("Transaction amount must be 0 or greater."));
    }
    let account = money_account(company, draft)?;
    linked(draft, party)?;
    totals(company, draft, total, rate)?;
    due_date(company, draft, &customer, day);
    effects(company, draft, &lines, Booked { party, total, tax, rate, account });
    draft.data.insert("Line".into(), Value::Array(lines.json));
    defaults(draft);
    Ok(())
}

struct Booked {
    party: Key,
    total: Decimal,
    tax: Decimal,
    rate: Decimal,
    account: Option<u64>,
}

/// The transient lock that inventory meets now and then; by a counter, so that runs repeat.
fn inventory_lock(company: &Company, draft: &Draft, lines: &Lines) -> Checked<()> {
    let percent = u64::from(company.rules.inventory_lock_percent);
    let tracked = lines.items.iter().any(|line| line.tracked.is_some());
    let draw = (company.journal.counts().writes.wrapping_mul(37) + draft.data.len() as u64) % 100;
    if !tracked || draw >= percent {
        return Ok(());
    }
    Err(fault::business(
        "Another user was creating/editing/deleting a transaction with inventory products at \
         exactly the same time. Please try again in 30 min.",
    ))
}

/// Where the money goes or comes from.
fn money_account(company: &Company, draft: &mut Draft) -> Checked<Option<u64>> {
    if !matches!(draft.kind, Kind::SalesReceipt | Kind::RefundReceipt) {
        return Ok(None);
    }
    if reference(&draft.data, "DepositToAccountRef").is_none() {
        if draft.kind == Kind::RefundReceipt {
            return Err(fault::missing("DepositToAccountRef"));
        }
        let funds = account_of_type(company, "Other Current Asset", "UndepositedFunds");
        if let Some(id) = funds {
            let named = company.store.named_reference(Kind::Account, &id.to_string());
            draft.data.insert("DepositToAccountRef".into(), named);
        }
    }
    let id = reference(&draft.data, "DepositToAccountRef").unwrap_or_default();
    let Some((key, account)) = company.store.find(Kind::Account, id) else { return Ok(None) };
    if !matches!(account.text("AccountType"), "Bank" | "Other Current Asset") {
        let detail = "Invalid account type: the account referenced by DepositToAccountRef is not \
                      valid here";
        let element = "DepositToAccountRef";
        return Err(validation("6430", "Invalid account type used", detail, element));
    }
    let code = reference(&draft.data, "CurrencyRef").unwrap_or(&company.home);
    currency::check_account(company, account, code)?;
    Ok(Some(key.1))
}

/// A paid document keeps its customer.
fn linked(draft: &Draft, party: Key) -> Checked<()> {
    let Some(old) = &draft.old else { return Ok(()) };
    let links = old.data.get("LinkedTxn").and_then(Value::as_array).is_some_and(|l| !l.is_empty());
    if links && old.effects.party != Some(party) {
        return Err(fault::business("You can't change the customer of a linked transaction."));
    }
    Ok(())
}

fn totals(company: &Company, draft: &mut Draft, total: Decimal, rate: Decimal) -> Checked<()> {
    let applied = draft.key.map(|key| company.store.applied_to(key)).unwrap_or_default();
    let deposit = money::of(&draft.data, "Deposit");
    let open = match draft.kind {
        Kind::Invoice | Kind::CreditMemo => total - deposit - applied,
        _ => Decimal::ZERO,
    };
    if open < Decimal::ZERO {
        return Err(fault::business("The amount is less than what was already applied to it."));
    }
    let foreign = rate != Decimal::ONE || draft.data.contains_key("ExchangeRate");
    let data = &mut draft.data;
    data.insert("TotalAmt".into(), money::json(total));
    data.insert("Balance".into(), money::json(open));
    if foreign {
        data.insert("HomeTotalAmt".into(), money::json(money::cents(total * rate)));
        data.insert("HomeBalance".into(), money::json(money::cents(open * rate)));
    }
    if draft.kind == Kind::CreditMemo {
        data.insert("RemainingCredit".into(), money::json(open));
    }
    draft.effects.open = if draft.kind == Kind::CreditMemo { -open } else { open };
    Ok(())
}

/// Terms, of the invoice or else of the customer or the company, give the due date.
fn due_date(company: &Company, draft: &mut Draft, customer: &Record, day: Date) {
    if draft.kind != Kind::Invoice {
        return;
    }
    if reference(&draft.data, "SalesTermRef").is_none() && draft.key.is_none() {
        let default = company.preference("/SalesFormsPrefs/DefaultTerms/value").as_str();
        let term = reference(&customer.data, "SalesTermRef").or(default);
        if let Some(term) = term.filter(|id| company.store.find(Kind::Term, id).is_some()) {
            let named = company.store.named_reference(Kind::Term, term);
            draft.data.insert("SalesTermRef".into(), named);
        }
    }
    if !text(&draft.data, "DueDate").is_empty() {
        return;
    }
    let term = reference(&draft.data, "SalesTermRef");
    let term = term.and_then(|id| company.store.find(Kind::Term, id));
    let days = term.and_then(|(_, t)| t.data.get("DueDays")).and_then(Value::as_i64).unwrap_or(0);
    let due = day.checked_add(Span::new().days(days)).unwrap_or(day);
    draft.data.insert("DueDate".into(), json!(due.to_string()));
}

fn effects(company: &Company, draft: &mut Draft, lines: &Lines, booked: Booked) {
    let Booked { party, total, tax, rate, account } = booked;
    let sale = matches!(draft.kind, Kind::Invoice | Kind::SalesReceipt);
    let sign = if sale { Decimal::ONE } else { Decimal::NEGATIVE_ONE };
    let code = reference(&draft.data, "CurrencyRef").unwrap_or(&company.home).to_owned();
    let home = |amount: Decimal| money::cents(amount * rate) * sign;
    let effects = &mut draft.effects;
    effects.party = Some(party);
    for line in &lines.items {
        if let Some((item, quantity)) = line.tracked {
            effects.quantities.push((item, -quantity * sign));
        }
        if let Some(account) = line.account {
            effects.postings.push((account, home(line.amount)));
        }
    }
    if let Some(account) = lines.discount_account {
        effects.postings.push((account, -home(lines.discount)));
    }
    let payable = account_of_type(company, "Other Current Liability", "SalesTaxPayable");
    if let Some(account) = payable.filter(|_| !tax.is_zero()) {
        effects.postings.push((account, home(tax)));
    }
    let (money_at, amount) = match account.and_then(|id| company.store.get((Kind::Account, id))) {
        Some(record) => (account, currency::in_account(company, record, &code, total, rate) * sign),
        None => (account_of_type(company, "Accounts Receivable", ""), home(total)),
    };
    if let Some(account) = money_at {
        effects.postings.push((account, amount));
    }
}

fn defaults(draft: &mut Draft) {
    let data = &mut draft.data;
    let mut absent = |key: &str, value: Value| {
        data.entry(key.to_owned()).or_insert(value);
    };
    absent("LinkedTxn", json!([]));
    absent("CustomField", json!([]));
    absent("ApplyTaxAfterDiscount", json!(false));
    absent("PrintStatus", json!("NeedToPrint"));
    absent("EmailStatus", json!("NotSet"));
    absent("FreeFormAddress", json!(true));
    if draft.kind == Kind::Invoice {
        for flag in [
            "AllowIPNPayment",
            "AllowOnlinePayment",
            "AllowOnlineCreditCardPayment",
            "AllowOnlineACHPayment",
        ] {
            draft.data.entry(flag).or_insert(json!(false));
        }
    }
}
