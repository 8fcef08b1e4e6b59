//! QuickBooks's own ways to fail, by name.

use crate::faults::FaultKind;
use crate::quickbooks::fault::{self, Fault};
use jiff::Timestamp;
use jiff::tz::TimeZone;

fn fixed(fault: Fault, now: Timestamp) -> FaultKind {
    let time = crate::quickbooks::times::envelope(now, &TimeZone::UTC);
    let response = fault.response(&time, now.as_millisecond());
    let body = String::from_utf8_lossy(&response.whole_body()).into_owned();
    FaultKind::Answer { status: response.status, headers: response.headers, body }
}

fn page(status: u16) -> FaultKind {
    FaultKind::Answer {
        status,
        headers: vec![("Content-Type".into(), "text/html".into())],
        body: format!("<html><head><title>{status}</title></head><body>{status}</body></html>"),
    }
}

fn stream_timeout() -> FaultKind {
    FaultKind::Answer {
        status: 200,
        headers: vec![("Content-Type".into(), "text/plain".into())],
        body: "stream timeout".into(),
    }
}

/// A fault of this name: error pages, `stream timeout`, a SystemFault under 200, 429, 401.
pub fn named_fault(name: &str, now: Timestamp) -> Option<FaultKind> {
    Some(match name {
        "http_500" => fixed(fault::system(500), now),
        "http_502" => page(502),
        "http_503" => page(503),
        "http_504" => page(504),
        // The gateway's text in place of an answer; what was asked for happened.
        "stream_timeout" => stream_timeout().after_commit(),
        // The same, but nothing happened.
        "stream_timeout_before" => stream_timeout(),
        "gateway_timeout_after" => page(504).after_commit(),
        "system_fault_200" => fixed(fault::system(200), now),
        "throttle" => fixed(fault::throttled("The request limit was reached."), now),
        "token_expired" => fixed(fault::authentication("Token expired: eyJhbGciOiJkaXIi..."), now),
        _ => return None,
    })
}
