//! Reads the text of a rule's `transform`: names with arguments, joined by `|`.

use super::json::{Form, Pick};
use super::transform::Transform;
use std::collections::BTreeMap;

/// Parses `trim|lower`. The error says what is wrong, in words for a person.
pub fn parse(text: &str) -> Result<Vec<Transform>, String> {
    split(text, '|').into_iter().map(|part| one(part.trim())).collect()
}

fn one(text: &str) -> Result<Transform, String> {
    let (name, arguments) = match text.split_once('(') {
        None => (text, None),
        Some((name, rest)) => {
            let inner = rest
                .strip_suffix(')')
                .ok_or_else(|| format!("\"{text}\": the parenthesis is not closed"))?;
            (name.trim(), Some(inner))
        }
    };
    let known = super::catalogue::CATALOGUE
        .iter()
        .find(|info| info.name == name)
        .ok_or_else(|| format!("unknown transform \"{name}\""))?;
    let wants = |message: &str| format!("{name}: {message}, as {name}({})", known.arguments);
    match (arguments, known.arguments.is_empty()) {
        (Some(inner), true) if !inner.trim().is_empty() => {
            return Err(format!("{name} takes no argument"));
        }
        (None, false) if !known.arguments.starts_with('[') => {
            return Err(wants("an argument is missing"));
        }
        _ => {}
    }
    let inner = arguments.unwrap_or_default();
    simple(name).map_or_else(|| with_arguments(name, inner).map_err(|m| wants(&m)), Ok)
}

fn simple(name: &str) -> Option<Transform> {
    Some(match name {
        "text" => Transform::Text,
        "trim" => Transform::Trim,
        "lower" => Transform::Lower,
        "upper" => Transform::Upper,
        "digits" => Transform::Digits,
        "zero_to_null" => Transform::ZeroToNull,
        "empty_to_null" => Transform::EmptyToNull,
        "decimal" => Transform::Decimal,
        "money" => Transform::Money,
        "integer" => Transform::Integer,
        "negate" => Transform::Negate,
        "abs" => Transform::Abs,
        "boolean" => Transform::Boolean,
        "utc" => Transform::Utc,
        "unix_time" => Transform::UnixTime,
        "json" => Transform::Json,
        "meta" => Transform::Meta,
        "count" => Transform::Count,
        "sum" => Transform::Sum,
        "first" => Transform::First,
        "last" => Transform::Last,
        _ => return None,
    })
}

fn with_arguments(name: &str, inner: &str) -> Result<Transform, String> {
    let texts = || split(inner, ',').into_iter().map(unquote).collect::<Vec<String>>();
    let whole = |text: &str| {
        text.trim().parse::<usize>().map_err(|_| format!("\"{text}\" is no whole number"))
    };
    Ok(match name {
        "substring" => match texts().as_slice() {
            [start] => Transform::Substring(whole(start)?, None),
            [start, length] => Transform::Substring(whole(start)?, Some(whole(length)?)),
            _ => return Err("it takes one or two numbers".into()),
        },
        "replace" => match texts().as_slice() {
            [from, to] if !from.is_empty() => Transform::Replace(from.clone(), to.clone()),
            _ => return Err("it takes two texts".into()),
        },
        "prefix" => Transform::Prefix(unquote(inner)),
        "suffix" => Transform::Suffix(unquote(inner)),
        "default" => Transform::Default(unquote(inner)),
        "null_if" => Transform::NullIf(texts()),
        "concat" => Transform::Concat(if inner.is_empty() { " ".into() } else { unquote(inner) }),
        "round" => match whole(inner)? {
            digits @ 0..=28 => Transform::Round(digits as u32),
            _ => return Err("digits go from 0 to 28".into()),
        },
        "multiply" => Transform::Multiply(
            super::value::decimal(inner).map_err(|_| format!("\"{inner}\" is no number"))?,
        ),
        "local_time" => Transform::LocalTime(
            jiff::tz::TimeZone::get(inner.trim())
                .map_err(|_| format!("\"{}\" is no time zone", inner.trim()))?,
        ),
        "map" => Transform::Map(table(inner)?),
        "pick" => Transform::Pick(picks(inner)?),
        _ => return Err("it can't be used".into()),
    })
}

fn table(inner: &str) -> Result<BTreeMap<String, serde_json::Value>, String> {
    let table: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(inner).map_err(|_| "it takes a JSON object".to_string())?;
    if table.values().any(|value| value.is_object() || value.is_array()) {
        return Err("its values are single values".into());
    }
    Ok(table)
}

/// `id, name=method_title, total:money, taxes(id:text, total:money)`
fn picks(inner: &str) -> Result<Vec<Pick>, String> {
    split(inner, ',')
        .into_iter()
        .map(|item| {
            let item = item.trim();
            let (head, nested) = match item.split_once('(') {
                None => (item, vec![]),
                Some((head, rest)) => {
                    let rest = rest
                        .strip_suffix(')')
                        .ok_or_else(|| format!("\"{item}\": the parenthesis is not closed"))?;
                    (head, picks(rest)?)
                }
            };
            let (head, form) = match head.split_once(':') {
                None => (head, Form::AsIs),
                Some((head, "text")) => (head, Form::Text),
                Some((head, "money")) => (head, Form::Money),
                Some((_, form)) => return Err(format!("\"{form}\" is neither text nor money")),
            };
            let (name, source) = head.split_once('=').unwrap_or((head, head));
            if name.is_empty() || source.is_empty() {
                return Err("a name is empty".into());
            }
            Ok(Pick { name: name.into(), source: source.into(), form, inner: nested })
        })
        .collect()
}

/// Splits where the separator stands outside of quotes, parentheses and braces.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut depth, mut quoted, mut escaped, mut start) = (0_i32, false, false, 0);
    let mut parts = Vec::new();
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => depth -= 1,
            c if c == separator && depth == 0 => {
                parts.push(&text[start..i]);
                start = i + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// A quoted argument is a JSON string; any other counts as it stands, without blanks around it.
fn unquote(text: &str) -> String {
    let text = text.trim();
    serde_json::from_str::<String>(text).unwrap_or_else(|_| text.to_owned())
}
