//! Statistics of tables that a load fills faster than autovacuum looks.
//!
//! A plan that Postgres made while a table was empty (its own checks of foreign keys keep such
//! plans, too) may take any index that begins like the key: a tenant's first load of 100,000 orders
//! then reads through all orders of the tenant for each line. ANALYZE, early and as the table grows
//! tenfold, has such plans made anew.

use super::lookup::{self, Relation};
use super::spi::{self, required};
use crate::error::DbResult;
use crate::host;
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
pub fn keep_up() -> DbResult<()> {
    let grown: Vec<(pg_sys::Oid, u64)> = GROWTH.with_borrow(|all| {
        all.iter().filter(|(_, g)| g.rows >= g.enough).map(|(table, g)| (*table, g.rows)).collect()
    });
    for (table, rows) in grown {
        let Some((relation, known)) = look_at(table)? else {
            GROWTH.with_borrow_mut(|all| all.remove(&table));
            continue;
        };
        let due = if known < LARGE { (known * 10).max(SMALL) } else { u64::MAX };
        let growth = if rows >= due {
            analyze(&relation)?;
            Growth { rows: 0, enough: (known + rows) * 10 }
        } else {
            Growth { rows, enough: due }
        };
        GROWTH.with_borrow_mut(|all| all.insert(table, growth));
    }
    Ok(())
}

/// Old statistics keep no record from landing: what speaks against new ones is left to autovacuum.
fn analyze(relation: &Relation) -> DbResult<()> {
    let sql = format!("analyze (skip_locked) {}", relation.qualified());
    let done = host::in_subtransaction(|| host::as_role(relation.owner, || spi::utility(&sql)));
    match done {
        Err(error) if error.is_transient() => Err(error),
        _ => Ok(()),
    }
}

/// The table and how many rows its statistics know of; none if it is gone.
fn look_at(table: pg_sys::Oid) -> DbResult<Option<(Relation, u64)>> {
    let found: Vec<(String, String, i64)> = spi::rows(
        "select n.nspname::text, c.relname::text, greatest(c.reltuples, 0)::bigint
           from pg_catalog.pg_class c
           join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          where c.oid = $1::oid",
        &[i64::from(table.to_u32()).into()],
        |row| Ok((required(row, 1)?, required(row, 2)?, required(row, 3)?)),
    )?;
    let Some((schema, name, known)) = found.into_iter().next() else { return Ok(None) };
    let relation = lookup::relation(&schema, &name)?;
    Ok(Some((relation, u64::try_from(known).unwrap_or(0))))
}
