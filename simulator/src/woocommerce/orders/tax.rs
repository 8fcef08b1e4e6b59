//! Tax as WooCommerce computes it.

use super::super::record::{Record, amount, number, rounded, text};
use super::super::state::Shop;
use rust_decimal::Decimal;
use serde_json::Value;

/// Amounts are kept with so many decimals more than shown: `wc_get_rounding_precision`.
const PRECISION: u32 = 4;

/// One rate that applies.
#[derive(Debug, Clone)]
pub struct Rate {
    /// Of the rate.
    pub id: u64,
    /// `US-NY-NY SALES TAX-1`.
    pub code: String,
    /// As shown on the order.
    pub label: String,
    /// Per cent.
    pub percent: Decimal,
    /// Taxes the taxes before it, too.
    pub compound: bool,
    /// Applies to shipping.
    pub on_shipping: bool,
}

/// Where an order is taxed.
#[derive(Debug, Clone, Default)]
pub struct Place {
    country: String,
    state: String,
}

impl Place {
    /// By `woocommerce_tax_based_on`; without an address it is the shop's own.
    pub fn of(shop: &Shop, order: &Record) -> Self {
        let address = |key: &str| {
            let address = order.get(key).and_then(Value::as_object)?;
            let country = text(address, "country").to_owned();
            (!country.is_empty())
                .then(|| Place { country, state: text(address, "state").to_owned() })
        };
        let found = match shop.setting("woocommerce_tax_based_on") {
            "billing" => address("billing"),
            "base" => None,
            _ => address("shipping").or_else(|| address("billing")),
        };
        found.unwrap_or_else(|| {
            let base = shop.setting("woocommerce_default_country");
            let (country, state) = base.split_once(':').unwrap_or((base, ""));
            Place { country: country.into(), state: state.into() }
        })
    }
}

/// The rates of a tax class (`""` is the standard one) at a place, in the order they apply.
pub fn rates(shop: &Shop, place: &Place, class: &str) -> Vec<Rate> {
    if shop.setting("woocommerce_calc_taxes") != "yes" {
        return vec![];
    }
    let class = if class.is_empty() { "standard" } else { class };
    let fits = |own: &str, theirs: &str| own.is_empty() || own == theirs;
    let mut found: Vec<&Record> = shop
        .taxes
        .values()
        .filter(|t| text(t, "class") == class)
        .filter(|t| fits(text(t, "country"), &place.country))
        .filter(|t| fits(text(t, "state"), &place.state))
        .collect();
    found.sort_by_key(|t| (number(t, "priority"), number(t, "order"), number(t, "id")));
    // One rate for each priority: the first that matches.
    found.dedup_by_key(|t| number(t, "priority"));
    found.into_iter().map(rate).collect()
}

fn rate(tax: &Record) -> Rate {
    let name = text(tax, "name");
    let label = if name.is_empty() { "Tax" } else { name };
    let priority = number(tax, "priority").to_string();
    let parts = [text(tax, "country"), text(tax, "state"), label, &priority];
    let code: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let flag = |key: &str| tax.get(key).and_then(Value::as_bool).unwrap_or_default();
    Rate {
        id: number(tax, "id"),
        code: code.join("-").to_uppercase(),
        label: label.to_owned(),
        percent: amount(tax, "rate"),
        compound: flag("compound"),
        on_shipping: flag("shipping"),
    }
}

/// Tax on a net amount, by rate; compound rates tax the taxes before them, too.
pub fn on_net(net: Decimal, rates: &[Rate]) -> Vec<(u64, Decimal)> {
    let mut before = Decimal::ZERO;
    rates
        .iter()
        .map(|rate| {
            let base = if rate.compound { net + before } else { net };
            let tax = rounded(base * rate.percent / Decimal::ONE_HUNDRED, PRECISION);
            before += tax;
            (rate.id, tax)
        })
        .collect()
}

/// What of a gross amount is net, with six decimals as stored.
pub fn net_of(gross: Decimal, rates: &[Rate]) -> Decimal {
    let mut rest = gross;
    for rate in rates.iter().rev().filter(|r| r.compound) {
        rest = rest * Decimal::ONE_HUNDRED / (Decimal::ONE_HUNDRED + rate.percent);
    }
    let simple: Decimal = rates.iter().filter(|r| !r.compound).map(|r| r.percent).sum();
    rounded(rest * Decimal::ONE_HUNDRED / (Decimal::ONE_HUNDRED + simple), 6)
}
