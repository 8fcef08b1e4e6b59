//! The mapping engine: rules are data. A connector's defaults are JSON files, an account's own
//! rules come on top by their targets, and both are compiled once into a program of columns and
//! operations that reads each record in one pass.
//!
//! A record that can't be mapped fails alone, with the names of its fields; nothing is guessed and
//! no garbage becomes 0. "" and null are no value. Money is [`rust_decimal::Decimal`], read from
//! the digits that were sent. NUL is taken out of texts and JSON: Postgres can't store one.

mod catalogue;
mod cell;
mod compile;
mod json;
mod path;
mod pipeline;
mod program;
mod rule;
mod time;
mod transform;
mod value;

#[cfg(test)]
mod tests;

pub use catalogue::{CATALOGUE, TransformInfo};
pub use compile::{Shape, compile};
pub use json::money;
pub use program::{Context, FieldError, Mapped, Program, split_page};
pub use rule::{Origin, Problem, Rule, merge, parse};
pub use value::decimal;

use crate::model::{Cell, Row};

/// A row as a JSON object, for people: what `preview_mapping` shows. Amounts are strings.
pub fn row_json(row: &Row) -> String {
    let mut out = String::from("{");
    for (column, cell) in row.table.table().columns.iter().zip(&row.cells) {
        if *cell == Cell::Unset {
            continue;
        }
        if out.len() > 1 {
            out.push(',');
        }
        json::text(column.name, &mut out);
        out.push(':');
        match cell {
            Cell::Unset | Cell::Null => out.push_str("null"),
            Cell::Text(text) | Cell::Ref(text) => json::text(text, &mut out),
            Cell::Decimal(value) => json::text(&value.to_string(), &mut out),
            Cell::Int(value) => out.push_str(&value.to_string()),
            Cell::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Cell::Time(value) => json::text(&value.to_string(), &mut out),
            Cell::Date(value) => json::text(&value.to_string(), &mut out),
            Cell::Json(json) => out.push_str(json),
        }
    }
    out.push('}');
    out
}

/// A mapped record as one JSON object: the row, and `lines` where it has any.
pub fn mapped_json(mapped: &Mapped) -> String {
    let mut out = row_json(&mapped.row);
    if !mapped.lines.is_empty() {
        out.pop();
        out.push_str(",\"lines\":[");
        let lines: Vec<String> = mapped.lines.iter().map(row_json).collect();
        out.push_str(&lines.join(","));
        out.push_str("]}");
    }
    out
}
