//! A record as the shop stores it: the API's own keys in the API's own order, amounts at full
//! precision, without `_links`.

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Map, Value};
use std::str::FromStr;

/// Keys keep the order they came in.
pub type Record = Map<String, Value>;

/// The text under `key`, empty when it is missing or no text.
pub fn text<'a>(record: &'a Record, key: &str) -> &'a str {
    record.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The whole number under `key`, 0 when it is missing; PHP's texts of digits count, too.
pub fn number(record: &Record, key: &str) -> u64 {
    record.get(key).and_then(as_id).unwrap_or_default()
}

/// A whole number, or text that is one.
pub fn as_id(value: &Value) -> Option<u64> {
    match value {
        Value::Number(n) => n.as_u64(),
        Value::String(s) => s.trim().parse().ok(),
        _ => None,
    }
}

/// The list under `key`, empty when it is missing.
pub fn list<'a>(record: &'a Record, key: &str) -> &'a [Value] {
    record.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The objects in the list under `key`.
pub fn objects<'a>(record: &'a Record, key: &str) -> impl Iterator<Item = &'a Record> {
    list(record, key).iter().filter_map(Value::as_object)
}

/// The objects in the list under `key`, to change.
pub fn objects_mut<'a>(record: &'a mut Record, key: &str) -> impl Iterator<Item = &'a mut Record> {
    let items = record.get_mut(key).and_then(Value::as_array_mut);
    items.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// The amount under `key`, 0 when it is missing or empty.
pub fn amount(record: &Record, key: &str) -> Decimal {
    record.get(key).and_then(as_amount).unwrap_or_default()
}

/// Amounts from here on are read as none at all.
const LARGEST: u64 = 1_000_000_000_000_000;

/// A number or a text that is one. Exponents (PHP floats) count, too.
pub fn as_amount(value: &Value) -> Option<Decimal> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let amount = Decimal::from_str(&text).or_else(|_| Decimal::from_scientific(&text)).ok()?;
    // Sums and products of larger ones wouldn't fit; no shop has them.
    (amount.abs() < LARGEST.into()).then_some(amount)
}

/// Puts a value in its place, or at the end when the key is new.
pub fn set(record: &mut Record, key: &str, value: impl Into<Value>) {
    record.insert(key.to_owned(), value.into());
}

/// Rounds half away from zero, as PHP's `round` does.
pub fn rounded(amount: Decimal, places: u32) -> Decimal {
    amount.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero)
}

/// An amount with exactly so many decimals: WooCommerce's `wc_format_decimal`.
pub fn formatted(amount: Decimal, places: u32) -> String {
    let mut amount = rounded(amount, places);
    amount.rescale(places);
    // PHP has no negative zero in texts.
    match amount.is_zero() {
        true => amount.abs().to_string(),
        false => amount.to_string(),
    }
}

/// An amount without trailing zeros: how `coupon_lines[].discount` comes.
pub fn unpadded(amount: Decimal) -> String {
    amount.normalize().to_string()
}

/// What PHP makes of a number it computed with floats: `total / quantity` of a line, shortest
/// spelling that reads back the same.
pub fn php_quotient(total: Decimal, quantity: Decimal) -> Value {
    let float = |d: Decimal| d.to_string().parse::<f64>().unwrap_or_default();
    let quotient = if quantity.is_zero() { 0.0 } else { float(total) / float(quantity) };
    // Half a 16th digit is noise of the division; rounding as WooCommerce does drops it.
    serde_json::from_str(&format!("{quotient}")).unwrap_or(Value::Null)
}

/// Puts `patch` into `record`: objects are merged, everything else is replaced.
pub fn merge(record: &mut Record, patch: &Record) {
    for (key, new) in patch {
        match (record.get_mut(key), new) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            _ => {
                record.insert(key.clone(), new.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn amounts_are_rounded_away_from_zero_and_padded() {
        let two = |text: &str| formatted(text.parse().unwrap(), 2);
        assert_eq!(two("2.345"), "2.35");
        assert_eq!(two("-2.345"), "-2.35");
        assert_eq!(two("-0.001"), "0.00");
        assert_eq!(formatted("239.91".parse().unwrap(), 0), "240");
    }

    #[test]
    fn prices_are_php_floats() {
        let price = |total: &str, n: u32| php_quotient(total.parse().unwrap(), n.into());
        assert_eq!(price("10", 3).to_string(), "3.3333333333333335");
        assert_eq!(price("8.00", 1), json!(8));
    }
}
