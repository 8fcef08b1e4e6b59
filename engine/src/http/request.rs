//! What is sent and what comes back.

use super::budget::Held;
use super::retry::RetryPolicy;
use crate::error::Result;
use bytes::Bytes;
use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One request. Its `Debug` shows neither query, headers nor body: they can hold secrets.
#[derive(Clone)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Option<Bytes>,
    /// Sending it twice does no more than sending it once. Only such a request is sent again after
    /// an attempt with an unknown outcome (time-out, broken connection, 502 to 504).
    pub idempotent: bool,
    /// A 500 is worth another attempt. No by default: some platforms answer so for good
    /// (woocommerce.md, section 8: refunds).
    pub retry_500: bool,
    /// Of one attempt, from its start to the end of the answer. None: the client's.
    pub timeout: Option<Duration>,
    /// Bytes of the answer, unpacked. None: the client's.
    pub max_response: Option<usize>,
    /// None: the client's.
    pub retry: Option<RetryPolicy>,
    /// Called for each attempt, after the waits.
    pub signer: Option<Arc<dyn Signer>>,
}

impl Request {
    pub fn new(method: Method, url: Url) -> Self {
        let idempotent = method.is_idempotent();
        Request {
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
            idempotent,
            retry_500: false,
            timeout: None,
            max_response: None,
            retry: None,
            signer: None,
        }
    }

    pub fn get(url: Url) -> Self {
        Request::new(Method::GET, url)
    }

    /// A POST of JSON: not idempotent unless told.
    pub fn post_json(url: Url, body: impl Into<Bytes>) -> Self {
        let mut request = Request::new(Method::POST, url);
        request.body = Some(body.into());
        request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
    }

    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub fn idempotent(mut self, idempotent: bool) -> Self {
        self.idempotent = idempotent;
        self
    }

    pub fn retry_500(mut self, retry: bool) -> Self {
        self.retry_500 = retry;
        self
    }

    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    pub fn max_response(mut self, bytes: usize) -> Self {
        self.max_response = Some(bytes);
        self
    }

    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = Some(retry);
        self
    }

    pub fn signed_by(mut self, signer: Arc<dyn Signer>) -> Self {
        self.signer = Some(signer);
        self
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.method, self.url.host_str().unwrap_or("-"), self.url.path())
    }
}

/// Adds what proves who calls: a header, or parameters of the query. Called once for each attempt,
/// since OAuth 1.0a needs a new nonce and the time of the attempt in every one.
pub trait Signer: Send + Sync {
    fn sign(&self, attempt: &mut Attempt<'_>) -> Result<()>;
}

/// One attempt before it is sent. The host can't be changed any more: a changed one is refused.
pub struct Attempt<'a> {
    pub method: &'a Method,
    pub url: &'a mut Url,
    pub headers: &'a mut HeaderMap,
    pub body: Option<&'a Bytes>,
    /// The context's time.
    pub now: Timestamp,
    /// New for each attempt, never secret.
    pub nonce: u128,
}

/// A whole answer with any status but 3xx and, after the last attempt, 429 and 502 to 504, which
/// are errors.
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body's share of what this process may hold.
    pub held: Held,
    /// From the start of the last attempt to the end of the answer: the platform's time, without
    /// our waits.
    pub elapsed: Duration,
    /// Calls made for it.
    pub attempts: u32,
    /// `host` or `host:port`, for messages.
    pub host: String,
}

impl Response {
    /// A header as text, where it is one.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}, {} bytes", self.status, self.host, self.body.len())
    }
}
