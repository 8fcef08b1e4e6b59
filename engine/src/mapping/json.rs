//! JSON that `jsonb` accepts, in one canonical form: no whitespace, no `\u0000`, members in order
//! of their names. So neither key order nor escapes make a record look changed.

use super::value::{self, Reason, Val};
use crate::limits::JSON_DEPTH;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Appends a piece of JSON in canonical form.
pub fn clean(raw: &str, out: &mut String) -> Result<(), Reason> {
    clean_at(raw, 0, out)
}

fn clean_at(raw: &str, depth: usize, out: &mut String) -> Result<(), Reason> {
    if depth > JSON_DEPTH {
        return Err(format!("is JSON that is nested deeper than {JSON_DEPTH}").into());
    }
    match raw.as_bytes().first() {
        Some(b'"') => text(&value::string(raw)?, out),
        Some(b'[') => {
            out.push('[');
            for (i, element) in value::elements(raw).into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                clean_at(element.get(), depth + 1, out)?;
            }
            out.push(']');
        }
        Some(b'{') => {
            let sorted: BTreeMap<String, &RawValue> = value::members(raw)
                .into_iter()
                .map(|(name, member)| (name.replace('\0', ""), member))
                .collect();
            out.push('{');
            for (i, (name, member)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                text(&name, out);
                out.push(':');
                clean_at(member.get(), depth + 1, out)?;
            }
            out.push('}');
        }
        _ => out.push_str(raw),
    }
    Ok(())
}

/// Appends a text as a JSON string, without NUL.
pub fn text(text: &str, out: &mut String) {
    out.push('"');
    let mut start = 0;
    for (i, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[start..i]);
        start = i + 1;
        match byte {
            0 => {}
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => out.push_str(&format!("\\u{byte:04x}")),
        }
    }
    out.push_str(&text[start..]);
    out.push('"');
}

/// Appends a value as JSON. Amounts become strings: JSON numbers lose cents in JavaScript.
pub fn write(val: &Val<'_>, out: &mut String) -> Result<(), Reason> {
    match val {
        Val::Null => out.push_str("null"),
        Val::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Val::Number(number) => out.push_str(number),
        Val::Text(value) => text(value, out),
        Val::Decimal(value) => text(&value.to_string(), out),
        Val::Int(value) => out.push_str(&value.to_string()),
        Val::Time(value) => text(&value.to_string(), out),
        Val::Json(raw) => clean(raw, out)?,
        Val::Made(json) => out.push_str(json),
        Val::List(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out)?;
            }
            out.push(']');
        }
    }
    Ok(())
}

/// One member that `pick` keeps: `new=old:text(inner, ...)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    pub name: String,
    pub source: String,
    pub form: Form,
    pub inner: Vec<Pick>,
}

/// How `pick` writes a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    AsIs,
    /// Numbers as JSON strings.
    Text,
    /// Amounts as JSON strings without needless zeros.
    Money,
}

/// The chosen members of an object, or of every object of an array. What is absent, null or ""
/// is left out.
pub fn pick(raw: &str, picks: &[Pick], out: &mut String) -> Result<(), Reason> {
    match raw.as_bytes().first() {
        Some(b'[') => {
            out.push('[');
            for (i, element) in value::elements(raw).into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                pick(element.get(), picks, out)?;
            }
            out.push(']');
            Ok(())
        }
        Some(b'{') => pick_object(raw, picks, out),
        _ => clean(raw, out),
    }
}

fn pick_object(raw: &str, picks: &[Pick], out: &mut String) -> Result<(), Reason> {
    let members = value::members(raw);
    out.push('{');
    let mut first = true;
    for pick_one in picks {
        let Some((_, member)) = members.iter().rev().find(|(name, _)| *name == pick_one.source)
        else {
            continue;
        };
        let val = value::read(member)?;
        if val.is_absent() {
            continue;
        }
        if !first {
            out.push(',');
        }
        first = false;
        text(&pick_one.name, out);
        out.push(':');
        match (val, pick_one.form) {
            (Val::Json(inner), _) if !pick_one.inner.is_empty() => {
                pick(inner, &pick_one.inner, out)?;
            }
            (Val::Number(number), Form::Text) => text(&number, out),
            (Val::Number(number) | Val::Text(number), Form::Money) => {
                text(&money(value::decimal(&number)?).to_string(), out);
            }
            (val, _) => write(&val, out)?,
        }
    }
    out.push('}');
    Ok(())
}

/// An amount with two digits after the point, and more only where they say something.
pub fn money(amount: rust_decimal::Decimal) -> rust_decimal::Decimal {
    let mut amount = amount.normalize();
    if amount.scale() < 2 {
        amount.rescale(2);
    }
    amount
}

/// `[{"key":..., "value":...}, ...]` as one object. Keys that begin with `_` are the plugins'
/// own and stay out; of a repeated key the last one counts, as in WordPress.
pub fn meta(raw: &str, out: &mut String) -> Result<bool, Reason> {
    let mut sorted: BTreeMap<String, &RawValue> = BTreeMap::new();
    for element in value::elements(raw) {
        let Some(key) = value::member(element.get(), "key") else { continue };
        let Val::Text(key) = value::read(key)? else { continue };
        if key.is_empty() || key.starts_with('_') {
            continue;
        }
        if let Some(member) = value::member(element.get(), "value") {
            sorted.insert(key.into_owned(), member);
        }
    }
    if sorted.is_empty() {
        return Ok(false);
    }
    out.push('{');
    for (i, (key, member)) in sorted.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        text(&key, out);
        out.push(':');
        clean(member.get(), out)?;
    }
    out.push('}');
    Ok(true)
}
