//! Refunds: one refund, one reversing document (posting policy, Refunds). Line refunds take their
//! lines as they are; a refund that names an amount only goes on the refund item, in proportion and
//! by tax code; the one that completes the order takes exactly what is left, code by code.

use super::amounts::{self, Amounts};
use super::company::Company;
use super::input::{LineTax, Order, Refund, RefundLine};
use super::lines::{self, ItemKey, Line, Role, code_word};
use super::money::{self, cents};
use super::reason::Reason;
use super::settings::{RefundTax, Settings};
use super::tax::{Code, DocumentTax, TaxPlan};
use rust_decimal::Decimal;
use serde_json::Value;
use std::collections::BTreeMap;

/// What money is for: the parts into which a sale falls, and which its refunds take back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// Goods, shipping, fees, coupons and rounding, without tax, by code.
    Net(Code),
    /// An amount on a liability: foreign tax, a gift card.
    Liability(ItemKey, Code),
    /// The company's own tax (US).
    OwnTax,
    /// Tax of a code (elsewhere).
    CodeTax,
}

type Parts = BTreeMap<Part, Decimal>;

/// A refund, and what its document comes to or why it can't be made.
pub type RefundAmounts<'r> = (&'r Refund, Result<Amounts, Reason>);

/// The amounts of each refund's document, in the order of `refunds` (by time). A refund that was
/// deleted, or that is of nothing, has none. Err for one refund leaves the others as they are.
pub fn of_order<'r>(
    order: &Order,
    sale: &Amounts,
    refunds: &'r [Refund],
    settings: &Settings,
    company: &Company,
) -> Result<Vec<RefundAmounts<'r>>, Reason> {
    let plan = TaxPlan::new(order, settings, company)?;
    let whole = parts(sale);
    let mut left = whole.clone();
    let mut documents = vec![];
    for refund in refunds.iter().filter(|r| r.deleted_at.is_none() && !cents(r.amount).is_zero()) {
        let amounts = one(order, refund, &whole, &left, settings, &plan);
        if let Ok(amounts) = &amounts {
            for (part, amount) in parts(amounts) {
                *left.entry(part).or_default() -= amount;
            }
        }
        documents.push((refund, amounts));
    }
    Ok(documents)
}

/// What a document's amounts are for.
fn parts(amounts: &Amounts) -> Parts {
    let mut parts = Parts::new();
    for line in &amounts.lines {
        let part = match &line.item {
            ItemKey::Named(_) | ItemKey::Role(Role::GiftCard) => {
                Part::Liability(line.item.clone(), line.code.clone())
            }
            _ => Part::Net(line.code.clone()),
        };
        *parts.entry(part).or_default() += line.amount;
    }
    if let Some(discount) = amounts.discount {
        let code = amounts.lines.first().map_or(Code::Exempt, |line| line.code.clone());
        *parts.entry(Part::Net(code)).or_default() -= discount;
    }
    match &amounts.tax {
        DocumentTax::None => {}
        DocumentTax::Total(total) => *parts.entry(Part::OwnTax).or_default() += total,
        tax @ DocumentTax::Rates(_) => *parts.entry(Part::CodeTax).or_default() += tax.total(),
    }
    parts
}

fn one(
    order: &Order,
    refund: &Refund,
    whole: &Parts,
    left: &Parts,
    settings: &Settings,
    plan: &TaxPlan<'_>,
) -> Result<Amounts, Reason> {
    let amount = cents(refund.amount);
    let remaining: Decimal = left.values().sum();
    if amount > remaining {
        return Err(Reason::new(
            "refund_exceeds_order",
            format!(
                "refund {} of order {} is {}, and {} is left of the order",
                refund.key(),
                order.number,
                money::shown(amount, &order.currency),
                money::shown(remaining, &order.currency)
            ),
            "Correct the refunds of the order in the shop.",
        ));
    }
    if !refund.lines.is_empty() {
        return by_lines(order, refund, settings, plan);
    }
    let completes = amount == remaining;
    let taken = match settings.refund_tax {
        _ if completes => left.clone(),
        RefundTax::None => Parts::from([(Part::Net(plan.zero().clone()), amount)]),
        RefundTax::Prorata => prorata(amount, whole, left),
    };
    by_parts(order, refund, &taken, plan)
}

/// Takes an amount in proportion to the whole order, unless that takes more of a part than earlier
/// refunds have left; then in proportion to what is left.
fn prorata(amount: Decimal, whole: &Parts, left: &Parts) -> Parts {
    let shares = share(amount, whole);
    let fits = |(part, taken): (&Part, &Decimal)| {
        let rest = left.get(part).copied().unwrap_or_default();
        taken.is_zero()
            || (taken.is_sign_negative() == rest.is_sign_negative() && taken.abs() <= rest.abs())
    };
    if shares.iter().all(fits) { shares } else { share(amount, left) }
}

/// Tax and liabilities half-up, the rest to the net amounts: what a shop shows as the tax in a part
/// of an amount.
fn share(amount: Decimal, of: &Parts) -> Parts {
    let total: Decimal = of.values().sum();
    let mut shares = Parts::new();
    let (nets, others): (Parts, Parts) =
        of.clone().into_iter().partition(|(part, _)| matches!(part, Part::Net(_)));
    if !total.is_zero() {
        for (part, weight) in others {
            shares.insert(part, cents(amount * weight / total));
        }
    }
    let rest = amount - shares.values().sum::<Decimal>();
    let weights: Vec<Decimal> = nets.values().copied().collect();
    shares.extend(nets.into_keys().zip(money::prorate(rest, &weights)));
    shares
}

