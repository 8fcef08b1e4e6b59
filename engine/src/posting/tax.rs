//! Tax: where each rate of the shop goes, which code a line bears, and what stands in a document's
//! tax detail (posting policy, Amounts 5 and 6; quickbooks.md, 4.6).

use super::amounts::rounding_cap;
use super::company::{Company, TaxModel};
use super::input::{LineTax, Order, TaxLine};
use super::money::{self, cents};
use super::reason::Reason;
use super::settings::{Settings, TaxTarget, Unmapped};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// The tax code of a line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// `TAX`: it bears the US company's own sales tax.
    Taxable,
    /// `NON`
    Exempt,
    /// The id of a code, outside the US.
    Id(String),
    /// The company uses no sales tax: no code at all.
    None,
}

/// What goes into `TxnTaxDetail`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DocumentTax {
    /// No tax detail is sent.
    None,
    /// US: exactly the shop's own tax.
    Total(Decimal),
    /// Elsewhere: as QuickBooks computes it from the codes, so that it agrees whether or not it
    /// takes the amounts as sent.
    Rates(Vec<RateAmount>),
}

/// One `TaxLine`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateAmount {
    /// Id of the TaxRate.
    pub rate: String,
    pub percent: Decimal,
    /// `NetAmountTaxable`
    pub net: Decimal,
    pub amount: Decimal,
}

impl DocumentTax {
    pub fn total(&self) -> Decimal {
        match self {
            DocumentTax::None => Decimal::ZERO,
            DocumentTax::Total(total) => *total,
            DocumentTax::Rates(rates) => rates.iter().map(|rate| rate.amount).sum(),
        }
    }
}

/// Where the tax of one rate goes in this company.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goes {
    /// Into the company's own sales tax (US).
    Own,
    /// Onto an item on a liability account; its name or id.
    Item(String),
    /// Into a tax code; its id.
    Code(String),
}

/// How the tax of one order goes into the books.
#[derive(Debug, Clone)]
pub struct TaxPlan<'a> {
    company: &'a Company,
    model: TaxModel,
    zero: Code,
    goes: BTreeMap<String, Goes>,
    /// By rate id; together they are the header's `total_tax`.
    amounts: BTreeMap<String, Decimal>,
}

/// Where a rate goes by the settings; Ok(None): nothing maps it.
pub fn target(
    line: &TaxLine,
    settings: &Settings,
    company: &Company,
) -> Result<Option<Goes>, Reason> {
    let rates = &settings.tax.rates;
    let mapped = rates
        .get(&line.rate_id)
        .or_else(|| rates.get(&line.code))
        .or_else(|| rates.get(line.country()?))
        .or_else(|| rates.get("*"));
    match mapped {
        Some(TaxTarget::Item(item)) => Ok(Some(Goes::Item(item.clone()))),
        Some(TaxTarget::Code(code)) => code_target(line, code, company).map(Some),
        Some(TaxTarget::SalesTax) => own(line, settings, company).map(Some),
        None if is_own(line, settings, company) => own(line, settings, company).map(Some),
        None => Ok(None),
    }
}

fn is_own(line: &TaxLine, settings: &Settings, company: &Company) -> bool {
    if company.tax_model() == TaxModel::Codes {
        return false;
    }
    if settings.tax.unmapped == Unmapped::SalesTax {
        return true;
    }
    let Some(country) = line.country() else { return false };
    match &settings.tax.own {
        Some(countries) => countries.iter().any(|own| own == country),
        None => country == company.country,
    }
}

fn own(line: &TaxLine, settings: &Settings, company: &Company) -> Result<Goes, Reason> {
    match (company.tax_model(), &settings.tax.sales_tax_item) {
        (TaxModel::UsTotal, _) => Ok(Goes::Own),
        (TaxModel::UsItem | TaxModel::Off, Some(item)) => Ok(Goes::Item(item.clone())),
        (TaxModel::UsItem | TaxModel::Off, None) => Err(Reason::new(
            "no_sales_tax_item",
            "automated sales tax is off in the company, and tax was collected",
            "Name an item on a liability account in tax.sales_tax_item.",
        )),
        (TaxModel::Codes, _) => Err(Reason::new(
            "sales_tax_outside_us",
            format!("rate {} is mapped to sales_tax, which only US companies have", line.code),
            format!("Map it in tax.rates to a code of {} or to an item.", company.country),
        )),
    }
}

