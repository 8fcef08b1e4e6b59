//! Failed attempts as errors: what went wrong and where, never a query, header or body.

use super::address::private;
use super::resolver::{Refused, Unresolved};
use crate::error::{Category, Error};
use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Url, header::HeaderValue};
use std::error::Error as StdError;
use std::io;
use std::time::Duration;

/// A failed attempt.
pub(super) struct Failure {
    pub error: Box<Error>,
    /// The platform may have got the request.
    pub sent: bool,
    /// Another attempt may end otherwise.
    pub again: bool,
}

impl Failure {
    fn new(error: Error, sent: bool, again: bool) -> Self {
        Failure { error: Box::new(error), sent, again }
    }

    /// Nothing was sent, and nothing will be.
    pub fn fatal(error: Error) -> Self {
        Failure::new(error.retryable(false), false, false)
    }
}

/// An error of the transport.
pub(super) fn transport(error: &reqwest::Error, host: &str, limit: Duration) -> Failure {
    if let Some(refused) = cause::<Refused>(error) {
        return Failure::fatal(private(host, refused.address, refused.kind));
    }
    let before = error.is_connect() || error.is_builder();
    let (code, what) = if cause::<Unresolved>(error).is_some() {
        ("dns", "its name can not be resolved")
    } else if let Some(tls) = tls(error) {
        return tls_failure(tls, host, before);
    } else if error.is_timeout() {
        if !before {
            return timed_out(host, limit);
        }
        ("connect_timeout", "no connection within 10 s")
    } else {
        io_kind(error, before)
    };
    let error = network(code, format!("\"{host}\" can not be reached: {what}"));
    Failure::new(with_hint(error), !before, true)
}

pub(super) fn timed_out(host: &str, limit: Duration) -> Failure {
    let message = format!("\"{host}\" can not be reached: no whole answer within {limit:?}");
    Failure::new(with_hint(network("timeout", message)), true, true)
}

/// The answer ended before its end.
pub(super) fn broken_off(host: &str) -> Failure {
    let message = format!("\"{host}\" can not be reached: the answer broke off");
    Failure::new(with_hint(network("reset", message)), true, true)
}

pub(super) fn too_large(host: &str, limit: usize) -> Failure {
    let message = format!("the answer of \"{host}\" is too large: more than {limit} bytes");
    let error = Error::new(Category::Validation, "too_large", message)
        .hint("A plugin or a proxy that changes its answers is the usual cause.");
    Failure::new(error, true, false)
}

/// There is no room for what is read ahead of its turn. Seen by nobody: it is read again in turn.
pub(super) fn crowded(host: &str) -> Failure {
    let message = format!("no room for an answer of \"{host}\" ahead of its turn");
    Failure::new(Error::new(Category::Network, "crowded", message), true, false)
}

pub(super) fn circuit_open(host: &str, wait: Duration, last: Option<&str>) -> Error {
    let last = last.map(|code| format!(", the last time with {code}")).unwrap_or_default();
    let message = format!("\"{host}\" is not called for now: it failed again and again{last}");
    network("circuit_open", message)
        .retry_after(wait)
        .hint("It is tried again by itself; see easysync.connection_health.")
}

/// 429 after the last attempt, or one that asks for a longer wait than allowed.
pub(super) fn throttled(host: &str, wait: Option<Duration>) -> Error {
    let until = wait.map(|wait| format!(" for {} s", wait.as_secs().max(1))).unwrap_or_default();
    let error = Error::new(
        Category::RateLimit,
        "http_429",
        format!("\"{host}\" allows no more calls{until}"),
    )
    .http_status(429)
    .hint("It goes on by itself once calls are allowed again.");
    match wait {
        Some(wait) => error.retry_after(wait),
        None => error,
    }
}

/// 502 to 504 after the last attempt, or with a longer wait than allowed.
pub(super) fn unavailable(host: &str, status: StatusCode, wait: Option<Duration>) -> Error {
    let what = match status.as_u16() {
        502 => "its gateway got no good answer",
        503 => "it is down for maintenance or overloaded",
        _ => "its gateway waited too long",
    };
    let code = status.as_u16();
    let message = format!("\"{host}\" can not be reached: {what} (HTTP {code})");
    let error = with_hint(network(&format!("http_{code}"), message)).http_status(code);
    match wait {
        Some(wait) => error.retry_after(wait),
        None => error,
    }
}