/// The document of a refund that names an amount only: the refund item, never a product, since no
/// stock came back; a line per code.
fn by_parts(
    order: &Order,
    refund: &Refund,
    taken: &Parts,
    plan: &TaxPlan<'_>,
) -> Result<Amounts, Reason> {
    let mut built = vec![];
    let mut own = Decimal::ZERO;
    for (part, amount) in taken {
        match part {
            Part::OwnTax => own = *amount,
            // QuickBooks computes it from the lines of the code.
            Part::CodeTax => {}
            Part::Net(code) => {
                let key = format!("refund:{}", code_word(code));
                let item = ItemKey::Role(Role::Refund);
                built.push(Line::on_item(item, &key, &text(order, refund), *amount, code));
            }
            Part::Liability(item, code) => {
                let name = match item {
                    ItemKey::Named(name) => name.as_str(),
                    _ => "gift_card",
                };
                let key = format!("tax:{name}:{}", code_word(code));
                let about = if matches!(item, ItemKey::Named(_)) { "Tax" } else { "Gift card" };
                built.push(Line::on_item(item.clone(), &key, about, *amount, code));
            }
        }
    }
    // A taxed line has to stand for own tax, be it of 0.00.
    built.retain(|line| !line.amount.is_zero() || (line.code == Code::Taxable && !own.is_zero()));
    amounts::finish_parts(built, own, refund.amount, plan, &what(order, refund))
}

fn text(order: &Order, refund: &Refund) -> String {
    let reason = refund.reason.as_deref().map(str::trim).unwrap_or_default();
    let of = format!("Refund of order {}", order.number);
    if reason.is_empty() { of } else { format!("{of}: {reason}") }
}

fn what(order: &Order, refund: &Refund) -> String {
    format!("refund {} of order {}", refund.key(), order.number)
}

/// The document of a refund with lines: its lines as they are.
fn by_lines(
    order: &Order,
    refund: &Refund,
    settings: &Settings,
    plan: &TaxPlan<'_>,
) -> Result<Amounts, Reason> {
    let mut built = vec![];
    let mut by_rate: BTreeMap<String, Decimal> = BTreeMap::new();
    let mut tax_total = Decimal::ZERO;
    for (index, line) in refund.lines.iter().enumerate() {
        if line.quantity.is_zero() && line.total.is_zero() && line.total_tax.is_zero() {
            continue;
        }
        let (item, name, taxes) = refunded(order, line, settings);
        let code = plan.code(taxes)?;
        let key = format!("refund:{}", line.source_id.clone().unwrap_or_else(|| index.to_string()));
        let amount = cents(line.total);
        let mut built_line = Line::on_item(item, &key, &name, amount, &code);
        if line.kind == "product" {
            built_line = built_line.priced(line.quantity);
        }
        built.push(built_line);
        tax_total += cents(line.total_tax);
        spread(cents(line.total_tax), taxes, &mut by_rate);
    }
    // What the refund itself says of its rates is exact; the spread above stands in for it.
    let told = refund.tax_by_rate();
    if told.iter().map(|(_, tax)| *tax).sum::<Decimal>() == tax_total && !told.is_empty() {
        by_rate = BTreeMap::new();
        told.into_iter().for_each(|(rate, tax)| *by_rate.entry(rate).or_default() += tax);
    }
    amounts::finish(built, None, &by_rate, refund.amount, plan, &what(order, refund))
}

/// The item, name and taxes of what a refund's line gives back.
fn refunded<'o>(
    order: &'o Order,
    line: &'o RefundLine,
    settings: &Settings,
) -> (ItemKey, String, &'o [LineTax]) {
    let own_name = line.attributes.get("name").and_then(Value::as_str);
    if line.kind == "product" {
        let sold = order.lines.iter().find(|l| line.order_line_id == Some(l.id));
        let item = match (sold, line.product_id) {
            (Some(sold), _) => lines::product_item(sold, settings),
            (None, Some(product)) => ItemKey::Product(product),
            (None, None) => ItemKey::Role(Role::Unmatched),
        };
        let name = own_name.or(sold.map(|sold| sold.name.as_str())).unwrap_or("Refund");
        return (item, name.to_owned(), sold.map_or(&[][..], |sold| &sold.taxes));
    }
    let (extras, role) = match line.kind.as_str() {
        "shipping" => (&order.shipping_lines, Role::Shipping),
        _ => (&order.fee_lines, Role::Fee),
    };
    let id = line.attributes.get("refunded_item_id").and_then(|id| match id {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    });
    let sold = extras.iter().find(|extra| extra.id.is_some() && extra.id == id);
    let name = own_name.or(sold.and_then(|sold| sold.name.as_deref())).unwrap_or("Refund");
    (ItemKey::Role(role), name.to_owned(), sold.map_or(&[][..], |sold| &sold.taxes))
}

/// Spreads a line's tax over the rates that bore on it when it was sold.
fn spread(tax: Decimal, taxes: &[LineTax], by_rate: &mut BTreeMap<String, Decimal>) {
    if tax.is_zero() {
        return;
    }
    let weights: Vec<Decimal> = taxes.iter().map(|tax| tax.total.unwrap_or_default()).collect();
    for (rate, share) in taxes.iter().zip(money::prorate(tax, &weights)) {
        *by_rate.entry(rate.id.clone()).or_default() += share;
    }
}
