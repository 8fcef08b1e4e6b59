//! Canonical models: what a record is in the hub, whatever platform it came from.

mod entity;
mod record;
mod schema;

pub use entity::{ConnectionName, Direction, Entity, Mode, TenantId};
pub use record::{
    Cell, ContentHash, Presence, Record, RecordFailure, Related, Row, label, label_column,
};
pub use schema::{Column, ColumnKind, Table, TableId};
