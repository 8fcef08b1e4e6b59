//! Decimals in JSON, digit by digit: no float touches an amount.

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Map, Number, Value};

/// The decimal of a JSON number, or of a text that spells one.
pub fn read(value: &Value) -> Option<Decimal> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    text.parse().ok().or_else(|| Decimal::from_scientific(&text).ok())
}

/// The decimal under `key`; zero when absent.
pub fn of(map: &Map<String, Value>, key: &str) -> Decimal {
    map.get(key).and_then(read).unwrap_or_default()
}

/// As a JSON number without needless zeros.
pub fn json(amount: Decimal) -> Value {
    let text = amount.normalize().to_string();
    let text = if text == "-0" { "0".to_owned() } else { text };
    text.parse::<Number>().map_or(Value::Null, Value::Number)
}

/// Rounded to cents, halves away from zero.
pub fn cents(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

/// Splits `total` in proportion to `weights` so that the parts add up to it; the last part takes
/// what rounding leaves.
pub fn prorate(total: Decimal, weights: &[Decimal]) -> Vec<Decimal> {
    let sum: Decimal = weights.iter().sum();
    let mut left = total;
    let mut parts = Vec::with_capacity(weights.len());
    for (at, weight) in weights.iter().enumerate() {
        let part = match (at + 1 == weights.len(), sum.is_zero()) {
            (true, _) => left,
            (_, true) => Decimal::ZERO,
            _ => cents(total * weight / sum),
        };
        left -= part;
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn dec(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn amounts_keep_their_digits_through_json() {
        let value: Value = serde_json::from_str("154169.69").unwrap();
        assert_eq!(read(&value), Some(dec("154169.69")));
        assert_eq!(super::json(dec("24.50")).to_string(), "24.5");
        assert_eq!(super::json(dec("-0.00")).to_string(), "0");
        assert_eq!(read(&json!("7.41")), Some(dec("7.41")));
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let parts = prorate(dec("10.00"), &[dec("1"), dec("1"), dec("1")]);
        assert_eq!(parts, [dec("3.33"), dec("3.33"), dec("3.34")]);
    }
}
