//! Lines of documents. They keep their hub ids when a document changes: other rows refer to them.

use super::diff::{self, Fields};
use super::hub::Hub;
use super::rows::{Outgoing, References, Target};
use super::spi::{Arg, required};
use crate::error::{DbError, DbResult};
use engine::model::{Cell, Row, TableId};
use engine::store::Stream;
use serde_json::json;
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
/// deleted. What that changes goes to the `fields` of their documents, but for new ones. With `looks`
/// (values of columns that no rule writes) nothing is written, and new documents are told of, too.
pub fn write(
    hub: &mut Hub,
    stream: &Stream,
    table: TableId,
    documents: &[Document<'_>],
    references: &References,
    looks: Option<&HashMap<String, String>>,
    fields: &mut HashMap<i64, Fields>,
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
            let id = known.remove(&(document.hub_id, line_id(row).to_owned()));
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
    let writes = looks.is_none();
    let gone = note_removed(hub, &target, table, &gone, writes, fields)?;
    let compared = target.changed(&updates, writes)?;
    let updated: HashSet<i64> = match writes {
        true => {
            delete(hub, &target, table, gone)?;
            target.settled(&compared, target.update(&updates)?)?
        }
        false => compared.keys().copied().collect(),
    };
    // Deleted here between the two statements: it comes back.
    let (there, back): (Vec<_>, Vec<_>) =
        updates.into_iter().partition(|u| u.id.is_some_and(|id| updated.contains(&id)));
    note_changed(&there, compared, fields);
    inserts.extend(back.into_iter().map(|outgoing| Outgoing { id: None, ..outgoing }));
    match looks {
        Some(defaults) => {
            let all: Vec<i64> = documents.iter().map(|document| document.hub_id).collect();
            note_added(&target, &inserts, &all, defaults, fields)
        }
        None => {
            note_added(&target, &inserts, &changed, &HashMap::new(), fields)?;
            target.insert(&inserts)
        }
    }
}

/// A line's id on its platform.
fn line_id(row: &Row) -> &str {
    match row.cell("source_id") {
        Cell::Text(id) => id,
        _ => "",
    }
}

/// Lines that stay, with what differs in them.
fn note_changed(
    lines: &[Outgoing<'_>],
    mut compared: HashMap<i64, Fields>,
    fields: &mut HashMap<i64, Fields>,
) {
    for line in lines {
        let found = line.id.and_then(|id| compared.remove(&id)).unwrap_or_default();
        let of_document = fields.entry(line.parent.unwrap_or_default()).or_default();
        diff::add_line(of_document, line_id(line.row), found);
    }
}

/// Lines that are new in one of `documents`.
fn note_added(
    target: &Target<'_>,
    lines: &[Outgoing<'_>],
    documents: &[i64],
    defaults: &HashMap<String, String>,
    fields: &mut HashMap<i64, Fields>,
) -> DbResult<()> {
    let documents: HashSet<i64> = documents.iter().copied().collect();
    for line in lines {
        if let Some(parent) = line.parent.filter(|parent| documents.contains(parent)) {
            let added = target.added(line, defaults)?;
            diff::add_line(fields.entry(parent).or_default(), line_id(line.row), added);
        }
    }
    Ok(())
}

/// Lines that go, with all that they hold; what refers to them lets go of them. Returns those that were
/// there.
fn note_removed(
    hub: &mut Hub,
    target: &Target<'_>,
    table: TableId,
    ids: &[i64],
    lock: bool,
    fields: &mut HashMap<i64, Fields>,
) -> DbResult<Vec<i64>> {
    let mut parents = HashMap::new();
    for line in target.removed(ids, lock)? {
        let parent = line.parent.unwrap_or_default();
        parents.insert(line.id, parent);
        let name = line.source_id.unwrap_or_else(|| line.id.to_string());
        diff::add_line(fields.entry(parent).or_default(), &name, line.fields);
    }
    let found: Vec<i64> = parents.keys().copied().collect();
    if table != TableId::OrderLines || parents.is_empty() {
        return Ok(found);
    }
    for (line, path) in refund_lines_of(hub, target.tenant, ids)? {
        let value = json!({ "old": line, "new": null });
        if let Some(parent) = parents.get(&line) {
            fields.entry(*parent).or_default().insert(path, value);
        }
    }
    Ok(found)
}

/// Lines of refunds that speak of order lines: of which one, and the path by which that is shown.
fn refund_lines_of(hub: &mut Hub, tenant: &str, ids: &[i64]) -> DbResult<Vec<(i64, String)>> {
    let lines = hub.table(TableId::RefundLines)?;
    let refunds = hub.table(TableId::Refunds)?;
    let sql = format!(
        "select l.order_line_id,
                pg_catalog.format('refunds[%s].lines[%s].order_line_id',
                                  coalesce(r.source_id, r.id::text), coalesce(l.source_id, l.id::text))
           from {} as l
           join {} as r on r.tenant_id = l.tenant_id and r.id = l.refund_id
          where l.tenant_id = $1 and l.order_line_id = any ($2)
          order by l.id",
        lines.qualified(),
        refunds.qualified(),
    );
    let args = [tenant.into(), Arg::Ints(ids.iter().copied().map(Some).collect())];
    lines.rows(&sql, &args, |row| Ok((required(row, 1)?, required(row, 2)?)))
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
    let rows = target
        .relation
        .rows(&sql, &args, |row| Ok(((required(row, 1)?, required(row, 2)?), required(row, 3)?)))?;
    Ok(rows.into_iter().collect())
}

fn delete(hub: &mut Hub, target: &Target<'_>, table: TableId, ids: Vec<i64>) -> DbResult<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let expected = ids.len();
    let args = [target.tenant.into(), Arg::Ints(ids.into_iter().map(Some).collect())];
    if table == TableId::OrderLines {
        // A refund's line outlives the order's line that it speaks of.
        let refund_lines = hub.table(TableId::RefundLines)?;
        let sql = format!(
            "update {} set order_line_id = null where tenant_id = $1 and order_line_id = any ($2)",
            refund_lines.qualified()
        );
        refund_lines.run(&sql, &args)?;
    }
    let sql = format!(
        "delete from {} where tenant_id = $1 and id = any ($2)",
        target.relation.qualified()
    );
    if target.relation.run(&sql, &args)? < expected {
        return Err(DbError::swallowed(&target.relation.qualified(), "DELETE"));
    }
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
