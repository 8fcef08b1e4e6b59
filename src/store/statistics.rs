//! Statistics of tables that a load fills faster than autovacuum looks.
//!
//! A plan that Postgres made while a table was empty (its own checks of foreign keys keep such
//! plans, too) may take any index that begins like the key: a tenant's first load of 100,000 orders
//! then reads through all orders of the tenant for each line. ANALYZE, early and as the table grows
//! tenfold, has such plans made anew.

use super::hub::{Hub, Relation};
use super::links;
use super::spi;
use crate::error::DbResult;
use crate::host;
use engine::model::TableId;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::HashMap;

thread_local! {
    static GROWTH: RefCell<HashMap<pg_sys::Oid, Growth>> = RefCell::default();
}

#[derive(Debug, Clone, Copy, Default)]
struct Growth {
    /// Rows copied in since statistics were looked at.
    rows: u64,
    /// So many are worth another look.
    enough: u64,
}

/// Below this any plan does.
const SMALL: u64 = 300;

/// From here on what statistics say holds for ten times as many rows, too, and looking costs more:
/// that is autovacuum's.
const LARGE: u64 = 3_000;

/// Rows were copied into a table.
pub fn note_growth(table: pg_sys::Oid, rows: u64) {
    GROWTH.with_borrow_mut(|all| {
        let growth = all.entry(table).or_default();
        growth.rows += rows;
        growth.enough = growth.enough.max(SMALL);
    });
}

/// Analyzes what has grown tenfold since it was analyzed last and is still small, within the transaction of the page
/// that made it so. A table that somebody else is busy with is passed over.
pub fn keep_up(hub: &mut Hub) -> DbResult<()> {
    let grown: Vec<(pg_sys::Oid, u64)> = GROWTH.with_borrow(|all| {
        all.iter().filter(|(_, g)| g.rows >= g.enough).map(|(table, g)| (*table, g.rows)).collect()
    });
    for (table, rows) in grown {
        let Some(place) = place(hub, table)? else { continue };
        let Some(known) = known_rows(table)? else {
            GROWTH.with_borrow_mut(|all| all.remove(&table));
            continue;
        };
        let due = if known < LARGE { (known * 10).max(SMALL) } else { u64::MAX };
        let growth = if rows >= due {
            analyze(&place)?;
            Growth { rows: 0, enough: (known + rows) * 10 }
        } else {
            Growth { rows, enough: due }
        };
        GROWTH.with_borrow_mut(|all| all.insert(table, growth));
    }
    Ok(())
}

/// A table that pages fill.
enum Place {
    Hub(Relation),
    /// The ledger's links, which are ours.
    Links,
}

/// Where a table is; none: in another tenant's hub, whose pages see to it.
fn place(hub: &mut Hub, table: pg_sys::Oid) -> DbResult<Option<Place>> {
    if links::table_oid()? == table {
        return Ok(Some(Place::Links));
    }
    let tables = TableId::ALL.iter();
    let found = tables.filter_map(|id| hub.opened(*id)).find(|found| found.oid == table);
    Ok(found.map(Place::Hub))
}

/// Old statistics keep no record from landing: what speaks against new ones is left to autovacuum.
fn analyze(place: &Place) -> DbResult<()> {
    let done = host::in_subtransaction(|| match place {
        Place::Hub(relation) => {
            relation.command(&format!("analyze (skip_locked) {}", relation.qualified()))
        }
        Place::Links => spi::run("select easysync_internal.analyze_links()", &[]).map(|_| ()),
    });
    match done {
        // The time of the job is over.
        Err(error) if error.sqlstate == "57014" => Err(error),
        _ => Ok(()),
    }
}

/// How many rows the statistics of a table know of; none if it is gone.
fn known_rows(table: pg_sys::Oid) -> DbResult<Option<u64>> {
    let known: Option<i64> = spi::one(
        "select greatest(c.reltuples, 0)::bigint from pg_catalog.pg_class c where c.oid = $1::oid",
        &[i64::from(table.to_u32()).into()],
    )?;
    Ok(known.map(|rows| u64::try_from(rows).unwrap_or(0)))
}