fn code_target(line: &TaxLine, code: &str, company: &Company) -> Result<Goes, Reason> {
    if company.tax_model() != TaxModel::Codes {
        return Err(Reason::new(
            "code_in_us",
            format!("rate {} is mapped to a code, and lines of this company bear none", line.code),
            "Map it in tax.rates to sales_tax or to an item.",
        ));
    }
    let found = company.tax_code(code).filter(|code| code.active);
    found.map(|code| Goes::Code(code.id.clone())).ok_or_else(|| {
        Reason::new(
            "unknown_tax_code",
            format!(
                "tax code \"{code}\" of rate {} is missing or inactive in QuickBooks",
                line.code
            ),
            "Correct tax.rates, or make the code active.",
        )
    })
}

/// The code of lines that bear no tax of the company's.
pub fn zero_code(settings: &Settings, company: &Company) -> Result<Code, Reason> {
    match company.tax_model() {
        TaxModel::UsTotal | TaxModel::UsItem => return Ok(Code::Exempt),
        TaxModel::Off => return Ok(Code::None),
        TaxModel::Codes => {}
    }
    let code = settings.tax.zero_code.as_deref().and_then(|name| company.tax_code(name));
    code.filter(|code| code.active).map(|code| Code::Id(code.id.clone())).ok_or_else(|| {
        Reason::new(
            "no_zero_code",
            "tax.zero_code is missing, or names no active tax code of the company",
            "Set tax.zero_code to the code of sales without tax.",
        )
    })
}

impl<'a> TaxPlan<'a> {
    /// Plans the tax of an order. Err: a rate that nothing maps, or that can't go where it is
    /// mapped to; or a header that is too far from its rates.
    pub fn new(order: &Order, settings: &Settings, company: &'a Company) -> Result<Self, Reason> {
        let mut goes = BTreeMap::new();
        let mut unmapped = vec![];
        for line in &order.tax_lines {
            match target(line, settings, company)? {
                Some(to) => {
                    goes.insert(line.rate_id.clone(), to);
                }
                None if line.total().is_zero() => {}
                None => unmapped.push(line),
            }
        }
        if !unmapped.is_empty() {
            return Err(unmapped_rates(order, &unmapped));
        }
        Ok(TaxPlan {
            company,
            model: company.tax_model(),
            zero: zero_code(settings, company)?,
            goes,
            amounts: amounts_by_rate(order)?,
        })
    }

    pub fn model(&self) -> TaxModel {
        self.model
    }

    /// The code of lines without tax.
    pub fn zero(&self) -> &Code {
        &self.zero
    }

    /// Amounts by rate id, together the header's `total_tax`.
    pub fn amounts(&self) -> &BTreeMap<String, Decimal> {
        &self.amounts
    }

    /// The code of a line, from the rates that bear on it.
    pub fn code(&self, taxes: &[LineTax]) -> Result<Code, Reason> {
        let is = |amount: Option<Decimal>| amount.is_some_and(|amount| !amount.is_zero());
        match self.model {
            TaxModel::Off | TaxModel::UsItem => Ok(self.zero.clone()),
            TaxModel::UsTotal => {
                let own = taxes.iter().any(|tax| {
                    self.goes.get(&tax.id) == Some(&Goes::Own)
                        && (is(tax.total) || is(tax.subtotal))
                });
                Ok(if own { Code::Taxable } else { Code::Exempt })
            }
            TaxModel::Codes => {
                let mut codes: Vec<&String> = taxes
                    .iter()
                    .filter(|tax| tax.total.is_some() || tax.subtotal.is_some())
                    .filter_map(|tax| match self.goes.get(&tax.id) {
                        Some(Goes::Code(code)) => Some(code),
                        _ => None,
                    })
                    .collect();
                codes.sort();
                codes.dedup();
                match codes[..] {
                    [] => Ok(self.zero.clone()),
                    [code] => Ok(Code::Id(code.clone())),
                    _ => Err(several_codes(taxes)),
                }
            }
        }
    }

    /// Own sales tax out of amounts by rate.
    pub fn own(&self, amounts: &BTreeMap<String, Decimal>) -> Decimal {
        let own = |rate: &&String| self.goes.get(*rate) == Some(&Goes::Own);
        amounts.keys().filter(own).map(|rate| amounts[rate]).sum()
    }

