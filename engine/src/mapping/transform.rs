//! The named transforms: what a rule does to a value on its way. `trim|lower`, `substring(0,3)`,
//! `map({"yes":true,"*":false})`.

use super::json::{self, Pick};
use super::time;
use super::value::{self, Reason, Val};
use rust_decimal::Decimal;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What a transform gives, as far as its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// The same kind that it took.
    Same,
    Text,
    Number,
    Bool,
    Time,
    Json,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Transform {
    Text,
    Trim,
    Lower,
    Upper,
    Substring(usize, Option<usize>),
    Replace(String, String),
    Prefix(String),
    Suffix(String),
    Digits,
    NullIf(Vec<String>),
    ZeroToNull,
    EmptyToNull,
    Default(String),
    Map(BTreeMap<String, serde_json::Value>),
    Decimal,
    Money,
    Integer,
    Negate,
    Abs,
    Round(u32),
    Multiply(Decimal),
    Boolean,
    Utc,
    LocalTime(jiff::tz::TimeZone),
    UnixTime,
    Json,
    Pick(Vec<Pick>),
    Meta,
    Count,
    Sum,
    First,
    Last,
    Concat(String),
}

impl Transform {
    pub fn gives(&self) -> Gives {
        use Transform::*;
        match self {
            Text | Trim | Lower | Upper | Substring(..) | Replace(..) | Prefix(_) | Suffix(_)
            | Digits | Concat(_) => Gives::Text,
            Decimal | Money | Integer | Negate | Abs | Round(_) | Multiply(_) | Count | Sum => {
                Gives::Number
            }
            Boolean => Gives::Bool,
            Utc | LocalTime(_) | UnixTime => Gives::Time,
            Json | Pick(_) | Meta => Gives::Json,
            NullIf(_) | ZeroToNull | EmptyToNull | Default(_) | Map(_) | First | Last => {
                Gives::Same
            }
        }
    }

    /// Makes one value of a list; the others work on each of its elements.
    fn takes_list(&self) -> bool {
        use Transform::*;
        matches!(self, Count | Sum | First | Last | Concat(_) | EmptyToNull | Json)
    }

    /// Applies it. Absent stays absent, but for those that are about absence.
    pub fn apply<'a>(&self, val: Val<'a>) -> Result<Val<'a>, Reason> {
        use Transform::*;
        match (self, val) {
            (Default(text), val) if val.is_absent() => Ok(Val::Text(Cow::Owned(text.clone()))),
            (Count, val) => count(val),
            (Sum, val) => sum(val),
            (_, Val::Null) => Ok(Val::Null),
            (transform, Val::List(items)) if !transform.takes_list() => {
                let items: Result<Vec<_>, _> =
                    items.into_iter().map(|item| transform.apply(item)).collect();
                Ok(Val::List(items?))
            }
            (EmptyToNull, val) => Ok(empty_to_null(val)),
            (First, Val::List(items)) => Ok(items.into_iter().next().unwrap_or(Val::Null)),
            (Last, Val::List(items)) => Ok(items.into_iter().next_back().unwrap_or(Val::Null)),
            (Concat(separator), Val::List(items)) => concat(items, separator),
            (Json, val) => made(|out| json::write(&val, out)),
            (Pick(picks), Val::Json(raw)) => made(|out| json::pick(raw, picks, out)),
            (Meta, Val::Json(raw)) => meta(raw),
            (Pick(_) | Meta, val) if val.is_absent() => Ok(Val::Null),
            (Pick(_) | Meta, val) => {
                Err(format!("is {}, not an object or list", val.describe()).into())
            }
            (Map(table), val) => map(table, val),
            (NullIf(words), val) => null_if(words, val),
            (Default(_) | First | Last, val) => Ok(val),
            // "" is how platforms say "none".
            (_, val) if val.is_absent() => Ok(Val::Null),
            (transform, val) => transform.scalar(val),
        }
    }

    fn scalar<'a>(&self, val: Val<'a>) -> Result<Val<'a>, Reason> {
        use Transform::*;
        match self {
            Decimal => Ok(Val::Decimal(to_decimal(&val)?)),
            Money => Ok(Val::Decimal(json::money(to_decimal(&val)?))),
            Integer => to_integer(&val),
            Negate => Ok(Val::Decimal(value::without_negative_zero(-to_decimal(&val)?))),
            Abs => Ok(Val::Decimal(to_decimal(&val)?.abs())),
            // Commercial rounding, as WooCommerce rounds.
            Round(digits) => Ok(Val::Decimal(to_decimal(&val)?.round_dp_with_strategy(
                *digits,
                rust_decimal::RoundingStrategy::MidpointAwayFromZero,
            ))),
            Multiply(by) => to_decimal(&val)?
                .checked_mul(*by)
                .map(Val::Decimal)
                .ok_or_else(|| "is a number too large to multiply".into()),
            ZeroToNull => Ok(match &val {
                Val::Number(_) | Val::Text(_) | Val::Decimal(_) | Val::Int(_)
                    if to_decimal(&val).is_ok_and(|d| d.is_zero()) =>
                {
                    Val::Null
                }
                _ => val,
            }),
            Boolean => to_bool(&val).map(Val::Bool),
            Utc => time::utc(&to_text(val)?),
            LocalTime(zone) => time::local(&to_text(val)?, zone),
            UnixTime => time::unix(&to_text(val)?),
            _ => self.text(to_text(val)?),
        }
    }

    fn text<'a>(&self, text: Cow<'a, str>) -> Result<Val<'a>, Reason> {
        use Transform::*;
        Ok(Val::Text(match self {
            Trim => match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
                Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
            },
            Lower => Cow::Owned(text.to_lowercase()),
            Upper => Cow::Owned(text.to_uppercase()),
            Substring(start, length) => Cow::Owned(
                text.chars().skip(*start).take(length.unwrap_or(usize::MAX)).collect::<String>(),
            ),
            Replace(from, to) => Cow::Owned(text.replace(from.as_str(), to)),
            Prefix(prefix) => Cow::Owned(format!("{prefix}{text}")),
            Suffix(suffix) => Cow::Owned(format!("{text}{suffix}")),
            Digits => Cow::Owned(text.chars().filter(char::is_ascii_digit).collect::<String>()),
            _ => text,
        }))
    }
}

