//! Lines of documents. They keep their hub ids when a document changes: other rows refer to them.

use super::lookup::Hub;
use super::rows::{Outgoing, References, Target};
use super::spi::{self, Arg, required};
use crate::error::DbResult;
use crate::host;
use engine::model::{Cell, Row, TableId};
use engine::store::Stream;
use std::collections::{HashMap, HashSet};

/// A document whose lines are written: its hub id, whether it is new, and its lines.
pub struct Document<'a> {
    pub hub_id: i64,
    pub is_new: bool,
    pub lines: &'a [Row],
    /// The order that a refund's lines refer to.
    pub line_scope: Option<i64>,
}

/// Writes the lines of documents: new ones inserted, known ones updated, those that are gone
/// deleted.
pub fn write(
    hub: &mut Hub,
    stream: &Stream,
    table: TableId,
    documents: &[Document<'_>],
    references: &References,
) -> DbResult<()> {
    let relation = hub.table(table)?;
    let target = Target {
        relation: &relation,
        table: table.table(),
        tenant: stream.connection.tenant.as_str(),
        connection: stream.connection.name.as_str(),
        references,
    };
    let changed: Vec<i64> = documents.iter().filter(|d| !d.is_new).map(|d| d.hub_id).collect();
    let mut known = existing(&target, &changed)?;
    let (mut inserts, mut updates) = (vec![], vec![]);
    for document in documents {
        for row in document.lines {
            let id = match row.cell("source_id") {
                Cell::Text(source_id) => known.remove(&(document.hub_id, source_id.clone())),
                _ => None,
            };
            let outgoing = Outgoing {
                id,
                parent: Some(document.hub_id),
                row,
                line_scope: document.line_scope,
            };
            if id.is_some() { &mut updates } else { &mut inserts }.push(outgoing);
        }
    }
    let gone: Vec<i64> = known.into_values().collect();
    delete(hub, &target, table, gone)?;
    let updated: HashSet<i64> = target.update(&updates)?.into_iter().collect();
    // Deleted here between the two statements: it comes back.
    inserts.extend(
        updates
            .into_iter()
            .filter(|u| u.id.is_some_and(|id| !updated.contains(&id)))
            .map(|outgoing| Outgoing { id: None, ..outgoing }),
    );
    target.insert(&inserts)
}

/// Lines that documents have, by document and source id. Lines born here (without a source id) are
/// left alone.
fn existing(target: &Target<'_>, documents: &[i64]) -> DbResult<HashMap<(i64, String), i64>> {
    let Some(parent) = target.table.parent_column.filter(|_| !documents.is_empty()) else {
        return Ok(HashMap::new());
    };
    let sql = format!(
        "select l.{parent}, l.source_id, l.id
           from pg_catalog.unnest($2::bigint[]) as u (id)
          cross join lateral (select k.{parent}, k.source_id, k.id from {table} k
                               where k.tenant_id = $1 and k.{parent} = u.id
                                 and k.source_id is not null offset 0) as l",
        table = target.relation.qualified(),
    );
    let args = [target.tenant.into(), Arg::Ints(documents.iter().copied().map(Some).collect())];
    let rows = spi::rows(&sql, &args, |row| {
        Ok(((required(row, 1)?, required(row, 2)?), required(row, 3)?))
    })?;
    Ok(rows.into_iter().collect())
}

fn delete(hub: &mut Hub, target: &Target<'_>, table: TableId, ids: Vec<i64>) -> DbResult<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let args = [target.tenant.into(), Arg::Ints(ids.into_iter().map(Some).collect())];
    if table == TableId::OrderLines {
        // A refund's line outlives the order's line that it speaks of.
        let refund_lines = hub.table(TableId::RefundLines)?;
        let sql = format!(
            "update {} set order_line_id = null where tenant_id = $1 and order_line_id = any ($2)",
            refund_lines.qualified()
        );
        host::as_role(refund_lines.owner, || spi::run(&sql, &args))?;
    }
    let sql = format!(
        "delete from {} where tenant_id = $1 and id = any ($2)",
        target.relation.qualified()
    );
    host::as_role(target.relation.owner, || spi::run(&sql, &args))?;
    Ok(())
}

/// Order lines of orders, for refunds that refer to them.
pub fn of_orders(
    hub: &mut Hub,
    tenant: &str,
    orders: &[i64],
) -> DbResult<HashMap<(i64, String), i64>> {
    if orders.is_empty() {
        return Ok(HashMap::new());
    }
    let relation = hub.table(TableId::OrderLines)?;
    let references = References::default();
    let target = Target {
        relation: &relation,
        table: TableId::OrderLines.table(),
        tenant,
        connection: "",
        references: &references,
    };
    existing(&target, orders)
}