/// A redirect is never followed: the place that was asked for is the one that was configured.
pub(super) fn redirected(url: &Url, host: &str, status: StatusCode, headers: &HeaderMap) -> Error {
    let place =
        headers.get(LOCATION).and_then(|v| v.to_str().ok()).and_then(|to| url.join(to).ok());
    let place = place.map(|mut to| {
        to.set_query(None);
        to.set_fragment(None);
        // Can't fail for a URL with a host; one without has neither.
        let _ = to.set_username("");
        let _ = to.set_password(None);
        to
    });
    let code = status.as_u16();
    let message = match &place {
        Some(_) => format!("\"{host}\" points elsewhere (HTTP {code})"),
        None => format!("\"{host}\" points elsewhere without saying where (HTTP {code})"),
    };
    Error::new(Category::Validation, "redirect", message)
        .said(place.as_ref().map_or("", Url::as_str))
        .http_status(code)
        .hint("Redirects are not followed: put the address it points to into the settings, if it is right.")
}

/// How long the platform wants to be left alone (RFC 9110, section 10.2.3): seconds or a date.
/// None where it doesn't say, or in a form that is neither.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER).map(HeaderValue::to_str)?.ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds.min(MAX_WAIT.as_secs())));
    }
    let date = Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()?;
    Some(super::limits::until(now, date).min(MAX_WAIT))
}

/// No platform means more than a day.
const MAX_WAIT: Duration = Duration::from_secs(86_400);

fn network(code: &str, message: String) -> Error {
    Error::new(Category::Network, code, message)
}

fn with_hint(error: Error) -> Error {
    error.hint("See easysync.connection_health.")
}

fn tls_failure(tls: &rustls::Error, host: &str, before: bool) -> Failure {
    // The text names what the other side presented.
    let message = format!("\"{host}\" can not be reached: TLS");
    let error = Error::new(Category::Network, "tls", message).said(&tls.to_string());
    if matches!(tls, rustls::Error::InvalidCertificate(_)) {
        let hint = "A certificate of your own authority is trusted through easysync.ca_file.";
        return Failure::fatal(error.hint(hint));
    }
    Failure::new(with_hint(error), !before, true)
}

fn io_kind(error: &reqwest::Error, before: bool) -> (&'static str, &'static str) {
    use io::ErrorKind as K;
    match cause::<io::Error>(error).map(io::Error::kind) {
        Some(K::ConnectionRefused) => ("connection_refused", "connection refused"),
        Some(K::HostUnreachable | K::NetworkUnreachable) => ("unreachable", "no way to it"),
        Some(K::TimedOut) if before => ("connect_timeout", "the connection timed out"),
        _ if before => ("connection_failed", "the connection can not be made"),
        _ => ("reset", "the connection broke"),
    }
}

/// The first error of that type in the chain, also inside of I/O errors, which hide theirs from it.
fn cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn tls(error: &reqwest::Error) -> Option<&rustls::Error> {
    cause::<rustls::Error>(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let cases = [
            ("600", Some(600)),
            (" 0 ", Some(0)),
            ("Fri, 20 Nov 2026 10:02:00 GMT", Some(120)),
            ("Friday, 20-Nov-26 10:02:00 GMT", Some(120)),
            ("Fri Nov 20 10:02:00 2026", Some(120)),
            ("Fri, 20 Nov 2026 09:00:00 GMT", Some(0)),
            ("99999999999", Some(86_400)),
            ("Mon, 20 Nov 2126 10:02:00 GMT", None), // a Wednesday: no date
            ("Wed, 20 Nov 2126 10:02:00 GMT", Some(86_400)),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ];
        for (value, seconds) in cases {
            let read = retry_after(&headers(value), now);
            assert_eq!(read, seconds.map(Duration::from_secs), "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_redirect_is_shown_without_its_query_and_without_secrets() {
        let asked =
            Url::parse("https://shop.test/wp-json/wc/v3/orders?consumer_secret=cs_1").unwrap();
        let shown = |location: &str| {
            let headers =
                HeaderMap::from_iter([(LOCATION, HeaderValue::from_str(location).unwrap())]);
            redirected(&asked, "shop.test", StatusCode::MOVED_PERMANENTLY, &headers).whole()
        };
        let to = shown("https://u:p@www.shop.test/wp-json/?consumer_secret=cs_1#x");
        assert_eq!(to, "\"shop.test\" points elsewhere (HTTP 301): https://www.shop.test/wp-json/");
        assert!(shown("/login?key=1").ends_with("(HTTP 301): https://shop.test/login"));
        let none = redirected(&asked, "shop.test", StatusCode::FOUND, &HeaderMap::new());
        assert!(none.message.contains("without saying where"));
        assert!(!none.retryable);
    }
}
