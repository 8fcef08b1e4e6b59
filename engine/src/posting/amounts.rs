//! A document's amounts: lines, tax and the rounding line, whose sum is the total or which isn't
//! made at all (posting policy, Amounts 7 and 8).

use super::company::{Company, TaxModel};
use super::input::Order;
use super::lines::{self, ItemKey, Line, Role};
use super::money::{self, cents};
use super::reason::Reason;
use super::settings::Settings;
use super::tax::{Code, DocumentTax, TaxPlan};
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// What a document comes to. `sum(lines) - discount + tax = total`, always.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Amounts {
    pub lines: Vec<Line>,
    /// A DiscountLineDetail, positive; only with `discounts` = `discount_line`.
    pub discount: Option<Decimal>,
    pub tax: DocumentTax,
    pub total: Decimal,
    /// What the rounding line holds; zero: there is none. Counted in metrics.
    pub rounding: Decimal,
}

/// The largest rounding difference that is taken: max(0.05, 0.005 x lines).
pub fn rounding_cap(lines: usize) -> Decimal {
    let by_lines = Decimal::new(5, 3) * Decimal::from(lines as u64);
    by_lines.max(Decimal::new(5, 2))
}

/// The amounts of an order's sale.
pub fn of_sale(order: &Order, settings: &Settings, company: &Company) -> Result<Amounts, Reason> {
    let tax = TaxPlan::new(order, settings, company)?;
    let built = lines::of_order(order, &tax, settings, company)?;
    let what = format!("order {}", order.number);
    finish(built.lines, built.discount, tax.amounts(), order.total, &tax, &what)
}

/// Adds tax, liability lines and the rounding line. `by_rate` is the tax of each rate; `what` names
/// the record in a refusal.
pub(super) fn finish(
    mut lines: Vec<Line>,
    discount: Option<Decimal>,
    by_rate: &BTreeMap<String, Decimal>,
    total: Decimal,
    plan: &TaxPlan<'_>,
    what: &str,
) -> Result<Amounts, Reason> {
    let count = lines.len();
    for (item, amount) in plan.on_items(by_rate) {
        lines.push(Line::on_item(
            ItemKey::Named(item.clone()),
            &format!("tax:{item}"),
            "Tax",
            amount,
            plan.zero(),
        ));
    }
    let own = plan.own(by_rate);
    if plan.model() == TaxModel::UsTotal
        && !own.is_zero()
        && !lines.iter().any(|line| line.code == Code::Taxable)
    {
        return Err(Reason::new(
            "tax_without_line",
            format!("{what} bears sales tax, and none of its lines does"),
            "Recalculate the order in the shop.",
        ));
    }
    let total = cents(total);
    let tax = document_tax(&lines, discount, own, plan);
    settle(lines, discount, tax, total, count, plan, what)
}

/// As [`finish`], for lines that hold the liabilities already, and own tax that is known.
pub(super) fn finish_parts(
    lines: Vec<Line>,
    own: Decimal,
    total: Decimal,
    plan: &TaxPlan<'_>,
    what: &str,
) -> Result<Amounts, Reason> {
    let count = lines.len();
    let tax = document_tax(&lines, None, own, plan);
    settle(lines, None, tax, cents(total), count, plan, what)
}

fn document_tax(
    lines: &[Line],
    discount: Option<Decimal>,
    own: Decimal,
    plan: &TaxPlan<'_>,
) -> DocumentTax {
    match plan.model() {
        TaxModel::Off | TaxModel::UsItem => DocumentTax::None,
        TaxModel::UsTotal => DocumentTax::Total(own),
        TaxModel::Codes => {
            let mut nets = nets(lines);
            // A discount line needs one code on all lines (lines.rs).
            if let (Some(discount), Some(net)) = (discount, nets.values_mut().next()) {
                *net -= discount;
            }
            DocumentTax::Rates(plan.computed(&nets))
        }
    }
}

/// Net amounts by code.
pub(super) fn nets(lines: &[Line]) -> BTreeMap<Code, Decimal> {
    let mut nets: BTreeMap<Code, Decimal> = BTreeMap::new();
    for line in lines {
        *nets.entry(line.code.clone()).or_default() += line.amount;
    }
    nets
}

/// The rounding line takes what is left of the total, up to the cap; more is refused.
fn settle(
    mut lines: Vec<Line>,
    discount: Option<Decimal>,
    tax: DocumentTax,
    total: Decimal,
    count: usize,
    plan: &TaxPlan<'_>,
    what: &str,
) -> Result<Amounts, Reason> {
    let sum: Decimal = lines.iter().map(|line| line.amount).sum();
    let rounding = total - (sum - discount.unwrap_or_default() + tax.total());
    if rounding.abs() > rounding_cap(count) {
        let mut difference = rounding;
        difference.rescale(2);
        return Err(Reason::new(
            "total_differs",
            format!(
                "{what} comes to {}, which is {difference} off its lines and tax of {}",
                shown(total),
                shown(total - rounding)
            ),
            "Recalculate the order in the shop, or correct the tax mapping.",
        ));
    }
    if !rounding.is_zero() {
        lines.push(Line::on_item(
            ItemKey::Role(Role::Rounding),
            "rounding",
            "Rounding",
            rounding,
            plan.zero(),
        ));
    }
    Ok(Amounts { lines, discount, tax, total, rounding })
}

fn shown(amount: Decimal) -> Decimal {
    let mut amount = money::cents(amount);
    amount.rescale(2);
    amount
}

impl Amounts {
    /// Rule 8, asserted before anything is sent: what lines, discount and tax come to.
    pub fn sum(&self) -> Decimal {
        let lines: Decimal = self.lines.iter().map(|line| line.amount).sum();
        lines - self.discount.unwrap_or_default() + self.tax.total()
    }
}
