//! Are the hub's tables what they are taken for? Asked when a record could not be written: a column that
//! was renamed, or a right that was taken away, is no record's fault.

use crate::error::DbResult;
use crate::host;
use crate::store::hub::{Hub, Relation};
use engine::model::{Entity, Record, Table, TableId};
use engine::store::Stream;
use std::collections::BTreeSet;

/// Checks the tables of the stream and of the records, without writing to them: EXPLAIN asks for
/// columns, types and rights as the statement itself does, and fires no trigger.
pub fn tables(hub: &mut Hub, stream: &Stream, records: &[&Record]) -> DbResult<()> {
    for (relation, id) in relations(hub, stream, records)? {
        host::in_subtransaction(|| table(&relation, id.table()))?;
    }
    Ok(())
}

/// The tables of the stream and of the records.
pub fn relations(
    hub: &mut Hub,
    stream: &Stream,
    records: &[&Record],
) -> DbResult<Vec<(Relation, TableId)>> {
    let mut entities: Vec<Entity> = records.iter().map(|record| record.entity).collect();
    entities.push(stream.entity);
    let tables: BTreeSet<TableId> = entities
        .into_iter()
        .filter_map(TableId::of)
        .flat_map(|(table, lines)| std::iter::once(table).chain(lines))
        .collect();
    tables.into_iter().map(|id| Ok((hub.table(id)?, id))).collect()
}

fn table(relation: &Relation, table: &Table) -> DbResult<()> {
    let mut names = vec!["tenant_id", "id", table.parent_column.unwrap_or("source_connection")];
    names.extend(table.columns.iter().map(|column| column.name));
    let (target, names) = (relation.qualified(), names.join(", "));
    let same: Vec<String> =
        table.columns.iter().map(|column| format!("{0} = t.{0}", column.name)).collect();
    for statement in [
        format!(
            "insert into {target} ({names}) overriding system value select {names} from {target} where false"
        ),
        format!("update {target} as t set {} where false", same.join(", ")),
        format!("delete from {target} where false"),
    ] {
        relation.command(&format!("explain {statement}"))?;
    }
    Ok(())
}
