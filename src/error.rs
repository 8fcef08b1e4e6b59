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

    fn class(&self) -> &str {
        self.sqlstate.get(..2).unwrap_or_default()
    }

    /// The connection or the server is at fault: every record would meet the same. Whatever else
    /// stops a batch is the fault of some record in it, since an application's triggers may raise any
    /// code they like.
    pub fn is_about_server(&self) -> bool {
        const CLASSES: [&str; 6] = ["08", "25", "53", "57", "58", "F0"];
        const CORRUPTED: [&str; 2] = ["XX001", "XX002"];
        CLASSES.contains(&self.class()) || CORRUPTED.contains(&self.sqlstate.as_str())
    }

    /// A table, a column or a right is missing, or isn't what the statement takes it for. An
    /// application's trigger may raise such a code, too, for one row.
    pub fn is_about_schema(&self) -> bool {
        matches!(self.class(), "42" | "3F")
    }

    /// A row that this database refused, whatever the code: a constraint, or an application's trigger.
    fn is_about_row(&self) -> bool {
        matches!(self.class(), "22" | "23" | "44" | "P0" | "09" | "27")
    }

    /// A trigger of the table kept a row from being written, without an error of its own.
    pub fn swallowed(table: &str, operation: &str) -> Self {
        DbError::new(
            SWALLOWED,
            format!("a BEFORE {operation} trigger of {table} left the row out, or changed its key"),
        )
    }

    /// The failure of one record that could not be written. What Postgres said may quote the row, and
    /// what a trigger said may be anything: both are for operators only.
    pub fn of_record(self) -> Error {
        let new = |category, message: &str| {
            Error::new(category, self.sqlstate.clone(), message).said(&self.message)
        };
        if self.sqlstate == "57014" {
            return new(Category::Conflict, "writing it to the hub took too long")
                .retryable(true)
                .hint(
                    "A trigger or a constraint of the table takes its time, or another session holds \
                     what it needs. It is tried again by itself with the next sync.",
                );
        }
        if self.is_transient() {
            return new(Category::Conflict, "another session held its row")
                .retryable(true)
                .hint("It is tried again by itself with the next sync.");
        }
        let hint = match self.sqlstate.as_str() {
            // The message is ours.
            SWALLOWED => {
                return Error::new(Category::Validation, SWALLOWED, self.message).hint(
                    "easysync needs every row that it writes: let the trigger return NEW, with the \
                     key that the row came with. The record is tried again when it changes, and by \
                     easysync.retry_failure.",
                );
            }
            "54000" => "An index of yours can't take a value that long: see the limits of records.",
            _ => "A constraint or a trigger of this database refused the row.",
        };
        new(Category::Validation, "this database refused the row").hint(hint)
    }
}

/// Code of [`DbError::swallowed`]: a triggered data change violation.
const SWALLOWED: &str = "27000";

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
        if error.sqlstate == "57014" {
            return new(Category::Conflict, "this database took too long")
                .retryable(true)
                .hint("A trigger of the hub takes its time, or the server is busy. It is tried again by itself.");
        }
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
        if error.is_about_row() {
            return new(Category::Validation, "this database refused the row")
                .hint("A constraint or a trigger of this database refused the row.");
        }
        if let Some(hint) = cure(&error.sqlstate) {
            return new(
                Category::Validation,
                "a table or a right in this database is not as expected",
            )
            .hint(hint);
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

/// What helps where a table as a whole isn't what it is taken for.
fn cure(sqlstate: &str) -> Option<&'static str> {
    Some(match sqlstate {
        "42501" => {
            "Give the right back that the message names: hub tables are written with the rights of \
             their owner, easysync's own with those of easysync_worker."
        }
        "42703" => {
            "A hub table lost a column, or it was renamed: rename it back, or let \
             easysync.create_hub add it anew."
        }
        "42P01" | "3F000" => "easysync.create_hub makes what is missing of the hub.",
        "42804" | "42883" | "42846" | "42809" | "428C9" => {
            "A hub table was given another shape: easysync.create_hub, called as its owner, says what \
             differs."
        }
        _ => return None,
    })
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
