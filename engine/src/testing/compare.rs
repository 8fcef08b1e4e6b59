//! Does the hub hold what the shop has?

use super::connector::is_live;
use super::shop::Shop;
use super::store::{HubRow, MemStore, State, Stored};
use crate::model::{Cell, ColumnKind, Entity, Record, TableId};

/// Every difference between hub and shop, in words; empty: they are equal. `pending` allows
/// references that lead nowhere yet, where the link says so.
pub fn differences(store: &MemStore, shop: &Shop, pending: bool) -> Vec<String> {
    store.look(|state| {
        let mut found = vec![];
        let mut live: Vec<(Entity, String)> = vec![];
        for record in everything(shop) {
            let key = (record.entity, record.remote_id.clone());
            if is_live(record.presence) {
                live.push(key);
            }
            if let Some(difference) = missing_or_other(state, &record, shop, pending) {
                found.push(format!("{} {}: {difference}", record.remote_type, record.remote_id));
            }
        }
        for ((entity, id), link) in &state.links {
            let row = state.rows.get(&link.hub_id);
            let shown = !link.deleted || row.is_some_and(|row| !row.deleted);
            let guest = id.starts_with("guest:");
            if shown
                && !guest
                && !live.contains(&(*entity, id.clone()))
                && !unreadable(shop, *entity, id)
            {
                found.push(format!("{entity} {id}: in the hub, and not in the shop"));
            }
        }
        found
    })
}

/// All readable records of the shop.
fn everything(shop: &Shop) -> Vec<Record> {
    let ids = [
        (Entity::Customers, shop.customers.keys().copied().collect::<Vec<_>>()),
        (Entity::Products, shop.products.keys().copied().collect()),
        (
            Entity::Orders,
            shop.orders.iter().filter(|(_, o)| !o.item.broken).map(|(id, _)| *id).collect(),
        ),
        (Entity::Refunds, shop.refunds.keys().copied().collect()),
    ];
    ids.into_iter()
        .flat_map(|(entity, ids)| ids.into_iter().flat_map(move |id| shop.records(entity, id)))
        .collect()
}

fn unreadable(shop: &Shop, entity: Entity, id: &str) -> bool {
    let order = id.parse().ok().and_then(|id: i64| shop.orders.get(&id));
    entity == Entity::Orders && order.is_some_and(|order| order.item.broken)
}

fn missing_or_other(state: &State, record: &Record, shop: &Shop, pending: bool) -> Option<String> {
    let link = state.links.get(&(record.entity, record.remote_id.clone()));
    if waits_for_its_order(record, shop) {
        return None;
    }
    let Some(link) = link else {
        // In the trash at first sight: not stored.
        return is_live(record.presence).then(|| "missing".to_owned());
    };
    let Some(row) = state.rows.get(&link.hub_id) else {
        return Some("has a link and no row".into());
    };
    if row.deleted == is_live(record.presence) {
        return Some(format!("deleted is {}, presence is {:?}", row.deleted, record.presence));
    }
    if record.keep_existing {
        return None;
    }
    if state.failures.contains_key(&(record.entity, record.remote_id.clone())) {
        return Some("is readable and still counts as failed".into());
    }
    row_differs(state, record, row, pending && link.refs_pending)
}

/// A refund of an order that is in the trash, or can't be read.
fn waits_for_its_order(record: &Record, shop: &Shop) -> bool {
    let Cell::Ref(order) = record.row.cell("order_id") else { return false };
    let order = order.parse().ok().and_then(|id: i64| shop.orders.get(&id));
    record.entity == Entity::Refunds && order.is_some_and(|o| o.item.trashed || o.item.broken)
}

fn row_differs(state: &State, record: &Record, row: &HubRow, pending: bool) -> Option<String> {
    let mut pairs = vec![(&record.row, row.cells.as_slice())];
    if record.lines.len() != row.lines.len() {
        return Some(format!("{} lines, {} in the shop", row.lines.len(), record.lines.len()));
    }
    pairs.extend(
        record.lines.iter().zip(&row.lines).map(|(line, held)| (line, held.cells.as_slice())),
    );
    for (expected, held) in pairs {
        let columns = expected.table.table().columns;
        for ((column, cell), held) in columns.iter().zip(&expected.cells).zip(held) {
            let equal = match (cell, held) {
                (Cell::Ref(_), Stored::Id(None)) => {
                    pending || leads_nowhere(state, column.kind, cell)
                }
                (Cell::Ref(id), Stored::Id(Some(hub_id))) => {
                    leads_to(state, column.kind, id, *hub_id)
                }
                (cell, Stored::Value(held)) => cell == held,
                _ => false,
            };
            if !equal {
                return Some(format!("{} is {held:?}, {cell:?} in the shop", column.name));
            }
        }
    }
    None
}

fn leads_to(state: &State, kind: ColumnKind, remote_id: &str, hub_id: i64) -> bool {
    match kind {
        ColumnKind::Ref(entity) => {
            let link = state.links.get(&(entity, remote_id.to_owned()));
            link.is_some_and(|link| link.hub_id == hub_id)
        }
        _ => state
            .rows_of(TableId::Orders)
            .flat_map(|(_, row)| &row.lines)
            .any(|line| line.id == hub_id && line.source_id == remote_id),
    }
}

/// What the hub doesn't hold can't be referred to.
fn leads_nowhere(state: &State, kind: ColumnKind, cell: &Cell) -> bool {
    match (kind, cell) {
        (ColumnKind::Ref(entity), Cell::Ref(id)) => {
            !state.links.contains_key(&(entity, id.clone()))
        }
        (_, Cell::Ref(id)) => !state
            .rows_of(TableId::Orders)
            .flat_map(|(_, row)| &row.lines)
            .any(|line| line.source_id == *id),
        _ => false,
    }
}
