//! One record of a platform in canonical form.

use super::{Entity, TableId};
use crate::error::Error;
use jiff::Timestamp;
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// First byte of the canonical form. A change of the form raises it: every record then counts as
/// changed once, and never wrongly as unchanged.
const CANONICAL_FORM: u8 = 1;

/// SHA-256 over the canonical form, cut to 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 16]);

/// One value of a hub column. Text holds no NUL: Postgres can't store one (woocommerce.md, 7).
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// No rule writes the column: a new row takes its default, an old one keeps what it has.
    Unset,
    Null,
    Text(String),
    Decimal(Decimal),
    Int(i64),
    Bool(bool),
    Time(Timestamp),
    Date(jiff::civil::Date),
    /// Serialised JSON that `jsonb` accepts (no `\u0000`).
    Json(String),
    /// Remote id of a record on the same connection; the store puts the hub id in its place, or
    /// null where the hub has no such row.
    Ref(String),
}

/// Cells in the order of the table's columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub table: TableId,
    pub cells: Vec<Cell>,
}

impl Row {
    /// Bytes that it takes in memory, roughly.
    fn weight(&self) -> usize {
        let texts = self.cells.iter().map(|cell| match cell {
            Cell::Text(text) | Cell::Json(text) | Cell::Ref(text) => text.len(),
            _ => 0,
        });
        self.cells.len() * size_of::<Cell>() + texts.sum::<usize>()
    }

    pub fn cell(&self, name: &str) -> &Cell {
        self.table.table().column(name).map_or(&Cell::Null, |i| &self.cells[i])
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// In the shop's ordinary lists.
    Live,
    /// In the shop's trash: stored only where the hub has the row already.
    Trashed,
}

/// "The records of `entity` that belong to this one are exactly these": others that the hub holds
/// for it are gone there.
#[derive(Debug, Clone, PartialEq)]
pub struct Related {
    pub entity: Entity,
    pub remote_ids: Vec<String>,
}

/// One record, mapped. A page holds them in dependency order (a guest before the order, a parent
/// before its variations).
#[derive(Debug, Clone)]
pub struct Record {
    pub entity: Entity,
    /// The id where it was born; `guest:<email>` for a customer made from an order.
    pub remote_id: String,
    /// `order`, `product`, `variation`, `customer`, `guest`, `refund`.
    pub remote_type: &'static str,
    /// What people call it: order number, SKU, masked e-mail.
    pub label: String,
    pub presence: Presence,
    pub row: Row,
    /// Lines, each with its `source_id`.
    pub lines: Vec<Row>,
    pub related: Vec<Related>,
    /// The platform's JSON, byte for byte. None for what has no JSON of its own (guests).
    pub raw: Option<Arc<str>>,
    pub hash: ContentHash,
    /// Written only where the hub has no such row yet (a guest read from an older order).
    pub keep_existing: bool,
}

/// The column that a record is called by.
pub fn label_column(entity: Entity) -> &'static str {
    match entity {
        Entity::Customers => "email",
        Entity::Products => "sku",
        Entity::Vendors => "display_name",
        Entity::Payments => "reference",
        _ => "number",
    }
}

/// What people call a record: the value of [`label_column`], masked where it is somebody's own,
/// or, where there is none, its id.
pub fn label(entity: Entity, called: Option<&str>, id: &str) -> String {
    match (entity, called) {
        (_, None) => id.to_owned(),
        (Entity::Customers | Entity::Vendors | Entity::Payments, Some(text)) => {
            crate::mask::label(&crate::mask::text(text))
        }
        (_, Some(text)) => crate::mask::label(text),
    }
}

impl Record {
    /// Bytes that it takes in memory, roughly. A line of `{}` takes hundreds.
    pub fn weight(&self) -> usize {
        let related = self.related.iter().flat_map(|related| &related.remote_ids);
        size_of::<Record>()
            + self.row.weight()
            + self.lines.iter().map(Row::weight).sum::<usize>()
            + related.map(|id| id.len() + size_of::<String>()).sum::<usize>()
            + self.raw.as_ref().map_or(0, |raw| raw.len())
    }

    /// [`label`] of a row on its way into the hub.
    pub fn label_of(entity: Entity, row: &Row, remote_id: &str) -> String {
        let called = match row.cell(label_column(entity)) {
            Cell::Text(text) => Some(text.as_str()),
            _ => None,
        };
        label(entity, called, remote_id)
    }

    /// Can it only be stored once another record is there (a refund's order)? A store that refuses
    /// it for want of that tries it again: the other may still come.
    pub fn needs_another(&self) -> bool {
        let columns = self.row.table.table().columns;
        columns
            .iter()
            .zip(&self.row.cells)
            .any(|(column, cell)| column.not_null && matches!(cell, Cell::Ref(_)))
    }

    /// The hash of what the hub would hold: entity, presence, every cell, every line, what belongs
    /// to it. Whitespace, key order and fields that are not mapped don't count.
    pub fn content_hash(
        entity: Entity,
        presence: Presence,
        row: &Row,
        lines: &[Row],
        related: &[Related],
    ) -> ContentHash {
        let mut hasher = Hasher(Sha256::new());
        hasher.0.update([CANONICAL_FORM, entity as u8, presence as u8]);
        hasher.row(row);
        hasher.0.update((lines.len() as u32).to_be_bytes());
        lines.iter().for_each(|line| hasher.row(line));
        for set in related {
            hasher.0.update([b'r', set.entity as u8]);
            set.remote_ids.iter().for_each(|id| hasher.text(b'i', id));
        }
        let digest = hasher.0.finalize();
        let mut hash = [0; 16];
        hash.copy_from_slice(&digest[..16]);
        ContentHash(hash)
    }
}

struct Hasher(Sha256);

impl Hasher {
    fn row(&mut self, row: &Row) {
        self.0.update([b'R', row.table as u8]);
        row.cells.iter().for_each(|cell| self.cell(cell));
    }

    /// A tag and a length before each value, so that no two rows run into the same bytes.
    fn text(&mut self, tag: u8, text: &str) {
        self.0.update([tag]);
        self.0.update((text.len() as u32).to_be_bytes());
        self.0.update(text.as_bytes());
    }

    fn cell(&mut self, cell: &Cell) {
        match cell {
            Cell::Unset => self.0.update(b"u"),
            Cell::Null => self.0.update(b"0"),
            Cell::Text(text) => self.text(b't', text),
            // 1.0 and 1.00 are the same amount.
            Cell::Decimal(value) => {
                let value = value.normalize();
                self.0.update(b"d");
                self.0.update(value.serialize());
            }
            Cell::Int(value) => {
                self.0.update(b"n");
                self.0.update(value.to_be_bytes());
            }
            Cell::Bool(value) => self.0.update([b'b', u8::from(*value)]),
            Cell::Time(value) => {
                self.0.update(b"m");
                self.0.update(value.as_microsecond().to_be_bytes());
            }
            Cell::Date(value) => self.text(b'D', &value.to_string()),
            Cell::Json(text) => self.text(b'j', text),
            Cell::Ref(id) => self.text(b'f', id),
        }
    }
}

/// A record that couldn't be read or stored. It stays visible until it can.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordFailure {
    pub entity: Entity,
    pub remote_id: String,
    pub label: String,
    pub error: Error,
    pub raw: Option<Arc<str>>,
}

impl RecordFailure {
    /// Bytes that it takes in memory, roughly.
    pub fn weight(&self) -> usize {
        size_of::<RecordFailure>()
            + self.error.message.len()
            + self.raw.as_ref().map_or(0, |raw| raw.len())
    }
}
