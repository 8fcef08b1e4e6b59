//! Times out of texts. UTC inside, always.

use super::value::{Reason, Val};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

const NOT_A_TIME: &str = "is not a time";

/// A naive text is UTC, as in WooCommerce's `*_gmt`; one with an offset means what it says.
pub fn utc<'a>(text: &str) -> Result<Val<'a>, Reason> {
    local(text, &TimeZone::UTC)
}

/// A naive text is that zone's clock (after the clock was put back: the first of the two).
pub fn local<'a>(text: &str, zone: &TimeZone) -> Result<Val<'a>, Reason> {
    let text = text.trim();
    // How MySQL and PHP write "never".
    if text.starts_with("0000-00-00") || text.starts_with("-0001-11-30") {
        return Ok(Val::Null);
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(Val::Time(time));
    }
    let naive: DateTime = text.parse().map_err(|_| NOT_A_TIME)?;
    let time = zone.to_timestamp(naive).map_err(|_| NOT_A_TIME)?;
    Ok(Val::Time(time))
}

/// Seconds since 1970, with or without a fraction.
pub fn unix<'a>(text: &str) -> Result<Val<'a>, Reason> {
    use rust_decimal::prelude::ToPrimitive;
    let seconds = super::value::decimal(text)?;
    let millis = (seconds * rust_decimal::Decimal::ONE_THOUSAND).to_i64().ok_or(NOT_A_TIME)?;
    let time = Timestamp::UNIX_EPOCH
        .checked_add(SignedDuration::from_millis(millis))
        .map_err(|_| NOT_A_TIME)?;
    Ok(Val::Time(time))
}
