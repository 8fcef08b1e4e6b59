//! Coupons (posting policy, Amounts 3 and 9): gross lines and one negative line per tax code on the
//! coupon item, since QuickBooks spreads its own discount line over lines that the coupon never
//! touched; net lines; or that discount line, where it can't go wrong.

use super::company::Company;
use super::input::Order;
use super::lines::{Built, ItemKey, Line, Role, code_word, matches};
use super::money::{self, cents};
use super::settings::{Discounts, Settings};
use super::tax::Code;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// The mode in force for an order: `discount_line` needs AllowDiscount, one code on all lines, and
/// no gift card among the coupons; else it is `item_lines`. `net` can't tell a gift card either.
pub(super) fn mode(
    order: &Order,
    codes: &[Code],
    extras: &[Line],
    settings: &Settings,
    company: &Company,
) -> Discounts {
    let gift = gift_discount(order, settings) > Decimal::ZERO;
    match settings.discounts {
        Discounts::DiscountLine => {
            let mut all: Vec<&Code> =
                codes.iter().chain(extras.iter().map(|line| &line.code)).collect();
            all.sort();
            all.dedup();
            if company.allow_discount && all.len() <= 1 && !gift {
                Discounts::DiscountLine
            } else {
                Discounts::ItemLines
            }
        }
        Discounts::Net if gift => Discounts::ItemLines,
        other => other,
    }
}

/// The lines of an order's discounts.
pub(super) fn of_order(
    order: &Order,
    codes: &[Code],
    mode: Discounts,
    settings: &Settings,
) -> Built {
    let mut by_code: BTreeMap<Code, Decimal> = BTreeMap::new();
    for (line, code) in order.lines.iter().zip(codes) {
        *by_code.entry(code.clone()).or_default() += cents(line.subtotal) - cents(line.total);
    }
    by_code.retain(|_, amount| !amount.is_zero());
    let total: Decimal = by_code.values().sum();
    match mode {
        Discounts::Net => Built { lines: vec![], discount: None },
        // A surcharge, or one line raised and another lowered, is no discount.
        Discounts::DiscountLine if total > Decimal::ZERO => {
            Built { lines: vec![], discount: Some(total) }
        }
        Discounts::DiscountLine | Discounts::ItemLines => {
            Built { lines: item_lines(order, by_code, settings), discount: None }
        }
    }
}

fn item_lines(
    order: &Order,
    mut by_code: BTreeMap<Code, Decimal>,
    settings: &Settings,
) -> Vec<Line> {
    let total: Decimal = by_code.values().sum();
    let gift = gift_discount(order, settings).min(total).max(Decimal::ZERO);
    let weights: Vec<Decimal> = by_code.values().copied().collect();
    let shares = money::prorate(gift, &weights);
    let mut lines = vec![];
    for ((code, amount), share) in by_code.iter_mut().zip(shares) {
        *amount -= share;
        let word = code_word(code);
        if !amount.is_zero() {
            let text = coupon_names(order, settings);
            let key = format!("coupon:{word}");
            lines.push(Line::on_item(ItemKey::Role(Role::Coupon), &key, &text, -*amount, code));
        }
        if !share.is_zero() {
            let key = format!("gift_card:{word}");
            let item = ItemKey::Role(Role::GiftCard);
            lines.push(Line::on_item(item, &key, "Gift card redeemed", -share, code));
        }
    }
    lines
}

/// What gift cards that act as coupons took off, without tax.
fn gift_discount(order: &Order, settings: &Settings) -> Decimal {
    let coupons = order.coupon_lines.iter();
    let gifts = coupons.filter(|coupon| matches(&settings.gift_cards.coupons, &coupon.code));
    gifts.map(|coupon| cents(coupon.discount.unwrap_or_default())).sum()
}

fn coupon_names(order: &Order, settings: &Settings) -> String {
    let coupons = order.coupon_lines.iter();
    let names: Vec<&str> = coupons
        .filter(|coupon| !matches(&settings.gift_cards.coupons, &coupon.code))
        .map(|coupon| coupon.code.as_str())
        .filter(|code| !code.is_empty())
        .collect();
    if names.is_empty() { "Discount".into() } else { format!("Discount: {}", names.join(", ")) }
}
