//! Payments of bills.

use super::documents::{self, account_of_type};
use super::{Draft, currency, payment};
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{self, Checked};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::money;
use crate::quickbooks::store::text;
use rust_decimal::Decimal;
use serde_json::Value;

/// Checks a bill payment and fills in what the server computes.
pub(super) fn derive(company: &Company, draft: &mut Draft) -> Checked<()> {
    documents::begin(company, draft)?;
    let (party, vendor) = documents::party(company, draft)?;
    let rate = currency::of_document(company, draft, Some(&vendor))?;
    documents::references(company, draft)?;
    let pay_type = text(&draft.data, "PayType").to_owned();
    let (detail, field) = match pay_type.as_str() {
        "Check" => ("CheckPayment", "BankAccountRef"),
        "CreditCard" => ("CreditCardPayment", "CCAccountRef"),
        _ => return Err(fault::missing("PayType")),
    };
    let account = draft.data.get(detail).and_then(|d| d[field]["value"].as_str());
    let account = account.ok_or_else(|| fault::missing(&format!("{detail}.{field}")))?;
    let (key, _) = documents::referred(company, Kind::Account, account, field)?;
    let total = money::cents(money::of(&draft.data, "TotalAmt"));
    let settled = payment::settle(company, draft, party)?;
    if settled.debits > total {
        return Err(fault::business("The amount applied is greater than the payment's amount."));
    }
    draft.data.insert("Line".into(), Value::Array(settled.lines));
    draft.data.insert("TotalAmt".into(), money::json(total));
    let home = money::cents(total * rate);
    draft.effects.postings.push((key.1, -home));
    if let Some(payable) = account_of_type(company, "Accounts Payable", "") {
        draft.effects.postings.push((payable, -home));
    }
    draft.effects.party = Some(party);
    draft.effects.open = -(total - settled.debits).max(Decimal::ZERO);
    draft.effects.applied = settled.applied;
    Ok(())
}
