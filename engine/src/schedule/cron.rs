//! Cron expressions: five fields, or six with seconds first. croner reads them; what is wrong with
//! one is said field by field.

use crate::error::{Error, Result};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;

const FIELDS: [&str; 6] = ["second", "minute", "hour", "day of month", "month", "day of week"];

/// What each field takes, for the hint.
const FORM: &str = "Five fields: minute 0-59, hour 0-23, day of month 1-31, month 1-12, day of week 0-7 \
     (or names); six with seconds first. Each is *, a number, a range, a list, or a step like */15.";

/// Longer than any sensible one; keeps a hostile text from costing time.
const MOST_CHARACTERS: usize = 500;

/// A cron expression that has been read.
#[derive(Debug, Clone)]
pub struct CronExpression {
    text: String,
    cron: Cron,
    every_hour: bool,
}

impl CronExpression {
    /// Reads an expression. The error (SQLSTATE 22023) names the field that can't be.
    pub fn parse(text: &str) -> Result<Self> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        if text.len() > MOST_CHARACTERS || !(5..=6).contains(&fields.len()) {
            let shown: String = text.chars().take(60).collect();
            return Err(invalid(&shown, &format!("{} fields", fields.len())));
        }
        let cron = read(&fields).map_err(|()| invalid(text, &what_is_wrong(&fields)))?;
        let every_hour = (0..24).all(|hour| cron.pattern.hour_match(hour).unwrap_or(false));
        let expression = CronExpression { text: fields.join(" "), cron, every_hour };
        // Any leap year and any weekday of its 29 February lie within 28 years.
        match expression.next_civil(DateTime::constant(2000, 1, 1, 0, 0, 0, 0), true) {
            Some(_) => Ok(expression),
            None => Err(invalid(text, "no such day")),
        }
    }

    /// The expression, with one blank between fields.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Do its hours leave none out?
    pub fn is_every_hour(&self) -> bool {
        self.every_hour
    }

    /// The next time of the wall clock that matches: after `from`, or at it when `inclusive`.
    pub fn next_civil(&self, from: DateTime, inclusive: bool) -> Option<DateTime> {
        self.cron.find_next_occurrence(&from, inclusive).ok()
    }
}

fn read(fields: &[&str]) -> Result<Cron, ()> {
    // Nicknames and croner's AND of days aren't part of our syntax.
    if fields.iter().any(|field| field.contains(['@', '+', '?'])) {
        return Err(());
    }
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    parser.parse(&fields.join(" ")).map_err(|_| ())
}

/// The first field that can't be read where all others are `*`, with its text.
fn what_is_wrong(fields: &[&str]) -> String {
    let names = &FIELDS[6 - fields.len()..];
    for (at, (field, name)) in fields.iter().zip(names).enumerate() {
        let mut alone = vec!["*"; fields.len()];
        alone[at] = field;
        if read(&alone).is_err() {
            return format!("{name} {field}");
        }
    }
    "its fields don't go together".to_owned()
}

fn invalid(text: &str, what: &str) -> Error {
    Error::argument(format!("invalid cron expression \"{text}\": {what}"), FORM)
}
