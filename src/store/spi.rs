//! Statements over SPI, with kept plans.
//!
//! The rows of a result are copied out ([`Row`]) and the statement is over before any of them is
//! read: whoever reads a row may run statements of its own.

use super::row::{FromColumn, Row};
use crate::error::{DbError, DbResult};
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::OwnedPreparedStatement;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

thread_local! {
    static PLANS: RefCell<HashMap<String, Rc<OwnedPreparedStatement>>> = RefCell::default();
}

/// Plans kept at most: statements are few, but hub schemas may be many.
const MOST_PLANS: usize = 500;

/// A parameter, with its type.
#[derive(Debug, Clone)]
pub enum Arg {
    Text(Option<String>),
    Int(Option<i64>),
    Int4(Option<i32>),
    Bool(Option<bool>),
    Json(Option<serde_json::Value>),
    Texts(Vec<Option<String>>),
    Ints(Vec<Option<i64>>),
    /// A null array of `bigint`.
    NoInts,
    Bytes(Option<Vec<u8>>),
    ByteArrays(Vec<Option<Vec<u8>>>),
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Arg::Text(Some(text.to_owned()))
    }
}

impl From<Option<&str>> for Arg {
    fn from(text: Option<&str>) -> Self {
        Arg::Text(text.map(str::to_owned))
    }
}

impl From<i64> for Arg {
    fn from(value: i64) -> Self {
        Arg::Int(Some(value))
    }
}

impl From<i32> for Arg {
    fn from(value: i32) -> Self {
        Arg::Int4(Some(value))
    }
}

impl Arg {
    fn oid(&self) -> pg_sys::PgOid {
        use pg_sys::BuiltinOid as B;
        pg_sys::PgOid::BuiltIn(match self {
            Arg::Text(_) => B::TEXTOID,
            Arg::Int(_) => B::INT8OID,
            Arg::Int4(_) => B::INT4OID,
            Arg::Bool(_) => B::BOOLOID,
            Arg::Json(_) => B::JSONBOID,
            Arg::Texts(_) => B::TEXTARRAYOID,
            Arg::Ints(_) | Arg::NoInts => B::INT8ARRAYOID,
            Arg::Bytes(_) => B::BYTEAOID,
            Arg::ByteArrays(_) => B::BYTEAARRAYOID,
        })
    }

    fn datum(&self) -> DatumWithOid<'static> {
        match self.clone() {
            Arg::Text(value) => value.into(),
            Arg::Int(value) => value.into(),
            Arg::Int4(value) => value.into(),
            Arg::Bool(value) => value.into(),
            Arg::Json(value) => value.map(pgrx::JsonB).into(),
            Arg::Texts(value) => value.into(),
            Arg::Ints(value) => value.into(),
            Arg::NoInts => None::<Vec<Option<i64>>>.into(),
            Arg::Bytes(value) => value.into(),
            Arg::ByteArrays(value) => value.into(),
        }
    }
}

/// Runs a statement and hands its rows to `read`, one by one, once it is over. The plan is kept under
/// the statement's text.
pub fn rows<R>(sql: &str, args: &[Arg], read: impl FnMut(&Row) -> DbResult<R>) -> DbResult<Vec<R>> {
    execute(sql, args)?.rows.iter().map(read).collect()
}

/// Runs a statement for its effect; returns how many rows it touched or returned.
pub fn run(sql: &str, args: &[Arg]) -> DbResult<usize> {
    Ok(execute(sql, args)?.processed)
}

/// The first column of the first row.
pub fn one<T: FromColumn>(sql: &str, args: &[Arg]) -> DbResult<Option<T>> {
    execute(sql, args)?.rows.first().map_or(Ok(None), |row| row.get(1))
}

/// Runs a command that has no plan to keep.
pub fn utility(sql: &str) -> DbResult<()> {
    Spi::connect_mut(|client| client.update(sql, None, &[]).map(|_| ()))?;
    Ok(())
}

/// What a statement left behind.
struct Executed {
    processed: usize,
    rows: Vec<Row>,
}

fn execute(sql: &str, args: &[Arg]) -> DbResult<Executed> {
    Spi::connect_mut(|client| {
        // Not borrowed while the statement runs: a trigger that it fires has statements of its own.
        let kept = PLANS.with_borrow(|plans| plans.get(sql).cloned());
        let plan = match kept {
            Some(plan) => plan,
            None => {
                let types: Vec<pg_sys::PgOid> = args.iter().map(Arg::oid).collect();
                let plan = Rc::new(match is_query(sql) {
                    true => client.prepare(sql, &types)?.keep(),
                    false => client.prepare_mut(sql, &types)?.keep(),
                });
                PLANS.with_borrow_mut(|plans| {
                    if plans.len() >= MOST_PLANS {
                        plans.clear();
                    }
                    plans.insert(sql.to_owned(), Rc::clone(&plan));
                });
                plan
            }
        };
        let datums: Vec<DatumWithOid<'static>> = args.iter().map(Arg::datum).collect();
        let left = || -> DbResult<Executed> {
            let processed = usize::try_from(unsafe { pg_sys::SPI_processed }).unwrap_or(usize::MAX);
            Ok(Executed { processed, rows: Row::all()? })
        };
        match is_query(sql) {
            true => with_own_writes(|| {
                client.select(&*plan, None, &datums)?;
                left()
            }),
            false => {
                client.update(&*plan, None, &datums)?;
                left()
            }
        }
    })
}

/// A query sees what this transaction has written before it. SPI takes care of that only for
/// statements that may write; a read-only one gets the snapshot of the job's beginning.
fn with_own_writes<R>(query: impl FnOnce() -> DbResult<R>) -> DbResult<R> {
    unsafe {
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
    }
    let result = query();
    // An error of Postgres unwinds past this: the rollback of the (sub)transaction pops it then.
    unsafe { pg_sys::PopActiveSnapshot() };
    result
}

/// A query takes no transaction id (an idle look at the queue must not use one up); every other
/// statement does, by pgrx's way, before it runs.
pub fn is_query(sql: &str) -> bool {
    sql.starts_with("select")
}

/// A column that must have a value.
pub fn required<T: FromColumn>(row: &Row, column: usize) -> DbResult<T> {
    row.get::<T>(column)?
        .ok_or_else(|| DbError::new("22004", format!("column {column} of a result is null")))
}
