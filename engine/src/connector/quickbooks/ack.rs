//! Records as answers show them.

use super::errors;
use super::kind::Kind;
use super::reply::{self, Fault};
use super::write::{Ack, Outcome, Write};
use crate::error::Error;
use crate::limits::KEY_BYTES;
use rust_decimal::Decimal;
use serde_json::Value;
use serde_json::value::RawValue;

/// Bytes of an id or a version. QuickBooks' own are digits, or a short word for a tax code.
const MARK_BYTES: usize = 64;

/// An id or a version that can be kept, looked for and sent again.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= MARK_BYTES && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Reads a record out of an answer. None: what is there is no record with an id and version of
/// QuickBooks' kind.
pub fn ack(kind: Kind, raw: &RawValue) -> Option<Ack> {
    let record: Value = reply::value(raw)?;
    let text = |name: &str| match record.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let deleted = text("status").is_some_and(|status| status.eq_ignore_ascii_case("deleted"));
    let sync_token = text("SyncToken").filter(|_| !deleted);
    if sync_token.as_deref().is_some_and(|token| !is_plain(token)) {
        return None;
    }
    Some(Ack {
        kind,
        id: text("Id").filter(|id| is_plain(id))?,
        sync_token,
        document_number: text("DocNumber").filter(|number| number.len() <= KEY_BYTES),
        total: amount(&record, "TotalAmt"),
        balance: amount(&record, "Balance"),
        record,
    })
}

/// An amount, from the digits that were sent.
pub fn amount(record: &Value, name: &str) -> Option<Decimal> {
    match record.get(name)? {
        Value::Number(number) => crate::mapping::decimal(&number.to_string()).ok(),
        Value::String(text) => crate::mapping::decimal(text).ok(),
        _ => None,
    }
}

/// What a write's own part of an answer says: the record, or nothing of it. A write that named its
/// record is not acknowledged by another one.
pub fn done(write: &Write, raw: Option<&RawValue>, status: u16) -> Outcome {
    let target = write.body().get("Id").and_then(Value::as_str);
    let own = |ack: &Ack| target.is_none_or(|id| id == ack.id);
    match raw.and_then(|raw| ack(write.kind(), raw)).filter(own) {
        Some(ack) => Outcome::Done(Box::new(ack)),
        None => Outcome::Unknown(reply::without(&format!("the {}", write.kind()), status)),
    }
}

/// What a fault means for a write. An error inside QuickBooks says nothing of what was done.
pub fn refused(fault: &Fault, status: u16) -> Outcome {
    let refusal = errors::refusal(fault, status);
    let inside = fault.kind.eq_ignore_ascii_case("SystemFault") || status >= 500;
    if inside && matches!(refusal.remedy, errors::Remedy::Retry { .. }) {
        return Outcome::Unknown(refusal.error);
    }
    Outcome::Refused(refusal)
}

/// What a failed call means for a write: codes of the HTTP layer that say it was never sent, or
/// turned away.
pub fn failed(error: Error) -> Outcome {
    const NOT_SENT: [&str; 10] = [
        "http_refused",
        "private_address",
        "userinfo_refused",
        "redirect",
        "http_429",
        "dns",
        "connection_refused",
        "connection_failed",
        "connect_timeout",
        "circuit_open",
    ];
    // A certificate that isn't trusted is seen before anything is sent; other trouble with TLS can
    // come later.
    let untrusted = error.code == "tls" && !error.retryable;
    if untrusted || NOT_SENT.contains(&error.code.as_str()) {
        Outcome::NotSent(error)
    } else {
        Outcome::Unknown(error)
    }
}
