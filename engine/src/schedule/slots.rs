//! From times of the wall clock to moments, by the rules of [`super`].

use super::CronExpression;
use crate::error::{Error, Result};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// One time of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The moment.
    pub at: Timestamp,
    /// What the clock shows then, in the schedule's zone.
    pub local: DateTime,
    /// What a clock change does to it.
    pub note: Option<String>,
}

/// The slots of a cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Slots {
    cron: CronExpression,
    zone: TimeZone,
}

/// A time zone of the system's database by its name. The error is an argument's.
pub fn zone(name: &str) -> Result<TimeZone> {
    TimeZone::get(name).map_err(|_| {
        Error::argument(
            format!("unknown time zone \"{name}\""),
            "Names are like America/Edmonton; pg_timezone_names lists them.",
        )
    })
}

impl Slots {
    /// The slots of `cron` in `zone`.
    pub fn new(cron: CronExpression, zone: TimeZone) -> Self {
        Slots { cron, zone }
    }

    /// Reads both; the error names the one that can't be.
    pub fn parse(cron: &str, zone_name: &str) -> Result<Self> {
        Ok(Slots::new(CronExpression::parse(cron)?, zone(zone_name)?))
    }

    /// The first slot after a moment. None: beyond the times that can be told.
    pub fn next_after(&self, after: Timestamp) -> Option<Slot> {
        match self.cron.is_every_hour() {
            true => self.next_elapsed(after),
            false => self.next_of_the_day(after),
        }
    }

    /// All slots after a moment, in order.
    pub fn after(&self, after: Timestamp) -> impl Iterator<Item = Slot> + '_ {
        std::iter::successors(self.next_after(after), |slot| self.next_after(slot.at))
    }

    /// Every hour counts: the moments at which the clock shows a time that matches, offset by
    /// offset.
    fn next_elapsed(&self, after: Timestamp) -> Option<Slot> {
        let (mut from, mut inclusive) = (after, false);
        loop {
            let offset = self.zone.to_offset(from);
            let local = self.cron.next_civil(offset.to_datetime(from), inclusive)?;
            let at = offset.to_timestamp(local).ok()?;
            match self.zone.following(from).next().map(|change| change.timestamp()) {
                Some(change) if change <= at => (from, inclusive) = (change, true),
                _ => return Some(Slot { at, local, note: self.note_elapsed(local, at) }),
            }
        }
    }

    fn note_elapsed(&self, local: DateTime, at: Timestamp) -> Option<String> {
        match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Fold { before, .. } => {
                let time = local.strftime("%H:%M");
                let first = before.to_timestamp(local).is_ok_and(|first| first == at);
                Some(match first {
                    true => format!("{time} happens twice: the first one"),
                    false => format!("{time} happens twice: the second one"),
                })
            }
            _ => None,
        }
    }

    /// Each of the day's times once. Moments never go back as the wall clock's times go on, so the
    /// first one that is later is the next.
    fn next_of_the_day(&self, after: Timestamp) -> Option<Slot> {
        let mut wall = self.zone.to_datetime(after);
        loop {
            wall = self.cron.next_civil(wall, false)?;
            let slot = self.moment(wall)?;
            if slot.at > after {
                return Some(slot);
            }
        }
    }

    /// When a time of the wall clock runs.
    fn moment(&self, wall: DateTime) -> Option<Slot> {
        let time = wall.strftime("%H:%M");
        match self.zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } => {
                Some(Slot { at: offset.to_timestamp(wall).ok()?, local: wall, note: None })
            }
            AmbiguousOffset::Fold { before, .. } => Some(Slot {
                at: before.to_timestamp(wall).ok()?,
                local: wall,
                note: Some(format!("{time} happens twice: runs the first time")),
            }),
            AmbiguousOffset::Gap { after, .. } => {
                // Read with the later offset the time lies before the change.
                let before = after.to_timestamp(wall).ok()?;
                let at = self.zone.following(before).next()?.timestamp();
                let note = format!("{time} doesn't exist: runs right after the clock change");
                Some(Slot { at, local: self.zone.to_datetime(at), note: Some(note) })
            }
        }
    }
}
