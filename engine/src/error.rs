//! The one error type of the engine. What is shown to people is: what went wrong and where
//! (`message`), and what to do about it (`hint`). Neither ever holds a secret or personal data.

use serde::{Deserialize, Serialize};
use std::time::Duration;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error categories, as `error_category` in the SQL surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    Authentication,
    RateLimit,
    Validation,
    NotFound,
    Conflict,
    Network,
    NeedsAttention,
    Blocked,
    Internal,
}

impl Category {
    pub const ALL: [Category; 9] = [
        Category::Authentication,
        Category::RateLimit,
        Category::Validation,
        Category::NotFound,
        Category::Conflict,
        Category::Network,
        Category::NeedsAttention,
        Category::Blocked,
        Category::Internal,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Category::Authentication => "authentication",
            Category::RateLimit => "rate_limit",
            Category::Validation => "validation",
            Category::NotFound => "not_found",
            Category::Conflict => "conflict",
            Category::Network => "network",
            Category::NeedsAttention => "needs_attention",
            Category::Blocked => "blocked",
            Category::Internal => "internal",
        }
    }

    /// SQLSTATE of class YS that fits the category (sql-surface.md, section 2).
    pub fn sqlstate(self) -> &'static str {
        match self {
            Category::Authentication => "YS401",
            Category::RateLimit => "YS429",
            Category::Validation | Category::NeedsAttention | Category::Blocked => "YS422",
            Category::NotFound => "YS404",
            Category::Conflict => "YS409",
            Category::Network => "YS503",
            Category::Internal => "YS500",
        }
    }
}

/// What went wrong: a category, a stable code (the platform's own, or ours), a message in our own
/// words, what others said of it, a hint, and whether trying again unaided makes sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Error {
    pub category: Category,
    pub code: String,
    pub message: String,
    /// The platform's own words, or those of the hub's database, masked. For operators only: whoever
    /// wrote them may have written anything.
    #[serde(default)]
    pub said: Option<String>,
    pub hint: Option<String>,
    pub retryable: bool,
    /// Not before this long, when the platform said so.
    pub retry_after: Option<Duration>,
    /// HTTP status of the answer, when there was one.
    pub http_status: Option<u16>,
    /// Overrides the SQLSTATE that follows from the category.
    pub sqlstate: Option<SqlState>,
}

/// SQLSTATEs that follow from no category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SqlState {
    /// Of an argument or a settings key that can't be.
    #[serde(rename = "22023")]
    Argument,
    /// Of a preview that a session can't hold.
    #[serde(rename = "YS413")]
    TooLarge,
}

impl SqlState {
    /// Its five characters.
    pub fn as_str(self) -> &'static str {
        match self {
            SqlState::Argument => "22023",
            SqlState::TooLarge => "YS413",
        }
    }
}

impl Error {
    pub fn new(category: Category, code: impl Into<String>, message: impl Into<String>) -> Self {
        Error {
            category,
            code: code.into(),
            message: message.into(),
            said: None,
            hint: None,
            retryable: matches!(category, Category::Network | Category::RateLimit),
            retry_after: None,
            http_status: None,
            sqlstate: None,
        }
    }

    /// An argument or a settings key that can't be: SQLSTATE 22023 at the call.
    pub fn argument(message: impl Into<String>, hint: impl Into<String>) -> Self {
        let mut error = Error::new(Category::Validation, "invalid_argument", message).hint(hint);
        error.sqlstate = Some(SqlState::Argument);
        error
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Error::new(Category::Internal, "internal", message)
            .hint("Please report it with the DETAIL.")
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what others said of it, as they wrote it: it is masked here.
    pub fn said(mut self, text: &str) -> Self {
        let masked = crate::mask::foreign(text);
        let masked = masked.trim();
        self.said = (!masked.is_empty()).then(|| masked.to_owned());
        self
    }

    /// For operators: the message, and what others said.
    pub fn whole(&self) -> String {
        match &self.said {
            Some(said) => format!("{}: {said}", self.message),
            None => self.message.clone(),
        }
    }

    pub fn retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    pub fn http_status(mut self, status: u16) -> Self {
        self.http_status = Some(status);
        self
    }

    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    pub fn sqlstate(&self) -> &str {
        self.sqlstate.map_or(self.category.sqlstate(), SqlState::as_str)
    }

    /// The run, or the statement, was told to stop.
    pub fn cancelled() -> Self {
        Error::new(Category::Conflict, "cancelled", "cancelled").retryable(false)
    }

    pub fn is_cancelled(&self) -> bool {
        self.code == "cancelled"
    }
}
