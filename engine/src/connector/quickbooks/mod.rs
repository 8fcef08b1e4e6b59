//! QuickBooks Online, Accounting API v3 (shared reference `quickbooks.md`).
//!
//! [`auth`] gets and renews access, [`client`] calls within [`limits`], [`reply`] and [`errors`]
//! understand what comes back. Reads: [`query`], [`lookup`], [`company`], [`cdc`]; [`pulls`] walks
//! lists of them for the hub (`entities`, `defaults`). Writes: [`write`] and [`batch`], each under a
//! [`request_id`].

pub mod ack;
pub mod auth;
pub mod batch;
pub mod cdc;
pub mod check;
pub mod client;
pub mod company;
pub mod defaults;
pub mod entities;
pub mod errors;
pub mod kind;
pub mod limits;
pub mod lookup;
mod probe;
pub mod pulls;
pub mod push;
pub mod query;
pub mod reply;
pub mod request_id;
pub mod settings;
pub mod webhook;
pub mod write;

#[cfg(test)]
mod tests;

use crate::error::{Error, Result};
use crate::mapping::{Mapped, mapped_json};
use crate::model::Entity;
use jiff::tz::TimeZone;
use serde_json::value::RawValue;

/// What the rules make of a record's JSON, as JSON. `currency`: the company's own.
pub fn preview(
    entity: Entity,
    changes: Option<&serde_json::Value>,
    sample: &str,
    currency: Option<&str>,
) -> Result<String> {
    let program =
        defaults::program(entity, changes).map_err(|problems| defaults::rules_error(&problems))?;
    let raw: &RawValue = serde_json::from_str(sample)
        .map_err(|_| Error::argument("the sample is no JSON", "Give one record as an object."))?;
    let company =
        entities::Company { home_currency: currency.unwrap_or("USD"), zone: &TimeZone::UTC };
    let record =
        entities::record(entity, &program, raw, &company).map_err(|failure| failure.error)?;
    Ok(mapped_json(&Mapped { row: record.row, lines: record.lines }))
}
