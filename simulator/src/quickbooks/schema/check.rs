//! Holds a body against the schema and gives back what QuickBooks would take from it.

use super::{Field, FieldType, SCHEMA};
use crate::quickbooks::fault::{self, Checked, Fault, validation};
use crate::quickbooks::kind::Kind;
use crate::quickbooks::money;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The fields of `body` that may be written: nulls and read-only fields are gone, numbers are
/// numbers.
///
/// Errors: 2010 for an unknown key, 2050 for length, 2040 for characters that XML 1.0 doesn't have,
/// and the format codes 2060 to 2210.
pub fn check(kind: Kind, body: &Value) -> Checked<Map<String, Value>> {
    let Value::Object(body) = body else {
        return Err(validation("2120", "Invalid Type", "the body is no JSON object", ""));
    };
    object(kind.name(), SCHEMA.entity(kind), body, "")
}

fn object(
    class: &str,
    fields: &BTreeMap<String, Field>,
    body: &Map<String, Value>,
    path: &str,
) -> Checked<Map<String, Value>> {
    let mut taken = Map::new();
    for (key, value) in body {
        let Some(field) = fields.get(key) else { return Err(fault::unknown_property(class, key)) };
        if value.is_null() || field.read_only {
            continue;
        }
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        taken.insert(key.clone(), one(&field.kind, value, &path)?);
    }
    Ok(taken)
}

fn one(kind: &FieldType, value: &Value, path: &str) -> Checked<Value> {
    // An empty text stands for no value, whatever the type.
    let simple = !matches!(kind, FieldType::Object(_) | FieldType::List(_));
    if simple && value.as_str() == Some("") {
        return Ok(value.clone());
    }
    match kind {
        FieldType::Any => Ok(value.clone()),
        FieldType::Text(max) => text(value, *max, path).map(Value::from),
        FieldType::Email(max) => email(value, *max, path),
        FieldType::Number => money::read(value).map(money::json).ok_or_else(|| {
            let detail = format!("Invalid Number : {path}");
            validation("2090", "Invalid Number", detail, path)
        }),
        FieldType::Bool => boolean(value).map(Value::from).ok_or_else(|| {
            let detail = format!("Invalid Boolean : {path}");
            validation("2230", "Invalid Boolean", detail, path)
        }),
        FieldType::Date => date(value, path),
        FieldType::Enum(names) => match value.as_str() {
            Some(name) if names.iter().any(|n| n == name) => Ok(json!(name)),
            _ => {
                let detail = format!("Invalid Enumeration : {}", plain(value));
                Err(validation("2170", "Invalid Enumeration", detail, path))
            }
        },
        FieldType::Object(name) => sub_object(name, value, path),
        FieldType::List(name) => match value {
            Value::Array(values) => values.iter().map(|v| sub_object(name, v, path)).collect(),
            _ => Err(wrong_type(path)),
        },
    }
}

fn sub_object(name: &str, value: &Value, path: &str) -> Checked<Value> {
    let (Value::Object(body), Some(fields)) = (value, SCHEMA.type_named(name)) else {
        return Err(wrong_type(path));
    };
    object(name, fields, body, path).map(Value::Object)
}

fn wrong_type(path: &str) -> Fault {
    validation("2120", "Invalid Type", format!("Invalid Type : {path}"), path)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn text(value: &Value, max: usize, path: &str) -> Checked<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        _ => return Err(wrong_type(path)),
    };
    let supplied = text.chars().count();
    if supplied > max {
        return Err(fault::length(path, max, supplied));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
        let detail = format!("Element contains invalid characters: {path}");
        return Err(validation("2040", "Invalid String", detail, path));
    }
    Ok(text)
}

fn email(value: &Value, max: usize, path: &str) -> Checked<Value> {
    let text = text(value, max, path)?;
    // The form accepts a list, so the field does, too.
    let all_right = text.split(',').all(|one| is_address(one.trim()));
    if !text.is_empty() && !all_right {
        let detail = format!(
            "Email Address does not conform to the syntax rules of RFC 822. Supplied value:{text}"
        );
        return Err(validation("2210", "Invalid Email Address format", detail, path));
    }
    Ok(json!(text))
}

fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let plain = |c: char| c.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~-.".contains(c);
    let dots = |part: &str| !part.starts_with('.') && !part.ends_with('.') && !part.contains("..");
    !local.is_empty()
        && local.chars().all(plain)
        && dots(local)
        && domain.contains('.')
        && dots(domain)
        && domain.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '.')
}

fn date(value: &Value, path: &str) -> Checked<Value> {
    let text = text(value, usize::MAX, path)?;
    // Clients send times, too; the day counts.
    let day = text.get(..10).unwrap_or(&text);
    match day.parse::<jiff::civil::Date>() {
        Ok(day) => Ok(json!(day.to_string())),
        Err(_) => {
            let detail = format!("Invalid Date Format : {path}. Supplied value:{text}");
            Err(validation("2060", "Invalid Date Format", detail, path))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(kind: Kind, body: Value) -> String {
        check(kind, &body).expect_err("must be refused").code
    }

    #[test]
    fn an_unknown_key_is_refused_at_any_depth() {
        let fault = check(Kind::Invoice, &json!({"line_items": []})).unwrap_err();
        assert_eq!(fault.code, "2010");
        assert!(fault.detail.unwrap().contains("Unrecognized field \"line_items\""));
        let deep = json!({"Line": [{"SalesItemLineDetail": {"Price": 3}}]});
        assert_eq!(code(Kind::Invoice, deep), "2010");
    }

    #[test]
    fn lengths_characters_and_formats_are_checked() {
        assert_eq!(code(Kind::Invoice, json!({"DocNumber": "x".repeat(22)})), "2050");
        assert_eq!(code(Kind::Customer, json!({"DisplayName": "a\u{1}b"})), "2040");
        let email = json!({"PrimaryEmailAddr": {"Address": "jane@@example"}});
        assert_eq!(code(Kind::Customer, email), "2210");
        assert_eq!(code(Kind::Invoice, json!({"TxnDate": "03.11.2026"})), "2060");
        assert_eq!(code(Kind::Item, json!({"Type": "Widget"})), "2170");
        assert_eq!(code(Kind::Item, json!({"UnitPrice": "cheap"})), "2090");
        assert_eq!(code(Kind::Item, json!({"Active": "perhaps"})), "2230");
    }

    #[test]
    fn nulls_and_read_only_fields_are_dropped() {
        let body = json!({"DocNumber": null, "TotalAmt": 5, "PrivateNote": "x"});
        assert_eq!(
            Value::Object(check(Kind::Invoice, &body).unwrap()),
            json!({"PrivateNote": "x"})
        );
    }
}
