//! QuickBooks' answers, told apart by what is in them: HTTP 200 says nothing (quickbooks.md,
//! section 0).

use crate::error::{Category, Error, Result};
use crate::http::{self, Response};
use crate::limits::{self, Few, Members};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The header with QuickBooks' own trace id: its support asks for it.
pub const TRACE: &str = "intuit_tid";

/// Errors of a fault that are read.
const MOST_ITEMS: usize = 50;

/// A whole answer.
pub enum Reply<'a> {
    /// No fault in it. Whether it holds what was asked for is the caller's to see.
    Body(Body<'a>),
    Fault(Fault),
    /// Neither: a gateway's text, a page, JSON of another shape. What became of a write is unknown.
    Garbled(Error),
}

/// A JSON object without a fault.
#[derive(Debug)]
pub struct Body<'a> {
    members: BTreeMap<String, &'a RawValue>,
}

/// A fault of either envelope: `Fault` of the accounting service, `fault` of the gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fault {
    /// `ValidationFault`, `SystemFault`, `AUTHENTICATION`, `SERVICE`, ... in any case.
    pub kind: String,
    pub items: Vec<FaultItem>,
}

/// One error of a fault. Texts are in the company's language and can hold personal data: never
/// shown as they are.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FaultItem {
    /// Without leading zeros.
    pub code: String,
    pub message: String,
    pub detail: String,
    /// Path of the field, or empty.
    pub element: String,
}

impl std::fmt::Debug for FaultItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {:?}", self.code, self.element)
    }
}

impl<'a> Body<'a> {
    /// A member that is there and not null.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.members.get(name).copied().filter(|raw| raw.get() != "null")
    }

    /// The server's clock when it answered: the envelope's `time`.
    pub fn time(&self) -> Option<Timestamp> {
        let text: String = serde_json::from_str(self.get("time")?.get()).ok()?;
        text.parse().ok()
    }

    /// The first of several members, with its name.
    pub fn first<'n>(&self, names: &[&'n str]) -> Option<(&'n str, &'a RawValue)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }
}

/// Reads an answer of any status.
pub fn read(response: &Response) -> Reply<'_> {
    match http::json_body(response) {
        Err(error) => Reply::Garbled(garbled(response, error)),
        Ok(json) => match object(json.value) {
            Some(members) => sort(response, members),
            None => Reply::Garbled(shapeless(response)),
        },
    }
}

fn sort<'a>(response: &Response, members: BTreeMap<String, &'a RawValue>) -> Reply<'a> {
    if let Some(fault) = fault_in(&members) {
        return Reply::Fault(fault);
    }
    if response.status.is_success() {
        Reply::Body(Body { members })
    } else {
        Reply::Garbled(shapeless(response))
    }
}

/// The members of a JSON object.
pub fn object(text: &str) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str::<Members<'_>>(text).ok().map(|members| members.0)
}

/// A record as a value; none where it is beyond what is taken of one.
pub fn value(raw: &RawValue) -> Option<Value> {
    limits::check_record(raw).ok()?;
    serde_json::from_str(raw.get()).ok()
}

/// The fault among the members of an answer, or of one item of a batch.
pub fn fault_in(members: &BTreeMap<String, &RawValue>) -> Option<Fault> {
    let raw = ["Fault", "fault"]
        .iter()
        .filter_map(|name| members.get(*name))
        .find(|raw| raw.get() != "null")?;
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Envelope<'a> {
        #[serde(borrow, alias = "Error")]
        error: Option<&'a RawValue>,
        #[serde(borrow, rename = "type", alias = "Type")]
        kind: Option<&'a RawValue>,
    }
    let envelope: Envelope<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    let list: Few<'_> =
        envelope.error.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let items = list.items.into_iter().take(MOST_ITEMS).map(item).collect();
    Some(Fault { kind: text(envelope.kind), items })
}

fn item(raw: &RawValue) -> FaultItem {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Wire<'a> {
        #[serde(borrow, alias = "Message")]
        message: Option<&'a RawValue>,
        #[serde(borrow, alias = "Detail")]
        detail: Option<&'a RawValue>,
        #[serde(borrow, alias = "Code")]
        code: Option<&'a RawValue>,
        #[serde(borrow, alias = "Element")]
        element: Option<&'a RawValue>,
    }
    let wire: Wire<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
    let message = text(wire.message);
    let code = text(wire.code);
    // The gateway has been seen to leave the code out and to name it in the message alone.
    let code = if code.is_empty() { code_in(&message) } else { code };
    let digits = code.trim().trim_start_matches('0');
    FaultItem {
        code: digits.chars().filter(char::is_ascii_alphanumeric).take(12).collect(),
        message,
        detail: text(wire.detail),
        element: text(wire.element),
    }
}

/// `message=AuthenticationFailed; errorCode=003200; statusCode=401`
fn code_in(message: &str) -> String {
    let after = message.split("errorCode=").nth(1).unwrap_or_default();
    after.chars().take_while(char::is_ascii_digit).collect()
}

/// A text or a number as text; anything else is none.
fn text(raw: Option<&RawValue>) -> String {
    let Some(raw) = raw else { return String::new() };
    if let Ok(text) = serde_json::from_str::<String>(raw.get()) {
        return limits::cut_text(&text).to_owned();
    }
    let number = raw.get().bytes().all(|b| b.is_ascii_digit());
    if number { raw.get().to_owned() } else { String::new() }
}

/// What isn't JSON says nothing of what was done: it may be worth another try, whatever it is.
fn garbled(response: &Response, error: Error) -> Error {
    let status = response.status.as_u16();
    match status {
        404 => Error::new(
            Category::NotFound,
            "http_404",
            format!("\"{}\" has no such API (HTTP 404)", response.host),
        )
        .http_status(404)
        .hint("Is \"api_url\" right?"),
        413 => Error::new(
            Category::Internal,
            "http_413",
            format!("\"{}\" refused the request as too large (HTTP 413)", response.host),
        )
        .http_status(413),
        401 | 403 => Error::new(
            Category::Authentication,
            format!("http_{status}"),
            format!("\"{}\" refused the call (HTTP {status})", response.host),
        )
        .http_status(status)
        .hint("Grant access again: easysync.oauth_authorize_url."),
        _ => Error { category: Category::Network, retryable: true, ..error }
            .hint("It is tried again by itself."),
    }
}

fn shapeless(response: &Response) -> Error {
    let status = response.status.as_u16();
    let message =
        format!("\"{}\" answered with JSON of another shape (HTTP {status})", response.host);
    Error::new(Category::Network, "unexpected_json", message)
        .http_status(status)
        .hint("It is tried again by itself.")
}

/// A success without what it should hold: seen as an empty batch envelope for a void that did
/// nothing (quickbooks.md, section 4.3).
pub fn without(what: &str, status: u16) -> Error {
    let message = format!("QuickBooks answered with success but without {what}");
    Error::new(Category::Network, "empty_answer", message)
        .http_status(status)
        .hint("easysync looks for the record before it sends again.")
}

/// A list of anything, as QuickBooks writes it.
pub fn list(raw: &RawValue) -> Result<Vec<&RawValue>> {
    let few: Few<'_> = serde_json::from_str(raw.get()).map_err(|_| {
        Error::new(Category::Network, "unexpected_json", "QuickBooks: a list is no list")
    })?;
    if few.more { Err(limits::too_many("QuickBooks", "records")) } else { Ok(few.items) }
}
