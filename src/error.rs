//! Errors of Postgres as the engine sees them, and the engine's as SQL sees them.

use engine::{Category, Error};
use pgrx::ereport;
use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgSqlErrorCode, spi};
use serde_json::{Value, json};

/// What Postgres said in a job. The text may name values of a row: it is masked where it leaves.
#[derive(Debug, Clone)]
pub struct DbError {
    pub sqlstate: String,
    pub message: String,
}

pub type DbResult<T> = Result<T, DbError>;

impl DbError {
    pub fn new(sqlstate: &str, message: impl Into<String>) -> Self {
        DbError { sqlstate: sqlstate.into(), message: message.into() }
    }

    /// A lock conflict, a deadlock, a serialisation failure or a time-out: the same again may
    /// well succeed.
    pub fn is_transient(&self) -> bool {
        matches!(self.sqlstate.as_str(), "55P03" | "40P01" | "40001" | "57014")
    }

    /// The data of some record is at fault: integrity, data exceptions, an error raised by an
    /// application's trigger.
    pub fn is_about_data(&self) -> bool {
        let class = self.sqlstate.get(..2).unwrap_or_default();
        matches!(class, "22" | "23" | "42" | "44" | "P0" | "09" | "27")
    }
}

impl From<CaughtError> for DbError {
    fn from(caught: CaughtError) -> Self {
        match caught {
            CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => DbError {
                sqlstate: sqlstate(report.sql_error_code()),
                message: report.message().to_owned(),
            },
            CaughtError::RustPanic { ereport, .. } => {
                DbError::new("XX000", format!("panic: {}", ereport.message()))
            }
        }
    }
}

impl From<spi::Error> for DbError {
    fn from(error: spi::Error) -> Self {
        DbError::new("XX000", error.to_string())
    }
}

impl From<DbError> for Error {
    fn from(error: DbError) -> Self {
        // What Postgres says may quote a row, and what a trigger says may be anything.
        let new = |category, message: &str| {
            Error::new(category, error.sqlstate.clone(), message).said(&error.message)
        };
        if error.is_transient() {
            return new(Category::Conflict, "another session held the rows")
                .retryable(true)
                .hint("It is tried again by itself.");
        }
        if error.sqlstate == crate::store::FOREIGN_HUB {
            // The message is ours.
            let message = engine::mask::text(&error.message);
            return Error::new(Category::Blocked, "foreign_hub", message).hint(
                "Put the table back as it was, or let its owner call easysync.create_hub for the schema.",
            );
        }
        if error.is_about_data() {
            return new(Category::Validation, "this database refused the row")
                .hint("A constraint or a trigger of this database refused the row.");
        }
        new(Category::Internal, "this database failed").hint("See the server's log.")
    }
}

/// What came of work in a session; its error is raised as one of Postgres.
pub fn raised<T>(result: DbResult<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => {
            ereport!(ERROR, code_of(&error.sqlstate), error.message);
        }
    }
}

/// The code as pgrx knows it; one that it doesn't know is an internal error.
fn code_of(sqlstate: &str) -> PgSqlErrorCode {
    let bits = sqlstate
        .bytes()
        .rev()
        .fold(0i32, |bits, character| bits << 6 | i32::from(character.wrapping_sub(b'0')) & 0x3f);
    PgSqlErrorCode::from(bits as isize)
}

/// Five characters, six bits each (`MAKE_SQLSTATE`).
fn sqlstate(code: PgSqlErrorCode) -> String {
    let mut bits = code as i32;
    (0..5)
        .map(|_| {
            let character = ((bits & 0x3f) as u8 + b'0') as char;
            bits >>= 6;
            character
        })
        .collect()
}

/// An error as the SQL wrappers raise it, for operators and admins.
pub fn to_json(error: &Error) -> Value {
    json!({
        "sqlstate": error.sqlstate(),
        "category": error.category.as_str(),
        "code": error.code,
        "message": engine::mask::clean(&error.whole()),
        "hint": error.hint.as_deref().map(engine::mask::clean),
    })
}
