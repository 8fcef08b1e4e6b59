//! The settings as a published JSON schema (draft 2020-12) and as a table for the documentation.

use super::keys::{KEYS, Key, Kind};
use super::shape::expected;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// The JSON schema of a QuickBooks connection's settings.
pub fn json_schema() -> Value {
    let mut schema = object(KEYS);
    let mut whole = Map::new();
    whole.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    whole.insert("title".into(), json!("Settings of a QuickBooks connection"));
    if let Value::Object(rest) = &mut schema {
        whole.append(rest);
    }
    Value::Object(whole)
}

fn object(keys: &[Key]) -> Value {
    let properties: Map<String, Value> =
        keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    json!({"type": "object", "additionalProperties": false, "properties": properties})
}

fn property(key: &Key) -> Value {
    let mut value = schema_of(&key.kind);
    if let Value::Object(map) = &mut value {
        map.insert("description".into(), json!(key.doc));
        // No default stands as null in the table.
        if key.default != "null"
            && let Ok(default) = serde_json::from_str::<Value>(key.default)
        {
            map.insert("default".into(), default);
        }
    }
    value
}

fn schema_of(kind: &Kind) -> Value {
    match kind {
        Kind::Text(max) => json!({"type": "string", "minLength": 1, "maxLength": max}),
        Kind::Blank(max) => json!({"type": "string", "maxLength": max}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Word(words) => json!({"enum": words}),
        Kind::Date => json!({"type": "string", "format": "date"}),
        Kind::Zone => json!({"type": "string", "examples": ["America/New_York"]}),
        Kind::Url => json!({"type": "string", "format": "uri"}),
        Kind::Whole(from, to) => json!({"type": "integer", "minimum": from, "maximum": to}),
        Kind::Positive => json!({"type": ["number", "string"], "exclusiveMinimum": 0}),
        Kind::List(kind) => json!({"type": "array", "items": schema_of(kind)}),
        Kind::Map(kind) => json!({"type": "object", "additionalProperties": schema_of(kind)}),
        Kind::Or(one, other) => json!({"anyOf": [schema_of(one), schema_of(other)]}),
        Kind::Object(keys) => object(keys),
    }
}

/// The keys as a Markdown table: key, value, default, meaning. Nested keys have dotted names.
pub fn markdown() -> String {
    let mut text = String::from("| key | value | default | meaning |\n|---|---|---|---|\n");
    rows(KEYS, "", &mut text);
    text
}

fn rows(keys: &[Key], path: &str, text: &mut String) {
    for key in keys {
        let name = format!("{path}{}", key.name);
        if let Kind::Object(nested) = key.kind {
            rows(nested, &format!("{name}."), text);
            continue;
        }
        let default = match (key.required, key.default) {
            (true, _) => "required".to_owned(),
            (false, "null") => "none".to_owned(),
            (false, default) => format!("`{}`", default.trim_matches('"')),
        };
        // Writing to a String can't fail.
        let _ = writeln!(text, "| `{name}` | {} | {default} | {} |", expected(&key.kind), key.doc);
    }
}
