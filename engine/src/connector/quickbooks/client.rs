//! Calls to one company's API.

use super::ack;
use super::auth::{Realm, TokenSource};
use super::batch::{Batch, BatchSent};
use super::errors::{self, Remedy};
use super::limits::{self, Reads};
use super::reply::{self, Body, Reply, TRACE};
use super::request_id::RequestId;
use super::settings::Settings;
use super::write::{Outcome, Sent, Write};
use crate::clock::Clock;
use crate::error::{Category, Error, Result};
use crate::http::{self, HttpContext, Request, Response, Url, header};
use jiff::Timestamp;
use oauth2::AccessToken;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Versions below are ignored since August 2025; sending it says what we were written for.
const MINOR_VERSION: &str = "75";

/// A token can be refused for a moment after it was issued (quickbooks.md, section 2.1).
const PROPAGATION: Duration = Duration::from_millis(1500);

/// Parameters of a query, in order.
pub type Query<'a> = &'a [(&'a str, &'a str)];

/// One company. Cheap to clone; clones share limits, tokens and the count of reads.
#[derive(Clone)]
pub struct Api {
    client: http::Client,
    batches: http::Client,
    base: Url,
    realm: Realm,
    tokens: Arc<dyn TokenSource>,
    reads: Arc<Reads>,
    clock: Arc<dyn Clock>,
}

/// A call that brought no answer.
struct Failed {
    error: Error,
    /// The access token was the trouble: nothing was sent.
    before: bool,
}

impl Api {
    /// Makes no call. `reads` is shared by all companies of the app.
    pub fn open(
        settings: &Settings,
        realm: Realm,
        http: &Arc<HttpContext>,
        tokens: Arc<dyn TokenSource>,
        reads: Arc<Reads>,
    ) -> Api {
        Api {
            client: http.client(&format!("quickbooks {realm}"), limits::realm()),
            batches: http.client(&format!("quickbooks {realm} batches"), limits::batches()),
            base: settings.api_url.clone(),
            realm,
            tokens,
            reads,
            clock: Arc::clone(&http.config.clock),
        }
    }

    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    pub(super) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Metered reads of this month, and the budget.
    pub fn reads(&self) -> (u64, u64) {
        self.reads.used(self.clock.now())
    }

    /// Reads `path` (`invoice/239`, `query`), metered. Errors: `read_budget` (rate_limit, with the
    /// date) before the call; what the catalogue says of a fault; those of the HTTP layer.
    pub async fn read(&self, path: &str, query: Query<'_>) -> Result<Answer> {
        self.reads.check(self.clock.now())?;
        let url = self.url(path, query)?;
        let build = |access: &AccessToken| {
            // A read does no harm twice, and a 500 is often over at the next try.
            Ok(authorized(Request::get(url.clone()), access)?.retry_500(true))
        };
        let response = match self.call(build).await {
            Ok(response) => response,
            Err(Failed { error, .. }) => {
                if error.code == "http_429" {
                    self.reads.refused(self.clock.now());
                }
                return Err(error);
            }
        };
        if response.status.is_success() {
            self.reads.spent(self.clock.now());
        }
        let error = match reply::read(&response) {
            Reply::Body(_) => None,
            Reply::Fault(fault) => Some(errors::refusal(&fault, response.status.as_u16()).error),
            Reply::Garbled(error) => Some(error),
        };
        match error {
            Some(error) => Err(error),
            None => Ok(Answer(response)),
        }
    }

    /// Sends one write. The outcome is never an `Err`: what isn't known is an outcome, too.
    ///
    /// It is not sent again after an outcome that is unknown: whoever keeps the intent decides
    /// whether to repeat it or to ask first.
    pub async fn write(&self, write: &Write, id: &RequestId) -> Sent {
        let mut query = write.query();
        query.push(("requestid", id.as_str()));
        let sent = match self.url(&write.kind().path(), &query) {
            Ok(url) => self.post(url, write.body()).await,
            Err(error) => Err(Failed { error, before: true }),
        };
        match sent {
            Err(failed) => failed.sent(),
            Ok(response) => {
                let status = response.status.as_u16();
                let outcome = match reply::read(&response) {
                    Reply::Body(body) => ack::done(write, body.get(write.kind().as_str()), status),
                    Reply::Fault(fault) => ack::refused(&fault, status),
                    Reply::Garbled(error) => garbled(error),
                };
                Sent { outcome, ..heard(&response) }
            }
        }
    }

    /// Sends a batch, in its turn: at most [`limits::BATCHES_A_MINUTE`]. Every item gets an outcome
    /// of its own.
    pub async fn send_batch(&self, batch: &Batch, id: &RequestId) -> BatchSent {
        if !id.fits_batch() {
            let error = Error::internal("a batch's request id is longer than 36 characters");
            return batch.all(Outcome::NotSent(error));
        }
        let url = match self.url("batch", &[("requestid", id.as_str())]) {
            Ok(url) => url,
            Err(error) => return batch.all(Outcome::NotSent(error)),
        };
        if let Err(error) = self.batches.turn().await {
            return batch.all(Outcome::NotSent(error));
        }
        match self.post(url, &batch.body()).await {
            Err(failed) => batch.told(failed.sent()),
            Ok(response) => {
                let heard = heard(&response);
                let sent = match reply::read(&response) {
                    Reply::Body(body) => return batch.read(&body, heard),
                    Reply::Fault(fault) => ack::refused(&fault, response.status.as_u16()),
                    Reply::Garbled(error) => garbled(error),
                };
                batch.told(Sent { outcome: sent, ..heard })
            }
        }
    }

