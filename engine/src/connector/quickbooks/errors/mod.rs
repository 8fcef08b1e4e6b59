//! What QuickBooks' refusals mean: a remedy for the machine, and an error for people.
//!
//! Codes decide, never texts, which come in the language of the company; but for 6000, which says
//! everything in its text, and for the id that 6140 names in it (quickbooks.md, section 2).

mod catalogue;

pub use catalogue::{Class, Entry, entries};

use super::reply::{Fault, FaultItem};
use crate::error::{Category, Error};
use regex::Regex;
use std::sync::LazyLock;
use std::time::Duration;

/// Characters of QuickBooks' own text that an error keeps.
const EXCERPT: usize = 240;

/// What has to happen before a request may be made again, or that none may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// The same body with the same request id, not before `after`.
    Retry { after: Duration },
    /// A new access token, then the same body with the same request id.
    RefreshToken,
    /// 5010: read the record, compare with the agreed state, and send a new body with a new id.
    Refetch,
    /// 6140: the number is taken, by this document where QuickBooks names it. Ours: adopt it.
    AdoptNumber { txn_type: Option<String>, txn_id: Option<String> },
    /// 6240: the name is taken, maybe by an inactive record, a vendor or an employee.
    AdoptName,
    /// 2500, 610, 6250: a record that the body names is gone or inactive; `element` is the path of
    /// the reference where QuickBooks tells it.
    Reresolve { element: Option<String> },
    /// 600: it was sent before and the outcome is unknown: ask for the record before anything else.
    LookUp,
    /// A person has to correct the record here or there.
    Attention,
    /// A setting, the plan or a closed period is in the way: not before that has changed.
    Blocked,
    /// The whole connection stops until a person acts: access gone, subscription ended.
    StopConnection,
    /// The answer would be too large: ask for less at a time.
    Narrow,
    /// The company was reset: read everything again.
    Resync,
    /// The request itself is wrong: nobody but a programmer can help.
    Bug,
}

impl Remedy {
    /// The same body may go out again by itself.
    pub fn is_retry(&self) -> bool {
        matches!(self, Remedy::Retry { .. } | Remedy::RefreshToken)
    }

    /// Where several errors come at once the lowest decides: what no retry can help goes first.
    fn rank(&self) -> u8 {
        match self {
            Remedy::StopConnection => 0,
            Remedy::Resync => 1,
            Remedy::Bug => 2,
            Remedy::Attention => 3,
            Remedy::Blocked => 4,
            Remedy::AdoptNumber { .. } | Remedy::AdoptName => 5,
            Remedy::Reresolve { .. } => 6,
            Remedy::Refetch => 7,
            Remedy::LookUp => 8,
            Remedy::Narrow => 9,
            Remedy::RefreshToken => 10,
            Remedy::Retry { .. } => 11,
        }
    }
}

/// A fault, understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub remedy: Remedy,
    /// For people: category, QuickBooks' code, message, hint.
    pub error: Error,
    /// All codes of the fault, without leading zeros, in its order.
    pub codes: Vec<String>,
}

/// Understands a fault. `status` is that of the answer; a fault can ride on 200.
pub fn refusal(fault: &Fault, status: u16) -> Refusal {
    let codes = fault.items.iter().map(|item| item.code.clone()).collect();
    let mut read: Vec<(Remedy, Error)> = fault.items.iter().map(|item| one(item, fault)).collect();
    read.sort_by_key(|(remedy, _)| remedy.rank());
    let others = read.len().saturating_sub(1);
    let (remedy, mut error) = read.into_iter().next().unwrap_or_else(|| nameless(fault));
    if others > 0 {
        let more: Vec<&str> =
            fault.items.iter().map(|i| i.code.as_str()).filter(|c| *c != error.code).collect();
        error.message = format!("{} (and {others} more: {})", error.message, more.join(", "));
    }
    Refusal { remedy, error: error.http_status(status), codes }
}

fn one(item: &FaultItem, fault: &Fault) -> (Remedy, Error) {
    let Some(entry) = catalogue::entry(&item.code) else { return unknown(item, fault) };
    let remedy = remedy(entry.class, item);
    let (code, hint) = (item.code.as_str(), entry.hint.as_str());
    let mut message = format!("QuickBooks: {}", entry.says);
    if entry.class == Class::ByText {
        return by_text(item, entry);
    }
    // A programmer needs to know which field; a query's text (4000) can hold a name.
    let shown = match entry.class == Class::Bug && code != "4000" {
        true => excerpt(&item.detail),
        false => String::new(),
    };
    if let Some(element) = element(item) {
        message = format!("{message} ({element})");
    }
    if let Remedy::AdoptNumber { txn_type: Some(kind), txn_id: Some(id) } = &remedy {
        message = format!("{message} by {kind} {id}");
    }
    let error = Error::new(category(&remedy, code), code, format!("{message} [{code}]"))
        .said(&shown)
        .hint(hint)
        .retryable(remedy.is_retry());
    (remedy.clone(), with_wait(error, &remedy))
}

fn remedy(class: Class, item: &FaultItem) -> Remedy {
    match class {
        Class::Throttled => Remedy::Retry { after: super::limits::THROTTLED },
        Class::Retry => Remedy::Retry { after: Duration::from_secs(2) },
        Class::RetrySlow => Remedy::Retry { after: Duration::from_secs(600) },
        Class::RefreshToken => Remedy::RefreshToken,
        Class::StopConnection => Remedy::StopConnection,
        Class::LookUp => Remedy::LookUp,
        Class::Refetch => Remedy::Refetch,
        Class::AdoptNumber => adopt_number(&item.detail),
        Class::AdoptName => Remedy::AdoptName,
        Class::Reresolve => Remedy::Reresolve { element: element(item).map(str::to_owned) },
        Class::Blocked => Remedy::Blocked,
        Class::Narrow => Remedy::Narrow,
        Class::Resync => Remedy::Resync,
        Class::Bug => Remedy::Bug,
        Class::ByText | Class::Attention => Remedy::Attention,
    }
}

