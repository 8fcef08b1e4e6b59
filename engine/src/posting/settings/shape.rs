//! Whether a settings document has the form that [`super::keys::KEYS`] says: every problem at
//! once, each with its path.

use super::keys::{KEYS, Key, Kind};
use crate::error::{Category, Error};
use crate::posting::money;
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use std::fmt;

/// One thing that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `tax.rates.GB`
    pub path: String,
    /// What is wrong, without the path.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl Problem {
    pub fn new(path: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Problem { path: path.to_owned(), message: message.into(), hint: hint.into() }
    }

    /// As the one error type: `YS422`.
    pub fn to_error(&self) -> Error {
        Error::new(Category::Validation, "invalid_settings", self.to_string())
            .hint(self.hint.clone())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Everything that is wrong with the form of `settings`. A null is as if the key weren't there.
pub fn check(settings: &Value) -> Vec<Problem> {
    let mut problems = vec![];
    match settings {
        Value::Object(map) => object(map, KEYS, "", &mut problems),
        other => problems.push(wrong("settings", other, "an object", "{}")),
    }
    problems
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn object(map: &Map<String, Value>, keys: &[Key], path: &str, problems: &mut Vec<Problem>) {
    for (name, value) in map {
        let here = join(path, name);
        match keys.iter().find(|key| key.name == name) {
            None => {
                let known: Vec<&str> = keys.iter().map(|key| key.name).collect();
                problems.push(Problem::new(
                    &here,
                    "unknown key",
                    format!("Keys here: {}.", known.join(", ")),
                ));
            }
            Some(_) if value.is_null() => {}
            Some(key) => one(value, &key.kind, &here, problems),
        }
    }
}

fn one(value: &Value, kind: &Kind, path: &str, problems: &mut Vec<Problem>) {
    match kind {
        Kind::Object(keys) => match value {
            Value::Object(map) => object(map, keys, path, problems),
            other => problems.push(wrong(path, other, "an object", "{}")),
        },
        Kind::Map(kind) => match value {
            Value::Object(map) => {
                map.iter().for_each(|(name, value)| one(value, kind, &join(path, name), problems));
            }
            other => problems.push(wrong(path, other, "an object", "{}")),
        },
        Kind::List(kind) => match value {
            Value::Array(list) => list
                .iter()
                .enumerate()
                .for_each(|(i, value)| one(value, kind, &format!("{path}[{i}]"), problems)),
            other => problems.push(wrong(path, other, "a list", "[]")),
        },
        Kind::Or(text, object) => match value {
            Value::Object(_) => one(value, object, path, problems),
            _ => one(value, text, path, problems),
        },
        simple => problems.extend(scalar(value, simple, path)),
    }
}

fn scalar(value: &Value, kind: &Kind, path: &str) -> Option<Problem> {
    let text = value.as_str();
    let ok = match kind {
        Kind::Text(max) => text.is_some_and(|t| !t.trim().is_empty() && t.chars().count() <= *max),
        Kind::Blank(max) => text.is_some_and(|t| t.chars().count() <= *max),
        Kind::Bool => value.is_boolean(),
        Kind::Word(words) => text.is_some_and(|t| words.contains(&t)),
        Kind::Date => text.is_some_and(|t| t.parse::<jiff::civil::Date>().is_ok()),
        Kind::Zone => text.is_some_and(|t| jiff::tz::TimeZone::get(t).is_ok()),
        Kind::Url => text.is_some_and(is_url),
        Kind::Whole(from, to) => value.as_i64().is_some_and(|n| (*from..=*to).contains(&n)),
        Kind::Positive => money::from_json(value).is_some_and(|n| n > Decimal::ZERO),
        Kind::List(_) | Kind::Map(_) | Kind::Or(..) | Kind::Object(_) => true,
    };
    (!ok).then(|| wrong(path, value, &expected(kind), example(kind)))
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|host| !host.is_empty() && !text.contains(char::is_whitespace))
}

/// What a value of this kind is, for people.
pub fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Text(max) => format!("a text of 1 to {max} characters"),
        Kind::Blank(max) => format!("a text of at most {max} characters"),
        Kind::Bool => "true or false".into(),
        Kind::Word(words) => format!("one of {}", words.join(", ")),
        Kind::Date => "a date, YYYY-MM-DD".into(),
        Kind::Zone => "an IANA time zone".into(),
        Kind::Url => "an address".into(),
        Kind::Whole(from, to) => format!("a whole number from {from} to {to}"),
        Kind::Positive => "a number greater than 0".into(),
        Kind::List(kind) => format!("a list, each {}", expected(kind)),
        Kind::Map(kind) => format!("an object, each value {}", expected(kind)),
        Kind::Or(one, other) => format!("{}, or {}", expected(one), expected(other)),
        Kind::Object(keys) => {
            let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
            format!("an object with {}", names.join(", "))
        }
    }
}

fn example(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool => "true",
        Kind::Word(words) => words.first().copied().unwrap_or(""),
        Kind::Date => "2025-01-01",
        Kind::Zone => "America/New_York",
        Kind::Url => "https://...",
        Kind::Whole(..) => "75",
        Kind::Positive => "1.08",
        _ => "a name",
    }
}

/// The value isn't repeated where it could be long, or something pasted by mistake.
fn wrong(path: &str, value: &Value, expected: &str, example: &str) -> Problem {
    const SHOWN: usize = 40;
    let is = match value {
        Value::String(text) if text.chars().count() <= SHOWN => format!("\"{text}\""),
        Value::String(_) => "a long text".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
        other => other.to_string(),
    };
    Problem::new(path, format!("{is} is not {expected}"), format!("For example: {example}"))
}
