//! One expected value of a column, and how it is held against what the hub has.

use rust_decimal::Decimal;
use serde_json::Value;
use std::str::FromStr;

/// What a column must hold.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Empty text counts as none.
    Text(Option<String>),
    /// Letters of either case.
    AnyCase(Option<String>),
    Number(Option<Decimal>),
    /// UTC, as the shop writes it: `2026-11-20T08:16:40`.
    Time(Option<String>),
    Flag(bool),
    Null,
    NotNull,
}

impl Cell {
    /// Text of a shop's record; nothing there, null and `""` are the same.
    pub fn text(value: &Value) -> Self {
        Cell::Text(plain(value))
    }

    /// A number, which the shop may write as a string; `""` is none.
    pub fn number(value: &Value) -> Self {
        Cell::Number(decimal(value))
    }

    pub fn time(value: &Value) -> Self {
        Cell::Time(plain(value))
    }

    /// What is wrong with `actual`, in words; None: nothing.
    pub fn differs(&self, actual: &Value) -> Option<String> {
        let same = match self {
            Cell::Text(expected) => plain(actual) == *expected,
            Cell::AnyCase(expected) => {
                let lower = |text: Option<String>| text.map(|t| t.to_lowercase());
                lower(plain(actual)) == lower(expected.clone())
            }
            Cell::Number(expected) => decimal(actual) == *expected,
            // The hub's times come as jsonb writes them in a UTC session.
            Cell::Time(expected) => {
                plain(actual).map(|t| t.trim_end_matches("+00:00").to_owned()) == *expected
            }
            Cell::Flag(expected) => actual.as_bool() == Some(*expected),
            Cell::Null => actual.is_null(),
            Cell::NotNull => !actual.is_null(),
        };
        (!same).then(|| format!("is {actual}, the shop says {self:?}"))
    }
}

/// The text of a value; None for null and `""`.
pub fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The value as an exact number; None where there is none.
pub fn decimal(value: &Value) -> Option<Decimal> {
    let text = plain(value)?;
    Decimal::from_str(&text).or_else(|_| Decimal::from_scientific(&text)).ok()
}

/// The value as an exact number, 0 where there is none.
pub fn amount(value: &Value) -> Decimal {
    decimal(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cent_is_a_difference_and_a_trailing_zero_is_none() {
        let expected = Cell::number(&json!("239.90"));
        assert_eq!(expected.differs(&json!("239.9")), None);
        assert!(expected.differs(&json!("239.91")).is_some());
        assert!(expected.differs(&Value::Null).is_some());
    }

    #[test]
    fn empty_text_is_the_same_as_none_and_a_time_zone_is_looked_at() {
        assert_eq!(Cell::text(&json!("")).differs(&Value::Null), None);
        let time = Cell::time(&json!("2026-11-20T08:16:40"));
        assert_eq!(time.differs(&json!("2026-11-20T08:16:40+00:00")), None);
        assert!(time.differs(&json!("2026-11-20T08:16:40+05:00")).is_some());
    }
}
