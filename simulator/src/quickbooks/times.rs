//! Times as QuickBooks writes them: offsets of the company's zone, seconds in records, milliseconds
//! in envelopes.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// `2026-11-03T09:14:26-08:00`, as in `MetaData`.
pub fn stamp(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// `2026-11-03T09:14:27.512-08:00`, as in envelopes.
pub fn envelope(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string()
}

/// The company's day.
pub fn today(at: Timestamp, zone: &TimeZone) -> Date {
    at.to_zoned(zone.clone()).date()
}

/// A time as queries and `changedSince` may spell it: with `-08:00`, `-0800`, `Z`, without a zone
/// (the company's own then) or only a day.
pub fn read(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    for format in ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M:%S%z"] {
        if let Ok(at) = Timestamp::strptime(format, text) {
            return Some(at);
        }
    }
    if let Ok(local) = text.parse::<jiff::civil::DateTime>() {
        return local.to_zoned(zone.clone()).ok().map(|z| z.timestamp());
    }
    let day: Date = text.parse().ok()?;
    day.to_zoned(zone.clone()).ok().map(|z| z.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_spelling_of_a_time_is_read() {
        let zone = TimeZone::get("America/Los_Angeles").unwrap();
        let at: Timestamp = "2026-11-03T17:14:26Z".parse().unwrap();
        assert_eq!(stamp(at, &zone), "2026-11-03T09:14:26-08:00");
        for text in [
            "2026-11-03T09:14:26-08:00",
            "2026-11-03T09:14:26-0800",
            "2026-11-03T17:14:26Z",
            "2026-11-03T09:14:26",
            "2026-11-03T09:14:26.000-08:00",
        ] {
            assert_eq!(read(text, &zone), Some(at), "{text}");
        }
    }
}