    async fn post(&self, url: Url, body: &Value) -> Result<Response, Failed> {
        let body = bytes::Bytes::from(body.to_string());
        self.call(|access| authorized(Request::post_json(url.clone(), body.clone()), access)).await
    }

    /// Calls with a good token: after a refusal with a new one, and once more a moment later.
    async fn call(
        &self,
        build: impl Fn(&AccessToken) -> Result<Request>,
    ) -> Result<Response, Failed> {
        let before = |error| Failed { error, before: true };
        let mut access = self.tokens.current().await.map_err(before)?;
        for attempt in 0.. {
            let request = build(&access).map_err(before)?;
            let sent = self.client.send(&request).await;
            let response = sent.map_err(|error| Failed { error, before: false })?;
            if attempt == 2 || !expired(&response) {
                return Ok(response);
            }
            if attempt == 0 {
                access = self.tokens.refreshed(&access).await.map_err(before)?;
            } else {
                self.clock.sleep(PROPAGATION).await;
            }
        }
        Err(before(Error::internal("a call without an end")))
    }

    fn url(&self, path: &str, query: Query<'_>) -> Result<Url> {
        let base = self.base.as_str().trim_end_matches('/');
        let text = format!("{base}/v3/company/{}/{path}", self.realm);
        let mut url =
            Url::parse(&text).map_err(|_| Error::internal("an address of the API is none"))?;
        // Not the form's encoding of `query_pairs_mut`: it writes a blank as "+".
        let version = ("minorversion", MINOR_VERSION);
        let pairs = query.iter().chain([&version]);
        let pairs: Vec<String> =
            pairs.map(|(name, value)| format!("{name}={}", super::query::encode(value))).collect();
        url.set_query(Some(&pairs.join("&")));
        Ok(url)
    }
}

impl Failed {
    fn sent(self) -> Sent {
        let outcome =
            if self.before { Outcome::NotSent(self.error) } else { ack::failed(self.error) };
        let calls = u64::from(!matches!(outcome, Outcome::NotSent(_)));
        let status = outcome.error().and_then(|error| error.http_status);
        Sent { outcome, status, trace: None, calls }
    }
}

fn authorized(request: Request, access: &AccessToken) -> Result<Request> {
    let mut bearer = header::HeaderValue::from_str(&format!("Bearer {}", access.secret()))
        .map_err(|_| Error::internal("an access token makes no header"))?;
    bearer.set_sensitive(true);
    // Without it the answers are XML.
    Ok(request
        .header(header::ACCEPT, header::HeaderValue::from_static("application/json"))
        .header(header::AUTHORIZATION, bearer))
}

/// The access token was refused, by a status or by a fault of another one.
fn expired(response: &Response) -> bool {
    if !matches!(response.status.as_u16(), 400 | 401 | 403) {
        return false;
    }
    match reply::read(response) {
        Reply::Fault(fault) => {
            errors::refusal(&fault, response.status.as_u16()).remedy == Remedy::RefreshToken
        }
        _ => response.status.as_u16() == 401,
    }
}

/// Neither body nor fault. A refusal of access was read by nobody; all else may have been done.
fn garbled(error: Error) -> Outcome {
    match (error.category, error.http_status) {
        (Category::Authentication, _) | (_, Some(404 | 413)) => Outcome::NotSent(error),
        _ => Outcome::Unknown(error),
    }
}

fn heard(response: &Response) -> Sent {
    Sent {
        outcome: Outcome::Unknown(Error::internal("an answer was not read")),
        status: Some(response.status.as_u16()),
        trace: response.header(TRACE).map(|trace| trace.chars().take(100).collect()),
        calls: u64::from(response.attempts),
    }
}

/// A successful answer without a fault.
pub struct Answer(Response);

impl Answer {
    /// Its members.
    pub fn body(&self) -> Result<Body<'_>> {
        match reply::read(&self.0) {
            Reply::Body(body) => Ok(body),
            Reply::Fault(fault) => Err(errors::refusal(&fault, self.status()).error),
            Reply::Garbled(error) => Err(error),
        }
    }

    /// Bytes of its body.
    pub fn body_bytes(&self) -> usize {
        self.0.body.len()
    }

    pub fn status(&self) -> u16 {
        self.0.status.as_u16()
    }

    /// QuickBooks' own id of the call.
    pub fn trace(&self) -> Option<&str> {
        self.0.header(TRACE)
    }

    /// Calls made for it.
    pub fn calls(&self) -> u64 {
        u64::from(self.0.attempts)
    }
}
