//! The lines of a sale: products, coupons, shipping, fees, gift cards (posting policy, Amounts 1 to
//! 4 and 9).

use super::company::Company;
use super::discounts;
use super::input::{ExtraLine, Order, OrderLine};
use super::money::{self, cents};
use super::reason::Reason;
use super::settings::{Discounts, Settings};
use super::tax::{Code, TaxPlan};
use rust_decimal::Decimal;

/// Items that settings name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    Coupon,
    Shipping,
    Fee,
    Rounding,
    Refund,
    Unmatched,
    GiftCard,
}

impl Role {
    pub const ALL: [Role; 7] = [
        Role::Coupon,
        Role::Shipping,
        Role::Fee,
        Role::Rounding,
        Role::Refund,
        Role::Unmatched,
        Role::GiftCard,
    ];

    /// The settings key, and the name that it has there.
    pub fn setting(self, settings: &Settings) -> (&'static str, &str) {
        match self {
            Role::Coupon => ("coupon_item", &settings.coupon_item),
            Role::Shipping => ("shipping_item", &settings.shipping_item),
            Role::Fee => ("fee_item", &settings.fee_item),
            Role::Rounding => ("rounding_item", &settings.rounding_item),
            Role::Refund => ("refund_item", &settings.refund_item),
            Role::Unmatched => ("unmatched_item", &settings.unmatched_item),
            Role::GiftCard => ("gift_card_item", &settings.gift_card_item),
        }
    }
}

/// Which item a line is on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ItemKey {
    /// A product of the hub, by its hub id; its link says which item that is.
    Product(i64),
    /// An item that a setting names.
    Role(Role),
    /// An item by name or id: what tax is put on.
    Named(String),
}

/// One line of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it stands for, the same on every rendering: `line:12`, `coupon:TAX`, `rounding`.
    pub key: String,
    pub item: ItemKey,
    pub description: String,
    pub amount: Decimal,
    /// None: no unit price of up to five decimals gives the amount (6070).
    pub quantity: Option<Decimal>,
    pub unit_price: Option<Decimal>,
    pub code: Code,
}

impl Line {
    /// A line without quantity and price.
    pub(super) fn on_item(
        item: ItemKey,
        key: &str,
        description: &str,
        amount: Decimal,
        code: &Code,
    ) -> Line {
        Line {
            key: key.to_owned(),
            item,
            description: description.to_owned(),
            amount,
            quantity: None,
            unit_price: None,
            code: code.clone(),
        }
    }

    /// Puts quantity and unit price on the line, where there is a price that gives the amount.
    pub(super) fn priced(mut self, quantity: Decimal) -> Line {
        if let Some(price) = unit_price(self.amount, quantity) {
            self.quantity = Some(quantity);
            self.unit_price = Some(price);
        }
        self
    }
}

/// The price with the fewest decimals, 2 to 5, for which round(quantity x price, 2) is the amount
/// (quickbooks.md, 4.5: 6070 otherwise).
pub fn unit_price(amount: Decimal, quantity: Decimal) -> Option<Decimal> {
    if quantity.is_zero() {
        return None;
    }
    let exact = amount.checked_div(quantity)?;
    (2..=5)
        .map(|places| money::round(exact, places))
        .find(|price| price.checked_mul(quantity).is_some_and(|product| cents(product) == amount))
}

/// Lines, and what QuickBooks's own discount line takes off.
pub(super) struct Built {
    pub lines: Vec<Line>,
    pub discount: Option<Decimal>,
}

/// All lines of an order but tax and rounding.
pub(super) fn of_order(
    order: &Order,
    tax: &TaxPlan<'_>,
    settings: &Settings,
    company: &Company,
) -> Result<Built, Reason> {
    let codes: Vec<Code> =
        order.lines.iter().map(|line| tax.code(&line.taxes)).collect::<Result<_, _>>()?;
    let mut extras = vec![];
    for (i, line) in order.shipping_lines.iter().enumerate() {
        extras.push(extra(line, i, "shipping", Role::Shipping, tax)?);
    }
    for (i, line) in order.fee_lines.iter().enumerate() {
        let name = line.name.as_deref().unwrap_or_default();
        let role =
            if matches(&settings.gift_cards.fees, name) { Role::GiftCard } else { Role::Fee };
        extras.push(extra(line, i, "fee", role, tax)?);
    }
    let mode = discounts::mode(order, &codes, &extras, settings, company);
    let mut lines: Vec<Line> = order
        .lines
        .iter()
        .zip(&codes)
        .map(|(line, code)| product(line, code, mode, settings))
        .collect();
    let built = discounts::of_order(order, &codes, mode, settings);
    lines.extend(built.lines);
    lines.extend(extras);
    Ok(Built { lines, discount: built.discount })
}

fn product(line: &OrderLine, code: &Code, mode: Discounts, settings: &Settings) -> Line {
    let amount = match mode {
        Discounts::Net => cents(line.total),
        Discounts::ItemLines | Discounts::DiscountLine => cents(line.subtotal),
    };
    let key = format!("line:{}", line.source_id.clone().unwrap_or_else(|| line.id.to_string()));
    Line::on_item(product_item(line, settings), &key, &line.name, amount, code)
        .priced(line.quantity)
}

/// The item of a product line: a gift card's, the product's, or none where it was deleted.
pub(super) fn product_item(line: &OrderLine, settings: &Settings) -> ItemKey {
    let sku = line.sku.as_deref().map(str::trim).unwrap_or_default();
    if !sku.is_empty() && matches(&settings.gift_cards.products, sku) {
        return ItemKey::Role(Role::GiftCard);
    }
    line.product_id.map_or(ItemKey::Role(Role::Unmatched), ItemKey::Product)
}

/// A shipping or fee line. Its taxes decide whether it is taxed, not its `tax_status` (a fee with
/// the status "none" bears tax in the recorded shop: order 262).
fn extra(
    line: &ExtraLine,
    index: usize,
    word: &str,
    role: Role,
    tax: &TaxPlan<'_>,
) -> Result<Line, Reason> {
    let code = tax.code(&line.taxes)?;
    let key = format!("{word}:{}", line.id.clone().unwrap_or_else(|| index.to_string()));
    let name = line.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let default = if role == Role::Shipping { "Shipping" } else { "Fee" };
    let name = name.unwrap_or(default);
    Ok(Line::on_item(ItemKey::Role(role), &key, name, cents(line.total), &code))
}

/// Whether a word is in a list whose entries may end in `*`; case doesn't count.
pub(super) fn matches(patterns: &[String], word: &str) -> bool {
    let word = word.trim().to_lowercase();
    patterns.iter().any(|pattern| {
        let pattern = pattern.trim().to_lowercase();
        match pattern.strip_suffix('*') {
            Some(start) => word.starts_with(start),
            None => word == pattern,
        }
    })
}

/// Word for a code in a line's key.
pub(super) fn code_word(code: &Code) -> &str {
    match code {
        Code::Taxable => "TAX",
        Code::Exempt => "NON",
        Code::Id(id) => id,
        Code::None => "none",
    }
}
