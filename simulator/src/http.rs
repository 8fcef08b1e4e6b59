//! Requests and responses as platforms see them: whole bodies, no connection.

use bytes::Bytes;
use serde_json::Value;
use std::time::Duration;

/// A request with its body read in full.
#[derive(Debug, Clone)]
pub struct Request {
    /// Upper case.
    pub method: String,
    /// As sent, still percent-encoded, without the query.
    pub path: String,
    /// As sent, still percent-encoded, without the question mark.
    pub query: String,
    /// Names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    /// Empty when there was none.
    pub body: Bytes,
    /// True when the request came through TLS.
    pub secure: bool,
}

impl Request {
    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Path and query as sent.
    pub fn target(&self) -> String {
        if self.query.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, self.query)
        }
    }
}

/// What goes back to the client.
#[derive(Debug, Clone)]
pub struct Response {
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// In the order they are sent.
    pub headers: Vec<(String, String)>,
    /// Sent one after the other, so that pre-rendered records needn't be copied together.
    pub body: Vec<Bytes>,
    /// Whole and at once, unless a fault says otherwise.
    pub sending: Sending,
}

/// How the bytes go out.
#[derive(Debug, Clone, Default)]
pub struct Sending {
    /// Stop after this many bytes and break the connection.
    pub cut_after: Option<usize>,
    /// Reset the connection instead of sending anything.
    pub reset: bool,
    /// Send so many bytes at a time, with a pause after each.
    pub drip: Option<(usize, Duration)>,
    /// Known length in place of chunks.
    pub content_length: bool,
}

impl Response {
    /// An answer with a body of this type, sent in chunks.
    pub fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Response {
            status,
            headers: vec![("Content-Type".into(), content_type.into())],
            body: vec![body.into()],
            sending: Sending::default(),
        }
    }

    /// JSON in serde's plain spelling; platforms with their own spelling build the body themselves.
    pub fn json(status: u16, value: &Value) -> Self {
        Self::new(status, "application/json", value.to_string())
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Response { status, headers: vec![], body: vec![], sending: Sending::default() }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The whole body in one piece.
    pub fn whole_body(&self) -> Bytes {
        match self.body.as_slice() {
            [] => Bytes::new(),
            [one] => one.clone(),
            many => many.concat().into(),
        }
    }
}
