//! Tax outside the US: a tax code on every line, one tax line a rate.
//!
//! Intuit's page on sales tax for non-US locales.

use super::Draft;
use super::lines::{ItemLine, Lines};
use super::tax_us::{Rate, rates, tax_line};
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::{self, Checked, bad_reference, validation};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::money;
use crate::quickbooks::store::text;
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// A rate with what it is computed on.
struct Taxed {
    rate: Rate,
    base: Decimal,
    /// From gross amounts that were sent.
    inside: Decimal,
}

/// The tax of the form, which is also written into the draft; zero when it is part of the amounts.
pub(super) fn tax(company: &Company, draft: &mut Draft, lines: &mut Lines) -> Checked<Decimal> {
    let mode = text(&draft.data, "GlobalTaxCalculation").to_owned();
    if mode.is_empty() {
        return Err(fault::missing("GlobalTaxCalculation"));
    }
    if mode == "NotApplicable" {
        if draft.sent.contains_key("TxnTaxDetail") {
            let text = "TxnTaxDetail is not allowed when GlobalTaxCalculation is NotApplicable";
            return Err(validation("6170", "Invalid Tax Detail", text, "TxnTaxDetail"));
        }
        draft.data.remove("TxnTaxDetail");
        return Ok(Decimal::ZERO);
    }
    let inclusive = mode == "TaxInclusive";
    let taxed = by_rate(company, lines, inclusive)?;
    // Amounts of a tax detail that was only kept no longer fit once the lines are new.
    let kept = draft.old.is_some() && !draft.sent.contains_key("TxnTaxDetail");
    let honoured = company.rules.tax_line_override && !(kept && draft.sent.contains_key("Line"));
    let sent = draft.data.get("TxnTaxDetail").and_then(|d| d["TaxLine"].as_array()).cloned();
    let sent = overrides(&taxed, sent.unwrap_or_default())?;
    let mut total = Decimal::ZERO;
    let mut tax_lines = vec![];
    for (at, one) in taxed.iter().enumerate() {
        let computed = match inclusive {
            true => one.inside,
            false => money::cents(one.base * one.rate.percent / Decimal::ONE_HUNDRED),
        };
        let amount = sent[at].filter(|_| honoured).unwrap_or(computed);
        let mut line = tax_line(&one.rate, amount, one.base);
        if amount != computed {
            line["TaxLineDetail"]["OverrideDeltaAmount"] = money::json(amount - computed);
        }
        tax_lines.push(line);
        total += amount;
    }
    let detail = json!({ "TotalTax": money::json(total), "TaxLine": tax_lines });
    draft.data.insert("TxnTaxDetail".into(), detail);
    Ok(total)
}

/// The amounts that were sent, in the order of the rates.
fn overrides(taxed: &[Taxed], sent: Vec<Value>) -> Checked<Vec<Option<Decimal>>> {
    let element = "TxnTaxDetail.TaxLine.TaxLineDetail.TaxRateRef";
    let mut amounts = vec![None; taxed.len()];
    for line in sent {
        let id = line["TaxLineDetail"]["TaxRateRef"]["value"].as_str().unwrap_or_default();
        let at = taxed.iter().position(|t| t.rate.id == id);
        let at = at.ok_or_else(|| bad_reference(element))?;
        if amounts[at].is_some() {
            return Err(fault::business("A tax rate may appear only once in the tax detail."));
        }
        amounts[at] = Some(money::cents(money::read(&line["Amount"]).unwrap_or_default()));
    }
    Ok(amounts)
}

fn by_rate(company: &Company, lines: &mut Lines, inclusive: bool) -> Checked<Vec<Taxed>> {
    let all: Decimal = lines.items.iter().map(|l| l.amount).sum();
    let mut taxed: Vec<Taxed> = vec![];
    for line in &lines.items {
        let rates = rates_of_line(company, line)?;
        let share = match all.is_zero() {
            true => Decimal::ZERO,
            false => money::cents(lines.discount * line.amount / all),
        };
        let percent: Decimal = rates.iter().map(|r| r.percent).sum();
        let (gross, inside) = gross(line, percent, inclusive);
        lines.json[line.at]["SalesItemLineDetail"]["TaxInclusiveAmt"] = money::json(gross);
        let weights: Vec<Decimal> = rates.iter().map(|r| r.percent).collect();
        let parts = money::prorate(inside, &weights);
        for (rate, part) in rates.into_iter().zip(parts) {
            match taxed.iter_mut().find(|t| t.rate.id == rate.id) {
                Some(known) => {
                    known.base += line.amount - share;
                    known.inside += part;
                }
                None => taxed.push(Taxed { rate, base: line.amount - share, inside: part }),
            }
        }
    }
    Ok(taxed)
}

/// The line's gross amount and the tax in it.
fn gross(line: &ItemLine, percent: Decimal, inclusive: bool) -> (Decimal, Decimal) {
    let own_tax = money::cents(line.amount * percent / Decimal::ONE_HUNDRED);
    match line.inclusive.filter(|_| inclusive) {
        Some(gross) => (gross, gross - line.amount),
        None => (line.amount + own_tax, own_tax),
    }
}

fn rates_of_line(company: &Company, line: &ItemLine) -> Checked<Vec<Rate>> {
    let Some(code) = &line.code else {
        return Err(fault::business(
            "Make sure all your transactions have a VAT rate before you save.",
        ));
    };
    let found = company.store.find(Kind::TaxCode, code);
    let (_, code) = found.ok_or_else(|| bad_reference("Line.SalesItemLineDetail.TaxCodeRef"))?;
    if !code.is_active() {
        return Err(fault::inactive());
    }
    Ok(rates(company, code))
}