/// `DocNumber=WC-10452 is assigned to TxnType=Invoice with TxnId=239`; in French `TxnType=Facture`,
/// so only a word that is a type of ours is believed, and the id in any language.
fn adopt_number(detail: &str) -> Remedy {
    static ID: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"TxnId=(\d{1,20})").ok());
    static KIND: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"TxnType=([A-Za-z]{1,30})").ok());
    let find = |pattern: &Option<Regex>| {
        let found = pattern.as_ref()?.captures(detail)?;
        Some(found.get(1)?.as_str().to_owned())
    };
    let known = |kind: &String| super::kind::Kind::parse(kind).is_some();
    Remedy::AdoptNumber { txn_type: find(&KIND).filter(known), txn_id: find(&ID) }
}

/// Texts of 6000 that are not about the record itself. What isn't recognised needs a person, which
/// is the safe side.
fn by_text(item: &FaultItem, entry: &Entry) -> (Remedy, Error) {
    let text = item.detail.to_lowercase();
    let shown = excerpt(&item.detail);
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["exactly the same time", "try again in", "30 min"]) {
        let remedy = Remedy::Retry { after: Duration::from_secs(10) };
        let message = "QuickBooks: another change of stock was under way [6000]";
        let error = Error::new(Category::Conflict, "6000", message)
            .hint("It is tried again by itself.")
            .retryable(true);
        return (remedy.clone(), with_wait(error, &remedy));
    }
    let message = format!("QuickBooks: {} [6000]", entry.says);
    let new = |category| Error::new(category, "6000", &*message).said(&shown);
    if has(&["multicurrency", "multi-currency", "multiple currencies"]) {
        let hint = "Switch multicurrency on in QuickBooks; it can not be switched off again.";
        return (Remedy::Blocked, new(Category::Blocked).hint(hint));
    }
    if has(&["account period", "books are closed", "closing date"]) {
        let hint = catalogue::entry("6210").map(|e| e.hint.as_str()).unwrap_or_default();
        return (Remedy::Blocked, new(Category::Blocked).hint(hint));
    }
    let hint = if has(&["currency"]) {
        "A customer has one currency for life: map the order to a customer of its currency."
    } else {
        &entry.hint
    };
    (Remedy::Attention, new(Category::NeedsAttention).hint(hint))
}

fn unknown(item: &FaultItem, fault: &Fault) -> (Remedy, Error) {
    let code = if item.code.is_empty() { "unknown" } else { &item.code };
    let text = if item.detail.is_empty() { &item.message } else { &item.detail };
    let message = format!("QuickBooks refused it [{code}]");
    let new = |category| Error::new(category, code, &*message).said(&excerpt(text));
    match fault.kind.to_ascii_lowercase().as_str() {
        "systemfault" => {
            let remedy = Remedy::Retry { after: Duration::from_secs(2) };
            (remedy.clone(), with_wait(new(Category::Network), &remedy))
        }
        "authentication" | "authenticationfault" | "authorizationfault" => {
            let hint = catalogue::entry("3100").map(|e| e.hint.as_str()).unwrap_or_default();
            (Remedy::StopConnection, new(Category::Authentication).hint(hint))
        }
        _ => {
            let hint = "Do the same in QuickBooks by hand: it shows what is in the way.";
            (Remedy::Attention, new(Category::NeedsAttention).hint(hint))
        }
    }
}

/// A fault without a single error in it.
fn nameless(fault: &Fault) -> (Remedy, Error) {
    let item = FaultItem { message: "it gave no reason".into(), ..FaultItem::default() };
    unknown(&item, fault)
}

fn category(remedy: &Remedy, code: &str) -> Category {
    match remedy {
        Remedy::Retry { .. } if code == "3001" => Category::RateLimit,
        Remedy::Retry { .. } | Remedy::LookUp => Category::Network,
        Remedy::RefreshToken => Category::Authentication,
        // The grant is good: it is the company that doesn't take any more.
        Remedy::StopConnection if code == "6190" => Category::Blocked,
        Remedy::StopConnection => Category::Authentication,
        Remedy::Refetch | Remedy::AdoptName | Remedy::AdoptNumber { .. } => Category::Conflict,
        Remedy::Reresolve { .. } => Category::NotFound,
        Remedy::Attention => Category::NeedsAttention,
        Remedy::Blocked => Category::Blocked,
        Remedy::Narrow | Remedy::Resync => Category::Validation,
        Remedy::Bug => Category::Internal,
    }
}

fn with_wait(error: Error, remedy: &Remedy) -> Error {
    match remedy {
        Remedy::Retry { after } => error.retry_after(*after).retryable(true),
        _ => error,
    }
}

/// The path of the field, where it is one: `Line.SalesItemLineDetail.ItemRef`.
fn element(item: &FaultItem) -> Option<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '[' | ']');
    let element = item.element.trim();
    (!element.is_empty() && element.len() <= 80 && element.chars().all(plain)).then_some(element)
}

/// QuickBooks' text, on one line and short.
fn excerpt(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.trim_start_matches("Business Validation Error:").trim();
    match text.char_indices().nth(EXCERPT) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
