//! Amounts as they come and go: decimals, never floats. JSON numbers keep their digits
//! (`arbitrary_precision`), and amounts may also come as texts, as WooCommerce writes them.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};
use std::str::FromStr;

/// Half-up to two decimals, away from zero for negative amounts: what a shop shows, and what
/// QuickBooks stores (quickbooks.md, appendix B).
pub fn cents(amount: Decimal) -> Decimal {
    round(amount, 2)
}

/// Half-up (away from zero) to `places` decimals.
pub fn round(amount: Decimal, places: u32) -> Decimal {
    amount.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero)
}

/// Why an amount of a hub row can't be posted.
pub const NO_AMOUNT: &str = "is no amount (NaN, infinite, or of more than 28 digits)";

/// One hundredth of the currency's unit.
pub const CENT: Decimal = Decimal::from_parts(1, 0, 0, false, 2);

/// A decimal from a JSON number or text; None for anything else.
pub fn from_json(value: &Value) -> Option<Decimal> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    Decimal::from_str(&text).or_else(|_| Decimal::from_scientific(&text)).ok()
}

/// An amount as a JSON number with two decimals: `12.50`, not `12.5`.
pub fn to_json(amount: Decimal) -> Value {
    let mut amount = cents(amount);
    amount.rescale(2);
    number(amount)
}

/// A quantity, price or rate as a JSON number without trailing zeros.
pub fn exact_json(value: Decimal) -> Value {
    number(value.normalize())
}

fn number(value: Decimal) -> Value {
    // A decimal's digits are a JSON number always; were they not, a text is at least not wrong.
    let text = value.to_string();
    Number::from_str(&text).map_or(Value::String(text), Value::Number)
}

/// An amount as people read it: two decimals and the currency.
pub fn shown(amount: Decimal, currency: &str) -> String {
    let mut amount = cents(amount);
    amount.rescale(2);
    format!("{currency} {amount}")
}

/// Shares of `amount` in proportion to `weights`, in cents, that add up to it: rounded down, the
/// cents left over go to the largest remainders. All zero weights: everything to the first.
pub fn prorate(amount: Decimal, weights: &[Decimal]) -> Vec<Decimal> {
    let total: Decimal = weights.iter().sum();
    if total.is_zero() {
        let mut shares = vec![Decimal::ZERO; weights.len()];
        if let Some(first) = shares.first_mut() {
            *first = amount;
        }
        return shares;
    }
    let exact: Vec<Decimal> = weights.iter().map(|weight| amount * weight / total).collect();
    let mut shares: Vec<Decimal> = exact
        .iter()
        .map(|share| share.round_dp_with_strategy(2, RoundingStrategy::ToNegativeInfinity))
        .collect();
    let mut order: Vec<usize> = (0..shares.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(exact[i] - shares[i]), i));
    let mut rest = amount - shares.iter().sum::<Decimal>();
    for i in order {
        if rest < CENT {
            break;
        }
        shares[i] += CENT;
        rest -= CENT;
    }
    shares
}

/// Reads an amount in a derived `Deserialize`.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    let value = Value::deserialize(deserializer)?;
    from_json(&value).ok_or_else(|| serde::de::Error::custom(NO_AMOUNT))
}

/// As [`read`]; null and the empty text are None.
pub fn read_option<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Decimal>, D::Error> {
    match Value::deserialize(d)? {
        Value::Null => Ok(None),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        value => match from_json(&value) {
            Some(decimal) => Ok(Some(decimal)),
            None => Err(serde::de::Error::custom(NO_AMOUNT)),
        },
    }
}
