//! The hub's tables as they are, value by value, read by other means than the extension's.

use super::{Changes, Fields, settled};
use anyhow::{Context, Result};
use postgres::Client;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Tables with their entity and, for lines, the column and the table of their document.
const TABLES: [(&str, &str, Option<&str>); 10] = [
    ("customers", "customers", None),
    ("products", "products", None),
    ("orders", "orders", None),
    ("refunds", "refunds", None),
    ("invoices", "invoices", None),
    ("payments", "payments", None),
    ("vendors", "vendors", None),
    ("bills", "bills", None),
    ("order_lines", "orders", Some("order_id")),
    ("refund_lines", "refunds", Some("refund_id")),
];

/// Every record, by entity and id where it was born, with its values by path.
#[derive(Debug, Clone, PartialEq)]
pub struct Hub(BTreeMap<(String, String), BTreeMap<String, Value>>);

impl Hub {
    pub fn read(db: &mut Client) -> Result<Self> {
        db.batch_execute("set time zone 'UTC'")?;
        let mut records: BTreeMap<(String, String), BTreeMap<String, Value>> = BTreeMap::new();
        for (table, entity, document) in TABLES {
            let query = query(db, table, entity, document)?;
            for row in db.query(&query, &[]).with_context(|| query.clone())? {
                let (id, prefix): (String, String) = (row.get(0), row.get(1));
                let values: Value = row.get(2);
                let record = records.entry((entity.to_owned(), id)).or_default();
                for (column, value) in values.as_object().context("a row is no object")? {
                    record.insert(format!("{prefix}{column}"), in_utc(value));
                }
            }
        }
        db.batch_execute("reset time zone")?;
        Ok(Self(records))
    }

    /// What it takes to get from this hub to that one. New records without nulls and empty JSON,
    /// as they are told of.
    pub fn until(&self, later: &Hub) -> Changes {
        let keys: BTreeSet<_> = self.0.keys().chain(later.0.keys()).collect();
        let none = BTreeMap::new();
        let mut changes = Changes::new();
        for key in keys {
            let old = self.0.get(key).unwrap_or(&none);
            let new = later.0.get(key).unwrap_or(&none);
            let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let value = |of: &BTreeMap<String, Value>, path: &String| {
                of.get(path).cloned().unwrap_or_default()
            };
            let fields: Fields = paths
                .into_iter()
                .filter(|path| !tells_nothing(old, new, path))
                .map(|path| (path.clone(), (value(old, path), value(new, path))))
                .collect();
            changes.insert(key.clone(), fields);
        }
        settled(changes)
    }
}

/// Empty JSON of a record or of a line that wasn't there; the hub's own id of either.
fn tells_nothing(old: &BTreeMap<String, Value>, new: &BTreeMap<String, Value>, path: &str) -> bool {
    let part = path.rfind('.').map_or("", |dot| &path[..=dot]);
    let is_new = !old.contains_key(&format!("{part}id"));
    let value = new.get(path);
    let is_empty = value == Some(&serde_json::json!({})) || value == Some(&serde_json::json!([]));
    is_new && (is_empty || path == format!("{part}id"))
}

fn query(db: &mut Client, table: &str, entity: &str, document: Option<&str>) -> Result<String> {
    let columns = db.query(
        "select column_name::text, data_type::text from information_schema.columns
          where table_schema = 'commerce' and table_name = $1 and column_name <> 'tenant_id'
            and column_name <> coalesce($2, '')",
        &[&table, &document],
    )?;
    let pairs: Vec<String> = columns
        .iter()
        .map(|row| {
            let (name, kind): (String, String) = (row.get(0), row.get(1));
            let cast = if kind == "numeric" { "::text" } else { "" };
            format!("'{name}', t.{name}{cast}")
        })
        .collect();
    let values = format!("jsonb_build_object({})", pairs.join(", "));
    Ok(match document {
        None => format!(
            "select coalesce(t.source_id, t.id::text), '', {values} from commerce.{table} t"
        ),
        Some(column) => format!(
            "select coalesce(d.source_id, d.id::text),
                    'lines[' || coalesce(t.source_id, t.id::text) || '].', {values}
               from commerce.{table} t join commerce.{entity} d on d.id = t.{column}"
        ),
    })
}

/// `2025-01-01T10:00:00+00:00` is told of as `2025-01-01T10:00:00Z`.
fn in_utc(value: &Value) -> Value {
    match value.as_str().and_then(|text| text.strip_suffix("+00:00")) {
        Some(time) if time.len() >= 19 && time.as_bytes()[10] == b'T' => {
            Value::String(format!("{time}Z"))
        }
        _ => value.clone(),
    }
}
