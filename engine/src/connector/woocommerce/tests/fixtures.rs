//! Recorded JSON, and the programs of the default rules.

use crate::connector::woocommerce::defaults::{self, Programs};
use crate::model::{Cell, Entity, Row};
use rust_decimal::Decimal;
use std::path::PathBuf;
use std::sync::Arc;

/// The text of a recorded file.
pub fn read(path: &str) -> String {
    let file =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/woocommerce").join(path);
    std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

pub fn response(name: &str) -> String {
    read(&format!("responses/{name}.json"))
}

pub fn programs(entity: Entity) -> Arc<Programs> {
    defaults::programs(entity, None).expect("the defaults compile")
}

pub fn decimal(row: &Row, column: &str) -> Decimal {
    match row.cell(column) {
        Cell::Decimal(value) => *value,
        other => panic!("{column} is {other:?}"),
    }
}

pub fn text<'r>(row: &'r Row, column: &str) -> &'r str {
    match row.cell(column) {
        Cell::Text(text) | Cell::Ref(text) | Cell::Json(text) => text,
        other => panic!("{column} is {other:?}"),
    }
}
