//! JSON, checked before it is believed: a status of 200 says little about what follows
//! (woocommerce.md, section 9).

use super::Response;
use crate::error::{Category, Error, Result};
use crate::limits::{self, Few};
use crate::mask;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

/// Characters of a foreign body that an error may show.
const EXCERPT: usize = 160;

/// A value read from an answer.
#[derive(Debug)]
pub struct Json<T> {
    pub value: T,
    /// What was odd about the body and how it was read: a warning for the log, masked.
    pub note: Option<String>,
}

impl Response {
    /// Reads the body as one JSON value of type `T`, which may borrow from it. Errors as
    /// [`json_body`]; and `unexpected_json` (validation) for JSON of another shape.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<Json<T>> {
        let (text, note) = text(self)?;
        match serde_json::from_str(text) {
            Ok(value) => Ok(Json { value, note: note.map(str::to_owned) }),
            Err(error) => Err(unreadable(self, text, &error)),
        }
    }
}

impl Response {
    /// The elements of a list, as they were written. Errors as [`Response::json`]; and `too_many`
    /// (validation) for a list that nobody asked for.
    pub fn list(&self, what: &str) -> Result<Json<Vec<&RawValue>>> {
        let Json { value, note } = self.json::<Few<'_>>()?;
        match value.more {
            true => Err(limits::too_many(&self.host, what).http_status(self.status.as_u16())),
            false => Ok(Json { value: value.items, note }),
        }
    }
}

/// The body as text that is one JSON value and nothing else, with a note where a PHP notice before
/// it was left out. A byte order mark is passed over.
///
/// Errors: `html` (network where the status is 5xx, else validation): a page for people;
/// `bad_json`: no JSON, or JSON with something behind it; network (worth another try) where it just
/// ends too early; `bad_encoding`: no UTF-8.
pub fn json_body(response: &Response) -> Result<Json<&str>> {
    let (text, note) = text(response)?;
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(Json { value: text, note: note.map(str::to_owned) }),
        Err(error) => Err(unreadable(response, text, &error)),
    }
}

/// The part of the body that must be JSON.
fn text(response: &Response) -> Result<(&str, Option<&'static str>)> {
    let text = std::str::from_utf8(&response.body).map_err(|_| {
        let message = format!("the answer of \"{}\" is no valid UTF-8", response.host);
        failed(response, Category::Validation, "bad_encoding", message)
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_start();
    match text.as_bytes().first() {
        Some(b'{' | b'[') | None => Ok((text, None)),
        Some(_) => match after_notice(text) {
            Some(json) => Ok((json, Some(NOTICE))),
            None => Ok((text, None)),
        },
    }
}

const NOTICE: &str = "the answer began with a PHP notice, which was left out";

/// Where the JSON begins behind PHP notices: `Warning: ... in FILE on line N`, each ended by a line
/// break (`<br />` with html_errors). Only the first bracket that directly follows one counts: a
/// later one could be a part of a larger, broken value.
fn after_notice(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        let line = rest.find(" on line ")?;
        let head = &rest[..line];
        if !["Warning", "Notice", "Deprecated"].iter().any(|word| head.contains(word)) {
            return None;
        }
        rest = rest[line + " on line ".len()..].trim_start_matches("<b>");
        rest = rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches("</b>");
        rest = rest.trim_start().trim_start_matches("<br />").trim_start();
        if rest.starts_with(['{', '[']) {
            return Some(rest);
        }
    }
}

fn unreadable(response: &Response, text: &str, error: &serde_json::Error) -> Error {
    use serde_json::error::Category as Kind;
    let host = &response.host;
    let server = response.status.is_server_error();
    let status = response.status.as_u16();
    if text.starts_with('<') || text.contains("<html") || text.contains("<!DOCTYPE") {
        let category = if server { Category::Network } else { Category::Validation };
        let message = format!("\"{host}\" answered with a web page (HTTP {status})");
        return failed(response, category, "html", message).said(&excerpt(text)).hint(
            "Open the address in a browser: the site's error log or a plugin is the usual place.",
        );
    }
    let (category, code, what) = match error.classify() {
        Kind::Data => (Category::Validation, "unexpected_json", "JSON of another shape"),
        Kind::Eof if text.is_empty() => (Category::Network, "bad_json", "an empty body"),
        Kind::Eof => (Category::Network, "bad_json", "JSON that breaks off"),
        _ if server => (Category::Network, "bad_json", "something that is no JSON"),
        _ => (Category::Validation, "bad_json", "something that is no JSON"),
    };
    // serde's own text can quote the value that didn't fit: only its place is shown.
    let at = format!("line {}, column {}", error.line(), error.column());
    let message = format!("\"{host}\" answered with {what} (HTTP {status}, {at})");
    failed(response, category, code, message).hint(
        "Is this the right address, with nothing (a proxy, a login page, a plugin) that answers in \
         the platform's place?",
    )
}

fn failed(response: &Response, category: Category, code: &str, message: String) -> Error {
    Error::new(category, code, message).http_status(response.status.as_u16())
}

/// The words of a page that a person would read: without scripts, styles and tags, short, masked.
pub(super) fn excerpt(page: &str) -> String {
    let mut words = String::new();
    let mut rest = page;
    while let Some(open) = rest.find('<') {
        push_words(&mut words, &rest[..open]);
        let tag = &rest[open..];
        let hidden = ["style", "script", "head"].iter().find(|name| {
            tag.get(1..=name.len()).is_some_and(|t| t.eq_ignore_ascii_case(name))
                && !tag[1 + name.len()..].starts_with(|c: char| c.is_ascii_alphanumeric())
        });
        let end = match hidden {
            Some(name) => tag.find(&format!("</{name}")),
            None => Some(0),
        };
        let Some(close) = end.and_then(|at| Some(at + tag[at..].find('>')?)) else {
            rest = "";
            break;
        };
        rest = &tag[close + 1..];
        if words.len() > 4 * EXCERPT {
            break;
        }
    }
    push_words(&mut words, rest);
    let masked = mask::text(limits::cut_text(words.trim()));
    match masked.char_indices().nth(EXCERPT) {
        Some((cut, _)) => format!("{}...", &masked[..cut]),
        None => masked,
    }
}

fn push_words(words: &mut String, text: &str) {
    for word in text.split_whitespace() {
        if words.len() > 8 * EXCERPT {
            return;
        }
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
