//! `meta_data` as PHP keeps it: values lose their types on the way (reference, 7).

use super::record::{Record, number, objects, set, text};
use super::state::Shop;
use serde_json::{Map, Value};

/// A value as it comes back after it was stored; `None` when the key vanishes.
fn stored(value: &Value, top: bool) -> Option<Value> {
    Some(match value {
        Value::Null if top => return None,
        Value::Number(n) if top => Value::String(n.to_string()),
        Value::Bool(flag) if top => Value::String(if *flag { "1" } else { "" }.into()),
        Value::Object(map) => stored_map(map),
        Value::Array(items) => items.iter().filter_map(|v| stored(v, false)).collect(),
        other => other.clone(),
    })
}

/// PHP knows only arrays: `{}` and `{"0": .., "1": ..}` come back as lists.
fn stored_map(map: &Map<String, Value>) -> Value {
    let inner = |v: &Value| stored(v, false).unwrap_or_default();
    let is_list = map.keys().enumerate().all(|(at, key)| *key == at.to_string());
    match is_list {
        true => map.values().map(inner).collect(),
        false => Value::Object(map.iter().map(|(k, v)| (k.clone(), inner(v))).collect()),
    }
}

/// Puts the request's `meta_data` into the record's. Entries of one key collapse to the last.
pub fn write(shop: &mut Shop, record: &mut Record, body: &Record) {
    let Some(given) = body.get("meta_data").and_then(Value::as_array) else { return };
    for entry in given.iter().filter_map(Value::as_object) {
        write_one(shop, record, entry);
    }
}

fn write_one(shop: &mut Shop, record: &mut Record, entry: &Record) {
    let id = number(entry, "id");
    let by_id = objects(record, "meta_data").find(|m| id != 0 && number(m, "id") == id);
    let key = match text(entry, "key") {
        "" => by_id.map(|m| text(m, "key").to_owned()).unwrap_or_default(),
        key => key.to_owned(),
    };
    if key.is_empty() {
        return;
    }
    let value = stored(entry.get("value").unwrap_or(&Value::Null), true);
    let old = objects(record, "meta_data").find(|m| text(m, "key") == key).cloned();
    let new = match (value, old) {
        (None, _) => None,
        (Some(value), Some(mut old)) => {
            set(&mut old, "value", value);
            Some(Value::Object(old))
        }
        (Some(value), None) => Some(shop.meta_entry(&key, value)),
    };
    let Some(Value::Array(all)) = record.get_mut("meta_data") else { return };
    let place = all.iter().position(|m| m["key"] == key.as_str());
    match (place, new) {
        (Some(at), Some(new)) => all[at] = new,
        (Some(at), None) => drop(all.remove(at)),
        (None, Some(new)) => all.push(new),
        (None, None) => {}
    }
}

/// The same for a line, whose entries are shown twice over.
pub fn write_to_line(shop: &mut Shop, line: &mut Record, body: &Record) {
    write(shop, line, body);
    for entry in super::record::objects_mut(line, "meta_data") {
        if !entry.contains_key("display_key") {
            let (key, value) =
                (text(entry, "key").to_owned(), entry.get("value").cloned().unwrap_or_default());
            set(entry, "display_key", key);
            set(entry, "display_value", value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_lose_their_types_as_in_php() {
        let after = |value: Value| stored(&value, true);
        assert_eq!(after(json!({})), Some(json!([])));
        assert_eq!(after(json!({"0": "a", "1": "b"})), Some(json!(["a", "b"])));
        assert_eq!(after(json!(7)), Some(json!("7")));
        assert_eq!((after(json!(true)), after(json!(false))), (Some(json!("1")), Some(json!(""))));
        assert_eq!(after(Value::Null), None);
        assert_eq!(after(json!({"a": [1, null]})), Some(json!({"a": [1, null]})));
    }
}