fn made<'a>(write: impl FnOnce(&mut String) -> Result<(), Reason>) -> Result<Val<'a>, Reason> {
    let mut out = String::new();
    write(&mut out)?;
    Ok(Val::Made(out))
}

fn meta<'a>(raw: &str) -> Result<Val<'a>, Reason> {
    let mut out = String::new();
    Ok(if json::meta(raw, &mut out)? { Val::Made(out) } else { Val::Null })
}

fn count(val: Val<'_>) -> Result<Val<'_>, Reason> {
    Ok(Val::Int(match val {
        Val::Null => 0,
        Val::List(items) => items.len() as i64,
        Val::Json(raw) => value::elements(raw).len() as i64,
        val => return Err(format!("is {}, not a list", val.describe()).into()),
    }))
}

/// The sum of a list of numbers; of an empty or absent one 0.
fn sum(val: Val<'_>) -> Result<Val<'_>, Reason> {
    let mut total = Decimal::ZERO;
    let items = match val {
        Val::Null => vec![],
        Val::List(items) => items,
        single => vec![single],
    };
    for item in items {
        if !item.is_absent() {
            total =
                total.checked_add(to_decimal(&item)?).ok_or("adds up to a number out of range")?;
        }
    }
    Ok(Val::Decimal(json::money(total)))
}

fn concat<'a>(items: Vec<Val<'a>>, separator: &str) -> Result<Val<'a>, Reason> {
    let mut out = String::new();
    for item in items {
        if item.is_absent() {
            continue;
        }
        if !out.is_empty() {
            out.push_str(separator);
        }
        out.push_str(&to_text(item)?);
    }
    Ok(Val::Text(Cow::Owned(out)))
}

fn empty_to_null(val: Val<'_>) -> Val<'_> {
    match val {
        Val::Text(text) if text.is_empty() => Val::Null,
        Val::List(items) if items.is_empty() => Val::Null,
        Val::Json(raw) if value::elements(raw).is_empty() => Val::Null,
        Val::Made(json) if json == "{}" || json == "[]" => Val::Null,
        val => val,
    }
}

fn map<'a>(table: &BTreeMap<String, serde_json::Value>, val: Val<'a>) -> Result<Val<'a>, Reason> {
    if matches!(val, Val::Json(_) | Val::Made(_)) {
        return Err(format!("is {}, not a single value", val.describe()).into());
    }
    let key = to_text(val.clone())?;
    let Some(mapped) = table.get(key.as_ref()).or_else(|| table.get("*")) else {
        return Ok(val);
    };
    Ok(match mapped {
        serde_json::Value::Null => Val::Null,
        serde_json::Value::Bool(value) => Val::Bool(*value),
        serde_json::Value::String(text) => Val::Text(Cow::Owned(text.clone())),
        other => Val::Number(Cow::Owned(other.to_string())),
    })
}

fn null_if<'a>(words: &[String], val: Val<'a>) -> Result<Val<'a>, Reason> {
    if matches!(val, Val::Json(_) | Val::Made(_)) {
        return Ok(val);
    }
    let text = to_text(val.clone())?;
    Ok(if words.iter().any(|word| *word == text) { Val::Null } else { val })
}

/// A number out of a JSON number or a text that holds one.
pub fn to_decimal(val: &Val<'_>) -> Result<Decimal, Reason> {
    match val {
        Val::Number(text) | Val::Text(text) => value::decimal(text),
        Val::Decimal(value) => Ok(*value),
        Val::Int(value) => Ok(Decimal::from(*value)),
        other => Err(format!("is {}, not a number", other.describe()).into()),
    }
}

fn to_integer<'a>(val: &Val<'_>) -> Result<Val<'a>, Reason> {
    integer(val).map(Val::Int)
}

/// A whole number; `2.0` is one, `2.5` isn't.
pub fn integer(val: &Val<'_>) -> Result<i64, Reason> {
    use rust_decimal::prelude::ToPrimitive;
    let value = to_decimal(val)?;
    if !value.fract().is_zero() {
        return Err("is not a whole number".into());
    }
    value.to_i64().ok_or_else(|| "is a number out of range".into())
}

/// `true`, `"yes"`, `"1"`, 1 and their opposites.
pub fn to_bool(val: &Val<'_>) -> Result<bool, Reason> {
    let text = match val {
        Val::Bool(value) => return Ok(*value),
        Val::Int(value) => return Ok(*value != 0),
        Val::Number(text) | Val::Text(text) => text,
        other => return Err(format!("is {}, not yes or no", other.describe()).into()),
    };
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("is neither yes nor no".into()),
    }
}

/// The text of a single value.
pub fn to_text(val: Val<'_>) -> Result<Cow<'_, str>, Reason> {
    Ok(match val {
        Val::Null => Cow::Borrowed(""),
        Val::Bool(true) => Cow::Borrowed("true"),
        Val::Bool(false) => Cow::Borrowed("false"),
        Val::Number(text) | Val::Text(text) => text,
        Val::Decimal(value) => Cow::Owned(value.to_string()),
        Val::Int(value) => Cow::Owned(value.to_string()),
        Val::Time(value) => Cow::Owned(value.to_string()),
        other => return Err(format!("is {}, not a text", other.describe()).into()),
    })
}
