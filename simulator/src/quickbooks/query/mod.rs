//! The query language: `SELECT * | COUNT(*) FROM Entity [WHERE p op v [AND ...]] [ORDERBY p]
//! [STARTPOSITION n] [MAXRESULTS n]`.
//!
//! Intuit's page on data queries; AND only, everything quoted but booleans, `\'` as the only escape
//! of a quote.

mod lex;
mod parse;
mod run;

pub use parse::parse;
pub use run::run;

use super::fault::{Fault, validation};

/// 4000: the text is no query.
pub fn parse_error(detail: impl Into<String>) -> Fault {
    without_element(validation("4000", "Error parsing query", detail, ""))
}

/// 4001: the query asks what can't be asked.
pub fn invalid(detail: &str) -> Fault {
    let detail = format!("QueryValidationError: {detail}");
    without_element(validation("4001", "Invalid query", detail, ""))
}

fn without_element(mut fault: Fault) -> Fault {
    fault.element = None;
    fault
}
