//! What a column of the hub keeps of one record at most. Checked when a record is mapped, for every
//! connector: what is larger fails by the name of its field, and the other records go on.
//! `docs/reference/limits.md` lists the same values.
//!
//! Postgres has limits of its own, and some show too late: an index takes a row of 2,704 bytes at the
//! most.

use super::check_json;
use crate::model::{Cell, Column, ColumnKind};
use std::borrow::Cow;

/// Bytes of a text that is part of an index of the hub: numbers, statuses, SKUs, e-mails, ids. An index
/// row has room for 2,704, the tenant's name among them.
pub const KEY_BYTES: usize = 1_000;

/// Bytes of any other text.
pub const TEXT_BYTES: usize = 4 << 20;

/// Years of times and dates.
pub const FIRST_YEAR: i16 = 1;
pub const LAST_YEAR: i16 = 9999;

/// Columns of hub tables that an index holds (`sql/40_hub_tables.sql`).
const KEYS: [&str; 6] = ["number", "status", "sku", "email", "currency", "source_id"];

/// Why a value can't be kept; without the value, which may be personal data.
pub type Reason = Cow<'static, str>;

/// May the column hold the cell?
pub fn check(column: &Column, cell: &Cell) -> Result<(), Reason> {
    let most = if KEYS.contains(&column.name) { KEY_BYTES } else { TEXT_BYTES };
    match cell {
        Cell::Text(text) => bytes(text, most),
        Cell::Ref(id) => bytes(id, KEY_BYTES),
        Cell::Json(text) => check_json(text).map_err(|excess| excess.to_string().into()),
        Cell::Time(time) => year(time.to_zoned(jiff::tz::TimeZone::UTC).year()),
        Cell::Date(date) => year(date.year()),
        Cell::Int(value) if column.kind == ColumnKind::Int && i32::try_from(*value).is_err() => {
            Err("is a number out of range".into())
        }
        // Decimals hold 29 digits at the most.
        _ => Ok(()),
    }
}

fn bytes(text: &str, most: usize) -> Result<(), Reason> {
    match text.len() > most {
        true => Err(format!("is longer than {most} bytes").into()),
        false => Ok(()),
    }
}

fn year(year: i16) -> Result<(), Reason> {
    match (FIRST_YEAR..=LAST_YEAR).contains(&year) {
        true => Ok(()),
        false => Err(format!("is not within the years {FIRST_YEAR} to {LAST_YEAR}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TableId;

    #[test]
    fn texts_times_and_whole_numbers_have_their_limits() {
        let orders = TableId::Orders.table();
        let column = |name: &str| &orders.columns[orders.column(name).expect(name)];
        let text = |length: usize| Cell::Text("x".repeat(length));
        assert!(check(column("number"), &text(KEY_BYTES)).is_ok());
        assert!(check(column("number"), &text(KEY_BYTES + 1)).is_err());
        assert!(check(column("customer_note"), &text(KEY_BYTES + 1)).is_ok());
        assert!(check(column("customer_note"), &text(TEXT_BYTES + 1)).is_err());
        assert!(check(column("customer_id"), &Cell::Ref("7".repeat(KEY_BYTES + 1))).is_err());
        let time = |text: &str| Cell::Time(text.parse().expect(text));
        assert!(check(column("paid_at"), &time("0001-01-02T00:00:00Z")).is_ok());
        assert!(check(column("paid_at"), &time("-000044-03-15T00:00:00Z")).is_err());
        let lines = TableId::OrderLines.table();
        let number = &lines.columns[lines.column("line_number").expect("line_number")];
        assert!(check(number, &Cell::Int(i64::from(i32::MAX))).is_ok());
        assert!(check(number, &Cell::Int(i64::from(i32::MAX) + 1)).is_err());
    }
}