    /// Amounts that go onto items, by item.
    pub fn on_items(&self, amounts: &BTreeMap<String, Decimal>) -> BTreeMap<String, Decimal> {
        let mut items: BTreeMap<String, Decimal> = BTreeMap::new();
        for (rate, amount) in amounts {
            if let Some(Goes::Item(item)) = self.goes.get(rate) {
                *items.entry(item.clone()).or_default() += amount;
            }
        }
        items.retain(|_, amount| !amount.is_zero());
        items
    }

    /// The tax that QuickBooks computes from net amounts by code, half-up at the subtotal of each
    /// rate (quickbooks.md, 4.6, rounding policy 2). A rate appears once.
    pub fn computed(&self, nets: &BTreeMap<Code, Decimal>) -> Vec<RateAmount> {
        let mut rates: Vec<RateAmount> = vec![];
        for (code, net) in nets {
            let Code::Id(id) = code else { continue };
            let Some(code) = self.company.tax_codes.iter().find(|c| c.id == *id) else { continue };
            let mut before = Decimal::ZERO;
            for part in &code.sales_rates {
                let Some(rate) = self.company.tax_rate(&part.rate_id) else { continue };
                let base = match part.applies.as_str() {
                    "TaxOnAmountPlusTax" => *net + before,
                    "TaxOnTax" => before,
                    _ => *net,
                };
                before += cents(base * rate.percent / Decimal::ONE_HUNDRED);
                match rates.iter_mut().find(|r| r.rate == rate.id) {
                    Some(known) => known.net += base,
                    None => rates.push(RateAmount {
                        rate: rate.id.clone(),
                        percent: rate.percent,
                        net: base,
                        amount: Decimal::ZERO,
                    }),
                }
            }
        }
        for rate in &mut rates {
            rate.amount = cents(rate.net * rate.percent / Decimal::ONE_HUNDRED);
        }
        rates
    }
}

/// The header's `total_tax` by rate. Tax rounded at the subtotal leaves a cent between header and
/// rates: it goes to the largest, so that the header rules (posting policy, Amounts 1).
fn amounts_by_rate(order: &Order) -> Result<BTreeMap<String, Decimal>, Reason> {
    let mut amounts: BTreeMap<String, Decimal> = BTreeMap::new();
    for line in &order.tax_lines {
        *amounts.entry(line.rate_id.clone()).or_default() += cents(line.total());
    }
    let rest = cents(order.total_tax) - amounts.values().sum::<Decimal>();
    if rest.is_zero() {
        return Ok(amounts);
    }
    let lines = order.lines.len() + order.shipping_lines.len() + order.fee_lines.len();
    let largest = amounts.iter_mut().max_by_key(|(_, amount)| amount.abs());
    match largest {
        Some((_, amount)) if rest.abs() <= rounding_cap(lines) => {
            *amount += rest;
            Ok(amounts)
        }
        _ => Err(Reason::new(
            "tax_differs",
            format!(
                "order {} bears {} of tax, and its rates come to {}",
                order.number,
                money::shown(order.total_tax, &order.currency),
                money::shown(order.total_tax - rest, &order.currency)
            ),
            "Recalculate the order in the shop.",
        )),
    }
}

fn unmapped_rates(order: &Order, lines: &[&TaxLine]) -> Reason {
    let rates: Vec<String> = lines
        .iter()
        .map(|line| {
            format!(
                "{} (id {}, {})",
                line.code,
                line.rate_id,
                money::shown(line.total(), &order.currency)
            )
        })
        .collect();
    Reason::new(
        "unmapped_tax",
        format!("order {} bears tax that nothing maps: {}", order.number, rates.join(", ")),
        "Map the rates in tax.rates; easysync.test_connection lists all of them with their sums.",
    )
}

fn several_codes(taxes: &[LineTax]) -> Reason {
    let ids: Vec<&str> = taxes.iter().map(|tax| tax.id.as_str()).collect();
    Reason::new(
        "several_tax_codes",
        format!("rates {} meet on one line and are mapped to several codes", ids.join(", ")),
        "Map them all to one code that holds them (a group), or one of them to an item.",
    )
}
