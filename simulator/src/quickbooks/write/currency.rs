//! Currencies: of customers and vendors for life, of documents like their customer's.

use super::Draft;
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{self, Checked, validation};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::money;
use crate::quickbooks::store::{Record, reference};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// A currency's reference with its name, as answers show it.
pub fn reference_to(company: &Company, code: &str) -> Value {
    let named = company
        .store
        .all(Kind::CompanyCurrency)
        .find(|(_, currency)| currency.text("Code") == code)
        .map(|(_, currency)| currency.text("Name").to_owned());
    match named.or_else(|| name_of(code).map(str::to_owned)) {
        Some(name) => json!({ "value": code, "name": name }),
        None => json!({ "value": code }),
    }
}

fn name_of(code: &str) -> Option<&'static str> {
    Some(match code {
        "USD" => "United States Dollar",
        "GBP" => "British Pound Sterling",
        "EUR" => "Euro",
        "JPY" => "Japanese Yen",
        "KWD" => "Kuwaiti Dinar",
        "CAD" => "Canadian Dollar",
        _ => return None,
    })
}

fn check_known(company: &Company, code: &str) -> Checked<()> {
    if code == company.home {
        return Ok(());
    }
    if !company.multicurrency() {
        return Err(fault::business("Multi Currency should be enabled to perform this operation."));
    }
    let active = company
        .store
        .all(Kind::CompanyCurrency)
        .any(|(_, currency)| currency.text("Code") == code && currency.is_active());
    match active {
        true => Ok(()),
        false => Err(validation(
            "2220",
            "Invalid Currency Type",
            format!("Invalid Currency Type : {code}"),
            "CurrencyRef",
        )),
    }
}

/// Settles the currency of a customer or vendor.
pub(super) fn of_party(company: &Company, draft: &mut Draft) -> Checked<()> {
    let code = reference(&draft.data, "CurrencyRef").unwrap_or(&company.home).to_owned();
    check_known(company, &code)?;
    let old = draft.old.as_ref().and_then(|old| reference(&old.data, "CurrencyRef"));
    let sent = reference(&draft.sent, "CurrencyRef");
    if let (Some(old), Some(sent)) = (old, sent)
        && old != sent
    {
        return Err(fault::business("You can't change the currency of a name once it is set."));
    }
    let code = old.map_or(code, str::to_owned);
    draft.data.insert("CurrencyRef".into(), reference_to(company, &code));
    Ok(())
}

/// Settles the currency and exchange rate of a document; the answer is the rate.
///
/// Errors: 2020 without the currency that multicurrency demands, 6000 for one that isn't the
/// party's.
pub(super) fn of_document(
    company: &Company,
    draft: &mut Draft,
    party: Option<&Record>,
) -> Checked<Decimal> {
    let sent = reference(&draft.data, "CurrencyRef").map(str::to_owned);
    if sent.is_none() && company.multicurrency() && company.rules.currency_required {
        return Err(fault::missing("CurrencyRef"));
    }
    let of_party = party.and_then(|p| reference(&p.data, "CurrencyRef")).unwrap_or(&company.home);
    let code = sent.unwrap_or_else(|| of_party.to_owned());
    check_known(company, &code)?;
    if party.is_some() && code != of_party {
        return Err(fault::business(
            "The transaction currency doesn't match the name's: change transaction currency to \
             match it.",
        ));
    }
    draft.data.insert("CurrencyRef".into(), reference_to(company, &code));
    if code == company.home {
        draft.data.remove("ExchangeRate");
        return Ok(Decimal::ONE);
    }
    let rate = draft.data.get("ExchangeRate").and_then(money::read);
    let rate = rate.filter(|r| *r > Decimal::ZERO).unwrap_or_else(|| company.rate(&code));
    draft.data.insert("ExchangeRate".into(), money::json(rate));
    Ok(rate)
}

/// Money may go to an account in the home currency or in the document's.
///
/// Errors: 6000.
pub(super) fn check_account(company: &Company, account: &Record, code: &str) -> Checked<()> {
    let own = reference(&account.data, "CurrencyRef").unwrap_or(&company.home);
    match own == company.home || own == code {
        true => Ok(()),
        false => Err(fault::business(
            "You can only use one foreign currency per transaction, and the account's is another.",
        )),
    }
}

/// What `amount` in `code` is in the account's currency.
pub(super) fn in_account(
    company: &Company,
    account: &Record,
    code: &str,
    amount: Decimal,
    rate: Decimal,
) -> Decimal {
    let own = reference(&account.data, "CurrencyRef").unwrap_or(&company.home);
    if own == code { amount } else { money::cents(amount * rate) }
}
