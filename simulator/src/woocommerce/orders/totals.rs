//! Taxes of lines, tax lines and the order's totals.

use super::super::record::{
    Record, amount, list, number, objects, php_quotient, rounded, set, text,
};
use super::super::state::Shop;
use super::tax::{self, Place, Rate};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Sums by rate.
type ByRate = BTreeMap<u64, Decimal>;

/// `woocommerce_tax_round_at_subtotal`: lines keep unrounded taxes, and identities break by a cent.
fn at_subtotal(shop: &Shop) -> bool {
    shop.setting("woocommerce_tax_round_at_subtotal") == "yes"
}

struct Sums {
    cart: ByRate,
    shipping: ByRate,
    rates: BTreeMap<u64, Rate>,
    places: u32,
    late: bool,
}

impl Sums {
    /// A line's tax as shown and as it counts.
    fn of_line(&self, taxes: &[(u64, Decimal)]) -> Decimal {
        let round = |tax: Decimal| if self.late { tax } else { rounded(tax, self.places) };
        taxes.iter().map(|(_, tax)| round(*tax)).sum()
    }

    fn add(&mut self, taxes: &[(u64, Decimal)], shipping: bool) {
        let target = if shipping { &mut self.shipping } else { &mut self.cart };
        for (id, tax) in taxes {
            let tax = if self.late { *tax } else { rounded(*tax, self.places) };
            *target.entry(*id).or_default() += tax;
        }
    }
}

/// Computes taxes and totals anew from the lines' net amounts.
pub fn recalculate(shop: &mut Shop, order: &mut Record) {
    let place = Place::of(shop, order);
    let mut sums = Sums {
        cart: ByRate::new(),
        shipping: ByRate::new(),
        rates: BTreeMap::new(),
        places: shop.decimals(),
        late: at_subtotal(shop),
    };
    tax_lines_of(shop, order, &place, &mut sums);
    write_tax_lines(shop, order, &sums);
    write_totals(order, &sums);
}

fn tax_lines_of(shop: &Shop, order: &mut Record, place: &Place, sums: &mut Sums) {
    for key in ["line_items", "fee_lines", "shipping_lines"] {
        let Some(Value::Array(mut lines)) = order.remove_keeping_place(key) else { continue };
        for line in lines.iter_mut().filter_map(Value::as_object_mut) {
            let class = text(line, "tax_class").to_owned();
            let mut rates = tax::rates(shop, place, &class);
            if key == "shipping_lines" {
                rates.retain(|r| r.on_shipping);
            }
            // A fee that isn't taxable is taxed all the same when negative: reference, 7.
            let exempt =
                text(line, "tax_status") == "none" && amount(line, "total") >= Decimal::ZERO;
            if exempt {
                rates.clear();
            }
            tax_line(line, &rates, key, sums);
            sums.rates.extend(rates.into_iter().map(|r| (r.id, r)));
        }
        set(order, key, lines);
    }
}

fn tax_line(line: &mut Record, rates: &[Rate], key: &str, sums: &mut Sums) {
    let total = amount(line, "total");
    let taxes = tax::on_net(total, rates);
    set(line, "total_tax", sums.of_line(&taxes).to_string());
    let before = match key {
        "line_items" => {
            let before = tax::on_net(amount(line, "subtotal"), rates);
            set(line, "subtotal_tax", sums.of_line(&before).to_string());
            Some(before)
        }
        _ => None,
    };
    let entry = |(at, (id, tax)): (usize, &(u64, Decimal))| {
        let subtotal = before.as_ref().map(|b| b[at].1.to_string()).unwrap_or_default();
        json!({"id": id, "total": tax.to_string(), "subtotal": subtotal})
    };
    let list: Vec<Value> = taxes.iter().enumerate().map(entry).collect();
    set(line, "taxes", list);
    if key == "line_items" {
        set(line, "price", php_quotient(total, amount(line, "quantity")));
    }
    sums.add(&taxes, key == "shipping_lines");
}

fn write_tax_lines(shop: &mut Shop, order: &mut Record, sums: &Sums) {
    let old: BTreeMap<u64, u64> =
        objects(order, "tax_lines").map(|l| (number(l, "rate_id"), number(l, "id"))).collect();
    let mut lines = vec![];
    for (id, rate) in &sums.rates {
        let line = old.get(id).copied().unwrap_or_else(|| shop.next_item());
        let of = |sums: &ByRate| sums.get(id).copied().unwrap_or_default().to_string();
        lines.push(json!({
            "id": line,
            "rate_code": rate.code,
            "rate_id": id,
            "label": rate.label,
            "compound": rate.compound,
            "tax_total": of(&sums.cart),
            "shipping_tax_total": of(&sums.shipping),
            "rate_percent": php_quotient(rate.percent, Decimal::ONE),
            "meta_data": [],
        }));
    }
    set(order, "tax_lines", lines);
}

fn write_totals(order: &mut Record, sums: &Sums) {
    let places = sums.places;
    let sum = |key: &str, field: &str| -> Decimal {
        objects(order, key).map(|line| amount(line, field)).sum()
    };
    let cut = |by_rate: &ByRate| -> Decimal { by_rate.values().map(|t| rounded(*t, places)).sum() };
    let (lines, fees) = (sum("line_items", "total"), sum("fee_lines", "total"));
    let shipping = sum("shipping_lines", "total");
    let (cart_tax, shipping_tax) = (cut(&sums.cart), cut(&sums.shipping));
    let discount = sum("line_items", "subtotal") - lines;
    let discount_tax = sum("line_items", "subtotal_tax") - sum("line_items", "total_tax");
    let total = rounded(lines + fees + shipping + cart_tax + shipping_tax, places);
    for (key, value) in [
        ("discount_total", rounded(discount, places)),
        ("discount_tax", rounded(discount_tax, places)),
        ("shipping_total", shipping),
        ("shipping_tax", shipping_tax),
        ("cart_tax", cart_tax),
        ("total", total),
        ("total_tax", cart_tax + shipping_tax),
    ] {
        set(order, key, value.to_string());
    }
}

/// True when the order has nothing to compute.
pub fn has_lines(order: &Record) -> bool {
    ["line_items", "fee_lines", "shipping_lines"].iter().any(|key| !list(order, key).is_empty())
}

/// `serde_json`'s `remove` moves the last key into the gap; this keeps the order of keys.
trait KeepPlace {
    fn remove_keeping_place(&mut self, key: &str) -> Option<Value>;
}

impl KeepPlace for Record {
    fn remove_keeping_place(&mut self, key: &str) -> Option<Value> {
        self.get_mut(key).map(Value::take)
    }
}
