//! One company: its records, its settings and what the server remembers about its calls.

use super::api::{Journal, Replays, Throttles};
use super::kind::Kind;
use super::rules::Rules;
use super::store::{Record, Store};
use super::times;
use super::webhooks::Event;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde_json::Value;
use std::collections::BTreeMap;

/// A company and everything that belongs to it.
#[derive(Debug, Clone)]
pub struct Company {
    /// Digits; also called company id.
    pub realm: String,
    /// The preset it was made from.
    pub preset: String,
    /// The currency of the books.
    pub home: String,
    /// US rules for tax: TAX and NON on lines, automated sales tax.
    pub us: bool,
    /// The company's days and offsets.
    pub zone: TimeZone,
    /// Home units per unit of a foreign currency.
    pub exchange: BTreeMap<String, Decimal>,
    pub rules: Rules,
    pub store: Store,
    /// The subscription has ended: reads work, writes are refused.
    pub lapsed: bool,
    pub throttles: Throttles,
    pub replays: Replays,
    pub journal: Journal,
    /// Changes that webhooks haven't told of.
    pub events: Vec<Event>,
}

impl Company {
    fn preferences(&self) -> Option<&Record> {
        self.store.get((Kind::Preferences, 1))
    }

    /// A preference such as `/SalesFormsPrefs/AllowDiscount`; null when absent.
    pub fn preference(&self, pointer: &str) -> &Value {
        let (group, rest) =
            pointer.trim_start_matches('/').split_once('/').unwrap_or((pointer, ""));
        let group = self.preferences().and_then(|p| p.data.get(group));
        group.and_then(|g| g.pointer(&format!("/{rest}"))).unwrap_or(&Value::Null)
    }

    /// True when the preference is on.
    pub fn prefers(&self, pointer: &str) -> bool {
        self.preference(pointer) == &Value::Bool(true)
    }

    /// Sets a preference, as a person would in the settings; the record moves on.
    pub fn set_preference(&mut self, pointer: &str, value: Value, now: Timestamp) {
        let (group, key) = pointer.trim_start_matches('/').split_once('/').unwrap_or((pointer, ""));
        if let Some(record) = self.store.get_mut((Kind::Preferences, 1)) {
            let group = record.data.entry(group).or_insert_with(|| serde_json::json!({}));
            match (value, group) {
                (Value::Null, Value::Object(group)) => {
                    group.remove(key);
                }
                (value, group) => group[key] = value,
            }
            record.token += 1;
            record.updated = now;
        }
    }

    /// Whether documents may be in other currencies.
    pub fn multicurrency(&self) -> bool {
        self.prefers("/CurrencyPrefs/MultiCurrencyEnabled")
    }

    /// The last day of the closed period.
    pub fn closed_until(&self) -> Option<Date> {
        self.preference("/AccountingInfoPrefs/BookCloseDate").as_str()?.parse().ok()
    }

    /// Home units for one unit of `currency`.
    pub fn rate(&self, currency: &str) -> Decimal {
        if currency == self.home {
            return Decimal::ONE;
        }
        self.exchange.get(currency).copied().unwrap_or(Decimal::ONE)
    }

    /// A record's Id and fields as clients see them; `null` when there is none.
    pub fn render(&self, kind: Kind, id: u64) -> Value {
        self.store.get((kind, id)).map_or(Value::Null, |record| record.render(id, &self.zone))
    }

    /// The time as envelopes write it.
    pub fn envelope_time(&self, now: Timestamp) -> String {
        times::envelope(now, &self.zone)
    }
}
