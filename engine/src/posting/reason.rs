//! Why an order isn't posted, in words that a bookkeeper understands, with a stable code.

use crate::error::{Category, Error};
use std::fmt;

/// A reason. The code is stable and fit for grouping; the message says what and where, the hint
/// what to do. Neither holds personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub code: &'static str,
    pub message: String,
    pub hint: String,
}

impl Reason {
    pub fn new(code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Reason { code, message: message.into(), hint: hint.into() }
    }

    /// A failed record that waits for a person; retrying unaided is of no use.
    pub fn needs_attention(&self) -> Error {
        self.error(Category::NeedsAttention)
    }

    /// A record that waits for a change of settings.
    pub fn blocked(&self) -> Error {
        self.error(Category::Blocked)
    }

    /// A record that can't be posted as it is.
    pub fn invalid(&self) -> Error {
        self.error(Category::Validation)
    }

    fn error(&self, category: Category) -> Error {
        Error::new(category, self.code, self.message.clone()).hint(self.hint.clone())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
