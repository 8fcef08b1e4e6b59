//! The shop's things as canonical records: what a connector makes of them, and what the hub must
//! hold in the end.

use super::shop::{Order, Product, Refund, Shop};
use crate::model::{Cell, ColumnKind, Entity, Presence, Record, Related, Row, TableId};
use jiff::Timestamp;
use rust_decimal::Decimal;
use std::sync::Arc;

/// What a customer without an account is known by.
pub fn guest_id(order: i64) -> String {
    format!("guest:buyer{}@mail.test", order % 7)
}

impl Shop {
    /// The records of one thing, in dependency order; empty where the shop has none of that id.
    pub fn records(&self, entity: Entity, id: i64) -> Vec<Record> {
        match entity {
            Entity::Customers => {
                let customer = self.customers.get(&id);
                customer.map(|c| vec![customer_record(id, c.revision, c.modified)])
            }
            Entity::Products => self
                .products
                .iter()
                .find(|(own, p)| **own == id || p.variations.contains_key(&id))
                .map(|(own, p)| product_records(*own, p)),
            Entity::Orders => self.orders.get(&id).map(|order| self.order_records(id, order)),
            Entity::Refunds => self.refunds.get(&id).map(|r| vec![refund_record(id, r)]),
            _ => None,
        }
        .unwrap_or_default()
    }

    fn order_records(&self, id: i64, order: &Order) -> Vec<Record> {
        let guest = order.customer == 0;
        let customer = if guest { guest_id(id) } else { order.customer.to_string() };
        let item = &order.item;
        let row = Cells::new(TableId::Orders, item.modified)
            .set("number", Cell::Text(id.to_string()))
            .set("total", amount(id, item.revision))
            .set("customer_id", Cell::Ref(customer.clone()))
            .set("source_id", Cell::Text(id.to_string()))
            .gone(item.trashed, item.modified);
        let lines = order.lines.iter().enumerate().map(|(n, (line, product))| {
            let product = if *product == 0 { Cell::Null } else { Cell::Ref(product.to_string()) };
            Cells::new(TableId::OrderLines, item.modified)
                .set("line_number", Cell::Int(n as i64 + 1))
                .set("product_id", product)
                .set("total", amount(*line, item.revision))
                .set("source_id", Cell::Text(line.to_string()))
                .row
        });
        let refunds = self.refunds.iter().filter(|(_, r)| r.order == id);
        let refunds = refunds.map(|(id, _)| id.to_string()).collect();
        let related = vec![Related { entity: Entity::Refunds, remote_ids: refunds }];
        let presence = if item.trashed { Presence::Trashed } else { Presence::Live };
        let order = record(
            Entity::Orders,
            id.to_string(),
            "order",
            presence,
            row.row,
            lines.collect(),
            related,
        );
        if guest && presence == Presence::Live {
            vec![guest_record(customer, item.modified), order]
        } else {
            vec![order]
        }
    }
}

fn customer_record(id: i64, revision: u64, modified: Timestamp) -> Record {
    let row = Cells::new(TableId::Customers, modified)
        .set("display_name", Cell::Text(format!("customer {id} r{revision}")))
        .set("source_id", Cell::Text(id.to_string()));
    record(Entity::Customers, id.to_string(), "customer", Presence::Live, row.row, vec![], vec![])
}

fn guest_record(id: String, modified: Timestamp) -> Record {
    let row = Cells::new(TableId::Customers, modified)
        .set("is_guest", Cell::Bool(true))
        .set("source_id", Cell::Text(id.clone()));
    let guest = record(Entity::Customers, id, "guest", Presence::Live, row.row, vec![], vec![]);
    Record { keep_existing: true, raw: None, ..guest }
}

fn product_records(id: i64, product: &Product) -> Vec<Record> {
    let item = &product.item;
    let presence = if item.trashed { Presence::Trashed } else { Presence::Live };
    let row = Cells::new(TableId::Products, item.modified)
        .set("price", amount(id, item.revision))
        .set("source_id", Cell::Text(id.to_string()))
        .gone(item.trashed, item.modified);
    let ids = product.variations.keys().map(i64::to_string).collect();
    let related = vec![Related { entity: Entity::Products, remote_ids: ids }];
    let parent =
        record(Entity::Products, id.to_string(), "product", presence, row.row, vec![], related);
    let variations = product.variations.iter().map(|(variation, revision)| {
        let row = Cells::new(TableId::Products, item.modified)
            .set("parent_id", Cell::Ref(id.to_string()))
            .set("price", amount(*variation, *revision))
            .set("source_id", Cell::Text(variation.to_string()))
            .gone(item.trashed, item.modified);
        record(
            Entity::Products,
            variation.to_string(),
            "variation",
            presence,
            row.row,
            vec![],
            vec![],
        )
    });
    std::iter::once(parent).chain(variations).collect()
}

fn refund_record(id: i64, refund: &Refund) -> Record {
    let row = Cells::new(TableId::Refunds, refund.item.modified)
        .set("order_id", Cell::Ref(refund.order.to_string()))
        .set("amount", amount(id, refund.item.revision))
        .set("source_id", Cell::Text(id.to_string()));
    let lines = refund.lines.iter().map(|(line, of)| {
        Cells::new(TableId::RefundLines, refund.item.modified)
            .set("order_line_id", Cell::Ref(of.to_string()))
            .set("source_id", Cell::Text(line.to_string()))
            .row
    });
    record(
        Entity::Refunds,
        id.to_string(),
        "refund",
        Presence::Live,
        row.row,
        lines.collect(),
        vec![],
    )
}

fn amount(id: i64, revision: u64) -> Cell {
    let cents = id * 100 + i64::try_from(revision % 100).unwrap_or(0);
    Cell::Decimal(Decimal::new(cents, 2))
}

fn record(
    entity: Entity,
    remote_id: String,
    remote_type: &'static str,
    presence: Presence,
    row: Row,
    lines: Vec<Row>,
    related: Vec<Related>,
) -> Record {
    let hash = Record::content_hash(entity, presence, &row, &lines, &related);
    let raw = Some(Arc::from(format!("{{\"id\":\"{remote_id}\"}}")));
    Record {
        entity,
        label: remote_id.clone(),
        remote_id,
        remote_type,
        presence,
        row,
        lines,
        related,
        raw,
        hash,
        keep_existing: false,
    }
}

/// A row whose required columns hold something of their kind.
struct Cells {
    row: Row,
}

impl Cells {
    fn new(table: TableId, modified: Timestamp) -> Self {
        let cells = table.table().columns.iter().map(|column| match column.kind {
            _ if !column.not_null => Cell::Null,
            ColumnKind::Text => Cell::Text(column.name.to_owned()),
            ColumnKind::Decimal => Cell::Decimal(Decimal::ONE),
            ColumnKind::Int => Cell::Int(1),
            ColumnKind::Bool => Cell::Bool(false),
            ColumnKind::Time => Cell::Time(modified),
            ColumnKind::Json => Cell::Json("{}".to_owned()),
            ColumnKind::Date | ColumnKind::Ref(_) | ColumnKind::LineRef => Cell::Null,
        });
        Cells { row: Row { table, cells: cells.collect() } }
    }

    fn set(mut self, column: &str, cell: Cell) -> Self {
        if let Some(index) = self.row.table.table().column(column) {
            self.row.cells[index] = cell;
        }
        self
    }

    fn gone(self, trashed: bool, at: Timestamp) -> Self {
        if trashed { self.set("deleted_at", Cell::Time(at)) } else { self }
    }
}
