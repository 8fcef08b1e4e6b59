//! A page that is only looked at: what stands for rows that aren't written, and what the database
//! would refuse.

use super::apply::{Work, line_scope};
use super::journal::Journal;
use crate::error::DbResult;
use crate::store::diff::Fields;
use crate::store::hub::Hub;
use crate::store::lines;
use crate::store::links::{self, Link};
use crate::store::look::RowState;
use crate::store::rows::References;
use crate::store::spi::{self, required};
use engine::model::{Cell, ColumnKind, Entity, Presence, Record, Row, TableId};
use engine::store::{Counts, Stream};
use std::collections::{HashMap, HashSet};

/// Defaults of a table's columns, as expressions: what a new row holds that no rule writes. Empty
/// for a page that is written.
pub fn defaults(journal: &Journal<'_>, table: TableId) -> DbResult<HashMap<String, String>> {
    if journal.writes() {
        return Ok(HashMap::new());
    }
    let rows = spi::rows(
        "select column_name, pg_catalog.substring(rest, $form$default ('[^']*'|[^ ]+)$form$)
           from easysync_internal.hub_columns()
          where table_name = $1 and rest like '%default %' and column_name <> 'tenant_id'
            and rest not like '%by default%'",
        &[table.table().name.into()],
        |row| Ok((required(row, 1)?, required(row, 2)?)),
    )?;
    Ok(rows.into_iter().collect())
}

/// Takes from `ids` those that this run has planned something for.
pub fn resolve(
    entity: Entity,
    ids: &mut HashSet<&str>,
    references: &mut References,
    journal: &Journal<'_>,
) {
    let Some(overlay) = &journal.look else { return };
    ids.retain(|id| {
        let planned = overlay.link(entity, id).and_then(|link| link.hub_id);
        if let Some(hub_id) = planned {
            references.documents.insert((entity, (*id).to_owned()), hub_id);
        }
        planned.is_none()
    });
}

/// The lines of orders that this run has planned something for.
pub fn resolve_lines(orders: &[i64], references: &mut References, journal: &Journal<'_>) {
    let Some(overlay) = &journal.look else { return };
    for order in orders {
        if let Some(lines) = overlay.lines(*order) {
            references.lines.retain(|(of, _), _| of != order);
            let planned = lines.iter().map(|(source, id)| ((*order, source.clone()), *id));
            references.lines.extend(planned);
        }
    }
}

/// Of compared rows, those that would be there.
pub fn there(
    entity: Entity,
    compared: &HashMap<i64, Fields>,
    journal: &Journal<'_>,
) -> HashSet<i64> {
    let is_there = |id: &i64| journal.row_state(entity, *id) != Some(RowState::Removed);
    compared.keys().copied().filter(is_there).collect()
}

/// Leaves out records that the database would refuse, for want of a value that a column must have.
pub fn refuse(
    work: &mut Vec<Work<'_>>,
    references: &mut References,
    counts: &mut Counts,
    journal: &mut Journal<'_>,
) {
    work.retain(|item| {
        let Some(column) = missing(item.record, references) else { return true };
        let reason = format!("it would fail: {column} has no value");
        journal.refuse(item.record, item.hub_id, &reason);
        references.documents.remove(&(item.record.entity, item.record.remote_id.clone()));
        counts.failed += 1;
        false
    });
}

/// A column that must have a value and has none.
fn missing(record: &Record, references: &References) -> Option<&'static str> {
    let scope = line_scope(record, references);
    let of_row = |row: &Row| {
        let cells = row.table.table().columns.iter().zip(&row.cells);
        cells.filter(|(column, _)| column.not_null).find_map(|(column, cell)| {
            let is_missing = match (cell, column.kind) {
                (Cell::Null, _) => true,
                (Cell::Ref(id), ColumnKind::Ref(entity)) => {
                    !references.documents.contains_key(&(entity, id.clone()))
                }
                (Cell::Ref(id), ColumnKind::LineRef) => {
                    !scope.is_some_and(|s| references.lines.contains_key(&(s, id.clone())))
                }
                _ => false,
            };
            is_missing.then_some(column.name)
        })
    };
    std::iter::once(&record.row).chain(&record.lines).find_map(of_row)
}

/// What later pages of the run have to know of these records.
pub fn note_work(
    hub: &mut Hub,
    stream: &Stream,
    entity: Entity,
    work: &[Work<'_>],
    journal: &mut Journal<'_>,
) -> DbResult<()> {
    let orders: Vec<i64> = match entity {
        Entity::Orders => work.iter().map(|item| item.hub_id).filter(|id| *id > 0).collect(),
        _ => vec![],
    };
    let known = lines::of_orders(hub, stream.connection.tenant.as_str(), &orders)?;
    let Some(overlay) = &mut journal.look else { return Ok(()) };
    for item in work {
        let trashed = item.record.presence == Presence::Trashed;
        let link = Link { hub_id: Some(item.hub_id), hash: item.hash.clone(), deleted: trashed };
        overlay.set_link(entity, &item.record.remote_id, link);
        let state = if trashed { RowState::Gone } else { RowState::Present };
        overlay.set_row(entity, item.hub_id, state);
        if entity == Entity::Orders {
            overlay.set_lines(item.record, item.hub_id, &known);
            let named = item.record.raw.as_deref().and_then(links::refunds_named);
            if let Some(refunds) = named {
                overlay.set_refunds(&item.record.remote_id, refunds);
            }
        }
    }
    Ok(())
}

/// Gives places to records that would be made, in their order, before anything refers to them.
pub fn reserve(work: &[Work<'_>], journal: &mut Journal<'_>) {
    let Some(overlay) = &mut journal.look else { return };
    for item in work.iter().filter(|item| item.hub_id < 0) {
        overlay.reserve(item.record, item.hub_id);
    }
}
