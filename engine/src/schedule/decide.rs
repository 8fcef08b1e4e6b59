//! Which runs a schedule owes, after however long.

use super::Slots;
use crate::error::{Error, Result};
use jiff::{SignedDuration, Timestamp};

/// A slot is on time up to this long after; later, it was missed.
pub const PUNCTUAL: SignedDuration = SignedDuration::from_secs(30);

/// A clock that goes back by up to this much is corrected, not set: no slot runs again. By more,
/// and the schedule follows the clock; waiting for the old time would be a standstill.
const CORRECTION: SignedDuration = SignedDuration::from_secs(60);

/// Missed slots are counted up to here: nobody needs the number of seconds of a year.
const MOST_COUNTED: usize = 1000;

/// What happens to slots that passed while nobody could run them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// One run for all of them.
    RunOnce,
    /// Nothing: the next slot comes.
    Skip,
    /// A run for each, oldest first, up to the tenant's `missed_limit`.
    RunAll,
}

impl Missed {
    /// By its word in SQL.
    pub fn parse(word: &str) -> Result<Self> {
        match word {
            "run_once" => Ok(Missed::RunOnce),
            "skip" => Ok(Missed::Skip),
            "run_all" => Ok(Missed::RunAll),
            _ => Err(Error::internal(format!("unknown word for missed: \"{word}\""))),
        }
    }
}

/// What a schedule owes at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The slots to run for, oldest first.
    pub fire: Vec<Timestamp>,
    /// Slots that passed and were missed, up to a thousand; run or not.
    pub missed: usize,
    /// Decided up to here: slots up to this moment are done with.
    pub until: Timestamp,
}

/// Decides over the slots after `decided` and up to `now`. None: there are none, and nothing to
/// note. `limit` is the most that `run_all` runs.
pub fn decide(
    slots: &Slots,
    decided: Timestamp,
    now: Timestamp,
    missed: Missed,
    limit: usize,
) -> Option<Decision> {
    if decided.duration_since(now) > CORRECTION {
        return Some(Decision { fire: vec![], missed: 0, until: now });
    }
    let passed: Vec<Timestamp> = slots
        .after(decided)
        .map(|slot| slot.at)
        .take_while(|at| *at <= now)
        .take(MOST_COUNTED)
        .collect();
    let first = passed.first()?;
    let punctual_from = now.checked_sub(PUNCTUAL).unwrap_or(Timestamp::MIN).max(decided);
    let on_time = slots.after(punctual_from).map(|slot| slot.at).take_while(|at| *at <= now).last();
    let late = passed.iter().filter(|at| **at <= punctual_from).count();
    let latest = on_time.unwrap_or(*passed.last().unwrap_or(first));
    let fire = match missed {
        Missed::RunOnce => vec![latest],
        Missed::Skip => on_time.into_iter().collect(),
        Missed::RunAll => passed.into_iter().take(limit.max(1)).collect(),
    };
    Some(Decision { fire, missed: late, until: now })
}
