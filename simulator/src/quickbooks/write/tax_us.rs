//! Tax of US companies: lines are TAX or NON; automated sales tax finds the rate, unless the amount
//! is sent, which is honoured and spread over the rates.
//!
//! Intuit's blog of 2017-12-11 and its page on sales tax for US locales.

use super::Draft;
use super::lines::Lines;
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{Checked, bad_reference, validation};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::money;
use crate::quickbooks::store::{Record, reference};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// One rate of a tax code.
pub(super) struct Rate {
    pub id: String,
    pub percent: Decimal,
}

/// The sales rates of a tax code.
pub(super) fn rates(company: &Company, code: &Record) -> Vec<Rate> {
    rates_of(company, code, "SalesTaxRateList")
}

fn rates_of(company: &Company, code: &Record, list: &str) -> Vec<Rate> {
    let details = code.data.get(list).and_then(|l| l["TaxRateDetail"].as_array());
    let mut rates = vec![];
    for detail in details.into_iter().flatten() {
        let id = detail["TaxRateRef"]["value"].as_str().unwrap_or_default();
        if let Some((_, rate)) = company.store.find(Kind::TaxRate, id) {
            rates.push(Rate { id: id.to_owned(), percent: money::of(&rate.data, "RateValue") });
        }
    }
    rates
}

/// The tax of the form, which is also written into the draft.
pub(super) fn tax(company: &Company, draft: &mut Draft, lines: &mut Lines) -> Checked<Decimal> {
    for line in &mut lines.items {
        let code = line.code.clone().unwrap_or_else(|| "NON".to_owned());
        if !matches!(code.as_str(), "TAX" | "NON") {
            let detail = format!("Invalid Line TaxCode : {code}. Use TAX or NON");
            return Err(validation("6100", "Invalid Line TaxCode", detail, "Line.TaxCodeRef"));
        }
        lines.json[line.at]["SalesItemLineDetail"]["TaxCodeRef"] = json!({ "value": code });
        line.code = Some(code);
    }
    draft.data.remove("GlobalTaxCalculation");
    if !company.prefers("/TaxPrefs/UsingSalesTax") {
        draft.data.remove("TxnTaxDetail");
        return Ok(Decimal::ZERO);
    }
    let taxable = taxable(draft, lines);
    let sent = draft.data.get("TxnTaxDetail").cloned().unwrap_or_else(|| json!({}));
    let automated = company.prefers("/TaxPrefs/PartnerTaxEnabled");
    let code = match automated {
        true => automatic_code(company, draft),
        false => chosen_code(company, &sent)?,
    };
    let (Some(code), Some(base)) = (code, taxable) else {
        draft.data.insert("TxnTaxDetail".into(), json!({ "TotalTax": 0 }));
        return Ok(Decimal::ZERO);
    };
    let rates = company.store.find(Kind::TaxCode, &code).map(|(_, c)| rates(company, c));
    let rates = rates.unwrap_or_default();
    let computed: Decimal =
        rates.iter().map(|r| money::cents(base * r.percent / Decimal::ONE_HUNDRED)).sum();
    // Without automated tax the rate decides, whatever was sent.
    let total = sent.get("TotalTax").and_then(money::read).filter(|_| automated);
    let total = money::cents(total.unwrap_or(computed));
    let percents: Vec<Decimal> = rates.iter().map(|r| r.percent).collect();
    let parts = money::prorate(total, &percents);
    let tax_lines: Vec<Value> =
        rates.iter().zip(parts).map(|(rate, part)| tax_line(rate, part, base)).collect();
    let detail = json!({
        "TxnTaxCodeRef": { "value": code }, "TotalTax": money::json(total), "TaxLine": tax_lines,
    });
    draft.data.insert("TxnTaxDetail".into(), detail);
    Ok(total)
}

/// One line of the tax detail.
pub(super) fn tax_line(rate: &Rate, amount: Decimal, base: Decimal) -> Value {
    json!({
        "Amount": money::json(amount), "DetailType": "TaxLineDetail",
        "TaxLineDetail": {
            "TaxRateRef": { "value": rate.id }, "PercentBased": true,
            "TaxPercent": money::json(rate.percent), "NetAmountTaxable": money::json(base),
        },
    })
}

/// What the tax is computed on; `None` when no line is taxable.
fn taxable(draft: &Draft, lines: &Lines) -> Option<Decimal> {
    let of_line = |line: &&super::lines::ItemLine| line.code.as_deref() == Some("TAX");
    let mut amounts = lines.items.iter().filter(of_line).map(|l| l.amount).peekable();
    amounts.peek()?;
    let sum: Decimal = amounts.sum();
    let all: Decimal = lines.items.iter().map(|l| l.amount).sum();
    let after_discount = draft.data.get("ApplyTaxAfterDiscount") == Some(&json!(true));
    match after_discount && !all.is_zero() {
        true => Some(sum - money::cents(lines.discount * sum / all)),
        false => Some(sum),
    }
}

/// The code of the place the goods go to: its `Description` names the state; abroad it is the one
/// for out of state.
fn automatic_code(company: &Company, draft: &Draft) -> Option<String> {
    let place = |key: &str| {
        let address = draft.data.get(key)?;
        let country = address["Country"].as_str().unwrap_or("US");
        let state = address["CountrySubDivisionCode"].as_str().unwrap_or_default();
        match matches!(country, "US" | "USA" | "United States") {
            true if state.is_empty() => None,
            true => Some(state.to_owned()),
            false => Some("abroad".to_owned()),
        }
    };
    let of_state = |state: &str| {
        company
            .store
            .all(Kind::TaxCode)
            .find(|(_, code)| code.text("Description") == state)
            .map(|(id, _)| id.to_string())
    };
    let home = company.preference("/TaxPrefs/TaxGroupCodeRef/value").as_str().map(str::to_owned);
    match place("ShipAddr").or_else(|| place("BillAddr")) {
        None => home,
        Some(state) => of_state(&state).or_else(|| of_state("abroad")).or(home),
    }
}

fn chosen_code(company: &Company, sent: &Value) -> Checked<Option<String>> {
    let Some(code) = sent.as_object().and_then(|s| reference(s, "TxnTaxCodeRef")) else {
        return Ok(None);
    };
    match company.store.find(Kind::TaxCode, code) {
        Some(_) => Ok(Some(code.to_owned())),
        None => Err(bad_reference("TxnTaxDetail.TxnTaxCodeRef")),
    }
}
