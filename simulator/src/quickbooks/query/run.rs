//! Runs a query over a company's records.

use super::parse::{Condition, Operator, Query, Select, Value as Wanted};
use super::{invalid, parse_error};
use crate::quickbooks::company::Company;
use crate::quickbooks::fault::Checked;
use crate::quickbooks::kind::Kind;
use crate::quickbooks::schema::{FieldType, SCHEMA};
use crate::quickbooks::store::Record;
use crate::quickbooks::{money, times};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use std::cmp::Ordering;

/// A comparable value of a record or query.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Text(String),
    Number(Decimal),
    Bool(bool),
    Time(Timestamp),
    Null,
}

/// A property that may be asked for.
#[derive(Debug, Clone)]
struct Property {
    name: String,
    kind: FieldType,
}

/// The content of `QueryResponse`: rows, a count, or nothing at all.
///
/// Errors: 4001 for properties that don't exist or can't be asked for.
pub fn run(company: &Company, query: &Query, now: Timestamp) -> Checked<Value> {
    let conditions: Vec<(Property, &Condition)> = query
        .conditions
        .iter()
        .map(|c| Ok((property(query.kind, &c.property)?, c)))
        .collect::<Checked<_>>()?;
    check_operators(&conditions)?;
    let order: Vec<(Property, bool)> = query
        .order
        .iter()
        .map(|(name, descending)| Ok((property(query.kind, name)?, *descending)))
        .collect::<Checked<_>>()?;
    let wanted: Vec<Vec<Cell>> = conditions
        .iter()
        .map(|(property, c)| c.values.iter().map(|v| cell_of(company, property, v, now)).collect())
        .collect::<Checked<_>>()?;
    // Without a word about Active, lists show what is active.
    let all = query.conditions.iter().any(|c| c.property.eq_ignore_ascii_case("Active"));
    let hidden = |record: &Record| query.kind.has_active() && !all && !record.is_active();
    let mut rows: Vec<(u64, &Record)> = company
        .store
        .all(query.kind)
        .filter(|(_, record)| !hidden(record))
        .filter(|(id, record)| {
            conditions.iter().zip(&wanted).all(|((property, condition), values)| {
                holds(&cell(*id, record, property), condition.operator, values)
            })
        })
        .collect();
    if query.select == Select::Count {
        return Ok(json!({ "totalCount": rows.len() }));
    }
    sort(&mut rows, &order, query.kind);
    let page: Vec<Value> = rows
        .into_iter()
        .skip(query.start - 1)
        .take(query.max)
        .map(|(id, record)| record.render(id, &company.zone))
        .collect();
    Ok(response(query, page))
}

fn response(query: &Query, page: Vec<Value>) -> Value {
    if page.is_empty() {
        return json!({});
    }
    let mut response = Map::new();
    let count = page.len();
    response.insert(query.kind.name().into(), Value::Array(page));
    response.insert("startPosition".into(), json!(query.start));
    response.insert("maxResults".into(), json!(count));
    Value::Object(response)
}

fn property(kind: Kind, name: &str) -> Checked<Property> {
    let time = ["MetaData.CreateTime", "MetaData.LastUpdatedTime"];
    if let Some(time) = time.iter().find(|t| t.eq_ignore_ascii_case(name)) {
        return Ok(Property { name: (*time).to_owned(), kind: FieldType::Any });
    }
    let plain = name.strip_suffix(".value").unwrap_or(name);
    let plain = plain.strip_suffix(".Address").unwrap_or(plain);
    let head = plain.split('.').next().unwrap_or(plain);
    let found = SCHEMA.entity(kind).iter().find(|(n, _)| n.eq_ignore_ascii_case(head));
    let Some((name_there, field)) = found else {
        return Err(invalid(&format!("Property {name} not found for Entity {}", kind.name())));
    };
    match field.filterable && head == plain {
        true => Ok(Property { name: name_there.clone(), kind: field.kind.clone() }),
        false => Err(invalid(&format!("property '{name}' is not queryable"))),
    }
}

fn check_operators(conditions: &[(Property, &Condition)]) -> Checked<()> {
    for (property, condition) in conditions {
        let few = matches!(condition.operator, Operator::Equal | Operator::In);
        if property.name == "Id" && !few {
            return Err(invalid("Operator is not supported for property Id"));
        }
    }
    Ok(())
}

