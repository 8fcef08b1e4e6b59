//! A row of a result, copied out of Postgres' memory: reading it touches nothing of Postgres.

use crate::error::{DbError, DbResult};
use pgrx::{FromDatum, pg_sys};
use serde_json::Value;
use std::ffi::CStr;

/// A column's value. What isn't listed is text, as Postgres writes it.
#[derive(Debug, Clone)]
pub enum Column {
    Null,
    Text(String),
    Int(i64),
    Int4(i32),
    Int2(i16),
    Bool(bool),
    Bytes(Vec<u8>),
    Texts(Vec<Option<String>>),
    Ints4(Vec<Option<i32>>),
}

/// One row of a result.
#[derive(Debug)]
pub struct Row(Vec<Column>);

impl Row {
    /// The rows of the statement that SPI has just carried out. Must be called within its connection.
    pub(super) fn all() -> DbResult<Vec<Row>> {
        unsafe {
            let table = pg_sys::SPI_tuptable;
            if table.is_null() {
                return Ok(vec![]);
            }
            let (tuples, description) = ((*table).vals, (*table).tupdesc);
            let columns = (*description).natts;
            let types: Vec<pg_sys::Oid> =
                (1..=columns).map(|n| pg_sys::SPI_gettypeid(description, n)).collect();
            let count = usize::try_from((*table).numvals).unwrap_or(0);
            let mut rows = Vec::with_capacity(count);
            for at in 0..count {
                let mut row = Vec::with_capacity(types.len());
                for (n, of_type) in (1..=columns).zip(&types) {
                    let mut is_null = false;
                    let datum =
                        pg_sys::SPI_getbinval(*tuples.add(at), description, n, &raw mut is_null);
                    row.push(if is_null { Column::Null } else { Column::copied(datum, *of_type)? });
                }
                rows.push(Row(row));
            }
            Ok(rows)
        }
    }

    /// The value of a column, counted from 1.
    pub fn get<T: FromColumn>(&self, column: usize) -> DbResult<Option<T>> {
        let found = column.checked_sub(1).and_then(|index| self.0.get(index));
        match found {
            None => Err(DbError::new("XX000", format!("a result has no column {column}"))),
            Some(Column::Null) => Ok(None),
            Some(value) => T::from_column(value).map(Some).map_err(|problem| {
                DbError::new("22023", format!("column {column} of a result {problem}"))
            }),
        }
    }
}

impl Column {
    /// # Safety
    ///
    /// `datum` is a value of `of_type`, and not null.
    unsafe fn copied(datum: pg_sys::Datum, of_type: pg_sys::Oid) -> DbResult<Column> {
        let missing = || DbError::new("XX000", "a column of a result can't be copied");
        unsafe {
            Ok(match of_type {
                pg_sys::TEXTOID | pg_sys::VARCHAROID => {
                    Column::Text(String::from_datum(datum, false).ok_or_else(missing)?)
                }
                pg_sys::INT8OID => Column::Int(i64::from_datum(datum, false).ok_or_else(missing)?),
                pg_sys::INT4OID => Column::Int4(i32::from_datum(datum, false).ok_or_else(missing)?),
                pg_sys::INT2OID => Column::Int2(i16::from_datum(datum, false).ok_or_else(missing)?),
                pg_sys::BOOLOID => {
                    Column::Bool(bool::from_datum(datum, false).ok_or_else(missing)?)
                }
                pg_sys::BYTEAOID => {
                    Column::Bytes(Vec::<u8>::from_datum(datum, false).ok_or_else(missing)?)
                }
                pg_sys::TEXTARRAYOID => Column::Texts(
                    Vec::<Option<String>>::from_datum(datum, false).ok_or_else(missing)?,
                ),
                pg_sys::INT4ARRAYOID => {
                    Column::Ints4(Vec::<Option<i32>>::from_datum(datum, false).ok_or_else(missing)?)
                }
                // As Postgres writes it: jsonb among them, which is parsed by whoever reads it, so
                // that one document that can't be read spoils one row.
                other => {
                    let (mut output, mut is_varlena) = (pg_sys::InvalidOid, false);
                    pg_sys::getTypeOutputInfo(other, &raw mut output, &raw mut is_varlena);
                    let text = pg_sys::OidOutputFunctionCall(output, datum);
                    let copied = CStr::from_ptr(text).to_string_lossy().into_owned();
                    pg_sys::pfree(text.cast());
                    Column::Text(copied)
                }
            })
        }
    }
}

/// What a column can be read as. The error says what is wrong with it, not what it holds.
pub trait FromColumn: Sized {
    /// The value, if it is of the right kind.
    fn from_column(column: &Column) -> Result<Self, String>;
}

macro_rules! from_column {
    ($($kind:ty, $name:literal: $($variant:pat => $value:expr),+;)+) => {$(
        impl FromColumn for $kind {
            fn from_column(column: &Column) -> Result<Self, String> {
                match column {
                    $($variant => Ok($value),)+
                    _ => Err(concat!("is not ", $name).into()),
                }
            }
        }
    )+};
}

from_column! {
    String, "text": Column::Text(text) => text.clone();
    i64, "a bigint": Column::Int(value) => *value, Column::Int4(value) => i64::from(*value);
    i32, "an integer": Column::Int4(value) => *value, Column::Int2(value) => i32::from(*value);
    i16, "a smallint": Column::Int2(value) => *value;
    bool, "a boolean": Column::Bool(value) => *value;
    Vec<u8>, "a bytea": Column::Bytes(bytes) => bytes.clone();
    Vec<Option<String>>, "a list of texts": Column::Texts(texts) => texts.clone();
    Vec<Option<i32>>, "a list of integers": Column::Ints4(numbers) => numbers.clone();
}

impl FromColumn for Value {
    fn from_column(column: &Column) -> Result<Self, String> {
        let Column::Text(text) = column else { return Err("is not JSON".into()) };
        serde_json::from_str(text).map_err(|error| format!("can't be read as JSON: {error}"))
    }
}
