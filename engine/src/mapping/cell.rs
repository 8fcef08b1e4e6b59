//! The last step: a value becomes a cell of its column's kind, or says why it can't.

use super::json;
use super::transform::{integer, to_bool, to_decimal, to_text};
use super::value::{Reason, Val};
use crate::model::{Cell, ColumnKind};

/// What a column of that kind holds, for messages.
pub fn words(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Text => "text",
        ColumnKind::Decimal => "a decimal number",
        ColumnKind::Int => "a whole number",
        ColumnKind::Bool => "true or false",
        ColumnKind::Time => "a time",
        ColumnKind::Date => "a date",
        ColumnKind::Json => "JSON",
        ColumnKind::Ref(_) | ColumnKind::LineRef => "a record's id on the platform",
    }
}

/// "" and null are no value in every kind.
pub fn make(val: Val<'_>, kind: ColumnKind) -> Result<Cell, Reason> {
    if val.is_absent() {
        return Ok(Cell::Null);
    }
    Ok(match kind {
        ColumnKind::Text => Cell::Text(without_nul(to_text(val)?.into_owned())),
        ColumnKind::Decimal => Cell::Decimal(to_decimal(&val)?),
        ColumnKind::Int => Cell::Int(integer(&val)?),
        ColumnKind::Bool => Cell::Bool(to_bool(&val)?),
        ColumnKind::Time => match val {
            Val::Time(time) => Cell::Time(time),
            Val::Text(text) => Cell::Time(text.parse().map_err(
                |_| "is not a time with an offset (the transforms utc and local_time read others)",
            )?),
            other => return Err(format!("is {}, not a time", other.describe()).into()),
        },
        ColumnKind::Date => match val {
            Val::Time(time) => Cell::Date(time.to_zoned(jiff::tz::TimeZone::UTC).date()),
            Val::Text(text) => Cell::Date(text.parse().map_err(|_| "is not a date")?),
            other => return Err(format!("is {}, not a date", other.describe()).into()),
        },
        ColumnKind::Json => Cell::Json(keyed(&val)?),
        ColumnKind::Ref(_) | ColumnKind::LineRef => match to_text(val)? {
            // An id of 0 is no id.
            id if id.trim() == "0" => Cell::Null,
            id => Cell::Ref(without_nul(id.into_owned())),
        },
    })
}

/// A value as JSON, for a member of an object.
pub fn keyed(val: &Val<'_>) -> Result<String, Reason> {
    let mut out = String::new();
    json::write(val, &mut out)?;
    Ok(out)
}

fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "") } else { text }
}
