//! The things that can go wrong, read from the control API's JSON.

use serde_json::{Map, Value};
use std::time::Duration;

/// One thing going wrong. Several may hit the same call: a slow answer may be truncated, too.
#[derive(Debug, Clone, PartialEq)]
pub enum FaultKind {
    /// Wait before the request is handled.
    Latency(Duration),
    /// Break the connection before the request is handled: nothing happened.
    Reset,
    /// Handle the request, then break the connection: it happened, but nobody is told.
    DropAfterCommit,
    /// Send only the first bytes of the body, then break the connection.
    Truncate(usize),
    /// Send the body in small pieces with a pause after each.
    Drip { bytes: usize, pause: Duration },
    /// Answer this instead of handling the request.
    Answer { status: u16, headers: Vec<(String, String)>, body: String },
    /// Handle the request, but answer this: it happened, and the client is told something else.
    AnswerAfterCommit { status: u16, headers: Vec<(String, String)>, body: String },
    /// Handle the request, but send this in place of the body.
    ReplaceBody(String),
    /// Handle the request and put this before the body (a PHP notice).
    Prefix(String),
    /// Handle the request and pad the body with white space to at least this many bytes.
    Huge(usize),
    /// Handle the request and leave out these headers.
    LoseHeaders(Vec<String>),
    /// Handle the request and spoil one record, in a list or alone: its text becomes `text`, or the
    /// given values are set at their JSON pointers.
    SpoilRecord { id: u64, text: Option<String>, set: Map<String, Value> },
}

impl FaultKind {
    /// True when the request must not reach the platform.
    pub fn replaces_the_call(&self) -> bool {
        matches!(self, FaultKind::Reset | FaultKind::Answer { .. })
    }

    /// An answer that is given although the request was handled.
    pub fn after_commit(self) -> Self {
        match self {
            FaultKind::Answer { status, headers, body } => {
                FaultKind::AnswerAfterCommit { status, headers, body }
            }
            other => other,
        }
    }

    /// Reads a fault that every platform has; `None` for an unknown name.
    ///
    /// Errors: a text for the caller that says which argument is missing or wrong.
    pub fn read(name: &str, arguments: &Value) -> Option<Result<Self, String>> {
        let number = |key: &str, default: Option<u64>| match (&arguments[key], default) {
            (Value::Null, Some(default)) => Ok(default),
            (value, _) => value.as_u64().ok_or(format!("{name} needs a number {key:?}")),
        };
        let text = |key: &str| {
            let value = arguments[key].as_str().map(str::to_owned);
            value.ok_or(format!("{name} needs a text {key:?}"))
        };
        let millis = |key: &str, default| number(key, default).map(Duration::from_millis);
        Some(match name {
            "latency" => millis("ms", None).map(FaultKind::Latency),
            "reset" => Ok(FaultKind::Reset),
            "drop_after_commit" => Ok(FaultKind::DropAfterCommit),
            "truncate" => number("bytes", Some(100)).map(|n| FaultKind::Truncate(n as usize)),
            "slow_drip" => number("bytes", Some(16)).and_then(|bytes| {
                let pause = millis("pause_ms", Some(50))?;
                Ok(FaultKind::Drip { bytes: bytes.max(1) as usize, pause })
            }),
            "answer" => read_answer(arguments),
            "answer_after_commit" => read_answer(arguments).map(FaultKind::after_commit),
            "replace_body" => text("body").map(FaultKind::ReplaceBody),
            "prefix" => text("text").map(FaultKind::Prefix),
            "huge_body" => {
                number("bytes", Some(64 << 20)).map(|bytes| FaultKind::Huge(bytes as usize))
            }
            "lose_headers" => read_names(arguments).map(FaultKind::LoseHeaders),
            "spoil_record" => number("id", None).map(|id| FaultKind::SpoilRecord {
                id,
                text: arguments["text"].as_str().map(str::to_owned),
                set: arguments["set"].as_object().cloned().unwrap_or_default(),
            }),
            _ => return None,
        })
    }

    /// The names that [`FaultKind::read`] knows.
    pub const NAMES: [&'static str; 12] = [
        "latency",
        "reset",
        "drop_after_commit",
        "truncate",
        "slow_drip",
        "answer",
        "answer_after_commit",
        "replace_body",
        "prefix",
        "huge_body",
        "lose_headers",
        "spoil_record",
    ];
}

fn read_answer(arguments: &Value) -> Result<FaultKind, String> {
    let status = arguments["status"].as_u64().and_then(|s| u16::try_from(s).ok());
    let status = status.filter(|s| (200..600).contains(s));
    let status = status.ok_or("answer needs a number \"status\" from 200 to 599")?;
    let body = match &arguments["body"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        json => json.to_string(),
    };
    let headers = arguments["headers"].as_object().cloned().unwrap_or_default();
    let headers = headers
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(value) => (name, value),
            other => (name, other.to_string()),
        })
        .collect();
    Ok(FaultKind::Answer { status, headers, body })
}

fn read_names(arguments: &Value) -> Result<Vec<String>, String> {
    let names = arguments["names"].as_array().ok_or("lose_headers needs a list \"names\"")?;
    Ok(names.iter().filter_map(Value::as_str).map(str::to_ascii_lowercase).collect())
}
