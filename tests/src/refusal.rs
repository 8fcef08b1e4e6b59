//! Errors of SQL calls, as tests look at them.

use anyhow::{Result, bail};
use postgres::Client;
use postgres::types::ToSql;

/// A refused call.
#[derive(Debug, Clone, Default)]
pub struct Refusal {
    pub sqlstate: String,
    pub message: String,
    pub detail: String,
    pub hint: String,
}

impl Refusal {
    /// Message, detail and hint in one.
    pub fn text(&self) -> String {
        format!("{} {} {}", self.message, self.detail, self.hint)
    }

    /// Holds every one of these words, in any place.
    pub fn assert(&self, sqlstate: &str, words: &[&str]) {
        assert_eq!(self.sqlstate, sqlstate, "{self:?}");
        assert!(!self.hint.is_empty(), "no hint: {self:?}");
        for word in words {
            assert!(self.text().contains(word), "no {word:?} in {self:?}");
        }
    }
}

/// Runs a statement that has to fail.
pub fn refused(
    client: &mut Client,
    statement: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Refusal> {
    let error = match client.query(statement, parameters) {
        Ok(rows) => bail!("not refused: {statement} gave {} rows", rows.len()),
        Err(error) => error,
    };
    let Some(db) = error.as_db_error() else {
        return Err(error.into());
    };
    let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
    Ok(Refusal {
        sqlstate: db.code().code().to_owned(),
        message: db.message().to_owned(),
        detail: text(db.detail()),
        hint: text(db.hint()),
    })
}
