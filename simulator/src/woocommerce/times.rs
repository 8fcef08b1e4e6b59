//! The shop's two spellings of time, local and GMT, both naive, and how it reads date filters.

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// `2026-11-20T08:16:40`, GMT.
pub fn gmt(time: Timestamp) -> String {
    strtime::format("%Y-%m-%dT%H:%M:%S", &time.to_zoned(TimeZone::UTC)).unwrap_or_default()
}

/// The same moment in the shop's zone.
pub fn local(gmt: &str, zone: &TimeZone) -> Option<String> {
    let zoned = gmt.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?;
    strtime::format("%Y-%m-%dT%H:%M:%S", &zoned.with_time_zone(zone.clone())).ok()
}

/// From the shop's zone to GMT; a time that the clocks skip moves on by the gap, as in PHP.
pub fn from_local(local: &str, zone: &TimeZone) -> Option<String> {
    let zoned = local.parse::<DateTime>().ok()?.to_zoned(zone.clone()).ok()?;
    Some(gmt(zoned.timestamp()))
}

/// The moment of a GMT text.
pub fn moment(gmt: &str) -> Option<Timestamp> {
    Some(gmt.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// A date parameter that passed validation.
#[derive(Debug, Clone, PartialEq)]
pub struct DateParam {
    civil: DateTime,
    /// What came after the seconds: an offset makes it a moment.
    moment: Option<Timestamp>,
    fraction: bool,
}

impl DateParam {
    /// WordPress' `date-time`: date and time, perhaps a fraction, perhaps an offset. Dates alone
    /// and Unix times are refused.
    pub fn read(text: &str) -> Option<Self> {
        let (date, time) = text.split_once(['T', 't', ' '])?;
        if date.len() != 10 || time.len() < 8 || !time.is_char_boundary(8) {
            return None;
        }
        let (clock, rest) = time.split_at(8);
        let civil: DateTime = format!("{date}T{clock}").parse().ok()?;
        let offset = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
        let fraction = rest.len() > offset.len();
        if fraction && !rest.starts_with('.') {
            return None;
        }
        let moment = match offset {
            "" => None,
            "Z" => Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp()),
            other => {
                let other = if other.len() == 3 { format!("{other}:00") } else { other.into() };
                Some(format!("{date}T{clock}{other}").parse::<Timestamp>().ok()?)
            }
        };
        Some(DateParam { civil, moment, fraction })
    }

    /// The bound that a GMT column is compared with.
    ///
    /// With `dates_are_gmt` WordPress still reads the value in the site's zone, writes it out
    /// again in the site's zone, and compares that text with the GMT column. A naive value comes
    /// through unharmed; one with an offset (`Z`, too) is shifted by the zone: reference, 2.3.
    pub fn bound(&self, dates_are_gmt: bool, zone: &TimeZone, upper: bool) -> String {
        let in_zone: Option<Zoned> = match self.moment {
            Some(moment) => Some(moment.to_zoned(zone.clone())),
            None => self.civil.to_zoned(zone.clone()).ok(),
        };
        let Some(in_zone) = in_zone else { return naive(self.civil) };
        if dates_are_gmt {
            return naive(in_zone.datetime());
        }
        // Reference, 2.4: `.000Z` gave wrong counts for `modified_before`; here the zone is lost.
        if self.fraction && upper && self.moment.is_some() {
            return from_local(&naive(self.civil), zone).unwrap_or_else(|| naive(self.civil));
        }
        gmt(in_zone.timestamp())
    }

    /// The bound that a column in local time is compared with (products without `dates_are_gmt`).
    pub fn local_bound(&self, zone: &TimeZone) -> String {
        match self.moment {
            Some(moment) => naive(moment.to_zoned(zone.clone()).datetime()),
            None => naive(self.civil),
        }
    }
}

fn naive(time: DateTime) -> String {
    strtime::format("%Y-%m-%dT%H:%M:%S", time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    #[test]
    fn only_full_date_times_are_read() {
        for good in ["2026-11-01T10:00:00", "2026-11-01 10:00:00Z", "2026-11-01T10:00:00.000+05:30"]
        {
            assert!(DateParam::read(good).is_some(), "{good}");
        }
        for bad in
            ["yesterday", "2026-11-01", "1795162625", "2026-11-01T10:00", "2026-13-01T10:00:00"]
        {
            assert!(DateParam::read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_naive_value_is_gmt_but_one_with_an_offset_is_shifted() {
        let naive = DateParam::read("2026-11-01T10:00:00").unwrap();
        let zulu = DateParam::read("2026-11-01T10:00:00Z").unwrap();
        for (name, shifted) in [
            ("Europe/Berlin", "2026-11-01T11:00:00"),
            ("Asia/Kolkata", "2026-11-01T15:30:00"),
            ("America/New_York", "2026-11-01T05:00:00"),
            ("UTC", "2026-11-01T10:00:00"),
        ] {
            assert_eq!(naive.bound(true, &zone(name), false), "2026-11-01T10:00:00");
            assert_eq!(zulu.bound(true, &zone(name), false), shifted);
            assert_eq!(zulu.bound(false, &zone(name), false), "2026-11-01T10:00:00");
        }
        assert_eq!(naive.bound(false, &zone("Europe/Berlin"), false), "2026-11-01T09:00:00");
    }

    #[test]
    fn a_naive_value_in_the_hour_that_clocks_skip_moves_on() {
        let skipped = DateParam::read("2026-03-08T02:30:00").unwrap();
        let bound = skipped.bound(true, &zone("America/New_York"), false);
        assert_eq!(bound, "2026-03-08T03:30:00");
        assert_eq!(skipped.bound(true, &zone("UTC"), false), "2026-03-08T02:30:00");
    }
}
