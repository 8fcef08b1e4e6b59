//! Reading cron expressions and reckoning their slots, for SQL.

use crate::error::to_json;
use engine::schedule::{CronExpression, Slots};
use engine::{Error, Result};
use jiff::Timestamp;
use serde_json::{Value, json};

/// Slots of one answer, whoever asks.
const MOST_SLOTS: usize = 1000;

/// None: the expression can be read. Else `errors`.
pub fn check_cron(cron: &str) -> Option<Value> {
    CronExpression::parse(cron).err().map(|error| json!({ "errors": [to_json(&error)] }))
}

/// `slots` after a moment and up to another (microseconds since 1970), at most `most`; or `errors`.
pub fn reckon(cron: &str, zone: &str, after: i64, until: Option<i64>, most: i32) -> Value {
    match try_reckon(cron, zone, after, until, most) {
        Ok(slots) => json!({ "slots": slots }),
        Err(error) => json!({ "errors": [to_json(&error)] }),
    }
}

fn try_reckon(
    cron: &str,
    zone: &str,
    after: i64,
    until: Option<i64>,
    most: i32,
) -> Result<Vec<Value>> {
    let moment = |microseconds| {
        Timestamp::from_microsecond(microseconds).map_err(|_| {
            Error::argument("a time is out of range", "Give a time between 1 and 9999.")
        })
    };
    let slots = Slots::parse(cron, zone)?;
    let until = until.map(moment).transpose()?;
    let found = slots
        .after(moment(after)?)
        .take_while(|slot| until.is_none_or(|until| slot.at <= until))
        .take(usize::try_from(most).unwrap_or(0).min(MOST_SLOTS))
        // A leap day on a Monday may be decades away, and there are expressions without any slot.
        .inspect(|_| {
            pgrx::check_for_interrupts!();
        });
    Ok(found
        .map(|slot| {
            json!({
                "run_at": slot.at.to_string(),
                "local_time": slot.local.to_string(),
                "note": slot.note,
            })
        })
        .collect())
}