fn cell_of(
    company: &Company,
    property: &Property,
    value: &Wanted,
    now: Timestamp,
) -> Checked<Cell> {
    let text = match value {
        Wanted::Bool(value) => return Ok(Cell::Bool(*value)),
        Wanted::CurrentDate => times::today(now, &company.zone).to_string(),
        Wanted::Text(text) if text == " " => return Ok(Cell::Null),
        Wanted::Text(text) => text.clone(),
    };
    let wrong =
        || parse_error(format!("QueryParserError: Invalid value '{text}' for {}", property.name));
    if property.name.starts_with("MetaData.") {
        return times::read(&text, &company.zone).map(Cell::Time).ok_or_else(wrong);
    }
    match property.kind {
        FieldType::Number => text.trim().parse().map(Cell::Number).map_err(|_| wrong()),
        FieldType::Bool => match text.to_ascii_lowercase().parse() {
            Ok(value) => Ok(Cell::Bool(value)),
            Err(_) => Err(wrong()),
        },
        _ => Ok(Cell::Text(text.to_lowercase())),
    }
}

fn cell(id: u64, record: &Record, property: &Property) -> Cell {
    match property.name.as_str() {
        "Id" => return Cell::Text(id.to_string()),
        "MetaData.CreateTime" => return Cell::Time(seconds(record.created)),
        "MetaData.LastUpdatedTime" => return Cell::Time(seconds(record.updated)),
        _ => {}
    }
    let value = record.data.get(&property.name).unwrap_or(&Value::Null);
    match (value, &property.kind) {
        (Value::Null, FieldType::Bool) => Cell::Bool(true),
        (Value::Null, _) => Cell::Null,
        (value, FieldType::Number) => money::read(value).map_or(Cell::Null, Cell::Number),
        (Value::Bool(value), _) => Cell::Bool(*value),
        (Value::Object(object), _) => {
            let inner = object.get("value").or_else(|| object.get("Address"));
            inner.and_then(Value::as_str).map_or(Cell::Null, |t| Cell::Text(t.to_lowercase()))
        }
        (value, _) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            Cell::Text(text.to_lowercase())
        }
    }
}

/// Records show whole seconds, so that is what is compared.
fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn compare(one: &Cell, other: &Cell) -> Option<Ordering> {
    match (one, other) {
        (Cell::Text(a), Cell::Text(b)) => Some(a.cmp(b)),
        (Cell::Number(a), Cell::Number(b)) => Some(a.cmp(b)),
        (Cell::Bool(a), Cell::Bool(b)) => Some(a.cmp(b)),
        (Cell::Time(a), Cell::Time(b)) => Some(a.cmp(b)),
        (Cell::Null, Cell::Null) => Some(Ordering::Equal),
        _ => None,
    }
}

fn holds(cell: &Cell, operator: Operator, wanted: &[Cell]) -> bool {
    let Some(first) = wanted.first() else { return false };
    let order = compare(cell, first);
    match operator {
        Operator::Equal => order == Some(Ordering::Equal),
        Operator::NotEqual => order != Some(Ordering::Equal),
        Operator::Less => order == Some(Ordering::Less),
        Operator::Greater => order == Some(Ordering::Greater),
        Operator::LessOrEqual => order.is_some_and(|o| o != Ordering::Greater),
        Operator::GreaterOrEqual => order.is_some_and(|o| o != Ordering::Less),
        Operator::In => wanted.iter().any(|w| compare(cell, w) == Some(Ordering::Equal)),
        Operator::Like => match (cell, first) {
            (Cell::Text(text), Cell::Text(pattern)) => like(text, pattern),
            _ => false,
        },
    }
}

/// `%` stands for anything; nothing else is special.
fn like(text: &str, pattern: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('%') else { return text == pattern };
    let Some(mut left) = text.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('%').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

/// Ties and queries without an order: transactions from the latest, lists from the first.
fn sort(rows: &mut [(u64, &Record)], order: &[(Property, bool)], kind: Kind) {
    rows.sort_by(|(id, one), (other_id, other)| {
        for (property, descending) in order {
            let cells = (cell(*id, one, property), cell(*other_id, other, property));
            let by = compare(&cells.0, &cells.1).unwrap_or(match cells {
                (Cell::Null, _) => Ordering::Less,
                _ => Ordering::Greater,
            });
            let by = if *descending { by.reverse() } else { by };
            if by != Ordering::Equal {
                return by;
            }
        }
        match kind.is_transaction() && order.is_empty() {
            true => other_id.cmp(id),
            false => id.cmp(other_id),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn percent_stands_for_anything() {
        assert!(like("maya okafor", "maya%"));
        assert!(like("maya okafor", "%oka%r"));
        assert!(!like("maya okafor", "oka%"));
        assert!(!like("a", "a%a"));
        assert!(like("10.5", "10.5"));
    }
}
