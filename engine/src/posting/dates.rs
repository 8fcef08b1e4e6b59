//! Which day a document bears: the company's day, not the shop's, not UTC (posting policy, Dates).
//! A payment taken shortly before midnight would otherwise land in the wrong period.

use super::company::Company;
use super::input::{Order, Refund};
use super::posted::DocumentKind;
use super::settings::{ClosedPeriod, Settings, TxnDate};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// The day in the company's time zone.
pub fn day(time: Timestamp, zone: &TimeZone) -> Date {
    time.to_zoned(zone.clone()).date()
}

/// The day of an order's document, before a closed period is looked at. A SalesReceipt of nothing
/// (0.00, never paid) bears the day on which the order was made.
pub fn of_sale(order: &Order, kind: DocumentKind, settings: &Settings, zone: &TimeZone) -> Date {
    let time = match (kind, settings.txn_date) {
        (DocumentKind::Invoice, _) | (_, TxnDate::Created) => None,
        (_, TxnDate::Paid) => order.paid_at,
        (_, TxnDate::Completed) => order.completed_at.or(order.paid_at),
    };
    day(time.unwrap_or(order.created_at), zone)
}

/// The day of a refund's document: the later of the refund's and the sale's.
pub fn of_refund(refund: &Refund, sale: Date, zone: &TimeZone) -> Date {
    day(refund.created_at, zone).max(sale)
}

/// What closed books make of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// The date, as it is or moved to the first open day.
    On(Date),
    /// The books are closed on that date, and settings say to wait.
    Closed {
        /// The last closed day.
        until: Date,
    },
}

/// Applies `closed_period` to a date.
pub fn open(date: Date, company: &Company, settings: &Settings) -> Opened {
    match company.book_close_date {
        Some(until) if date <= until => match settings.closed_period {
            ClosedPeriod::Hold => Opened::Closed { until },
            // The day after the last day that a calendar can hold: there is none.
            ClosedPeriod::FirstOpenDay => {
                until.tomorrow().map_or(Opened::Closed { until }, Opened::On)
            }
        },
        _ => Opened::On(date),
    }
}
